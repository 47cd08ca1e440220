//! Pieces of the real line: what they are, and how sets of them are sorted, joined and intersected.

use std::cmp::Ordering;

use super::Comparer;
use crate::verify::expr::{Constant, Expr, Relation};
use crate::verify::scalar;

/// Most pieces a set may have.
const LONGEST: usize = 128;

/// One end of a piece.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) at: Expr,
    pub(super) closed: bool,
}

/// From `low` to `high`; a point has both ends closed at the same place.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) low: End,
    pub(super) high: End,
}

/// Pieces in no particular order.
pub(super) type Pieces = Vec<Piece>;

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

pub(super) fn infinity(positive: bool) -> Expr {
    let infinity = Expr::Constant(Constant::Infinity);
    if positive { infinity } else { Expr::Neg(Box::new(infinity)) }
}

pub(super) fn everything() -> Pieces {
    vec![piece(infinity(false), false, infinity(true), false)]
}

pub(super) fn piece(low: Expr, low_closed: bool, high: Expr, high_closed: bool) -> Piece {
    Piece {
        low: End { closed: low_closed && !is_infinite(&low), at: low },
        high: End { closed: high_closed && !is_infinite(&high), at: high },
    }
}

pub(super) fn scalar_point(expr: &Expr) -> Option<Piece> {
    (!expr.is_structure()).then(|| piece(expr.clone(), true, expr.clone(), true))
}

pub(super) fn half_line(relation: Relation, bound: &Expr) -> Option<Pieces> {
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

impl Comparer<'_> {
    /// Sorted pieces with overlaps merged; left as they are where an order cannot be decided.
    pub(super) fn normal(&mut self, mut pieces: Pieces) -> Pieces {
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

    pub(super) fn complement(&mut self, pieces: Pieces) -> Pieces {
        let mut result = Vec::new();
        let mut low = End { at: infinity(false), closed: false };
        for next in self.normal(pieces) {
            result.push(Piece { low, high: End { at: next.low.at, closed: !next.low.closed } });
            low = End { at: next.high.at, closed: !next.high.closed };
        }
        result.push(Piece { low, high: End { at: infinity(true), closed: false } });
        result.retain(|found| !self.is_empty(found));
        result
    }
}
