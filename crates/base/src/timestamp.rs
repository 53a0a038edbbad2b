use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Milliseconds because that is the finest unit AWS's own records carry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is no timestamp.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid timestamp '{0}': expected RFC 3339, such as 2024-01-15T09:30:00Z")]
pub struct TimestampError(pub String);

impl Timestamp {
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch with milliseconds as the fraction, as the AWS JSON protocols send time.
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 3339 in UTC with milliseconds: `2024-01-15T09:30:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => format!("{t:.3}"),
            Err(_) => format!("{}ms", self.0),
        }
    }

    /// Reads RFC 3339 with any offset; finer than a millisecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Result<Timestamp, TimestampError> {
        let error = || TimestampError(text.chars().take(64).collect());
        // A date-time needs its 'T'; jiff alone would also take a space or lower case.
        if text.as_bytes().get(10) != Some(&b'T') {
            return Err(error());
        }
        text.parse::<jiff::Timestamp>().map(|t| Timestamp(t.as_millisecond())).map_err(|_| error())
    }

    /// The time from `earlier` to this, zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, d: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, d: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_both_ways() {
        for (text, back) in [
            ("2024-01-15T09:30:00Z", "2024-01-15T09:30:00.000Z"),
            ("2024-01-15T09:30:00.1239+01:00", "2024-01-15T08:30:00.123Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_rfc3339(), back);
        }
        for text in ["", "2024-01-15", "2024-01-15 09:30:00Z", "2024-01-15T09:30:00", "2024-13-15T09:30:00Z"] {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }
}
