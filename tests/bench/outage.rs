//! How long traffic stands still: after a silent cut, by every type of test and with a dead target among the others,
//! after a lost carrier, after another program has put a default route of its own in front. Cuts come at random moments
//! between two checks.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Flows, Kind, LabConfig, Nat, Provider, Result, TARGETS, protocol};

use crate::Effort;
use crate::report::{Row, Unit};
use crate::subject::{FAST, FAST_INTERVAL, SHIPPED, SHIPPED_INTERVAL, Settings, Subject, side_by_side, tests};

/// A provider is cut this long after it became the active one, or later.
const PAUSE: Duration = Duration::from_millis(300);
/// Two losses of carrier within a second: the kernel tells the second one late (facts of linkwatch, not of ours).
const CARRIER_PAUSE: Duration = Duration::from_millis(1500);

/// The target that is dead where one is.
pub(crate) const DEAD: std::net::Ipv4Addr = {
    let [_, _, third, _] = TARGETS;
    third
};
/// After this long every target has been asked often enough to be known for dead.
pub(crate) const FOUND_DEAD: Duration = Duration::from_secs(30);

/// How a provider is cut.
#[derive(Clone, Copy)]
enum Cut {
    Silent,
    Carrier,
}

/// One series of cuts.
#[derive(Clone)]
pub(crate) struct Series {
    pub(crate) lab: LabConfig,
    pub(crate) settings: Settings<'static>,
    /// Of which kind the only test is.
    kind: Kind,
    /// One of its four targets is dead, and has been found to be.
    dead_target: bool,
    cut: Cut,
    samples: u8,
    /// Time between two checks.
    interval: Duration,
    pause: Duration,
    /// Time between two datagrams: the resolution.
    resolution: Duration,
}

/// Silent loss at shipped settings, seen by pings to four living targets.
pub(crate) fn shipped(effort: Effort) -> Series {
    Series {
        lab: LabConfig::default(),
        settings: SHIPPED,
        kind: Kind::Ping,
        dead_target: false,
        cut: Cut::Silent,
        samples: if effort.full { 10 } else { 5 },
        interval: SHIPPED_INTERVAL,
        pause: PAUSE,
        resolution: Duration::from_millis(20),
    }
}

/// All outages of a series, cut in so many labs at once.
pub(crate) fn repeat(binary: &Path, series: &Series, labs: u64, effort: Effort) -> Result<Vec<Duration>> {
    let jobs = (0..labs).map(|number| -> Box<dyn FnOnce() -> Result<Vec<Duration>> + Send + '_> {
        Box::new(move || cuts(binary, series, effort.seed.wrapping_add(number)))
    });
    let outcome: Result<Vec<_>> = side_by_side(jobs.collect()).into_iter().collect();
    outcome.map(|outages| outages.concat())
}

pub(crate) fn row(what: impl Into<String>, outcome: Result<Vec<Duration>>, unit: Unit, limit: f64) -> Row {
    match outcome {
        Ok(outages) => Row::of_durations(what, unit, &outages).median_at_most(limit),
        Err(error) => Row::failed(what, error),
    }
}

/// Silent loss with both profiles, lost carrier, and what NAT adds for a flow that it knows already.
pub(crate) fn outages(binary: &Path, effort: Effort) -> Vec<Row> {
    let labs = if effort.full { 3 } else { 2 };
    let behind = |nat| LabConfig { nat, identical: false, ..LabConfig::default() };
    let shipped = shipped(effort);
    let fast = Series {
        settings: FAST,
        samples: if effort.full { 15 } else { 10 },
        interval: FAST_INTERVAL,
        resolution: Duration::from_millis(2),
        ..shipped.clone()
    };
    let carrier = Series {
        cut: Cut::Carrier,
        samples: if effort.full { 15 } else { 5 },
        pause: CARRIER_PAUSE,
        resolution: Duration::from_millis(1),
        ..shipped.clone()
    };
    let masquerade = Series { lab: behind(Nat::Masquerade), ..shipped.clone() };
    let snat = Series { lab: behind(Nat::Snat), ..shipped.clone() };
    [
        ("silent loss, shipped settings", labs, &shipped, Unit::Seconds, 1.2),
        ("silent loss, fast profile", 1, &fast, Unit::Milliseconds, 200.0),
        ("carrier loss, shipped settings", 1, &carrier, Unit::Milliseconds, 20.0),
        ("silent loss, established UDP, masquerade", labs, &masquerade, Unit::Seconds, 1.3),
        ("silent loss, established UDP, snat", labs, &snat, Unit::Seconds, 1.3),
    ]
    .map(|(what, labs, series, unit, limit)| row(what, repeat(binary, series, labs, effort), unit, limit))
    .into()
}

