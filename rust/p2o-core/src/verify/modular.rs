//! Identity testing by evaluation at random points modulo a prime (Schwartz 1980, Zippel 1979).
//!
//! Symbols take pseudo-random integer values; π, e and every function of an argument take a pseudo-random value that
//! depends on the function and on the argument's value, so equal arguments give equal atoms without any normal form.
//! A difference of zero modulo two 61-bit primes means equality with overwhelming probability: a polynomial of degree
//! d vanishes by chance with probability at most d/p per prime. A difference that is not zero is a proof of inequality
//! only if no such atom occurred, because atoms hide relations (sin² + cos² = 1).

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::exact::{exact, small_integer};
use super::expr::{Constant, Expr, Function};
use super::fuel::{Fuel, Halt};

/// 2^61 - 31 and 2^61 - 259, both 1 modulo 4 so that -1 has a square root.
const FIELDS: [Field; 2] =
    [Field { gap: 31, root: ROOT_31, base: 14 }, Field { gap: 259, root: ROOT_259, base: 2 }];
const ROOT_31: u64 = 583_529_827_753_931_384;
const ROOT_259: u64 = 966_685_122_347_009_555;
const LARGEST_FACTORIAL: i64 = 200_000;

/// What the difference of two expressions told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Equal,
    Different,
    Unknown,
}

/// Points at which powers of ±1 and ±i with symbols in their exponents are compared. Of such an exponent only the
/// remainder by four counts, and `(-1)^n` is 1 at every other point.
const POINTS_OF_PERIODIC: u64 = 32;

/// Compares two expressions at one pseudo-random point in each field, or at more where a value is periodic.
pub(crate) fn identity(left: &Expr, right: &Expr, fuel: &mut Fuel) -> Result<Identity, Halt> {
    let (mut opaque, mut periodic) = (false, false);
    for (round, field) in (0..POINTS_OF_PERIODIC).zip(FIELDS.into_iter().cycle()) {
        if round as usize >= FIELDS.len() && !periodic {
            break;
        }
        let mut point = Point::new(field, 0x5bd1_e995_9d1b_58a5 + round, fuel);
        let values = point.value(left).and_then(|left| Ok((left, point.value(right)?)));
        let (left, right) = match values {
            Ok(values) => values,
            Err(Halt::Exhausted) => return Err(Halt::Exhausted),
            Err(_) => return Ok(Identity::Unknown),
        };
        opaque |= point.opaque;
        periodic |= point.periodic;
        if left != right {
            return Ok(if opaque { Identity::Unknown } else { Identity::Different });
        }
    }
    Ok(Identity::Equal)
}

/// A fingerprint of an expression's value: equal expressions have equal ones, up to relations between atoms. None of
/// what one point cannot tell apart.
pub(crate) fn fingerprint(expr: &Expr, fuel: &mut Fuel) -> Option<u64> {
    let mut point = Point::new(FIELDS[0], 1, fuel);
    point.value(expr).ok().filter(|_| !point.periodic)
}

/// The prime field of 2^61 - gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    gap: u64,
    /// A square root of -1: `base` to the power (p - 1) / 4.
    pub(super) root: u64,
    /// A number that is neither a square nor a cube, so that its power (p - 1) / 2 is -1 and (p - 1) / 3 is not 1.
    pub(super) base: u64,
}

impl Field {
    pub(super) fn prime(self) -> u64 {
        (1 << 61) - self.gap
    }

    fn reduce(self, value: u128) -> u64 {
        const MASK: u128 = (1 << 61) - 1;
        let folded = (value & MASK) + (value >> 61) * u128::from(self.gap);
        let folded = (folded & MASK) + (folded >> 61) * u128::from(self.gap);
        let mut result = folded as u64;
        while result >= self.prime() {
            result -= self.prime();
        }
        result
    }

    pub(super) fn add(self, left: u64, right: u64) -> u64 {
        let sum = left + right;
        if sum >= self.prime() { sum - self.prime() } else { sum }
    }

    pub(super) fn negate(self, value: u64) -> u64 {
        if value == 0 { 0 } else { self.prime() - value }
    }

    pub(super) fn mul(self, left: u64, right: u64) -> u64 {
        self.reduce(u128::from(left) * u128::from(right))
    }

    pub(super) fn pow(self, base: u64, mut exponent: u64) -> u64 {
        let (mut result, mut square) = (1, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, square);
            }
            square = self.mul(square, square);
            exponent >>= 1;
        }
        result
    }

    pub(super) fn inverse(self, value: u64) -> Result<u64, Halt> {
        if value == 0 { Err(Halt::Undefined) } else { Ok(self.pow(value, self.prime() - 2)) }
    }

    fn rational(self, value: &RBig) -> Result<u64, Halt> {
        let top = residue(value.numerator(), self.prime());
        if value.is_int() {
            return Ok(top);
        }
        let bottom = residue(&IBig::from(value.denominator().clone()), self.prime());
        Ok(self.mul(top, self.inverse(bottom)?))
    }
}

