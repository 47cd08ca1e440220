//! Whether two scalar expressions are equal: a cascade of methods, cheapest and surest first.

mod exact;
mod functions;
mod lower;
mod modular;
mod numeric;
mod separation;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use dashu_ratio::RBig;

use super::Tier;
use super::expr::{Constant, Expr};
use super::fuel::{Fuel, Halt};
use exact::{Gaussian, exact};
use functions::functions;
pub(crate) use lower::{has_notation, lowered};
use modular::identity;
use numeric::Real;
use numeric::ball::Ball;
use numeric::complex::Complex;
use numeric::evaluate::{Evaluator, Values};
use numeric::float::FloatBall;
use separation::{separation_bits, size_bits};

/// Verdict on two scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Equal(Tier),
    Different(Tier),
}

impl Outcome {
    pub(crate) fn is_equal(self) -> bool {
        matches!(self, Self::Equal(_))
    }

    pub(crate) fn tier(self) -> Tier {
        match self {
            Self::Equal(tier) | Self::Different(tier) => tier,
        }
    }

    /// This outcome if it is equal, else what another rule finds.
    pub(crate) fn or_else(self, rule: impl FnOnce() -> Self) -> Self {
        if self.is_equal() { self } else { rule() }
    }

    /// Equal where all are, by the last tier that one of them needs; else the first that differs.
    pub(crate) fn of_all(mut outcomes: impl Iterator<Item = Self>) -> Self {
        let both = |tier: Tier, outcome: Self| match outcome {
            Self::Equal(found) => Ok(tier.max(found)),
            Self::Different(_) => Err(outcome),
        };
        outcomes.try_fold(Tier::Exact, both).map_or_else(|different| different, Self::Equal)
    }
}

/// Agreement counts as equality where no proof is known if it goes this many bits beyond what the operands are written
/// with, relative to the operands.
const AGREEMENT_BITS: f64 = 200.0;
/// Precisions tried on constants. The last is the cap for the separation bound.
const PRECISIONS: [usize; 4] = [288, 576, 1_152, 4_608];
/// The highest precision without a proof in sight: more digits would prove nothing.
const LARGEST_UNPROVEN: usize = 1_152;

/// Decides `left = right` exactly as written: no rounding, no units.
pub(crate) fn equal(left: &Expr, right: &Expr, fuel: &mut Fuel) -> Outcome {
    if left == right {
        return identical(left);
    }
    let (left, right) = (&lowered(left), &lowered(right));
    let left = &without_applications(left, fuel);
    let right = &without_applications(right, fuel);
    match (beside_numbers(left), beside_numbers(right)) {
        (None, None) => {}
        (left, right) if left == right => return Outcome::Equal(Tier::Exact),
        _ => return Outcome::Different(Tier::Exact),
    }
    let (left_names, right_names) = (left.symbols(), right.symbols());
    if left_names.is_empty() && right_names.is_empty() {
        return constants(left, right, fuel);
    }
    let mut names = left_names;
    names.extend(right_names);
    names.sort_unstable();
    names.dedup();
    functions(left, right, &names, fuel)
}

/// The verdict on two equal trees.
pub(crate) fn identical(expr: &Expr) -> Outcome {
    Outcome::Equal(if matches!(expr, Expr::Number(_)) { Tier::Exact } else { Tier::Canonical })
}

/// How an infinity compares with every number; none of what is no infinity.
fn beside_numbers(expr: &Expr) -> Option<Ordering> {
    match expr {
        Expr::Constant(Constant::Infinity) => Some(Ordering::Greater),
        Expr::Neg(inner) => beside_numbers(inner).map(Ordering::reverse),
        _ => None,
    }
}

