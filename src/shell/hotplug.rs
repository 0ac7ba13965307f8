//! Runs the scripts of /etc/hotplug.d/failover where procd does not: on systems without it, and while ubus is away.
//!
//! Fed by the event loop with what the scripts find in their environment. A thread waits for them, one event after the other, and ends
//! when there is nothing left: a daemon that has nothing to tell has no thread for it.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use failoverd::settings::duration::seconds;

use super::group::Group;
use super::ubus::{Environment, assignments};

/// Where the scripts are. procd has an object `hotplug.failover` on ubus for it.
pub(crate) const DIRECTORY: &str = "/etc/hotplug.d/failover";

/// As procd does it: the script is read by a shell, so it needs no first line and no execute permission.
const SHELL: [&str; 3] = ["/bin/sh", "-c", r#"[ ! -f /lib/functions.sh ] || . /lib/functions.sh; . "$0""#];

/// A script that takes longer is killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Events that wait; beyond it the oldest is given up.
const MAX_WAITING: usize = 64;

/// What a script prints goes here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// A person looks on.
    Terminal,
    /// As under procd.
    Nowhere,
}

/// How a script ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself, or by a signal that was not ours.
    Status(ExitStatus),
    /// It was killed, with all that it had started.
    TooSlow(Duration),
    /// There was no shell, or no process for it.
    NotStarted(io::Error),
}

impl Ended {
    /// With exit code 0.
    pub(crate) fn well(&self) -> bool {
        matches!(self, Self::Status(status) if status.success())
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit code {code}"),
                (None, signal) => write!(f, "ended by signal {}", signal.unwrap_or_default()),
            },
            Self::TooSlow(patience) => write!(f, "killed after {} s", seconds(*patience)),
            Self::NotStarted(error) => write!(f, "not started: {error}"),
        }
    }
}

/// The scripts in `directory` in the order in which they are run. No directory, no scripts.
pub(crate) fn scripts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let hidden = |path: &Path| path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut scripts: Vec<PathBuf> = vec![];
    for path in entries.filter(|path| path.is_file() && !hidden(path)) {
        scripts.insert(scripts.partition_point(|other| *other < path), path);
    }
    scripts
}

