//! Identity testing by evaluation at random points modulo a prime (Schwartz 1980, Zippel 1979).
//!
//! Symbols take pseudo-random integer values; π, e and every function of an argument take a pseudo-random value that
//! depends on the function and on the argument's value, so equal arguments give equal atoms without any normal form.
//! A difference of zero modulo two 61-bit primes means equality with overwhelming probability: a polynomial of degree
//! d vanishes by chance with probability at most d/p per prime. A difference that is not zero is a proof of inequality
//! only if no such atom occurred, because atoms hide relations (sin² + cos² = 1).

mod field;
mod turns;

use super::exact::{exact, small_integer};
use crate::verify::expr::{Constant, Expr, Function};
use crate::verify::fuel::{Fuel, Halt};
use field::{FIELDS, Field, Ring};
use turns::trigonometric;

const LARGEST_FACTORIAL: i64 = 200_000;

/// Points at which powers of ±1 and ±i with symbols in their exponents are compared. Of such an exponent only the
/// remainder by four counts, and `(-1)^n` is 1 at every other point.
const POINTS_OF_PERIODIC: u64 = 32;

/// Whether two expressions are equal at one pseudo-random point in each field, or at more where a value is periodic.
/// Unsupported where a difference of atoms proves nothing.
pub(crate) fn identity(left: &Expr, right: &Expr, fuel: &mut Fuel) -> Result<bool, Halt> {
    let (mut opaque, mut periodic) = (false, false);
    for (round, field) in (0..POINTS_OF_PERIODIC).zip(FIELDS.into_iter().cycle()) {
        if round as usize >= FIELDS.len() && !periodic {
            break;
        }
        let mut point = Point::new(field, 0x5bd1_e995_9d1b_58a5 + round, fuel);
        let same = point.value(left)? == point.value(right)?;
        opaque |= point.opaque;
        periodic |= point.periodic;
        if !same {
            return if opaque { Err(Halt::Unsupported) } else { Ok(false) };
        }
    }
    Ok(true)
}

/// A fingerprint of an expression's value: equal expressions have equal ones, up to relations between atoms. None of
/// what one point cannot tell apart.
pub(crate) fn fingerprint(expr: &Expr, fuel: &mut Fuel) -> Option<u64> {
    let mut point = Point::new(FIELDS[0], 1, fuel);
    point.value(expr).ok().filter(|_| !point.periodic)
}

/// Scrambles a hash state with one more word.
fn mix(state: u64, word: u64) -> u64 {
    let mut value = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn mix_text(state: u64, text: &str) -> u64 {
    text.bytes().fold(mix(state, text.len() as u64), |state, byte| mix(state, u64::from(byte)))
}

/// One evaluation point.
struct Point<'f> {
    field: Field,
    /// That of `field`.
    ring: Ring,
    seed: u64,
    /// An atom stood in for a value with relations of its own.
    opaque: bool,
    /// A power of ±1 or ±i has a symbol in its exponent.
    periodic: bool,
    fuel: &'f mut Fuel,
}

impl<'f> Point<'f> {
    fn new(field: Field, seed: u64, fuel: &'f mut Fuel) -> Self {
        Self { field, ring: field.ring, seed, opaque: false, periodic: false, fuel }
    }

    /// The integer a symbol stands for; below 2^60, so that it is the same number as a base and as an exponent.
    fn symbol(&self, name: &str) -> u64 {
        (mix_text(self.seed, name) >> 4) | 1 << 32
    }

    fn atom(&mut self, key: &[u64]) -> u64 {
        self.opaque = true;
        let state = key.iter().fold(self.seed, |state, &word| mix(state, word));
        (state >> 3) % self.ring.modulus()
    }

    /// The value of an exponent modulo p - 1, where it is an integer by construction.
    fn exponent(&mut self, expr: &Expr) -> Result<u64, Halt> {
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

    fn value(&mut self, expr: &Expr) -> Result<u64, Halt> {
        self.fuel.spend(3)?;
        let ring = self.ring;
        match expr {
            Expr::Number(number) => ring.rational(&number.value),
            Expr::Symbol(name) => Ok(self.symbol(name)),
            Expr::Constant(Constant::I) => Ok(self.field.root),
            Expr::Constant(Constant::Infinity) => Err(Halt::Unsupported),
            Expr::Constant(constant) => Ok(self.atom(&[1, *constant as u64])),
            Expr::Add(terms) => terms.iter().try_fold(0, |sum, term| Ok(ring.add(sum, self.value(term)?))),
            Expr::Mul(factors) => {
                factors.iter().try_fold(1, |product, factor| Ok(ring.mul(product, self.value(factor)?)))
            }
            Expr::Neg(inner) => Ok(ring.negate(self.value(inner)?)),
            Expr::Div(pair) => {
                let divisor = self.value(&pair.1)?;
                let dividend = self.value(&pair.0)?;
                self.fuel.spend(40)?;
                Ok(ring.mul(dividend, ring.inverse(divisor)?))
            }
            Expr::Pow(pair) => self.power(&pair.0, &pair.1),
            Expr::Call(function, arguments) => self.call(*function, arguments),
            Expr::Apply(name, arguments) => {
                let mut state = mix_text(2, name);
                for argument in arguments {
                    state = mix(state, self.value(argument)?);
                }
                Ok(self.atom(&[3, state]))
            }
            _ => Err(Halt::Unsupported),
        }
    }

    fn power(&mut self, base: &Expr, exponent: &Expr) -> Result<u64, Halt> {
        let ring = self.ring;
        self.fuel.spend(40)?;
        if let Ok(count) = small_integer(exponent, self.fuel) {
            let base = self.value(base)?;
            let positive = ring.pow(base, count.unsigned_abs() % (ring.modulus() - 1));
            return match (count, base) {
                (_, 0) if count <= 0 => Err(Halt::Undefined),
                (_, 0) => Ok(0),
                _ if count < 0 => ring.inverse(positive),
                _ => Ok(positive),
            };
        }
        let base_value = self.value(base)?;
        match self.exponent(exponent) {
            Ok(_) if base_value == 0 => Err(Halt::Undefined),
            Ok(count) => {
                self.periodic |= ring.pow(base_value, 4) == 1;
                Ok(ring.pow(base_value, count))
            }
            Err(Halt::Exhausted) => Err(Halt::Exhausted),
            Err(_) => {
                let exponent = self.value(exponent)?;
                Ok(self.atom(&[4, base_value, exponent]))
            }
        }
    }

    fn call(&mut self, function: Function, arguments: &[Expr]) -> Result<u64, Halt> {
        let ring = self.ring;
        if function == Function::Factorial
            && let Ok(count) = small_integer(&arguments[0], self.fuel)
        {
            if !(0..=LARGEST_FACTORIAL).contains(&count) {
                return Err(Halt::Unsupported);
            }
            self.fuel.spend(count as u64 / 2)?;
            return Ok((2..=count as u64).fold(1, |product, factor| ring.mul(product, factor)));
        }
        if let Ok(value) = trigonometric(self, function, &arguments[0]) {
            return Ok(value);
        }
        if function == Function::Exp {
            return self.power(&Expr::Constant(Constant::E), &arguments[0]);
        }
        if let Ok(value) = exact(&Expr::Call(function, arguments.to_vec()), self.fuel)
            && value.is_real()
        {
            return ring.rational(&value.re);
        }
        let mut state = mix(5, function as u64);
        for argument in arguments {
            state = mix(state, self.value(argument)?);
        }
        Ok(self.atom(&[6, state]))
    }
}
