//! Functions defined in pieces.

use super::{Comparer, DIFFERENT};
use crate::verify::Tier;
use crate::verify::expr::Expr;
use crate::verify::licence::Licences;
use crate::verify::scalar::Outcome;

impl Comparer<'_> {
    /// The same values under the same conditions, in any order. "Otherwise" is what the other conditions leave.
    pub(super) fn piecewise(&mut self, gold: &[(Expr, Expr)], answer: &[(Expr, Expr)]) -> Outcome {
        if gold.len() != answer.len() {
            return DIFFERENT;
        }
        let is_rest = |condition: &Expr| *condition == Expr::Symbol("otherwise".into());
        let mut left: Vec<&(Expr, Expr)> = answer.iter().collect();
        let mut tier = Tier::Exact;
        let mut unmatched = Vec::new();
        for piece in gold {
            let found = left.iter().position(|other| {
                if is_rest(&piece.1) != is_rest(&other.1) {
                    return false;
                }
                // What two conditions need counts only if the values agree too.
                let outcome = self.by(Licences::NONE, |comparer| {
                    comparer
                        .in_order(&[piece.1.clone(), piece.0.clone()], &[other.1.clone(), other.0.clone()])
                });
                tier = tier.max(if outcome.is_equal() { outcome.tier() } else { Tier::Exact });
                outcome.is_equal()
            });
            match found {
                Some(place) => drop(left.swap_remove(place)),
                None => unmatched.push(piece),
            }
        }
        match (&unmatched[..], &left[..]) {
            ([], []) => Outcome::Equal(tier),
            // All other conditions agree, so what is left is the same.
            ([piece], [other]) if is_rest(&piece.1) || is_rest(&other.1) => {
                Outcome::of_all([Outcome::Equal(tier), self.equal(&piece.0, &other.0)].into_iter())
            }
            _ => DIFFERENT,
        }
    }
}
