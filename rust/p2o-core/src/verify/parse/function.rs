//! Functions and their arguments: `\sin^2 x`, `\log_2 8`, `\sqrt[3]{2}`, `f(x)`.

use super::Parser;
use super::lex::Kind;
use crate::verify::expr::{Constant, Expr, Function};
use crate::verify::fuel::Halt;
use crate::verify::language::words::Word;
use crate::verify::licence::Licence;

impl Parser<'_, '_> {
    /// A function whose name has just been read.
    pub(super) fn function(&mut self, function: Function) -> Result<Expr, Halt> {
        // `\max = 5`
        if matches!(function, Function::Max | Function::Min) && self.is_op('=') {
            return Ok(Expr::Symbol(if function == Function::Max { "max" } else { "min" }.into()));
        }
        let mut function = function;
        let mut exponent = None;
        if self.take_op('^') {
            let power = self.macro_argument()?;
            if power == Expr::Neg(Box::new(Expr::integer(1))) {
                function = inverse(function).ok_or(Halt::Unsupported)?;
                self.note(Licence::InverseFunction);
            } else {
                exponent = Some(power);
            }
        }
        let arguments = self.arguments()?;
        let arity = match function {
            Function::Binomial | Function::Log | Function::Root => 2..=2,
            Function::Gcd | Function::Lcm | Function::Min | Function::Max => 1..=64,
            _ => 1..=1,
        };
        if !arity.contains(&arguments.len()) {
            return Err(Halt::Unsupported);
        }
        Ok(raised(Expr::Call(function, arguments), exponent))
    }

    /// `cis x`, whose name has just been read: `cos x + i sin x`.
    pub(super) fn cis(&mut self) -> Result<Expr, Halt> {
        let argument = self.arguments()?;
        if argument.len() != 1 {
            return Err(Halt::Unsupported);
        }
        let sine = Expr::Call(Function::Sin, argument.clone());
        let imaginary = Expr::Mul(vec![Expr::Constant(Constant::I), sine]);
        Ok(Expr::Add(vec![Expr::Call(Function::Cos, argument), imaginary]))
    }

    /// `\log`, with its base if one is given; base ten otherwise.
    pub(super) fn logarithm(&mut self) -> Result<Expr, Halt> {
        let name = &self.tokens[self.at - 1];
        let assumed = self.text[name.start..name.end].ends_with("og");
        let mut base = None;
        let mut exponent = None;
        loop {
            if base.is_none() && self.take_op('_') {
                base = Some(self.macro_argument()?);
            } else if exponent.is_none() && self.take_op('^') {
                exponent = Some(self.macro_argument()?);
            } else {
                break;
            }
        }
        let mut arguments = self.arguments()?;
        let argument = arguments.pop().ok_or(Halt::Unsupported)?;
        if let Some(first) = arguments.pop() {
            // log(x, base) as programming languages write it.
            if base.is_some() || !arguments.is_empty() {
                return Err(Halt::Unsupported);
            }
            return Ok(Expr::Call(Function::Log, vec![argument, first]));
        }
        if base.is_none() && assumed {
            self.note(Licence::LogBaseTen);
        }
        let base = base.unwrap_or_else(|| Expr::integer(10));
        Ok(raised(Expr::Call(Function::Log, vec![base, argument]), exponent))
    }

    /// The arguments of a function: a bracketed list, or the product that follows.
    fn arguments(&mut self) -> Result<Vec<Expr>, Halt> {
        match self.peek() {
            Some(Kind::Op('(' | '{' | '[') | Kind::SetOpen) => {
                let inner = self.nested(Self::atom)?;
                Ok(match inner {
                    Expr::Tuple { items, .. } | Expr::Set(items) => items,
                    other => vec![other],
                })
            }
            Some(Kind::Op('-')) => {
                self.at += 1;
                let operand = self.arguments()?.pop().ok_or(Halt::Unsupported)?;
                Ok(vec![Expr::Neg(Box::new(operand))])
            }
            _ => Ok(vec![self.bare_argument()?]),
        }
    }

