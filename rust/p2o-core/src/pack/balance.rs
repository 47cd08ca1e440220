//! Equal numbers of bins for each rank, at about equal cost.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Deals items to `parts` parts so that the parts' total costs are about equal and their sizes differ by at most one.
///
/// Items are dealt in rounds of `parts`, most costly first; within a round the costliest item goes to the part with
/// the least so far. So the k-th items of all parts cost about the same too: ranks that wait for each other
/// after every micro-step wait little. Ties go to the lower index.
///
/// Returns the part of each item. No parts: no item may be given.
///
/// # Panics
///
/// If `parts` is 0 and there are items.
pub fn balance(costs: &[f64], parts: usize) -> Vec<u32> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_unstable_by(|&a, &b| costs[b].total_cmp(&costs[a]).then(a.cmp(&b)));
    let mut totals = vec![0.0; parts];
    let mut by_total: Vec<usize> = (0..parts).collect();
    let mut part_of = vec![0; costs.len()];
    for round in order.chunks(parts.max(1)) {
        by_total.sort_unstable_by(|&a, &b| f64::total_cmp(&totals[a], &totals[b]).then(a.cmp(&b)));
        for (&item, &part) in round.iter().zip(&by_total) {
            part_of[item] = part as u32;
            totals[part] += costs[item];
        }
    }
    part_of
}

/// A bin in the heap of bins to split: the most costly on top, ties to the lower index.
#[derive(PartialEq)]
struct Heaviest {
    cost: f64,
    bin: usize,
}

impl Eq for Heaviest {}

impl PartialOrd for Heaviest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Heaviest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cost.total_cmp(&other.cost).then(other.bin.cmp(&self.bin))
    }
}

/// Splits the most costly bins in two until there are `target`; adds empty bins when only bins of one row are left.
pub(super) fn split_until(bins: &mut Vec<Vec<u32>>, target: usize, cost: &impl Fn(u32) -> f64) {
    let entry = |bin: usize, rows: &[u32]| Heaviest { cost: rows.iter().copied().map(cost).sum(), bin };
    let mut heap: BinaryHeap<Heaviest> = bins
        .iter()
        .enumerate()
        .filter(|(_, rows)| rows.len() > 1)
        .map(|(bin, rows)| entry(bin, rows))
        .collect();
    while bins.len() < target {
        let Some(Heaviest { bin, .. }) = heap.pop() else {
            bins.resize_with(target, Vec::new);
            return;
        };
        let (left, right) = halves(std::mem::take(&mut bins[bin]), cost);
        for (at, half) in [(bin, &left), (bins.len(), &right)] {
            if half.len() > 1 {
                heap.push(entry(at, half));
            }
        }
        bins[bin] = left;
        bins.push(right);
    }
}

/// Splits rows into two bins of about equal cost, neither empty: most costly first, each to the lighter half.
fn halves(mut rows: Vec<u32>, cost: &impl Fn(u32) -> f64) -> (Vec<u32>, Vec<u32>) {
    rows.sort_unstable_by(|&a, &b| cost(b).total_cmp(&cost(a)).then(a.cmp(&b)));
    let mut halves = (Vec::new(), Vec::new());
    let mut totals = (0.0, 0.0);
    for row in rows {
        if halves.0.is_empty() || (!halves.1.is_empty() && totals.0 <= totals.1) {
            halves.0.push(row);
            totals.0 += cost(row);
        } else {
            halves.1.push(row);
            totals.1 += cost(row);
        }
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::split_until;

    /// A row costs its number.
    fn split(mut bins: Vec<Vec<u32>>, target: usize) -> Vec<Vec<u32>> {
        split_until(&mut bins, target, &|row| f64::from(row));
        bins
    }

    #[test]
    fn the_heaviest_bin_is_split_into_even_halves() {
        // 9 + 4 + 3 is heaviest: 9 against 4 + 3. Then 8 + 2 is.
        assert_eq!(
            split(vec![vec![8, 2], vec![4, 9, 3], vec![1]], 5),
            [vec![8], vec![9], vec![1], vec![4, 3], vec![2]]
        );
    }

    #[test]
    fn halves_are_split_again() {
        assert_eq!(split(vec![vec![5, 6, 7, 8]], 4), [vec![8], vec![7], vec![5], vec![6]]);
    }

    #[test]
    fn bins_of_one_row_stay_however_heavy() {
        assert_eq!(split(vec![vec![9], vec![2, 1]], 3), [vec![9], vec![2], vec![1]]);
        assert_eq!(split(vec![vec![9, 1], vec![3, 2]], 4), [vec![9], vec![3], vec![1], vec![2]]);
    }

    #[test]
    fn rows_without_a_cost_are_split_too() {
        let mut bins = vec![vec![1, 2]];
        split_until(&mut bins, 2, &|_| 0.0);
        assert_eq!(bins, [vec![1], vec![2]]);
    }

    #[test]
    fn of_equal_halves_the_first_gets_the_next_row() {
        let mut bins = vec![vec![1, 2, 3]];
        split_until(&mut bins, 2, &|_| 1.0);
        assert_eq!(bins, [vec![1, 3], vec![2]]);
    }

    #[test]
    fn empty_bins_come_when_rows_run_out() {
        assert_eq!(split(vec![vec![1, 2], vec![3]], 5), [vec![2], vec![3], vec![1], vec![], vec![]]);
    }
}
