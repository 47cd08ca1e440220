//! Redundancy, weights, and the draw of parents.

use super::random::Random;
use super::{BitSet, ParetoFront};

/// Who survives pruning, and the columns that tell candidates apart.
struct Survivors {
    alive: Vec<bool>,
    informative: BitSet,
}

impl ParetoFront {
    /// The candidates that the others make redundant, ascending: those on no front, and those whose fronts all
    /// keep another survivor. Candidates with the lowest mean go first, then the earliest.
    ///
    /// One pass is enough where GEPA starts again after every removal: a removal only makes the others less
    /// redundant, so one that had to stay stays.
    pub fn dominated(&self) -> Vec<usize> {
        let survivors = self.survivors();
        (0..self.len()).filter(|&id| !survivors.alive[id]).collect()
    }

    /// For each candidate, on how many fronts that carry a signal it stands; 0 for dominated ones.
    pub fn weights(&self) -> Vec<u32> {
        self.weights_among(&self.survivors())
    }

    fn weights_among(&self, survivors: &Survivors) -> Vec<u32> {
        let weight = |id: usize| self.rows[id].count_and(&survivors.informative) as u32;
        (0..self.len()).map(|id| if survivors.alive[id] { weight(id) } else { 0 }).collect()
    }

    /// Up to `k` different candidates, drawn with probability proportional to their weight, in the order drawn.
    ///
    /// When no front carries a signal, all survivors weigh the same (all candidates, if none survives).
    pub fn select(&self, seed: u64, k: usize) -> Vec<usize> {
        let survivors = self.survivors();
        let mut weights: Vec<u64> = self.weights_among(&survivors).into_iter().map(u64::from).collect();
        if weights.iter().all(|&weight| weight == 0) {
            let any = survivors.alive.contains(&true);
            weights = survivors.alive.iter().map(|&alive| u64::from(alive || !any)).collect();
        }
        let mut random = Random::new(seed);
        let mut total: u64 = weights.iter().sum();
        let mut chosen = Vec::new();
        while chosen.len() < k && total > 0 {
            let mut ticket = random.below(total);
            for (id, weight) in weights.iter_mut().enumerate() {
                if ticket < *weight {
                    chosen.push(id);
                    total -= std::mem::take(weight);
                    break;
                }
                ticket -= *weight;
            }
        }
        chosen
    }

    fn survivors(&self) -> Survivors {
        let mut informative = BitSet::with_capacity(self.best.len());
        let mut alone = BitSet::with_capacity(self.best.len());
        let mut counts = self.sizes.clone();
        // A front on which everyone stands only forbids removing the last candidate.
        let mut universal = false;
        for column in self.active() {
            let size = self.sizes[column] as usize;
            if size == self.len() {
                universal |= size > 0;
            } else {
                informative.insert(column);
                if size == 1 {
                    alone.insert(column);
                }
            }
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| self.candidates[a].mean.total_cmp(&self.candidates[b].mean));
        let mut alive = vec![true; self.len()];
        let mut left = self.len();
        for id in order {
            if self.rows[id].intersects(&alone) || (universal && left == 1) {
                continue;
            }
            alive[id] = false;
            left -= 1;
            for column in self.rows[id].iter_and(&informative) {
                counts[column] -= 1;
                if counts[column] == 1 {
                    alone.insert(column);
                }
            }
        }
        Survivors { alive, informative }
    }
}
