//! Times in words.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A second since the epoch, as `2026-11-29T09:10:11Z`.
pub fn utc(seconds: u64) -> String {
    let time =
        i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_and_an_hour_of_utc() {
        assert_eq!(utc(1_795_943_411), "2026-11-29T09:10:11Z");
        assert_eq!(utc(u64::MAX), "");
    }
}
