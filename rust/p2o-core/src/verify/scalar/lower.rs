//! Notation, once: below here a scalar is made of numbers, symbols, constants, operations and functions.

use std::borrow::Cow;

use crate::verify::expr::{Constant, Expr};

/// The scalar in which percent, degrees, digits in a base, quantities and ratios of two are the numbers that they mean.
pub(crate) fn lowered(expr: &Expr) -> Cow<'_, Expr> {
    if has_notation(expr) { Cow::Owned(expr.map(&mut meant)) } else { Cow::Borrowed(expr) }
}

/// Whether an expression has such a part.
pub(crate) fn has_notation(expr: &Expr) -> bool {
    use Expr as E;
    expr.any(|node| {
        matches!(node, E::Percent(_) | E::Degrees(_) | E::Based { .. } | E::Quantity(..) | E::Ratio(_))
    })
}

/// What a node means whose children are lowered.
fn meant(node: Expr) -> Expr {
    match node {
        Expr::Percent(inner) => Expr::quotient(*inner, Expr::integer(100)),
        Expr::Degrees(inner) => {
            Expr::quotient(Expr::Mul(vec![*inner, Expr::Constant(Constant::Pi)]), Expr::integer(180))
        }
        Expr::Based { value, .. } => Expr::rational(value),
        Expr::Quantity(inner, _) => *inner,
        Expr::Ratio(parts) => match <[Expr; 2]>::try_from(parts) {
            Ok([left, right]) => Expr::quotient(left, right),
            Err(parts) => Expr::Ratio(parts),
        },
        other => other,
    }
}
