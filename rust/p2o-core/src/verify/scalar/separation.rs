//! How close to zero a number can be without being zero.
//!
//! For algebraic numbers [`separation_bits`] is a proof, the bound of Burnikel, Fleischer, Mehlhorn and Schirra ("A
//! strong and easily computable separation bound for arithmetic expressions involving radicals", 2000): an expression
//! over the integers with degree bound D and the recursively computed u and l is either 0 or at least
//! 1 / (u^(D-1) l) in magnitude. All three are kept as logarithms.
//!
//! For others [`size_bits`] is an expectation: that no relation between transcendental numbers brings two values closer
//! to each other than the digits, powers and exponentials they are written with can.

use dashu_base::BitTest;
use dashu_ratio::RBig;

use super::exact::{rational, small_integer};
use super::numeric::Real;
use super::numeric::evaluate::{Evaluator, Values};
use super::numeric::float::FloatBall;
use crate::verify::expr::{Constant, Expr, Function, Series};
use crate::verify::fuel::Fuel;

/// log2 u and log2 l.
#[derive(Clone, Copy, Debug)]
struct Bound {
    upper: f64,
    lower: f64,
}

/// Bits of precision at which a ball around zero proves that the value is zero; none if the expression is not
/// algebraic by construction.
pub(crate) fn separation_bits(expr: &Expr, fuel: &mut Fuel) -> Option<f64> {
    let mut degree = 1.0;
    let bound = bound(expr, &mut degree, fuel)?;
    Some((degree - 1.0) * bound.upper.max(0.0) + bound.lower.max(0.0))
}

fn sum(left: Bound, right: Bound) -> Bound {
    let crossed = (left.upper + right.lower).max(left.lower + right.upper) + 1.0;
    Bound { upper: crossed, lower: left.lower + right.lower }
}

fn product(left: Bound, right: Bound) -> Bound {
    Bound { upper: left.upper + right.upper, lower: left.lower + right.lower }
}

fn inverse(bound: Bound) -> Bound {
    Bound { upper: bound.lower, lower: bound.upper }
}

fn root(bound: Bound, index: f64, degree: &mut f64) -> Bound {
    *degree *= index;
    if bound.upper >= bound.lower {
        Bound { upper: (bound.upper + (index - 1.0) * bound.lower) / index, lower: bound.lower }
    } else {
        Bound { upper: bound.upper, lower: ((index - 1.0) * bound.upper + bound.lower) / index }
    }
}

fn power(bound: Bound, exponent: i64) -> Bound {
    let count = exponent.unsigned_abs() as f64;
    let raised = Bound { upper: bound.upper * count, lower: bound.lower * count };
    if exponent < 0 { inverse(raised) } else { raised }
}

fn bound(expr: &Expr, degree: &mut f64, fuel: &mut Fuel) -> Option<Bound> {
    fuel.spend(2).ok()?;
    Some(match expr {
        Expr::Number(number) => {
            let (above, below) = (number.value.numerator(), number.value.denominator());
            Bound { upper: above.bit_len() as f64, lower: below.bit_len() as f64 }
        }
        Expr::Constant(Constant::I) => root(Bound { upper: 0.0, lower: 0.0 }, 2.0, degree),
        Expr::Neg(inner) => bound(inner, degree, fuel)?,
        Expr::Add(items) | Expr::Mul(items) => {
            let join = if matches!(expr, Expr::Add(_)) { sum } else { product };
            let first = bound(&items[0], degree, fuel)?;
            items[1..].iter().try_fold(first, |total, item| Some(join(total, bound(item, degree, fuel)?)))?
        }
        Expr::Div(pair) => {
            let divisor = inverse(bound(&pair.1, degree, fuel)?);
            product(bound(&pair.0, degree, fuel)?, divisor)
        }
        Expr::Pow(pair) => {
            let exponent = rational(&pair.1, fuel)?;
            let numerator = i64::try_from(exponent.numerator()).ok()?;
            let index = u32::try_from(exponent.denominator()).ok()?;
            let base = bound(&pair.0, degree, fuel)?;
            let base = if index == 1 { base } else { root(base, f64::from(index), degree) };
            power(base, numerator)
        }
        Expr::Call(Function::Root, arguments) => {
            let index = small_integer(&arguments[0], fuel).ok().filter(|index| (2..=64).contains(index))?;
            root(bound(&arguments[1], degree, fuel)?, index as f64, degree)
        }
        _ => return None,
    })
}