/// Runs one script and waits for its end.
pub(crate) fn run_script(script: &Path, environment: &[(&'static str, String)], output: Output) -> Ended {
    run_for(script, environment, output, PATIENCE)
}

fn run_for(script: &Path, environment: &[(&'static str, String)], output: Output, patience: Duration) -> Ended {
    let [shell, option, command] = SHELL;
    let sink = || match output {
        Output::Terminal => Stdio::inherit(),
        Output::Nowhere => Stdio::null(),
    };
    let mut program = Command::new(shell);
    program
        .args([option, command])
        .arg(script)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(sink())
        .stderr(sink());
    match Group::start(&mut program) {
        Ok(mut group) => wait(&mut group, patience),
        Err(error) => Ended::NotStarted(error),
    }
}

/// Waits for a program's end; one that takes longer is killed.
pub(crate) fn wait(group: &mut Group, patience: Duration) -> Ended {
    const LONGEST_PAUSE: Duration = Duration::from_millis(200);
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    while start.elapsed() < patience {
        match group.ended() {
            Ok(Some(status)) => return Ended::Status(status),
            Ok(None) => std::thread::sleep(pause.min(patience.saturating_sub(start.elapsed()))),
            Err(error) => return Ended::NotStarted(error),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    group.kill();
    match group.wait() {
        Ok(_) => Ended::TooSlow(patience),
        Err(error) => Ended::NotStarted(error),
    }
}

/// Runs the scripts for one event after the other, without keeping the caller waiting.
#[derive(Debug)]
pub(crate) struct Runner {
    directory: PathBuf,
    patience: Duration,
    shared: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Environment>,
    given_up: usize,
    /// A thread is at work, and looks here again before it ends.
    at_work: bool,
}

impl Runner {
    /// For the scripts in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), patience: PATIENCE, shared: Arc::default() }
    }

    /// Has the scripts run with these variables, after those of the events before. Returns at once. In procd's jail there are no scripts,
    /// and no shell unless for tests of type exec; that they miss an event is at least told.
    pub(crate) fn run(&self, environment: Environment) {
        let openwrt = || Path::new("/lib/functions.sh").exists();
        if !Path::new(SHELL[0]).exists() || openwrt() && !self.directory.exists() {
            let told = assignments(&environment).join(", ");
            log::warn!("nobody told the scripts in {}: {told}", self.directory.display());
            return;
        }
        let mut waiting = lock(&self.shared);
        if waiting.events.len() == MAX_WAITING {
            waiting.events.pop_front();
            waiting.given_up += 1;
        }
        waiting.events.push_back(environment);
        if waiting.at_work {
            return;
        }
        let (directory, patience, shared) = (self.directory.clone(), self.patience, self.shared.clone());
        let thread = std::thread::Builder::new().name("hotplug".to_owned()).stack_size(128 * 1024);
        match thread.spawn(move || work(&directory, patience, &shared)) {
            Ok(_) => waiting.at_work = true,
            Err(error) => log::warn!("cannot run the scripts in {}: {error}", self.directory.display()),
        }
    }
}

/// What the thread does, until no event waits.
fn work(directory: &Path, patience: Duration, shared: &Mutex<Waiting>) {
    loop {
        let (environment, given_up) = {
            let mut waiting = lock(shared);
            let Some(environment) = waiting.events.pop_front() else {
                waiting.at_work = false;
                return;
            };
            (environment, std::mem::take(&mut waiting.given_up))
        };
        if given_up > 0 {
            log::warn!("the scripts in {} are too slow: they were not told {given_up} events", directory.display());
        }
        for script in scripts(directory) {
            let ended = run_for(&script, &environment, Output::Nowhere, patience);
            if !ended.well() {
                log::warn!("{}: {ended}", script.display());
            }
        }
    }
}

fn lock(shared: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::testing::Directory;

    fn event(action: &str) -> Environment {
        vec![("ACTION", action.to_owned())]
    }

    /// A directory with scripts, in which `OUT` is a file beside them.
    fn place(scripts: &[(&str, &str)]) -> (Directory, PathBuf) {
        let place = Directory::new();
        let out = place.path().join(".out");
        for (name, script) in scripts {
            let script = script.replace("OUT", out.to_str().unwrap());
            fs::write(place.path().join(name), script).unwrap();
        }
        (place, out)
    }

    fn runner(directory: &Path, patience: Duration) -> Runner {
        Runner { patience, ..Runner::new(directory) }
    }

    /// Waits until the file has so many lines.
    fn lines(file: &Path, wanted: usize) -> Vec<String> {
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(file).unwrap_or_default();
            if text.lines().count() >= wanted {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{wanted} lines expected: {text:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn idle(runner: &Runner) {
        let start = Instant::now();
        while lock(&runner.shared).at_work {
            assert!(start.elapsed() < Duration::from_secs(20), "still at work");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn alive(pid: &str) -> bool {
        // A process that is dead and only waits to be told of is no longer alive.
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn scripts_run_in_order_and_events_too() {
        let (place, out) = place(&[
            ("20-second", "echo second $ACTION >> OUT"),
            ("10-first", "while [ ! -e OUT.go ]; do sleep 0.01; done; echo first $ACTION \"$REASON\" >> OUT; exit 3"),
            (".hidden", "echo hidden >> OUT"),
        ]);
        fs::create_dir(place.path().join("15-directory")).unwrap();
        let runner = runner(place.path(), PATIENCE);
        runner.run(vec![("ACTION", "switch".to_owned()), ("REASON", "a  'b' $(touch /x) \"c".to_owned())]);
        runner.run(vec![("ACTION", "online".to_owned()), ("REASON", "now".to_owned())]);
        // The caller has not waited: only now can the first script go on.
        fs::write(format!("{}.go", out.display()), "").unwrap();
        let want = ["first switch a  'b' $(touch /x) \"c", "second switch", "first online now", "second online"];
        assert_eq!(lines(&out, 4), want);
        idle(&runner);
        runner.run(event("offline"));
        assert_eq!(lines(&out, 6)[4..], ["first offline ", "second offline"], "a thread again when one is needed");
    }

    #[test]
    fn a_script_that_hangs_is_killed_with_its_children() {
        let (place, out) = place(&[
            ("10-hangs", "sleep 1000 & echo $! >> OUT; echo $$ >> OUT; trap '' TERM; wait; sleep 1000"),
            ("20-next", "echo next >> OUT"),
        ]);
        runner(place.path(), Duration::from_millis(300)).run(event("switch"));
        let lines = lines(&out, 3);
        assert_eq!(lines[2], "next");
        for pid in &lines[..2] {
            let start = Instant::now();
            while alive(pid) {
                assert!(start.elapsed() < Duration::from_secs(10), "process {pid} lives on");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    #[test]
    fn what_a_script_leaves_in_the_background_lives_on() {
        let (place, out) = place(&[("10-leaves", "(sleep 0.4; echo late >> OUT) &\necho now >> OUT")]);
        let runner = runner(place.path(), Duration::from_millis(200));
        runner.run(event("switch"));
        assert_eq!(lines(&out, 2), ["now", "late"]);
    }

    #[test]
    fn too_many_events_cost_the_oldest() {
        let (place, out) = place(&[("10-waits", "while [ ! -e OUT.go ]; do sleep 0.02; done; echo $ACTION >> OUT")]);
        let runner = runner(place.path(), PATIENCE);
        runner.run(event("first"));
        let start = Instant::now();
        while !lock(&runner.shared).events.is_empty() {
            assert!(start.elapsed() < Duration::from_secs(20), "the thread never took the first event");
            std::thread::sleep(Duration::from_millis(5));
        }
        (0..MAX_WAITING + 7).for_each(|number| runner.run(event(&number.to_string())));
        assert_eq!(lock(&runner.shared).given_up, 7);
        fs::write(format!("{}.go", out.display()), "").unwrap();
        let want: Vec<String> =
            std::iter::once("first".to_owned()).chain((7..MAX_WAITING + 7).map(|n| n.to_string())).collect();
        assert_eq!(lines(&out, MAX_WAITING + 1), want);
        idle(&runner);
        assert_eq!(lock(&runner.shared).given_up, 0, "told, and counted anew");
    }

    #[test]
    fn the_end_of_a_script_is_told() {
        for (script, patience, want) in [
            ("exit 0", PATIENCE, "exit code 0"),
            ("exit 7", PATIENCE, "exit code 7"),
            ("kill -9 $$", PATIENCE, "ended by signal 9"),
            ("sleep 1000", Duration::from_millis(100), "killed after 0.1 s"),
            ("if", PATIENCE, "exit code 2"),
        ] {
            let (place, _) = place(&[("10-script", script)]);
            let ended = run_for(&place.path().join("10-script"), &event("test"), Output::Nowhere, patience);
            assert_eq!(ended.to_string(), want, "{script}");
            assert_eq!(ended.well(), script == "exit 0");
        }
    }

    #[test]
    fn no_directory_is_no_scripts() {
        assert!(scripts(Path::new("/nonexistent")).is_empty());
    }
}
