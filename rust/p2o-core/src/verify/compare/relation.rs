//! Equations, inequalities, membership.

use super::names::{applied, combines_names, differentiated, is_unsolved, names_a_quantity, names_a_value};
use super::{Comparer, DIFFERENT, equation, real_set};
use crate::verify::Tier;
use crate::verify::expr::{Expr, Relation};
use crate::verify::licence::{Licence, Licences};
use crate::verify::scalar::{self, Outcome};

impl Comparer<'_> {
    /// A relation on at least one side.
    pub(super) fn relations(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        match (equation(gold), equation(answer)) {
            (Some((left, first)), Some((right, second))) => {
                return self.equations(&left[..=exact_end(first)], &right[..=exact_end(second)]);
            }
            (Some((operands, relations)), None) if !matches!(answer, Expr::Chain { .. }) => {
                return self.against_gold_equation(operands, relations, answer);
            }
            (None, Some((operands, relations))) if !matches!(gold, Expr::Chain { .. }) => {
                return self.against_answer_equation(gold, operands, relations);
            }
            _ => {}
        }
        if let (
            Expr::Chain { operands: left, relations: first },
            Expr::Chain { operands: right, relations: second },
        ) = (gold, answer)
        {
            let outcome = self.inequalities(left, first, right, second);
            if outcome.is_equal() {
                return outcome;
            }
        }
        if let (Expr::Member(left), Expr::Member(right)) = (gold, answer) {
            let renamed = !self.equal(&left.0, &right.0).is_equal();
            let sets = |comparer: &mut Self| comparer.equal(&left.1, &right.1);
            return self.by_if(renamed, Licence::SymbolsRenamed, sets);
        }
        // "(x, y) ∈ {(1, 2), (3, 4)}" lists the pairs.
        if let Expr::Member(pair) = answer
            && matches!((&pair.0, &pair.1), (Expr::Tuple { .. }, Expr::Set(_)))
            && names_a_value(&pair.0)
        {
            return self.by(Licence::NameDropped, |comparer| comparer.equal(gold, &pair.1));
        }
        // A model may restate the question.
        let restates = !matches!(gold, Expr::Chain { .. })
            && matches!(answer, Expr::Chain { .. })
            && real_set::is_set(answer);
        self.by_if(restates, Licence::InequalityForInterval, |comparer| comparer.real_sets(gold, answer))
    }

    /// The gold is `x = v`, the answer just `v`.
    fn against_gold_equation(&mut self, operands: &[Expr], relations: &[Relation], answer: &Expr) -> Outcome {
        let value = said(operands, relations);
        // "1/3 ≈ 0.333" says the value twice.
        if let ([.., Relation::Approx], Some(rounding)) = (relations, operands.last())
            && rounding.symbols().is_empty()
            && (operands.len() > 2 || operands[0].symbols().is_empty())
        {
            return self.equal(value, answer).or_else(|| self.equal(rounding, answer));
        }
        if let Expr::List(items, _) | Expr::Set(items) = answer
            && items.iter().any(|item| equation(item).is_some())
        {
            // (x, y) = (1, 2) answered as x = 1, y = 2.
            return match (&operands[0], value) {
                (Expr::Tuple { items: names, .. }, Expr::Tuple { items: values, .. }) => {
                    in_order_of(names, items).map_or(DIFFERENT, |given| self.in_order(values, &given))
                }
                _ if items.len() == 1 => {
                    self.equations(operands, equation(&items[0]).map_or(&[], |(right, _)| right))
                }
                _ => DIFFERENT,
            };
        }
        if names_a_value(&operands[0])
            || names_a_quantity(&operands[0])
                && (value.symbols().is_empty() || matches!(value, Expr::SetBuilder(_)))
        {
            return self.by(Licence::NameDropped, |comparer| comparer.equal(value, answer));
        }
        // Math-Verify takes what is made of letters alone for the left side of an assignment.
        let number = |node: &Expr| matches!(node, Expr::Number(_) | Expr::Constant(_));
        if self.may(Licence::LeftSideDropped) && !operands[0].any(number) {
            return self.by(Licence::LeftSideDropped, |comparer| comparer.equal(value, answer));
        }
        if names_a_value(value) {
            return self.by(Licence::NameDropped, |comparer| comparer.equal(&operands[0], answer));
        }
        DIFFERENT
    }

    /// The gold is `v`, the answer `x = v` or `a + b = v`.
    fn against_answer_equation(&mut self, gold: &Expr, operands: &[Expr], relations: &[Relation]) -> Outcome {
        // "1 = 1" says nothing.
        if operands.windows(2).all(|pair| pair[0] == pair[1]) {
            return DIFFERENT;
        }
        // x = 1, y = 2 answered as (y, x) = (2, 1).
        if let ([Expr::Tuple { items: names, .. }, Expr::Tuple { items: values, .. }], Expr::List(items, _)) =
            (operands, gold)
            && let Some(expected) = in_order_of(names, items)
        {
            let outcome = self.in_order(&expected, values);
            if outcome.is_equal() || !self.may(Licence::AssignmentOrderIgnored) {
                return outcome;
            }
        }
        // `x^2 = 7` says no 7, and `y^2 = 2x` no 2x; of `(x + 1)^2 - x^2 = 2x + 1` both sides say the same.
        let (name, value) = (&operands[0], said(operands, relations));
        let known = value.symbols();
        let other = name.symbols().iter().any(|symbol| !known.contains(symbol));
        let says_another = if known.is_empty() { is_unsolved(name) } else { other && !combines_names(name) };
        if says_another && !self.may(Licence::LeftSideDropped) {
            return DIFFERENT;
        }
        let contradiction = self.contradicts_itself(operands);
        let needed = if contradiction { Licence::ContradictionIgnored } else { Licence::NameDropped };
        let outcome = self.by(needed, |comparer| comparer.equal(gold, value));
        if outcome.is_equal() {
            return outcome;
        }
        // "7/9 ≈ 0.778" says its rounding too.
        if let [value, rounding] = operands
            && relations[0] == Relation::Approx
            && !contradiction
            && value.symbols().is_empty()
        {
            return self.by(Licence::RoundingSaid, |comparer| comparer.equal(gold, rounding));
        }
        // "4 = x"
        let last = &operands[operands.len() - 1];
        if operands.len() == 2 && names_a_value(last) && !names_a_value(&operands[0]) {
            return self.by(Licence::SidesSwapped, |comparer| comparer.equal(gold, &operands[0]));
        }
        outcome
    }

    /// Whether a chain says that two numbers are equal which are further apart than any rounding: "6 = 5".
    fn contradicts_itself(&mut self, operands: &[Expr]) -> bool {
        if operands.windows(2).any(|pair| self.in_other_units(&pair[0], &pair[1])) {
            return false;
        }
        let mut values =
            operands.iter().filter(|operand| !operand.is_structure() && operand.symbols().is_empty());
        let Some(first) = values.next().and_then(|value| scalar::magnitude(value, self.fuel)) else {
            return false;
        };
        let values: Vec<&Expr> = values.collect();
        values.into_iter().any(|value| {
            scalar::magnitude(value, self.fuel)
                .is_some_and(|value| (value - first).abs() > 0.02 * value.abs().max(first.abs()))
        })
    }

    /// Two equations: the same sides, proportional differences, or both solved for the same name.
    fn equations(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        if gold.len() < 2 || answer.len() < 2 {
            return DIFFERENT;
        }
        if gold.len() != 2 || answer.len() != 2 {
            return self.equation_chains(gold, answer);
        }
        if self.may(Licence::ArgumentRenamed)
            && let Some(renamed) = with_argument_of(&gold[0], &answer[0], &answer[1])
        {
            return self.by(Licence::ArgumentRenamed, |comparer| comparer.equal(&gold[1], &renamed));
        }
        // `y' = 2x` and `dy/dx = 2x`
        if let (Some(name), Some(other)) = (differentiated(&gold[0]), differentiated(&answer[0]))
            && name == other
        {
            return self.equal(&gold[1], &answer[1]);
        }
        // `y = 2x` is the graph of `f(x) = 2x`.
        let graph = |name: &Expr, other: &Expr| {
            *name == Expr::Symbol("y".into())
                && !matches!(other, Expr::Symbol(_))
                && applied(other).is_some_and(|(_, argument)| argument == "x")
                || matches!((name, other), (Expr::Symbol(name), Expr::Apply(function, _)) if name == function)
        };
        if self.may(Licence::GraphOfFunction) && (graph(&gold[0], &answer[0]) || graph(&answer[0], &gold[0]))
        {
            return self.by(Licence::GraphOfFunction, |comparer| comparer.equal(&gold[1], &answer[1]));
        }
        let mut tier = Tier::Exact;
        for (left, right) in [(&answer[0], &answer[1]), (&answer[1], &answer[0])] {
            let mut same_left = false;
            let outcome = self.by(Licences::NONE, |comparer| {
                let first = comparer.equal(&gold[0], left);
                same_left = first.is_equal();
                if !same_left {
                    return first;
                }
                Outcome::of_all([first, comparer.equal(&gold[1], right)].into_iter())
            });
            // The same name with another value.
            if outcome.is_equal() || same_left && names_a_value(&gold[0]) {
                return outcome;
            }
            tier = tier.max(outcome.tier());
        }
        if gold.iter().chain(answer).any(Expr::is_structure) {
            return DIFFERENT;
        }
        let left = Expr::difference(&gold[0], &gold[1]);
        let right = Expr::difference(&answer[0], &answer[1]);
        let outcome = self.proportional(&left, &right, false);
        if outcome.is_equal() {
            return outcome;
        }
        let solved = self.solved_for_name(gold, &right).or_else(|| {
            let same_names = left.symbols() == right.symbols();
            if same_names { self.solved_for_name(answer, &left) } else { DIFFERENT }
        });
        solved.or_else(|| Outcome::Different(tier.max(outcome.tier())))
    }

    /// `a = b = c`: the same sides where these are a system; else the same last value, and the same first side where the gold has one that is not a name.
    fn equation_chains(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        let (last, given) = (&gold[gold.len() - 1], &answer[answer.len() - 1]);
        let outcome = self.equal(last, given);
        if !outcome.is_equal() {
            return outcome;
        }
        // Of `x = y/2 = z/3` every side says something, of `y = (x+1)^2 = x^2+2x+1` the last one says all.
        let symbolic = |sides: &[Expr]| sides.iter().all(|side| !side.symbols().is_empty());
        if symbolic(gold) && symbolic(answer) {
            let restated = gold[1..].windows(2).all(|pair| self.alone(&pair[0], &pair[1]).0.is_equal());
            if !(restated && names_a_value(&gold[0])) {
                return self.in_order(gold, answer);
            }
        }
        let same_name = !names_a_value(&gold[0]) || !names_a_value(&answer[0]) || gold[0] == answer[0];
        if same_name { outcome } else { DIFFERENT }
    }

    /// Whether one difference is a constant multiple of the other (a positive one for inequalities). A difference that
    /// vanishes everywhere is proportional to nothing: an identity says nothing about its symbols.
    fn proportional(&mut self, left: &Expr, right: &Expr, positive: bool) -> Outcome {
        let (left_names, right_names) = (left.symbols(), right.symbols());
        if left_names != right_names || left_names.is_empty() {
            return DIFFERENT;
        }
        let Some((scale_left, scale_right)) = self.reference_values(left, right, &left_names) else {
            return DIFFERENT;
        };
        let outcome = scalar::equal(
            &Expr::Mul(vec![scale_right.clone(), left.clone()]),
            &Expr::Mul(vec![scale_left.clone(), right.clone()]),
            self.fuel,
        );
        if !outcome.is_equal() || !positive {
            return outcome;
        }
        let quotient = Expr::quotient(scale_left, scale_right);
        match scalar::order(&quotient, &Expr::integer(0), self.fuel) {
            Some(std::cmp::Ordering::Greater) => outcome,
            _ => Outcome::Different(outcome.tier()),
        }
    }

    /// Both expressions with the symbols replaced by one rational point at which neither vanishes.
    fn reference_values(&mut self, left: &Expr, right: &Expr, names: &[&str]) -> Option<(Expr, Expr)> {
        for attempt in 1..=3u32 {
            let value = |index: u32| {
                let (above, below) = (7 * attempt + 5 * index + 6, 3 + index % 4);
                Expr::rational(dashu_ratio::RBig::from_parts(above.into(), below.into()))
            };
            let at = |expr: &Expr| expr.at(names, (0..).map(value));
            let (left, right) = (at(left), at(right));
            if !self.vanishes(&left) && !self.vanishes(&right) {
                return Some((left, right));
            }
        }
        None
    }

    fn vanishes(&mut self, value: &Expr) -> bool {
        scalar::equal(value, &Expr::integer(0), self.fuel).is_equal()
    }

    /// The gold is `y = value`; the answer is linear in `y` and solving it gives the same value.
    fn solved_for_name(&mut self, gold: &[Expr], difference: &Expr) -> Outcome {
        let Expr::Symbol(name) = &gold[0] else { return DIFFERENT };
        if gold[1].symbols().contains(&&**name) || !difference.symbols().contains(&&**name) {
            return DIFFERENT;
        }
        let at = |value: i64| difference.substitute(name, &Expr::integer(value));
        let (constant, one, two) = (at(0), at(1), at(2));
        let slope = Expr::difference(&one, &constant);
        let curvature = Expr::difference(&Expr::difference(&two, &one), &slope);
        if !self.vanishes(&curvature) || self.vanishes(&slope) {
            return DIFFERENT;
        }
        scalar::equal(&difference.substitute(name, &gold[1]), &Expr::integer(0), self.fuel)
    }

    fn inequalities(
        &mut self,
        gold: &[Expr],
        first: &[Relation],
        answer: &[Expr],
        second: &[Relation],
    ) -> Outcome {
        let reversed: Vec<Expr> = answer.iter().rev().cloned().collect();
        let flipped: Vec<Relation> = second.iter().rev().map(|relation| relation.flipped()).collect();
        let readings = [(answer, second), (&reversed[..], &flipped[..])];
        let mut alike =
            readings.into_iter().filter(|(_, relations)| *relations == first).map(|(sides, _)| sides);
        for sides in alike.clone() {
            let outcome = self.in_order(gold, sides);
            if outcome.is_equal() {
                return outcome;
            }
        }
        let Some(sides) = alike.next().filter(|_| first.len() == 1) else { return DIFFERENT };
        if gold.iter().chain(answer).any(Expr::is_structure) {
            return DIFFERENT;
        }
        let left = Expr::difference(&gold[0], &gold[1]);
        let right = Expr::difference(&sides[0], &sides[1]);
        scalar::equal(&left, &right, self.fuel).or_else(|| {
            let positive = first[0] != Relation::NotEqual;
            self.by(Licence::InequalityScaled, |comparer| comparer.proportional(&left, &right, positive))
        })
    }
}