pub(super) fn residue(value: &IBig, modulus: u64) -> u64 {
    if let Ok(small) = i64::try_from(value) {
        return small.rem_euclid(modulus.cast_signed()) as u64;
    }
    let (sign, magnitude) = value.clone().into_parts();
    let rest = u64::try_from(magnitude % UBig::from(modulus)).unwrap_or(0);
    if sign == dashu_base::Sign::Negative && rest != 0 { modulus - rest } else { rest }
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
pub(super) struct Point<'f> {
    pub(super) field: Field,
    seed: u64,
    /// An atom stood in for a value with relations of its own.
    pub(super) opaque: bool,
    /// A power of ±1 or ±i has a symbol in its exponent.
    periodic: bool,
    pub(super) fuel: &'f mut Fuel,
}

impl<'f> Point<'f> {
    fn new(field: Field, seed: u64, fuel: &'f mut Fuel) -> Self {
        Self { field, seed, opaque: false, periodic: false, fuel }
    }

    fn value(&mut self, expr: &Expr) -> Result<u64, Halt> {
        self.fuel.spend(3)?;
        let field = self.field;
        match expr {
            Expr::Number(number) => field.rational(&number.value),
            Expr::Based { value, .. } => field.rational(value),
            Expr::Symbol(name) => Ok(self.symbol(name) % field.prime()),
            Expr::Constant(Constant::I) => Ok(field.root),
            Expr::Constant(Constant::Infinity) => Err(Halt::Unsupported),
            Expr::Constant(constant) => Ok(self.atom(&[1, *constant as u64])),
            Expr::Add(terms) => terms.iter().try_fold(0, |sum, term| Ok(field.add(sum, self.value(term)?))),
            Expr::Mul(factors) => {
                factors.iter().try_fold(1, |product, factor| Ok(field.mul(product, self.value(factor)?)))
            }
            Expr::Neg(inner) => Ok(field.negate(self.value(inner)?)),
            Expr::Quantity(inner, _) => self.value(inner),
            Expr::Percent(inner) => {
                let inner = self.value(inner)?;
                Ok(field.mul(inner, field.inverse(100)?))
            }
            Expr::Degrees(inner) => {
                let inner = self.value(inner)?;
                let pi = self.atom(&[1, Constant::Pi as u64]);
                Ok(field.mul(field.mul(inner, pi), field.inverse(180)?))
            }
            Expr::Div(pair) => {
                let divisor = self.value(&pair.1)?;
                let dividend = self.value(&pair.0)?;
                self.fuel.spend(40)?;
                Ok(field.mul(dividend, field.inverse(divisor)?))
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

    /// The integer a symbol stands for; below 2^60, so that it is the same number as a base and as an exponent.
    fn symbol(&self, name: &str) -> u64 {
        (mix_text(self.seed, name) >> 4) | 1 << 32
    }

    fn atom(&mut self, key: &[u64]) -> u64 {
        self.opaque = true;
        let state = key.iter().fold(self.seed, |state, &word| mix(state, word));
        (state >> 3) % self.field.prime()
    }

    fn power(&mut self, base: &Expr, exponent: &Expr) -> Result<u64, Halt> {
        let field = self.field;
        self.fuel.spend(40)?;
        if let Ok(count) = small_integer(exponent, self.fuel) {
            let base = self.value(base)?;
            let positive = field.pow(base, count.unsigned_abs() % (field.prime() - 1));
            return match (count, base) {
                (_, 0) if count <= 0 => Err(Halt::Undefined),
                (_, 0) => Ok(0),
                _ if count < 0 => field.inverse(positive),
                _ => Ok(positive),
            };
        }
        let base_value = self.value(base)?;
        match self.exponent(exponent) {
            Ok(_) if base_value == 0 => Err(Halt::Undefined),
            Ok(count) => {
                self.periodic |= field.pow(base_value, 4) == 1;
                Ok(field.pow(base_value, count))
            }
            Err(Halt::Exhausted) => Err(Halt::Exhausted),
            Err(_) => {
                let exponent = self.value(exponent)?;
                Ok(self.atom(&[4, base_value, exponent]))
            }
        }
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

    fn call(&mut self, function: Function, arguments: &[Expr]) -> Result<u64, Halt> {
        let field = self.field;
        if function == Function::Factorial
            && let Ok(count) = small_integer(&arguments[0], self.fuel)
        {
            if !(0..=LARGEST_FACTORIAL).contains(&count) {
                return Err(Halt::Unsupported);
            }
            self.fuel.spend(count as u64 / 2)?;
            return Ok((2..=count as u64).fold(1, |product, factor| field.mul(product, factor)));
        }
        if let Ok(value) = self.trigonometric(function, &arguments[0]) {
            return Ok(value);
        }
        if function == Function::Exp {
            return self.power(&Expr::Constant(Constant::E), &arguments[0]);
        }
        if let Ok(value) = exact(&Expr::Call(function, arguments.to_vec()), self.fuel)
            && value.is_real()
        {
            return field.rational(&value.re);
        }
        let mut state = mix(5, function as u64);
        for argument in arguments {
            state = mix(state, self.value(argument)?);
        }
        Ok(self.atom(&[6, state]))
    }
}
