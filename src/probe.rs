//! The probes of one provider: when to send the next one, which answer belongs to which, and when a check is over.
//!
//! `core` tells it when to begin a check and what came in; it answers with [`Step`]s. A finished [`Check`] goes to `reliability`.
//!
//! An unanswered probe is only a suspicion: a burst to the other targets follows, and when that is unanswered too, what the
//! line received meanwhile tells a dead line from a slow one.

mod pace;
mod run;
mod targets;
mod window;

use std::net::IpAddr;
use std::time::Duration;

pub use window::{Spread, Tally, Window};

use crate::event::{Neighbour, ProbeToken};
use crate::moment::Moment;
use crate::random::Random;
use crate::reason::{Reason, Received, Refusal};
use crate::reliability::Check;
use crate::settings::{CheckSettings, Required, Target};
use run::{Phase, Run};
use targets::Targets;

/// Fewer packets than this since the suspicion began, and the line is dead rather than slow.
const ALIVE_PACKETS: u32 = 5;

/// What an answer may have come in: a page with its handshake. That other probes of ours are answered in time is no sign that those that are
/// not only take longer.
const ANSWER_PACKETS: u32 = 6;

/// The count of received packets may take this long, even where `timeout` is over before.
const COUNT_TIMEOUT: Duration = Duration::from_millis(500);

/// A script is killed at `timeout`, and so much later at the latest that is told.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);

/// A gateway that was asked for so long in vain does not answer, as far as probes that are lost need a name...
const GATEWAY_DOUBTFUL: Duration = Duration::from_millis(300);
/// ... and for so long, twice at least (the kernel asks each second), that no other sign of life is waited for.
const GATEWAY_SILENT: Duration = Duration::from_millis(1200);

/// After a burst no line is judged before its first probe has waited for so long: six and a half times `min_timeout`, 0.65 s as
/// shipped. An idle line whose round trip has grown to 0.6 s receives nothing before that, just as a dead one.
pub fn least_wait(limits: &CheckSettings) -> Duration {
    (limits.min_timeout.saturating_mul(13) / 2).min(limits.timeout)
}

/// What a [`Prober`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this probe to this target.
    Send(ProbeToken, Aim),
    /// Begin to count what the line receives.
    Watch,
    /// Tell the count by [`Prober::received`].
    Count,
    /// Count no more.
    Unwatch,
    /// The check is over; with the test that failed, where nothing speaks against another one.
    Done(Check, Option<usize>),
    /// This target has answered, or is missed while another one of its test has answered.
    Heard {
        /// Which of the provider's tests.
        test: usize,
        /// Which of the test's targets.
        target: usize,
        /// It has.
        answered: bool,
    },
}

/// One provider's probes.
#[derive(Clone, Debug)]
pub struct Prober {
    id: u16,
    sequence: u16,
    tests: Vec<Targets>,
    window: Window,
    running: Option<Running>,
    /// The last probe to a suspect target beside those of a check: when, which, and whom.
    extra: Option<(Moment, ProbeToken, Aim)>,
}

/// Whom a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aim {
    /// Which of the provider's tests, from 0.
    pub test: usize,
    /// Which of the test's targets, from 0.
    pub target: usize,
    /// At this address; `None` where the test needs none (`arp`, `exec`).
    pub address: Option<IpAddr>,
}

/// A check on its way.
#[derive(Clone, Debug)]
struct Running {
    runs: Vec<Run>,
    limits: CheckSettings,
    /// Since when the received packets are counted.
    watching: Option<Moment>,
    /// Answers to our own probes since then that came in time, wrong ones too.
    own: u32,
    /// One did not: the line is slow rather than dead.
    slow: bool,
}

impl Prober {
    /// Probes marked `id`, for tests with these targets; the first target of each is drawn from `random`.
    pub fn new(id: u16, tests: Vec<&[Target]>, random: &mut Random) -> Self {
        let tests: Vec<Targets> = tests.into_iter().map(|targets| Targets::new(targets, random.next())).collect();
        let window = Window::new(tests.iter().position(Targets::asks_beyond));
        Self { id, sequence: 0, tests, window, running: None, extra: None }
    }

