//! When probes arrive at the far end, by the kernel's stamps there: how late at the latest, with many providers and many
//! tests, and while things hang at other providers; and how many there are while a target is dead.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Fault, Kind, Lab, LabConfig, LabError, Provider, Result};

use crate::Effort;
use crate::outage::{DEAD, FOUND_DEAD};
use crate::report::{Row, Unit};
use crate::subject::{SHIPPED, Settings, Subject, run, side_by_side, tests};

/// Every provider is checked so often.
const INTERVAL: Duration = Duration::from_millis(200);
const SETTINGS: Settings = &[("interval", "200ms"), ("standby_interval", "200ms")];
/// After all providers are online there is still something to be read and written.
const SETTLE: Duration = Duration::from_secs(3);
/// What a deadline may be missed by, in milliseconds.
const LATE: f64 = 20.0;

/// By how many milliseconds each probe of a kind came later than an interval after the one before.
fn lateness(provider: &Provider, kind: Kind, from: Instant) -> Vec<f64> {
    let mut arrivals = provider.seen().arrivals_of(kind);
    arrivals.retain(|at| *at >= from);
    let gaps = arrivals.iter().zip(arrivals.iter().skip(1)).map(|(first, second)| *second - *first);
    gaps.map(|gap| gap.saturating_sub(INTERVAL).as_secs_f64() * 1000.0).collect()
}

/// How late a thread is that does nothing but sleep, about as often as the daemon: what the machine itself adds.
fn sleeper(until: Instant) -> Vec<f64> {
    let nap = INTERVAL / 32;
    let mut late = Vec::new();
    while Instant::now() < until {
        let start = Instant::now();
        std::thread::sleep(nap);
        late.push(start.elapsed().saturating_sub(nap).as_secs_f64() * 1000.0);
    }
    late
}

/// 16 providers, each asked by every type of test five times a second: CPU, memory, missed deadlines.
pub(crate) fn many(binary: &Path, effort: Effort) -> Vec<Row> {
    const WHAT: &str = "16 providers, 4 tests, interval 200 ms";
    let watched = Duration::from_secs(if effort.full { 60 } else { 15 });
    let measured = || -> Result<_> {
        let config = LabConfig { providers: 16, seed: effort.seed, ..Default::default() };
        let subject = Subject::with_tests(binary, config, SETTINGS, &tests(&Kind::ALL))?;
        std::thread::sleep(SETTLE);
        let (start, before) = (Instant::now(), subject.daemon.cpu_time_exact()?);
        let machine = sleeper(start + watched);
        let used = subject.daemon.cpu_time_exact()?.saturating_sub(before);
        let share = used.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
        let memory = subject.daemon.resident_bytes()? as f64 / (1024.0 * 1024.0);
        let providers = subject.lab.providers().iter();
        let late: Vec<f64> = providers
            .flat_map(|provider| Kind::ALL.into_iter().flat_map(|kind| lateness(provider, kind, start)))
            .collect();
        let wanted = 16.0 * 4.0 * watched.as_secs_f64() / INTERVAL.as_secs_f64();
        if (late.len() as f64) < wanted * 0.9 {
            let cause = format!("{} probes came in where {wanted:.0} were due", late.len());
            return Err(LabError::new("measure the cadence", cause));
        }
        Ok((share, memory, late, machine))
    };
    match measured() {
        Ok((share, memory, late, machine)) => vec![
            Row::new(format!("{WHAT}: CPU"), Unit::Percent, vec![share]).each_at_most(3.0),
            Row::new(format!("{WHAT}: memory"), Unit::Megabytes, vec![memory]).each_at_most(6.0),
            Row::new(format!("{WHAT}: probes late by"), Unit::Milliseconds, late).each_at_most(LATE),
            Row::new("meanwhile a thread that only sleeps is late by", Unit::Milliseconds, machine),
        ],
        Err(error) => vec![Row::failed(WHAT, error)],
    }
}

