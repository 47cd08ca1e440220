//! Whether a parsed answer equals a parsed gold: dispatch on what the two are.
//!
//! The gold decides the reading. A pair of kinds that is listed here is compared by its rule, any other pair differs.

mod collection;
mod family;
mod policy;
mod real_set;
mod relation;

use super::Options;
use super::Profile;
use super::Tier;
use super::expr::{Expr, Joint, Relation};
use super::fuel::Fuel;
use super::scalar::{self, Outcome};

/// Deepest nesting of structures inside structures.
const DEPTH: usize = 24;

/// Compares answers under one set of options.
pub(crate) struct Comparer<'a> {
    pub(crate) options: &'a Options,
    pub(crate) fuel: &'a mut Fuel,
    depth: usize,
}

const DIFFERENT: Outcome = Outcome::Different(Tier::Exact);

impl<'a> Comparer<'a> {
    pub(crate) fn new(options: &'a Options, fuel: &'a mut Fuel) -> Self {
        Self { options, fuel, depth: 0 }
    }

    fn compat(&self) -> bool {
        self.options.profile == Profile::MathVerify
    }

    fn strict(&self) -> bool {
        self.options.profile == Profile::Strict
    }

    /// Compares a gold with an answer.
    pub(crate) fn equal(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        if gold == answer {
            return scalar::identical(gold);
        }
        if self.depth >= DEPTH || self.fuel.spend(40).is_err() {
            self.fuel.give_up();
            return DIFFERENT;
        }
        self.depth += 1;
        let outcome = self.dispatch(gold, answer);
        self.depth -= 1;
        outcome
    }

    fn dispatch(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        let (gold, answer) = (&distributed(expanded(gold)), &distributed(expanded(answer)));
        if let Some((gold, answer)) = family::with_one_index(gold, answer) {
            return self.equal(&gold, &answer);
        }
        match (gold, answer) {
            (Expr::Chain { .. } | Expr::Member(_), _) | (_, Expr::Chain { .. } | Expr::Member(_)) => {
                self.relations(gold, answer)
            }
            (Expr::List(..) | Expr::Set(_), _) | (_, Expr::List(..) | Expr::Set(_)) => {
                self.collections(gold, answer)
            }
            (Expr::Tuple { .. }, Expr::Tuple { .. }) => self.tuples(gold, answer),
            (Expr::Tuple { .. }, Expr::Mul(factors)) if !self.compat() && is_named_point(factors) => {
                self.equal(gold, &factors[1])
            }
            _ if real_set::is_set(gold) || real_set::is_set(answer) => self.real_sets(gold, answer),
            (Expr::Tuple { .. } | Expr::Vector(_) | Expr::Matrix(_), _)
            | (_, Expr::Tuple { .. } | Expr::Vector(_) | Expr::Matrix(_)) => self.arrays(gold, answer),
            (Expr::Ratio(left), Expr::Ratio(right)) => self.ratios(left, right),
            _ if gold.is_structure() || answer.is_structure() => DIFFERENT,
            _ => self.scalars(gold, answer),
        }
    }

    /// `a:b:c` equals its multiples.
    fn ratios(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        if gold.len() != answer.len() {
            return DIFFERENT;
        }
        let mut tier = Tier::Exact;
        if gold.iter().zip(answer).any(|(left, right)| self.in_other_units(left, right)) {
            return DIFFERENT;
        }
        for (left, right) in gold[1..].iter().zip(&answer[1..]) {
            let crossed = Expr::Mul(vec![gold[0].clone(), right.clone()]);
            let other = Expr::Mul(vec![answer[0].clone(), left.clone()]);
            match super::scalar::equal(&crossed, &other, self.fuel) {
                Outcome::Equal(found) => tier = tier.max(found),
                different @ Outcome::Different(_) => return different,
            }
        }
        Outcome::Equal(tier)
    }

    /// Item by item.
    fn in_order(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        if gold.len() != answer.len() {
            return DIFFERENT;
        }
        let mut tier = Tier::Exact;
        for (left, right) in gold.iter().zip(answer) {
            match self.equal(left, right) {
                Outcome::Equal(found) => tier = tier.max(found),
                different @ Outcome::Different(_) => return different,
            }
        }
        Outcome::Equal(tier)
    }
}

/// `a ± b` as the list of its two values; anything else as it is.
fn expanded(expr: &Expr) -> Expr {
    let ambiguous = |node: &Expr| matches!(node, Expr::PlusMinus { .. });
    match expr {
        Expr::List(items, joint) if items.iter().any(|item| item.any(&ambiguous)) => {
            Expr::List(items.iter().flat_map(both_signs).collect(), *joint)
        }
        Expr::Set(items) if items.iter().any(|item| item.any(&ambiguous)) => {
            Expr::Set(items.iter().flat_map(both_signs).collect())
        }
        Expr::List(..) | Expr::Set(_) => expr.clone(),
        other if other.any(&ambiguous) => Expr::List(both_signs(other), Joint::Or),
        other => other.clone(),
    }
}

/// A scalar multiple of a matrix as a matrix.
fn distributed(expr: Expr) -> Expr {
    let cells = |rows: &[Vec<Expr>], change: &dyn Fn(&Expr) -> Expr| {
        Expr::Matrix(rows.iter().map(|row| row.iter().map(change).collect()).collect())
    };
    match &expr {
        Expr::Neg(inner) => match &**inner {
            Expr::Matrix(rows) => cells(rows, &|cell| Expr::Neg(Box::new(cell.clone()))),
            _ => expr,
        },
        Expr::Div(pair) => match &pair.0 {
            Expr::Matrix(rows) => cells(rows, &|cell| Expr::Div(Box::new((cell.clone(), pair.1.clone())))),
            _ => expr,
        },
        Expr::Mul(factors) => {
            let matrix = factors.iter().position(|factor| matches!(factor, Expr::Matrix(_)));
            match matrix.map(|index| (index, &factors[index])) {
                Some((index, Expr::Matrix(rows))) => cells(rows, &|cell| {
                    let mut product = factors.clone();
                    product[index] = cell.clone();
                    Expr::Mul(product)
                }),
                _ => expr,
            }
        }
        _ => expr,
    }
}

/// `P(3, -2)`: a point with its name.
fn is_named_point(factors: &[Expr]) -> bool {
    matches!(factors, [Expr::Symbol(name), Expr::Tuple { .. }] if name.starts_with(char::is_uppercase))
}

fn both_signs(expr: &Expr) -> Vec<Expr> {
    if !expr.any(&|node| matches!(node, Expr::PlusMinus { .. })) {
        return vec![expr.clone()];
    }
    let reading = |upper: bool| {
        expr.map(&mut |node| match node {
            Expr::PlusMinus { term, lower } if upper != lower => *term,
            Expr::PlusMinus { term, .. } => Expr::Neg(term),
            other => other,
        })
    };
    vec![reading(true), reading(false)]
}

/// What a chain of equalities names and what it says, or none for other relations.
fn equation(expr: &Expr) -> Option<(&[Expr], &[Relation])> {
    match expr {
        Expr::Chain { operands, relations }
            if relations.iter().all(|relation| matches!(relation, Relation::Equal | Relation::Approx)) =>
        {
            Some((operands, relations))
        }
        _ => None,
    }
}
