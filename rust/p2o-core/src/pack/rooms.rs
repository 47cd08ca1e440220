//! Bins by the room they have left, with a search for the least room that suffices.

/// End of a chain of bins.
const NONE: u32 = u32::MAX;

/// A set of bins ordered by room.
///
/// Rooms are small integers, so the set is a bit for each room, with a tree of 64-bit words above that says where bits
/// are set: search, insertion and removal touch a handful of words. Bins of one room form a chain.
pub(super) struct Rooms {
    /// `levels[0]` has a bit for each room, `levels[k + 1]` one for each word of `levels[k]` that is not 0.
    levels: Vec<Vec<u64>>,
    /// The bin of each room that was inserted last.
    head: Vec<u32>,
    /// The bin inserted before, for each bin.
    next: Vec<u32>,
}

impl Rooms {
    /// An empty set for rooms up to `largest`.
    pub(super) fn new(largest: u32) -> Self {
        let rooms = largest as usize + 1;
        let mut levels = vec![vec![0; rooms.div_ceil(64)]];
        while levels[levels.len() - 1].len() > 1 {
            levels.push(vec![0; levels[levels.len() - 1].len().div_ceil(64)]);
        }
        Self { levels, head: vec![NONE; rooms], next: Vec::new() }
    }

    /// Inserts a bin; bins are numbered from 0 without gaps.
    pub(super) fn insert(&mut self, room: u32, bin: u32) {
        if bin as usize >= self.next.len() {
            self.next.resize(bin as usize + 1, NONE);
        }
        self.next[bin as usize] = std::mem::replace(&mut self.head[room as usize], bin);
        let mut at = room as usize;
        for level in &mut self.levels {
            let word = &mut level[at / 64];
            let was_empty = *word == 0;
            *word |= 1 << (at % 64);
            if !was_empty {
                return;
            }
            at /= 64;
        }
    }

    /// Removes and returns the bin with the least room of at least `length`, of several the one inserted last.
    pub(super) fn take(&mut self, length: u32) -> Option<(u32, u32)> {
        let room = self.least(length as usize)?;
        let bin = self.head[room];
        self.head[room] = self.next[bin as usize];
        if self.head[room] == NONE {
            let mut at = room;
            for level in &mut self.levels {
                let word = &mut level[at / 64];
                *word &= !(1 << (at % 64));
                if *word != 0 {
                    break;
                }
                at /= 64;
            }
        }
        Some((room as u32, bin))
    }

    /// The least room of at least `at` that has a bin: up the tree to a word with a bit at or after, then down.
    fn least(&self, mut at: usize) -> Option<usize> {
        for (height, level) in self.levels.iter().enumerate() {
            let word = level.get(at / 64)? & (u64::MAX << (at % 64));
            if word != 0 {
                let first = at / 64 * 64 + word.trailing_zeros() as usize;
                let down = |at: usize, level: &Vec<u64>| at * 64 + level[at].trailing_zeros() as usize;
                return Some(self.levels[..height].iter().rev().fold(first, down));
            }
            at = at / 64 + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Rooms;

    proptest! {
        #[test]
        fn the_set_is_a_sorted_map_of_stacks(
            largest in prop_oneof![0u32..5, 60u32..70, 4_090u32..4_100, 300_000u32..300_100],
            steps in prop::collection::vec((any::<bool>(), 0.0..1.0f64), 0..200),
        ) {
            let mut rooms = Rooms::new(largest);
            let mut expected: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            let mut bins = 0;
            for (insert, fraction) in steps {
                let room = (fraction * f64::from(largest + 1)) as u32;
                if insert {
                    rooms.insert(room, bins);
                    expected.entry(room).or_default().push(bins);
                    bins += 1;
                } else {
                    let least = expected.range(room..).next().map(|(&room, _)| room);
                    let taken = least.map(|room| (room, expected.get_mut(&room).unwrap().pop().unwrap()));
                    expected.retain(|_, stack| !stack.is_empty());
                    prop_assert_eq!(rooms.take(room), taken);
                }
            }
        }
    }
}
