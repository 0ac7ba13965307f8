//! The event loop: facts in, wishes out. Takes no decision.
//!
//! Called by `cli` for `run`; feeds the library's `Core` from netlink, the probe sockets, ubus and signals, and carries out what it
//! answers.

mod check;
mod count;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use failoverd::core::Core;
use failoverd::draft::Draft;
use failoverd::event::{Action, Event, Neighbour, State};
use failoverd::init::{self, Facts, default_devices};
use failoverd::kernel::{Applied, LookupQuestion, RouteChange};
use failoverd::member::object;
use failoverd::moment::Moment;
use failoverd::notice::Notice;
use failoverd::question::Question;
use failoverd::reason::Refusal;
use failoverd::settings::{self, LogLevel, Settings};
use failoverd::table;
use failoverd::trace::Recorder;
use failoverd::ubus_call::{Call, Packet, UbusStatus};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::asker::Askers;
use super::conntrack::Connections;
use super::exec::Scripts;
use super::hotplug::{self, Runner};
use super::netlink::{Kernel, Neighbours, Watcher};
use super::nft::{Nft, Told};
use super::prober::{Probers, Received};
use super::received::Counters;
use super::record::Recording;
use super::ubus::{Bus, BusEvent, Request};
use super::{clock, config, logging, state};
use check::WaitingCheck;
use count::Counting;

/// The kernel's state is read at most this often when other programs change it all the time.
const READ_PAUSE: Duration = Duration::from_millis(5);
/// The pause before a failed reading of the kernel's state is tried again.
const READ_RETRY: Duration = Duration::from_millis(200);

/// Where the daemon's files are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The configuration.
    pub(crate) config: PathBuf,
    /// ubus.
    pub(crate) socket: PathBuf,
    /// The state file.
    pub(crate) state: PathBuf,
    /// Where a trace is kept, if one is wanted.
    pub(crate) record: Option<PathBuf>,
}

/// The daemon with all it holds.
pub(crate) struct Daemon {
    places: Places,
    core: Core,
    recording: Recording,
    kernel: Kernel,
    probers: Probers,
    askers: Askers,
    counters: Counters,
    connections: Connections,
    scripts: Scripts,
    neighbours: Neighbours,
    nft: Nft,
    hotplug: Runner,
    bus: Bus,
    lookups: Vec<LookupQuestion>,
    sequence: u64,
    read_at: Moment,
    /// The last reading failed: when to try again, and what became of the changes before it.
    unread: Option<(Moment, Vec<Applied>)>,
    /// A state that could not be written.
    unsaved: Option<State>,
    checks: Vec<WaitingCheck>,
    counting: Option<Counting>,
    stopped: bool,
}

/// The signals that mean something.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    status: Signal,
}

/// Which one came.
enum Caught {
    Reload,
    Stop,
    Status,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            status: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Stop,
            _ = self.interrupt.recv() => Caught::Stop,
            _ = self.hangup.recv() => Caught::Reload,
            _ = self.status.recv() => Caught::Status,
        }
    }
}

impl Daemon {
    /// A daemon that has done nothing yet.
    pub(crate) fn new(places: Places, settings: Settings, kernel: Kernel) -> Self {
        let now = clock::now();
        let (state, damaged) = state::load(&places.state);
        if let Some(error) = damaged {
            log::warn!("{error}");
        }
        // The hasher's keys are the operating system's random numbers; a cookie needs no better.
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish() ^ now.as_nanos();
        let recorder = Recorder::new(now, seed, state.active.clone());
        Self {
            recording: Recording::new(places.record.as_deref(), now, recorder),
            core: Core::new(now, settings, state, seed),
            kernel,
            probers: Probers::default(),
            askers: Askers::default(),
            counters: Counters::default(),
            connections: Connections::default(),
            scripts: Scripts::default(),
            neighbours: Neighbours::default(),
            nft: Nft::default(),
            hotplug: Runner::new(Path::new(hotplug::DIRECTORY)),
            bus: Bus::new(&places.socket),
            lookups: vec![],
            sequence: 0,
            read_at: now,
            unread: None,
            unsaved: None,
            checks: vec![],
            counting: None,
            stopped: false,
            places,
        }
    }

