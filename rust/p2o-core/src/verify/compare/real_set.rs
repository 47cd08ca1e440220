//! Sets of real numbers: intervals, unions, inequalities, set-builders, all as sorted disjoint pieces.

use std::cmp::Ordering;

use super::absolute::bounded;
use super::pieces::{Pieces, everything, interval, reaches_infinity, related, scalar_point};
use super::{Comparer, DIFFERENT};
use crate::verify::Tier;
use crate::verify::expr::{Expr, Function, Joint, Relation, SetOperation};
use crate::verify::licence::Licence;
use crate::verify::scalar::{self, Outcome};

/// Whether the node can only be a set of numbers, so that its partner must be read as one too.
pub(super) fn is_set(expr: &Expr) -> bool {
    match expr {
        Expr::SetOperation(..) | Expr::Reals | Expr::EmptySet | Expr::SetBuilder(_) | Expr::Member(_) => true,
        Expr::Chain { relations, .. } => {
            relations.iter().all(|relation| !matches!(relation, Relation::Equal | Relation::Approx))
        }
        Expr::List(items, _) => items.iter().any(is_set),
        _ => false,
    }
}

/// Whether a list is made of inequalities.
pub(super) fn is_set_of_relations(expr: &Expr) -> bool {
    matches!(expr, Expr::List(items, _) if items.iter().any(|item| matches!(item, Expr::Chain { .. }) && is_set(item)))
}

/// The symbols that relations are about: `x > 2` is no `y > 2`.
fn bound_names(expr: &Expr) -> Vec<String> {
    let mut names: Vec<String> = match expr {
        Expr::Chain { .. } => expr.symbols().into_iter().map(str::to_lowercase).collect(),
        Expr::Member(pair) => pair.0.symbols().into_iter().map(str::to_lowercase).collect(),
        Expr::List(items, _) => items.iter().flat_map(bound_names).collect(),
        _ => Vec::new(),
    };
    names.sort_unstable();
    names.dedup();
    names
}

