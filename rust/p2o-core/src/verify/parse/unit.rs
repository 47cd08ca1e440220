//! What stands behind a number and is no factor: units, minutes of an angle, the sign of `\mathbb{R}^+`.

use dashu_ratio::RBig;

use super::Parser;
use super::lex::Kind;
use crate::verify::expr::Expr;
use crate::verify::language::lexicon::{self, Role};
use crate::verify::language::units;
use crate::verify::language::words::Word;

impl Parser<'_, '_> {
    /// The `30° 15'` of an angle that is read so far as `30°`: sixtieths, and sixtieths of those.
    pub(super) fn minutes_behind(&mut self, angle: Option<&Expr>) -> Option<Expr> {
        let Some(Expr::Degrees(degrees)) = angle else { return self.inches_behind(angle) };
        let (mut whole, start) = (degrees.literal_integer().map(RBig::from)?, self.at);
        for (primes, parts) in [(1, 60), (2, 3600)] {
            let Some(Kind::Number(literal)) = self.peek() else { break };
            let part = literal.number.value.clone() / RBig::from(parts);
            let number = self.at;
            self.at += 1;
            if self.degree_or_prime() != Some(primes) {
                self.at = number;
                break;
            }
            whole += part;
        }
        (self.at > start).then(|| Expr::Degrees(Box::new(Expr::rational(whole))))
    }

    /// The `5'6"` of feet and inches that is read so far as `5`.
    fn inches_behind(&mut self, feet: Option<&Expr>) -> Option<Expr> {
        let prime = Some(&Kind::Op('\''));
        let Some(Kind::Number(inches)) = self.peek_at(1) else { return None };
        let signs = [0, 2, 3].iter().all(|&offset| self.peek_at(offset) == prime);
        let feet = feet.filter(|_| signs)?.literal_integer()?;
        let feet = RBig::from(feet) + inches.number.value.clone() / RBig::from(12);
        self.at += 4;
        Some(Expr::Quantity(Box::new(Expr::rational(feet)), "ft".into()))
    }

    /// The positive or the negative numbers of `\mathbb{R}^+`, `\mathbb{R}_{\ge 0}`, `\mathbb{R}_{>0}`.
    pub(super) fn half_of_reals(&mut self, base: &Expr) -> Option<Expr> {
        let whole = matches!(base, Expr::Symbol(name) if matches!(&**name, "N" | "Z"));
        if *base != Expr::Reals && !whole {
            return None;
        }
        let braced = usize::from(self.is_op_at(1, '{'));
        let Some(Kind::Op(sign)) = self.peek_at(1 + braced) else { return None };
        let (above, reached, width) = match (self.peek()?, sign) {
            (Kind::Op('^'), '+' | '-') => (*sign == '+', false, 1),
            // `\mathbb{N}^*`
            (Kind::Op('^'), '*') if whole => (true, false, 1),
            (Kind::Op('_'), '<' | '>' | '≤' | '≥') if self.is_zero(2 + braced) => {
                (matches!(sign, '>' | '≥'), matches!(sign, '≤' | '≥'), 2)
            }
            _ => return None,
        };
        let after = self.peek_at(1 + width + braced);
        if braced == 1 && after != Some(&Kind::Op('}'))
            || braced == 0 && after.is_some_and(|_| self.starts_at(1 + width))
        {
            return None;
        }
        self.at += 1 + width + 2 * braced;
        if whole {
            return (above && !reached).then(|| Expr::Symbol("N_+".into()));
        }
        Some(Expr::half_line(Expr::integer(0), above, reached))
    }

    /// Whether a zero stands at an offset.
    pub(super) fn is_zero(&self, offset: usize) -> bool {
        matches!(self.peek_at(offset), Some(Kind::Number(literal)) if literal.number.value.is_zero())
    }

    /// Whether a number or a symbol stands at an offset.
    pub(super) fn starts_at(&self, offset: usize) -> bool {
        matches!(self.peek_at(offset), Some(Kind::Number(_) | Kind::Symbol(_)))
    }

    /// A unit behind a quantity: `\text{ cm}^2`, `\mathrm{~m} / \mathrm{s}`, `\mathrm{kJ\,mol^{-1}}`, `hours`. Only at the end
    /// of a term.
    pub(super) fn unit(&mut self) -> Option<String> {
        let start = self.at;
        let found = self.unit_parts();
        if found.is_none() {
            self.at = start;
        }
        found.map(|parts| parts.map_or(String::new(), |parts| units::product(&parts)))
    }

    /// The `/ \text{hour}` behind an amount of money.
    pub(super) fn rate(&mut self) -> Option<String> {
        let known = matches!(self.peek_at(1), Some(Kind::Text(words)) if units::spelled(words).is_some());
        if self.currency.is_some() && self.is_op('/') && known { self.unit() } else { None }
    }

    /// Whether a part of a quantity in a smaller unit of the same kind is next: the "30 minutes" or "and 30 minutes" behind
    /// "1 hour". The "and" is passed over.
    pub(super) fn continues_quantity(&mut self, whole: &Expr) -> bool {
        let Expr::Quantity(_, unit) = whole else { return false };
        let joint = usize::from(self.peek() == Some(&Kind::Word(Word::And)));
        let (Some(Kind::Number(_)), Some(Kind::Text(words))) = (self.peek_at(joint), self.peek_at(joint + 1))
        else {
            return false;
        };
        let part = units::spelled(words.trim_end_matches('.'));
        let size = part.and_then(|part| units::conversion(&part, unit));
        let smaller = size.is_some_and(|size| size < RBig::ONE);
        self.at += if smaller { joint } else { 0 };
        smaller
    }

