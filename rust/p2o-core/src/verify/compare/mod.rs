//! Whether a parsed answer equals a parsed gold: dispatch on what the two are.
//!
//! The gold decides the reading. A pair of kinds that is listed here is compared by its rule, any other pair differs.

mod absolute;
mod clock;
mod collection;
mod constants;
mod counting;
mod family;
mod names;
mod pairing;
mod pieces;
mod piecewise;
mod policy;
mod quantity;
mod real_set;
mod relation;

use std::borrow::Cow;

use super::Options;
use super::Tier;
use super::expr::{Expr, Joint, Relation};
use super::fuel::Fuel;
use super::licence::{Licence, Licences};
use super::scalar::{self, Outcome};

/// Deepest nesting of structures inside structures.
const DEPTH: usize = 24;

/// Compares answers under one set of options.
pub(crate) struct Comparer<'a> {
    pub(crate) options: &'a Options,
    pub(crate) fuel: &'a mut Fuel,
    allowed: Licences,
    /// The licences by which what has been compared is equal.
    used: Licences,
    depth: usize,
}

const DIFFERENT: Outcome = Outcome::Different(Tier::Exact);

impl<'a> Comparer<'a> {
    pub(crate) fn new(options: &'a Options, fuel: &'a mut Fuel) -> Self {
        Self { options, fuel, allowed: options.licences(), used: Licences::NONE, depth: 0 }
    }

    /// The licences by which the last pair is equal.
    pub(crate) fn used(&self) -> Licences {
        self.used
    }

    pub(crate) fn may(&self, licence: Licence) -> bool {
        self.allowed.contains(licence)
    }

    /// What a rule finds that needs some licences: they are noted if it finds the two equal, and without them it finds
    /// nothing.
    pub(crate) fn by(
        &mut self,
        licences: impl Into<Licences>,
        rule: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        let licences = licences.into();
        if !licences.are_within(self.allowed) {
            return DIFFERENT;
        }
        let before = self.used;
        let outcome = rule(self);
        self.used = if outcome.is_equal() { self.used.union(licences) } else { before };
        outcome
    }

    /// What a rule finds that needs a licence where a condition holds.
    fn by_if(
        &mut self,
        condition: bool,
        licence: Licence,
        rule: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        self.by(if condition { licence.into() } else { Licences::NONE }, rule)
    }

    /// Compares a gold with an answer.
    pub(crate) fn equal(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        if gold == answer {
            return scalar::identical(gold);
        }
        if self.depth >= DEPTH || self.fuel.spend(40).is_err() {
            self.fuel.give_up();
            return DIFFERENT;
        }
        self.depth += 1;
        let outcome = self.by(Licences::NONE, |comparer| comparer.dispatch(gold, answer));
        self.depth -= 1;
        outcome
    }

    /// Compares a pair whose licences count only if something else holds as well.
    fn alone(&mut self, gold: &Expr, answer: &Expr) -> (Outcome, Licences) {
        let before = std::mem::take(&mut self.used);
        let outcome = self.equal(gold, answer);
        (outcome, std::mem::replace(&mut self.used, before))
    }

