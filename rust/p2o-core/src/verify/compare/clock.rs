//! Times of day.

use super::{Comparer, DIFFERENT};
use crate::verify::Tier;
use crate::verify::expr::{Expr, Half};
use crate::verify::licence::Licence;
use crate::verify::scalar::Outcome;

impl Comparer<'_> {
    /// Half a day that is left out is not missed, unless the hour can only be one of 24. Beside a ratio that is none, `10:30`
    /// is a ratio too.
    pub(super) fn times(&mut self, gold: &Expr, answer: &Expr) -> Outcome {
        if let (Some(left), Some(right)) = (time(gold), time(answer)) {
            let written_alike = (left.0, left.1) == (right.0, right.1);
            let left_out = left.2.is_some() != right.2.is_some();
            let dropped = of_day(left) != of_day(right);
            return if dropped && !(written_alike && left_out) {
                DIFFERENT
            } else {
                self.by_if(dropped, Licence::HalfOfDayDropped, |_| Outcome::Equal(Tier::Exact))
            };
        }
        let (Some(left), Some(right)) = (ratio(gold), ratio(answer)) else { return DIFFERENT };
        let time = matches!(gold, Expr::Clock { .. });
        self.by_if(time, Licence::TimeAsRatio, |comparer| comparer.ratios(&left, &right))
    }
}

/// Hour, minute and half of the day.
type Time = (u8, u8, Option<Half>);

/// `5:30`, or the `5` of "5 p.m.".
fn time(expr: &Expr) -> Option<Time> {
    match expr {
        Expr::Clock { hour, minute, half } => Some((*hour, *minute, *half)),
        Expr::Quantity(hour, unit) => {
            let half = Half::named(unit)?;
            Some((u8::try_from(hour.literal_integer()?).ok()?, 0, Some(half)))
        }
        _ => None,
    }
}

/// Minutes since midnight.
fn of_day((hour, minute, half): Time) -> u16 {
    let hour = match half {
        None => hour,
        Some(Half::Am) => hour % 12,
        Some(Half::Pm) => hour % 12 + 12,
    };
    60 * u16::from(hour) + u16::from(minute)
}

fn ratio(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Ratio(parts) => Some(parts.clone()),
        Expr::Clock { hour, minute, half: None } => {
            Some([*hour, *minute].map(|part| Expr::integer(part.into())).to_vec())
        }
        _ => None,
    }
}