    /// Whether a check is on its way.
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Latency, jitter and loss of the first probes.
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// The provider is reliable again: what was lost in its outage does not count.
    pub fn forgive(&mut self) {
        self.window.forgive();
    }

    /// The link is another one: what was lost on the one before does not count.
    pub fn begin_anew(&mut self) {
        self.window.begin_anew();
    }

    /// Every address that a probe may go to.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.tests.iter().flat_map(Targets::addresses)
    }

    /// Whether a test, by its number, has a target that can be asked now.
    pub fn can_ask(&self, test: usize) -> bool {
        self.tests.get(test).is_some_and(Targets::can_ask)
    }

    /// The addresses of a name; `None`: no target has it.
    pub fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.tests.iter().find_map(|test| test.addresses_of(name)).map(<[IpAddr]>::to_vec)
    }

    /// The addresses of a target, by the numbers of test and target.
    pub fn addresses_at(&self, test: usize, target: usize) -> &[IpAddr] {
        self.tests.get(test).map(|test| test.addresses_at(target)).unwrap_or_default()
    }

    /// A name's addresses from now on, or why it has none.
    pub fn resolved(&mut self, named: &str, outcome: Result<Vec<IpAddr>, String>) {
        self.tests.iter_mut().for_each(|test| test.resolved(named, &outcome));
    }

    /// Why the last probe to this target of this test failed, where somebody said so; until it answers.
    pub fn refusal(&self, test: usize, target: usize) -> Option<&Refusal> {
        self.tests.get(test)?.refusal(target)
    }

    /// This target of this test is suspect, and asked last, or is not.
    pub fn set_suspect(&mut self, test: usize, target: usize, suspect: bool) {
        if let Some(targets) = self.tests.get_mut(test) {
            targets.set_suspect(target, suspect);
        }
    }

    /// Starts a check: one probe per test. Does nothing while one is running.
    pub fn begin(&mut self, now: Moment, limits: &CheckSettings, random: &mut Random, out: &mut Vec<Step>) {
        if self.running.is_some() {
            return;
        }
        let mut runs = Vec::with_capacity(self.tests.len());
        for (test, targets) in self.tests.iter_mut().enumerate() {
            let Some((target, address)) = targets.next(false) else {
                runs.push(Run::new(test, now, Duration::ZERO, Phase::Failed(targets.unresolvable())));
                continue;
            };
            let (token, aim) = (token(self.id, &mut self.sequence, random), Aim { test, target, address });
            let wait = targets.pace.wait(limits);
            targets.sent(target, now, now + wait);
            self.window.sent(now, token, aim, limits);
            out.push(Step::Send(token, aim));
            let phase = if targets.patient {
                Phase::Script {
                    until: now + limits.timeout + KILL_TIMEOUT,
                    left: limits.attempts.min(targets.others()),
                }
            } else {
                Phase::Waiting { until: now + wait }
            };
            let mut run = Run::new(test, now, wait, phase);
            run.sent(now, token, aim);
            runs.push(run);
        }
        self.running = Some(Running { runs, limits: limits.clone(), watching: None, own: 0, slow: false });
        self.conclude(now, out);
    }

    /// Asks a suspect target, beside the check that has just begun: an answer clears it, and nothing else comes of it.
    pub fn ask_suspect(&mut self, now: Moment, test: usize, target: usize, random: &mut Random, out: &mut Vec<Step>) {
        let Some(address) = self.tests.get(test).and_then(|targets| targets.place(target)) else { return };
        let (token, aim) = (token(self.id, &mut self.sequence, random), Aim { test, target, address });
        self.extra = Some((now, token, aim));
        out.push(Step::Send(token, aim));
    }

    /// Forgets every probe on its way: an answer that comes across a lost link proves nothing. New ones are marked `id`.
    pub fn invalidate(&mut self, id: u16, out: &mut Vec<Step>) {
        self.id = id;
        self.window.forget_pending();
        self.tests.iter_mut().for_each(|targets| targets.over(None));
        self.stop_watching(out);
        self.running = None;
        self.extra = None;
    }

    /// An answer came in, from `source` where that is not certain by the way it came.
    pub fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken, out: &mut Vec<Step>) {
        let first = self.window.answered(at, source, token);
        if let Some((aim, sent)) = first
            && let Some(targets) = self.tests.get_mut(aim.test)
        {
            targets.pace.sample(at.since(sent));
        }
        let extra = self.extra.take_if(|(_, asked, aim)| *asked == token && aim.fits(source));
        let mut heard = first.or(extra.map(|(sent, _, aim)| (aim, sent)));
        if let Some(running) = &mut self.running {
            let found = running.runs.iter_mut().find_map(|run| Some((run.answered(at, source, token)?, run.wait)));
            heard = found.map(|(heard, _)| heard).or(heard);
            running.hear(found.map(|((_, sent), wait)| at.since(sent) <= wait));
        }
        if let Some((aim, sent)) = heard
            && let Some(targets) = self.tests.get_mut(aim.test)
        {
            targets.answered(aim.test, aim.target, sent, at, out);
        }
        self.conclude(at, out);
    }

    /// The probe with this sequence number to `target` failed without being lost.
    pub fn refused(
        &mut self,
        now: Moment,
        id: u16,
        sequence: u16,
        target: Option<IpAddr>,
        cause: &Refusal,
        out: &mut Vec<Step>,
    ) {
        if id != self.id {
            return;
        }
        let extra = self.extra.filter(|(_, asked, aim)| asked.sequence == sequence && aim.fits(target));
        let first = self.window.aim(sequence, target);
        if first.is_some() && cause.is_answer() {
            self.window.not_lost(sequence);
        }
        let mut refused = first.or(extra.map(|(.., aim)| aim));
        if let Some(running) = &mut self.running {
            let found =
                running.runs.iter_mut().find_map(|run| Some((run.refused(now, sequence, target, cause)?, run.wait)));
            refused = found.map(|((aim, _), _)| aim).or(refused);
            running.hear(found.filter(|_| cause.is_answer()).map(|((_, sent), wait)| now.since(sent) <= wait));
        }
        if let Some(aim) = refused
            && let Some(targets) = self.tests.get_mut(aim.test)
        {
            targets.refused(aim.target, now, cause);
        }
        self.conclude(now, out);
    }

    /// The count asked for by [`Step::Count`] (`None`: it could not be had), and how it stands with the gateway. A gateway that does not
    /// answer speaks against the line; one that does is no proof of anything behind it.
    pub fn received(
        &mut self,
        now: Moment,
        packets: Option<u32>,
        gateway: Option<(IpAddr, Neighbour)>,
        random: &mut Random,
        out: &mut Vec<Step>,
    ) {
        let Some(running) = &mut self.running else { return };
        let since = running.watching;
        let packets = packets.map(|it| it.saturating_sub(running.own.saturating_mul(ANSWER_PACKETS)));
        let silent_for = |least| {
            let (gateway, state) = gateway?;
            let silent = match state {
                Neighbour::Failed => true,
                Neighbour::Asked(time) => time >= least,
                Neighbour::Unknown | Neighbour::Reachable => false,
            };
            silent.then_some(gateway)
        };
        for run in &mut running.runs {
            let Phase::Judging { .. } = run.phase else { continue };
            let within = since.map_or(Duration::ZERO, |since| now.since(since));
            let patience = run.started + running.limits.timeout;
            run.phase = match (packets, silent_for(GATEWAY_SILENT)) {
                (packets, None) if running.slow => Phase::Patient { until: patience, packets },
                // Something comes in: the first answers, or parts of them, on a line that has become slow.
                (Some(packets), None) if packets < ALIVE_PACKETS && packets > run.heard && now < patience => {
                    run.heard = packets;
                    Phase::Burst { next: (now + run.wait).min(patience), left: 0 }
                }
                (Some(packets), silent) if packets < ALIVE_PACKETS => {
                    let silent = silent.or_else(|| silent_for(GATEWAY_DOUBTFUL));
                    Phase::Failed(run.failure(silent, Received::Little { packets, within }))
                }
                (packets, None) => Phase::Patient { until: patience, packets },
                (_, silent) => Phase::Failed(run.failure(silent, Received::Unknown { waited: now.since(run.started) })),
            };
        }
        self.tick(now, random, out);
    }

    /// Does what is due: further attempts, judgements, the end of patience.
    pub fn tick(&mut self, now: Moment, random: &mut Random, out: &mut Vec<Step>) {
        let Some(running) = &mut self.running else { return };
        let mut doubtful = running.runs.iter().any(|run| run.phase.is_doubtful());
        for run in &mut running.runs {
            while run.phase.deadline().is_some_and(|deadline| deadline <= now) {
                match run.phase {
                    Phase::Waiting { .. } if running.limits.attempts == 0 => {
                        run.phase = Phase::Patient { until: run.started + running.limits.timeout, packets: None };
                        run.give_up_if_refused();
                    }
                    Phase::Waiting { until } => {
                        // What the line received while an earlier doubt was settled says nothing about this one.
                        if !doubtful {
                            if running.watching.is_some() {
                                out.push(Step::Unwatch);
                            }
                            (running.watching, running.own, running.slow) = (Some(now), 0, false);
                            out.push(Step::Watch);
                        }
                        doubtful = true;
                        run.phase = Phase::Burst { next: until.max(now), left: running.limits.attempts };
                    }
                    Phase::Burst { left: 0, .. } => {
                        run.phase =
                            Phase::Judging { until: (run.started + running.limits.timeout).max(now + COUNT_TIMEOUT) };
                        out.push(Step::Count);
                    }
                    Phase::Burst { next, left } => {
                        if let Some(targets) = self.tests.get_mut(run.test) {
                            // At the end those who would not have been asked; most go to those of whom an answer is expected.
                            let suspect = left <= targets.suspects().min(running.limits.attempts / 2);
                            if let Some((target, address)) = targets.next(suspect) {
                                let token = token(self.id, &mut self.sequence, random);
                                let aim = Aim { test: run.test, target, address };
                                targets.sent(target, now, now + run.wait);
                                run.sent(now, token, aim);
                                out.push(Step::Send(token, aim));
                            }
                        }
                        // After a stall the rest of the burst keeps its pace instead of leaving at once.
                        let base = if now.since(next) > running.limits.attempt_interval { now } else { next };
                        let next = match left {
                            1 => (base + run.wait).max(run.started + least_wait(&running.limits)),
                            _ => base + running.limits.attempt_interval,
                        };
                        run.phase = Phase::Burst { next, left: left.saturating_sub(1) };
                    }
                    Phase::Judging { until } => run.phase = Phase::Patient { until, packets: None },
                    Phase::Patient { packets, .. } => {
                        let waited = now.since(run.started);
                        let received = packets
                            .map_or(Received::Unknown { waited }, |packets| Received::Enough { packets, waited });
                        run.phase = Phase::Failed(run.failure(None, received));
                    }
                    Phase::Script { left: 0, .. } => {
                        run.phase =
                            Phase::Failed(run.failure(None, Received::Unknown { waited: now.since(run.started) }));
                    }
                    Phase::Script { left, .. } => {
                        if let Some(targets) = self.tests.get_mut(run.test)
                            && let Some((target, address)) = targets.next(false)
                        {
                            let token = token(self.id, &mut self.sequence, random);
                            let aim = Aim { test: run.test, target, address };
                            run.sent(now, token, aim);
                            out.push(Step::Send(token, aim));
                        }
                        run.phase = Phase::Script {
                            until: now + running.limits.timeout + KILL_TIMEOUT,
                            left: left.saturating_sub(1),
                        };
                    }
                    Phase::Succeeded | Phase::Failed(_) => break,
                }
            }
        }
        self.conclude(now, out);
    }

    /// When [`Self::tick`] has something to do.
    pub fn deadline(&self) -> Option<Moment> {
        self.running.as_ref()?.runs.iter().filter_map(|run| run.phase.deadline()).min()
    }

    /// Ends the check once enough tests have succeeded, or so many failed that it cannot succeed any more.
    fn conclude(&mut self, now: Moment, out: &mut Vec<Step>) {
        let Some(running) = &self.running else { return };
        let total = running.runs.len();
        let required = match running.limits.required {
            Required::All => total,
            Required::Count(count) => usize::try_from(count).unwrap_or(total).min(total),
        };
        let succeeded = running.runs.iter().filter(|run| matches!(run.phase, Phase::Succeeded)).count();
        let failed = running.runs.iter().filter(|run| matches!(run.phase, Phase::Failed(_))).count();
        let mut named = None;
        let failure = if succeeded >= required {
            None
        } else if total - failed < required {
            let mut worst: Option<(usize, &Reason)> = None;
            for run in &running.runs {
                if let Phase::Failed(reason) = &run.phase
                    && worst.is_none_or(|(_, other)| reason.telling() > other.telling())
                {
                    worst = Some((run.test, reason));
                }
            }
            let hopeful = |run: &Run| !run.phase.is_doubtful() && !matches!(run.phase, Phase::Failed(_));
            named = worst.map(|(test, _)| test).filter(|_| running.runs.iter().any(hopeful));
            Some(worst.map_or(Reason::NotReadYet, |(_, reason)| reason.clone()))
        } else {
            return;
        };
        let check = Check {
            at: now,
            failure,
            latency: running.runs.iter().find(|run| self.window.measures(run.test)).and_then(Run::first_latency),
            sent: running.runs.iter().map(Run::count).fold(0, u32::saturating_add),
            first: u32::try_from(running.runs.iter().filter(|run| run.count() > 0).count()).unwrap_or(u32::MAX),
            first_lost: u32::try_from(running.runs.iter().filter(|run| run.first_lost()).count()).unwrap_or(u32::MAX),
        };
        // What the last probe of an outage has asked is part of it, though a further one is answered.
        let failed = |run: &Run| self.tests.get(run.test).is_some_and(|targets| targets.failing);
        let outage = check.failure.is_some() || running.runs.iter().any(failed);
        if let Some(run) = running.runs.first().filter(|_| outage) {
            self.window.lose_pending(run.started);
        }
        for run in &running.runs {
            // An answer to a first probe is known however late it comes, one to a further probe is not.
            if let Some(targets) = self.tests.get_mut(run.test).filter(|_| !matches!(run.phase, Phase::Waiting { .. }))
            {
                targets.over(run.phase.succeeded());
            }
        }
        self.stop_watching(out);
        self.running = None;
        out.push(Step::Done(check, named));
    }

    fn stop_watching(&mut self, out: &mut Vec<Step>) {
        if self.running.as_mut().and_then(|running| running.watching.take()).is_some() {
            out.push(Step::Unwatch);
        }
    }
}

/// The name of the next probe.
fn token(id: u16, sequence: &mut u16, random: &mut Random) -> ProbeToken {
    *sequence = sequence.wrapping_add(1);
    ProbeToken { id, sequence: *sequence, cookie: random.next() }
}

impl Running {
    /// An answer to a probe of this check, in time or not: the one is no sign of life for a test that gets none, the other one is.
    fn hear(&mut self, in_time: Option<bool>) {
        match in_time.filter(|_| self.watching.is_some()) {
            Some(true) => self.own = self.own.saturating_add(1),
            Some(false) => self.slow = true,
            None => {}
        }
    }
}

impl Aim {
    /// Whether an answer from there may be its target's; one whose sender is certain comes without.
    fn fits(&self, source: Option<IpAddr>) -> bool {
        source.is_none_or(|source| self.address == Some(source))
    }
}

#[cfg(test)]
mod tests;