    fn dispatch(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (gold, answer) = (distributed(expanded(gold)), distributed(expanded(answer)));
        let (gold, answer) = (&*gold, &*answer);
        if let Some(family) = family::with_one_index(gold, answer) {
            return self.by(family.licences, |comparer| {
                let outcome = comparer.equal(&family.gold, &family.answer);
                let same = outcome.is_equal() || !family.runs_through_integers;
                if same { outcome } else { comparer.progressions(&family) }
            });
        }
        // "A or C" chooses neither.
        if matches!(answer, Expr::List(_, Joint::Or))
            && !matches!(gold, Expr::List(_, Joint::Or))
            && chosen_letters(gold).is_some()
        {
            return DIFFERENT;
        }
        if self.may(Licence::GluedChoices)
            && matches!((gold, answer), (Expr::Mul(_), _) | (_, Expr::Mul(_)))
            && let (Some(letters), Some(given)) = (chosen_letters(gold), chosen_letters(answer))
        {
            let same = if letters == given { Outcome::Equal(Tier::Text) } else { DIFFERENT };
            return self.by(Licence::GluedChoices, |_| same);
        }
        if self.may(Licence::CountingNotation)
            && let Some((gold, answer)) = counting::counted(gold, answer)
        {
            return self.by(Licence::CountingNotation, |comparer| comparer.scalars(&gold, &answer));
        }
        match (gold, answer) {
            (Expr::Piecewise(left), Expr::Piecewise(right)) => self.piecewise(left, right),
            (Expr::Chain { .. } | Expr::Member(_), _) | (_, Expr::Chain { .. } | Expr::Member(_)) => {
                self.relations(gold, answer)
            }
            (Expr::List(..) | Expr::Set(_), _) | (_, Expr::List(..) | Expr::Set(_)) => {
                self.collections(gold, answer)
            }
            (Expr::Tuple { .. }, Expr::Tuple { .. }) => self.tuples(gold, answer),
            (Expr::Tuple { .. }, Expr::Mul(factors)) if is_named_point(factors) => {
                self.by(Licence::PointNameDropped, |comparer| comparer.equal(gold, &factors[1]))
            }
            _ if real_set::is_set(gold) || real_set::is_set(answer) => self.real_sets(gold, answer),
            (Expr::Tuple { .. } | Expr::Vector(_) | Expr::Matrix(_), _)
            | (_, Expr::Tuple { .. } | Expr::Vector(_) | Expr::Matrix(_)) => self.arrays(gold, answer),
            (Expr::Clock { .. }, _) | (_, Expr::Clock { .. }) => self.times(gold, answer),
            (Expr::Ratio(left), Expr::Ratio(right)) => self.ratios(left, right),
            _ if gold.is_structure() || answer.is_structure() => DIFFERENT,
            _ => {
                let outcome = self.scalars(gold, answer);
                let accented = |expr: &Expr| matches!(expr, Expr::Symbol(name) if name.ends_with(')'));
                if outcome.is_equal() || gold.any(accented) == answer.any(accented) {
                    return outcome;
                }
                // `3\hat{i} - 2\hat{j}` for `3i - 2j`
                let (gold, answer) = (collection::without_accents(gold), collection::without_accents(answer));
                self.by(Licence::UnitVectors, |comparer| comparer.scalars(&gold, &answer))
            }
        }
    }

    /// `a:b:c` equals its multiples.
    fn ratios(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        if gold.len() != answer.len() {
            return DIFFERENT;
        }
        // Of nothing to nothing there is no ratio.
        let zero = Expr::integer(0);
        if [gold, answer].iter().any(|parts| parts.iter().all(|part| *part == zero))
            || gold.iter().zip(answer).any(|(left, right)| self.in_other_units(left, right))
        {
            return DIFFERENT;
        }
        Outcome::of_all(gold[1..].iter().zip(&answer[1..]).map(|(left, right)| {
            let crossed = Expr::Mul(vec![gold[0].clone(), right.clone()]);
            let other = Expr::Mul(vec![answer[0].clone(), left.clone()]);
            scalar::equal(&crossed, &other, self.fuel)
        }))
    }

    /// Item by item.
    fn in_order(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        if gold.len() != answer.len() {
            return DIFFERENT;
        }
        Outcome::of_all(gold.iter().zip(answer).map(|(left, right)| self.equal(left, right)))
    }
}

/// `a ± b` as the list of its two values; anything else as it is.
fn expanded(expr: &Expr) -> Cow<'_, Expr> {
    let ambiguous = |node: &Expr| matches!(node, Expr::PlusMinus { .. });
    if !expr.any(ambiguous) {
        return Cow::Borrowed(expr);
    }
    Cow::Owned(match expr {
        Expr::List(items, joint) => Expr::List(items.iter().flat_map(both_signs).collect(), *joint),
        Expr::Set(items) => Expr::Set(items.iter().flat_map(both_signs).collect()),
        // `x ≠ ±5` is neither of the two.
        Expr::Chain { relations, .. } if relations.contains(&Relation::NotEqual) => {
            Expr::List(both_signs(expr), Joint::And)
        }
        other => Expr::List(both_signs(other), Joint::Or),
    })
}