    /// The `12`, C and `5` of `{}_{12}C_5` and `^{12}P_5`, from its first script on.
    pub(super) fn scripts_in_front(&mut self) -> Result<Expr, Halt> {
        self.at += 1;
        let all = self.macro_argument()?;
        let counts = match self.peek() {
            Some(Kind::Symbol("C") | Kind::Text("C")) => combinations,
            Some(Kind::Symbol("P") | Kind::Text("P")) => permutations,
            _ => return Err(Halt::Unsupported),
        };
        self.at += 1;
        self.expect_op('_')?;
        Ok(counts(all, self.macro_argument()?))
    }

    /// `\sin 2 \pi x`: factors up to an operator, a bracket or another function.
    fn bare_argument(&mut self) -> Result<Expr, Halt> {
        let mut factors = vec![self.power()?];
        while self.starts_factor() {
            self.fuel.spend(2)?;
            match self.peek() {
                Some(Kind::Op(_) | Kind::Word(Word::Function(_) | Word::Log)) => break,
                Some(Kind::Number(_)) if matches!(factors.last(), Some(Expr::Number(_))) => break,
                _ => factors.push(self.power()?),
            }
        }
        Ok(if factors.len() == 1 { factors.swap_remove(0) } else { Expr::Mul(factors) })
    }

    /// `\sqrt` or `\cbrt` after its name: an optional index, then the radicand.
    pub(super) fn root(&mut self, index: i64, whole_number: bool) -> Result<Expr, Halt> {
        let mut index = Expr::integer(index);
        if self.take_op('[') {
            index = self.sum()?;
            self.expect_op(']')?;
        }
        let radicand = match self.peek() {
            Some(Kind::Op('(')) => self.nested(Self::atom)?,
            Some(Kind::Number(_)) if whole_number => self.nested(Self::atom)?,
            _ => self.macro_argument()?,
        };
        Ok(Expr::Call(Function::Root, vec![index, radicand]))
    }

    /// One argument of a LaTeX macro: a group, or a single token (a single digit of a number).
    pub(super) fn macro_argument(&mut self) -> Result<Expr, Halt> {
        match self.peek() {
            Some(Kind::Op('-')) => {
                self.at += 1;
                Ok(Expr::Neg(Box::new(self.macro_argument()?)))
            }
            Some(Kind::Number(_)) => self.digit(),
            Some(_) => self.nested(Self::atom),
            None => Err(Halt::Unsupported),
        }
    }

    /// The first digit of the number ahead; the rest stays for the next argument.
    fn digit(&mut self) -> Result<Expr, Halt> {
        let token = &mut self.tokens[self.at];
        let written = &self.text[token.start..token.end];
        if written.len() <= 1 || !written.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.atom();
        }
        let value = i64::from(written.as_bytes()[0] - b'0');
        token.start += 1;
        token.spaced = false;
        let rest = &self.text[token.start..token.end];
        let literal = crate::verify::parse::lex::number::literal(rest, false).ok_or(Halt::Unsupported)?;
        token.kind = Kind::Number(literal);
        Ok(Expr::integer(value))
    }
}

/// `\sin^2 x`: a call to the power that stood behind its name.
fn raised(call: Expr, exponent: Option<Expr>) -> Expr {
    match exponent {
        Some(exponent) => Expr::Pow(Box::new((call, exponent))),
        None => call,
    }
}

fn inverse(function: Function) -> Option<Function> {
    Some(match function {
        Function::Sin => Function::Arcsin,
        Function::Cos => Function::Arccos,
        Function::Tan => Function::Arctan,
        Function::Cot => Function::Arccot,
        Function::Sinh => Function::Arcsinh,
        Function::Cosh => Function::Arccosh,
        Function::Tanh => Function::Arctanh,
        _ => return None,
    })
}

/// `n` choose `k`.
pub(crate) fn combinations(n: Expr, k: Expr) -> Expr {
    Expr::Call(Function::Binomial, vec![n, k])
}

/// The number of sequences of `k` out of `n`.
pub(crate) fn permutations(n: Expr, k: Expr) -> Expr {
    let orders = Expr::Call(Function::Factorial, vec![k.clone()]);
    Expr::Mul(vec![combinations(n, k), orders])
}
