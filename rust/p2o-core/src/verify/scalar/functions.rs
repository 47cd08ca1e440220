//! Functions of symbols: random identity testing, then points.

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::modular::identity;
use super::numeric::Real;
use super::numeric::ball::Ball;
use super::numeric::evaluate::Evaluator;
use super::numeric::float::FloatBall;
use super::{Gap, LARGEST_UNPROVEN, Outcome, PRECISIONS, agreement, gap, measure};
use crate::verify::Tier;
use crate::verify::expr::{Constant, Expr, Function};
use crate::verify::fuel::{Fuel, Halt};

/// Points at which functions of symbols are compared on machine floats, and how many must agree with all digits.
const POINTS: usize = 8;
const POINTS_NEEDED: usize = 2;
/// Most numbers of the expressions around which functions of pieces are compared as well, and most such points.
const CONSTANTS: usize = 8;
const TURNS: usize = 96;
/// An index at which only real values count.
const REAL_ONLY: usize = 3;

/// Compares two functions of the symbols `names`.
pub(super) fn functions(left: &Expr, right: &Expr, names: &[&str], fuel: &mut Fuel) -> Outcome {
    match identity(left, right, fuel) {
        Ok(true) => return Outcome::Equal(Tier::Random),
        Ok(false) | Err(Halt::Exhausted) => return Outcome::Different(Tier::Random),
        Err(Halt::Undefined | Halt::Unsupported) => {}
    }
    let discrete = is_discrete(left) || is_discrete(right);
    let points: Vec<Vec<(&str, RBig)>> = (0..POINTS).map(|index| point(names, index, discrete)).collect();
    for (index, values) in points.iter().enumerate() {
        if apart_at::<FloatBall>(left, right, values, 53, index, fuel) {
            return Outcome::Different(Tier::Ball);
        }
    }
    if (is_piecewise(left) || is_piecewise(right)) && apart_at_turns(left, right, names, discrete, fuel) {
        return Outcome::Different(Tier::Ball);
    }
    let mut valid = 0;
    for (index, values) in points.iter().enumerate() {
        let agreement = agreement(left, right, values, fuel);
        // Below the highest precision, one that shows the agreement with a few digits to spare.
        let enough = |bits: &usize| *bits as f64 > agreement + 64.0 || *bits == LARGEST_UNPROVEN;
        let bits = PRECISIONS.into_iter().find(enough).unwrap_or(LARGEST_UNPROVEN);
        match gap::<Ball>(left, right, values, bits, fuel) {
            Ok(Gap::Apart) if apart_at::<Ball>(left, right, values, bits, index, fuel) => {
                return Outcome::Different(Tier::Ball);
            }
            Ok(Gap::Within { relative, .. }) if relative < -agreement => valid += 1,
            Err(Halt::Exhausted) => break,
            _ => {}
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

/// Whether an expression may follow different formulas in different places.
fn is_piecewise(expr: &Expr) -> bool {
    use Function as F;
    expr.any(|node| match node {
        Expr::Call(F::Floor | F::Ceil | F::Abs | F::Min | F::Max | F::Root, arguments) => {
            arguments.iter().any(|argument| !argument.symbols().is_empty())
        }
        Expr::Pow(pair) => matches!(&pair.1, Expr::Div(_)) && !pair.0.symbols().is_empty(),
        _ => false,
    })
}

/// Whether two functions differ where one of them may change its formula: at whole numbers, and around the numbers
/// written in them. `|x - 100|` is `100 - x` wherever x is small.
fn apart_at_turns(left: &Expr, right: &Expr, names: &[&str], discrete: bool, fuel: &mut Fuel) -> bool {
    let turns = turns(left, right, discrete);
    (0..turns.len()).any(|index| {
        // Different strides bring different values of several symbols together.
        let values: Vec<(&str, RBig)> = names
            .iter()
            .enumerate()
            .map(|(position, name)| {
                (*name, turns[(index * (2 * position + 1) + 7 * position) % turns.len()].clone())
            })
            .collect();
        apart_at::<FloatBall>(left, right, &values, 53, REAL_ONLY, fuel)
    })
}

fn turns(left: &Expr, right: &Expr, discrete: bool) -> Vec<RBig> {
    use Function as F;
    let steps = |expr: &Expr| expr.any(|node| matches!(node, Expr::Call(F::Floor | F::Ceil, _)));
    let mut turns: Vec<RBig> = Vec::new();
    if steps(left) || steps(right) {
        turns.extend((1..=24u8).map(RBig::from));
        turns.extend([97u16, 1_009, 10_007].map(|large| RBig::from_parts(large.into(), 3u8.into())));
    }
    let mut constants = Vec::new();
    for expr in [left, right] {
        expr.any(|node| {
            if let Expr::Number(number) = node {
                let large = number.value > RBig::from(2) && number.value < RBig::from(1u64 << 40);
                if large && constants.len() < CONSTANTS && !constants.contains(&number.value) {
                    constants.push(number.value.clone());
                }
            }
            false
        });
    }
    let half = RBig::from_parts(1.into(), 2u8.into());
    for constant in constants {
        let twice = &constant + &constant;
        turns.extend([
            &constant - &half,
            constant.clone(),
            &constant + &half,
            &constant + RBig::ONE,
            &twice + &half,
            &twice * &constant + &half,
            twice,
            -constant - half.clone(),
        ]);
    }
    // Factorials and sums are worked out step by step.
    turns.retain(|turn| !discrete || turn.is_int() && RBig::ZERO < *turn && *turn < RBig::from(40));
    turns.truncate(TURNS);
    turns
}

/// Whether an expression is only defined at integers.
fn is_discrete(expr: &Expr) -> bool {
    use Function as F;
    expr.any(|node| {
        matches!(node, Expr::Call(F::Factorial | F::Binomial | F::Gcd | F::Lcm, _) | Expr::Series { .. })
    })
}

/// Whether two functions certainly differ at a point. At one with negative values that counts only where both are real,
/// because branches of roots and logarithms are conventions.
fn apart_at<R: Real>(
    left: &Expr,
    right: &Expr,
    values: &[(&str, RBig)],
    bits: usize,
    index: usize,
    fuel: &mut Fuel,
) -> bool {
    let mut evaluator = Evaluator { values, bits, fuel };
    let (Ok(left_value), Ok(right_value)) = (evaluator.value::<R>(left), evaluator.value::<R>(right)) else {
        return false;
    };
    let both_real = left_value.is_real() && right_value.is_real();
    // Of x^{1/3} the principal value is computed where x is negative, of a cube root the real one.
    let conventions = left_value.is_real() != right_value.is_real()
        && if left_value.is_real() { has_odd_root(right) } else { has_odd_root(left) };
    if conventions || index % 4 == REAL_ONLY && !both_real {
        return false;
    }
    matches!(measure(&left_value, &right_value), Ok(Gap::Apart))
}

/// Whether an expression without i has a power like x^{1/3} or x^{2/5}.
fn has_odd_root(expr: &Expr) -> bool {
    let odd = |node: &Expr| {
        let Expr::Pow(pair) = node else { return false };
        let Expr::Div(exponent) = &pair.1 else { return false };
        let index = exponent.1.literal_integer().filter(|_| exponent.0.literal_integer().is_some());
        index.is_some_and(|index| &index % IBig::from(2) != IBig::ZERO)
    };
    expr.any(odd) && !expr.any(|node| *node == Expr::Constant(Constant::I))
}