/// What matrices add up to or are multiplied to as a matrix, and `-(a, b)` as a tuple; anything else as it is.
fn distributed(expr: Cow<'_, Expr>) -> Cow<'_, Expr> {
    matrix(&expr).map_or(expr, Cow::Owned)
}

/// The matrix, or the tuple with its sign, that a node is worth; none of any other node.
fn matrix(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Neg(inner) => match &**inner {
            Expr::Tuple { items, left_closed: false, right_closed: false } => Some(Expr::Tuple {
                items: items.iter().cloned().map(Expr::negated).collect(),
                left_closed: false,
                right_closed: false,
            }),
            Expr::Matrix(rows) => Some(each_cell(rows, Expr::negated)),
            _ => None,
        },
        Expr::Div(pair) => match &pair.0 {
            Expr::Matrix(rows) => Some(each_cell(rows, |cell| Expr::quotient(cell, pair.1.clone()))),
            _ => None,
        },
        Expr::Add(terms) => sum_of_matrices(terms),
        Expr::Mul(factors) if factors.iter().any(|factor| matches!(factor, Expr::Matrix(_))) => {
            let (matrices, scalars): (Vec<&Expr>, Vec<&Expr>) =
                factors.iter().partition(|factor| matches!(factor, Expr::Matrix(_)));
            let scaled = |cell| Expr::Mul(scalars.iter().copied().cloned().chain([cell]).collect());
            match matrices[..] {
                [Expr::Matrix(rows)] => Some(each_cell(rows, scaled)),
                [Expr::Matrix(left), Expr::Matrix(right)] => {
                    Some(each_cell(&product_of_matrices(left, right)?, scaled))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn each_cell(rows: &[Vec<Expr>], change: impl Fn(Expr) -> Expr) -> Expr {
    Expr::Matrix(rows.iter().map(|row| row.iter().cloned().map(&change).collect()).collect())
}

/// The sum of matrices of one shape, each perhaps with a sign.
fn sum_of_matrices(terms: &[Expr]) -> Option<Expr> {
    let mut all = terms.iter().map(|term| match &*distributed(Cow::Borrowed(term)) {
        Expr::Matrix(rows) => Some(rows.clone()),
        _ => None,
    });
    let mut sum = all.next()??;
    for next in all {
        let next = next?;
        if next.len() != sum.len() || next[0].len() != sum[0].len() {
            return None;
        }
        for (left, right) in sum.iter_mut().flatten().zip(next.into_iter().flatten()) {
            *left = Expr::Add(vec![left.clone(), right]);
        }
    }
    Some(Expr::Matrix(sum))
}

/// The cells of the product of two matrices; none where their shapes do not fit or it is too large.
fn product_of_matrices(left: &[Vec<Expr>], right: &[Vec<Expr>]) -> Option<Vec<Vec<Expr>>> {
    if left[0].len() != right.len() || left.len() * right.len() * right[0].len() > 4_096 {
        return None;
    }
    let cell = |row: &[Expr], column: usize| {
        let pairs = row.iter().zip(right);
        Expr::Add(pairs.map(|(item, other)| Expr::Mul(vec![item.clone(), other[column].clone()])).collect())
    };
    Some(left.iter().map(|row| (0..right[0].len()).map(|column| cell(row, column)).collect()).collect())
}

/// The letters of several choices, sorted: `ABD` and `B, A, D`.
fn chosen_letters(expr: &Expr) -> Option<Vec<&str>> {
    let (Expr::Mul(items) | Expr::List(items, _) | Expr::Set(items)) = expr else { return None };
    let mut letters: Vec<&str> = items
        .iter()
        .map(|item| match item {
            Expr::Symbol(letter) if letter.len() == 1 && ("A"..="J").contains(&&**letter) => Some(&**letter),
            _ => None,
        })
        .collect::<Option<_>>()?;
    letters.sort_unstable();
    let distinct = letters.windows(2).all(|pair| pair[0] != pair[1]);
    distinct.then_some(letters)
}

/// `P(3, -2)`: a point with its name.
fn is_named_point(factors: &[Expr]) -> bool {
    matches!(factors, [Expr::Symbol(name), Expr::Tuple { .. }] if name.starts_with(char::is_uppercase))
}

fn both_signs(expr: &Expr) -> Vec<Expr> {
    if !expr.any(|node| matches!(node, Expr::PlusMinus { .. })) {
        return vec![expr.clone()];
    }
    // `(±3, ±2)` are four points, `(±3, ∓2)` two.
    let lower = |node: &Expr| matches!(node, Expr::PlusMinus { lower: true, .. });
    if let Expr::Tuple { items, left_closed, right_closed } = expr
        && !expr.any(lower)
        && items.len() <= 8
    {
        let (left_closed, right_closed) = (*left_closed, *right_closed);
        let mut choices = vec![Vec::new()];
        for item in items {
            let signs = both_signs(item);
            let longer = |begun: &Vec<Expr>| {
                signs.iter().map(|sign| [begun, std::slice::from_ref(sign)].concat()).collect::<Vec<_>>()
            };
            choices = choices.iter().flat_map(longer).collect();
        }
        return choices.into_iter().map(|items| Expr::Tuple { items, left_closed, right_closed }).collect();
    }
    let reading = |upper: bool| {
        expr.map(&mut |node| match node {
            Expr::PlusMinus { term, lower } if upper != lower => *term,
            Expr::PlusMinus { term, .. } => Expr::Neg(term),
            other => other,
        })
    };
    vec![reading(true), reading(false)]
}

/// What a chain of equalities names and what it says, or none for other relations.
fn equation(expr: &Expr) -> Option<(&[Expr], &[Relation])> {
    match expr {
        Expr::Chain { operands, relations }
            if relations.iter().all(|relation| matches!(relation, Relation::Equal | Relation::Approx)) =>
        {
            Some((operands, relations))
        }
        _ => None,
    }
}
