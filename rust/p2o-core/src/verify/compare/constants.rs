//! Free constants: of integration, and of a family of solutions. Their names say nothing.

use crate::verify::expr::Expr;
use crate::verify::fuel::Fuel;
use crate::verify::scalar;

/// Names by which a gold calls a free constant.
fn is_constant(name: &str) -> bool {
    let (stem, index) = name.split_once('_').unwrap_or((name, "1"));
    matches!(stem, "C" | "c" | "K" | "k") && index.bytes().all(|digit| digit.is_ascii_digit())
}

/// Names that an answer may give it.
fn may_be_constant(name: &str) -> bool {
    is_constant(name) || matches!(name.split('_').next(), Some("A" | "B" | "D"))
}

/// Names of variables: where there is none, a capital names something given.
fn is_variable(name: &str) -> bool {
    matches!(name, "x" | "y" | "z" | "t" | "u" | "s" | "r" | "theta")
}

/// Two antiderivatives without their constants of integration, moved so that they agree at one point.
pub(super) fn without_constant(gold: &Expr, answer: &Expr, fuel: &mut Fuel) -> Option<(Expr, Expr)> {
    let (gold, answer) = (antiderivative(gold)?, antiderivative(answer)?);
    let variables = gold.symbols();
    if variables.is_empty()
        || variables != answer.symbols()
        || !variables.iter().all(|name| is_variable(name))
    {
        return None;
    }
    let difference = Expr::difference(&gold, &answer);
    // Two points, because a difference that has no value at one of them may have one at the other.
    [3, 2].into_iter().find_map(|point| {
        let at = difference.at(&variables, (point..).map(Expr::integer));
        scalar::magnitude(&at, fuel)?;
        Some((difference.clone(), at))
    })
}

/// What stands before the "+ C" of a sum that has it nowhere else.
fn antiderivative(expr: &Expr) -> Option<Expr> {
    let Expr::Add(terms) = expr else { return None };
    let (Expr::Symbol(constant), rest) = terms.split_last()? else { return None };
    let body = Expr::Add(rest.to_vec());
    (is_constant(constant) && !body.symbols().contains(&&**constant)).then_some(body)
}

/// The answer with its free constants renamed to the gold's, in order and, if there are two, in the other order.
pub(super) fn renamed(gold: &Expr, answer: &Expr) -> Vec<Expr> {
    let (names, given) = (gold.symbols(), answer.symbols());
    let mut own: Vec<&str> = names.iter().filter(|name| !given.contains(name)).copied().collect();
    let mut other: Vec<&str> = given.iter().filter(|name| !names.contains(name)).copied().collect();
    if own.is_empty() && other.is_empty() {
        own = names.iter().filter(|name| is_constant(name)).copied().collect();
        other.clone_from(&own);
    }
    let mut shared = names.iter().filter(|name| given.contains(name) && !own.contains(name));
    let families = !own.is_empty()
        && own.len() == other.len()
        && own.iter().all(|name| is_constant(name))
        && other.iter().all(|name| may_be_constant(name))
        && names.len() > own.len()
        && shared.all(|name| is_variable(name));
    match own[..] {
        _ if !families => Vec::new(),
        [first, second] => vec![answer.renamed(&other, &own), answer.renamed(&other, &[second, first])],
        _ => vec![answer.renamed(&other, &own)],
    }
}
