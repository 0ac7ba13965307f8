//! One provider: its settings with all that is known about it, and the numbers that it keeps.
//!
//! Made by `core` from `settings`; holds what `uplink`, `probe` and `reliability` found out; read by `ranking`, `route_plan`, `status`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::cadence;
use crate::core::Name;
use crate::event::ProviderId;
use crate::kernel::{IfIndex, LookupQuestion};
use crate::moment::Moment;
use crate::order::ordered;
use crate::probe::Prober;
use crate::quality::{self, Figures};
use crate::random::Random;
use crate::reason::Reason;
use crate::recovery::Recovery;
use crate::reliability::Reliability;
use crate::series::Series;
use crate::settings::{ProviderSettings, Settings, TestSettings};
use crate::uplink::Uplink;
use crate::volume::Volume;

/// The highest provider id: six bits of a mark.
pub const MAX_ID: u8 = 63;
/// Whose mark leads nowhere, where a rule asks for that: no provider's, unless there are as many as there are ids.
pub const NOWHERE: ProviderId = ProviderId(MAX_ID);

/// Failures closer together than this make the next failback wait longer.
const FAILURES_APART: Duration = Duration::from_secs(600);
/// The most that `failback_delay` is multiplied by.
const MAX_DELAY_FACTOR: u32 = 10;
/// How long a flap is counted, and how many at most.
const FLAPS_KEPT: Duration = Duration::from_secs(3600);
const MAX_FLAPS: usize = 100;
/// The interval of checks while a provider has to prove itself, unless its `interval` is shorter.
const PROOF_INTERVAL: Duration = Duration::from_millis(200);

/// A provider's state, in the words of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderState {
    /// No device, address, gateway, or no way to its targets.
    Unresolved,
    /// The device has no carrier.
    NoCarrier,
    /// Nothing known yet.
    Checking,
    /// Reliable.
    Online,
    /// Reliable, but beyond a limit of quality.
    Degraded,
    /// Unreliable.
    Offline,
    /// `enabled '0'`, or its interface was taken down by hand.
    Disabled,
}

impl ProviderState {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::NoCarrier => "no_carrier",
            Self::Checking => "checking",
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Disabled => "disabled",
        }
    }
}

/// Whether packets bound to the device reach the gateway, by the kernel's own answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Not asked, or changes that mend it are under way.
    Unknown,
    /// They do.
    Clear,
    /// Something stands in the way.
    Blocked(Reason),
}

/// One provider and what is known of it.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its number.
    pub id: ProviderId,
    /// Its section.
    pub settings: ProviderSettings,
    /// Its device's name. netifd tells none while an interface is down: then the one before stays, as it is still the one that
    /// routes were moved for.
    pub device: Option<String>,
    /// Its way out, or what is missing.
    pub uplink: Result<Uplink, Reason>,
    /// DNS servers that netifd reports for it.
    pub dns_servers: Vec<IpAddr>,
    /// Whether its probes can get out.
    pub path: Path,
    /// Its tests, numbered as its prober numbers them.
    pub tests: Vec<TestSettings>,
    /// The names among their targets.
    pub names: Vec<Name>,
    /// Its probes.
    pub prober: Prober,
    /// Its counters.
    pub reliability: Reliability,
    /// It was active when the daemon started: believed until its first verdict, so that a restart moves nothing.
    pub presumed: bool,
    /// Why it is degraded, while it is.
    pub degraded: Option<Reason>,
    /// Since when it is reliable.
    pub reliable_since: Option<Moment>,
    /// On cold standby: not checked, and nothing is known of it.
    pub cold: bool,
    /// When it became degraded, or good again, the last time.
    pub graded: Option<Moment>,
    /// When its last check began.
    pub last_begin: Option<Moment>,
    /// Somebody asked for a check now.
    pub check_now: bool,
    /// Checks finished.
    pub checks: u64,
    /// Of these, failed.
    pub failed_checks: u64,
    /// State last told, and since when.
    pub told: Option<(ProviderState, Moment)>,
    /// How it was.
    pub series: Series,
    /// What its probes have put on the line.
    pub volume: Volume,
    /// What is done about it while it stays offline.
    pub recovery: Recovery,
    /// Checks in a row that found it beyond a limit of quality.
    strained: u32,
    last_failure: Option<Moment>,
    delay_factor: u32,
    /// When it became unreliable, of late.
    flaps: VecDeque<Moment>,
}

