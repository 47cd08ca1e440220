//! Sets of real numbers: intervals, unions, inequalities, set-builders, all as sorted disjoint pieces.

use std::cmp::Ordering;

use super::{Comparer, DIFFERENT};
use crate::verify::Tier;
use crate::verify::expr::{Constant, Expr, Joint, Relation, SetOperation};
use crate::verify::licence::{Licence, Licences};
use crate::verify::scalar::{self, Outcome};

/// Most pieces a set may have.
const LONGEST: usize = 128;

/// One end of a piece.
#[derive(Clone, Debug)]
struct End {
    at: Expr,
    closed: bool,
}

/// From `low` to `high`; a point has both ends closed at the same place.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    low: End,
    high: End,
}

/// Pieces in no particular order.
pub(super) type Pieces = Vec<Piece>;

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

/// Whether an interval has an infinite end in it: `[0, ∞]`.
pub(super) fn reaches_infinity(expr: &Expr) -> bool {
    matches!(expr, Expr::Tuple { left_closed, right_closed, .. } if ends(expr).is_some_and(|ends| ends != [*left_closed, *right_closed]))
}

/// Which ends of an interval are closed, of those that are finite.
pub(super) fn ends(expr: &Expr) -> Option<[bool; 2]> {
    let Expr::Tuple { items, left_closed, right_closed } = expr else { return None };
    let [low, high] = &items[..] else { return None };
    Some([*left_closed && !is_infinite(low), *right_closed && !is_infinite(high)])
}

fn is_infinite(end: &Expr) -> bool {
    *end == infinity(true) || *end == infinity(false)
}

fn infinity(positive: bool) -> Expr {
    let infinity = Expr::Constant(Constant::Infinity);
    if positive { infinity } else { Expr::Neg(Box::new(infinity)) }
}

fn everything() -> Pieces {
    vec![piece(infinity(false), false, infinity(true), false)]
}

fn piece(low: Expr, low_closed: bool, high: Expr, high_closed: bool) -> Piece {
    Piece {
        low: End { closed: low_closed && !is_infinite(&low), at: low },
        high: End { closed: high_closed && !is_infinite(&high), at: high },
    }
}

