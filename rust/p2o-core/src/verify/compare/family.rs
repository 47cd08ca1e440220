//! Families of values with an index that the answer declares: `\frac{\pi}{2} + k\pi, k \in \mathbb{Z}`.

use std::borrow::Cow;

use super::super::expr::Expr;
use super::super::licence::{Licence, Licences};

/// The bodies of two families over the same set, the answer's index renamed to the gold's: its letter says nothing. A gold
/// that leaves the index undeclared has one of the integers under the same name.
pub(super) fn with_one_index<'a>(gold: &'a Expr, answer: &Expr) -> Option<(Cow<'a, Expr>, Expr, Licences)> {
    let (body, index, set) = parts(answer)?;
    let Some((gold_body, gold_index, gold_set)) = parts(gold) else {
        let undeclared = set == "Z" && gold.symbols().contains(&index) && !declares(gold);
        let licence = Licence::IndexUndeclared.into();
        return undeclared.then(|| (Cow::Borrowed(gold), body.into_owned(), licence));
    };
    let taken = index != gold_index && body.symbols().contains(&gold_index);
    if gold_set != set || taken {
        return None;
    }
    let renamed = body.map(&mut |node| match node {
        Expr::Symbol(name) if *name == *index => Expr::Symbol(gold_index.into()),
        other => other,
    });
    Some((gold_body, renamed, Licences::NONE))
}

fn declares(expr: &Expr) -> bool {
    expr.any(&|node| matches!(node, Expr::Member(_) | Expr::SetBuilder(_)))
}

/// Body, index and set of `body, k ∈ \mathbb{Z}` or of `\{body : k ∈ \mathbb{Z}\}`.
fn parts(expr: &Expr) -> Option<(Cow<'_, Expr>, &str, &str)> {
    let (body, condition) = match expr {
        Expr::List(items, joint) => match &items[..] {
            [body, condition] => (Cow::Borrowed(body), condition),
            [bodies @ .., condition] => (Cow::Owned(Expr::List(bodies.to_vec(), *joint)), condition),
            [] => return None,
        },
        Expr::SetBuilder(pair) => (Cow::Borrowed(&pair.0), &pair.1),
        _ => return None,
    };
    let Expr::Member(member) = condition else { return None };
    match &**member {
        (Expr::Symbol(index), Expr::Symbol(set))
            if matches!(&**set, "Z" | "N") && body.symbols().contains(&&**index) =>
        {
            Some((body, index, set))
        }
        _ => None,
    }
}
