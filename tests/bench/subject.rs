//! What is measured: the shipped binary, built in release, running in a lab of its own. Used by every measuring module.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Broker, Kind, Lab, LabConfig, LabError, Process, Result, TARGETS};

/// A set of options, as a person would write them in `config failover 'settings'`.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// Nothing set.
pub(crate) const SHIPPED: Settings = &[];
/// The README's fast profile.
pub(crate) const FAST: Settings =
    &[("interval", "50ms"), ("attempts", "12"), ("attempt_interval", "10ms"), ("min_timeout", "20ms")];

/// Time between two checks of the active provider.
pub(crate) const SHIPPED_INTERVAL: Duration = Duration::from_secs(1);
/// The same with the fast profile.
pub(crate) const FAST_INTERVAL: Duration = Duration::from_millis(50);

/// Sections for tests of these kinds, each with the four well-known targets.
pub(crate) fn tests(kinds: &[Kind]) -> String {
    let mut text = String::new();
    for kind in kinds {
        let (word, before, after) = match kind {
            Kind::Ping => ("ping", "", ""),
            Kind::Tcp => ("tcp", "", ":443"),
            Kind::Dns => ("dns", "", ""),
            Kind::Http => ("http", "http://", "/generate_204"),
        };
        text.push_str(&format!("\nconfig test '{word}'\n\toption type '{word}'\n"));
        TARGETS.iter().for_each(|target| text.push_str(&format!("\tlist target '{before}{target}{after}'\n")));
    }
    text
}

/// Builds failoverd as it is shipped; returns the binary.
pub(crate) fn build() -> Result<PathBuf> {
    const BUILD: &str = "build failoverd";
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--package", "failoverd", "--message-format=json-render-diagnostics"];
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(arguments).args(["--manifest-path", manifest]).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| LabError::new(BUILD, error))?;
    if !output.status.success() {
        return Err(LabError::new(BUILD, "cargo says why above"));
    }
    // One line of JSON per artifact; only a program has this key with a value.
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.split("\"executable\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let program = paths.map(PathBuf::from).find(|path| path.file_name().is_some_and(|name| name == "failoverd"));
    program.ok_or_else(|| LabError::new(BUILD, "cargo has not told where it is"))
}

/// failoverd in a lab.
pub(crate) struct Subject {
    // The daemon ends before its surroundings do.
    pub(crate) daemon: Process,
    _broker: Broker,
    pub(crate) lab: Lab,
}

impl Subject {
    /// Builds the lab, starts failoverd, and waits until all providers are online and traffic goes through the first.
    pub(crate) fn start(binary: &Path, config: LabConfig, settings: Settings) -> Result<Subject> {
        Subject::with_tests(binary, config, settings, "")
    }

    /// The same with tests of its own in the configuration, see [`tests`].
    pub(crate) fn with_tests(binary: &Path, config: LabConfig, settings: Settings, tests: &str) -> Result<Subject> {
        let lab = Lab::new(config)?;
        let broker = lab.broker()?;
        let start = Instant::now();
        let daemon = run(binary, &lab, &(lab.uci(settings) + tests))?;
        for provider in lab.providers() {
            daemon.wait_for_line(&format!("{} online", provider.device()), start, Duration::from_secs(60))?;
        }
        lab::wait_for(Duration::from_secs(5), "the route through the first provider", || {
            lab.active_provider().is_ok_and(|active| active == Some(0))
        })?;
        Ok(Subject { daemon, _broker: broker, lab })
    }
}

/// Starts failoverd in a lab, without waiting for anything.
pub(crate) fn spawn(binary: &Path, lab: &Lab, settings: Settings) -> Result<Process> {
    run(binary, lab, &lab.uci(settings))
}

/// The same with the text of a whole configuration.
pub(crate) fn run(binary: &Path, lab: &Lab, configuration: &str) -> Result<Process> {
    let file = lab.write_file("failover", configuration)?;
    let mut command = Command::new(binary);
    command.arg("run").arg("-f").arg("-c").arg(file);
    lab.spawn(command)
}

/// Runs measurements at the same time, each in a lab of its own: for those that mostly wait.
pub(crate) fn side_by_side<T: Send>(jobs: Vec<Box<dyn FnOnce() -> Result<T> + Send + '_>>) -> Vec<Result<T>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        let panicked = |_| Err(LabError::new("measure", "the thread that did so panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    })
}
