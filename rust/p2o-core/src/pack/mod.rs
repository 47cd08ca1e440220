//! Packing of ragged rows into micro-batches under a hard token budget.
//!
//! A [`Packer`] decides which rows share a micro-batch (a *bin*), [`fill`] writes the token arrays in that order. Every
//! rank gets the same number of bins, so that collective operations line up, and about the same cost.
//!
//! All results are functions of the arguments alone: ties between rows and between ranks go to the lower index, and no
//! floating-point sum depends on the order of anything but the rows.
//!
//! ```
//! use p2o_core::pack::Packer;
//!
//! let packing = Packer::new(8).pack(&[6, 4, 3, 2])?;
//! let bins: Vec<&[u32]> = packing.bins().collect();
//! assert_eq!(bins, [&[0, 3][..], &[1, 2]]); // 6 + 2 and 4 + 3 of 8
//! assert_eq!(packing.fill, 15.0 / 16.0);
//!
//! let for_two_ranks = Packer::new(8).ranks(2).quadratic(1e-3).pack(&[6, 4, 3, 2])?;
//! assert_eq!(for_two_ranks.ranks, [0, 1]);
//! # Ok::<(), p2o_core::pack::PackError>(())
//! ```

mod balance;
mod error;
mod fill;
mod fit;
mod rooms;

pub use balance::balance;
pub use error::PackError;
pub use fill::{Filled, IGNORED_LABEL, Rows, fill};

/// Which rows go into which bin, and which bins to which rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Packing {
    /// Row indices bin by bin, ascending within a bin.
    pub indices: Vec<u32>,
    /// Start of each bin in `indices` and the end of the last: one more than there are bins.
    pub bin_offsets: Vec<u32>,
    /// The rank of each bin, ascending. Every rank has the same number of bins, its most costly first.
    pub ranks: Vec<u32>,
    /// Tokens over capacity (bins × budget); 1 when there are no bins.
    pub fill: f64,
}

impl Packing {
    /// The rows of each bin, in the order of `ranks`. A bin is empty only if there are fewer rows than bins must be.
    pub fn bins(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.bin_offsets.windows(2).map(|edge| &self.indices[edge[0] as usize..edge[1] as usize])
    }
}

/// How rows are packed: into bins of at most `budget` tokens, for one rank unless [`ranks`](Self::ranks) says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packer {
    budget: u32,
    ranks: usize,
    quadratic: f64,
}

impl Packer {
    /// Bins of at most `budget` tokens.
    pub const fn new(budget: u32) -> Self {
        Self { budget, ranks: 1, quadratic: 0.0 }
    }

    /// The same number of bins for each of so many ranks.
    #[must_use]
    pub const fn ranks(self, ranks: usize) -> Self {
        Self { ranks, ..self }
    }

    /// A row of L tokens costs L + `quadratic` · L², 0 at first: attention is quadratic within a row only.
    #[must_use]
    pub const fn quadratic(self, quadratic: f64) -> Self {
        Self { quadratic, ..self }
    }

    /// Packs rows of so many tokens.
    ///
    /// Best-fit decreasing gives few, full bins; their number is rounded up to a multiple of the ranks. A bin costs what
    /// its rows cost. For several ranks the rows are dealt anew into that many bins of about equal cost, where the
    /// budget leaves the room; where it does not, the most costly of the full bins are split. Bins are empty only if
    /// there are fewer rows than bins. [`balance`] gives the bins to the ranks.
    ///
    /// # Errors
    ///
    /// [`PackError::Overlong`] names the first row that is longer than the budget; other variants name the setting that
    /// makes no sense.
    pub fn pack(&self, lengths: &[u32]) -> Result<Packing, PackError> {
        let Self { budget, ranks, quadratic } = *self;
        if budget == 0 {
            return Err(PackError::NoBudget);
        }
        if ranks == 0 || u32::try_from(ranks).is_err() {
            return Err(PackError::NoRanks);
        }
        if !(quadratic.is_finite() && quadratic >= 0.0) {
            return Err(PackError::Quadratic(quadratic));
        }
        if u32::try_from(lengths.len()).is_err() {
            return Err(PackError::TooManyRows(lengths.len()));
        }
        let cost = |row: u32| {
            let length = f64::from(lengths[row as usize]);
            length + quadratic * length * length
        };
        let mut bins = fit::best_fit_decreasing(lengths, budget)?;
        if ranks > 1 {
            let count = bins.len().next_multiple_of(ranks);
            match fit::even_bins(lengths, budget, count, &cost) {
                Some(even) => bins = even,
                None => balance::split_until(&mut bins, count, &cost),
            }
        }
        for bin in &mut bins {
            bin.sort_unstable();
        }
        let costs: Vec<f64> = bins.iter().map(|bin| bin.iter().copied().map(&cost).sum()).collect();
        let rank_of_bin = balance(&costs, ranks);

        let mut order: Vec<usize> = (0..bins.len()).collect();
        order.sort_by(|&a, &b| {
            rank_of_bin[a].cmp(&rank_of_bin[b]).then(costs[b].total_cmp(&costs[a])).then(a.cmp(&b))
        });
        let mut packing = Packing {
            indices: Vec::with_capacity(lengths.len()),
            bin_offsets: vec![0],
            ranks: order.iter().map(|&bin| rank_of_bin[bin]).collect(),
            fill: 1.0,
        };
        for &bin in &order {
            packing.indices.extend_from_slice(&bins[bin]);
            packing.bin_offsets.push(packing.indices.len() as u32);
        }
        if !bins.is_empty() {
            let tokens: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
            packing.fill = tokens as f64 / (bins.len() as f64 * f64::from(budget));
        }
        Ok(packing)
    }
}
