//! Digits in a base beyond ten, or in one that a prefix names.

use super::{Kind, Lexer};

impl<'a> Lexer<'a, '_> {
    /// Whether such digits are ahead, which are read: `1F_{16}`, `(1F)_{16}`, `0x1F`.
    pub(super) fn digits_of_base(&mut self) -> bool {
        let bracket = usize::from(self.rest().starts_with('('));
        let (digits, rest) = upper_digits(&self.rest()[bracket..]);
        let rest = if bracket == 1 { rest.strip_prefix(')') } else { Some(rest) };
        if rest.is_some_and(|rest| has_base(digits, rest)) {
            self.at += bracket;
            self.push(Kind::Digits(digits), digits.len());
            self.at += bracket;
            return true;
        }
        let Some((digits, base)) = self.prefixed_digits() else { return false };
        self.at += 2;
        self.push(Kind::Digits(digits), digits.len());
        self.push(Kind::Op('_'), 0);
        self.push(Kind::Text(base), 0);
        true
    }

    /// The digits of `0x1F` and `0b101`, and their base.
    fn prefixed_digits(&self) -> Option<(&'a str, &'static str)> {
        let (base, name) = match self.rest().get(..2)? {
            "0x" => (16, "sixteen"),
            "0b" => (2, "two"),
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
