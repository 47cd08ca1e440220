//! Balls of any precision. The midpoint is a binary float whose operations are rounded correctly; the radius is kept
//! as its binary logarithm, so that it neither underflows nor costs much.

use std::cmp::Ordering;

use dashu_base::Sign;
use dashu_float::round::{Rounded, mode::HalfEven};
use dashu_float::{Context, FBig, FpError};
use dashu_int::IBig;
use dashu_ratio::RBig;

use super::Real;
use crate::verify::fuel::Halt;

type Float = FBig<HalfEven, 2>;
/// What the library returns.
type Computed = Result<Rounded<Float>, FpError>;

/// Magnitudes outside 2^±262144 are not evaluated: adding 1 to one of them may take that many bits.
const LARGEST_EXPONENT: f64 = 262_144.0;

/// A midpoint and the binary logarithm of a radius (`-inf` for an exact value).
#[derive(Clone, Debug)]
pub(crate) struct Ball {
    mid: Float,
    rad: f64,
    bits: usize,
}

/// An upper bound of log2(2^a + 2^b).
fn log_add(left: f64, right: f64) -> f64 {
    let (large, small) = if left >= right { (left, right) } else { (right, left) };
    if small == f64::NEG_INFINITY {
        return large;
    }
    let sum = large + (small - large).exp2().ln_1p() * std::f64::consts::LOG2_E;
    sum + sum.abs() * 1e-15 + 1e-12
}

/// An upper bound of log2 |value|.
fn magnitude(value: &Float) -> f64 {
    if value.repr().significand().is_zero() {
        return f64::NEG_INFINITY;
    }
    let digits = value.repr().digits_ub() as f64;
    digits + value.repr().exponent() as f64
}

/// A lower bound of log2 |value|.
fn magnitude_below(value: &Float) -> f64 {
    magnitude(value) - 2.0
}

impl Ball {
    /// The binary logarithm of the radius (upper bound).
    pub(crate) fn radius(&self) -> f64 {
        self.rad
    }

    /// The midpoint as a rational number, unless writing it out would be absurd.
    pub(crate) fn midpoint(&self) -> Option<RBig> {
        let (significand, exponent) = (self.mid.repr().significand().clone(), self.mid.repr().exponent());
        let shift = Some(exponent.unsigned_abs()).filter(|&shift| shift < 20_000)?;
        Some(if exponent >= 0 {
            RBig::from(significand << shift)
        } else {
            RBig::from_parts(significand, dashu_int::UBig::ONE << shift)
        })
    }

    /// A correctly rounded result: one unit in its last place joins the propagated radius.
    fn rounded(value: Computed, rad: f64, bits: usize) -> Result<Self, Halt> {
        let value = value.map_err(|error| match error {
            FpError::Indeterminate => Halt::Undefined,
            _ => Halt::Unsupported,
        })?;
        let exact = matches!(value, dashu_base::Approximation::Exact(_));
        let mid = value.value();
        if !mid.repr().is_finite() {
            return Err(Halt::Unsupported);
        }
        let size = magnitude(&mid);
        if size > LARGEST_EXPONENT || size.is_finite() && size < -LARGEST_EXPONENT {
            return Err(Halt::Unsupported);
        }
        let rad = if exact { rad } else { log_add(rad, size - bits as f64 + 1.0) };
        Ok(Self { mid, rad, bits })
    }

    /// The value of an elementary function. It is exact at zero only: what the library calls exact elsewhere is a rounding
    /// of all the digits it worked out (0.6 has atan(3 · 2^-239) = 3 · 2^-239).
    fn elementary(&self, value: Computed, rad: f64) -> Result<Self, Halt> {
        let value = Self::rounded(value, rad, self.bits)?;
        if self.mid.repr().significand().is_zero() {
            return Ok(value);
        }
        let unit = magnitude(&value.mid) - self.bits as f64 + 1.0;
        Ok(Self { rad: log_add(value.rad, unit), ..value })
    }

