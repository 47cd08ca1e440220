//! What counts as the same number beyond exact equality: percent, degrees, bases, names, rounding.

use dashu_base::Abs;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::quantity::{is_unit, with_unit_of_letters};
use super::{Comparer, constants};
use crate::verify::Tier;
use crate::verify::expr::{Constant, Expr, Function};
use crate::verify::language::units;
use crate::verify::licence::{Licence, Licences};
use crate::verify::scalar::{self, Outcome, has_notation};

/// A reading of a pair by one convention more, none where the convention says nothing about the pair.
type Step = fn(&Expr, &Expr) -> Option<(Expr, Expr)>;

/// The conventions by which something is dropped from a scalar, or renamed; each is read with those before it.
const STEPS: [(Licence, Step); 4] = [
    (Licence::CaseIgnored, |gold, answer| both(gold, answer, in_lower_case)),
    (Licence::SymbolsRenamed, with_names_of),
    (Licence::UnitLettersDropped, |gold, answer| {
        let number = if gold.symbols().is_empty() { with_unit_of_letters(answer)?.0 } else { return None };
        Some((gold.clone(), number))
    }),
    (Licence::VariablesAsUnits, |gold, answer| both(gold, answer, without_last_unit)),
];

/// Those that drop notation.
const NOTATION_STEPS: [(Licence, Step); 4] = [
    (Licence::BaseDropped, |gold, answer| {
        let left_out = is_based(gold) != is_based(answer);
        if left_out { both(gold, answer, without_base) } else { None }
    }),
    (Licence::DegreesWithoutSign, |gold, answer| {
        let angle = |node: &Expr| matches!(node, Expr::Call(function, _) if function.is_trigonometric());
        if gold.any(angle) || answer.any(angle) { None } else { both(gold, answer, without_degrees) }
    }),
    (Licence::PercentWithoutSign, |gold, answer| without_percent(gold, answer, true)),
    (Licence::DecimalPercentWithoutSign, |gold, answer| without_percent(gold, answer, false)),
];

