//! The greedy set cover that turns a front into a small set of candidates.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{BitSet, ParetoFront};

impl ParetoFront {
    /// A small set of candidates that together solve what the candidates solve, in the order chosen.
    ///
    /// An instance is solved where the [`score`](ParetoFront::score) reaches `threshold` (for counts, with at least
    /// one success). The candidate with the most newly solved instances comes next, the earliest among equals, until
    /// it would add fewer than `min_gain` (at least 1) or `max_size` are chosen. Gains only shrink, so a candidate's
    /// gain is recounted only when it reaches the top of the queue.
    pub fn cover(
        &self,
        threshold: f64,
        min_gain: usize,
        max_size: Option<usize>,
        exclude: &[usize],
    ) -> Vec<usize> {
        let min_gain = min_gain.max(1);
        let solved: Vec<BitSet> = (0..self.len()).map(|id| self.solved(id, threshold)).collect();
        let mut open = BitSet::with_capacity(self.instances);
        (0..self.instances).for_each(|instance| open.insert(instance));
        let mut queue: BinaryHeap<(usize, Reverse<usize>)> = (0..self.len())
            .filter(|id| !exclude.contains(id))
            .map(|id| (solved[id].count_and(&open), Reverse(id)))
            .collect();
        let mut chosen = Vec::new();
        while let Some((counted, Reverse(id))) = queue.pop() {
            if counted < min_gain || max_size.is_some_and(|size| chosen.len() >= size) {
                break;
            }
            let gain = solved[id].count_and(&open);
            if gain < counted {
                queue.push((gain, Reverse(id)));
                continue;
            }
            open.subtract(&solved[id]);
            chosen.push(id);
        }
        chosen
    }

    /// The instances a candidate solves.
    fn solved(&self, id: usize, threshold: f64) -> BitSet {
        let mut solved = BitSet::with_capacity(self.instances);
        for instance in 0..self.instances {
            if self.value(id, instance).is_some_and(|score| score >= threshold) {
                solved.insert(instance);
            }
        }
        solved
    }
}
