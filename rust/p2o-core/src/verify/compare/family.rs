//! Families of values with an index that the answer declares: `\frac{\pi}{2} + k\pi, k \in \mathbb{Z}`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use dashu_base::{Abs, Gcd};
use dashu_ratio::RBig;

use super::collection::unassigned;
use super::{Comparer, DIFFERENT, equation};
use crate::verify::Tier;
use crate::verify::expr::Expr;
use crate::verify::licence::{Licence, Licences};
use crate::verify::scalar::{self, Outcome};

/// Most members of a family in one period.
const LONGEST: i64 = 64;

/// Two families with one index.
pub(super) struct Family<'a> {
    pub(super) gold: Cow<'a, Expr>,
    pub(super) answer: Expr,
    index: String,
    /// Both are over all integers, so that `\pi/4` and `5\pi/4` may stand for each other.
    pub(super) runs_through_integers: bool,
    /// The conventions that it takes to read both as families.
    pub(super) licences: Licences,
}

/// The bodies of two families over the same set, the answer's index renamed to the gold's: its letter says nothing. Where
/// one of them leaves its index undeclared it has one of the integers under the same name.
pub(super) fn with_one_index<'a>(gold: &'a Expr, answer: &Expr) -> Option<Family<'a>> {
    let family = |gold, answer, index: &str, runs_through_integers, licences| {
        Some(Family { gold, answer, index: index.to_string(), runs_through_integers, licences })
    };
    let undeclared_index = Licence::IndexUndeclared.into();
    match (parts(gold), parts(answer)) {
        (Some((gold, index, set)), Some((answer, given, other))) => {
            let taken = given != index && answer.symbols().contains(&index);
            let answer = answer.renamed(&[given], &[index]);
            if set == other && !taken {
                family(gold, answer, index, set == "Z", Licences::NONE)
            } else {
                None
            }
        }
        (Some((gold, index, "Z")), None) => {
            if let Some(progression) = of_residues(answer, index) {
                return family(gold, progression, index, true, Licences::NONE);
            }
            // "x = n\\pi" leaves out what its n may be.
            let known = gold.symbols();
            let free: Vec<&str> = answer.symbols().into_iter().filter(|name| !known.contains(name)).collect();
            let answer = match free[..] {
                [] => answer.clone(),
                [free @ ("k" | "n" | "m" | "t")] => answer.renamed(&[free], &[index]),
                _ => return None,
            };
            let undeclared = answer.symbols().contains(&index) && !declares(&answer);
            if undeclared { family(gold, answer, index, true, undeclared_index) } else { None }
        }
        (None, Some((body, index, set))) => {
            if set == "Z"
                && let Some(progression) = of_residues(gold, index)
            {
                return family(Cow::Owned(progression), body.into_owned(), index, true, Licences::NONE);
            }
            let value = equation(gold).map_or(gold, |(operands, _)| &operands[operands.len() - 1]);
            let is_point = matches!(value, Expr::Tuple { .. });
            // The parameter of a point has no name of its own.
            let free = match value.symbols()[..] {
                [parameter] if is_point => parameter,
                _ => index,
            };
            if set == "N"
                || set == "R" && !is_point
                || declares(gold)
                || !gold.symbols().contains(&free)
                || body.symbols().contains(&free) && free != index
            {
                return None;
            }
            family(Cow::Borrowed(gold), body.renamed(&[index], &[free]), free, false, undeclared_index)
        }
        (_, None) => None,
    }
}

/// A residue class as a progression: `4k + 1` for `n \equiv 1 \pmod 4`.
fn of_residues(expr: &Expr, index: &str) -> Option<Expr> {
    match expr {
        Expr::Quantity(residue, unit) => {
            let modulus: i64 = unit.strip_prefix("mod ")?.parse().ok()?;
            let steps = Expr::Mul(vec![Expr::integer(modulus), Expr::Symbol(index.into())]);
            Some(Expr::Add(vec![steps, (**residue).clone()]))
        }
        Expr::Chain { operands, relations } if operands.len() == 2 => Some(Expr::Chain {
            operands: vec![operands[0].clone(), of_residues(&operands[1], index)?],
            relations: relations.clone(),
        }),
        _ => None,
    }
}

fn declares(expr: &Expr) -> bool {
    expr.any(|node| matches!(node, Expr::Member(_) | Expr::SetBuilder(_)))
}

