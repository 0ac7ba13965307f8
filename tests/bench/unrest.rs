//! How often the route moves though no provider is dead: 30% of the upstream packets lost on all of them, or all their
//! queues full.

use std::path::Path;
use std::time::Duration;

use lab::{DefaultRouteWatcher, LabConfig, LabError, Result};

use crate::Effort;
use crate::report::{Row, Unit};
use crate::subject::{FAST, SHIPPED, Settings, Subject, side_by_side};

/// What the promises are given for.
const PROMISED: Duration = Duration::from_secs(180);
/// The short form watches for less, and scales.
const SHORT: Duration = Duration::from_secs(25);

/// What is wrong with the lines.
#[derive(Clone, Copy)]
enum Trouble {
    Loss,
    FullQueue,
}

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
        plan("30% loss upstream, shipped: switches", Trouble::Loss, SHIPPED, many / 2, 0.0),
        // "At most one in ten runs".
        plan("30% loss upstream, fast: switches", Trouble::Loss, FAST, many, 0.1),
        plan("full queue, shipped: switches", Trouble::FullQueue, SHIPPED, 1, 0.0),
        plan("full queue, fast: switches", Trouble::FullQueue, FAST, 1, 0.0),
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

/// Switches in the promised time, scaled.
fn watch(binary: &Path, plan: &Plan, watched: Duration, seed: u64) -> Result<f64> {
    let subject = Subject::start(binary, LabConfig { seed, ..Default::default() }, plan.settings)?;
    for provider in subject.lab.providers() {
        match plan.trouble {
            Trouble::Loss => provider.loss(0.3, 0.0),
            Trouble::FullQueue => provider.full_queue(true),
        }
    }
    let watcher = DefaultRouteWatcher::start(subject.lab.router().namespace(), Duration::from_millis(5))?;
    std::thread::sleep(watched);
    // A dead daemon would not switch either.
    if let Some(status) = subject.daemon.try_wait()? {
        return Err(LabError::new("watch failoverd", format!("it has ended: {status}")));
    }
    // The first entry is where it began.
    let switches = watcher.stop().changes.len().saturating_sub(1);
    Ok(switches as f64 * PROMISED.as_secs_f64() / watched.as_secs_f64())
}
