//! What the demo plays with: a lab with three providers, a ubus broker, a LAN client's stream, and the real failoverd in
//! the router with a real configuration file. Built by `main.rs`, played by `tour.rs` and `live.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use failoverd::status::Status;
use lab::{
    Broker, Finished, InitialDefault, KernelView, Lab, LabConfig, LabError, OutputLine, Process, Result, Stream,
    protocol,
};

use crate::screen::lock;

/// The providers' names; provider 0 is on wan0, and so on.
pub(crate) const NAMES: [&str; 3] = ["fiber", "dsl", "lte"];

/// A command answers at once, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// A fresh status for those who look on and those who wait.
const STATUS_EVERY: Duration = Duration::from_millis(250);

/// A lab with everything in it. Dropped in this order: the daemon first, the lab last.
pub(crate) struct Stage {
    daemon: Mutex<Option<Process>>,
    stream: Stream,
    _broker: Broker,
    lab: Lab,
    failoverd: PathBuf,
    config: PathBuf,
    before: KernelView,
}

/// The configuration, as it would be in /etc/config/failover.
pub(crate) fn config() -> String {
    let mut text =
        String::from("config failover 'settings'\n\toption standby_interval '1'\n\toption failback_delay '3'\n");
    for (number, name) in NAMES.iter().enumerate() {
        text.push_str(&format!(
            "\nconfig provider '{name}'\n\toption device 'wan{number}'\n\toption gateway '192.168.1.1'\n"
        ));
    }
    text
}

/// Its name in sentences, from the number that the lab's server answers with.
pub(crate) fn name(provider: u8) -> &'static str {
    NAMES.get(usize::from(provider)).copied().unwrap_or("?")
}

impl Stage {
    /// Everything but the daemon, with the default route that a DHCP client left.
    pub(crate) fn new(failoverd: &Path) -> Result<Stage> {
        let initial_defaults = vec![InitialDefault { provider: 0, metric: 0, protocol: protocol::STATIC }];
        let providers = u8::try_from(NAMES.len()).unwrap_or(u8::MAX);
        let lab = Lab::new(LabConfig { providers, identical: true, initial_defaults, ..LabConfig::default() })?;
        // Different, so that the table tells them apart, and short: a longer way must not pass for an outage.
        for (provider, milliseconds) in lab.providers().iter().zip([3, 5, 9]) {
            provider.delay(Duration::from_millis(milliseconds), Duration::ZERO);
        }
        let config = lab.write_file("failover", &config())?;
        let broker = lab.broker()?;
        let stream = lab.stream()?;
        let before = lab.router().view()?;
        let failoverd = failoverd.to_owned();
        Ok(Stage { daemon: Mutex::new(None), stream, _broker: broker, lab, failoverd, config, before })
    }

    pub(crate) fn start_daemon(&self) -> Result<()> {
        let mut command = Command::new(&self.failoverd);
        command.args(["run", "--foreground", "--config"]).arg(&self.config);
        *lock(&self.daemon) = Some(self.lab.spawn(command)?);
        Ok(())
    }

    /// Has it end as init does, and put everything back.
    pub(crate) fn stop_daemon(&self) -> Result<()> {
        let daemon = lock(&self.daemon);
        let Some(daemon) = daemon.as_ref() else { return Ok(()) };
        let finished = daemon.terminate(PATIENCE)?;
        match finished.status.success() {
            true => Ok(()),
            false => Err(failed("failoverd", &finished)),
        }
    }

    /// What the kernel holds now and did not before, or the other way round.
    pub(crate) fn changes(&self) -> Result<Vec<String>> {
        Ok(self.before.difference(&self.lab.router().view()?))
    }

    /// The daemon's log so far.
    pub(crate) fn log(&self) -> Vec<OutputLine> {
        lock(&self.daemon).as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// A daemon that has ended although nobody told it to.
    pub(crate) fn daemon_ended(&self) -> bool {
        lock(&self.daemon).as_ref().is_some_and(|daemon| !daemon.is_running())
    }

    /// Types a command of failoverd on the router.
    pub(crate) fn command(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.failoverd);
        command.args(words);
        let finished = self.lab.run(command, PATIENCE)?;
        match finished.status.success() {
            true => Ok(finished.stdout),
            false => Err(failed(&format!("failoverd {}", words.join(" ")), &finished)),
        }
    }

    /// Does `work`, and meanwhile hands every status that the daemon tells to `look`; `None` when it tells none.
    pub(crate) fn watched<T>(&self, look: impl Fn(Option<Status>) + Send, work: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Acquire) {
                    look(self.status());
                    std::thread::sleep(STATUS_EVERY);
                }
            });
            let _ends_the_thread = Over(over);
            work()
        })
    }

    /// What the daemon tells; `None` while it does not.
    fn status(&self) -> Option<Status> {
        let mut command = Command::new(&self.failoverd);
        command.args(["status", "--json"]);
        // With no provider reliable it ends with 1, and tells all the same.
        serde_json::from_str(&self.lab.run(command, PATIENCE).ok()?.stdout).ok()
    }

    /// Cuts a line without a sign of it at the carrier.
    pub(crate) fn cut(&self, provider: u8) -> Result<()> {
        self.lab.provider(provider)?.silent(true);
        Ok(())
    }

    /// Takes or gives the carrier.
    pub(crate) fn carrier(&self, provider: u8, on: bool) -> Result<()> {
        self.lab.provider(provider)?.carrier(on)
    }

    /// Mends what is cut.
    pub(crate) fn heal(&self, provider: u8) -> Result<()> {
        self.lab.provider(provider)?.silent(false);
        self.carrier(provider, true)
    }

    /// The LAN client's traffic.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }
}

/// Says so when dropped: after a panic too, or it would hang where it waits for the thread.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn failed(what: &str, finished: &Finished) -> LabError {
    let said = finished.stderr.lines().last().unwrap_or("it said nothing").to_owned();
    LabError::new(what, format!("exit code {}: {said}", finished.code()))
}
