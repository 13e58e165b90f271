//! Moments for people: dates and times of day in UTC, and spans of time. Knows no clock but the one that is asked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400_000;

/// The present, in milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day in UTC.
pub(crate) fn time_of_day(unix_milliseconds: u64) -> String {
    let of_day = unix_milliseconds % DAY;
    let (seconds, milliseconds) = (of_day / 1000, of_day % 1000);
    format!("{:02}:{:02}:{:02}.{milliseconds:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The date in UTC, as 2026-03-01.
pub(crate) fn date(unix_milliseconds: u64) -> String {
    // Days are counted in years that begin in March, so that a leap day is the last one of its year.
    let days = unix_milliseconds / DAY + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A span in its two largest units: "3 min 12 s".
pub(crate) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_ends_of_years() {
        let at = |days: u64| date(days * DAY + DAY - 1);
        assert_eq!(at(0), "1970-01-01");
        assert_eq!(at(11_016), "2000-02-29");
        assert_eq!(at(11_017), "2000-03-01");
        assert_eq!(at(20_453), "2025-12-31");
        assert_eq!(at(20_454), "2026-01-01");
        assert_eq!(at(47_540), "2100-02-28");
        assert_eq!(at(47_541), "2100-03-01");
    }

    #[test]
    fn times_and_spans_are_readable() {
        assert_eq!(time_of_day(DAY * 3 + 3_723_004), "01:02:03.004");
        let spans = [999, 59_999, 192_000, 7_260_000, 180_000_000].map(span);
        assert_eq!(spans, ["999 ms", "59 s", "3 min 12 s", "2 h 1 min", "2 days 2 h"]);
    }
}
