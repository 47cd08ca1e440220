//! What a caller may choose.

use std::time::Duration;

use super::licence::Licences;

/// A set of rules for what counts as equal; docs/verifier.md lists each with an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Profile {
    /// Our rules.
    #[default]
    Default,
    /// The rules of Math-Verify 0.9.0, for switching without moving rewards.
    MathVerify,
    /// Exact values as written: no rounding, no percent without its sign, no dropped units.
    Strict,
}

/// Which kinds of text may hold an answer; only [`Profile::MathVerify`] looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Boxes and math environments.
    pub latex: bool,
    /// Plain numbers and expressions.
    pub expressions: bool,
    /// The letters A to D.
    pub letters: bool,
}

impl Default for Sources {
    fn default() -> Self {
        Self { latex: true, expressions: true, letters: false }
    }
}

/// Options of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The rules for what counts as equal.
    pub profile: Profile,
    /// Conventions that count besides those of the profile.
    pub allow: Licences,
    /// Conventions that do not count, whoever allows them.
    pub deny: Licences,
    /// Decimal places to which values are rounded where a decimal is written.
    pub float_rounding: u32,
    /// In [`Profile::MathVerify`]: where answers are looked for.
    pub sources: Sources,
    /// Only a `\boxed` or `\fbox` holds an answer.
    pub require_boxed: bool,
    /// Wall-clock limit of one verification, a backstop behind the step limit. None: only the step limit.
    pub deadline: Option<Duration>,
}

impl Options {
    /// The conventions that count.
    pub fn licences(&self) -> Licences {
        Licences::of(self.profile).union(self.allow).without(self.deny)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: Profile::Default,
            float_rounding: 6,
            allow: Licences::NONE,
            deny: Licences::NONE,
            sources: Sources::default(),
            require_boxed: false,
            deadline: Some(Duration::from_millis(50)),
        }
    }
}
