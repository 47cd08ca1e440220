//! Balls on machine floats: the first look at any inequality.

use std::cmp::Ordering;

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::Real;
use crate::verify::fuel::Halt;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRES: [f64; 8] = [0.3, 2.0, -1.5, 40.0, 1e-3, 1e5, -1e-4, 0.9];

    /// The images of the points of a ball lie in the ball of the image, which is not much wider than they lie apart.
    #[test]
    fn functions_of_balls_hold_their_values_and_little_more() {
        type Function = (&'static str, fn(&FloatBall) -> Result<FloatBall, Halt>, fn(f64) -> f64);
        let functions: [Function; 9] = [
            ("1/x", |x| x.recip(), |x| 1.0 / x),
            ("sqrt", |x| x.sqrt(), f64::sqrt),
            ("cube root", |x| x.root(3), f64::cbrt),
            ("seventh root", |x| x.root(7), |x| x.powf(1.0 / 7.0)),
            ("exp", |x| x.exp(), f64::exp),
            ("ln", |x| x.ln(), f64::ln),
            ("sin", |x| Ok(x.sin_cos()?.0), f64::sin),
            ("cos", |x| Ok(x.sin_cos()?.1), f64::cos),
            ("atan", |x| x.atan(), f64::atan),
        ];
        for (name, function, plain) in functions {
            let mut used = 0;
            for mid in CENTRES {
                for rad in [0.0, 1e-9, 0.001 * mid.abs(), 0.2 * mid.abs()] {
                    let Ok(image) = function(&FloatBall { mid, rad }) else { continue };
                    used += 1;
                    for share in [-1.0, -0.5, 0.0, 0.5, 1.0] {
                        let value = plain(mid + share * rad);
                        let error = (value - image.mid).abs() - f64::EPSILON * mid.abs();
                        assert!(error <= image.rad, "{name}({mid} ± {rad}) {image:?}");
                    }
                    // The derivative is at most 1 for the last three, and these bounds are not sharp where it is less.
                    let spread = (plain(mid + rad) - plain(mid - rad)).abs() * 4.0;
                    let bounded = matches!(name, "sin" | "cos" | "atan").then_some(rad);
                    let enough = bounded.unwrap_or(spread) * 3.0 + 4e-14 * (1.0 + image.mid.abs());
                    assert!(image.rad <= enough, "{name}({mid} ± {rad}) {image:?}");
                }
            }
            assert!(used >= 10, "{name}");
        }
    }

    #[test]
    fn sums_and_products_hold_their_corners() {
        for mid in CENTRES {
            for rad in [0.0, 1e-9, 0.5] {
                let (left, right) = (FloatBall { mid, rad }, FloatBall { mid: -0.7, rad: 0.1 });
                let (sum, product) = (left.add(&right).unwrap(), left.mul(&right).unwrap());
                for x in [mid - rad, mid + rad] {
                    for y in [-0.8, -0.6] {
                        assert!((x + y - sum.mid).abs() <= sum.rad * (1.0 + 1e-12), "{mid} ± {rad}");
                        assert!((x * y - product.mid).abs() <= product.rad * (1.0 + 1e-12), "{mid} ± {rad}");
                    }
                }
                assert!(sum.rad <= rad + 0.1 + 1e-9);
                assert!(product.rad <= 0.1 * (mid.abs() + rad) + 0.7 * rad + 1e-9);
            }
        }
    }

    #[test]
    fn what_a_ball_does_not_decide() {
        let ball = |mid: f64, rad: f64| FloatBall { mid, rad };
        assert_eq!(ball(0.1, 0.1).sign(), None);
        assert_eq!(ball(0.3, 0.1).sign(), Some(Ordering::Greater));
        assert_eq!(ball(-0.3, 0.1).sign(), Some(Ordering::Less));
        assert_eq!(ball(0.0, 0.0).sign(), Some(Ordering::Equal));
        assert_eq!(ball(0.0, 1e-300).sign(), None);
        assert_eq!(ball(2.5, 0.4).floor(), Some(IBig::from(2)));
        assert_eq!(ball(-2.5, 0.4).floor(), Some(IBig::from(-3)));
        assert_eq!(ball(2.9, 0.2).floor(), None);
        assert_eq!(ball(2e15, 0.0).floor(), None);
        for touching in [ball(0.1, 0.1), ball(-0.1, 0.2), ball(-1.0, 0.5)] {
            assert_eq!(touching.sqrt().unwrap_err(), Halt::Unsupported);
            assert_eq!(touching.root(3).unwrap_err(), Halt::Unsupported);
            assert_eq!(touching.ln().unwrap_err(), Halt::Unsupported);
        }
        assert_eq!(ball(0.1, 0.1).recip().unwrap_err(), Halt::Unsupported);
        assert_eq!(ball(0.0, 0.0).recip().unwrap_err(), Halt::Undefined);
        assert_eq!(ball(0.0, 0.0).ln().unwrap_err(), Halt::Undefined);
        assert_eq!(ball(0.0, 2.0).exp().unwrap_err(), Halt::Unsupported);
        assert_eq!(ball(2e6, 0.0).sin_cos().unwrap_err(), Halt::Unsupported);
        assert_eq!(ball(800.0, 0.0).exp().unwrap_err(), Halt::Unsupported);
        assert!(ball(1e308, 0.0).add(&ball(1e308, 0.0)).is_err());
    }
}
