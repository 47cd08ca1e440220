//! Answer verification: extraction of the final answer and equivalence with the gold.
//!
//! `extract` finds the places of a text that may hold the answer, `parse` makes a tree of one (`expr`), `reading` holds all
//! that it may mean, `compare` decides on structures and conventions ([`Licence`]), `scalar` on values; `language` is what
//! words and commands say.
//!
//! ```
//! use p2o_core::verify::{Options, Status, verify};
//!
//! let verdict = verify("Hence the total is \\boxed{\\frac{2}{4}}.", "0.5", &Options::default());
//! assert_eq!(verdict.status, Status::Correct);
//! assert_eq!(verdict.extracted.as_deref(), Some("\\frac{2}{4}"));
//! ```

mod answer;
mod compare;
mod expr;
mod extract;
mod fuel;
mod language;
mod licence;
mod options;
mod parse;
mod reading;
mod scalar;

use std::fmt;

pub use answer::{Gold, GoldError, equivalent, verify, verify_batch, verify_batch_until, verify_each};
pub use licence::{Licence, Licences, RULES, Rule, UnknownLicence};
pub use options::{Options, Profile, Sources};

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Status {
    /// The answer equals the gold.
    Correct,
    /// The answer does not equal the gold.
    Wrong,
    /// The completion holds no answer.
    NoAnswer,
    /// The gold cannot be parsed: the data is at fault, not the completion.
    GoldUnparsable,
    /// The work limit or the deadline was reached, or no method could decide.
    Timeout,
}

/// The names of a type's variants in reports.
macro_rules! named {
    ($type:ident: $($variant:ident $name:literal),+) => {
        impl $type {
            #[doc = concat!("The name used in reports:", $(" `", $name, "`",)+ ".")]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.name())
            }
        }
    };
}

named!(Status: Correct "correct", Wrong "wrong", NoAnswer "no_answer", GoldUnparsable "gold_unparsable", Timeout "timeout");

/// The method that decided, from the surest to the one that rests on a convention. A comparison of structures reports
/// the last tier that one of its parts needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Tier {
    /// Exact arithmetic, or a difference of kind.
    Exact,
    /// The same tree after parsing.
    Canonical,
    /// Evaluation at random points modulo two 61-bit primes.
    Random,
    /// Ball arithmetic with a proof: the values are apart, or closer than their separation bound.
    Ball,
    /// Agreement without a proof, to 200 bits more than the operands are written with, or within a decimal's rounding.
    Numeric,
    /// Words.
    Text,
}

named!(Tier: Exact "exact", Canonical "canonical", Random "random", Ball "ball", Numeric "numeric", Text "text");

/// The result of one verification.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Verdict {
    /// What was found.
    pub status: Status,
    /// The answer as it stands in the completion.
    pub extracted: Option<String>,
    /// The method that decided between correct and wrong; none for the other statuses.
    pub tier: Option<Tier>,
    /// The conventions by which the answer is correct; none where it says what the gold says.
    pub licences: Licences,
}

impl Verdict {
    /// The verdict where nothing was compared.
    fn without_answer(status: Status) -> Self {
        Self { status, extracted: None, tier: None, licences: Licences::NONE }
    }

    /// Whether the status is [`Status::Correct`].
    pub fn is_correct(&self) -> bool {
        self.status == Status::Correct
    }
}
