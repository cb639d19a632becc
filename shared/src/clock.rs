//! Time: every decision reads it from a [`Clock`], so that tests can move it.
//!
//! ```text
//! SQLite      SystemClock     this machine's clock: there is one process
//! PostgreSQL  DatabaseClock   this machine's clock corrected to the database's, measured again every few seconds
//! tests       TestClock       starts at the real time, moves when told
//! ```
//!
//! All processes of one installation share the database, so its time is the one they agree on: a gateway an hour ahead
//! and a worker an hour behind still agree on when a token expires. Instants are stored as whole microseconds in a
//! `BIGINT`, because SQLite compares text timestamps wrongly.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use sea_orm::DeriveValueType;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
#[sea_orm(try_from_u64)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant as a date and time in UTC. Instants outside the years 0..9999 are clamped to the epoch.
    #[must_use]
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Self {
        Self(i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX))
    }
}

/// Whole microseconds of a duration, saturating.
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_utc().format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let utc = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
        i64::try_from(utc.unix_timestamp_nanos() / 1_000).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A source of the present instant.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000).unwrap_or(0))
    }
}

/// The clock of this machine corrected by its measured difference from the database's clock.
#[derive(Debug, Default)]
pub struct DatabaseClock {
    offset: AtomicI64,
}

impl DatabaseClock {
    /// Takes over a reading of the database's clock that was taken at this moment.
    pub fn adjust(&self, database_now: Timestamp) {
        self.offset.store(database_now.0.saturating_sub(SystemClock.now().0), Ordering::Relaxed);
    }

    /// How far the database is ahead of this machine, in microseconds.
    #[must_use]
    pub fn offset_micros(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add(self.offset_micros()))
    }
}

/// A clock that runs with the machine's and is moved forward by tests.
#[derive(Debug, Default)]
pub struct TestClock {
    ahead: AtomicI64,
}

impl TestClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.ahead.fetch_add(micros(by), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add(self.ahead.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_its_wire_form() {
        let instant = Timestamp(1_700_000_000_123_456);
        let wire = serde_json::to_string(&instant).unwrap();
        assert_eq!(wire, "\"2023-11-14T22:13:20.123456Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&wire).unwrap(), instant);
    }

    #[test]
    fn a_database_clock_follows_the_database() {
        let clock = DatabaseClock::default();
        clock.adjust(SystemClock.now() + Duration::from_secs(3600));
        let ahead = clock.now().since(SystemClock.now());
        assert!(ahead > Duration::from_secs(3599) && ahead < Duration::from_secs(3601));
    }
}
