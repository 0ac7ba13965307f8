//! A lab with the daemon in it, and the questions the tests ask: what the kernel holds, what the command line says.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use lab::{Broker, DefaultRouteWatcher, Finished, KernelView, Lab, LabConfig, Process, Provider, wait_for};
use serde_json::Value;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// For what takes milliseconds on a machine that is not busy.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// Checks come quickly one after the other, but each as patient as shipped: a busy machine makes no false alarm.
pub(crate) const BRISK: [(&str, &str); 3] =
    [("interval", "200ms"), ("standby_interval", "200ms"), ("failback_delay", "300ms")];
/// The fast profile of the README.
pub(crate) const FAST: [(&str, &str); 6] = [
    ("interval", "50ms"),
    ("standby_interval", "200ms"),
    ("failback_delay", "300ms"),
    ("attempts", "12"),
    ("attempt_interval", "10ms"),
    ("min_timeout", "20ms"),
];

/// What is measured to the packet must not share the machine with the other tests.
static MACHINE: RwLock<()> = RwLock::new(());

/// A turn on the machine.
#[allow(dead_code, reason = "held, never read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// A lab with a broker and a configuration; the daemon is started by the test.
pub(crate) struct World {
    // Dropped in this order.
    pub(crate) broker: Broker,
    pub(crate) lab: Lab,
    _turn: Turn,
}

