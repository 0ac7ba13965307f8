//! Waiting with a deadline: the one place where tests, demo and bench wait for something to become true.

use std::time::{Duration, Instant};

use crate::error::{LabError, Result};

/// Asks `condition` every two milliseconds until it holds. After `limit` the error names `what` was waited for.
pub fn wait_for(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    wait_for_some(limit, what, || condition().then_some(())).map(|((), after)| after)
}

/// The same for a condition that yields a value; returns it with the time it took.
pub fn wait_for_some<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok((value, start.elapsed()));
        }
        if start.elapsed() >= limit {
            return Err(LabError::timed_out(what, limit));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
