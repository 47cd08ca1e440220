//! Items of two lists paired off, each with one that equals it.

use std::collections::HashMap;

use super::Comparer;
use crate::verify::Tier;
use crate::verify::expr::Expr;
use crate::verify::licence::Licences;
use crate::verify::scalar::{Outcome, fingerprint};

impl Comparer<'_> {
    /// Whether the items can be paired off as they are.
    pub(super) fn pairs(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        let mut pairing = Pairing::exact(gold, answer, self);
        for left in 0..gold.len() {
            if pairing.partner_of_gold[left].is_none() {
                let mut tried = vec![false; answer.len()];
                if !pairing.augment(left, &mut tried, gold, answer, self) {
                    return Outcome::Different(pairing.tier);
                }
            }
        }
        let licences = pairing.licences();
        self.by(licences, |_| Outcome::Equal(pairing.tier))
    }
}

/// A growing bipartite matching (Kuhn 1955).
struct Pairing {
    partner_of_gold: Vec<Option<usize>>,
    partner_of_answer: Vec<Option<usize>>,
    /// The licences by which two items are equal, none if they are not.
    compared: HashMap<(usize, usize), Option<Licences>>,
    tier: Tier,
}

impl Pairing {
    /// Pairs off what has the same exact value or the same fingerprint; that settles most lists at once.
    fn exact(gold: &[Expr], answer: &[Expr], comparer: &mut Comparer<'_>) -> Self {
        let mut pairing = Self {
            partner_of_gold: vec![None; gold.len()],
            partner_of_answer: vec![None; answer.len()],
            compared: HashMap::new(),
            tier: Tier::Exact,
        };
        let mut free: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, item) in answer.iter().enumerate().rev() {
            if let Some(key) = fingerprint(item, comparer.fuel) {
                free.entry(key).or_default().push(index);
            }
        }
        for (left, item) in gold.iter().enumerate() {
            let Some(key) = fingerprint(item, comparer.fuel) else { continue };
            let Some(right) = free.get_mut(&key).and_then(Vec::pop) else { continue };
            if pairing.equal(left, right, gold, answer, comparer) {
                pairing.partner_of_gold[left] = Some(right);
                pairing.partner_of_answer[right] = Some(left);
            }
        }
        pairing
    }

    /// The licences by which the pairs are equal.
    fn licences(&self) -> Licences {
        let pairs = self.partner_of_gold.iter().enumerate();
        pairs.fold(Licences::NONE, |all, (left, right)| {
            let found = right.and_then(|right| *self.compared.get(&(left, right))?);
            all.union(found.unwrap_or_default())
        })
    }

    fn augment(
        &mut self,
        left: usize,
        tried: &mut [bool],
        gold: &[Expr],
        answer: &[Expr],
        comparer: &mut Comparer<'_>,
    ) -> bool {
        for right in 0..answer.len() {
            if tried[right] || !self.equal(left, right, gold, answer, comparer) {
                continue;
            }
            tried[right] = true;
            let free = match self.partner_of_answer[right] {
                None => true,
                Some(other) => self.augment(other, tried, gold, answer, comparer),
            };
            if free {
                self.partner_of_gold[left] = Some(right);
                self.partner_of_answer[right] = Some(left);
                return true;
            }
        }
        false
    }

    fn equal(
        &mut self,
        left: usize,
        right: usize,
        gold: &[Expr],
        answer: &[Expr],
        comparer: &mut Comparer<'_>,
    ) -> bool {
        if let Some(known) = self.compared.get(&(left, right)) {
            return known.is_some();
        }
        let (outcome, licences) = comparer.alone(&gold[left], &answer[right]);
        self.tier = self.tier.max(outcome.tier());
        self.compared.insert((left, right), outcome.is_equal().then_some(licences));
        outcome.is_equal()
    }
}
