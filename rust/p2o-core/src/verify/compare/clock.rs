//! Times of day.

use crate::verify::expr::{Expr, Half};
use crate::verify::licence::{Licence, Licences};

/// The licences by which two times of day are the same; none if they are not. Half a day that is left out is not missed,
/// unless the hour can only be one of 24.
pub(super) fn same_time(gold: &Time, answer: &Time) -> Option<Licences> {
    let left_out = gold.half.is_some() != answer.half.is_some();
    let written_alike = gold.hour == answer.hour && gold.minute == answer.minute;
    if gold.of_day() == answer.of_day() {
        return Some(Licences::NONE);
    }
    (left_out && written_alike).then(|| Licence::HalfOfDayDropped.into())
}

pub(super) struct Time {
    hour: u8,
    minute: u8,
    half: Option<Half>,
}

impl Time {
    /// Minutes since midnight.
    fn of_day(&self) -> u16 {
        let hour = match self.half {
            None => self.hour,
            Some(Half::Am) => self.hour % 12,
            Some(Half::Pm) => self.hour % 12 + 12,
        };
        60 * u16::from(hour) + u16::from(self.minute)
    }
}

/// `5:30`, or the `5` of "5 p.m.".
pub(super) fn time(expr: &Expr) -> Option<Time> {
    match expr {
        Expr::Clock { hour, minute, half } => Some(Time { hour: *hour, minute: *minute, half: *half }),
        Expr::Quantity(hour, unit) => {
            let half = Half::named(unit)?;
            let hour = u8::try_from(hour.literal_integer()?).ok()?;
            Some(Time { hour, minute: 0, half: Some(half) })
        }
        _ => None,
    }
}
