//! The probes of one provider: when to send the next one, which answer belongs to which, and when a check is over.
//!
//! `core` tells it when to begin a check and what came in; it answers with [`Step`]s. A finished [`Check`] goes to `reliability`.
//!
//! An unanswered probe is only a suspicion: a burst to the other targets follows, and when that is unanswered too, what the
//! line received meanwhile tells a dead line from a slow one.

mod run;
mod window;

use std::net::IpAddr;
use std::time::Duration;

pub use window::{Spread, Tally, Window};

use crate::event::{Neighbour, ProbeToken};
use crate::moment::Moment;
use crate::random::Random;
use crate::reason::{Reason, Received, Refusal};
use crate::reliability::Check;
use crate::settings::{CheckSettings, Host, Required, Target};
use run::{Phase, Run};

/// Fewer packets than this since the suspicion began, and the line is dead rather than slow.
const ALIVE_PACKETS: u32 = 5;

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
    /// The check is over.
    Done(Check),
}

/// One provider's probes.
#[derive(Clone, Debug)]
pub struct Prober {
    id: u16,
    sequence: u16,
    tests: Vec<Targets>,
    window: Window,
    running: Option<Running>,
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

/// The targets of one test, and whose turn it is.
#[derive(Clone, Debug)]
struct Targets {
    spots: Vec<Spot>,
    turn: usize,
    /// Each answer may take its time, as a script's does: one probe at a time, each waited for until `timeout`, and each target once. How
    /// long it takes says nothing of the line.
    patient: bool,
}

/// One target.
#[derive(Clone, Debug)]
enum Spot {
    /// Asked there.
    Address(IpAddr),
    /// Asked at one of its addresses after the other; left out while there are none.
    Name {
        name: String,
        addresses: Vec<IpAddr>,
        /// Why there are none.
        cause: String,
    },
    /// Asked without an address.
    Placeless,
}

/// A check on its way.
#[derive(Clone, Debug)]
struct Running {
    runs: Vec<Run>,
    limits: CheckSettings,
    /// Since when the received packets are counted.
    watching: Option<Moment>,
}

impl Prober {
    /// Probes marked `id`, for tests with these targets; the first target of each is drawn from `random`.
    pub fn new(id: u16, tests: Vec<&[Target]>, random: &mut Random) -> Self {
        let spot = |target: &Target| match &target.host {
            Host::Address(address) => Spot::Address(*address),
            Host::Name(name) => Spot::Name { name: name.clone(), addresses: vec![], cause: String::new() },
            Host::Gateway | Host::Text(_) => Spot::Placeless,
        };
        let tests: Vec<Targets> = tests
            .into_iter()
            .map(|targets| {
                let turn = usize::try_from(random.next() >> 33).unwrap_or(0);
                let patient = targets.iter().any(|target| matches!(target.host, Host::Text(_)));
                Targets { spots: targets.iter().map(spot).collect(), turn, patient }
            })
            .collect();
        let beyond = |test: &Targets| test.spots.iter().any(|spot| !matches!(spot, Spot::Placeless));
        let window = Window::new(tests.len(), tests.iter().position(beyond));
        Self { id, sequence: 0, tests, window, running: None }
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
        self.tests.iter().flat_map(|test| &test.spots).flat_map(Spot::addresses).copied()
    }

    /// Whether a test, by its number, has a target that can be asked now.
    pub fn can_ask(&self, test: usize) -> bool {
        self.tests.get(test).is_some_and(|test| test.spots.iter().any(Spot::can_be_asked))
    }

    /// The addresses of a name; `None`: no target has it.
    pub fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let spots = self.tests.iter().flat_map(|test| &test.spots);
        spots.filter(|spot| spot.is_named(name)).map(|spot| spot.addresses().to_vec()).next()
    }

    /// The addresses of a target, by the numbers of test and target.
    pub fn addresses_at(&self, test: usize, target: usize) -> &[IpAddr] {
        self.tests.get(test).and_then(|test| test.spots.get(target)).map(Spot::addresses).unwrap_or_default()
    }

    /// A name's addresses from now on, or why it has none.
    pub fn resolved(&mut self, named: &str, outcome: Result<Vec<IpAddr>, String>) {
        for spot in self.tests.iter_mut().flat_map(|test| &mut test.spots).filter(|spot| spot.is_named(named)) {
            if let Spot::Name { addresses, cause, .. } = spot {
                match &outcome {
                    Ok(told) => addresses.clone_from(told),
                    Err(why) => (*addresses, *cause) = (vec![], why.clone()),
                }
            }
        }
    }

    /// Starts a check: one probe per test. Does nothing while one is running.
    pub fn begin(&mut self, now: Moment, limits: &CheckSettings, random: &mut Random, out: &mut Vec<Step>) {
        if self.running.is_some() {
            return;
        }
        let mut runs = Vec::with_capacity(self.tests.len());
        for (test, targets) in self.tests.iter_mut().enumerate() {
            let Some((token, aim)) = next_probe(self.id, &mut self.sequence, test, targets, random) else {
                runs.push(Run::failed(test, now, targets.unresolvable()));
                continue;
            };
            self.window.sent(now, token, aim, limits);
            out.push(Step::Send(token, aim));
            let wait = self.window.wait(test, limits);
            let phase = if targets.patient {
                let others = u32::try_from(targets.spots.len().saturating_sub(1)).unwrap_or(u32::MAX);
                Phase::Script { until: now + limits.timeout + KILL_TIMEOUT, left: limits.attempts.min(others) }
            } else {
                Phase::Waiting { until: now + wait }
            };
            runs.push(Run::new(test, now, token, aim, wait, phase));
        }
        self.running = Some(Running { runs, limits: limits.clone(), watching: None });
        self.conclude(now, out);
    }

