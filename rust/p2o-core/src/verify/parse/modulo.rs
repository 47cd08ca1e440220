//! Residue classes: `5 \pmod 7`, `5 (mod 7)`, `12 \bmod 7`.

use dashu_int::IBig;
use dashu_int::ops::RemEuclid;
use dashu_ratio::RBig;

use super::Parser;
use super::lex::Kind;
use crate::verify::expr::Expr;
use crate::verify::fuel::Halt;
use crate::verify::language::words::Word;

impl Parser<'_, '_> {
    /// Whether `\pmod` or `(mod` is next.
    pub(super) fn modulus_ahead(&self) -> bool {
        let offset = usize::from(self.is_op('('));
        self.peek_at(offset) == Some(&Kind::Word(Word::Modulo))
    }

    /// The residue of what has been read by the modulus ahead. It is a quantity whose unit is the modulus: left out, it is
    /// not missed, and another one is another answer.
    pub(super) fn modulo(&mut self, dividend: Expr) -> Result<Expr, Halt> {
        let parenthesised = self.take_op('(');
        self.at += 1;
        let modulus = match self.nested(Self::atom)?.literal_integer() {
            Some(modulus) if modulus > IBig::ZERO => modulus,
            _ => return Err(Halt::Unsupported),
        };
        if parenthesised {
            self.expect_op(')')?;
        }
        let residue = match dividend.literal_integer() {
            Some(value) => Expr::rational(RBig::from(value.rem_euclid(&modulus))),
            None => dividend,
        };
        Ok(Expr::Quantity(Box::new(residue), format!("mod {modulus}").into()))
    }
}
