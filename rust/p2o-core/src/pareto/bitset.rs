//! A growable set of small integers, one bit each.

/// A set of integers; its words beyond the last one stored are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    pub(super) fn with_capacity(bits: usize) -> Self {
        Self { words: vec![0; bits.div_ceil(64)] }
    }

    pub(super) fn insert(&mut self, bit: usize) {
        let word = bit / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (bit % 64);
    }

    pub(super) fn remove(&mut self, bit: usize) {
        if let Some(word) = self.words.get_mut(bit / 64) {
            *word &= !(1 << (bit % 64));
        }
    }

    pub(super) fn contains(&self, bit: usize) -> bool {
        self.words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The members in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| ones(index, word))
    }

    /// The members that are in `mask` too, in ascending order.
    pub(super) fn iter_and<'a>(&'a self, mask: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let pairs = self.words.iter().zip(&mask.words).enumerate();
        pairs.flat_map(|(index, (word, masked))| ones(index, word & masked))
    }

    /// Whether the two sets share a member.
    pub(super) fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// How many members are in `mask` too.
    pub(super) fn count_and(&self, mask: &Self) -> usize {
        self.words.iter().zip(&mask.words).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    /// Takes out every member of `other`.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (word, taken) in self.words.iter_mut().zip(&other.words) {
            *word &= !taken;
        }
    }
}

fn ones(index: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(index * 64 + bit)
    })
}
