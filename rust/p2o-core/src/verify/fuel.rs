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

/// The most time that counts between two looks at the clock.
const LONGEST_STRETCH: Duration = Duration::from_millis(5);

/// What is left of the limit.
#[derive(Debug)]
pub(crate) struct Fuel {
    left: u64,
    next_look: u64,
    /// What is left of the time limit, and when it was last looked at.
    clock: Option<(Duration, Instant)>,
    exhausted: bool,
}

impl Fuel {
    /// A full tank with a time limit from now.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self {
            left: STEPS,
            next_look: STEPS - CLOCK_EVERY,
            clock: limit.map(|limit| (limit, Instant::now())),
            exhausted: false,
        }
    }

    /// Pays for `steps` of work about to be done.
    #[inline]
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Halt> {
        if self.left < steps {
            return self.exhaust();
        }
        self.left -= steps;
        if self.left <= self.next_look { self.look() } else { Ok(()) }
    }

    #[cold]
    fn exhaust(&mut self) -> Result<(), Halt> {
        self.left = 0;
        self.exhausted = true;
        Err(Halt::Exhausted)
    }

    #[cold]
    fn look(&mut self) -> Result<(), Halt> {
        self.next_look = self.left.saturating_sub(CLOCK_EVERY);
        let Some((left, looked)) = &mut self.clock else { return Ok(()) };
        let now = Instant::now();
        // A longer pause between two looks is one in which the thread did not run: it is no work.
        let worked = now.duration_since(*looked).min(LONGEST_STRETCH);
        *looked = now;
        *left = left.saturating_sub(worked);
        if left.is_zero() {
            return self.exhaust();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_spent_than_there_is() {
        let mut fuel = Fuel::new(None);
        assert_eq!((fuel.spend(STEPS), fuel.exhausted()), (Ok(()), false));
        assert_eq!((fuel.spend(1), fuel.exhausted()), (Err(Halt::Exhausted), true));
        assert_eq!(Fuel::new(None).spend(STEPS + 1), Err(Halt::Exhausted));
    }
}
