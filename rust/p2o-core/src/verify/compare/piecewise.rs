//! Functions defined in pieces.

use super::{Comparer, DIFFERENT};
use crate::verify::expr::Expr;
use crate::verify::scalar::Outcome;

impl Comparer<'_> {
    /// The same values under the same conditions, in any order. "Otherwise" is what the other conditions leave.
    pub(super) fn piecewise(&mut self, gold: &[(Expr, Expr)], answer: &[(Expr, Expr)]) -> Outcome {
        if gold.len() != answer.len() {
            return DIFFERENT;
        }
        let is_rest = |condition: &Expr| *condition == Expr::Symbol("otherwise".into());
        let mut left: Vec<&(Expr, Expr)> = answer.iter().collect();
        let mut outcome = DIFFERENT;
        let mut unmatched = Vec::new();
        for piece in gold {
            let found = left.iter().position(|other| {
                let same = if is_rest(&piece.1) || is_rest(&other.1) {
                    is_rest(&piece.1) && is_rest(&other.1)
                } else {
                    self.equal(&piece.1, &other.1).is_equal()
                };
                outcome = if same { self.equal(&piece.0, &other.0) } else { DIFFERENT };
                outcome.is_equal()
            });
            match found {
                Some(place) => drop(left.swap_remove(place)),
                None => unmatched.push(piece),
            }
        }
        match (&unmatched[..], &left[..]) {
            ([], []) => outcome,
            // All other conditions agree, so what is left is the same.
            ([piece], [other]) if is_rest(&piece.1) || is_rest(&other.1) => self.equal(&piece.0, &other.0),
            _ => DIFFERENT,
        }
    }
}
