//! What the return to a better provider costs the traffic: the longest pause between two answers and the datagrams
//! lost, by kind of NAT on the router.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Flows, LabConfig, Nat, Result};

use crate::Effort;
use crate::report::{Row, Unit};
use crate::subject::{Settings, Subject};

/// So that a provider fails and returns within a second: what a failback does to the traffic is the same after a
/// minute. No delay, as it doubles with every failure.
const SETTINGS: Settings = &[
    ("interval", "50ms"),
    ("standby_interval", "100ms"),
    ("attempts", "12"),
    ("attempt_interval", "10ms"),
    ("min_timeout", "20ms"),
    ("failback_delay", "0"),
];

/// Time between two datagrams.
const RESOLUTION: Duration = Duration::from_millis(2);

/// Two rows per kind of NAT.
pub(crate) fn failbacks(binary: &Path, effort: Effort) -> Vec<Row> {
    let kinds = [(Nat::None, "without NAT", 0.0), (Nat::Snat, "snat", 0.0), (Nat::Masquerade, "masquerade", 1.0)];
    let mut rows = Vec::new();
    for (nat, name, most_lost) in kinds {
        let (pause, lost) = (format!("failback, {name}: pause"), format!("failback, {name}: datagrams lost"));
        match measure(binary, nat, effort) {
            Ok((pauses, losses)) => rows.extend([
                Row::of_durations(pause, Unit::Milliseconds, &pauses),
                Row::new(lost, Unit::Count, losses).each_at_most(most_lost),
            ]),
            Err(error) => rows.push(Row::failed(lost, error)),
        }
    }
    rows
}

fn measure(binary: &Path, nat: Nat, effort: Effort) -> Result<(Vec<Duration>, Vec<f64>)> {
    let subject = Subject::start(binary, LabConfig { nat, seed: effort.seed, ..Default::default() }, SETTINGS)?;
    let stream = subject.lab.client().stream(RESOLUTION, Flows::One)?;
    let first = subject.lab.provider(0)?;
    let (mut pauses, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..if effort.full { 30 } else { 6 } {
        stream.wait_until_via(0, Duration::from_secs(10))?;
        first.silent(true);
        stream.wait_until_via(1, Duration::from_secs(10))?;
        // Nothing of the failure itself may be left in the window.
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        first.heal();
        stream.wait_until_via(0, Duration::from_secs(20))?;
        std::thread::sleep(Duration::from_millis(100));
        // The last ones may still be on their way.
        let end = Instant::now() - Duration::from_millis(30);
        pauses.push(stream.outage_between(start, end));
        losses.push(stream.lost_between(start, end) as f64);
    }
    Ok((pauses, losses))
}
