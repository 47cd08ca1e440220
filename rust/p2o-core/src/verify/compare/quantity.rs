//! Amounts and their units.

use std::borrow::Cow;

use dashu_ratio::RBig;

use super::{Comparer, DIFFERENT};
use crate::verify::expr::Expr;
use crate::verify::language::units;
use crate::verify::licence::{Licence, Licences};
use crate::verify::scalar::Outcome;

/// A scalar as a number and a unit, which is empty where there is none.
struct Amount<'a> {
    value: Cow<'a, Expr>,
    unit: Cow<'a, str>,
    /// Said in several units: "1 hour 30 minutes".
    parted: bool,
}

impl Comparer<'_> {
    /// Compares two scalars.
    pub(super) fn scalars(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (mut gold, mut answer) = (amount(gold), amount(answer));
        let mut licences = Licences::NONE;
        // The letters behind an answer are compared with the unit that the gold names.
        if !gold.unit.is_empty()
            && answer.unit.is_empty()
            && self.may(Licence::UnitLettersDropped)
            && let Some((number, unit)) = with_unit_of_letters(&answer.value)
        {
            answer = Amount { value: Cow::Owned(number), unit: unit.into(), parted: false };
            licences = Licence::UnitLettersDropped.into();
        }
        // Of a gold `15 m` the m is a unit where the answer says meters.
        if gold.unit.is_empty()
            && self.may(Licence::UnitLettersDropped)
            && let Some((number, unit)) =
                with_unit_of_letters(&gold.value).filter(|(_, unit)| *unit == answer.unit)
        {
            gold = Amount { value: Cow::Owned(number), unit: unit.into(), parted: false };
            licences = Licence::UnitLettersDropped.into();
        }
        let Some((agreed, conversion)) = between_units(&gold.unit, &answer.unit) else { return DIFFERENT };
        // A bare number leaves open which of several units is meant.
        let bare = |one: &Amount<'_>, other: &Amount<'_>| one.parted && other.unit.is_empty();
        if bare(&gold, &answer) || bare(&answer, &gold) || self.has_no_value(&answer.value) {
            return DIFFERENT;
        }
        if let Some(size) = conversion {
            let converted = Expr::Mul(vec![answer.value.clone().into_owned(), Expr::rational(size)]);
            let outcome = self.by(licences.union(Licence::UnitConverted.into()), |comparer| {
                comparer.values(&gold.value, &converted)
            });
            if outcome.is_equal() || !self.may(Licence::UnitIgnored) {
                return outcome;
            }
        }
        let licences = licences.union(agreed);
        let marks = (mark(&gold), mark(&answer));
        if marks.0.is_some() && marks.1.is_some() && marks.0 != marks.1 && !self.may(Licence::UnitIgnored) {
            let licences = licences.union(super::policy::as_written(&gold.value, &answer.value));
            return self.by(licences, |comparer| comparer.values(&gold.value, &answer.value));
        }
        self.by(licences, |comparer| comparer.in_some_reading(&gold.value, &answer.value))
    }

    /// Whether two quantities are in different units.
    pub(super) fn in_other_units(&self, gold: &Expr, answer: &Expr) -> bool {
        between_units(&amount(gold).unit, &amount(answer).unit)
            .is_none_or(|(licences, conversion)| conversion.is_some() || !licences.are_within(self.allowed))
    }
}

fn amount(expr: &Expr) -> Amount<'_> {
    match expr {
        Expr::Quantity(inner, unit) => Amount { unit: Cow::Borrowed(unit), ..amount(inner) },
        Expr::Neg(inner) if matches!(**inner, Expr::Quantity(..)) => {
            let inner = amount(inner);
            Amount { value: Cow::Owned(Expr::negated(inner.value.into_owned())), ..inner }
        }
        Expr::Add(parts) => in_one_unit(parts).unwrap_or_else(|| number(expr)),
        other => number(other),
    }
}

fn number(expr: &Expr) -> Amount<'_> {
    Amount { value: Cow::Borrowed(expr), unit: Cow::Borrowed(""), parted: false }
}

/// The sum of quantities of one kind in the unit of the first.
fn in_one_unit(parts: &[Expr]) -> Option<Amount<'_>> {
    let Expr::Quantity(_, unit) = parts.first()? else { return None };
    let mut parted = false;
    let values = parts.iter().map(|part| {
        let Expr::Quantity(value, other) = part else { return None };
        parted |= other != unit;
        let size = units::conversion(other, unit)?;
        Some(Expr::Mul(vec![(**value).clone(), Expr::rational(size)]))
    });
    let value = Expr::Add(values.collect::<Option<_>>()?);
    Some(Amount { value: Cow::Owned(value), unit: Cow::Borrowed(unit), parted })
}

