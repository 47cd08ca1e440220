//! Powers, and the signs behind an atom: exponents, factorials, percent, degrees, primes.

use dashu_ratio::RBig;

use super::lex::Kind;
use super::{Parser, signed};
use crate::verify::expr::{Expr, Function};
use crate::verify::fuel::Halt;
use crate::verify::language::words::Word;
use crate::verify::licence::Licence;

/// Most signs behind one atom; each is a level of the tree.
const POSTFIXES: usize = 8;

impl Parser<'_, '_> {
    /// An atom with its postfix signs and exponents.
    pub(super) fn power(&mut self) -> Result<Expr, Halt> {
        let base = self.nested(Self::atom)?;
        self.power_of(base)
    }

    pub(super) fn power_of(&mut self, base: Expr) -> Result<Expr, Halt> {
        let mut base = self.postfix(base)?;
        for count in 0.. {
            if count == POSTFIXES {
                return Err(Halt::Unsupported);
            }
            if let Some(half) = self.half_of_reals(&base) {
                base = half;
            } else if !self.is_op('^') {
                break;
            } else if let Some(primes) = self.degree_or_prime() {
                base = match primes {
                    0 => Expr::Degrees(Box::new(base)),
                    count => match base {
                        Expr::Symbol(name) => Expr::Symbol(format!("{name}{}", "'".repeat(count)).into()),
                        _ => return Err(Halt::Unsupported),
                    },
                };
            } else {
                self.at += 1;
                let exponent = self.nested_by(4, Self::exponent)?;
                base = match exponent {
                    exponent if matches!(base, Expr::Number(_)) && is_ordinal(&exponent) => {
                        self.note(Licence::OrdinalAsNumber);
                        base
                    }
                    Expr::Symbol(name) if matches!(&*name, "T" | "top") && is_array(&base) => {
                        transposed(base)
                    }
                    exponent => Expr::Pow(Box::new((base, exponent))),
                };
            }
            base = self.postfix(base)?;
        }
        Ok(base)
    }

    /// `!`, `%`, `°`, primes.
    fn postfix(&mut self, mut base: Expr) -> Result<Expr, Halt> {
        for _ in 0..POSTFIXES {
            base = match self.peek() {
                Some(Kind::Op('!')) if self.is_op_at(1, '!') => {
                    self.at += 1;
                    double_factorial(&base).ok_or(Halt::Unsupported)?
                }
                Some(Kind::Op('!')) => Expr::Call(Function::Factorial, vec![base]),
                Some(Kind::Op('%') | Kind::Word(Word::Percent)) => Expr::Percent(Box::new(base)),
                Some(Kind::Op('‰')) => {
                    Expr::Percent(Box::new(Expr::Div(Box::new((base, Expr::integer(10))))))
                }
                Some(Kind::Op('°') | Kind::Word(Word::Degree)) => Expr::Degrees(Box::new(base)),
                Some(Kind::Op('\'')) => match base {
                    Expr::Symbol(name) => Expr::Symbol(format!("{name}'").into()),
                    other => return Ok(other),
                },
                // "20°C": the scale is a unit.
                Some(Kind::Text(scale @ ("C" | "F")) | Kind::Symbol(scale @ ("C" | "F")))
                    if matches!(base, Expr::Degrees(_)) =>
                {
                    Expr::Quantity(Box::new(base), format!("degree {scale}").into())
                }
                _ => return Ok(base),
            };
            self.at += 1;
        }
        Err(Halt::Unsupported)
    }

    /// `^\circ` gives 0, `^{\prime\prime}` and `''` the number of primes; anything else is an exponent.
    pub(super) fn degree_or_prime(&mut self) -> Option<usize> {
        let raised = usize::from(self.is_op('^'));
        let braced = raised == 1 && self.is_op_at(1, '{');
        let first = raised + usize::from(braced);
        let primes = (first..self.tokens.len()).take_while(|&offset| self.is_op_at(offset, '\'')).count();
        let circle = matches!(self.peek_at(first), Some(Kind::Word(Word::Degree) | Kind::Op('°' | '∘')));
        if primes == 0 && !circle {
            return None;
        }
        let after = first + primes.max(1);
        if braced && !self.is_op_at(after, '}') {
            return None;
        }
        self.at += after + usize::from(braced);
        Some(primes)
    }

    /// Whether `^\circ` or `^{\circ}` is next.
    pub(super) fn degree_ahead(&self) -> bool {
        let first = 1 + usize::from(self.is_op_at(1, '{'));
        matches!(self.peek_at(first), Some(Kind::Word(Word::Degree) | Kind::Op('°' | '∘')))
    }

    /// What stands behind `^`: a group, or one atom with its own exponent (`2^3^4` is `2^(3^4)`).
    pub(super) fn exponent(&mut self) -> Result<Expr, Halt> {
        if let Some(Kind::Op(sign @ ('-' | '+'))) = self.peek() {
            let sign = *sign;
            self.at += 1;
            let operand = self.nested_by(4, Self::exponent)?;
            return Ok(signed(sign, operand));
        }
        let base = self.nested(Self::atom)?;
        if self.is_op('^') {
            self.at += 1;
            let exponent = self.nested_by(4, Self::exponent)?;
            return Ok(Expr::Pow(Box::new((base, exponent))));
        }
        Ok(if self.take_op('!') { Expr::Call(Function::Factorial, vec![base]) } else { base })
    }
}

fn is_array(expr: &Expr) -> bool {
    matches!(expr, Expr::Tuple { .. } | Expr::Vector(_) | Expr::Matrix(_))
}

/// Rows as columns; a tuple stands for both.
fn transposed(array: Expr) -> Expr {
    let Expr::Matrix(rows) = array else { return array };
    let width = rows[0].len();
    Expr::Matrix((0..width).map(|column| rows.iter().map(|row| row[column].clone()).collect()).collect())
}

/// `7!! = 7 · 5 · 3 · 1`, of small numbers only.
fn double_factorial(base: &Expr) -> Option<Expr> {
    const LARGEST: i64 = 300;
    let number =
        i64::try_from(base.literal_integer()?).ok().filter(|number| (0..=LARGEST).contains(number))?;
    let product =
        (1..=number).rev().step_by(2).fold(RBig::ONE, |product, factor| product * RBig::from(factor));
    Some(Expr::rational(product))
}

/// The "th" of `4^{th}`, which names the fourth and is no power.
fn is_ordinal(exponent: &Expr) -> bool {
    match exponent {
        Expr::Symbol(ending) => matches!(&**ending, "th" | "st" | "nd" | "rd"),
        Expr::Mul(letters) => {
            matches!(&letters[..], [Expr::Symbol(first), Expr::Symbol(second)]
                if matches!((&**first, &**second), ("t", "h") | ("s", "t") | ("n" | "r", "d")))
        }
        _ => false,
    }
}
