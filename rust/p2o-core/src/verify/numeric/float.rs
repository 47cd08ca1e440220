//! Balls on machine floats: the first look at any inequality.

use std::cmp::Ordering;

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::super::fuel::Halt;
use super::Real;

/// Relative error granted to one arithmetic operation or library function: eight times the machine epsilon, more than
/// any of the functions used here is documented to lose.
const ULP: f64 = 8.0 * f64::EPSILON;

/// A midpoint and a radius.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FloatBall {
    mid: f64,
    rad: f64,
}

impl FloatBall {
    /// Adds the rounding error of `mid` to the propagated radius.
    fn rounded(mid: f64, rad: f64) -> Result<Self, Halt> {
        let rad = rad * (1.0 + ULP) + mid.abs() * ULP + f64::MIN_POSITIVE;
        if mid.is_finite() && rad.is_finite() { Ok(Self { mid, rad }) } else { Err(Halt::Unsupported) }
    }

    fn lower(self) -> f64 {
        self.mid - self.rad * (1.0 + ULP)
    }
}

impl Real for FloatBall {
    fn cost(_: usize) -> u64 {
        1
    }

    fn transcendental_cost(_: usize) -> u64 {
        4
    }

    fn from_rational(value: &RBig, _: usize) -> Result<Self, Halt> {
        if value.is_int()
            && let Ok(small) = i32::try_from(value.numerator())
        {
            return Ok(Self { mid: f64::from(small), rad: 0.0 });
        }
        Self::rounded(value.to_f64_fast(), 0.0)
    }

    fn pi(_: usize) -> Self {
        Self { mid: std::f64::consts::PI, rad: 4.0 * f64::EPSILON }
    }

    fn zero() -> Self {
        Self { mid: 0.0, rad: 0.0 }
    }

    fn is_exact_zero(&self) -> bool {
        self.mid == 0.0 && self.rad == 0.0
    }

    fn add(&self, other: &Self) -> Result<Self, Halt> {
        if self.is_exact_zero() {
            return Ok(*other);
        }
        if other.is_exact_zero() {
            return Ok(*self);
        }
        Self::rounded(self.mid + other.mid, self.rad + other.rad)
    }

    fn mul(&self, other: &Self) -> Result<Self, Halt> {
        if self.is_exact_zero() || other.is_exact_zero() {
            return Ok(Self::zero());
        }
        let rad = self.mid.abs() * other.rad + other.mid.abs() * self.rad + self.rad * other.rad;
        Self::rounded(self.mid * other.mid, rad * (1.0 + ULP))
    }

    fn neg(&self) -> Self {
        Self { mid: -self.mid, rad: self.rad }
    }

    fn recip(&self) -> Result<Self, Halt> {
        if self.is_exact_zero() {
            return Err(Halt::Undefined);
        }
        let closest = self.mid.abs() - self.rad * (1.0 + ULP);
        if closest <= 0.0 {
            return Err(Halt::Unsupported);
        }
        Self::rounded(1.0 / self.mid, self.rad / (closest * self.mid.abs()))
    }

    fn sqrt(&self) -> Result<Self, Halt> {
        if self.is_exact_zero() {
            return Ok(*self);
        }
        if self.lower() <= 0.0 {
            return Err(Halt::Unsupported);
        }
        Self::rounded(self.mid.sqrt(), self.rad / self.lower().sqrt())
    }

    fn root(&self, index: u32) -> Result<Self, Halt> {
        if self.lower() <= 0.0 {
            return Err(Halt::Unsupported);
        }
        let mid = self.mid.powf(1.0 / f64::from(index));
        // The exponent 1/n is rounded as well, which matters for extreme arguments: |ln x| ulps.
        let rounding = mid * ULP * (1.0 + self.mid.ln().abs());
        Self::rounded(mid, self.rad * mid / self.lower() + rounding)
    }

    fn exp(&self) -> Result<Self, Halt> {
        if self.rad > 1.0 {
            return Err(Halt::Unsupported);
        }
        let mid = self.mid.exp();
        Self::rounded(mid, mid * self.rad * 2.0)
    }

    fn ln(&self) -> Result<Self, Halt> {
        if self.lower() <= 0.0 {
            return Err(if self.is_exact_zero() { Halt::Undefined } else { Halt::Unsupported });
        }
        Self::rounded(self.mid.ln(), self.rad / self.lower())
    }

    fn sin_cos(&self) -> Result<(Self, Self), Halt> {
        // Beyond this the library's argument reduction is not worth trusting to ULP.
        if self.mid.abs() > 1e6 {
            return Err(Halt::Unsupported);
        }
        let (sin, cos) = self.mid.sin_cos();
        Ok((Self::rounded(sin, self.rad + f64::EPSILON)?, Self::rounded(cos, self.rad + f64::EPSILON)?))
    }

    fn atan(&self) -> Result<Self, Halt> {
        Self::rounded(self.mid.atan(), self.rad)
    }

    fn sign(&self) -> Option<Ordering> {
        if self.is_exact_zero() {
            return Some(Ordering::Equal);
        }
        if self.mid.abs() <= self.rad * (1.0 + ULP) {
            return None;
        }
        Some(if self.mid > 0.0 { Ordering::Greater } else { Ordering::Less })
    }

    fn floor(&self) -> Option<IBig> {
        if self.mid.abs() > 1e15 {
            return None;
        }
        let (low, high) = ((self.mid - self.rad).floor() as i64, (self.mid + self.rad).floor() as i64);
        (low == high).then(|| IBig::from(low))
    }

    fn magnitude(&self) -> f64 {
        (self.mid.abs() + self.rad).log2()
    }

    fn radius(&self) -> f64 {
        self.rad.log2()
    }
}
