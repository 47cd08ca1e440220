//! Products and quotients, and what may follow a factor: units, words, the fraction of a mixed number.

use dashu_ratio::RBig;

use super::lex::Kind;
use super::{Parser, signed};
use crate::verify::expr::Expr;
use crate::verify::fuel::Halt;
use crate::verify::language::words::Word;
use crate::verify::language::{behind, english, numerals, statement, units};
use crate::verify::licence::Licence;

impl Parser<'_, '_> {
    /// Factors joined by `*`, `/` or nothing.
    pub(super) fn product(&mut self) -> Result<Expr, Halt> {
        let sign = match self.peek() {
            Some(Kind::Op(sign @ ('-' | '+' | '±' | '∓'))) => Some(*sign),
            Some(Kind::Text("negative" | "minus" | "Negative" | "Minus")) => Some('-'),
            Some(Kind::Text("positive" | "plus")) => Some('+'),
            _ => None,
        };
        if let Some(sign) = sign {
            self.at += 1;
            let operand = self.nested(Self::product)?;
            return Ok(signed(sign, operand));
        }
        let outer = self.currency.take();
        let first = self.first_factor()?;
        let product = if self.at_end_of_item() { first } else { self.factors(first)? };
        Ok(match std::mem::replace(&mut self.currency, outer) {
            Some(currency) => in_currency(product, currency),
            None => product,
        })
    }

    fn factors(&mut self, first: Expr) -> Result<Expr, Halt> {
        // `a / b c / d` is `(a c) / (b d)`: one level of the tree however long the chain.
        let mut factors = vec![first];
        let mut divisors = Vec::new();
        let mut has_unit = false;
        loop {
            self.fuel.spend(2)?;
            if self.take_op('*') || self.scientific_cross() {
                factors.push(self.signed_factor()?);
            } else if let Some(unit) = self.rate() {
                let amount = quotient(factors, std::mem::take(&mut divisors));
                factors = vec![Expr::Quantity(Box::new(amount), unit.into())];
                has_unit = true;
            } else if self.take_op('/') {
                divisors.push(self.signed_factor()?);
            } else if self.to_ahead()
                || has_unit && self.quantity_ahead()
                || self.is_op('(') && matches!(factors[..], [Expr::Tuple { .. }])
            {
                break;
            } else if let Some(unit) =
                self.greek_unit(factors.last()).or_else(|| if has_unit { None } else { self.braced_unit() })
            {
                let quantity = quotient(factors, std::mem::take(&mut divisors));
                factors = vec![Expr::Quantity(Box::new(quantity), unit.into())];
                has_unit = true;
            } else if let ([.., Expr::Number(_)], true) = (&factors[..], self.bracketed_unit()) {
                // `12 (个)`
                has_unit = true;
            } else if let Some(minutes) = self.minutes_behind(factors.last()) {
                factors.pop();
                factors.push(minutes);
            } else if let (Some(Kind::Text("out of")), Some(Kind::Number(_)), [Expr::Number(_)]) =
                (self.peek(), self.peek_at(1), &factors[..])
            {
                self.at += 1;
                divisors.push(self.power()?);
            } else if matches!(self.peek(), Some(Kind::Text(words)) if english::relation(words).is_some()) {
                break;
            } else if let Some(Kind::Text(words)) = self.peek() {
                let words = *words;
                if let (Some(part), Some(Expr::Number(_))) = (numerals::added_fraction(words), factors.last())
                {
                    self.at += 1;
                    let whole = collapse(factors);
                    factors = vec![Expr::Add(vec![whole, Expr::rational(part)])];
                    continue;
                }
                // "for all x" is about the relation that it ends, not about its last factor.
                let about_symbol = matches!(self.peek_at(1), Some(Kind::Symbol(_))) || self.bound_at(1);
                if about_symbol && english::opens_condition(words)
                    || matches!(factors[..], [Expr::Symbol(_)]) && english::says_integer(words)
                {
                    break;
                }
                // "the 17th prime"
                if matches!(words, "th" | "st" | "nd" | "rd")
                    && matches!(self.peek_at(1), Some(Kind::Text(_)))
                {
                    return Err(Halt::Unsupported);
                }
                let unscaled = numerals::scaled(words).map_or(words, |(_, rest)| rest);
                if behind::changes_value(unscaled) && units::spelled(words).is_none() {
                    return Err(Halt::Unsupported);
                }
                if let (Some((scale, rest)), Some(Expr::Number(_))) =
                    (numerals::scaled(words), factors.last())
                {
                    factors.push(Expr::integer(scale));
                    self.at += 1;
                    if !rest.is_empty() {
                        let quantity = quotient(factors, std::mem::take(&mut divisors));
                        let unit = units::normal(rest).unwrap_or("");
                        factors = vec![Expr::Quantity(Box::new(quantity), unit.into())];
                        has_unit = true;
                    }
                    continue;
                }
                match self.unit() {
                    Some(_) if has_unit => return Err(Halt::Unsupported),
                    Some(unit) => {
                        let quantity = quotient(factors, std::mem::take(&mut divisors));
                        factors = vec![Expr::Quantity(Box::new(quantity), unit.into())];
                        has_unit = true;
                    }
                    // What prose separates is no product.
                    None if statement::introduces(words) => return Err(Halt::Unsupported),
                    None => factors.push(self.power()?),
                }
            } else if self.starts_factor()
                && !self.modulus_ahead()
                && !self.membership_ahead()
                && !self.alternative_ahead()
            {
                if let (Some(Kind::Number(_)), Some(Expr::Number(_))) = (self.peek(), factors.last()) {
                    return Err(Halt::Unsupported);
                }
                if !divisors.is_empty() {
                    self.note(Licence::SlashBeforeProduct);
                }
                factors.push(self.power()?);
            } else {
                break;
            }
        }
        Ok(quotient(factors, divisors))
    }

