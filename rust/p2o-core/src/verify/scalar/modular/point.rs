//! The point at which expressions are evaluated: what stands for a symbol, an atom and an exponent.

use super::super::exact::small_integer;
use super::field::{Field, residue};
use crate::verify::expr::Expr;
use crate::verify::fuel::{Fuel, Halt};

/// Scrambles a hash state with one more word.
pub(super) fn mix(state: u64, word: u64) -> u64 {
    let mut value = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

pub(super) fn mix_text(state: u64, text: &str) -> u64 {
    text.bytes().fold(mix(state, text.len() as u64), |state, byte| mix(state, u64::from(byte)))
}

/// One evaluation point.
pub(super) struct Point<'f> {
    pub(super) field: Field,
    seed: u64,
    /// An atom stood in for a value with relations of its own.
    pub(super) opaque: bool,
    /// A power of ±1 or ±i has a symbol in its exponent.
    pub(super) periodic: bool,
    pub(super) fuel: &'f mut Fuel,
}

impl<'f> Point<'f> {
    pub(super) fn new(field: Field, seed: u64, fuel: &'f mut Fuel) -> Self {
        Self { field, seed, opaque: false, periodic: false, fuel }
    }

    /// The integer a symbol stands for; below 2^60, so that it is the same number as a base and as an exponent.
    pub(super) fn symbol(&self, name: &str) -> u64 {
        (mix_text(self.seed, name) >> 4) | 1 << 32
    }

    pub(super) fn atom(&mut self, key: &[u64]) -> u64 {
        self.opaque = true;
        let state = key.iter().fold(self.seed, |state, &word| mix(state, word));
        (state >> 3) % self.field.prime()
    }

    /// The value of an exponent modulo p - 1, where it is an integer by construction.
    pub(super) fn exponent(&mut self, expr: &Expr) -> Result<u64, Halt> {
        self.fuel.spend(3)?;
        let order = self.field.prime() - 1;
        let product =
            |left: u64, right: u64| (u128::from(left) * u128::from(right) % u128::from(order)) as u64;
        match expr {
            Expr::Number(number) if number.value.is_int() => Ok(residue(number.value.numerator(), order)),
            Expr::Symbol(name) => Ok(self.symbol(name) % order),
            Expr::Add(terms) => terms.iter().try_fold(0, |sum, term| {
                let term = self.exponent(term)?;
                Ok((sum + term) % order)
            }),
            Expr::Mul(factors) => factors.iter().try_fold(1, |left, factor| {
                let factor = self.exponent(factor)?;
                Ok(product(left, factor))
            }),
            Expr::Neg(inner) => Ok((order - self.exponent(inner)?) % order),
            Expr::Pow(pair) => {
                let count = small_integer(&pair.1, self.fuel)?;
                let mut left = u64::try_from(count).map_err(|_| Halt::Unsupported)?;
                let mut square = self.exponent(&pair.0)?;
                let mut result = 1;
                self.fuel.spend(60)?;
                while left > 0 {
                    if left & 1 == 1 {
                        result = product(result, square);
                    }
                    square = product(square, square);
                    left >>= 1;
                }
                Ok(result)
            }
            _ => Err(Halt::Unsupported),
        }
    }
}