impl Provider {
    /// A provider about which nothing is known, of a daemon that `started` then.
    pub fn new(
        id: ProviderId,
        settings: ProviderSettings,
        all: &Settings,
        started: Moment,
        random: &mut Random,
    ) -> Self {
        let tests = tests(&settings, all);
        let targets = tests.iter().map(|test| test.targets.as_slice()).collect();
        let prober = Prober::new(probe_id(id, random), targets, random);
        let mut provider = Self {
            id,
            settings: settings.clone(),
            device: None,
            uplink: Err(Reason::NotReadYet),
            dns_servers: vec![],
            path: Path::Unknown,
            names: Name::all(tests.iter().flat_map(|test| &test.targets).filter_map(|target| target.name())),
            tests,
            prober,
            reliability: Reliability::default(),
            presumed: false,
            degraded: None,
            reliable_since: None,
            cold: false,
            graded: None,
            last_begin: None,
            check_now: false,
            checks: 0,
            failed_checks: 0,
            told: None,
            series: Series::new(started),
            volume: Volume::default(),
            recovery: Recovery::default(),
            strained: 0,
            last_failure: None,
            delay_factor: 1,
            flaps: VecDeque::new(),
        };
        provider.configure(settings, all);
        provider
    }

    /// Takes over settings that leave its targets as they are. With failover disabled, so is every provider.
    pub fn configure(&mut self, settings: ProviderSettings, all: &Settings) {
        if settings.check.recover != self.settings.check.recover {
            self.recovery.restart();
        }
        self.settings = settings;
        self.settings.enabled &= all.enabled;
        self.reliability.trim(self.settings.check.history);
        self.degraded.take_if(|_| !quality::is_limited(&self.settings.check));
    }

    /// Takes the place of one on the same line: what happened to that line stays known, and other targets are no reason to move
    /// traffic, so that it is believed until they have spoken.
    pub fn succeed(&mut self, before: &mut Self) {
        self.presumed = before.is_reliable();
        self.degraded = before.degraded.take().filter(|_| quality::is_limited(&self.settings.check));
        std::mem::swap(&mut self.series, &mut before.series);
        std::mem::swap(&mut self.volume, &mut before.volume);
        std::mem::swap(&mut self.flaps, &mut before.flaps);
        std::mem::swap(&mut self.recovery, &mut before.recovery);
        if self.settings.check.recover != before.settings.check.recover {
            self.recovery.restart();
        }
    }

    /// The uplink, if it could carry traffic now.
    pub fn usable(&self) -> Option<&Uplink> {
        self.uplink.as_ref().ok().filter(|uplink| uplink.carrier)
    }

    /// Reliable, by proof or (at start) by presumption.
    pub fn is_reliable(&self) -> bool {
        self.usable().is_some()
            && !matches!(self.path, Path::Blocked(_))
            && self.reliability.verdict().unwrap_or(self.presumed)
    }

    /// Reliable, by proof, but beyond a limit of quality.
    pub fn is_degraded(&self) -> bool {
        self.degraded.is_some() && self.reliability.verdict() == Some(true) && self.is_reliable()
    }

    /// The state of the moment.
    pub fn state(&self) -> ProviderState {
        match &self.uplink {
            _ if !self.settings.enabled => ProviderState::Disabled,
            Err(Reason::InterfaceTakenDown { .. }) => ProviderState::Disabled,
            Err(Reason::NoCarrier) => ProviderState::NoCarrier,
            Err(_) => ProviderState::Unresolved,
            Ok(uplink) if !uplink.carrier => ProviderState::NoCarrier,
            Ok(_) if matches!(self.path, Path::Blocked(_)) => ProviderState::Unresolved,
            Ok(_) => match self.reliability.verdict() {
                None => ProviderState::Checking,
                Some(true) if self.degraded.is_some() => ProviderState::Degraded,
                Some(true) => ProviderState::Online,
                Some(false) => ProviderState::Offline,
            },
        }
    }

    /// Nothing is wrong with it but that nobody has asked.
    pub fn on_cold_standby(&self) -> bool {
        self.cold && self.state() == ProviderState::Checking
    }

    /// Why it is not online.
    pub fn reason(&self) -> Option<Reason> {
        match (&self.uplink, &self.path) {
            _ if !self.settings.enabled => None,
            (Err(reason), _) | (Ok(_), Path::Blocked(reason)) => Some(reason.clone()),
            (Ok(uplink), _) if !uplink.carrier => Some(Reason::NoCarrier),
            _ if self.cold => Some(Reason::ColdStandby),
            _ if self.reliability.verdict() == Some(false) => self.reliability.reason(&self.settings.check),
            _ => self.degraded.clone().filter(|_| self.reliability.verdict().is_some()),
        }
    }