impl Comparer<'_> {
    /// Compares two scalars without units as they are written, then by each convention.
    pub(super) fn in_some_reading(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let notation = has_notation(gold) || has_notation(answer);
        let literal = if notation { as_written(gold, answer) } else { Licences::NONE };
        let mut result = self.by(literal, |comparer| comparer.values(gold, answer));
        if result.is_equal() {
            return result;
        }
        if self.may(Licence::ConstantOfIntegration)
            && let Some((gold, answer)) = constants::without_constant(gold, answer, self.fuel)
        {
            return self.by(Licence::ConstantOfIntegration, |comparer| comparer.values(&gold, &answer));
        }
        if self.may(Licence::ConstantRenamed) {
            for renamed in constants::renamed(gold, answer) {
                let outcome = self.by(Licence::ConstantRenamed, |comparer| comparer.values(gold, &renamed));
                if outcome.is_equal() {
                    return outcome;
                }
            }
        }
        let (mut pair, mut needed) = (None, Licences::NONE);
        for (licence, step) in STEPS.iter().chain(NOTATION_STEPS.iter().filter(|_| notation)) {
            let (gold, answer) = pair.as_ref().map_or((gold, answer), |(gold, answer)| (gold, answer));
            if !self.may(*licence) {
                continue;
            }
            let Some((gold, answer)) = step(gold, answer) else { continue };
            needed = needed.union((*licence).into());
            let outcome =
                self.by(needed.union(as_written(&gold, &answer)), |comparer| comparer.values(&gold, &answer));
            if outcome.is_equal() {
                return outcome;
            }
            result = Outcome::Different(result.tier().max(outcome.tier()));
            pair = Some((gold, answer));
        }
        result
    }

    /// Whether a part of an expression is the logarithm of 0, which nothing takes away again.
    pub(super) fn has_no_value(&mut self, expr: &Expr) -> bool {
        expr.any(|node| match node {
            Expr::Call(Function::Ln | Function::Log, of) => {
                of.last().is_some_and(|of| scalar::rational(of, self.fuel) == Some(RBig::ZERO))
            }
            _ => false,
        })
    }

    /// Equal as written, or one a rounding of the other.
    pub(super) fn values(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let exact = scalar::equal(gold, answer, self.fuel);
        if exact.is_equal() || !(has_decimal(gold) || has_decimal(answer)) {
            return exact;
        }
        let any = [Licence::Rounded, Licence::RoundedTiny, Licence::RoundedToWhole];
        let may_round = any.iter().any(|licence| self.may(*licence));
        let rounded = if may_round { self.rounding(gold, answer) } else { None };
        match rounded.filter(|licences| licences.are_within(self.allowed)) {
            Some(licences) => self.by(licences, |_| Outcome::Equal(Tier::Numeric)),
            None if self.may(Licence::RoundedToGold) && self.rounds_to(gold, answer) => {
                self.by(Licence::RoundedToGold, |_| Outcome::Equal(Tier::Numeric))
            }
            None => exact,
        }
    }

    /// The licences by which one of two values is a rounding of the other: both rounded to `float_rounding` places agree.
    /// Tiny values that agree so and not in four significant digits need one of their own, as does a whole number.
    fn rounding(&mut self, gold: &Expr, answer: &Expr) -> Option<Licences> {
        let decimals = (has_decimal(gold), has_decimal(answer));
        let (gold, answer) = (scalar::approximate(gold, self.fuel)?, scalar::approximate(answer, self.fuel)?);
        let places = self.options.float_rounding.min(60) as usize;
        if round(&gold, places) != round(&answer, places) {
            return None;
        }
        let whole = !decimals.0 && gold.is_int() || !decimals.1 && answer.is_int();
        let tiny = (&gold - &answer).abs() * RBig::from(20_000) > gold.abs();
        Some(needed([
            (Licence::Rounded, !whole && !tiny),
            (Licence::RoundedToWhole, whole),
            (Licence::RoundedTiny, tiny),
        ]))
    }

    /// Whether a gold decimal of three significant digits or more is the rounding of an exact answer. Another decimal is
    /// no exact value.
    fn rounds_to(&mut self, gold: &Expr, answer: &Expr) -> bool {
        const SIGNIFICANT: usize = 3;
        if answer.any(|node| matches!(node, Expr::Number(number) if number.decimal)) {
            return false;
        }
        let (literal, percent) = match gold {
            Expr::Percent(inner) => (&**inner, true),
            other => (other, false),
        };
        let (negative, literal) = match literal {
            Expr::Neg(inner) => (true, &**inner),
            other => (false, other),
        };
        let Expr::Number(number) = literal else { return false };
        let written = round(&number.value, number.places);
        if !number.decimal || number.places == 0 || written.to_string().len() < SIGNIFICANT {
            return false;
        }
        let Some(value) = scalar::approximate(answer, self.fuel) else { return false };
        let value = if percent { value * RBig::from(100) } else { value };
        round(&value, number.places) == if negative { -written } else { written }
    }
}

/// The conventions that a pair needs as it is written.
pub(super) fn as_written(gold: &Expr, answer: &Expr) -> Licences {
    let degrees = |expr: &Expr| expr.any(|node| matches!(node, Expr::Degrees(_)));
    let ratio = |expr: &Expr| matches!(expr, Expr::Ratio(_));
    needed([
        (Licence::DegreesInRadians, degrees(gold) != degrees(answer)),
        (Licence::BaseConverted, is_based(gold) != is_based(answer)),
        (Licence::RatioAsQuotient, ratio(gold) != ratio(answer)),
    ])
}

/// Those of some licences that are needed.
fn needed(licences: [(Licence, bool); 3]) -> Licences {
    licences.into_iter().filter(|(_, needed)| *needed).map(|(licence, _)| licence).collect()
}

/// Both sides changed; none if neither is.
fn both(gold: &Expr, answer: &Expr, change: fn(&Expr) -> Option<Expr>) -> Option<(Expr, Expr)> {
    match (change(gold), change(answer)) {
        (None, None) => None,
        (left, right) => {
            Some((left.unwrap_or_else(|| gold.clone()), right.unwrap_or_else(|| answer.clone())))
        }
    }
}

