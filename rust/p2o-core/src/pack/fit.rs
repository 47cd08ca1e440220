//! Rows into bins: few full ones, or a given number of about equal cost.

use std::collections::BTreeSet;

use super::PackError;

/// Puts each row, longest first, into the bin with the least room that still takes it; opens a bin when none does.
///
/// Ties: rows of one length by index, bins of one room by index. At most 11/9 of the fewest bins possible, plus one.
pub(super) fn best_fit_decreasing(lengths: &[u32], budget: u32) -> Result<Vec<Vec<u32>>, PackError> {
    if let Some(row) = lengths.iter().position(|&length| length > budget) {
        return Err(PackError::Overlong { row, length: lengths[row], budget });
    }
    // One integer a row, so that sorting compares nothing else: longest first, then the lower index.
    let mut rows: Vec<u64> =
        (0u64..).zip(lengths).map(|(row, &length)| u64::from(u32::MAX - length) << 32 | row).collect();
    rows.sort_unstable();

    let mut bins: Vec<Vec<u32>> = Vec::new();
    // (room, bin) of every bin, as one integer for the same reason.
    let mut rooms: BTreeSet<u64> = BTreeSet::new();
    for key in rows {
        let row = key as u32;
        let length = lengths[row as usize];
        let best = rooms.range(u64::from(length) << 32..).next().copied();
        let (room, bin) = if let Some(entry) = best {
            rooms.remove(&entry);
            ((entry >> 32) as u32, entry as u32)
        } else {
            bins.push(Vec::new());
            (budget, bins.len() as u32 - 1)
        };
        bins[bin as usize].push(row);
        rooms.insert(u64::from(room - length) << 32 | u64::from(bin));
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
    let costs: Vec<f64> = (0..lengths.len() as u32).map(cost).collect();
    let mut rows: Vec<u32> = (0..lengths.len() as u32).collect();
    rows.sort_unstable_by(|&a, &b| costs[b as usize].total_cmp(&costs[a as usize]).then(a.cmp(&b)));

    let mut bins: Vec<Vec<u32>> = vec![Vec::new(); count];
    let mut rooms = vec![budget; count];
    // (cost, rows, bin): the bits of floats that are not negative sort as the floats do.
    let mut lightest: BTreeSet<(u64, usize, usize)> = (0..count).map(|bin| (0, 0, bin)).collect();
    for row in rows {
        let length = lengths[row as usize];
        let entry = *lightest.iter().take(TRIES).find(|&&(_, _, bin)| rooms[bin] >= length)?;
        lightest.remove(&entry);
        let (before, size, bin) = entry;
        bins[bin].push(row);
        rooms[bin] -= length;
        lightest.insert(((f64::from_bits(before) + costs[row as usize]).to_bits(), size + 1, bin));
    }
    Some(bins)
}