/// A bound of |log2| of the value and of the steps by which values of this form differ, as far as the form shows it.
/// None if a part of it cannot be evaluated at the point `values`.
pub(crate) fn size_bits(expr: &Expr, values: &Values<'_>, fuel: &mut Fuel) -> Option<f64> {
    fuel.spend(2).ok()?;
    let all = |items: &[Expr], fuel: &mut Fuel| {
        items.iter().try_fold(0.0, |sum, item| Some(sum + size_bits(item, values, fuel)?))
    };
    Some(match expr {
        Expr::Number(number) => digits(&number.value),
        Expr::Symbol(_) | Expr::Constant(_) => 2.0,
        Expr::Neg(inner) => size_bits(inner, values, fuel)?,
        Expr::Add(items) | Expr::Mul(items) => all(items, fuel)?,
        Expr::Div(pair) => size_bits(&pair.0, values, fuel)? + size_bits(&pair.1, values, fuel)?,
        Expr::Pow(pair) => {
            let (re, im) = parts(&pair.1, values, fuel)?;
            let times = (re + im).max(1.0);
            times * size_bits(&pair.0, values, fuel)? + size_bits(&pair.1, values, fuel)? + TURN_BITS * im
        }
        Expr::Call(function, arguments) => {
            let value = match function {
                // e^x, and e^2x where 1 is compared with tanh x.
                Function::Exp | Function::Sinh | Function::Cosh | Function::Tanh => {
                    4.0 * modulus(&arguments[0], values, fuel)?
                }
                Function::Factorial => {
                    let count = modulus(&arguments[0], values, fuel)?;
                    count * count.max(2.0).log2()
                }
                Function::Binomial => modulus(&arguments[0], values, fuel)?,
                // sin iy is i sinh y.
                _ if function.is_trigonometric() => 4.0 * imaginary(&arguments[0], values, fuel)?,
                Function::Root if small_integer(&arguments[0], fuel).is_err() => {
                    let exponent = Expr::quotient(Expr::integer(1), arguments[0].clone());
                    TURN_BITS * imaginary(&exponent, values, fuel)?
                }
                _ => 0.0,
            };
            // Near zero sin x is x but for x³.
            value + 3.0 * all(arguments, fuel)?
        }
        Expr::Series { kind, variable, bounds, body } => {
            let count = modulus(&Expr::difference(&bounds.1, &bounds.0), values, fuel)? + 1.0;
            let mut at = |bound: &Expr| size_bits(&body.substitute(variable, bound), values, fuel);
            let term = at(&bounds.0)?.max(at(&bounds.1)?);
            if *kind == Series::Sum { term } else { count * term }
        }
        _ => return None,
    })
}

fn digits(value: &RBig) -> f64 {
    (value.numerator().bit_len() + value.denominator().bit_len() - 1) as f64
}

/// |z^iy| is e^(-y arg z), and the argument is at most π: bits for each unit of y.
const TURN_BITS: f64 = 4.6;

/// Upper bounds of |Re x| and |Im x|.
fn parts(expr: &Expr, values: &Values<'_>, fuel: &mut Fuel) -> Option<(f64, f64)> {
    if let Some(value) = rational(expr, fuel) {
        return Some((value.to_f64_fast().abs(), 0.0));
    }
    let value = Evaluator { values, bits: 53, fuel }.value::<FloatBall>(expr).ok()?;
    Some((value.re.magnitude().exp2(), value.im.magnitude().exp2()))
}

/// An upper bound of |Im x|.
fn imaginary(expr: &Expr, values: &Values<'_>, fuel: &mut Fuel) -> Option<f64> {
    parts(expr, values, fuel).map(|(_, im)| im)
}

/// An upper bound of |x|.
fn modulus(expr: &Expr, values: &Values<'_>, fuel: &mut Fuel) -> Option<f64> {
    parts(expr, values, fuel).map(|(re, im)| re + im)
}
