//! How often the route moves though no provider is dead: upstream packets lost on all of them, or all their queues full,
//! or their lines slow and unsteady.

use std::path::Path;
use std::time::Duration;

use lab::{DefaultRouteWatcher, Kind, LabConfig, LabError, Result};

use crate::Effort;
use crate::report::{Row, Unit};
use crate::subject::{FAST, SHIPPED, Settings, Subject, side_by_side, tests};

/// What the promises are given for.
const PROMISED: Duration = Duration::from_secs(180);
/// The short form watches for less, and scales.
const SHORT: Duration = Duration::from_secs(25);

/// What is wrong with the lines.
#[derive(Clone, Copy)]
enum Trouble {
    /// This share of the requests.
    Loss(f64),
    FullQueue,
    /// 300 ms, give or take 100.
    Unsteady,
    /// 20 ms, and suddenly 600.
    Jump,
}

/// How long a line is quick before it jumps.
const QUICK: Duration = Duration::from_secs(20);

/// Every type of test must succeed in every check.
const STRICT: Settings = &[("required", "all")];

/// One row, measured in so many labs at once.
struct Plan {
    what: &'static str,
    trouble: Trouble,
    settings: Settings<'static>,
    labs: u8,
    mean_at_most: f64,
}

/// Loss and full queues, with both profiles, all at the same time.
pub(crate) fn switches(binary: &Path, effort: Effort) -> Vec<Row> {
    let plan = |what, trouble, settings, labs, mean_at_most| Plan { what, trouble, settings, labs, mean_at_most };
    let many = if effort.full { 10 } else { 2 };
    let plans = [
        plan("30% loss upstream, shipped: switches", Trouble::Loss(0.3), SHIPPED, many / 2, 0.0),
        // "At most one in ten runs".
        plan("30% loss upstream, fast: switches", Trouble::Loss(0.3), FAST, many, 0.1),
        // By chance all nine probes of a check are lost once in 4,000 checks.
        plan("40% loss upstream, shipped: switches", Trouble::Loss(0.4), SHIPPED, many / 2, 0.1),
        plan("full queue, shipped: switches", Trouble::FullQueue, SHIPPED, 1, 0.0),
        plan("full queue, fast: switches", Trouble::FullQueue, FAST, 1, 0.0),
        plan("300 +- 100 ms, every test: failed checks", Trouble::Unsteady, STRICT, 2, 0.0),
        plan("20, then 600 ms, every test: failed checks", Trouble::Jump, STRICT, 2, 0.0),
    ];
    let watched = if effort.full { PROMISED } else { SHORT };
    let mut jobs: Vec<Box<dyn FnOnce() -> Result<f64> + Send + '_>> = Vec::new();
    for plan in &plans {
        for _ in 0..plan.labs {
            let seed = effort.seed.wrapping_add(jobs.len() as u64);
            jobs.push(Box::new(move || watch(binary, plan, watched, seed)));
        }
    }
    let mut outcomes = side_by_side(jobs).into_iter();
    let row = |plan: &Plan| {
        let scale = if effort.full { "in 180 s".to_owned() } else { format!("in 180 s (from {} s)", SHORT.as_secs()) };
        let what = format!("{} {scale}", plan.what);
        match outcomes.by_ref().take(plan.labs.into()).collect::<Result<Vec<f64>>>() {
            Ok(counts) => Row::new(what, Unit::Count, counts).mean_at_most(plan.mean_at_most),
            Err(error) => Row::failed(what, error),
        }
    };
    plans.iter().map(row).collect()
}

/// Switches, or with [`STRICT`] failed checks, in the promised time, scaled.
fn watch(binary: &Path, plan: &Plan, watched: Duration, seed: u64) -> Result<f64> {
    let strict = matches!(plan.trouble, Trouble::Unsteady | Trouble::Jump);
    let tests = tests(if strict { &Kind::ALL } else { &[] });
    let subject = Subject::with_tests(binary, LabConfig { seed, ..Default::default() }, plan.settings, &tests)?;
    for provider in subject.lab.providers() {
        match plan.trouble {
            Trouble::Loss(share) => provider.loss(share, 0.0),
            Trouble::FullQueue => provider.full_queue(true),
            Trouble::Unsteady => provider.delay(Duration::from_millis(200), Duration::from_millis(200)),
            Trouble::Jump => provider.delay(Duration::from_millis(20), Duration::ZERO),
        }
    }
    if matches!(plan.trouble, Trouble::Jump) {
        std::thread::sleep(QUICK);
        let slow = |provider: &lab::Provider| provider.delay(Duration::from_millis(600), Duration::ZERO);
        subject.lab.providers().iter().for_each(slow);
    }
    let watcher = DefaultRouteWatcher::start(subject.lab.router().namespace(), Duration::from_millis(5))?;
    std::thread::sleep(watched);
    // A dead daemon would not switch either.
    if let Some(status) = subject.daemon.try_wait()? {
        return Err(LabError::new("watch failoverd", format!("it has ended: {status}")));
    }
    // The first entry is where it began.
    let switches = watcher.stop().changes.len().saturating_sub(1);
    // One failed check suffices, and is in the log.
    let failed = subject.daemon.stderr().iter().filter(|line| line.text.contains(" offline")).count();
    let count = if strict { failed } else { switches };
    Ok(count as f64 * PROMISED.as_secs_f64() / watched.as_secs_f64())
}