    /// Holds its loss, latency and jitter against their limits, after a check. To become degraded is a failure as far as the failback
    /// delay is concerned.
    pub fn judge(&mut self, now: Moment) {
        let limits = &self.settings.check;
        if !quality::is_limited(limits) || self.reliability.verdict() != Some(true) {
            return;
        }
        let window = self.prober.window();
        let tally = window.tally(now, limits.timeout, None);
        let figures = Figures {
            lost: tally.lost,
            counted: tally.counted,
            latency: window.latency().unwrap_or_default(),
            jitter: window.jitter().unwrap_or_default(),
        };
        let was = self.degraded.is_some();
        self.degraded = quality::judge(figures, limits, self.degraded.as_ref(), &mut self.strained);
        if was != self.degraded.is_some() {
            self.graded = Some(now);
            if !was {
                self.lengthen_delay(now);
            }
            // A window takes minutes to get well: it is the good ones that are forgiven.
            self.last_failure = Some(now);
        }
    }

    /// Notes that it became unreliable.
    pub fn failed(&mut self, now: Moment) {
        let loses = self.reliable_since.is_some() || self.presumed;
        // That we have tried to mend it, and it did not help, is no new failure.
        if !loses && self.recovery.times() > 0 {
            return;
        }
        // One that has yet to prove itself loses nothing.
        if loses {
            self.flaps.truncate(MAX_FLAPS - 1);
            self.flaps.push_front(now);
        }
        self.lengthen_delay(now);
        self.reliable_since = None;
        self.presumed = false;
    }

    /// Each further failure within ten minutes doubles its failback delay, up to tenfold.
    fn lengthen_delay(&mut self, now: Moment) {
        let again = self.last_failure.is_some_and(|last| now.since(last) < FAILURES_APART);
        self.delay_factor = if again { self.delay_factor.saturating_mul(2).min(MAX_DELAY_FACTOR) } else { 1 };
        self.last_failure = Some(now);
    }

    /// Times it became unreliable within the last hour, as far as they are kept.
    pub fn flaps(&self, now: Moment) -> u32 {
        let recent = self.flaps.iter().take_while(|at| now.since(**at) < FLAPS_KEPT);
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }

    /// How long it must be reliable before it takes over from a provider that works.
    pub fn failback_delay(&self) -> Duration {
        self.settings.check.failback_delay.saturating_mul(self.delay_factor)
    }

    /// It is checked no more, so that what was found out holds no longer.
    pub fn forget(&mut self) {
        self.reliability.distrust();
        self.presumed = false;
        self.reliable_since = None;
        (self.degraded, self.graded, self.strained) = (None, None, 0);
        self.prober.begin_anew();
    }

    /// Its link, or the way to its targets, is lost. One that was unreliable already has not failed again by that.
    pub fn link_lost(&mut self, now: Moment, reason: Reason) {
        let failed_before = self.reliability.verdict() == Some(false);
        self.reliability.link_lost(now, reason, &self.settings.check);
        if !failed_before {
            self.failed(now);
        }
        (self.degraded, self.strained) = (None, 0);
        self.prober.begin_anew();
    }

    /// It was active when the daemon stopped, and has not failed since: it takes its place again without the wait for a failback.
    pub fn resume(&mut self) {
        self.delay_factor = 0;
    }

    /// Whether it has become unreliable or degraded since the start, or been neither reliable nor new.
    pub const fn has_failed(&self) -> bool {
        self.last_failure.is_some()
    }

    /// Since when it is as good as it is now: reliable, and degraded or not.
    pub fn steady_since(&self) -> Option<Moment> {
        self.reliable_since.max(self.graded.filter(|_| self.reliable_since.is_some()))
    }

    /// When its next check begins, given that it is active and whether anything is reliable; `None`: not probed.
    pub fn next_begin(&self, active: bool, any_reliable: bool) -> Option<Moment> {
        let asleep = (self.cold && !self.check_now) || self.awaits_names();
        if !matches!(self.path, Path::Clear) || self.usable().is_none() || self.prober.is_running() || asleep {
            return None;
        }
        let Some(last) = self.last_begin.filter(|_| !self.check_now) else { return Some(Moment::default()) };
        let limits = &self.settings.check;
        let proving = match self.reliability.verdict() {
            None => true,
            Some(false) => !any_reliable && self.reliability.success_streak() > 0,
            Some(true) => false,
        };
        let metered = self.settings.metered;
        if proving && !(metered && active) {
            // Those that come together are proven together, so that the preferred one is not the last by chance.
            return Some(last + limits.interval.min(PROOF_INTERVAL));
        }
        let pause = if !active && any_reliable {
            limits.standby_interval
        } else if metered {
            // A probe a second, and a check has one of each test.
            limits.interval.max(Duration::from_secs(1) * u32::try_from(self.tests.len()).unwrap_or(1))
        } else {
            limits.interval
        };
        // A check that was not on the grid is followed by one that is, half a pause to one and a half after it. Where probes cost
        // money, never much sooner than a pause: a little, as no wake-up is exact.
        let least = if metered { pause - pause / 8 } else { pause / 2 };
        Some(cadence::next(self.id, pause, last + least))
    }