/// The values that equations assign to the names, one equation to each; none if a name has no equation or another has one.
fn in_order_of(names: &[Expr], equations: &[Expr]) -> Option<Vec<Expr>> {
    let value_of = |name: &Expr| {
        equations.iter().find_map(|item| match equation(item) {
            Some(([given, value], _)) if given == name => Some(value.clone()),
            _ => None,
        })
    };
    if names.len() == equations.len() { names.iter().map(value_of).collect() } else { None }
}

/// The value of `f(t)` in terms of the gold's argument: `f(t) = 2t` defines the same function as `f(x) = 2x`.
fn with_argument_of(gold: &Expr, name: &Expr, value: &Expr) -> Option<Expr> {
    let (function, argument) = applied(gold)?;
    let (given, other) = applied(name)?;
    let renames = function == given && argument != other && !value.symbols().contains(&argument);
    renames.then(|| value.substitute(other, &Expr::Symbol(argument.into())))
}

/// The last operand of a chain before an approximation: `x = 1/3 ≈ 0.33` and `1/3 ≈ 0.33` say 1/3, `x ≈ 0.33` says 0.33.
fn said<'a>(operands: &'a [Expr], relations: &[Relation]) -> &'a Expr {
    if relations[0] == Relation::Approx && operands[0].symbols().is_empty() && !operands[0].is_structure() {
        return &operands[0];
    }
    &operands[exact_end(relations)]
}

/// The index of that operand.
fn exact_end(relations: &[Relation]) -> usize {
    relations.iter().take_while(|relation| **relation == Relation::Equal).count().max(1)
}