    /// A unit in a group of its own: what `\mathrm{kJ\,mol^{-1}}` leaves of its font.
    pub(super) fn braced_unit(&mut self) -> Option<String> {
        let start = self.at;
        if !self.is_op('{') || !matches!(self.peek_at(1), Some(Kind::Text(_))) {
            return None;
        }
        self.at += 1;
        let unit = self.unit().filter(|unit| !unit.is_empty());
        if unit.is_none() || !self.take_op('}') {
            self.at = start;
            return None;
        }
        unit
    }

    /// The units of a product with their exponents; none inside if one of them is not known.
    #[expect(clippy::option_option, reason = "no unit, and a unit that is not known, are two things")]
    fn unit_parts(&mut self) -> Option<Option<Vec<(String, i64)>>> {
        let mut parts: Vec<(String, i64)> = Vec::new();
        let (mut known, mut any, mut sign) = (true, false, 1);
        loop {
            match self.peek() {
                Some(Kind::Text(words)) => {
                    let name = words.trim_end_matches(['.', '²', '³']).trim();
                    // "8개 이상"
                    let bound = any && lexicon::contains_any(name, &[Role::Bound, Role::Denial]);
                    if bound || name.len() == 1 && units::spelled(name).is_none() {
                        return None;
                    }
                    match units::spelled(name) {
                        Some(unit) => parts.extend(units::parts(&unit, sign)),
                        None => known = false,
                    }
                    (any, sign) = (true, 1);
                    self.at += 1;
                }
                Some(Kind::Op('^')) if any => {
                    self.at += 1;
                    let exponent = self.exponent().ok()?.literal_integer();
                    match (exponent.and_then(|power| i64::try_from(power).ok()), parts.last_mut()) {
                        (Some(power), Some((_, exponent))) => *exponent = exponent.saturating_mul(power),
                        _ => known = false,
                    }
                }
                Some(Kind::Symbol(letter)) if sign != 1 && units::normal(letter).is_some() => {
                    parts.push((units::normal(letter)?.to_string(), sign));
                    (any, sign) = (true, 1);
                    self.at += 1;
                }
                Some(Kind::Op('/')) if matches!(self.peek_at(1), Some(Kind::Symbol(letter)) if units::normal(letter).is_some()) =>
                {
                    sign = -1;
                    self.at += 1;
                }
                Some(Kind::Op(joint @ ('/' | '*'))) if matches!(self.peek_at(1), Some(Kind::Text(_))) => {
                    sign = if *joint == '/' { -1 } else { 1 };
                    self.at += 1;
                }
                // "1 hour 30 minutes"
                Some(Kind::Number(_)) if any && known && self.quantity_ahead() => return Some(Some(parts)),
                None
                | Some(
                    Kind::Op(
                        ')' | ']' | '}' | ',' | ';' | '+' | '-' | '=' | '≈' | '≤' | '≥' | '<' | '>' | '*'
                        | '/' | ':' | '…',
                    )
                    | Kind::SetClose
                    | Kind::Word(Word::And | Word::Or)
                    | Kind::NewRow,
                ) => return Some(known.then_some(parts)),
                _ => return None,
            }
        }
    }

    /// Passes over a measure word in brackets.
    pub(super) fn bracketed_unit(&mut self) -> bool {
        let [Some(Kind::Op('(')), Some(Kind::Text(word) | Kind::Symbol(word)), Some(Kind::Op(')'))] =
            [0, 1, 2].map(|offset| self.peek_at(offset))
        else {
            return false;
        };
        let found = word.chars().all(|character| character >= '\u{2e80}');
        self.at += if found { 3 } else { 0 };
        found
    }

    /// Whether a number and a known unit are next.
    pub(super) fn quantity_ahead(&self) -> bool {
        matches!((self.peek(), self.peek_at(1)), (Some(Kind::Number(_)), Some(Kind::Text(words)))
            if units::spelled(words.trim_end_matches('.')).is_some())
    }

    /// The `\Omega`, `\mathrm{k\Omega}`, `\mu\text{C}` behind a number at the end.
    pub(super) fn greek_unit(&mut self, number: Option<&Expr>) -> Option<String> {
        const LONGEST: usize = 6;
        let behind = self.tokens.get(self.at..).filter(|behind| (1..=LONGEST).contains(&behind.len()))?;
        let mut name = String::new();
        for token in behind {
            match &token.kind {
                Kind::Symbol("mu") if name.is_empty() => name.push('μ'),
                Kind::Symbol("Omega") => name.push('Ω'),
                Kind::Symbol(letters) | Kind::Text(letters) => name.push_str(letters),
                Kind::Op('{' | '}') => {}
                _ => return None,
            }
        }
        let greek = name.starts_with('μ') || name.ends_with('Ω');
        if !greek || number.is_none_or(|number| !number.symbols().is_empty()) {
            return None;
        }
        let unit = units::spelled(&name)?;
        self.at = self.tokens.len();
        Some(unit)
    }
}