/// Probes of a healthy provider while things hang elsewhere, and the number of probes while a target is dead.
pub(crate) fn cadence(binary: &Path, effort: Effort) -> Vec<Row> {
    const HUNG: &str = "resolver, TCP peer and script hang elsewhere: probes late by";
    let hung = match beside_hanging(binary, effort) {
        Ok(late) => Row::new(HUNG, Unit::Milliseconds, late).each_at_most(LATE),
        Err(error) => Row::failed(HUNG, error),
    };
    const RATE: &str = "probes with 1 of 4 targets dead to those with none";
    let watched = Duration::from_secs(if effort.full { 120 } else { 30 });
    let jobs = [false, true].map(|dead| -> Box<dyn FnOnce() -> Result<usize> + Send + '_> {
        Box::new(move || probes(binary, effort, dead, watched))
    });
    let counts: Result<Vec<usize>> = side_by_side(jobs.into()).into_iter().collect();
    let rate = match counts.as_deref() {
        Ok([alive, dead]) => Row::new(RATE, Unit::Ratio, vec![*dead as f64 / (*alive).max(1) as f64]).each_at_most(1.1),
        Ok(_) => Row::failed(RATE, "two counts were wanted"),
        Err(error) => Row::failed(RATE, error),
    };
    vec![hung, rate]
}

/// All probes that two providers get at shipped settings.
fn probes(binary: &Path, effort: Effort, dead: bool, watched: Duration) -> Result<usize> {
    let config = LabConfig { seed: effort.seed, ..Default::default() };
    let subject = Subject::with_tests(binary, config, SHIPPED, &tests(&Kind::ALL))?;
    subject.lab.target_dead(DEAD, dead);
    std::thread::sleep(FOUND_DEAD);
    let from = Instant::now();
    std::thread::sleep(watched);
    let since = |provider: &Provider| provider.seen().arrivals.iter().filter(|it| it.at >= from).count();
    Ok(subject.lab.providers().iter().map(since).sum())
}

/// How late the pings of wan3 are while the names of wan0 are never resolved, the servers of wan1 take connections and
/// say nothing, and the script of wan2 does not end.
fn beside_hanging(binary: &Path, effort: Effort) -> Result<Vec<f64>> {
    let lab = Lab::new(LabConfig { providers: 4, seed: effort.seed, ..Default::default() })?;
    let _broker = lab.broker()?;
    let script = lab.write_file("hangs.sh", "#!/bin/sh\nsleep 1000\n")?;
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).map_err(|error| LabError::new("make a script executable", error))?;
    let mut text = lab.uci(&[SETTINGS, &[("resolver", "9.9.9.9")]].concat());
    for (device, used) in [("wan0", "name"), ("wan1", "http"), ("wan2", "script"), ("wan3", "ping")] {
        let option = format!("\toption device '{device}'\n");
        text = text.replace(&option, &format!("{option}\tlist test '{used}'\n"));
    }
    text += &tests(&[Kind::Http, Kind::Ping]);
    text += "\nconfig test 'name'\n\toption type 'tcp'\n\tlist target 'one.example'\n\tlist target 'two.example'\n";
    text += &format!("\nconfig test 'script'\n\toption type 'exec'\n\toption script '{}'\n", script.display());
    let [resolver, peer, _, healthy] = lab.providers() else {
        return Err(LabError::new("use four providers", "the lab has others"));
    };
    resolver.fault(Kind::Dns, Fault::Silent);
    peer.fault(Kind::Http, Fault::AcceptAndSayNothing);
    let start = Instant::now();
    let daemon = run(binary, &lab, &text)?;
    for line in ["wan0 offline", "wan1 offline", "wan2 offline", "wan3 online"] {
        daemon.wait_for_line(line, start, Duration::from_secs(60))?;
    }
    std::thread::sleep(SETTLE);
    let from = Instant::now();
    std::thread::sleep(Duration::from_secs(if effort.full { 60 } else { 15 }));
    let late = lateness(healthy, Kind::Ping, from);
    if late.is_empty() { Err(LabError::new("measure the cadence", "no probe came in")) } else { Ok(late) }
}