/// Body, index and set of `body, k ∈ \mathbb{Z}`, of `\{body : k ∈ \mathbb{Z}\}` or of `\{x : x = body, k ∈ \mathbb{Z}\}`.
fn parts(expr: &Expr) -> Option<(Cow<'_, Expr>, &str, &str)> {
    let (body, condition) = match expr {
        Expr::List(items, joint) => match &items[..] {
            [body, condition] => (Cow::Borrowed(body), condition),
            [bodies @ .., condition] => (Cow::Owned(Expr::List(bodies.to_vec(), *joint)), condition),
            [] => return None,
        },
        Expr::SetBuilder(pair) => match &pair.1 {
            Expr::List(items, _) if matches!(pair.0, Expr::Symbol(_)) => match &items[..] {
                [says, condition] if equation(says).is_some_and(|(operands, _)| operands[0] == pair.0) => {
                    (Cow::Borrowed(says), condition)
                }
                _ => return None,
            },
            condition => (Cow::Borrowed(&pair.0), condition),
        },
        _ => return None,
    };
    let Expr::Member(member) = condition else { return None };
    let set = match &member.1 {
        Expr::Symbol(set) if matches!(&**set, "Z" | "N") => &**set,
        Expr::Reals => "R",
        _ => return None,
    };
    match &member.0 {
        Expr::Symbol(index) if body.symbols().contains(&&**index) => Some((body, index, set)),
        _ => None,
    }
}

impl Comparer<'_> {
    /// Whether two unions of arithmetic progressions are the same numbers: `\pi/4 + k\pi` and `-3\pi/4 + k\pi`.
    pub(super) fn progressions(&mut self, family: &Family<'_>) -> Outcome {
        let [(name, gold), (given, answer)] = [&*family.gold, &family.answer].map(|body| {
            let items = if let Expr::List(items, _) = body { &items[..] } else { std::slice::from_ref(body) };
            unassigned(items, |name| Some(name.clone()))
        });
        if name.is_some() && given.is_some() && name != given
            || gold.iter().chain(&answer).any(Expr::is_structure)
        {
            return DIFFERENT;
        }
        match self.residues(&gold, &answer, &family.index) {
            Some((gold, answer)) if gold == answer => Outcome::Equal(Tier::Numeric),
            _ => DIFFERENT,
        }
    }

    /// The residues of both by one common period, in terms of the first step.
    fn residues(&mut self, gold: &[Expr], answer: &[Expr], index: &str) -> Option<(Residues, Residues)> {
        let (start, unit) = self.line(gold.first()?, index)?;
        let mut lines = Vec::new();
        for body in gold.iter().chain(answer) {
            let (offset, step) = self.line(body, index)?;
            let offset = self.multiple(&Expr::difference(&offset, &start), &unit)?;
            let step = self.multiple(&step, &unit).filter(|step| !step.is_zero())?;
            lines.push((offset, step.abs()));
        }
        let period = lines.iter().map(|(_, step)| step.clone()).reduce(common_multiple)?;
        let members = |(offset, step): &(RBig, RBig)| {
            let times = i64::try_from((&period / step).numerator()).ok().filter(|times| *times <= LONGEST)?;
            let values = (0..times).map(|time| offset + RBig::from(time) * step);
            Some(values.map(|value| &value - (&value / &period).floor() * &period).collect::<Vec<_>>())
        };
        let all: Vec<Vec<RBig>> = lines.iter().map(members).collect::<Option<_>>()?;
        let (left, right) = all.split_at(gold.len());
        Some((left.iter().flatten().cloned().collect(), right.iter().flatten().cloned().collect()))
    }

    /// Where a body starts and by what it steps, if it is linear in the index.
    fn line(&mut self, body: &Expr, index: &str) -> Option<(Expr, Expr)> {
        let at = |place: i64| body.substitute(index, &Expr::integer(place));
        let (start, step) = (at(0), Expr::difference(&at(1), &at(0)));
        let next = Expr::difference(&at(2), &at(1));
        scalar::equal(&step, &next, self.fuel).is_equal().then_some((start, step))
    }

    /// By what number of few parts `unit` is multiplied to give `value`.
    fn multiple(&mut self, value: &Expr, unit: &Expr) -> Option<RBig> {
        if scalar::equal(value, &Expr::integer(0), self.fuel).is_equal() {
            return Some(RBig::ZERO);
        }
        let quotient = Expr::quotient(value.clone(), unit.clone());
        let approximate = scalar::approximate(&quotient, self.fuel)?;
        (1..=LONGEST).find_map(|parts| {
            let near = (&approximate * RBig::from(parts)).round();
            let multiple = RBig::from(near) / RBig::from(parts);
            let close = (&multiple - &approximate).abs() * RBig::from(1i64 << 60) < RBig::ONE;
            let product = Expr::Mul(vec![Expr::rational(multiple.clone()), unit.clone()]);
            (close && scalar::equal(value, &product, self.fuel).is_equal()).then_some(multiple)
        })
    }
}

type Residues = BTreeSet<RBig>;

/// The least common multiple of two positive fractions.
fn common_multiple(left: RBig, right: RBig) -> RBig {
    let ((above, below), (other, under)) = (left.into_parts(), right.into_parts());
    RBig::from_parts(&above * &other / (&above).gcd(&other), below.gcd(under))
}