    /// The first factor, or the mixed number that it begins.
    pub(super) fn first_factor(&mut self) -> Result<Expr, Halt> {
        if let Some(Kind::Currency(unit)) = self.peek() {
            self.currency = Some(unit);
            self.at += 1;
            return self.signed_factor();
        }
        let fraction_ahead = match self.peek_at(1) {
            Some(Kind::Command("frac" | "dfrac" | "tfrac" | "vulgar")) => true,
            Some(Kind::Number(_)) => self.tokens[self.at + 1].spaced,
            _ => false,
        };
        let Some(Kind::Number(literal)) = self.peek().filter(|_| fraction_ahead) else { return self.power() };
        if !literal.number.value.is_int() || literal.number.decimal || literal.exponent != 0 {
            return self.power();
        }
        let whole = literal.number.value.clone();
        let start = self.at;
        let fraction = match self.peek_at(1) {
            Some(Kind::Command(_)) => {
                self.at += 1;
                let fraction = self.nested(Self::atom)?;
                let squared = self.is_op('^') && !self.degree_ahead();
                numeric_fraction(&fraction).filter(|_| !squared)
            }
            _ => self.inline_fraction(),
        };
        if let Some(fraction) = fraction {
            self.note(Licence::MixedNumber);
            return self.power_of(Expr::rational(whole + fraction));
        }
        self.at = start;
        self.power()
    }

    /// The `1/2` of `5 1/2`.
    fn inline_fraction(&mut self) -> Option<RBig> {
        let (Some(Kind::Number(top)), Some(Kind::Op('/')), Some(Kind::Number(bottom))) =
            (self.peek_at(1), self.peek_at(2), self.peek_at(3))
        else {
            return None;
        };
        let (top, bottom) = (&top.number, &bottom.number);
        let plain = top.value.is_int() && bottom.value.is_int() && !top.decimal && !bottom.decimal;
        if !plain || bottom.value.is_zero() || top.value >= bottom.value {
            return None;
        }
        let fraction = top.value.clone() / bottom.value.clone();
        self.at += 4;
        Some(fraction)
    }

    /// The `x` of `4.5 x 10^33`.
    fn scientific_cross(&mut self) -> bool {
        let cross = matches!(self.peek(), Some(Kind::Symbol("x")))
            && matches!(self.tokens[self.at - 1].kind, Kind::Number(_))
            && matches!(self.peek_at(1), Some(Kind::Number(literal)) if literal.number.value == RBig::from(10))
            && matches!(self.peek_at(2), Some(Kind::Op('^')));
        self.at += usize::from(cross);
        cross
    }

    pub(super) fn signed_factor(&mut self) -> Result<Expr, Halt> {
        if let Some(Kind::Op(sign @ ('-' | '+' | '±' | '∓'))) = self.peek() {
            let sign = *sign;
            self.at += 1;
            let operand = self.nested(Self::signed_factor)?;
            return Ok(signed(sign, operand));
        }
        self.first_factor()
    }

    /// Whether the next token can begin a factor that is multiplied by juxtaposition.
    pub(super) fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(
                Kind::Number(_) | Kind::Digits(_) | Kind::Symbol(_) | Kind::Currency(_) | Kind::Op('(' | '{'),
            ) => true,
            Some(Kind::Word(word)) => matches!(
                word,
                Word::Function(_)
                    | Word::Log
                    | Word::SquareRoot
                    | Word::CubeRoot
                    | Word::Pi
                    | Word::Infinity
                    | Word::Cis
            ),
            // The last bracket of `[2, 5[` opens nothing.
            Some(Kind::Op('[')) => !self.reversed && self.starts_at(1),
            Some(Kind::Op('|')) => self.bars == 0,
            // What closes a bracket or joins two things begins none.
            Some(Kind::Command(name)) => !matches!(
                *name,
                "choose"
                    | "over"
                    | "end"
                    | "rfloor"
                    | "rceil"
                    | "rangle"
                    | "langle"
                    | "forall"
                    | "boxed"
                    | "fbox"
            ),
            _ => false,
        }
    }
}

/// An amount of money, whose unit so far may be a rate: `\$15 \text{ per hour}`.
fn in_currency(amount: Expr, currency: &str) -> Expr {
    match amount {
        Expr::Quantity(inner, unit) if *unit == *currency => Expr::Quantity(inner, unit),
        Expr::Quantity(inner, rate) if rate.is_empty() || rate.starts_with('/') => {
            Expr::Quantity(inner, format!("{currency}{rate}").into())
        }
        // "\$5 cents" is neither.
        Expr::Quantity(inner, unit) => Expr::Quantity(inner, format!("{currency}·{unit}").into()),
        plain => Expr::Quantity(Box::new(plain), currency.into()),
    }
}

fn quotient(factors: Vec<Expr>, divisors: Vec<Expr>) -> Expr {
    let dividend = collapse(factors);
    if divisors.is_empty() { dividend } else { Expr::Div(Box::new((dividend, collapse(divisors)))) }
}

fn collapse(mut factors: Vec<Expr>) -> Expr {
    if factors.len() == 1 { factors.swap_remove(0) } else { Expr::Mul(factors) }
}

/// The value of a fraction of two integer literals.
fn numeric_fraction(expr: &Expr) -> Option<RBig> {
    let Expr::Div(pair) = expr else { return None };
    let (Expr::Number(top), Expr::Number(bottom)) = (&pair.0, &pair.1) else { return None };
    let plain = top.value.is_int() && bottom.value.is_int() && !top.decimal && !bottom.decimal;
    (plain && !bottom.value.is_zero()).then(|| top.value.clone() / bottom.value.clone())
}
