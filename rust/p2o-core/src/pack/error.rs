//! What can be wrong with the arguments.

use thiserror::Error;

/// Arguments that cannot be packed. Each message is one line with the remedy.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PackError {
    /// A row that does not fit into any bin.
    #[error(
        "row {row} has {length} tokens, more than the budget of {budget}: raise the budget or shorten the row"
    )]
    Overlong {
        /// Index of the row.
        row: usize,
        /// Its tokens.
        length: u32,
        /// Tokens of a bin.
        budget: u32,
    },
    /// A budget of 0.
    #[error("budget must be at least 1 token")]
    NoBudget,
    /// No rank, or more than `u32` counts.
    #[error("ranks must be at least 1 (and below 2^32)")]
    NoRanks,
    /// A negative or non-finite quadratic coefficient.
    #[error("quadratic is {0}: it must be a finite number, 0 or more")]
    Quadratic(f64),
    /// More rows than `u32` counts.
    #[error("{0} rows are too many to pack at once: pack fewer than 2^32")]
    TooManyRows(usize),
    /// An array whose length contradicts the rows.
    #[error("{name} has {found} entries but the rows need {expected}")]
    Length {
        /// The array.
        name: String,
        /// Its length.
        found: usize,
        /// The length that fits the rows.
        expected: usize,
    },
    /// Row offsets that do not rise from 0 to the number of tokens.
    #[error("offsets must rise from 0 to the number of tokens, {tokens} (entry {entry} does not)")]
    Offsets {
        /// Number of tokens.
        tokens: usize,
        /// The first entry that is wrong.
        entry: usize,
    },
    /// A prompt that is empty or longer than its row: the first response token would have nothing to follow.
    #[error("row {row} has {length} tokens but a prompt of {prompt}: a prompt has from 1 to all of them")]
    Prompt {
        /// Index of the row.
        row: usize,
        /// Its tokens.
        length: usize,
        /// Its prompt tokens.
        prompt: i64,
    },
    /// Bins that do not cover the packing's indices.
    #[error("the packing's bin offsets must rise from 0 to the number of its indices, {0}")]
    Bins(usize),
    /// A packing of other rows.
    #[error("the packing names row {row} twice or has no such row ({rows} rows): it was made for other rows")]
    Row {
        /// The row named.
        row: usize,
        /// Number of rows.
        rows: usize,
    },
}
