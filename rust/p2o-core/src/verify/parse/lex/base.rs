//! Digits in a base beyond ten, or in one that a prefix names.

use super::Lexer;

impl<'a> Lexer<'a, '_> {
    /// The `1F` of `1F_{16}`: digits beyond nine in front of a base that has them.
    pub(super) fn digits_of_base(&self) -> Option<&'a str> {
        let (digits, rest) = upper_digits(self.rest());
        has_base(digits, rest).then_some(digits)
    }

    /// Those of `(1F)_{16}`.
    pub(super) fn bracketed_digits(&self) -> Option<&'a str> {
        let (digits, rest) = upper_digits(&self.rest()[1..]);
        rest.strip_prefix(')').is_some_and(|rest| has_base(digits, rest)).then_some(digits)
    }

    /// The digits of `0x1F` and `0b101`, and their base.
    pub(super) fn prefixed_digits(&self) -> Option<(&'a str, &'static str)> {
        let (base, name) = match self.rest().as_bytes().get(1)? {
            b'x' => (16, "sixteen"),
            b'b' => (2, "two"),
            _ => return None,
        };
        let digits = &self.rest()[2..];
        let end = digits.find(|next: char| !next.is_ascii_alphanumeric()).unwrap_or(digits.len());
        let digits = &digits[..end];
        let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
        valid.then_some((digits, name))
    }
}

/// The digits and capitals at the start of a text, and what stands behind them.
fn upper_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()).count())
}

/// Whether a base follows that has all of some digits, of which one is beyond nine.
fn has_base(digits: &str, rest: &str) -> bool {
    if digits.len() < 2 || digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let base = rest.strip_prefix('_').unwrap_or("").trim_start_matches('{');
    let base = base[..base.bytes().take_while(u8::is_ascii_digit).count()].parse().unwrap_or(0);
    (11..=36).contains(&base) && digits.chars().all(|digit| digit.is_digit(base))
}
