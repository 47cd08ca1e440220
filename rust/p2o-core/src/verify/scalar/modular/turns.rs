//! Sines and cosines modulo a prime, as Laurent polynomials in a power that stands for e^{ix}.
//!
//! With a base g that is neither a square nor a cube, e^{iπ} = -1 becomes g^{(p-1)/2}, e^{i} becomes g^U for a fixed U,
//! and a symbol is an integer. Then sin² + cos² = 1, the addition theorems and the values at sixths of π hold in the field
//! as they do for real numbers, and identities between them are decided by one evaluation.

use dashu_ratio::RBig;

use super::super::exact::rational;
use super::Point;
use super::field::Field;
use crate::verify::expr::{Constant, Expr, Function};
use crate::verify::fuel::Halt;

/// The exponent of e^{i}: divisible by all denominators up to 16, otherwise arbitrary.
const RADIAN: u64 = 720_720 * 1_000_003 * 31_337;

/// A product of a rational number, integers (modulo p - 1), and π or not.
struct Term {
    factor: RBig,
    integer: u64,
    symbolic: bool,
    pi: bool,
}

/// The value of a trigonometric function whose argument is a sum of rational multiples of 1, π and symbols.
pub(super) fn trigonometric(point: &mut Point<'_>, function: Function, argument: &Expr) -> Result<u64, Halt> {
    use Function as F;
    if !function.is_trigonometric() {
        return Err(Halt::Unsupported);
    }
    let exponent = turn(point, argument)?;
    point.opaque = true;
    point.fuel.spend(200)?;
    let (field, Field { base, root, .. }) = (point.ring, point.field);
    let forward = field.pow(base, exponent);
    let backward = field.inverse(forward)?;
    let half = field.inverse(2)?;
    let cos = field.mul(field.add(forward, backward), half);
    // Dividing by i is multiplying by -i.
    let turned = field.mul(field.add(forward, field.negate(backward)), half);
    let sin = field.mul(turned, field.negate(root));
    match function {
        F::Sin => Ok(sin),
        F::Cos => Ok(cos),
        F::Tan => Ok(field.mul(sin, field.inverse(cos)?)),
        F::Cot => Ok(field.mul(cos, field.inverse(sin)?)),
        F::Sec => field.inverse(cos),
        _ => field.inverse(sin),
    }
}

/// The exponent that stands for e^{i x}, modulo p - 1.
fn turn(point: &mut Point<'_>, expr: &Expr) -> Result<u64, Halt> {
    point.fuel.spend(4)?;
    let ring = point.ring.exponents();
    match expr {
        Expr::Add(terms) => terms.iter().try_fold(0, |sum, term| Ok(ring.add(sum, turn(point, term)?))),
        Expr::Neg(inner) => Ok(ring.negate(turn(point, inner)?)),
        product => {
            let mut term = Term { factor: RBig::ONE, integer: 1, symbolic: false, pi: false };
            collect(point, product, &mut term)?;
            if term.pi && term.symbolic {
                // sin(nπ) is 0 at integers only.
                return Err(Halt::Unsupported);
            }
            let unit = if term.pi { ring.modulus() / 2 } else { RADIAN };
            let divisor = u64::try_from(term.factor.denominator()).map_err(|_| Halt::Unsupported)?;
            if unit % divisor != 0 {
                return Err(Halt::Unsupported);
            }
            let multiple = ring.mul(unit / divisor, ring.residue(term.factor.numerator()));
            Ok(ring.mul(multiple, term.integer))
        }
    }
}

fn collect(point: &mut Point<'_>, expr: &Expr, term: &mut Term) -> Result<(), Halt> {
    match expr {
        Expr::Number(number) => term.factor *= &number.value,
        Expr::Constant(Constant::Pi) if !term.pi => term.pi = true,
        Expr::Neg(inner) => {
            term.factor *= RBig::NEG_ONE;
            collect(point, inner, term)?;
        }
        Expr::Mul(factors) => {
            for factor in factors {
                collect(point, factor, term)?;
            }
        }
        Expr::Div(pair) => {
            collect(point, &pair.0, term)?;
            let divisor = rational(&pair.1, point.fuel).ok_or(Halt::Unsupported)?;
            if divisor.is_zero() {
                return Err(Halt::Undefined);
            }
            term.factor /= divisor;
        }
        Expr::Symbol(_) | Expr::Pow(_) | Expr::Add(_) => {
            term.integer = point.ring.exponents().mul(term.integer, point.exponent(expr)?);
            term.symbolic = true;
        }
        _ => return Err(Halt::Unsupported),
    }
    Ok(())
}
