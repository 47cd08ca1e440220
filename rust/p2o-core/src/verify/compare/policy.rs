//! What counts as the same scalar beyond exact equality: units, percent, degrees, bases, rounding.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::super::Tier;
use super::super::exact::rational;
use super::super::expr::{Constant, Expr, Function};
use super::super::scalar::{self, Outcome, is_trigonometric};
use super::super::units;
use super::{Comparer, constants};

impl Comparer<'_> {
    /// Compares two scalars.
    pub(super) fn scalars(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (gold, gold_unit) = without_unit(gold);
        let (answer, answer_unit) = without_unit(answer);
        if self.has_no_value(answer) {
            return Outcome::Different(Tier::Exact);
        }
        if self.units_differ(gold_unit, answer_unit) {
            return Outcome::Different(Tier::Exact);
        }
        if self.compat() {
            return self.compat_scalars(gold, answer);
        }
        if self.strict() {
            return scalar::equal(gold, answer, self.fuel);
        }
        let mut result = self.values(gold, answer);
        if result.is_equal() {
            return result;
        }
        if let Some((gold, answer)) = constants::without_constant(gold, answer, self.fuel) {
            return self.values(&gold, &answer);
        }
        for renamed in constants::renamed(gold, answer) {
            let outcome = self.values(gold, &renamed);
            if outcome.is_equal() {
                return outcome;
            }
        }
        for (gold, answer) in Self::other_readings(gold, answer) {
            let outcome = self.values(&gold, &answer);
            if outcome.is_equal() {
                return outcome;
            }
            result = Outcome::Different(result.tier().max(outcome.tier()));
        }
        result
    }

    /// Whether a part of an expression is the logarithm of 0, which nothing takes away again.
    fn has_no_value(&mut self, expr: &Expr) -> bool {
        let mut arguments = Vec::new();
        logarithms(expr, &mut arguments);
        arguments.into_iter().any(|argument| rational(argument, self.fuel) == Some(RBig::ZERO))
    }

    /// Whether two quantities are in different units.
    pub(super) fn in_other_units(&self, gold: &Expr, answer: &Expr) -> bool {
        self.units_differ(without_unit(gold).1, without_unit(answer).1)
    }

    /// Whether two units contradict each other: one that is left out does not. Math-Verify drops units of measurement.
    fn units_differ(&self, gold: &str, answer: &str) -> bool {
        let measures = |unit: &str| !(unit.starts_with("mod ") || matches!(unit, "am" | "pm"));
        let dropped = self.compat() && measures(gold) && measures(answer);
        !gold.is_empty() && !answer.is_empty() && !dropped && !same_unit(gold, answer)
    }

    /// Math-Verify's reading: symbols without case, units and bases and degree signs dropped on both sides.
    fn compat_scalars(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (gold, mut answer) = (simplified(gold), simplified(answer));
        if !self.options.compare_names {
            answer = renamed(&gold, &answer);
        }
        let outcome = self.values(&gold, &answer);
        let whole = |expr: &Expr| matches!(expr, Expr::Number(number) if number.value.is_int());
        match (&gold, &answer) {
            _ if outcome.is_equal() => outcome,
            // `E` and `e` are one symbol where nothing else is written.
            (Expr::Symbol(name), Expr::Constant(Constant::E))
            | (Expr::Constant(Constant::E), Expr::Symbol(name))
                if &**name == "e" =>
            {
                Outcome::Equal(Tier::Canonical)
            }
            (Expr::Percent(left), right) if whole(left) && whole(right) => self.values(left, right),
            (left, Expr::Percent(right)) if whole(left) && whole(right) => self.values(left, right),
            _ => outcome,
        }
    }

    /// Equal as written, or one a rounding of the other.
    fn values(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let exact = scalar::equal(gold, answer, self.fuel);
        if exact.is_equal() || !(has_decimal(gold) || has_decimal(answer)) {
            return exact;
        }
        if self.rounded(gold, answer) || self.rounds_to(gold, answer) {
            Outcome::Equal(Tier::Numeric)
        } else {
            exact
        }
    }

    /// The rounding rule: where a decimal is written, both values rounded to `float_rounding` places must agree, and
    /// they must agree in four significant digits as well, so that tiny values are not all the same.
    fn rounded(&mut self, gold: &Expr, answer: &Expr) -> bool {
        let decimals = (has_decimal(gold), has_decimal(answer));
        let (Some(gold), Some(answer)) = (self.decimal_value(gold), self.decimal_value(answer)) else {
            return false;
        };
        // Math-Verify rounds nothing to a whole number that is written as one.
        if self.compat() && (!decimals.0 && gold.is_int() || !decimals.1 && answer.is_int()) {
            return false;
        }
        let places = self.options.float_rounding.min(60) as usize;
        if round(&gold, places) != round(&answer, places) {
            return false;
        }
        if self.compat() {
            return true;
        }
        let difference = &gold - &answer;
        let difference = if difference < RBig::ZERO { -difference } else { difference };
        let scale = if gold < RBig::ZERO { -gold } else { gold };
        difference * RBig::from(20_000) <= scale
    }

    /// Whether a gold decimal of three significant digits or more is the rounding of an exact answer. Another decimal is
    /// no exact value.
    fn rounds_to(&mut self, gold: &Expr, answer: &Expr) -> bool {
        const SIGNIFICANT: usize = 3;
        if self.compat() || self.strict() || has_decimal(answer) {
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
        let Some(value) = self.decimal_value(answer) else { return false };
        let value = if percent { value * RBig::from(100) } else { value };
        round(&value, number.places) == if negative { -written } else { written }
    }

    /// A rational number within 2^-100 of a real constant, enough to round it.
    fn decimal_value(&mut self, expr: &Expr) -> Option<RBig> {
        if let Some(value) = rational(expr, self.fuel) {
            return Some(value);
        }
        scalar::approximate(expr, self.fuel)
    }

    /// Readings of a pair that the default rules allow besides the literal one.
    fn other_readings(gold: &Expr, answer: &Expr) -> Vec<(Expr, Expr)> {
        let mut readings = Vec::new();
        match (gold, answer) {
            (Expr::Percent(left), Expr::Percent(right)) => {
                readings.push(((**left).clone(), (**right).clone()));
            }
            (Expr::Percent(inner), other) => {
                readings.push(((**inner).clone(), other.clone()));
            }
            (other, Expr::Percent(inner)) => {
                readings.push((other.clone(), (**inner).clone()));
            }
            (Expr::Based { plain, .. }, Expr::Number(_)) => {
                readings.push((Expr::rational(plain.clone()), answer.clone()));
            }
            (Expr::Number(_), Expr::Based { plain, .. }) => {
                readings.push((gold.clone(), Expr::rational(plain.clone())));
            }
            _ => {}
        }
        let degrees = |expr: &Expr| expr.any(&|node| matches!(node, Expr::Degrees(_)));
        if (degrees(gold) || degrees(answer)) && !is_trigonometric(gold) && !is_trigonometric(answer) {
            readings.push((without_degrees(gold), without_degrees(answer)));
        }
        if gold.symbols().is_empty()
            && !answer.symbols().is_empty()
            && let Some(number) = without_unit_letters(answer)
        {
            readings.push((gold.clone(), number));
        }
        readings
    }
}

