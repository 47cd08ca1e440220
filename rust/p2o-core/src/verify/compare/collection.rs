//! Lists, sets, tuples, vectors, matrices.

use super::names::names_a_value;
use super::{Comparer, DIFFERENT, pieces, real_set};
use crate::verify::expr::{Constant, Expr, Joint};
use crate::verify::licence::Licence;
use crate::verify::scalar::{self, Outcome};

/// Longest collection that is compared.
const LONGEST: usize = 512;

impl Comparer<'_> {
    /// A bare list or a set on at least one side.
    pub(super) fn collections(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        if self.is_contradiction(answer) && !self.is_contradiction(gold) {
            return DIFFERENT;
        }
        // Of "x = 6 or y = 6" neither is said.
        if let (Expr::List(items, Joint::Or), false) = (answer, matches!(gold, Expr::List(_, Joint::Or))) {
            let names: Vec<&str> = stems(items).into_iter().flatten().collect();
            if names.windows(2).any(|pair| pair[0] != pair[1]) {
                return DIFFERENT;
            }
        }
        let restated = real_set::is_set_of_relations(answer) && !real_set::is_set_of_relations(gold);
        if restated && !self.may(Licence::InequalityForInterval) {
            return DIFFERENT;
        }
        if real_set::is_set(gold) || real_set::is_set(answer) {
            let licence = Licence::InequalityForInterval;
            let outcome = self.by_if(restated, licence, |comparer| comparer.real_sets(gold, answer));
            if outcome.is_equal() {
                return outcome;
            }
        }
        match (gold, answer) {
            (Expr::List(left, _) | Expr::Set(left), Expr::List(right, _) | Expr::Set(right)) => {
                let outcome = self.without_order(left, right);
                if outcome.is_equal() || left.len() == right.len() {
                    return outcome;
                }
                let lists = !matches!(gold, Expr::Set(_)) && !matches!(answer, Expr::Set(_));
                self.by_if(lists, Licence::DuplicatesIgnored, |comparer| {
                    let (left, right) = (comparer.distinct(left), comparer.distinct(right));
                    comparer.without_order(&left, &right)
                })
            }
            // A tuple written for a list of values: the list has no order to check.
            (
                Expr::List(left, _) | Expr::Set(left),
                Expr::Tuple { items: right, left_closed: false, right_closed: false } | Expr::Vector(right),
            ) if left.len() > 1 => {
                self.by(Licence::TupleForList, |comparer| comparer.without_order(left, right))
            }
            // A list written for a tuple: the order is the gold's.
            (
                Expr::Tuple { items: left, left_closed: false, right_closed: false } | Expr::Vector(left),
                Expr::List(right, Joint::Comma | Joint::And) | Expr::Set(right),
            ) => {
                let right = in_order_of_names(right);
                self.by(Licence::ListForTuple, |comparer| comparer.in_order(left, &right))
            }
            (Expr::List(left, _) | Expr::Set(left), single)
                if left.len() == 1 && left[0] != Expr::EmptySet =>
            {
                self.equal(&left[0], single)
            }
            (single, Expr::List(right, _) | Expr::Set(right))
                if right.len() == 1 && *single != Expr::EmptySet =>
            {
                self.equal(single, &right[0])
            }
            // "(1, 2) or (3, 4)" may name one point twice.
            (single, Expr::List(right, Joint::Or)) if !single.is_structure() => {
                let golds = vec![single.clone(); right.len()];
                self.by(Licence::AgreeingAlternatives, |comparer| comparer.in_order(&golds, right))
            }
            _ => DIFFERENT,
        }
    }

    /// The items without those that equal an earlier one.
    fn distinct(&mut self, items: &[Expr]) -> Vec<Expr> {
        let mut kept: Vec<Expr> = Vec::new();
        for item in items.iter().take(LONGEST) {
            if !kept.iter().any(|earlier| self.equal(earlier, item).is_equal()) {
                kept.push(item.clone());
            }
        }
        kept
    }

    /// Whether the items can be paired off, each gold with one answer that equals it.
    pub(super) fn without_order(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        if gold.len() != answer.len() || gold.len() > LONGEST {
            return DIFFERENT;
        }
        let (named, given) = (stems(gold), stems(answer));
        let bare = answer.iter().all(|item| super::equation(item).is_none());
        // "1, 2" for "x = 1, y = 2" leaves out what its places say.
        if bare && named.iter().all(Option::is_some) && named.iter().any(|stem| *stem != named[0]) {
            let values: Vec<Expr> = gold.iter().map(assigned).collect();
            return self.by(Licence::NameDropped, |comparer| comparer.in_order(&values, answer)).or_else(
                || self.by(Licence::AssignmentOrderIgnored, |comparer| comparer.pairs(&values, answer)),
            );
        }
        let other = given.iter().flatten().any(|stem| !named.contains(&Some(*stem)));
        let renamed = other && named.iter().any(Option::is_some);
        self.by_if(renamed, Licence::SymbolsRenamed, |comparer| comparer.assigned_values(gold, answer))
    }

    /// Whether items that may name their values can be paired off.
    fn assigned_values(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        let whole = |name: &Expr| names_a_value(name).then(|| name.clone());
        let (mut gold_name, mut gold_values) = unassigned(gold, whole);
        let (mut answer_name, mut answer_values) = unassigned(answer, whole);
        // "x_1 = 1, x_2 = 2" are two values of x where the other side says so.
        if gold_name.is_some() && answer_name.is_none() {
            (answer_name, answer_values) = unassigned(answer, without_subscript);
        } else if answer_name.is_some() && gold_name.is_none() {
            (gold_name, gold_values) = unassigned(gold, without_subscript);
        }
        if gold_name.is_some() && answer_name.is_some() && gold_name != answer_name {
            return DIFFERENT;
        }
        let answer = answer_values;
        // What the answer names differently is told apart by its names.
        let mixed = answer_name.is_none() && answer.iter().any(|item| super::equation(item).is_some());
        let gold = if mixed { gold.to_vec() } else { gold_values };
        let dropped = gold_name.is_some() != answer_name.is_some();
        self.by_if(dropped, Licence::NameDropped, |comparer| comparer.pairs(&gold, &answer))
    }

    pub(super) fn tuples(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (
            Expr::Tuple { items: left, left_closed, right_closed },
            Expr::Tuple { items: right, left_closed: answer_left, right_closed: answer_right },
        ) = (gold, answer)
        else {
            return DIFFERENT;
        };
        // With two entries the brackets tell (0, 1) from [0, 1]; longer lists are written either way. A gold's `[0, ∞]` is
        // `[0, ∞)`.
        let same_brackets = (left_closed, right_closed) == (answer_left, answer_right)
            || pieces::ends(gold) == pieces::ends(answer) && !pieces::reaches_infinity(answer);
        if left.len() == 2 && !same_brackets {
            return DIFFERENT;
        }
        self.in_order(left, right)
    }

    /// Tuples, vectors and matrices of one column or row.
    pub(super) fn arrays(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        for (array, sum) in [(gold, answer), (answer, gold)] {
            if self.may(Licence::UnitVectors)
                && let Some(items) = entries(array)
                && let Some(components) = self.components(sum, items.len())
            {
                return self.by(Licence::UnitVectors, |comparer| comparer.in_order(&items, &components));
            }
        }
        if let (Expr::Matrix(left), Expr::Matrix(right)) = (gold, answer)
            && (left.len(), left[0].len()) != (right.len(), right[0].len())
        {
            return DIFFERENT;
        }
        match (entries(gold), entries(answer)) {
            (Some(left), Some(right)) => self.in_order(&left, &right),
            _ => DIFFERENT,
        }
    }

    /// The entries of `2i + 3j - k`, a combination of the unit vectors.
    fn components(&mut self, expr: &Expr, count: usize) -> Option<Vec<Expr>> {
        const UNITS: [&str; 3] = ["i", "j", "k"];
        if expr.is_structure() || !(2..=3).contains(&count) {
            return None;
        }
        let plain = without_accents(expr);
        let units = &UNITS[..count];
        if plain.symbols().is_empty() || !plain.symbols().iter().all(|name| units.contains(name)) {
            return None;
        }
        let at = |values: &[i64]| plain.at(units, values.iter().copied().map(Expr::integer));
        let one = |place: usize| (0..count).map(|other| i64::from(other == place)).collect::<Vec<_>>();
        let found: Vec<Expr> = (0..count).map(|place| at(&one(place))).collect();
        // It is one if it is linear: 2i + 3j and not i^2.
        let values = [3, 5, 7];
        let sum = found.iter().zip(values);
        let sum =
            Expr::Add(sum.map(|(item, value)| Expr::Mul(vec![Expr::integer(value), item.clone()])).collect());
        scalar::equal(&at(&values[..count]), &sum, self.fuel).is_equal().then_some(found)
    }
}

