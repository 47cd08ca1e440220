//! Numbers of combinations and permutations as school books write them: `C(12, 5)`, `C_{12}^5`, `P(5, 3)`.

use dashu_int::IBig;

use crate::verify::expr::Expr;
use crate::verify::parse::{combinations, permutations};

/// A pair of scalars of which one counts so, with binomials in its place. `C(12, 5)` beside a point stays one.
pub(super) fn counted(gold: &Expr, answer: &Expr) -> Option<(Expr, Expr)> {
    match (count(gold), count(answer)) {
        (Some(gold), None) if !answer.is_structure() => Some((gold, answer.clone())),
        (None, Some(answer)) if !gold.is_structure() => Some((gold.clone(), answer)),
        (Some(gold), Some(answer)) => Some((gold, answer)),
        _ => None,
    }
}

fn count(expr: &Expr) -> Option<Expr> {
    let (name, all, chosen) = match expr {
        Expr::Mul(factors) => match &factors[..] {
            [Expr::Symbol(name), Expr::Tuple { items, left_closed: false, right_closed: false }] => {
                let [all, chosen] = &items[..] else { return None };
                (&**name, all.literal_integer()?, chosen.literal_integer()?)
            }
            _ => return None,
        },
        Expr::Pow(pair) => {
            let Expr::Symbol(name) = &pair.0 else { return None };
            let (name, all) = name.split_once('_')?;
            (name, all.parse().ok()?, pair.1.literal_integer()?)
        }
        _ => return None,
    };
    // A constant `C_1` may be squared.
    let counts = chosen >= IBig::ZERO && chosen <= all && all > IBig::from(2);
    let (all, chosen) = (Expr::rational(all.into()), Expr::rational(chosen.into()));
    match name {
        "C" if counts => Some(combinations(all, chosen)),
        "P" | "A" if counts => Some(permutations(all, chosen)),
        _ => None,
    }
}
