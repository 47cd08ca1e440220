//! Balls hold the values of all their points, and hold little more.

use super::*;

/// A ball around a binary fraction.
fn ball(mid: f64, rad: f64) -> Ball {
    let exact = Ball::from_rational(&RBig::try_from(mid).unwrap(), 64).unwrap();
    Ball { rad: rad.log2(), ..exact }
}

fn around(ball: &Ball) -> (f64, f64) {
    (ball.midpoint().unwrap().to_f64_fast(), ball.rad.exp2())
}

const CENTRES: [f64; 7] = [0.375, 2.0, -1.5, 40.0, 1.0 / 1024.0, -512.0, 0.875];

#[test]
fn functions_of_balls_hold_their_values() {
    type Function = (&'static str, fn(&Ball) -> Result<Ball, Halt>, fn(f64) -> f64);
    let functions: [Function; 9] = [
        ("1/x", Real::recip, |x| 1.0 / x),
        ("sqrt", Real::sqrt, f64::sqrt),
        ("cube root", |x| x.root(3), f64::cbrt),
        ("seventh root", |x| x.root(7), |x| x.powf(1.0 / 7.0)),
        ("exp", Real::exp, f64::exp),
        ("ln", Real::ln, f64::ln),
        ("sin", |x| Ok(x.sin_cos()?.0), f64::sin),
        ("cos", |x| Ok(x.sin_cos()?.1), f64::cos),
        ("atan", Real::atan, f64::atan),
    ];
    for (name, function, plain) in functions {
        let mut used = 0;
        for mid in CENTRES {
            for share in [1e-6, 0.001, 0.05] {
                let rad = share * mid.abs();
                let Ok(image) = function(&ball(mid, rad)) else { continue };
                used += 1;
                let (centre, radius) = around(&image);
                for step in [-1.0, -0.5, 0.0, 0.5, 1.0] {
                    let value = plain(mid + step * rad);
                    let error = (value - centre).abs();
                    assert!(error <= radius + 1e-15 * value.abs(), "{name}({mid} ± {rad}) ± {radius}");
                }
                let spread = (plain(mid + rad) - plain(mid - rad)).abs();
                let bounded = matches!(name, "sin" | "cos" | "atan").then_some(rad);
                let enough = bounded.unwrap_or(spread) * 64.0 + 1e-14 * (1.0 + centre.abs());
                assert!(radius <= enough, "{name}({mid} ± {rad}) ± {radius}");
            }
        }
        assert!(used >= 9, "{name}");
    }
}

#[test]
fn sums_and_products_hold_their_corners() {
    for mid in CENTRES {
        for rad in [0.0, 1e-6, 0.5] {
            let (left, right) = (ball(mid, rad), ball(-0.75, 0.125));
            let (sum, product) = (around(&left.add(&right).unwrap()), around(&left.mul(&right).unwrap()));
            for x in [mid - rad, mid + rad] {
                for y in [-0.875, -0.625] {
                    assert!((x + y - sum.0).abs() <= sum.1 + 1e-12, "{mid} ± {rad}");
                    assert!((x * y - product.0).abs() <= product.1 + 1e-12, "{mid} ± {rad}");
                }
            }
            assert!(sum.1 <= rad + 0.125 + 1e-9);
            assert!(product.1 <= 4.0 * (0.125 * (mid.abs() + rad) + 0.75 * rad));
        }
    }
}

/// Bounds for x = 2^-100 at 64 bits: x - sin x is x³/6, 1 - cos x is x²/2, e^x - 1 is x, x - atan x is x³/3.
#[test]
fn functions_of_tiny_balls() {
    let tiny = ball((-100f64).exp2(), 0.0);
    let (sin, cos) = tiny.sin_cos().unwrap();
    for (image, error) in
        [(sin, -302.6), (cos, -201.0), (tiny.exp().unwrap(), -100.0), (tiny.atan().unwrap(), -301.6)]
    {
        assert!((error..error + 8.0).contains(&image.rad), "{image:?}");
    }
    let wide = ball((-100f64).exp2(), 0.5);
    let (centre, radius) = around(&wide.exp().unwrap());
    assert!((0.5f64.exp() - centre).abs() <= radius && radius < 2.0);
}

#[test]
fn an_elementary_function_is_exact_at_zero_only() {
    let short = Ball { bits: 288, ..ball(3.0 * (-239f64).exp2(), 0.0) };
    let (sin, cos) = short.sin_cos().unwrap();
    for image in [sin, cos, short.atan().unwrap()] {
        assert!(!image.is_exact(), "{image:?}");
    }
    let zero = Ball::zero();
    assert!(zero.atan().unwrap().is_exact_zero() && zero.sin_cos().unwrap().0.is_exact_zero());
    assert!(zero.exp().unwrap().is_exact());
}

#[test]
fn what_a_ball_does_not_decide() {
    assert_eq!(ball(0.125, 0.25).sign(), None);
    assert_eq!(ball(0.5, 0.0625).sign(), Some(Ordering::Greater));
    assert_eq!(ball(-0.5, 0.0625).sign(), Some(Ordering::Less));
    assert_eq!(Ball::zero().sign(), Some(Ordering::Equal));
    assert_eq!(ball(2.5, 0.0625).floor(), Some(IBig::from(2)));
    assert_eq!(ball(-2.5, 0.0625).floor(), Some(IBig::from(-3)));
    assert_eq!(ball(2.0, 0.0).floor(), Some(IBig::from(2)));
    for near in [ball(2.0, 0.0625), ball(2.0625, 0.125), ball(2.9375, 0.125)] {
        assert_eq!(near.floor(), None, "{near:?}");
    }
    for touching in [ball(0.125, 0.25), ball(-1.0, 0.125)] {
        assert_eq!(touching.sqrt().unwrap_err(), Halt::Unsupported);
        assert_eq!(touching.root(3).unwrap_err(), Halt::Unsupported);
        assert_eq!(touching.ln().unwrap_err(), Halt::Unsupported);
    }
    assert_eq!(ball(0.125, 0.25).recip().unwrap_err(), Halt::Unsupported);
    assert_eq!(Ball::zero().recip().unwrap_err(), Halt::Undefined);
    assert_eq!(Ball::zero().ln().unwrap_err(), Halt::Undefined);
    assert_eq!(ball(0.5, 2.0).exp().unwrap_err(), Halt::Unsupported);
    assert_eq!(ball(1e6, 0.0).exp().unwrap_err(), Halt::Unsupported);
}

#[test]
fn midpoints() {
    for value in [0.0, 5.0, -0.375, 1024.0] {
        assert_eq!(ball(value, 0.0).midpoint(), Some(RBig::try_from(value).unwrap()));
    }
}