/// `\hat{i}` and the imaginary unit as `i`.
pub(super) fn without_accents(expr: &Expr) -> Expr {
    expr.map(&mut |node| match node {
        Expr::Constant(Constant::I) => Expr::Symbol("i".into()),
        Expr::Symbol(name) => {
            let letter = ["hat(", "vec(", "widehat("].iter().find_map(|accent| name.strip_prefix(accent));
            let letter = letter.map_or(&*name, |letter| letter.trim_end_matches(')'));
            Expr::Symbol(letter.strip_suffix("math").unwrap_or(letter).into())
        }
        other => other,
    })
}

fn entries(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple { items, .. } | Expr::Vector(items) => Some(items.clone()),
        Expr::Matrix(rows) if rows.len() == 1 || rows[0].len() == 1 => Some(rows.concat()),
        // A matrix written as rows in brackets.
        Expr::Matrix(rows) => Some(
            rows.iter()
                .map(|row| Expr::Tuple { items: row.clone(), left_closed: true, right_closed: true })
                .collect(),
        ),
        _ => None,
    }
}

/// `x = -1, 3` names its variable once: the items are what is assigned, if all assign to one name by the given key.
pub(super) fn unassigned(items: &[Expr], key: impl Fn(&Expr) -> Option<Expr>) -> (Option<Expr>, Vec<Expr>) {
    let mut name: Option<Expr> = None;
    for item in items {
        if let Some((operands, _)) = super::equation(item) {
            let given = key(&operands[0]).filter(|given| name.as_ref().is_none_or(|name| name == given));
            if operands.len() != 2 || given.is_none() {
                return (None, items.to_vec());
            }
            name = given;
        }
    }
    (name, items.iter().map(assigned).collect())
}