    fn context(&self) -> Context<HalfEven> {
        Context::new(self.bits)
    }

    fn is_exact(&self) -> bool {
        self.rad == f64::NEG_INFINITY
    }

    /// log2 of an upper bound of |midpoint| where that is too small to show in a function's value beside 1 or beside
    /// itself. A correctly rounded value would take as many digits as the exponent has, to see on which side of the
    /// midpoint it lies.
    fn tiny(&self) -> Option<f64> {
        Some(magnitude(&self.mid)).filter(|&size| size.is_finite() && size < -(self.bits as f64))
    }

    /// The midpoint `mid` with an error of at most 2^error and the radius of this ball.
    fn near(&self, mid: Float, error: f64) -> Self {
        Self { mid, rad: log_add(self.rad, error), bits: self.bits }
    }

    /// log2 of a lower bound of |x| over the ball; none if the ball touches zero.
    fn closest(&self) -> Option<f64> {
        let below = magnitude_below(&self.mid);
        // Half of the magnitude is enough distance to bound every derivative used here.
        (below > self.rad + 2.0).then_some(below - 1.0)
    }

    /// The same of a ball of positive numbers.
    fn closest_positive(&self) -> Result<f64, Halt> {
        let positive = self.sign() == Some(Ordering::Greater);
        self.closest().filter(|_| positive).ok_or(Halt::Unsupported)
    }
}

impl Real for Ball {
    fn cost(bits: usize) -> u64 {
        let words = (bits / 64) as u64;
        10 + words * words / 16
    }

    fn transcendental_cost(bits: usize) -> u64 {
        (bits * bits / 20) as u64
    }

    fn from_rational(value: &RBig, bits: usize) -> Result<Self, Halt> {
        let context = Context::<HalfEven>::new(bits);
        let integer = |value: IBig| Self::rounded(Ok(context.convert_int(value)), f64::NEG_INFINITY, bits);
        let top = integer(value.numerator().clone())?;
        if value.is_int() {
            return Ok(top);
        }
        top.mul(&integer(value.denominator().clone().into())?.recip()?)
    }

    fn pi(bits: usize) -> Self {
        let mid = Context::<HalfEven>::new(bits).pi::<2>(None).value();
        Self { mid, rad: 2.0 - bits as f64 + 1.0, bits }
    }

    fn zero() -> Self {
        Self { mid: Float::ZERO, rad: f64::NEG_INFINITY, bits: 64 }
    }

    fn is_exact_zero(&self) -> bool {
        self.is_exact() && self.mid.repr().significand().is_zero()
    }

    fn add(&self, other: &Self) -> Result<Self, Halt> {
        if self.is_exact_zero() {
            return Ok(other.clone());
        }
        if other.is_exact_zero() {
            return Ok(self.clone());
        }
        let bits = self.bits.max(other.bits);
        let rad = log_add(self.rad, other.rad);
        let sum = Context::<HalfEven>::new(bits).add(self.mid.repr(), other.mid.repr());
        Self::rounded(sum, rad, bits)
    }

    fn mul(&self, other: &Self) -> Result<Self, Halt> {
        if self.is_exact_zero() || other.is_exact_zero() {
            return Ok(Self::zero());
        }
        let bits = self.bits.max(other.bits);
        let crossed = log_add(magnitude(&self.mid) + other.rad, magnitude(&other.mid) + self.rad);
        let rad = log_add(crossed, self.rad + other.rad);
        let product = Context::<HalfEven>::new(bits).mul(self.mid.repr(), other.mid.repr());
        Self::rounded(product, rad, bits)
    }

    fn neg(&self) -> Self {
        Self { mid: -self.mid.clone(), rad: self.rad, bits: self.bits }
    }

    fn recip(&self) -> Result<Self, Halt> {
        if self.is_exact_zero() {
            return Err(Halt::Undefined);
        }
        let closest = self.closest().ok_or(Halt::Unsupported)?;
        let inverse = self.context().div(Float::ONE.repr(), self.mid.repr());
        Self::rounded(inverse, self.rad - 2.0 * closest, self.bits)
    }

