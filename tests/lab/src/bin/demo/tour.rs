//! The tour: what goes wrong on a router's lines, one after the other, and what it costs the LAN. Called by `main.rs`.

use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use failoverd::status::Status;
use lab::{LabError, Result, wait_for};

use crate::screen::{Screen, Style, Top, lock};
use crate::stage::{Stage, name};
use crate::step::{Bound, Line, Measured, Progress, heading};

const FIBER: u8 = 0;
const DSL: u8 = 1;
const LTE: u8 = 2;

/// Something to be done, and what must come of it.
struct Step {
    title: &'static str,
    act: fn(&Stage) -> Result<()>,
    /// The provider that traffic must take then.
    through: u8,
    /// It is over only when all providers are online.
    all_online: bool,
    bound: Bound,
    /// The kernel must hold what it held before the start.
    as_before: bool,
}

const STEP: Step =
    Step { title: "", act: |_| Ok(()), through: FIBER, all_online: false, bound: Bound::NothingLost, as_before: false };

/// Interval 1 s, the adaptive wait and eight more probes make 1.6 s at worst; lost carrier is the kernel's own business.
const SILENT: Bound = Bound::Outage(Duration::from_secs(2));
const CARRIER: Bound = Bound::Outage(Duration::from_millis(200));

const STEPS: [Step; 7] = [
    Step { title: "failoverd starts; all come online", act: Stage::start_daemon, all_online: true, ..STEP },
    Step {
        title: "fiber goes silent, carrier stays",
        act: |stage| stage.cut(FIBER),
        through: DSL,
        bound: SILENT,
        ..STEP
    },
    Step {
        title: "dsl loses its carrier",
        act: |stage| stage.carrier(DSL, false),
        through: LTE,
        bound: CARRIER,
        ..STEP
    },
    Step {
        title: "fiber and dsl work again",
        act: |stage| stage.heal(DSL).and_then(|()| stage.heal(FIBER)),
        all_online: true,
        ..STEP
    },
    Step { title: "failoverd pin lte", act: |stage| stage.command(&["pin", "lte"]).map(drop), through: LTE, ..STEP },
    Step { title: "failoverd unpin", act: |stage| stage.command(&["unpin"]).map(drop), ..STEP },
    Step { title: "failoverd stops", act: Stage::stop_daemon, as_before: true, ..STEP },
];

/// Longer than any step takes, even on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long a new state is watched before it is measured.
const SETTLE: Duration = Duration::from_millis(500);
/// Longer than any answer takes.
const IN_FLIGHT: Duration = Duration::from_millis(50);
/// For the person who looks on.
const BREATH: Duration = Duration::from_millis(1000);

/// What the thread that goes through the steps and the one that looks at the daemon share.
struct Tour<'a> {
    stage: &'a Stage,
    screen: &'a Screen,
    status: Mutex<Option<Status>>,
    lines: Mutex<Vec<Line>>,
}

/// Goes through all steps; `true` if each held.
pub(crate) fn go(stage: &Stage, screen: &Screen) -> Result<bool> {
    let lines = STEPS.iter().map(|step| Line { title: step.title, progress: Progress::Waiting }).collect();
    let tour = Tour { stage, screen, status: Mutex::new(None), lines: Mutex::new(lines) };
    let outcome = stage.watched(|status| tour.look(status), || tour.all_steps());
    tour.draw();
    outcome?;
    tour.conclude()
}