    /// Forgets every probe on its way: an answer that comes across a lost link proves nothing. New ones are marked `id`.
    pub fn invalidate(&mut self, id: u16, out: &mut Vec<Step>) {
        self.id = id;
        self.window.forget_pending();
        self.stop_watching(out);
        self.running = None;
    }

    /// An answer came in, from `source` where that is not certain by the way it came.
    pub fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken, out: &mut Vec<Step>) {
        self.window.answered(at, source, token);
        let Some(running) = &mut self.running else { return };
        for run in &mut running.runs {
            run.answered(at, source, token);
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
        let Some(running) = &mut self.running else { return };
        for run in &mut running.runs {
            run.refused(now, sequence, target, cause);
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
            let patience = run.started + running.limits.timeout;
            let within = since.map_or(Duration::ZERO, |since| now.since(since));
            run.phase = match (packets, silent_for(GATEWAY_SILENT)) {
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
        for run in &mut running.runs {
            while run.phase.deadline().is_some_and(|deadline| deadline <= now) {
                match run.phase {
                    Phase::Waiting { .. } if running.limits.attempts == 0 => {
                        run.phase = Phase::Patient { until: run.started + running.limits.timeout, packets: None };
                    }
                    Phase::Waiting { until } => {
                        if running.watching.is_none() {
                            running.watching = Some(now);
                            out.push(Step::Watch);
                        }
                        run.phase = Phase::Burst { next: until.max(now), left: running.limits.attempts };
                    }
                    Phase::Burst { left: 0, .. } => {
                        run.phase =
                            Phase::Judging { until: (run.started + running.limits.timeout).max(now + COUNT_TIMEOUT) };
                        out.push(Step::Count);
                    }
                    Phase::Burst { next, left } => {
                        let probe = self
                            .tests
                            .get_mut(run.test)
                            .and_then(|targets| next_probe(self.id, &mut self.sequence, run.test, targets, random));
                        if let Some((token, aim)) = probe {
                            run.sent(token, aim);
                            out.push(Step::Send(token, aim));
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
                        let next = self
                            .tests
                            .get_mut(run.test)
                            .and_then(|targets| next_probe(self.id, &mut self.sequence, run.test, targets, random));
                        if let Some((token, aim)) = next {
                            run.sent(token, aim);
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
        let failure = if succeeded >= required {
            None
        } else if total - failed < required {
            let reason = running.runs.iter().find_map(|run| match &run.phase {
                Phase::Failed(reason) => Some(reason.clone()),
                _ => None,
            });
            Some(reason.unwrap_or(Reason::NotReadYet))
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
        if let Some(run) = running.runs.first().filter(|_| check.failure.is_some()) {
            self.window.lose_pending(run.started);
        }
        self.stop_watching(out);
        self.running = None;
        out.push(Step::Done(check));
    }

    fn stop_watching(&mut self, out: &mut Vec<Step>) {
        if self.running.as_mut().and_then(|running| running.watching.take()).is_some() {
            out.push(Step::Unwatch);
        }
    }
}

/// The next probe of a test, to the target whose turn it is.
fn next_probe(
    id: u16,
    sequence: &mut u16,
    test: usize,
    targets: &mut Targets,
    random: &mut Random,
) -> Option<(ProbeToken, Aim)> {
    let count = targets.spots.len();
    let aim = (0..count).find_map(|_| {
        let (round, target) = (targets.turn.checked_div(count)?, targets.turn.checked_rem(count)?);
        targets.turn = targets.turn.wrapping_add(1);
        let address = match targets.spots.get(target)? {
            Spot::Placeless => None,
            placed => {
                let all = placed.addresses();
                Some(*all.get(round.checked_rem(all.len())?)?)
            }
        };
        Some(Aim { test, target, address })
    })?;
    *sequence = sequence.wrapping_add(1);
    Some((ProbeToken { id, sequence: *sequence, cookie: random.next() }, aim))
}

impl Targets {
    /// Why none of them can be asked.
    fn unresolvable(&self) -> Reason {
        let named = self.spots.iter().find_map(|spot| match spot {
            Spot::Name { name, cause, .. } => Some((name, cause)),
            Spot::Address(_) | Spot::Placeless => None,
        });
        named.map_or(Reason::NotReadYet, |(name, cause)| Reason::Unresolvable {
            name: name.clone(),
            cause: cause.clone(),
        })
    }
}

impl Spot {
    fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Address(address) => std::slice::from_ref(address),
            Self::Name { addresses, .. } => addresses,
            Self::Placeless => &[],
        }
    }

    fn can_be_asked(&self) -> bool {
        matches!(self, Self::Placeless) || !self.addresses().is_empty()
    }

    fn is_named(&self, wanted: &str) -> bool {
        matches!(self, Self::Name { name, .. } if name == wanted)
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