/// `f(x + 1)` as a symbol of its own, the same one for equal arguments.
fn without_applications<'a>(expr: &'a Expr, fuel: &mut Fuel) -> std::borrow::Cow<'a, Expr> {
    if !expr.any(|node| matches!(node, Expr::Apply(..))) {
        return std::borrow::Cow::Borrowed(expr);
    }
    std::borrow::Cow::Owned(expr.map(&mut |node| match &node {
        Expr::Apply(name, arguments) => {
            let keys: Vec<String> = arguments
                .iter()
                .map(|argument| {
                    modular::fingerprint(argument, fuel)
                        .map_or_else(|| format!("{argument:?}"), |key| format!("{key:x}"))
                })
                .collect();
            Expr::Symbol(format!("{name}({})", keys.join(",")).into())
        }
        _ => node,
    }))
}

fn constants(left: &Expr, right: &Expr, fuel: &mut Fuel) -> Outcome {
    let values = (exact(left, fuel), exact(right, fuel));
    match values {
        (Ok(left), Ok(right)) => {
            return if left == right { Outcome::Equal(Tier::Exact) } else { Outcome::Different(Tier::Exact) };
        }
        (Err(Halt::Undefined), _) | (_, Err(Halt::Undefined)) => return Outcome::Different(Tier::Exact),
        _ => {}
    }
    if matches!(gap::<FloatBall>(left, right, &[], 53, fuel), Ok(Gap::Apart)) {
        return Outcome::Different(Tier::Ball);
    }
    let zero = Ok(Gaussian::real(RBig::ZERO));
    let sum = if values.1 == zero { Some(left) } else { (values.0 == zero).then_some(right) };
    if let Some((first, others)) = sum.and_then(sides) {
        return constants(&first, &others, fuel);
    }
    match identity(left, right, fuel) {
        Ok(true) if !divides_by_zero(left, fuel) && !divides_by_zero(right, fuel) => {
            return Outcome::Equal(Tier::Random);
        }
        Ok(_) => return Outcome::Different(Tier::Random),
        Err(_) => {}
    }
    let proof = separation_bits(&Expr::difference(left, right), fuel);
    let agreement = agreement(left, right, &[], fuel);
    let mut agreed = false;
    for bits in PRECISIONS {
        if bits > LARGEST_UNPROVEN && proof.is_none() {
            break;
        }
        match gap::<Ball>(left, right, &[], bits, fuel) {
            Ok(Gap::Apart) | Err(Halt::Undefined) => return Outcome::Different(Tier::Ball),
            Ok(Gap::Within { relative, absolute }) => {
                if proof.is_some_and(|needed| absolute + needed + 2.0 < 0.0) {
                    return Outcome::Equal(Tier::Ball);
                }
                agreed = relative < -agreement;
                let provable =
                    proof.is_some_and(|needed| needed < PRECISIONS[PRECISIONS.len() - 1] as f64 * 0.9);
                if agreed && !provable {
                    return Outcome::Equal(Tier::Numeric);
                }
            }
            Err(Halt::Unsupported) => {}
            Err(Halt::Exhausted) => break,
        }
    }
    if agreed {
        return Outcome::Equal(Tier::Numeric);
    }
    fuel.give_up();
    Outcome::Different(Tier::Numeric)
}

/// A sum that may be zero as an equation: its first term, and the others with the opposite sign. Agreement is measured
/// relative to the operands, and zero has no digits to agree with.
fn sides(sum: &Expr) -> Option<(Expr, Expr)> {
    match sum {
        Expr::Neg(inner) => sides(inner),
        Expr::Add(terms) => {
            let (first, others) = terms.split_first().filter(|(_, others)| !others.is_empty())?;
            Some((first.clone(), Expr::negated(Expr::Add(others.to_vec()))))
        }
        _ => None,
    }
}

/// The bits to which two values must agree to be taken for equal: 1 and tanh(1000) agree to 2885.
fn agreement(left: &Expr, right: &Expr, values: &Values<'_>, fuel: &mut Fuel) -> f64 {
    let sizes = size_bits(left, values, fuel).zip(size_bits(right, values, fuel));
    sizes.map_or(f64::INFINITY, |(left, right)| AGREEMENT_BITS + left + right)
}

/// Whether a divisor is zero in a way that shows only when its value is worked out.
fn divides_by_zero(expr: &Expr, fuel: &mut Fuel) -> bool {
    let zero = Expr::integer(0);
    expr.any(|node| match node {
        Expr::Div(pair) if !matches!(pair.1, Expr::Number(_)) => equal(&pair.1, &zero, fuel).is_equal(),
        _ => false,
    })
}

