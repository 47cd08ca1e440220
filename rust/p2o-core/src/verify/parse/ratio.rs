//! Ratios and times of day: both have a colon.

use super::Parser;
use super::lex::{Kind, Token};
use crate::verify::expr::{Expr, Half};
use crate::verify::fuel::Halt;
use crate::verify::language::units;

impl Parser<'_, '_> {
    /// `a:b`, "a to b", a time of day, or what stands alone.
    pub(super) fn ratio(&mut self) -> Result<Expr, Halt> {
        if let Some(time) = self.time_of_day() {
            return Ok(time);
        }
        let mut first = self.sum()?;
        if self.at_end_of_item() {
            return Ok(first);
        }
        if self.take_command("over") {
            first = Expr::Div(Box::new((first, self.sum()?)));
        }
        let separates = self.is_op(':') && self.colons == 0 || self.to_ahead();
        if !separates || self.peek_at(1).is_none() {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.is_op(':') || self.to_ahead() {
            self.at += 1;
            parts.push(self.sum()?);
        }
        if parts.iter().any(Expr::is_structure) {
            return Err(Halt::Unsupported);
        }
        Ok(Expr::Ratio(parts))
    }

    /// Whether the "to" of "3 to 4" is next.
    pub(super) fn to_ahead(&self) -> bool {
        let number = |offset: usize| matches!(self.tokens.get(offset).map(|token| &token.kind), Some(Kind::Number(literal)) if !literal.number.decimal);
        let to = match self.tokens.get(self.at) {
            Some(Token { kind: Kind::Text("to"), .. }) => true,
            Some(Token { kind: Kind::Op('¶'), start, end, .. }) => &self.text[*start..*end] == "to",
            _ => false,
        };
        to && self.at > 0 && number(self.at - 1) && number(self.at + 1)
    }

    /// `5:30`, `17:05`, "5:30 p.m.": two digits of minutes, and no space around the colon.
    fn time_of_day(&mut self) -> Option<Expr> {
        let number = |offset: usize, most: usize| {
            let token = self.tokens.get(self.at + offset)?;
            let Kind::Number(literal) = &token.kind else { return None };
            let digits = &self.text[token.start..token.end];
            let plain = digits.len() <= most && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !plain || literal.exponent != 0 {
                return None;
            }
            digits.parse::<u8>().ok().map(|value| (value, digits.len()))
        };
        let close = |offset: usize| self.tokens.get(self.at + offset).is_some_and(|token| !token.spaced);
        if self.colons > 0 || !self.is_op_at(1, ':') || !close(1) || !close(2) {
            return None;
        }
        let (hour, _) = number(0, 2)?;
        let (minute, digits) = number(2, 2)?;
        let more = matches!(self.peek_at(3), Some(Kind::Op(':' | '/' | '^' | '!' | '%' | '*' | '.')));
        if hour > 24 || minute > 59 || digits != 2 || more {
            return None;
        }
        self.at += 3;
        let half = match self.peek() {
            Some(Kind::Text(words)) => units::normal(words.trim_end_matches('.')).and_then(Half::named),
            _ => None,
        };
        if half == Some(Half::Am) && hour > 12 {
            self.at -= 3;
            return None;
        }
        self.at += usize::from(half.is_some());
        Some(Expr::Clock { hour, minute, half })
    }
}
