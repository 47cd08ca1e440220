//! Items of two lists paired off, each with one that equals it.

use rustc_hash::FxHashMap;

use super::Comparer;
use crate::verify::Tier;
use crate::verify::expr::Expr;
use crate::verify::licence::Licences;
use crate::verify::scalar::{Outcome, fingerprint};

impl Comparer<'_> {
    /// Whether the items can be paired off as they are.
    pub(super) fn pairs(&mut self, gold: &[Expr], answer: &[Expr]) -> Outcome {
        let mut pairing = Pairing {
            gold,
            answer,
            partners: vec![None; answer.len()],
            compared: FxHashMap::default(),
            tier: Tier::Exact,
        };
        for left in pairing.exact(self) {
            if !pairing.augment(left, &mut vec![false; answer.len()], self) {
                return Outcome::Different(pairing.tier);
            }
        }
        let pairs = pairing.partners.iter().enumerate();
        let licences = pairs.fold(Licences::NONE, |all, (right, left)| {
            let found = left.and_then(|left| pairing.compared[&(left, right)]);
            all.union(found.unwrap_or_default())
        });
        self.by(licences, |_| Outcome::Equal(pairing.tier))
    }
}

/// A growing bipartite matching (Kuhn 1955).
struct Pairing<'a> {
    gold: &'a [Expr],
    answer: &'a [Expr],
    /// The gold that each answer is paired with.
    partners: Vec<Option<usize>>,
    /// The licences by which two items are equal, none if they are not.
    compared: FxHashMap<(usize, usize), Option<Licences>>,
    tier: Tier,
}

impl Pairing<'_> {
    /// Pairs off what has the same exact value or the same fingerprint, and returns the golds that are left; that settles
    /// most lists at once.
    fn exact(&mut self, comparer: &mut Comparer<'_>) -> Vec<usize> {
        let mut free: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        for (index, item) in self.answer.iter().enumerate().rev() {
            if let Some(key) = fingerprint(item, comparer.fuel) {
                free.entry(key).or_default().push(index);
            }
        }
        let mut left_over = Vec::new();
        for (left, item) in self.gold.iter().enumerate() {
            let key = fingerprint(item, comparer.fuel);
            let right = key.and_then(|key| free.get_mut(&key)?.pop());
            match right.filter(|&right| self.equal(left, right, comparer)) {
                Some(right) => self.partners[right] = Some(left),
                None => left_over.push(left),
            }
        }
        left_over
    }

    fn augment(&mut self, left: usize, tried: &mut [bool], comparer: &mut Comparer<'_>) -> bool {
        for right in 0..self.answer.len() {
            if tried[right] || !self.equal(left, right, comparer) {
                continue;
            }
            tried[right] = true;
            if self.partners[right].is_none_or(|other| self.augment(other, tried, comparer)) {
                self.partners[right] = Some(left);
                return true;
            }
        }
        false
    }

    fn equal(&mut self, left: usize, right: usize, comparer: &mut Comparer<'_>) -> bool {
        if let Some(known) = self.compared.get(&(left, right)) {
            return known.is_some();
        }
        let (outcome, licences) = comparer.alone(&self.gold[left], &self.answer[right]);
        self.tier = self.tier.max(outcome.tier());
        self.compared.insert((left, right), outcome.is_equal().then_some(licences));
        outcome.is_equal()
    }
}
