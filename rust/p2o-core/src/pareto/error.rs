//! What can be wrong with the arguments.

/// Why a front refuses its arguments or a serialised front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParetoError {
    /// A row of scores, successes or trials has the wrong length.
    #[error("{what} has {actual} entries, the front has {expected}; give one for each")]
    Length {
        /// What was given.
        what: &'static str,
        /// Entries wanted.
        expected: usize,
        /// Entries given.
        actual: usize,
    },
    /// A score is NaN or infinite: every comparison with it would be false.
    #[error("{what} {position} is not finite; replace it with a number before inserting")]
    NotFinite {
        /// What was given.
        what: &'static str,
        /// Its place in the row.
        position: usize,
    },
    /// Successes are negative or more than the trials.
    #[error("instance {position} has more successes than trials, or fewer than none")]
    Successes {
        /// The instance.
        position: usize,
    },
    /// The trials of a candidate on an instance add up to more than `u32` counts.
    #[error("instance {position} would have 2^32 trials or more; record fewer")]
    TooManyTrials {
        /// The instance.
        position: usize,
    },
    /// Scores and counts do not mix: a score of 1 and a success in one trial say different things.
    #[error("this front holds {held}; insert the same kind, or use another front")]
    Mixed {
        /// What the front holds.
        held: &'static str,
    },
    /// There is no such candidate or instance.
    #[error("there is no {what} {index}; the front has {len}")]
    Unknown {
        /// Candidate, parent or instance.
        what: &'static str,
        /// The index asked for.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// A setting is out of range.
    #[error("{0}")]
    Setting(&'static str),
    /// The bytes are no front of this format.
    #[error("not a serialised Pareto front: {0}")]
    Bytes(&'static str),
}