impl World {
    /// A lab whose tests may run beside others.
    pub(crate) fn new(config: LabConfig) -> World {
        World::with(config, Turn::Shared(MACHINE.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A lab that has the machine for itself.
    pub(crate) fn alone(config: LabConfig) -> World {
        World::with(config, Turn::Alone(MACHINE.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn with(config: LabConfig, turn: Turn) -> World {
        let lab = Lab::new(config).unwrap();
        let world = World { broker: lab.broker().unwrap(), lab, _turn: turn };
        world.configure(&world.lab.uci(&BRISK));
        world
    }

    pub(crate) fn provider(&self, number: u8) -> &Provider {
        self.lab.provider(number).unwrap()
    }

    /// Writes the configuration; a running daemon is not told.
    pub(crate) fn configure(&self, text: &str) {
        self.lab.write_file("failover", text).unwrap();
    }

    /// Every provider with these options in `settings`, and of single providers these: number, name, value.
    pub(crate) fn uci(&self, settings: &[(&str, &str)], options: &[(u8, &str, &str)]) -> String {
        options.iter().fold(self.lab.uci(settings), |text, (number, name, value)| {
            let start = format!("config provider 'wan{number}'\n");
            text.replace(&start, &format!("{start}\toption {name} '{value}'\n"))
        })
    }

    /// Waits until connections are marked.
    pub(crate) fn wait_marks(&self) {
        self.wait_status("connections to be marked", |status| status["marks"] == "on");
    }

    /// Our nftables table, as `nft` lists it.
    pub(crate) fn our_table(&self) -> Option<String> {
        self.lab.router().nft_tables().unwrap().into_iter().find(|table| table.starts_with("table inet failover "))
    }

    /// All others.
    pub(crate) fn foreign_tables(&self) -> Vec<String> {
        let tables = self.lab.router().nft_tables().unwrap();
        tables.into_iter().filter(|table| !table.starts_with("table inet failover ")).collect()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.lab.dir().join("failover")
    }

    /// `failoverd ARGUMENTS` in the router, to be run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // tests/run names a copy that an ordinary user can reach.
        let program = std::env::var_os("FAILOVERD").unwrap_or_else(|| env!("CARGO_BIN_EXE_failoverd").into());
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    /// The daemon's command.
    pub(crate) fn daemon(&self) -> Command {
        let mut command = self.command(&["run", "-f", "-c"]);
        command.arg(self.config());
        command
    }

    /// Starts the daemon, and does not wait for anything.
    pub(crate) fn launch(&self) -> Process {
        self.lab.spawn(self.daemon()).unwrap()
    }

    /// Starts the daemon and waits until it has found all providers of its configuration online.
    pub(crate) fn start(&self) -> Process {
        let daemon = self.launch();
        let text = std::fs::read_to_string(self.config()).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("config provider '")?.strip_suffix('\''));
        for name in names {
            self.wait_line(&daemon, &format!("{name} online"));
        }
        daemon
    }

    /// Waits for a line of the daemon's log.
    pub(crate) fn wait_line(&self, daemon: &Process, text: &str) {
        daemon.wait_for_line(text, Instant::now() - Duration::from_secs(300), SOON).unwrap();
    }

    /// Kills the daemon, starts another one, and kills that too.
    pub(crate) fn start_again_after_kill(&self, daemon: Process) {
        daemon.kill().unwrap();
        self.start().kill().unwrap();
    }

    /// Stops the daemon as procd does; it must end well.
    pub(crate) fn stop(&self, daemon: &Process) {
        let finished = daemon.terminate(SOON).unwrap();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }

    /// Runs `failoverd ARGUMENTS` to its end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Finished {
        self.lab.run(self.command(arguments), SOON * 3).unwrap()
    }

    /// The same for a command that must succeed; its output.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let finished = self.cli(arguments);
        assert_eq!(finished.code(), 0, "{arguments:?}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    /// `failoverd status --json`; Null while nobody answers.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.cli(&["status", "--json"]).stdout).unwrap_or(Value::Null)
    }

    /// One provider of the status, by its number.
    pub(crate) fn status_of(&self, number: u8) -> Value {
        let status = self.status();
        let name = format!("wan{number}");
        let mut all = status["providers"].as_array().into_iter().flatten();
        all.find(|provider| provider["name"] == name.as_str()).cloned().unwrap_or(Value::Null)
    }

    /// Waits until a provider is in `state`.
    pub(crate) fn wait_state(&self, number: u8, state: &str) -> Value {
        let mut last = Value::Null;
        let done = wait_for(SOON, &format!("wan{number} to be {state}"), || {
            last = self.status_of(number);
            last["state"] == state
        });
        done.unwrap_or_else(|error| panic!("{error}; it is {last}"));
        last
    }

    /// Waits until the status says what `holds` wants.
    pub(crate) fn wait_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let done = wait_for(SOON, what, || {
            last = self.status();
            holds(&last)
        });
        done.unwrap_or_else(|error| panic!("{error}; the status is {last:#}"));
        last
    }

    /// Waits until the kernel sends new packets through a provider.
    pub(crate) fn wait_route(&self, number: u8) {
        let there = || self.lab.active_provider().unwrap() == Some(number);
        let done = wait_for(SOON, &format!("the route through provider {number}"), there);
        done.unwrap_or_else(|error| panic!("{error}; {:#?}", self.defaults()));
    }

    /// The default routes in main, by the kernel's own list.
    pub(crate) fn defaults(&self) -> Vec<String> {
        let routes = self.lab.router().routes().unwrap();
        routes.into_iter().filter(|line| line.starts_with("default") && line.contains(" table 254 ")).collect()
    }

    /// Waits until the default routes in main satisfy `holds`.
    pub(crate) fn wait_defaults(&self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let done = wait_for(SOON, what, || holds(&self.defaults()));
        done.unwrap_or_else(|error| panic!("{error}; {:#?}", self.defaults()));
    }

    /// Our slots, in the order of their metrics: which provider's device each leaves through.
    pub(crate) fn slots(&self) -> Vec<(u32, u8)> {
        let mut slots: Vec<(u32, u8)> = self
            .defaults()
            .iter()
            .filter(|line| line.contains(" proto 102 "))
            .map(|line| (word(line, "metric"), (word(line, "oif") - 100) as u8 % 16))
            .collect();
        slots.sort();
        slots
    }

    /// Waits until the kernel holds these slots, metric and provider.
    pub(crate) fn wait_slots(&self, wanted: &[(u32, u8)]) {
        let done = wait_for(SOON, &format!("the slots {wanted:?}"), || self.slots() == wanted);
        done.unwrap_or_else(|error| panic!("{error}; {:#?}", self.defaults()));
    }

    /// What the kernel holds.
    pub(crate) fn view(&self) -> KernelView {
        self.lab.router().view().unwrap()
    }

    /// The kernel holds exactly what it held before.
    pub(crate) fn assert_as_before(&self, before: &KernelView, why: &str) {
        let after = self.view();
        assert_eq!(before.difference(&after), Vec::<String>::new(), "{why}");
        assert_eq!(before, &after, "{why}");
    }

    /// Looks for moments without a default route while `events` happen; there must be none.
    pub(crate) fn never_without(&self, why: &str, events: impl FnOnce()) {
        let watcher = DefaultRouteWatcher::start(self.lab.router().namespace(), Duration::ZERO).unwrap();
        wait_for(SOON, "the watcher's first look", || watcher.report().polls > 0).unwrap();
        events();
        let report = watcher.stop();
        assert_eq!(report.failure, None, "{why}");
        assert_eq!(report.missing, 0, "{why}: no default route for {:?}", report.longest_missing);
        assert!(report.polls > 1000, "{why}: only {} looks", report.polls);
    }
}

/// The number after a word of a route line.
pub(crate) fn word(line: &str, name: &str) -> u32 {
    let mut words = line.split(' ').skip_while(|word| *word != name);
    words.nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Waits for `time` while `holds` must be true all along.
pub(crate) fn stays(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(holds(), "{what}: no longer after {:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
}