    fn sqrt(&self) -> Result<Self, Halt> {
        if self.is_exact_zero() {
            return Ok(self.clone());
        }
        let rad = self.rad - self.closest_positive()? / 2.0;
        Self::rounded(self.context().sqrt(self.mid.repr()), rad, self.bits)
    }

    fn root(&self, index: u32) -> Result<Self, Halt> {
        let closest = self.closest_positive()?;
        let value = self.context().nth_root(index as usize, self.mid.repr());
        let result = Self::rounded(value, f64::NEG_INFINITY, self.bits)?;
        // The relative error shrinks by the index; not shrinking it is still a bound.
        let error = magnitude(&result.mid) + self.rad - closest + 1.0;
        Ok(Self { rad: log_add(result.rad, error), ..result })
    }

    fn exp(&self) -> Result<Self, Halt> {
        if self.rad > 0.0 || magnitude(&self.mid) > 18.0 {
            return Err(Halt::Unsupported);
        }
        if let Some(size) = self.tiny() {
            // |e^x - 1| <= 2|x|, and the derivative is below 2.
            return Ok(Self { rad: self.rad + 1.0, ..self.clone() }.near(Float::ONE, size + 1.0));
        }
        let value = self.context().exp::<2>(self.mid.repr(), None);
        let result = self.elementary(value, f64::NEG_INFINITY)?;
        let error = magnitude(&result.mid) + self.rad + 2.0;
        Ok(Self { rad: log_add(result.rad, error), ..result })
    }

    fn ln(&self) -> Result<Self, Halt> {
        if self.is_exact_zero() {
            return Err(Halt::Undefined);
        }
        let rad = self.rad - self.closest_positive()?;
        self.elementary(self.context().ln::<2>(self.mid.repr(), None), rad)
    }

    fn sin_cos(&self) -> Result<(Self, Self), Halt> {
        // Reducing a huge argument needs as many digits of π as it has bits.
        if magnitude(&self.mid) > 2048.0 {
            return Err(Halt::Unsupported);
        }
        if let Some(size) = self.tiny() {
            // |sin x - x| <= |x|^3 / 6 and |cos x - 1| <= x^2 / 2.
            return Ok((
                self.near(self.mid.clone(), 3.0 * size - 2.0),
                self.near(Float::ONE, 2.0 * size - 1.0),
            ));
        }
        let (sin, cos) = self.context().sin_cos::<2>(self.mid.repr(), None);
        Ok((self.elementary(sin, self.rad)?, self.elementary(cos, self.rad)?))
    }

    fn atan(&self) -> Result<Self, Halt> {
        if let Some(size) = self.tiny() {
            // |atan x - x| <= |x|^3 / 3
            return Ok(self.near(self.mid.clone(), 3.0 * size - 1.0));
        }
        self.elementary(self.context().atan::<2>(self.mid.repr(), None), self.rad)
    }

    fn sign(&self) -> Option<Ordering> {
        if self.is_exact_zero() {
            return Some(Ordering::Equal);
        }
        if magnitude_below(&self.mid) <= self.rad {
            return None;
        }
        Some(if self.mid.repr().sign() == Sign::Negative { Ordering::Less } else { Ordering::Greater })
    }

    fn floor(&self) -> Option<IBig> {
        if magnitude(&self.mid) > 4096.0 {
            return None;
        }
        let floor = self.mid.floor();
        if !self.is_exact() {
            let above = self.mid.clone() - floor.clone();
            let below = Float::ONE - above.clone();
            if magnitude_below(&above) <= self.rad || magnitude_below(&below) <= self.rad {
                return None;
            }
        }
        Some(floor.to_int().value())
    }

    fn magnitude(&self) -> f64 {
        log_add(magnitude(&self.mid), self.rad)
    }
}

#[cfg(test)]
mod tests;