/// Symbols in lower case. `E` and `e` are one symbol where nothing else is written.
fn in_lower_case(expr: &Expr) -> Option<Expr> {
    let upper = |name: &str| name.contains(char::is_uppercase);
    match expr {
        Expr::Symbol(name) if name.eq_ignore_ascii_case("e") => Some(Expr::Constant(Constant::E)),
        _ if expr.any(|node| matches!(node, Expr::Symbol(name) if upper(name))) => {
            Some(expr.map(&mut |node| match node {
                Expr::Symbol(name) => Expr::Symbol(name.to_lowercase().into()),
                other => other,
            }))
        }
        _ => None,
    }
}

/// The answer with its symbols renamed to the gold's, in order, if there are equally many.
fn with_names_of(gold: &Expr, answer: &Expr) -> Option<(Expr, Expr)> {
    let (names, given) = (gold.symbols(), answer.symbols());
    (names != given && names.len() == given.len()).then(|| (gold.clone(), answer.renamed(&given, &names)))
}

fn is_based(expr: &Expr) -> bool {
    expr.any(|node| matches!(node, Expr::Based { .. }))
}

fn without_base(expr: &Expr) -> Option<Expr> {
    let change = |node| if let Expr::Based { plain, .. } = node { Expr::rational(plain) } else { node };
    is_based(expr).then(|| expr.map(&mut { change }))
}

fn without_degrees(expr: &Expr) -> Option<Expr> {
    let change = |node| if let Expr::Degrees(inner) = node { *inner } else { node };
    expr.any(|node| matches!(node, Expr::Degrees(_))).then(|| expr.map(&mut { change }))
}

/// The pair without the percent sign that one of the two has, where both are whole numbers or where one is not. Of a part of
/// one nobody knows whether it is percent: 0.25 is no 0.25%.
fn without_percent(gold: &Expr, answer: &Expr, whole: bool) -> Option<(Expr, Expr)> {
    let (gold, answer) = match (gold, answer) {
        (Expr::Percent(inner), other) => (&**inner, other),
        (other, Expr::Percent(inner)) => (other, &**inner),
        _ => return None,
    };
    let is_whole = |expr: &Expr| matches!(expr, Expr::Number(number) if number.value.is_int());
    let exceeds_one = |expr: &Expr| match expr {
        Expr::Number(number) => number.value > RBig::ONE,
        Expr::Div(pair) => match (&pair.0, &pair.1) {
            (Expr::Number(above), Expr::Number(below)) => above.value > below.value,
            _ => false,
        },
        _ => false,
    };
    let both_whole = is_whole(gold) && is_whole(answer);
    (whole == both_whole && (whole || exceeds_one(gold) && exceeds_one(answer)))
        .then(|| (gold.clone(), answer.clone()))
}

/// A product without its last factor if that may be a unit: the 6 of `6m`. Two symbols are a product of variables.
fn without_last_unit(expr: &Expr) -> Option<Expr> {
    let Expr::Mul(factors) = expr else { return None };
    let ends_in_unit = match &factors[factors.len().checked_sub(2)?..] {
        [Expr::Symbol(_), Expr::Symbol(_)] => false,
        [_, Expr::Symbol(name)] => units::normal(name).is_some(),
        // `\mathrm{cm^2}`, `\mathrm{m\,s^{-1}}`
        [Expr::Number(_), unit @ (Expr::Pow(_) | Expr::Mul(_))] => is_unit(unit),
        _ => false,
    };
    let (_, rest) = factors.split_last().filter(|_| ends_in_unit)?;
    Some(if rest.len() == 1 { rest[0].clone() } else { Expr::Mul(rest.to_vec()) })
}

fn has_decimal(expr: &Expr) -> bool {
    expr.any(|node| {
        matches!(node, Expr::Number(number) if number.decimal) || matches!(node, Expr::Percent(_))
    })
}

/// The value rounded half to even at a decimal place, as an integer multiple of that place.
fn round(value: &RBig, places: usize) -> IBig {
    let scaled = value * RBig::from(UBig::from(10u8).pow(places));
    let floor = scaled.floor();
    let rest = scaled - RBig::from(floor.clone());
    let half = RBig::from_parts(1.into(), 2u8.into());
    let odd = &floor % IBig::from(2) != IBig::ZERO;
    if rest > half || rest == half && odd { floor + IBig::ONE } else { floor }
}
