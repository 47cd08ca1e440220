//! The point at which expressions are evaluated: what stands for a symbol, an atom and an exponent.

use super::super::exact::small_integer;
use super::field::{Field, Ring};
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
    /// That of `field`.
    pub(super) ring: Ring,
    seed: u64,
    /// An atom stood in for a value with relations of its own.
    pub(super) opaque: bool,
    /// A power of ±1 or ±i has a symbol in its exponent.
    pub(super) periodic: bool,
    pub(super) fuel: &'f mut Fuel,
}

impl<'f> Point<'f> {
    pub(super) fn new(field: Field, seed: u64, fuel: &'f mut Fuel) -> Self {
        Self { field, ring: field.ring, seed, opaque: false, periodic: false, fuel }
    }

    /// The integer a symbol stands for; below 2^60, so that it is the same number as a base and as an exponent.
    pub(super) fn symbol(&self, name: &str) -> u64 {
        (mix_text(self.seed, name) >> 4) | 1 << 32
    }

    pub(super) fn atom(&mut self, key: &[u64]) -> u64 {
        self.opaque = true;
        let state = key.iter().fold(self.seed, |state, &word| mix(state, word));
        (state >> 3) % self.ring.modulus()
    }

    /// The value of an exponent modulo p - 1, where it is an integer by construction.
    pub(super) fn exponent(&mut self, expr: &Expr) -> Result<u64, Halt> {
        self.fuel.spend(3)?;
        let ring = self.ring.exponents();
        match expr {
            Expr::Number(number) if number.value.is_int() => Ok(ring.residue(number.value.numerator())),
            Expr::Symbol(name) => Ok(self.symbol(name)),
            Expr::Add(terms) => terms.iter().try_fold(0, |sum, term| Ok(ring.add(sum, self.exponent(term)?))),
            Expr::Mul(factors) => {
                factors.iter().try_fold(1, |product, factor| Ok(ring.mul(product, self.exponent(factor)?)))
            }
            Expr::Neg(inner) => Ok(ring.negate(self.exponent(inner)?)),
            Expr::Pow(pair) => {
                let count = small_integer(&pair.1, self.fuel)?;
                let count = u64::try_from(count).map_err(|_| Halt::Unsupported)?;
                let base = self.exponent(&pair.0)?;
                self.fuel.spend(60)?;
                Ok(ring.pow(base, count))
            }
            _ => Err(Halt::Unsupported),
        }
    }
}
