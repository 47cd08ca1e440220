//! Sums with an ellipsis: `1 + 2 + \\cdots + n`, `1 + x + \\cdots + x^{10}`, `a_1 + a_2 + \\cdots + a_n`.

use dashu_int::IBig;

use crate::verify::expr::{Expr, Series};

/// The sum of the given terms, those that are left out, and the last one.
pub(super) fn sum(given: &[Expr], last: &Expr) -> Option<Expr> {
    indexed(given, last).or_else(|| {
        let whole = || arithmetic(given, last, &|term| Some(term.clone()), &|term| term);
        let Some(Expr::Pow(end)) =
            [last, given.first()?].into_iter().find(|term| matches!(term, Expr::Pow(_)))
        else {
            return whole();
        };
        let exponent_of = |term: &Expr| exponent(term, &end.0);
        let base_of = |term: &Expr| match term {
            Expr::Pow(pair) if pair.1 == end.1 => Some(pair.0.clone()),
            one => one.literal_integer().filter(|one| *one == IBig::ONE).map(|_| Expr::integer(1)),
        };
        let by_exponent = || {
            let last = exponent(last, &end.0)?;
            arithmetic(given, &last, &exponent_of, &|place| Expr::Pow(Box::new((end.0.clone(), place))))
        };
        let by_base = || {
            let last = base_of(last)?;
            arithmetic(given, &last, &base_of, &|place| Expr::Pow(Box::new((place, end.1.clone()))))
        };
        by_exponent().or_else(by_base).or_else(whole)
    })
}

/// Terms that differ in a number that grows by the same step.
fn arithmetic(
    given: &[Expr],
    last: &Expr,
    place: &dyn Fn(&Expr) -> Option<Expr>,
    term: &dyn Fn(Expr) -> Expr,
) -> Option<Expr> {
    const INDEX: &str = "…";
    let places: Vec<IBig> = given.iter().map(|term| place(term)?.literal_integer()).collect::<Option<_>>()?;
    let step = places.get(1)? - &places[0];
    if step == IBig::ZERO || places.windows(2).any(|pair| &pair[1] - &pair[0] != step) {
        return None;
    }
    let (first, step) = (Expr::rational(places[0].clone().into()), Expr::rational(step.into()));
    let index = Expr::Symbol(INDEX.into());
    let body = Expr::Add(vec![first.clone(), Expr::Mul(vec![step.clone(), index])]);
    let count = Expr::Div(Box::new((Expr::difference(last, &first), step)));
    let bounds = Box::new((Expr::integer(0), count));
    Some(Expr::Series { kind: Series::Sum, variable: INDEX.into(), bounds, body: Box::new(term(body)) })
}

/// The exponent of a power of `base`: 0 of 1, 1 of the base itself.
fn exponent(term: &Expr, base: &Expr) -> Option<Expr> {
    match term {
        Expr::Pow(pair) if pair.0 == *base => Some(pair.1.clone()),
        term if term == base => Some(Expr::integer(1)),
        number => {
            let number = number.literal_integer()?;
            if number == IBig::ONE {
                return Some(Expr::integer(0));
            }
            let base = base.literal_integer().filter(|base| *base > IBig::ONE)?;
            (1..64u8)
                .find(|power| base.pow(usize::from(*power)) == number)
                .map(|power| Expr::integer(i64::from(power)))
        }
    }
}

/// `a_1 + \\cdots + a_n` is named by its ends, whichever comes first.
fn indexed(given: &[Expr], last: &Expr) -> Option<Expr> {
    let parts = |term: &Expr| match term {
        Expr::Symbol(name) => name.split_once('_').map(|(stem, index)| (stem.to_string(), index.to_string())),
        _ => None,
    };
    let (stem, index) = parts(given.first()?)?;
    let (other, end) = parts(last)?;
    if stem != other || given.iter().any(|term| parts(term).is_none_or(|(name, _)| name != stem)) {
        return None;
    }
    let (low, high) = if index <= end { (index, end) } else { (end, index) };
    Some(Expr::Symbol(format!("{stem}_{low}…{stem}_{high}").into()))
}