/// How far apart two values are.
#[derive(Clone, Copy, Debug)]
enum Gap {
    /// Certainly different.
    Apart,
    /// Within 2^relative of each other, measured in the larger one, and within 2^absolute.
    Within { relative: f64, absolute: f64 },
}

fn gap<R: Real>(
    left: &Expr,
    right: &Expr,
    values: &[(&str, RBig)],
    bits: usize,
    fuel: &mut Fuel,
) -> Result<Gap, Halt> {
    let mut evaluator = Evaluator { values, bits, fuel };
    let left = evaluator.value::<R>(left)?;
    let right = evaluator.value::<R>(right)?;
    measure(&left, &right)
}

fn measure<R: Real>(left: &Complex<R>, right: &Complex<R>) -> Result<Gap, Halt> {
    let difference = left.add(&right.neg())?;
    for part in [&difference.re, &difference.im] {
        if part.sign().is_some_and(Ordering::is_ne) {
            return Ok(Gap::Apart);
        }
    }
    let scale = [&left.re, &left.im, &right.re, &right.im]
        .into_iter()
        .fold(f64::NEG_INFINITY, |scale, part| scale.max(part.magnitude()));
    let absolute = difference.re.magnitude().max(difference.im.magnitude());
    let absolute = if absolute == f64::NEG_INFINITY { -1e300 } else { absolute };
    let relative = if scale == f64::NEG_INFINITY { absolute } else { absolute - scale };
    Ok(Gap::Within { relative, absolute })
}

/// The exact rational value, where there is one.
pub(crate) fn rational(expr: &Expr, fuel: &mut Fuel) -> Option<RBig> {
    exact::rational(&lowered(expr), fuel)
}

/// A key that equal expressions share, up to relations between functions; none of what has no such key.
pub(crate) fn fingerprint(expr: &Expr, fuel: &mut Fuel) -> Option<u64> {
    modular::fingerprint(&lowered(expr), fuel)
}

/// The order of two real constants, if it can be decided.
pub(crate) fn order(left: &Expr, right: &Expr, fuel: &mut Fuel) -> Option<Ordering> {
    let (left, right) = (&*lowered(left), &*lowered(right));
    match (beside_numbers(left), beside_numbers(right)) {
        (None, None) => {}
        (left, right) if left == right => return Some(Ordering::Equal),
        (left, right) => return left.or_else(|| right.map(Ordering::reverse)),
    }
    if let (Some(left), Some(right)) = (exact::rational(left, fuel), exact::rational(right, fuel)) {
        return Some(left.cmp(&right));
    }
    if equal(left, right, fuel).is_equal() {
        return Some(Ordering::Equal);
    }
    for bits in PRECISIONS {
        let mut evaluator = Evaluator { values: &[], bits, fuel };
        let left = evaluator.value::<Ball>(left).ok()?;
        let right = evaluator.value::<Ball>(right).ok()?;
        if !left.is_real() || !right.is_real() {
            return None;
        }
        if let Some(sign) = left.re.add(&right.re.neg()).ok()?.sign() {
            return Some(sign);
        }
    }
    None
}

/// A real constant on machine floats.
pub(crate) fn magnitude(expr: &Expr, fuel: &mut Fuel) -> Option<f64> {
    Some(approximate(expr, fuel)?.to_f64_fast()).filter(|value| value.is_finite())
}

/// The value of a real constant if it is rational, else a rational number within 2^-100 (relative) of it.
pub(crate) fn approximate(expr: &Expr, fuel: &mut Fuel) -> Option<RBig> {
    if let Some(value) = rational(expr, fuel) {
        return Some(value);
    }
    let mut evaluator = Evaluator { values: &[], bits: PRECISIONS[0], fuel };
    let value = evaluator.value::<Ball>(&lowered(expr)).ok()?;
    if value.is_real() && value.re.radius() < value.re.magnitude() - 100.0 {
        value.re.midpoint()
    } else {
        None
    }
}
