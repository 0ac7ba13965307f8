//! What failoverd takes: CPU time, memory, size, and the time until it has written the first route.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Lab, LabConfig, LabError, Result};

use crate::Effort;
use crate::report::{Row, Unit};
use crate::subject::{SHIPPED, Subject, side_by_side, spawn};

/// One value of CPU time: a whole number of checks of every provider at shipped settings.
const SLICE: Duration = Duration::from_secs(5);
/// After all providers are online there is still something to be read and written.
const SETTLE: Duration = Duration::from_secs(3);
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// CPU and memory with 2 and with 16 providers.
pub(crate) fn running(binary: &Path, effort: Effort) -> Vec<Row> {
    let kinds = [(2, Some(2.0), 4.0), (16, None, 5.0)];
    let jobs = kinds.map(|(providers, ..)| -> Box<dyn FnOnce() -> Result<_> + Send + '_> {
        Box::new(move || measure(binary, providers, effort))
    });
    let mut rows = Vec::new();
    for (outcome, (providers, cpu_limit, memory_limit)) in side_by_side(jobs.into()).into_iter().zip(kinds) {
        let cpu_name = format!("CPU time, {providers} providers, shipped");
        let memory_name = format!("resident memory, {providers} providers");
        match outcome {
            Ok((cpu, memory)) => {
                let cpu = Row::new(cpu_name, Unit::CpuSecondsPerHour, cpu);
                rows.push(cpu_limit.into_iter().fold(cpu, Row::median_at_most));
                rows.push(Row::new(memory_name, Unit::Megabytes, memory).each_at_most(memory_limit));
            }
            Err(error) => rows.push(Row::failed(cpu_name, error)),
        }
    }
    rows
}

/// (CPU seconds per hour, megabytes) of each slice.
fn measure(binary: &Path, providers: u8, effort: Effort) -> Result<(Vec<f64>, Vec<f64>)> {
    let subject = Subject::start(binary, LabConfig { providers, seed: effort.seed, ..Default::default() }, SHIPPED)?;
    std::thread::sleep(SETTLE);
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..if effort.full { 24 } else { 4 } {
        let (start, before) = (Instant::now(), subject.daemon.cpu_time_exact()?);
        std::thread::sleep(SLICE);
        let used = subject.daemon.cpu_time_exact()?.saturating_sub(before);
        cpu.push(used.as_secs_f64() / start.elapsed().as_secs_f64() * 3600.0);
        memory.push(subject.daemon.resident_bytes()? as f64 / MEGABYTE);
    }
    Ok((cpu, memory))
}

/// What checks leave behind in memory: as many a second as two providers have in four minutes and a half.
pub(crate) fn growth(binary: &Path, effort: Effort) -> Row {
    let watched = Duration::from_secs(if effort.full { 120 } else { 10 });
    let checks = 16 * 20 * watched.as_secs();
    let what = format!("growth of memory over {checks} checks");
    match grown(binary, effort, watched) {
        Ok(megabytes) => Row::new(what, Unit::Megabytes, vec![megabytes]),
        Err(error) => Row::failed(what, error),
    }
}

fn grown(binary: &Path, effort: Effort, watched: Duration) -> Result<f64> {
    let settings = [("interval", "50ms"), ("standby_interval", "50ms")];
    let subject =
        Subject::start(binary, LabConfig { providers: 16, seed: effort.seed, ..Default::default() }, &settings)?;
    // By then every history is full.
    std::thread::sleep(Duration::from_secs(6));
    let before = subject.daemon.resident_bytes()? as f64;
    std::thread::sleep(watched);
    Ok((subject.daemon.resident_bytes()? as f64 - before) / MEGABYTE)
}

/// From the start of the process on a router without any default route until the kernel has one.
pub(crate) fn start_up(binary: &Path, effort: Effort) -> Row {
    const WHAT: &str = "start-up until the first route";
    let times: Result<Vec<Duration>> = (0..if effort.full { 20 } else { 5 }).map(|_| first_route(binary)).collect();
    match times {
        Ok(times) => Row::of_durations(WHAT, Unit::Milliseconds, &times),
        Err(error) => Row::failed(WHAT, error),
    }
}

fn first_route(binary: &Path) -> Result<Duration> {
    let lab = Lab::new(LabConfig::default())?;
    let watcher = lab.watch_default_route()?;
    let start = Instant::now();
    let _daemon = spawn(binary, &lab, SHIPPED)?;
    let found = || watcher.report().changes.iter().find(|(_, device)| device.is_some()).map(|(at, _)| *at);
    let (at, _) = lab::wait_for_some(Duration::from_secs(10), "a default route", found)?;
    Ok(at - start)
}

/// The shipped binary.
pub(crate) fn size(binary: &Path) -> Row {
    const WHAT: &str = "size of the program";
    match std::fs::metadata(binary) {
        Ok(metadata) => Row::new(WHAT, Unit::Megabytes, vec![metadata.len() as f64 / MEGABYTE]).each_at_most(2.0),
        Err(error) => Row::failed(WHAT, LabError::new(format!("look at {}", binary.display()), error)),
    }
}