impl Comparer<'_> {
    /// Both sides read as sets of real numbers.
    pub(super) fn real_sets(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        if let Some(outcome) = empty(gold, answer) {
            return outcome;
        }
        if answer.any(reaches_infinity) && !gold.any(reaches_infinity) {
            return DIFFERENT;
        }
        let (names, given) = (bound_names(gold), bound_names(answer));
        let renamed = !names.is_empty() && !given.is_empty() && names != given;
        self.by_if(renamed, Licence::SymbolsRenamed, |comparer| comparer.same_pieces(gold, answer))
    }

    /// Whether inequalities joined by "and" never hold together: `x < 1` and `x > 3`.
    pub(super) fn is_contradiction(&mut self, expr: &Expr) -> bool {
        let Expr::List(items, Joint::And) = expr else { return false };
        let inequality = |item: &Expr| matches!(item, Expr::Chain { .. }) && is_set(item);
        if !items.iter().all(inequality) || bound_names(expr).len() > 1 {
            return false;
        }
        let met = items.iter().try_fold(everything(), |met, item| {
            let pieces = self.pieces(item)?;
            self.intersection(&met, &pieces)
        });
        met.is_some_and(|met| met.is_empty())
    }

    fn same_pieces(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (Some(left), Some(right)) = (self.pieces(gold), self.pieces(answer)) else {
            return self.symbolic_sets(gold, answer);
        };
        let (left, right) = (self.normal(left), self.normal(right));
        let ends = left
            .iter()
            .zip(&right)
            .flat_map(|(left, right)| [(&left.low, &right.low), (&left.high, &right.high)]);
        if left.len() != right.len() || ends.clone().any(|(left, right)| left.closed != right.closed) {
            return DIFFERENT;
        }
        Outcome::of_all(ends.map(|(left, right)| self.scalars(&left.at, &right.at)))
    }

    /// `A ∪ B` and `B ∪ A`: the same operation on the same operands, whatever they are.
    fn symbolic_sets(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        match (gold, answer) {
            (Expr::SetOperation(first, left), Expr::SetOperation(second, right)) if first == second => {
                if *first == SetOperation::Difference {
                    return self
                        .in_order(&[left.0.clone(), left.1.clone()], &[right.0.clone(), right.1.clone()]);
                }
                let operands = |expr: &Expr| {
                    let mut found = Vec::new();
                    flatten(*first, expr, &mut found);
                    found
                };
                self.without_order(&operands(gold), &operands(answer))
            }
            _ => DIFFERENT,
        }
    }

    fn pieces(&mut self, expr: &Expr) -> Option<Pieces> {
        self.fuel.spend(8).ok()?;
        match expr {
            Expr::Reals => Some(everything()),
            Expr::EmptySet => Some(Vec::new()),
            Expr::Tuple { items, left_closed, right_closed } if items.len() == 2 => {
                // From 6 to 5 there is no interval.
                if scalar::order(&items[0], &items[1], self.fuel) == Some(Ordering::Greater) {
                    return None;
                }
                Some(vec![interval(&items[0], *left_closed, &items[1], *right_closed)])
            }
            Expr::Set(items) => items.iter().map(scalar_point).collect(),
            Expr::SetOperation(operation, pair) => {
                let (left, right) = (self.pieces(&pair.0)?, self.pieces(&pair.1)?);
                match operation {
                    SetOperation::Union => Some(left.into_iter().chain(right).collect()),
                    SetOperation::Intersection => self.intersection(&left, &right),
                    SetOperation::Difference => {
                        let rest = self.complement(right);
                        self.intersection(&left, &rest)
                    }
                }
            }
            Expr::Member(pair) => self.pieces(&pair.1),
            // `{x | condition}` and `{x ∈ S | condition}`
            Expr::SetBuilder(pair) => {
                let pieces = self.pieces(&pair.1)?;
                let Expr::Member(element) = &pair.0 else { return Some(pieces) };
                let domain = self.pieces(&element.1)?;
                self.intersection(&domain, &pieces)
            }
            Expr::Chain { operands, relations } => self.solved(operands, relations),
            Expr::List(items, joint) => {
                let mut all = Vec::new();
                // "x ≥ 0, x ≠ 3" are conditions on one x; intervals side by side are parts of one set.
                let conditions = items.iter().all(|item| match item {
                    Expr::Chain { .. } => true,
                    Expr::Member(pair) => pair.1 == Expr::Reals,
                    _ => false,
                });
                let all_hold = *joint == Joint::And || *joint == Joint::Comma && conditions;
                for item in items {
                    let pieces = match self.pieces(item) {
                        Some(pieces) => pieces,
                        None => vec![scalar_point(item)?],
                    };
                    if all_hold && !all.is_empty() {
                        let met = self.intersection(&all, &pieces)?;
                        // "x < 1 and x > 3" is meant as a union: nobody names the empty set that way.
                        if !met.is_empty() {
                            all = met;
                            continue;
                        }
                    }
                    all.extend(pieces);
                }
                Some(all)
            }
            _ => None,
        }
    }

    /// A chain that is solved for one symbol: `x > 2`, `1 < x ≤ 2`, `x ≠ 3`.
    pub(super) fn solved(&mut self, operands: &[Expr], relations: &[Relation]) -> Option<Pieces> {
        if let Some((inside, relation, bound)) = bounded(operands, relations) {
            return self.within(inside, relation, &bound);
        }
        // `1 ≤ |x| ≤ 2` is both of its halves.
        if let ([_, Expr::Call(Function::Abs, _), _], [first, second]) = (operands, relations) {
            let (above, below) =
                (self.solved(&operands[..2], &[*first])?, self.solved(&operands[1..], &[*second])?);
            return self.intersection(&above, &below);
        }
        let is_name = |expr: &Expr| matches!(expr, Expr::Symbol(_) | Expr::Apply(..));
        // Each bound with the relation of the name to it.
        let (name, bounds) = match (operands, relations) {
            ([name, bound], [relation]) if is_name(name) => (name, vec![(*relation, bound)]),
            ([bound, name], [relation]) if is_name(name) => (name, vec![(relation.flipped(), bound)]),
            ([low, name, high], [first, second]) if is_name(name) && !is_name(low) && !is_name(high) => {
                (name, vec![(first.flipped(), low), (*second, high)])
            }
            _ => return None,
        };
        let (Expr::Symbol(name) | Expr::Apply(name, _)) = name else { return None };
        if bounds.iter().any(|(_, bound)| bound.symbols().contains(&&**name)) {
            return None;
        }
        bounds.into_iter().try_fold(everything(), |met, (relation, bound)| {
            self.intersection(&met, &related(relation, bound)?)
        })
    }
}

/// Nothing answers nothing: an interval from 6 to 5 is a mistake or a point, and not the empty set. None where neither side
/// is called empty.
fn empty(gold: &Expr, answer: &Expr) -> Option<Outcome> {
    let named = |expr: &Expr| *expr == Expr::EmptySet;
    let may_be = |expr: &Expr| matches!(expr, Expr::SetOperation(..) | Expr::SetBuilder(_));
    match (named(gold), named(answer)) {
        (false, false) => None,
        (true, true) => Some(Outcome::Equal(Tier::Exact)),
        (true, false) => (!may_be(answer)).then_some(DIFFERENT),
        (false, true) => (!may_be(gold)).then_some(DIFFERENT),
    }
}

/// The operands of a chain of one operation.
fn flatten(operation: SetOperation, expr: &Expr, into: &mut Vec<Expr>) {
    match expr {
        Expr::SetOperation(found, pair) if *found == operation => {
            flatten(operation, &pair.0, into);
            flatten(operation, &pair.1, into);
        }
        other => into.push(other.clone()),
    }
}