/// `x` for `x_1`, the first of the values of x.
fn without_subscript(name: &Expr) -> Option<Expr> {
    let stem = |name: &str| name.split('_').next().unwrap_or(name).into();
    match name {
        Expr::Symbol(name) => Some(Expr::Symbol(stem(name))),
        Expr::Apply(name, arguments) => Some(Expr::Apply(stem(name), arguments.clone())),
        other => names_a_value(other).then(|| other.clone()),
    }
}

/// The value of `x = value`, or the item itself.
fn assigned(item: &Expr) -> Expr {
    match super::equation(item) {
        Some((operands, _)) => operands[1].clone(),
        None => item.clone(),
    }
}

/// "y = 3, x = 2" as the tuple names its places: x before y before z.
fn in_order_of_names(items: &[Expr]) -> Vec<Expr> {
    let place = |item: &Expr| match super::equation(item) {
        Some(([Expr::Symbol(name), _], _)) => "xyz".find(&**name),
        _ => None,
    };
    let mut sorted = items.to_vec();
    if items.iter().all(|item| place(item).is_some()) {
        sorted.sort_by_key(place);
    }
    sorted
}

/// The names that items assign values to, without subscripts: `x_1 = 2` is about an x.
fn stems(items: &[Expr]) -> Vec<Option<&str>> {
    let stem = |item| match super::equation(item) {
        Some(([Expr::Symbol(name) | Expr::Apply(name, _), _], _)) => name.split(['_', '\'']).next(),
        // `E(X) = 2`
        Some(([product @ Expr::Mul(_), _], _)) if names_a_value(product) => {
            product.symbols().first().copied()
        }
        _ => None,
    };
    items.iter().map(stem).collect()
}