/// The arguments of all logarithms in an expression.
fn logarithms<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    if let Expr::Call(Function::Ln | Function::Log, arguments) = expr {
        found.extend(arguments.last());
    }
    expr.for_each_child(&mut |child| logarithms(child, found));
}

/// Whether two units agree; an exponent or a divisor that one of them leaves out is not held against it.
fn same_unit(gold: &str, answer: &str) -> bool {
    gold.split('/').zip(answer.split('/')).all(|(gold, answer)| {
        let (unit, exponent) = gold.split_once('^').unwrap_or((gold, ""));
        let (given, other) = answer.split_once('^').unwrap_or((answer, ""));
        unit == given && (exponent == other || exponent.is_empty() || other.is_empty())
    })
}

fn without_unit(expr: &Expr) -> (&Expr, &str) {
    match expr {
        Expr::Quantity(inner, unit) => {
            let (inner, _) = without_unit(inner);
            (inner, unit)
        }
        other => (other, ""),
    }
}

fn without_degrees(expr: &Expr) -> Expr {
    expr.map(&mut |node| match node {
        Expr::Degrees(inner) => *inner,
        other => other,
    })
}

/// `6m` or `9.8 m/s^2` where no variable is expected: the letters can only be units.
fn without_unit_letters(expr: &Expr) -> Option<Expr> {
    match expr {
        // A unit stands behind its number: `A5` is no current.
        Expr::Mul(factors) if is_unit(&factors[0]) => None,
        Expr::Mul(factors) => {
            let (units, mut numbers): (Vec<_>, Vec<_>) = factors.iter().cloned().partition(is_unit);
            match numbers.len() {
                0 => None,
                _ if units.is_empty() => None,
                1 => numbers.pop(),
                _ => Some(Expr::Mul(numbers)),
            }
        }
        Expr::Div(pair) => {
            let units_below = match &pair.1 {
                Expr::Mul(factors) => factors.iter().all(is_unit),
                other => is_unit(other),
            };
            units_below.then(|| without_unit_letters(&pair.0))?
        }
        _ => None,
    }
    .filter(|number| number.symbols().is_empty())
}

/// `m`, `m^2`, `m/s`, `m\,s^{-1}`.
fn is_unit(expr: &Expr) -> bool {
    match expr {
        Expr::Symbol(letter) => units::normal(letter).is_some(),
        Expr::Pow(pair) => is_unit(&pair.0) && pair.1.symbols().is_empty(),
        Expr::Mul(factors) => factors.iter().all(is_unit),
        Expr::Div(pair) => is_unit(&pair.0) && is_unit(&pair.1),
        _ => false,
    }
}

/// What Math-Verify keeps of a scalar.
fn simplified(expr: &Expr) -> Expr {
    let plain = expr.map(&mut |node| match node {
        Expr::Degrees(inner) | Expr::Quantity(inner, _) => *inner,
        Expr::Based { plain, .. } => Expr::rational(plain),
        Expr::Symbol(name) => Expr::Symbol(name.to_lowercase().into()),
        other => other,
    });
    match plain {
        Expr::Mul(mut factors) if factors.len() > 1 => {
            let ends_in_unit = match &factors[factors.len() - 2..] {
                [Expr::Symbol(_), Expr::Symbol(_)] => false,
                [_, Expr::Symbol(name)] => units::normal(name).is_some(),
                // `\mathrm{cm^2}`, `\mathrm{m\,s^{-1}}`
                [Expr::Number(_), unit @ (Expr::Pow(_) | Expr::Mul(_))] => is_unit(unit),
                _ => false,
            };
            if ends_in_unit {
                factors.pop();
            }
            if factors.len() == 1 { factors.swap_remove(0) } else { Expr::Mul(factors) }
        }
        other => other,
    }
}

/// The answer with its symbols renamed to the gold's, in order, if there are equally many.
fn renamed(gold: &Expr, answer: &Expr) -> Expr {
    let (names, given) = (gold.symbols(), answer.symbols());
    if names.len() != given.len() {
        return answer.clone();
    }
    answer.renamed(&given, &names)
}

fn has_decimal(expr: &Expr) -> bool {
    expr.any(&|node| {
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