/// What a number is marked as: percent, degrees, or a quantity with a unit that is no scale of degrees. Of two numbers that
/// are marked differently neither leaves its mark out.
fn mark(amount: &Amount<'_>) -> Option<char> {
    match &*amount.value {
        Expr::Percent(_) => Some('%'),
        Expr::Degrees(_) => Some('°'),
        _ if amount.unit.is_empty() || amount.unit.starts_with("degree") => None,
        _ => Some('u'),
    }
}

/// The conventions by which two units agree, and what an amount in the answer's unit is in the gold's where that is another
/// one of the same kind. None if they contradict each other: a modulus and a half of the day are no units of measurement.
fn between_units(gold: &str, answer: &str) -> Option<(Licences, Option<RBig>)> {
    if gold == answer {
        return Some((Licences::NONE, None));
    }
    let measures = |unit: &str| !(unit.starts_with("mod ") || matches!(unit, "am" | "pm"));
    let dropped = gold.is_empty() || answer.is_empty();
    let conversion = if dropped { None } else { units::conversion(answer, gold) };
    let licence = match &conversion {
        Some(size) if size.is_one() => return Some((Licences::NONE, None)),
        Some(_) => Licence::UnitIgnored,
        None if dropped => Licence::UnitDropped,
        None if units::is_money(gold) && same_unit(gold, answer, false) => Licence::UnitDivisorDropped,
        None if same_unit(gold, answer, true) => Licence::UnitExponentDropped,
        None if measures(gold) && measures(answer) => Licence::UnitIgnored,
        None => return None,
    };
    Some((licence.into(), conversion))
}

/// Whether two units agree but for a divisor that one of them leaves out, and an exponent if `exponents` may be left out.
fn same_unit(gold: &str, answer: &str, exponents: bool) -> bool {
    gold.split('/').zip(answer.split('/')).all(|(gold, answer)| {
        let (unit, exponent) = gold.split_once('^').unwrap_or((gold, ""));
        let (given, other) = answer.split_once('^').unwrap_or((answer, ""));
        unit == given && (exponent == other || exponents && (exponent.is_empty() || other.is_empty()))
    })
}

/// The number and the unit of `6m` or `9.8 m/s^2`, where no variable is expected: the letters can only be units.
pub(super) fn with_unit_of_letters(expr: &Expr) -> Option<(Expr, String)> {
    let (above, below) = match expr {
        Expr::Div(pair) => (&pair.0, Some(&pair.1)),
        other => (other, None),
    };
    // A unit stands behind its number: `A5` is no current.
    let Expr::Mul(factors) = above else { return None };
    if is_unit(&factors[0]) || !factors[1..].iter().any(is_unit) {
        return None;
    }
    let (letters, mut numbers): (Vec<Expr>, Vec<Expr>) = factors.iter().cloned().partition(is_unit);
    let mut parts = Vec::new();
    unit_parts(&Expr::Mul(letters), 1, &mut parts)?;
    below.map_or(Some(()), |below| unit_parts(below, -1, &mut parts))?;
    let number = if numbers.len() == 1 { numbers.swap_remove(0) } else { Expr::Mul(numbers) };
    number.symbols().is_empty().then(|| (number, units::product(&parts)))
}

/// `m`, `m^2`, `m/s`, `m\,s^{-1}`.
pub(super) fn is_unit(expr: &Expr) -> bool {
    unit_parts(expr, 1, &mut Vec::new()).is_some()
}

/// The units of such letters, with their exponents times `sign`; none if they are none.
fn unit_parts(letters: &Expr, sign: i64, into: &mut Vec<(String, i64)>) -> Option<()> {
    match letters {
        Expr::Symbol(letter) => into.push((units::normal(letter)?.to_string(), sign)),
        Expr::Pow(pair) if pair.1.symbols().is_empty() => {
            let power = pair.1.literal_integer().and_then(|power| i64::try_from(power).ok()).unwrap_or(0);
            unit_parts(&pair.0, sign.saturating_mul(power), into)?;
        }
        Expr::Mul(factors) => factors.iter().try_for_each(|factor| unit_parts(factor, sign, into))?,
        Expr::Div(pair) => {
            unit_parts(&pair.0, sign, into)?;
            unit_parts(&pair.1, -sign, into)?;
        }
        _ => return None,
    }
    Some(())
}