impl Tour<'_> {
    fn all_steps(&self) -> Result<()> {
        // The line is known to work before anything is asked of it.
        self.stage.stream().wait_until_via(FIBER, PATIENCE)?;
        if self.screen.terminal().is_none() {
            self.screen.print(&format!("{}\n", heading(self.screen)))?;
        }
        for (at, step) in STEPS.iter().enumerate() {
            self.set(at, Progress::Running(Instant::now()));
            let (measured, wrong) = self.one_step(step);
            let lost_track = measured.is_none();
            self.set(at, Progress::Done(measured, wrong));
            if self.screen.terminal().is_none() {
                let text = lock(&self.lines).get(at).map(|line| line.text(self.screen)).unwrap_or_default();
                self.screen.print(&format!("{text}\n"))?;
            }
            // What follows builds on it.
            if lost_track {
                break;
            }
            sleep(BREATH);
        }
        Ok(())
    }

    /// Does it, waits for what must come of it, and measures.
    fn one_step(&self, step: &Step) -> (Option<Measured>, Option<String>) {
        let stream = self.stage.stream();
        let before = stream.current_provider();
        let from = Instant::now();
        let reached = (step.act)(self.stage)
            .and_then(|()| stream.wait_until_via(step.through, PATIENCE))
            .and_then(|_| if step.all_online { self.wait_until_all_online() } else { Ok(()) });
        if let Err(error) = reached {
            let ended = self.stage.daemon_ended();
            return (None, Some(if ended { "failoverd has ended by itself".to_owned() } else { error.to_string() }));
        }
        sleep(SETTLE);
        let until = Instant::now();
        // Late is not lost.
        _ = wait_for(SETTLE * 2, "the last answers", || stream.lost_between(until - SETTLE, until) == 0);
        let timeline = stream.timeline();
        let providers = timeline.providers_between(from, until).into_iter().map(|(provider, _)| provider);
        let mut path: Vec<u8> = before.into_iter().chain(providers).collect();
        path.dedup();
        // What was on its way when it happened counts as well.
        let lost = timeline.lost_between(from.checked_sub(IN_FLIGHT).unwrap_or(from), until);
        let path = path.into_iter().map(name).collect();
        let measured = Measured { path, outage: timeline.outage_between(from, until), lost };
        let wrong = step.bound.verdict(&measured).or_else(|| if step.as_before { self.difference() } else { None });
        (Some(measured), wrong)
    }

    fn wait_until_all_online(&self) -> Result<()> {
        let all_online = || {
            let status = lock(&self.status);
            status.as_ref().is_some_and(|status| {
                !status.providers.is_empty() && status.providers.iter().all(|provider| provider.state == "online")
            })
        };
        let what = "all providers to be online";
        wait_for(PATIENCE, what, || all_online() || self.stage.daemon_ended())?;
        if all_online() { Ok(()) } else { Err(LabError::new(format!("wait for {what}"), "failoverd has ended")) }
    }

    fn difference(&self) -> Option<String> {
        match self.stage.changes() {
            Ok(changes) if changes.is_empty() => None,
            Ok(changes) => Some(format!("the kernel does not hold what it held before:\n  {}", changes.join("\n  "))),
            Err(error) => Some(error.to_string()),
        }
    }

    fn set(&self, at: usize, progress: Progress) {
        if let Some(line) = lock(&self.lines).get_mut(at) {
            line.progress = progress;
        }
        self.draw();
    }

    /// Shows a new status. The last one stays while there is none.
    fn look(&self, status: Option<Status>) {
        if status.is_some() {
            *lock(&self.status) = status;
        }
        self.draw();
    }

    fn draw(&self) {
        let mut lines = vec![heading(self.screen)];
        let stopped = {
            let steps = lock(&self.lines);
            lines.extend(steps.iter().map(|line| line.text(self.screen)));
            matches!(steps.last(), Some(Line { progress: Progress::Done(..), .. }))
        };
        let status = lock(&self.status);
        self.screen.draw(if stopped { Top::Stopped } else { Top::Status(status.as_ref()) }, &lines);
    }

    /// Says whether all held, or what did not.
    fn conclude(&self) -> Result<bool> {
        let lines = lock(&self.lines);
        let held = lines.iter().filter(|line| matches!(line.progress, Progress::Done(_, None))).count();
        let mut text = String::from("\n");
        for line in lines.iter() {
            if let Progress::Done(_, Some(wrong)) = &line.progress {
                text.push_str(&format!("{}: {}: {wrong}\n", self.screen.paint(Style::Bad, "FAILED"), line.title));
            }
        }
        if held == STEPS.len() {
            let sentence = "Every step held; routes, rules and sysctls are as they were before.";
            text.push_str(&format!("{}\n", self.screen.paint(Style::Good, sentence)));
        } else {
            text.push_str(&format!("{held} of {} steps held. The end of failoverd's log:\n", STEPS.len()));
            let log = self.stage.log();
            let last = log.iter().skip(log.len().saturating_sub(15));
            text.extend(last.map(|line| format!("  {}\n", line.text)));
        }
        self.screen.print(&text)?;
        Ok(held == STEPS.len())
    }
}
