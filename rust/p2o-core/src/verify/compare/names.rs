//! Which expressions name a value, so that the other side of their equation says it.

use std::borrow::Cow;

use crate::verify::expr::{Expr, Function};

/// Name and argument of `f(x)`, of a `P(x)` that was read as a product, of the inverse `f^{-1}(x)`, of a sequence `a_n`.
pub(super) fn applied(expr: &Expr) -> Option<(Cow<'_, str>, &str)> {
    match expr {
        Expr::Apply(function, arguments) => match &arguments[..] {
            [Expr::Symbol(argument)] => Some((Cow::Borrowed(function), argument)),
            _ => None,
        },
        Expr::Mul(factors) => match &factors[..] {
            [Expr::Symbol(function), Expr::Symbol(argument)]
                if function.len() == 1
                    && function.starts_with(char::is_uppercase)
                    && argument.starts_with(char::is_lowercase) =>
            {
                Some((Cow::Borrowed(function), argument))
            }
            [Expr::Pow(inverse), Expr::Symbol(argument)] => match (&inverse.0, &inverse.1) {
                (Expr::Symbol(function), Expr::Neg(one)) if **one == Expr::integer(1) => {
                    Some((Cow::Owned(format!("{function}⁻¹")), argument))
                }
                _ => None,
            },
            _ => None,
        },
        Expr::Symbol(name) => {
            let (sequence, index) = name.split_once('_')?;
            let letter = index.len() == 1 && index.starts_with(|index: char| index.is_ascii_lowercase());
            letter.then_some((Cow::Borrowed(sequence), index))
        }
        _ => None,
    }
}

/// What `dy/dx` and `y'` are the derivative of.
pub(super) fn differentiated(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Symbol(name) => name.strip_suffix('\'').filter(|name| !name.ends_with('\'')),
        Expr::Div(pair) => match (differential(&pair.0)?, differential(&pair.1)?) {
            ([Expr::Symbol(name)], [Expr::Symbol(_)]) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression measures what it names, `|AB|`, `|z|`, `AB:CD`, `\cos 2\theta`, `\max f`, or joins it: `A \cap B`, `f(1) + f(2)`.
/// Of `|x| = 5` the x is asked for.
pub(super) fn names_a_quantity(expr: &Expr) -> bool {
    let known = |name: &&str| {
        *name == "z" || name.starts_with("vec(") || name.starts_with(|first: char| first.is_uppercase())
    };
    let named = |argument: &Expr| !argument.symbols().is_empty();
    let measured = |argument: &Expr| named(argument) && argument.symbols().iter().all(known);
    match expr {
        Expr::Ratio(parts) => parts.iter().all(names_a_value),
        Expr::Call(Function::Max | Function::Min, arguments) => arguments.iter().all(names_a_value),
        Expr::Call(Function::Abs, of) => of.iter().all(measured),
        Expr::Call(
            Function::Sin
            | Function::Cos
            | Function::Tan
            | Function::Gcd
            | Function::Lcm
            | Function::Re
            | Function::Im,
            of,
        ) => of.iter().all(named),
        Expr::SetOperation(_, sets) => names_a_value(&sets.0) && names_a_value(&sets.1),
        Expr::Div(pair) => [&pair.0, &pair.1].into_iter().all(|part| names_a_value(part) && measured(part)),
        Expr::Add(parts) => parts.iter().all(|part| matches!(part, Expr::Apply(..))),
        _ => false,
    }
}

/// What stands behind the d of a differential: y of `dy`, nothing of d alone.
fn differential(expr: &Expr) -> Option<&[Expr]> {
    let d = Expr::Symbol("d".into());
    match expr {
        Expr::Mul(factors) if factors[0] == d => Some(&factors[1..]),
        _ => (*expr == d).then_some(&[]),
    }
}

/// Whether an expression is made of names alone: `m + n`, `100m + n`, `a : b`, `f(1) - f(0)`; `2x` and `x^2` are values of their
/// own.
pub(super) fn combines_names(expr: &Expr) -> bool {
    let digit = |part: &Expr| match part {
        Expr::Mul(factors) if factors.len() == 2 && names_a_value(&factors[1]) => {
            [10, 100, 1000].iter().any(|place| factors[0] == Expr::integer(*place))
        }
        _ => false,
    };
    names_a_value(expr)
        || names_a_quantity(expr)
        || match expr {
            // d/dx of something
            Expr::Mul(parts) if matches!(&parts[0], Expr::Div(pair) if differential(&pair.0) == Some(&[])) => {
                true
            }
            Expr::Add(parts) => parts.iter().all(|part| combines_names(part) || digit(part)),
            Expr::Mul(parts) | Expr::Call(Function::Abs, parts) => parts.iter().all(combines_names),
            Expr::Neg(inner) => combines_names(inner),
            Expr::Div(pair) => combines_names(&pair.0) && combines_names(&pair.1),
            _ => false,
        }
}

/// Whether an expression has unknowns still to be solved for: `2x`, `x^2`, `x + 1`, `x^2 + y^2`. One of other letters is mostly
/// what is asked for (`a^2 + b^2`, `3p + q`, `AB^2`), and so is one of a capital (`R^2`).
pub(super) fn is_unsolved(expr: &Expr) -> bool {
    fn is_built(expr: &Expr) -> bool {
        match expr {
            Expr::Symbol(_) | Expr::Number(_) | Expr::Constant(_) => true,
            Expr::Add(parts)
            | Expr::Mul(parts)
            | Expr::Call(
                Function::Root | Function::Ln | Function::Log | Function::Factorial | Function::Floor,
                parts,
            ) => parts.iter().all(is_built),
            Expr::Neg(inner) => is_built(inner),
            Expr::Div(pair) | Expr::Pow(pair) => is_built(&pair.0) && is_built(&pair.1),
            _ => false,
        }
    }
    let is_lower = |name: &str| matches!(name.as_bytes(), [letter] if letter.is_ascii_lowercase());
    let symbols = expr.symbols();
    let unknown = match symbols[..] {
        [name] => (is_lower(name) || name.len() > 3 && name.is_ascii()) && !matches!(expr, Expr::Symbol(_)),
        _ => symbols.iter().all(|name| matches!(*name, "x" | "y" | "z")) && !combines_names(expr),
    };
    unknown && !symbols.is_empty() && is_built(expr)
}

/// Whether an expression only names something: `x`, `f(x)`, `(x, y)`, `AB`, `g^{-1}(x)`.
pub(super) fn names_a_value(expr: &Expr) -> bool {
    match expr {
        Expr::Symbol(_) | Expr::Apply(..) => true,
        Expr::Mul(factors) => factors.iter().enumerate().all(|(index, factor)| match factor {
            Expr::Symbol(_) | Expr::Apply(..) => true,
            Expr::Tuple { items, .. } => items.iter().all(names_a_value),
            Expr::Pow(pair) => index == 0 && matches!(pair.0, Expr::Symbol(_)),
            Expr::Number(_) => index == factors.len() - 1,
            // P(X = 2), P(A ∪ B)
            Expr::Chain { .. } | Expr::SetOperation(..) => index > 0,
            _ => false,
        }),
        Expr::Tuple { items, .. } | Expr::Vector(items) => items.iter().all(names_a_value),
        // dy/dx
        Expr::Div(pair) => [&pair.0, &pair.1]
            .into_iter()
            .all(|part| differential(part).is_some_and(|of| !of.is_empty() && of.iter().all(names_a_value))),
        _ => false,
    }
}
