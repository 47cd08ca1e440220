//! Inequalities with an absolute value: `|x| < 3`, `|x - 2| > 1`, `1 ≤ |x| ≤ 2`, `x^2 < 9`.

use std::borrow::Cow;

use super::Comparer;
use super::pieces::Pieces;
use crate::verify::expr::{Expr, Function, Relation};

/// What is between a bound and its opposite, the relation and the bound.
pub(super) fn bounded<'a>(
    operands: &'a [Expr],
    relations: &[Relation],
) -> Option<(&'a Expr, Relation, Cow<'a, Expr>)> {
    let ([left, right], [relation]) = (operands, relations) else { return None };
    match (left, right) {
        (Expr::Call(Function::Abs, inside), bound) => Some((&inside[0], *relation, Cow::Borrowed(bound))),
        (bound, Expr::Call(Function::Abs, inside)) => {
            Some((&inside[0], relation.flipped(), Cow::Borrowed(bound)))
        }
        (Expr::Pow(power), Expr::Number(_))
            if matches!(power.0, Expr::Symbol(_)) && power.1 == Expr::integer(2) =>
        {
            let root = Expr::Call(Function::Root, vec![Expr::integer(2), right.clone()]);
            Some((&power.0, *relation, Cow::Owned(root)))
        }
        _ => None,
    }
}

impl Comparer<'_> {
    /// What an absolute value or a square between bounds leaves to its symbol.
    pub(super) fn within(&mut self, inside: &Expr, relation: Relation, bound: &Expr) -> Option<Pieces> {
        let low = Expr::negated(bound.clone());
        // `|x - 2|` and `|2 - x|`
        let (inside, low, bound) = match inside {
            Expr::Add(terms) if terms.len() == 2 => match (&terms[0], &terms[1]) {
                (name @ Expr::Symbol(_), shift) => {
                    (name, Expr::difference(&low, shift), Expr::difference(bound, shift))
                }
                (shift, Expr::Neg(name)) if matches!(**name, Expr::Symbol(_)) => {
                    (&**name, Expr::difference(shift, bound), Expr::Add(vec![shift.clone(), bound.clone()]))
                }
                _ => return None,
            },
            _ => (inside, low, bound.clone()),
        };
        match relation {
            Relation::Less | Relation::LessEqual => {
                self.solved(&[low, inside.clone(), bound], &[relation, relation])
            }
            Relation::Greater | Relation::GreaterEqual => {
                let mut pieces = self.solved(&[inside.clone(), bound], &[relation])?;
                pieces.extend(self.solved(&[inside.clone(), low], &[relation.flipped()])?);
                Some(pieces)
            }
            _ => None,
        }
    }
}
