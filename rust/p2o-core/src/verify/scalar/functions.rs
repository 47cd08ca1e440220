//! Functions of symbols: random identity testing, then points.

use dashu_ratio::RBig;

use super::super::Tier;
use super::super::expr::{Expr, Function};
use super::super::fuel::{Fuel, Halt};
use super::super::modular::{Identity, identity};
use super::super::numeric::Real;
use super::super::numeric::ball::Ball;
use super::super::numeric::evaluate::Evaluator;
use super::super::numeric::float::FloatBall;
use super::{Gap, LARGEST_UNPROVEN, Outcome, PRECISIONS, agreement, gap, measure};

/// Points at which functions of symbols are compared on machine floats, and how many must agree with all digits.
const POINTS: usize = 8;
const POINTS_NEEDED: usize = 2;

/// Compares two functions of the symbols `names`.
pub(super) fn functions(left: &Expr, right: &Expr, names: &[&str], fuel: &mut Fuel) -> Outcome {
    match identity(left, right, fuel) {
        Ok(Identity::Equal) => return Outcome::Equal(Tier::Random),
        Ok(Identity::Different) | Err(_) => return Outcome::Different(Tier::Random),
        Ok(Identity::Unknown) => {}
    }
    let discrete = is_discrete(left) || is_discrete(right);
    let points: Vec<Vec<(&str, RBig)>> = (0..POINTS).map(|index| point(names, index, discrete)).collect();
    for (index, values) in points.iter().enumerate() {
        if apart_at::<FloatBall>(left, right, values, 53, index, fuel) {
            return Outcome::Different(Tier::Ball);
        }
    }
    let mut valid = 0;
    for (index, values) in points.iter().enumerate() {
        let agreement = agreement(left, right, values, fuel);
        // Below the highest precision, one that shows the agreement with a few digits to spare.
        let enough = |bits: &usize| *bits as f64 > agreement + 64.0 || *bits == LARGEST_UNPROVEN;
        let bits = PRECISIONS.into_iter().find(enough).unwrap_or(LARGEST_UNPROVEN);
        match gap::<Ball>(left, right, values, bits, fuel) {
            Ok(Gap::Apart) => {
                if apart_at::<Ball>(left, right, values, bits, index, fuel) {
                    return Outcome::Different(Tier::Ball);
                }
            }
            Ok(Gap::Within { relative, .. }) if relative < -agreement => valid += 1,
            Ok(Gap::Within { .. }) | Err(Halt::Undefined | Halt::Unsupported) => {}
            Err(Halt::Exhausted) => break,
        }
        if valid == POINTS_NEEDED {
            return Outcome::Equal(Tier::Numeric);
        }
    }
    fuel.give_up();
    Outcome::Different(Tier::Numeric)
}

/// A pseudo-random point: small positive rationals first, mixed signs later, integers in between; integers only for
/// discrete functions.
fn point<'a>(names: &[&'a str], index: usize, discrete: bool) -> Vec<(&'a str, RBig)> {
    names
        .iter()
        .enumerate()
        .map(|(position, name)| {
            let hash =
                name.bytes().fold(0xcbf2_9ce4_8422_2325u64 ^ (index as u64 * 0x9e37_79b9), |state, byte| {
                    (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
                });
            let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
            let value = match index % 4 {
                _ if discrete => RBig::from(mixed % 17 + 3 + position as u64),
                // Positive, with a denominator that no formula has by chance.
                0 | 1 => RBig::from_parts(((mixed % 509) + 131).into(), 257u16.into()),
                2 => RBig::from(mixed % 17 + 3 + position as u64),
                _ => {
                    let size = RBig::from_parts(((mixed % 251) + 37).into(), 127u8.into());
                    if mixed & 1024 == 0 { -size } else { size }
                }
            };
            (*name, value)
        })
        .collect()
}

/// Whether an expression is only defined at integers.
fn is_discrete(expr: &Expr) -> bool {
    use Function as F;
    expr.any(&|node| {
        matches!(node, Expr::Call(F::Factorial | F::Binomial | F::Gcd | F::Lcm, _) | Expr::Series { .. })
    })
}

/// Whether a difference at a point with negative values counts: only where both sides are real, because branches of
/// roots and logarithms are conventions.
fn counts(index: usize) -> bool {
    index % 4 != 3
}

fn apart_at<R: Real>(
    left: &Expr,
    right: &Expr,
    values: &[(&str, RBig)],
    bits: usize,
    index: usize,
    fuel: &mut Fuel,
) -> bool {
    let mut evaluator = Evaluator { values, bits, fuel };
    let (Ok(left), Ok(right)) = (evaluator.value::<R>(left), evaluator.value::<R>(right)) else {
        return false;
    };
    let both_real = left.is_real() && right.is_real();
    if !(counts(index) || both_real) {
        return false;
    }
    matches!(measure(&left, &right), Ok(Gap::Apart))
}