    /// What the kernel must answer before it is probed.
    pub fn lookups(&self) -> impl Iterator<Item = LookupQuestion> {
        let device: Option<IfIndex> = self.usable().map(|uplink| uplink.device);
        let asked = self.prober.addresses().chain(self.name_servers());
        let mut targets = ordered(asked, |target| *target);
        targets.dedup();
        device
            .into_iter()
            .flat_map(move |device| targets.clone().into_iter().map(move |target| LookupQuestion { device, target }))
    }
}

/// A provider's tests.
pub fn tests(provider: &ProviderSettings, all: &Settings) -> Vec<TestSettings> {
    let by_name = |name: &String| all.tests.iter().find(|test| test.name == *name);
    provider.tests.iter().filter_map(by_name).cloned().collect()
}

/// An ICMP identifier that no other provider has: masquerading of the router's own packets must not confuse two of them.
pub fn probe_id(id: ProviderId, random: &mut Random) -> u16 {
    let [high, low, ..] = random.next().to_be_bytes();
    (u16::from_be_bytes([high, low]) & !u16::from(MAX_ID)) | u16::from(id.0 & MAX_ID)
}

/// Gives every name an id: the one it had, else the lowest that nobody has or had, in the order of the names.
pub fn assign_ids<'a>(
    names: impl Iterator<Item = &'a str>,
    before: &[(String, ProviderId)],
) -> Vec<(String, ProviderId)> {
    let mut names = ordered(names, |name| *name);
    names.dedup();
    let last = MAX_ID - u8::from(names.len() < usize::from(MAX_ID));
    let mut kept: Vec<Option<ProviderId>> = vec![];
    for name in &names {
        let had = before.iter().find(|(other, _)| other == name).map(|(_, id)| *id);
        kept.push(had.filter(|id| (1..=last).contains(&id.0) && !kept.contains(&Some(*id))));
    }
    // One that was somebody's until now comes last: the connections that have its mark are not the new provider's.
    let others = |had: bool| {
        let was_had = move |id: &ProviderId| before.iter().any(|(_, it)| it == id) == had;
        (1..=last).map(ProviderId).filter(was_had).filter(|id| !kept.contains(&Some(*id)))
    };
    let mut free = others(false).chain(others(true));
    let mut ids = vec![];
    for (name, kept) in names.iter().zip(&kept) {
        ids.extend(kept.or_else(|| free.next()).map(|id| ((*name).to_owned(), id)));
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_with_their_names() {
        let before = |list: &[(&str, u8)]| -> Vec<_> {
            list.iter().map(|(name, id)| ((*name).to_owned(), ProviderId(*id))).collect()
        };
        for (names, had, want, why) in [
            (&["lte", "fiber"][..], before(&[]), before(&[("fiber", 1), ("lte", 2)]), "sorted names"),
            (
                &["dsl", "lte"],
                before(&[("fiber", 1), ("lte", 2)]),
                before(&[("dsl", 3), ("lte", 2)]),
                "kept ones keep theirs, and nobody's is somebody else's at once",
            ),
            (
                &["a", "b"],
                before(&[("a", 3), ("b", 3)]),
                before(&[("a", 3), ("b", 1)]),
                "a damaged file gives nobody a twin",
            ),
            (&["a"], before(&[("a", 64)]), before(&[("a", 1)]), "nor a number out of range"),
            (&["a"], before(&[("a", 63)]), before(&[("a", 1)]), "nor that of nowhere"),
        ] {
            assert_eq!(assign_ids(names.iter().copied(), &had), want, "{why}");
        }
    }

    #[test]
    fn the_number_of_nowhere_is_given_when_no_other_is_left() {
        let had: Vec<(String, ProviderId)> = (1..=63).map(|id| (format!("old{id}"), ProviderId(id))).collect();
        assert_eq!(assign_ids(["a", "b"].into_iter(), &had).len(), 2, "somebody's, where all were");
        for (count, last) in [(62, 62), (63, 63), (64, 63)] {
            let names: Vec<String> = (0..count).map(|number| format!("p{number:02}")).collect();
            let ids = assign_ids(names.iter().map(String::as_str), &[]);
            assert_eq!((ids.len(), ids.last().unwrap().1), (count.min(63), ProviderId(last)));
        }
    }

    #[test]
    fn probe_ids_differ_between_providers() {
        let mut random = Random::new(3);
        for _ in 0..1000 {
            assert_ne!(probe_id(ProviderId(1), &mut random) & 63, probe_id(ProviderId(2), &mut random) & 63);
        }
    }
}