    /// Runs until a signal has ended it and everything is put back. `advice` is what was found with the settings.
    pub(crate) async fn run(mut self, advice: Vec<String>) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let mut watcher: Watcher = self.kernel.watch()?;
        let mut received: Vec<Received> = Vec::new();
        let mut just_read = false;
        self.feed(Event::Advice(advice));
        self.feed(Event::Wakeup);
        while !self.stopped {
            // As long as one thing after the other is ready, nothing else lets tokio look whether a deadline or an answer has come. Right
            // after a reading it must not: an answer that has come since may have taken a way that is not read yet.
            if !just_read {
                tokio::task::yield_now().await;
            }
            let now = clock::now();
            let waiting = self.checks.iter().map(|check| check.until).min();
            let unread = self.unread.as_ref().map(|(at, _)| *at);
            let deadline =
                self.core.next_wakeup().into_iter().chain(waiting).chain(unread).chain(self.askers.deadline()).min();
            let sleep =
                tokio::time::sleep_until(clock::instant(now, deadline.unwrap_or(now + Duration::from_secs(3600))));
            // The kernel's changes come first: an answer counts only in the light of the routes it came by. After each reading the
            // others get their turn, so that a storm of changes cannot starve the probes.
            tokio::select! {
                biased;
                () = watcher.changed(), if !just_read => {
                    just_read = true;
                    let pause = READ_PAUSE.saturating_sub(clock::now().since(self.read_at));
                    tokio::time::sleep(pause).await;
                    self.read_and_feed();
                    continue;
                }
                () = self.probers.received(&mut received) => {
                    for Received { provider, source, message, at } in received.drain(..) {
                        self.feed(Event::Icmp { provider, source, message, at });
                    }
                    // A flood of messages must not keep the deadlines waiting.
                    if self.core.next_wakeup().is_some_and(|at| at <= clock::now()) {
                        self.feed(Event::Wakeup);
                    }
                }
                event = self.askers.next() => self.feed(event),
                event = self.scripts.next() => self.feed(event),
                event = self.neighbours.next() => self.feed(event),
                counts = self.connections.counted() => self.counted(counts),
                told = self.nft.next() => match told {
                    Told::Event(event) => {
                        self.kernel.look_for_nftables();
                        self.feed(event);
                    }
                    Told::Removed => self.read_and_feed(),
                },
                caught = signals.next() => match caught {
                    Caught::Stop => self.feed(Event::Stop),
                    Caught::Reload => drop(self.reload()),
                    Caught::Status => self.log_status(),
                },
                () = sleep => {
                    if self.unread.as_ref().is_some_and(|(at, _)| *at <= clock::now()) {
                        self.read_and_feed();
                    }
                    self.feed(Event::Wakeup);
                }
                // Behind the deadlines: a flood of calls must not delay a probe.
                event = self.bus.next() => match event {
                    BusEvent::Request(request) => self.answer(request),
                    BusEvent::Interfaces(interfaces) => self.feed(Event::Interfaces(interfaces)),
                    BusEvent::HotplugUnheard { environment, cause } => {
                        log::debug!("procd runs no scripts for this: {cause}");
                        self.hotplug.run(environment);
                    }
                    BusEvent::Connected => {}
                    BusEvent::Disconnected(reason) => log::debug!("ubus is away: {reason}"),
                },
                () = std::future::ready(()), if just_read => {}
            }
            just_read = false;
        }
        Ok(())
    }

    /// Hands a fact to the core and carries out what it wants, with all that follows at once.
    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = clock::now();
            self.recording.event(now, &event);
            let actions = self.core.handle(now, event);
            self.recording.outcome(now, &actions, &self.core);
            for action in actions {
                if let Some(outcome) = self.carry_out(action) {
                    events.push_back(outcome);
                }
            }
        }
        self.answer_checks();
    }

    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Probe { provider, device, token, question, timeout } => {
                let sent = match question {
                    Question::Ping { target, size, ttl } => {
                        self.probers.send(provider, device, token, target, size, ttl).map_err(Refusal::NotSent)
                    }
                    Question::Exec { script, environment } => {
                        self.scripts.ask(provider, token, script, environment, timeout)
                    }
                    Question::Arp { gateway } => self.neighbours.ask(provider, device, token, gateway, timeout),
                    question => self.askers.ask(provider, device, token, question, timeout),
                };
                return Some(Event::ProbeRefused { provider, token, cause: sent.err()? });
            }
            Action::CloseProber(provider) => {
                self.probers.close(provider);
                self.askers.close(provider);
                self.scripts.close(provider);
                self.neighbours.close(provider);
            }
            Action::Resolve { provider, device, name, servers, timeout } => {
                self.askers.resolve(provider, device, name, servers, timeout);
            }
            Action::Recover { interface, how } => self.bus.recover(&interface, &how),
            // Hardware forwards some packets past the kernel: then a count would tell nothing.
            Action::WatchReceived { .. } if config::hardware_offload(&self.places.config) => {}
            Action::WatchReceived { provider, device, network } => {
                if let Err(cause) = self.counters.watch(provider, device, network) {
                    log::debug!("{cause}");
                }
            }
            Action::CountReceived { provider, device, gateway } => {
                let packets = self.counters.count(provider);
                let gateway = gateway.map_or(Neighbour::Unknown, |gateway| self.neighbours.state(device, gateway));
                return Some(Event::Received { provider, packets, gateway });
            }
            Action::StopWatching(provider) => self.counters.stop(provider),
            Action::Change { sequence, changes, lookups } => {
                self.sequence = sequence;
                self.lookups = lookups;
                return self.change(changes);
            }
            Action::ReadInterfaces => self.bus.read_interfaces(),
            Action::ForgetConnections(stranded) => self.connections.forget(stranded),
            Action::Filter(text) => return self.nft.load(&text),
            Action::Save(state) => self.save(state),
            Action::Notice(notice) => self.tell(&notice),
            Action::Stopped => self.stopped = true,
        }
        None
    }

    fn tell(&mut self, notice: &Notice) {
        if let Some(level) = logging::filter(notice.level).to_level() {
            log::log!(level, "{notice}");
        }
        self.bus.notify(notice);
        self.bus.hotplug(notice);
    }

    /// Writes the state file; if that fails, again with the next reading of the kernel.
    fn save(&mut self, state: State) {
        if let Err(error) = state::save(&self.places.state, &state) {
            let level = if self.unsaved.is_none() { log::Level::Warn } else { log::Level::Debug };
            log::log!(level, "{error}");
            self.unsaved = Some(state);
        } else {
            self.unsaved = None;
        }
    }

    /// Whoever sends the signal wants to see it, however little is logged otherwise.
    fn log_status(&self) {
        let configured = log::max_level();
        logging::set_level(LogLevel::Info);
        table::render(&self.status(None), 80, false).lines().for_each(|line| log::info!("{line}"));
        log::set_max_level(configured);
    }

    /// Makes the changes, then reads the kernel's state.
    fn change(&mut self, changes: Vec<RouteChange>) -> Option<Event> {
        let mut applied = self.unread.take().map(|(_, applied)| applied).unwrap_or_default();
        for change in changes {
            log::debug!("{}", self.core.describe(&change));
            let outcome = self.kernel.apply(&change);
            applied.push((change, outcome));
        }
        self.read_kernel(applied)
    }

    fn read_and_feed(&mut self) {
        if let Some(event) = self.change(vec![]) {
            self.feed(event);
        }
    }

    /// Reads the kernel's state. A failure is tried again a little later; probes and calls go on meanwhile.
    fn read_kernel(&mut self, applied: Vec<Applied>) -> Option<Event> {
        if let Some(state) = self.unsaved.clone() {
            self.save(state);
        }
        match self.kernel.snapshot(&self.lookups) {
            Ok(snapshot) => {
                self.read_at = clock::now();
                Some(Event::Kernel { snapshot, after: self.sequence, applied })
            }
            Err(error) => {
                log::warn!("{error}; trying again");
                self.unread = Some((clock::now() + READ_RETRY, applied));
                None
            }
        }
    }

    /// Reads the configuration again. The problems, if it was refused.
    fn reload(&mut self) -> Result<(), Vec<String>> {
        match config::load(&self.places.config) {
            Ok(loaded) => {
                logging::set_level(loaded.settings.log_level);
                self.feed(Event::Reload(Box::new(loaded.settings)));
                self.feed(Event::Advice(loaded.advice));
                Ok(())
            }
            Err(problems) => {
                self.feed(Event::ConfigError(problems.clone()));
                Err(problems)
            }
        }
    }

    fn answer(&mut self, Request { call, reply_to }: Request) {
        let unknown = |core: &Core, name: &Option<String>| name.as_ref().is_some_and(|name| !core.knows(name));
        let answer = match call {
            Call::Status { provider } | Call::Check { provider } | Call::Why { provider, .. }
                if unknown(&self.core, &provider) =>
            {
                Err(UbusStatus::NotFound)
            }
            Call::Status { provider } => Ok(self.status(provider.as_deref())),
            Call::History { provider, limit } => match self.core.history(&provider, limit, clock::now()) {
                Some(history) => Ok(json!(history)),
                None => Err(UbusStatus::NotFound),
            },
            Call::Check { provider } => return self.check(provider, reply_to),
            Call::Pin { provider } if !self.core.knows(&provider) => Err(UbusStatus::NotFound),
            Call::Pin { provider } => {
                self.feed(Event::Pin(provider));
                Ok(Value::Null)
            }
            Call::Unpin => {
                self.feed(Event::Unpin);
                Ok(Value::Null)
            }
            Call::Reload => Ok(match self.reload() {
                Ok(()) => object(&mut []),
                Err(problems) => object(&mut [("config_errors", problems.into())]),
            }),
            Call::Why { provider, parts } => Ok(self.why(provider.as_deref(), parts)),
            Call::Series { provider, since, step } => {
                self.core.series(clock::now(), provider.as_deref(), since, step).ok_or(UbusStatus::NotFound)
            }
            Call::Schema => Ok(settings::export()),
            Call::Validate { config } => Ok(config::verdict(&self.places.config, &config)),
            Call::Draft => Ok(self.draft()),
            Call::Connections => return self.count(reply_to),
            Call::Route(packet) => self.route(&packet),
        };
        self.bus.reply(reply_to, answer);
    }

    /// What `init` would write by what is known. netifd is not waited for: whoever asks again has its answer too.
    fn draft(&mut self) -> Value {
        let interfaces = self.core.interfaces();
        if interfaces.is_none() {
            self.bus.read_interfaces();
        }
        let neighbours = config::neighbours(&self.places.config);
        let default_devices = self.core.snapshot().map(default_devices).unwrap_or_default();
        let facts = Facts { interfaces, neighbours: Some(&neighbours), default_devices: &default_devices };
        init::draft(facts).unwrap_or_else(|left_out| Draft { left_out, ..Draft::default() }).to_json()
    }

    /// What becomes of a packet, by the core and by the kernel.
    fn route(&mut self, packet: &Packet) -> Result<Value, UbusStatus> {
        let way = self.core.route(packet);
        match self.kernel.ask(&way.question) {
            Ok(answer) => Ok(self.core.routed(way, answer)),
            Err(error) => {
                log::warn!("{error}");
                Err(UbusStatus::UnknownError)
            }
        }
    }

    fn status(&self, provider: Option<&str>) -> Value {
        let mut status = self.core.status(clock::now());
        if let Some(name) = provider {
            status.providers.retain(|provider| provider.name == name);
        }
        json!(status)
    }

    fn why(&self, provider: Option<&str>, parts: bool) -> Value {
        let mut explanation = self.core.why(clock::now());
        if let Some(name) = provider {
            explanation.providers.retain(|provider| provider.name == name);
        }
        explanation.to_json(parts)
    }
}
