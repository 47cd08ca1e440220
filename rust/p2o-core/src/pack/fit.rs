//! Best-fit decreasing.

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
