//! How long traffic stands still: after a silent cut, after a lost carrier, after another program has put a default
//! route of its own in front. Cuts come at random moments between two checks.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Flows, LabConfig, Nat, Provider, Result, protocol};

use crate::Effort;
use crate::report::{Row, Unit};
use crate::subject::{FAST, FAST_INTERVAL, SHIPPED, SHIPPED_INTERVAL, Settings, Subject, side_by_side};

/// A provider is cut this long after it became the active one, or later.
const PAUSE: Duration = Duration::from_millis(300);
/// Two losses of carrier within a second: the kernel tells the second one late (facts of linkwatch, not of ours).
const CARRIER_PAUSE: Duration = Duration::from_millis(1500);

/// How a provider is cut.
#[derive(Clone, Copy)]
enum Cut {
    Silent,
    Carrier,
}

/// One series of cuts.
#[derive(Clone)]
struct Series {
    lab: LabConfig,
    settings: Settings<'static>,
    cut: Cut,
    samples: u8,
    /// Time between two checks.
    interval: Duration,
    pause: Duration,
    /// Time between two datagrams: the resolution.
    resolution: Duration,
}

/// Silent loss with both profiles, lost carrier, and what NAT adds for a flow that it knows already.
pub(crate) fn outages(binary: &Path, effort: Effort) -> Vec<Row> {
    let (labs, samples) = if effort.full { (3, 10) } else { (2, 5) };
    let behind = |nat| LabConfig { nat, identical: false, ..LabConfig::default() };
    let shipped = Series {
        lab: LabConfig::default(),
        settings: SHIPPED,
        cut: Cut::Silent,
        samples,
        interval: SHIPPED_INTERVAL,
        pause: PAUSE,
        resolution: Duration::from_millis(20),
    };
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
    let repeat = |series: &'static str, labs: u64, what: &Series| {
        let jobs = (0..labs).map(|number| -> Box<dyn FnOnce() -> Result<Vec<Duration>> + Send + '_> {
            Box::new(move || cuts(binary, what, effort.seed.wrapping_add(number)))
        });
        let outcome: Result<Vec<_>> = side_by_side(jobs.collect()).into_iter().collect();
        (series, outcome.map(|outages| outages.concat()))
    };
    let row = |(what, outcome): (&str, Result<Vec<Duration>>), unit, limit| match outcome {
        Ok(outages) => Row::of_durations(what, unit, &outages).median_at_most(limit),
        Err(error) => Row::failed(what, error),
    };
    let masquerade = Series { lab: behind(Nat::Masquerade), ..shipped.clone() };
    let snat = Series { lab: behind(Nat::Snat), ..shipped.clone() };
    vec![
        row(repeat("silent loss, shipped settings", labs, &shipped), Unit::Seconds, 1.2),
        row(repeat("silent loss, fast profile", 1, &fast), Unit::Milliseconds, 200.0),
        row(repeat("carrier loss, shipped settings", 1, &carrier), Unit::Milliseconds, 20.0),
        row(repeat("silent loss, established UDP, masquerade", labs, &masquerade), Unit::Seconds, 1.3),
        row(repeat("silent loss, established UDP, snat", labs, &snat), Unit::Seconds, 1.3),
    ]
}

/// Cuts one provider after the other, never to mend it: each cut moves the traffic to the next.
fn cuts(binary: &Path, series: &Series, seed: u64) -> Result<Vec<Duration>> {
    let Series { settings, cut, samples, interval, pause, resolution, .. } = *series;
    let config = LabConfig { providers: samples + 1, seed, ..series.lab.clone() };
    let subject = Subject::start(binary, config, settings)?;
    let stream = subject.lab.client().stream(resolution, Flows::One)?;
    let mut outages = Vec::new();
    for (number, phase) in (0..samples).zip(phases(samples, seed)) {
        stream.wait_until_via(number, Duration::from_secs(10))?;
        std::thread::sleep(pause);
        let provider = subject.lab.provider(number)?;
        let check = next_check(provider)?;
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
fn phases(count: u8, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut phases: Vec<f64> = (0..count).map(|part| (f64::from(part) + random.f64()) / f64::from(count)).collect();
    random.shuffle(&mut phases);
    phases
}

/// When the provider gets its next probe.
fn next_check(provider: &Provider) -> Result<Instant> {
    let before = provider.seen().echo_total();
    let next = || provider.seen().echo_log.back().filter(|_| provider.seen().echo_total() > before).map(|last| last.at);
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
