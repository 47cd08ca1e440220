//! Rows into bins: few full ones, or a given number of about equal cost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::PackError;
use super::rooms::Rooms;

/// Puts each row, longest first, into the bin with the least room that still takes it; opens a bin when none does.
///
/// Rows ascend within a bin. Ties: rows of one length by index; of bins with one room the one filled last. At most 11/9
/// of the fewest bins possible, plus one.
pub(super) fn best_fit_decreasing(lengths: &[u32], budget: u32) -> Result<Vec<Vec<u32>>, PackError> {
    if let Some(row) = lengths.iter().position(|&length| length > budget) {
        return Err(PackError::Overlong { row, length: lengths[row], budget });
    }
    // One integer a row, so that sorting compares nothing else: longest first, then the lower index.
    let mut rows: Vec<u64> =
        (0u64..).zip(lengths).map(|(row, &length)| u64::from(u32::MAX - length) << 32 | row).collect();
    rows.sort_unstable();

    // No bin holds more than all rows: a budget beyond that changes nothing but the memory for the rooms.
    let total: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
    let capacity = u32::try_from(total).map_or(budget, |total| budget.min(total));
    let mut rooms = Rooms::new(capacity);
    let mut bin_of = vec![0u32; lengths.len()];
    let mut sizes: Vec<usize> = Vec::new();
    for key in rows {
        let row = key as u32 as usize;
        let (room, bin) = rooms.take(lengths[row]).unwrap_or_else(|| {
            sizes.push(0);
            (capacity, sizes.len() as u32 - 1)
        });
        bin_of[row] = bin;
        sizes[bin as usize] += 1;
        rooms.insert(room - lengths[row], bin);
    }
    let mut bins: Vec<Vec<u32>> = sizes.into_iter().map(Vec::with_capacity).collect();
    for (row, bin) in (0u32..).zip(bin_of) {
        bins[bin as usize].push(row);
    }
    Ok(bins)
}

/// How many of the least costly bins are tried for a row: the first nearly always has room.
const TRIES: usize = 32;

/// Puts each row, most costly first, into the least costly of `count` bins that has room for it; `None` if a row finds
/// no room.
///
/// Ties: rows of one cost by index; bins of one cost by their number of rows, then by index.
pub(super) fn even_bins(
    lengths: &[u32],
    budget: u32,
    count: usize,
    cost: &impl Fn(u32) -> f64,
) -> Option<Vec<Vec<u32>>> {
    // The bits of floats that are not negative sort as the floats do.
    let mut rows: Vec<(u64, Reverse<u32>)> =
        (0..lengths.len() as u32).map(|row| (cost(row).to_bits(), Reverse(row))).collect();
    rows.sort_unstable();

    let mut bins: Vec<Vec<u32>> = vec![Vec::new(); count];
    let mut rooms = vec![budget; count];
    let mut lightest: BinaryHeap<Reverse<(u64, usize, usize)>> =
        (0..count).map(|bin| Reverse((0, 0, bin))).collect();
    let mut without_room = Vec::new();
    for (row_cost, Reverse(row)) in rows.into_iter().rev() {
        let length = lengths[row as usize];
        loop {
            let Reverse((bin_cost, size, bin)) = lightest.pop()?;
            if rooms[bin] < length {
                without_room.push(Reverse((bin_cost, size, bin)));
                if without_room.len() == TRIES {
                    return None;
                }
                continue;
            }
            bins[bin].push(row);
            rooms[bin] -= length;
            let sum = f64::from_bits(bin_cost) + f64::from_bits(row_cost);
            lightest.push(Reverse((sum.to_bits(), size + 1, bin)));
            break;
        }
        lightest.extend(without_room.drain(..));
    }
    Some(bins)
}
