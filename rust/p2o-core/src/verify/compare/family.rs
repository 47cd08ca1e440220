//! Families of values with an index that the answer declares: `\frac{\pi}{2} + k\pi, k \in \mathbb{Z}`.

use super::super::expr::Expr;

/// The bodies of two families over the same set, the answer's index renamed to the gold's: its letter says nothing.
pub(super) fn with_one_index<'a>(gold: &'a Expr, answer: &Expr) -> Option<(&'a Expr, Expr)> {
    let (gold_body, gold_index, gold_set) = parts(gold)?;
    let (body, index, set) = parts(answer)?;
    let taken = index != gold_index && body.symbols().contains(&gold_index);
    if gold_set != set || taken {
        return None;
    }
    let renamed = body.map(&mut |node| match node {
        Expr::Symbol(name) if *name == *index => Expr::Symbol(gold_index.into()),
        other => other,
    });
    Some((gold_body, renamed))
}

/// Body, index and set of `body, k ∈ \mathbb{Z}` or of `\{body : k ∈ \mathbb{Z}\}`.
fn parts(expr: &Expr) -> Option<(&Expr, &str, &str)> {
    let (body, condition) = match expr {
        Expr::List(items, _) => match &items[..] {
            [body, condition] => (body, condition),
            _ => return None,
        },
        Expr::SetBuilder(pair) => (&pair.0, &pair.1),
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
