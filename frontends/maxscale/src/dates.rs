//! Dates and durations as this API writes them.

use httpdate::HttpDate;
use jiff::tz::TimeZone;
use rejoin_engine::{Moment, Timestamp};
use std::time::{Duration, UNIX_EPOCH};

/// `Mon Jul 17 11:10:39 2017`, in the zone and without naming it: the documented form has no room
/// for a zone, and people read it beside the server's other local times.
pub(crate) fn connected(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = instant(at).to_zoned(zone.clone());
    zoned.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// `2017-07-17T19:10:39.250+08:00`, in the zone and with its offset: clients compute durations from
/// it, and take a time without an offset for one of their own zone.
pub(crate) fn received(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = instant(at).to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// The date of a header, to the second. One beyond the year 9999 is written as the epoch.
pub(crate) fn http_date(at: Timestamp) -> HttpDate {
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    let since_epoch = Duration::from_millis(at.as_millis());
    // HttpDate panics beyond it.
    let since_epoch = Some(since_epoch).filter(|since_epoch| *since_epoch < YEAR_10000);
    HttpDate::from(UNIX_EPOCH + since_epoch.unwrap_or_default())
}

/// Seconds between two times, to the millisecond.
pub(crate) fn seconds(from: Moment, to: Moment) -> f64 {
    to.since(from).as_millis() as f64 / 1_000.0
}

/// A time beyond the range of dates is shown as the epoch.
fn instant(at: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(at.as_millis()).unwrap_or_default();
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_500_289_839_250);

    #[test]
    fn dates_are_written_as_documented() {
        assert_eq!(connected(AT, &TimeZone::UTC), "Mon Jul 17 11:10:39 2017");
        let early = Timestamp::from_millis(1_499_252_400_000);
        assert_eq!(connected(early, &TimeZone::UTC), "Wed Jul  5 11:00:00 2017");
        assert_eq!(
            received(AT, &TimeZone::UTC),
            "2017-07-17T11:10:39.250+00:00"
        );
        let date = http_date(AT).to_string();
        assert_eq!(date, "Mon, 17 Jul 2017 11:10:39 GMT");
        assert_eq!(date.parse::<HttpDate>().unwrap(), http_date(AT));
    }

    #[test]
    fn times_of_one_session_are_in_the_same_zone() {
        let shanghai = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(connected(AT, &shanghai), "Mon Jul 17 19:10:39 2017");
        assert_eq!(received(AT, &shanghai), "2017-07-17T19:10:39.250+08:00");
    }

    #[test]
    fn a_time_beyond_the_range_of_dates_is_the_epoch() {
        let never = Timestamp::from_millis(u64::MAX);
        assert_eq!(connected(never, &TimeZone::UTC), "Thu Jan  1 00:00:00 1970");
        assert_eq!(http_date(never), http_date(Timestamp::EPOCH));
        let last = Timestamp::from_millis(253_402_300_799_999);
        let date = http_date(last).to_string();
        assert_eq!(date, "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(
            http_date(Timestamp::from_millis(253_402_300_800_000)),
            http_date(never)
        );
    }
}
