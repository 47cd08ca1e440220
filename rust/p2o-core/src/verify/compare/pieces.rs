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
    let infinity = |expr: &Expr| matches!(expr, Expr::Constant(Constant::Infinity));
    infinity(end) || matches!(end, Expr::Neg(inner) if infinity(inner))
}

fn infinity(positive: bool) -> Expr {
    let infinity = Expr::Constant(Constant::Infinity);
    if positive { infinity } else { Expr::negated(infinity) }
}

impl End {
    /// Infinity belongs to no set.
    fn new(at: &Expr, closed: bool) -> Self {
        Self { closed: closed && !is_infinite(at), at: at.clone() }
    }

    fn infinite(positive: bool) -> Self {
        Self { at: infinity(positive), closed: false }
    }
}

pub(super) fn everything() -> Pieces {
    vec![Piece { low: End::infinite(false), high: End::infinite(true) }]
}

pub(super) fn interval(low: &Expr, low_closed: bool, high: &Expr, high_closed: bool) -> Piece {
    Piece { low: End::new(low, low_closed), high: End::new(high, high_closed) }
}

pub(super) fn scalar_point(expr: &Expr) -> Option<Piece> {
    (!expr.is_structure()).then(|| interval(expr, true, expr, true))
}

/// The numbers that are in a relation to a bound.
pub(super) fn related(relation: Relation, bound: &Expr) -> Option<Pieces> {
    let at = scalar_point(bound)?.low;
    let below = |closed| Piece { low: End::infinite(false), high: End { closed, ..at.clone() } };
    let above = |closed| Piece { low: End { closed, ..at.clone() }, high: End::infinite(true) };
    Some(match relation {
        Relation::Less => vec![below(false)],
        Relation::LessEqual => vec![below(at.closed)],
        Relation::Greater => vec![above(false)],
        Relation::GreaterEqual => vec![above(at.closed)],
        Relation::Equal | Relation::Approx => vec![Piece { low: at.clone(), high: at }],
        Relation::NotEqual => vec![below(false), above(false)],
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
            let touches = |last: &mut Piece| match scalar::order(&next.low.at, &last.high.at, self.fuel) {
                Some(Ordering::Less) => true,
                Some(Ordering::Equal) => next.low.closed || last.high.closed,
                _ => false,
            };
            let Some(last) = merged.pop_if(touches) else {
                merged.push(next);
                continue;
            };
            let high = match scalar::order(&next.high.at, &last.high.at, self.fuel) {
                Some(Ordering::Greater) => next.high,
                Some(Ordering::Equal) => End { closed: last.high.closed || next.high.closed, ..last.high },
                _ => last.high,
            };
            merged.push(Piece { high, ..last });
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
                let low = self.inner(&first.low, &second.low, Ordering::Greater)?;
                let high = self.inner(&first.high, &second.high, Ordering::Less)?;
                let met = Piece { low, high };
                if !self.is_empty(&met) {
                    result.push(met);
                }
            }
        }
        Some(result)
    }

    /// Of two ends the one on the `side` of the other.
    fn inner(&mut self, first: &End, second: &End, side: Ordering) -> Option<End> {
        Some(match scalar::order(&first.at, &second.at, self.fuel)? {
            Ordering::Equal => End { at: first.at.clone(), closed: first.closed && second.closed },
            order if order == side => first.clone(),
            _ => second.clone(),
        })
    }

    pub(super) fn complement(&mut self, pieces: Pieces) -> Pieces {
        let mut result = Vec::new();
        let mut low = End::infinite(false);
        for next in self.normal(pieces) {
            result.push(Piece { low, high: End { at: next.low.at, closed: !next.low.closed } });
            low = End { at: next.high.at, closed: !next.high.closed };
        }
        result.push(Piece { low, high: End::infinite(true) });
        result.retain(|found| !self.is_empty(found));
        result
    }
}
