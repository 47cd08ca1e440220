//! The work limit of one verification: a deterministic count of steps, and a deadline as a backstop.
//!
//! Everything that loops, recurses or grows a number pays here first. The step limit decides in practice (it gives the
//! same verdict on every machine); the clock is only looked at every [`CLOCK_EVERY`] steps.

use std::time::{Duration, Instant};

/// Why a computation stopped without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The step limit or the deadline was reached.
    Exhausted,
    /// The expression has no value here: division by zero, logarithm of zero, a pole.
    Undefined,
    /// The expression is outside what this method can evaluate.
    Unsupported,
}

/// Steps of one verification. One step is about 10 ns of work.
const STEPS: u64 = 1_000_000;
/// How many steps pass between two looks at the clock.
const CLOCK_EVERY: u64 = 1 << 12;

/// What is left of the limit.
#[derive(Debug)]
pub(crate) struct Fuel {
    left: u64,
    next_look: u64,
    deadline: Option<Instant>,
    exhausted: bool,
}

impl Fuel {
    /// A full tank with a wall-clock deadline from now.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self {
            left: STEPS,
            next_look: STEPS - CLOCK_EVERY,
            deadline: limit.and_then(|limit| Instant::now().checked_add(limit)),
            exhausted: false,
        }
    }

    /// Pays for `steps` of work about to be done.
    #[inline]
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Halt> {
        if self.left < steps {
            self.left = 0;
            self.exhausted = true;
            return Err(Halt::Exhausted);
        }
        self.left -= steps;
        if self.left <= self.next_look { self.look() } else { Ok(()) }
    }

    #[cold]
    fn look(&mut self) -> Result<(), Halt> {
        self.next_look = self.left.saturating_sub(CLOCK_EVERY);
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.left = 0;
            self.exhausted = true;
            return Err(Halt::Exhausted);
        }
        Ok(())
    }

    /// Whether some computation was cut short: a negative answer is then "not decided", not "different".
    pub(crate) fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// Records that a comparison ended undecided for want of a method, not of steps.
    pub(crate) fn give_up(&mut self) {
        self.exhausted = true;
    }
}