/// Silent loss by every type of test, and with one of four targets dead for a while, which must change nothing.
pub(crate) fn kinds(binary: &Path, effort: Effort) -> Vec<Row> {
    let labs = if effort.full { 3 } else { 2 };
    let mut rows = Vec::new();
    for (kind, name) in [(Kind::Ping, "ping"), (Kind::Tcp, "tcp"), (Kind::Dns, "dns"), (Kind::Http, "http")] {
        let alive = Series { kind, ..shipped(effort) };
        let dead = Series { dead_target: true, ..alive.clone() };
        let [alive, dead] = [alive, dead].map(|series| repeat(binary, &series, labs, effort));
        let ratio = alive.as_ref().ok().zip(dead.as_ref().ok()).map(|(alive, dead)| median(dead) / median(alive));
        rows.push(row(format!("silent loss, {name}"), alive, Unit::Seconds, 1.2));
        rows.push(row(format!("silent loss, {name}, 1 of 4 targets dead"), dead, Unit::Seconds, 1.2));
        let values = ratio.into_iter().collect();
        rows.push(Row::new(format!("the latter to the former, {name}"), Unit::Ratio, values).each_at_most(1.1));
    }
    rows
}

fn median(durations: &[Duration]) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

/// Cuts one provider after the other, never to mend it: each cut moves the traffic to the next.
fn cuts(binary: &Path, series: &Series, seed: u64) -> Result<Vec<Duration>> {
    let Series { settings, kind, cut, samples, interval, pause, resolution, .. } = *series;
    let config = LabConfig { providers: samples + 1, seed, ..series.lab.clone() };
    let subject = Subject::with_tests(binary, config, settings, &tests(&[kind]))?;
    if series.dead_target {
        subject.lab.target_dead(DEAD, true);
        std::thread::sleep(FOUND_DEAD);
    }
    let stream = subject.lab.client().stream(resolution, Flows::One)?;
    let mut outages = Vec::new();
    for (number, phase) in (0..samples).zip(phases(samples, seed)) {
        stream.wait_until_via(number, Duration::from_secs(10))?;
        std::thread::sleep(pause);
        let provider = subject.lab.provider(number)?;
        let check = next_check(provider, kind)?;
        let start = check + interval.mul_f64(phase);
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        let start = Instant::now();
        match cut {
            Cut::Silent => provider.silent(true),
            Cut::Carrier => provider.carrier(false)?,
        }
        stream.wait_until_via(number + 1, Duration::from_secs(20))?;
        outages.push(stream.outage_between(start, Instant::now()));
    }
    Ok(outages)
}

/// Moments between two checks, in shares of the time between them: one at random in each of `count` equal parts, in
/// random order. As uniform as any, and few of them already show the median.
pub(crate) fn phases(count: u8, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut phases: Vec<f64> = (0..count).map(|part| (f64::from(part) + random.f64()) / f64::from(count)).collect();
    random.shuffle(&mut phases);
    phases
}

/// When the provider gets its next probe.
pub(crate) fn next_check(provider: &Provider, kind: Kind) -> Result<Instant> {
    let before = Instant::now();
    let next = || provider.seen().arrivals_of(kind).last().copied().filter(|at| *at > before);
    Ok(lab::wait_for_some(Duration::from_secs(10), "the next probe", next)?.0)
}

/// A DHCP client puts a default route of metric 0 on another provider: how long that one has the traffic.
pub(crate) fn foreign(binary: &Path, effort: Effort) -> Row {
    const WHAT: &str = "foreign metric-0 default: traffic astray";
    match astray(binary, effort) {
        Ok(times) => Row::of_durations(WHAT, Unit::Milliseconds, &times).each_at_most(50.0),
        Err(error) => Row::failed(WHAT, error),
    }
}

fn astray(binary: &Path, effort: Effort) -> Result<Vec<Duration>> {
    let resolution = Duration::from_millis(1);
    let subject = Subject::start(binary, LabConfig { seed: effort.seed, ..Default::default() }, SHIPPED)?;
    let stream = subject.lab.client().stream(resolution, Flows::One)?;
    let mut random = fastrand::Rng::with_seed(effort.seed);
    let mut times = Vec::new();
    for _ in 0..if effort.full { 50 } else { 10 } {
        stream.wait_until_via(0, Duration::from_secs(5))?;
        std::thread::sleep(Duration::from_millis(50) + Duration::from_millis(200).mul_f64(random.f64()));
        let start = Instant::now();
        subject.lab.router().dhcp_default(subject.lab.provider(1)?, 0, protocol::DHCP, true)?;
        std::thread::sleep(Duration::from_millis(200));
        let timeline = stream.timeline();
        let gone_astray = timeline.sent_between(start, Instant::now());
        let last = gone_astray.filter(|datagram| datagram.answer.is_some_and(|answer| answer.provider == 1)).last();
        times.push(last.map_or(Duration::ZERO, |datagram| datagram.sent_at + resolution - start));
    }
    Ok(times)
}