impl Comparer<'_> {
    /// Both sides read as sets of real numbers.
    pub(super) fn real_sets(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        if let Some(outcome) = empty(gold, answer) {
            return outcome;
        }
        let open = |expr: &Expr| !expr.any(&reaches_infinity);
        if open(gold) && !open(answer) {
            return DIFFERENT;
        }
        let (names, given) = (bound_names(gold), bound_names(answer));
        let renamed = !names.is_empty() && !given.is_empty() && names != given;
        let needed = if renamed { Licence::SymbolsRenamed.into() } else { Licences::NONE };
        self.by(needed, |comparer| comparer.same_pieces(gold, answer))
    }

    /// Whether inequalities joined by "and" never hold together: `x < 1` and `x > 3`.
    pub(super) fn is_contradiction(&mut self, expr: &Expr) -> bool {
        let Expr::List(items, Joint::And) = expr else { return false };
        if !is_set(expr) || bound_names(expr).len() > 1 {
            return false;
        }
        let mut met = everything();
        for item in items {
            let Expr::Chain { operands, relations } = item else { return false };
            let Some(pieces) = self.solved(operands, relations) else { return false };
            let Some(both) = self.intersection(&met, &pieces) else { return false };
            met = both;
        }
        met.is_empty()
    }

    fn same_pieces(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (Some(left), Some(right)) = (self.pieces(gold), self.pieces(answer)) else {
            return self.symbolic_sets(gold, answer);
        };
        let (left, right) = (self.normal(left), self.normal(right));
        if left.len() != right.len() {
            return DIFFERENT;
        }
        let mut tier = Tier::Exact;
        for (left, right) in left.iter().zip(&right) {
            if left.low.closed != right.low.closed || left.high.closed != right.high.closed {
                return DIFFERENT;
            }
            for (left, right) in [(&left.low, &right.low), (&left.high, &right.high)] {
                match self.scalars(&left.at, &right.at) {
                    Outcome::Equal(found) => tier = tier.max(found),
                    different @ Outcome::Different(_) => return different,
                }
            }
        }
        Outcome::Equal(tier)
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
        if self.fuel.spend(8).is_err() {
            return None;
        }
        match expr {
            Expr::Reals => Some(everything()),
            Expr::EmptySet => Some(Vec::new()),
            Expr::Tuple { items, left_closed, right_closed } if items.len() == 2 => {
                // From 6 to 5 there is no interval.
                if scalar::order(&items[0], &items[1], self.fuel) == Some(Ordering::Greater) {
                    return None;
                }
                Some(vec![piece(items[0].clone(), *left_closed, items[1].clone(), *right_closed)])
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
            Expr::SetBuilder(pair) => self.built(&pair.0, &pair.1),
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

    /// `{x | condition}` and `{x ∈ S | condition}`.
    fn built(&mut self, element: &Expr, condition: &Expr) -> Option<Pieces> {
        let pieces = self.pieces(condition)?;
        match element {
            Expr::Member(pair) => {
                let domain = self.pieces(&pair.1)?;
                self.intersection(&domain, &pieces)
            }
            _ => Some(pieces),
        }
    }

    /// A chain that is solved for one symbol: `x > 2`, `1 < x ≤ 2`, `x ≠ 3`.
    pub(super) fn solved(&mut self, operands: &[Expr], relations: &[Relation]) -> Option<Pieces> {
        if let Some(pieces) = self.bounded(operands, relations) {
            return pieces;
        }
        let symbol = |expr: &Expr| matches!(expr, Expr::Symbol(_) | Expr::Apply(..));
        let position = operands.iter().position(symbol)?;
        let others = operands.iter().enumerate().filter(|(index, _)| *index != position);
        if others.clone().any(|(_, other)| symbol(other) && operands.len() > 2) || operands.len() > 3 {
            return None;
        }
        let (Expr::Symbol(name) | Expr::Apply(name, _)) = &operands[position] else { return None };
        if others.clone().any(|(_, other)| other.symbols().contains(&&**name)) {
            return None;
        }
        let mut result = everything();
        for (index, bound) in others {
            // Written as "x relation bound".
            let relation = match (index, position) {
                (0, 1) => relations[0].flipped(),
                (1, 0) => relations[0],
                (2, 1) => relations[1],
                _ => return None,
            };
            let half = half_line(relation, bound)?;
            result = self.intersection(&result, &half)?;
        }
        Some(result)
    }

    /// Sorted pieces with overlaps merged; left as they are where an order cannot be decided.
    fn normal(&mut self, mut pieces: Pieces) -> Pieces {
        if pieces.len() > LONGEST {
            return pieces;
        }
        // Insertion sort: the comparison can fail, and the lists are short.
        for index in 1..pieces.len() {
            let mut at = index;
            while at > 0 && self.before(&pieces[at].low, &pieces[at - 1].low) {
                pieces.swap(at, at - 1);
                at -= 1;
            }
        }
        let mut merged: Pieces = Vec::with_capacity(pieces.len());
        for next in pieces {
            if self.is_empty(&next) {
                continue;
            }
            let Some(last) = merged.last().cloned() else {
                merged.push(next);
                continue;
            };
            let touches = match scalar::order(&next.low.at, &last.high.at, self.fuel) {
                Some(Ordering::Less) => true,
                Some(Ordering::Equal) => next.low.closed || last.high.closed,
                _ => false,
            };
            if !touches {
                merged.push(next);
            } else if let Some(end) = merged.last_mut() {
                match scalar::order(&next.high.at, &last.high.at, self.fuel) {
                    Some(Ordering::Greater) => end.high = next.high,
                    Some(Ordering::Equal) => end.high.closed |= next.high.closed,
                    _ => {}
                }
            }
        }
        merged
    }

    fn before(&mut self, left: &End, right: &End) -> bool {
        match scalar::order(&left.at, &right.at, self.fuel) {
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => left.closed && !right.closed,
            _ => false,
        }
    }

    fn is_empty(&mut self, piece: &Piece) -> bool {
        match scalar::order(&piece.low.at, &piece.high.at, self.fuel) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => !(piece.low.closed && piece.high.closed),
            _ => false,
        }
    }

    pub(super) fn intersection(&mut self, left: &[Piece], right: &[Piece]) -> Option<Pieces> {
        if left.len() * right.len() > LONGEST {
            return None;
        }
        let mut result = Vec::new();
        for first in left {
            for second in right {
                let low = match scalar::order(&first.low.at, &second.low.at, self.fuel)? {
                    Ordering::Less => second.low.clone(),
                    Ordering::Greater => first.low.clone(),
                    Ordering::Equal => {
                        End { at: first.low.at.clone(), closed: first.low.closed && second.low.closed }
                    }
                };
                let high = match scalar::order(&first.high.at, &second.high.at, self.fuel)? {
                    Ordering::Less => first.high.clone(),
                    Ordering::Greater => second.high.clone(),
                    Ordering::Equal => {
                        End { at: first.high.at.clone(), closed: first.high.closed && second.high.closed }
                    }
                };
                let met = Piece { low, high };
                if !self.is_empty(&met) {
                    result.push(met);
                }
            }
        }
        Some(result)
    }

    fn complement(&mut self, pieces: Pieces) -> Pieces {
        let mut result = Vec::new();
        let mut low = End { at: infinity(false), closed: false };
        for next in self.normal(pieces) {
            result.push(Piece { low, high: End { at: next.low.at, closed: !next.low.closed } });
            low = End { at: next.high.at, closed: !next.high.closed };
        }
        result.push(Piece { low, high: End { at: infinity(true), closed: false } });
        let whole: Pieces = result
            .into_iter()
            .map(|found| piece(found.low.at, found.low.closed, found.high.at, found.high.closed))
            .collect();
        let mut kept = Vec::new();
        for found in whole {
            if !self.is_empty(&found) {
                kept.push(found);
            }
        }
        kept
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

fn scalar_point(expr: &Expr) -> Option<Piece> {
    (!expr.is_structure()).then(|| piece(expr.clone(), true, expr.clone(), true))
}

fn half_line(relation: Relation, bound: &Expr) -> Option<Pieces> {
    if bound.is_structure() {
        return None;
    }
    let bound = bound.clone();
    Some(match relation {
        Relation::Less => vec![piece(infinity(false), false, bound, false)],
        Relation::LessEqual => vec![piece(infinity(false), false, bound, true)],
        Relation::Greater => vec![piece(bound, false, infinity(true), false)],
        Relation::GreaterEqual => vec![piece(bound, true, infinity(true), false)],
        Relation::Equal | Relation::Approx => vec![piece(bound.clone(), true, bound, true)],
        Relation::NotEqual => vec![
            piece(infinity(false), false, bound.clone(), false),
            piece(bound, false, infinity(true), false),
        ],
    })
}
