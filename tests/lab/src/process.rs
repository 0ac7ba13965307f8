//! Programs inside the router: failoverd itself and its command line. They die with the lab, and with this process
//! however that ends. Spawned through `lab.spawn()`.

use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::error::{During, LabError, Result};
use crate::line::lock;
use crate::namespace::Namespace;
use crate::sys;
use crate::wait::{wait_for, wait_for_some};

/// A capability a program can be started without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// CAP_NET_ADMIN.
    NetAdmin = 12,
    /// CAP_NET_RAW.
    NetRaw = 13,
    /// CAP_SYS_ADMIN.
    SysAdmin = 21,
}

/// How a program is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnOptions {
    /// It sees `lab.run_dir()` as /var/run, and nothing of the host's.
    pub private_run: bool,
    /// Capabilities it must not have.
    pub without: Vec<Capability>,
    /// What it sees as the root of all files; its own path is one below that.
    pub root: Option<PathBuf>,
    /// It is confined as procd's jail does it.
    pub confined: Option<Confined>,
}

impl Default for SpawnOptions {
    fn default() -> SpawnOptions {
        SpawnOptions { private_run: true, without: Vec::new(), root: None, confined: None }
    }
}

/// The rights of a program that procd starts in a jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confined {
    /// Its user and group; where this process has no right to another user ([`crate::is_unprivileged`]) it must be 0.
    pub id: u32,
    /// All the capabilities that it has and can ever get.
    pub capabilities: Vec<Capability>,
}

/// One line of output and when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// When.
    pub at: Instant,
    /// Without its line end.
    pub text: String,
}

/// What a program that has ended left.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

#[derive(Default)]
struct Output {
    lines: Vec<OutputLine>,
    ended: bool,
}

/// A program in the router; killed when dropped.
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    stdout: Arc<Mutex<Output>>,
    stderr: Arc<Mutex<Output>>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The thread all programs of a lab are spawned from. The kernel kills a child when the *thread* that spawned it ends,
/// so it must be one that lives as long as the lab.
pub(crate) struct Spawner {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
    run_dir: PathBuf,
}

impl Spawner {
    pub(crate) fn start(router: &Namespace, directory: &Path) -> Result<Spawner> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (report, entered) = mpsc::channel();
        let router = router.clone();
        let thread = std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                _ = report.send(router.enter_thread());
                queue.into_iter().for_each(|job| job());
            })
            .during("start the thread that spawns programs")?;
        entered.recv().during("wait for the thread that spawns programs")??;
        Ok(Spawner { jobs: Some(jobs), thread: Some(thread), run_dir: directory.join("run") })
    }

    pub(crate) fn spawn(&self, mut command: Command, options: SpawnOptions) -> Result<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        let operation = format!("start {name} in the router");
        let c_path = |path: &Path| sys::c_path(path).during(operation.clone());
        let run_dir = match options.private_run {
            true => Some(c_path(&self.run_dir)?),
            false => None,
        };
        let root = options.root.as_deref().map(c_path).transpose()?;
        let seen_run_dir = options.root.as_deref().unwrap_or(Path::new("/")).join("var/run");
        let numbers = |capabilities: &[Capability]| capabilities.iter().map(|capability| *capability as u8).collect();
        let setup = sys::ChildSetup {
            parent: std::process::id(),
            run_dir,
            seen_run_dir: c_path(&seen_run_dir)?,
            root,
            dropped_capabilities: numbers(&options.without),
            confined: options.confined.map(|confined| (confined.id, numbers(&confined.capabilities))),
        };
        setup.install(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (answer, result) = mpsc::channel();
        let job: Job = Box::new(move || _ = answer.send(command.spawn()));
        let gone = || LabError::new(operation.clone(), "the thread that spawns programs is gone");
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        let mut child = result.recv().map_err(|_| gone())?.during(operation.clone())?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Process {
            name,
            pid: child.id(),
            stdout: collect(stdout)?,
            stderr: collect(stderr)?,
            child: Mutex::new(child),
        })
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// Reads a pipe line by line until its end, in a thread that ends with it.
fn collect(pipe: Option<impl std::io::Read + Send + 'static>) -> Result<Arc<Mutex<Output>>> {
    let output = Arc::new(Mutex::new(Output::default()));
    let shared = Arc::clone(&output);
    let read = move || {
        if let Some(pipe) = pipe {
            let mut reader = std::io::BufReader::new(pipe);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                lock(&shared).lines.push(OutputLine { at: Instant::now(), text });
                bytes.clear();
            }
        }
        lock(&shared).ended = true;
    };
    std::thread::Builder::new().name("output".to_owned()).spawn(read).during("start a thread that reads output")?;
    Ok(output)
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<OutputLine> {
        lock(&self.stderr).lines.clone()
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<OutputLine> {
        lock(&self.stdout).lines.clone()
    }

    /// Waits for a line on standard error that contains `text` and was written at `from` or later.
    pub fn wait_for_line(&self, text: &str, from: Instant, limit: Duration) -> Result<OutputLine> {
        let find = || {
            let output = lock(&self.stderr);
            output.lines.iter().find(|line| line.at >= from && line.text.contains(text)).cloned()
        };
        wait_for_some(limit, &format!("'{text}' from {}", self.name), find).map(|(line, _)| line).map_err(|error| {
            let last: Vec<String> = self.stderr().into_iter().rev().take(5).rev().map(|line| line.text).collect();
            error.with_hint(format!("its last lines: {}", last.join(" | ")))
        })
    }

    /// Sends a signal: `libc::SIGHUP`.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let mut child = lock(&self.child);
        let operation = format!("send signal {signal} to {}", self.name);
        // Under the lock, so that the number cannot have been given to somebody else.
        match child.try_wait().during(operation.clone())? {
            Some(status) => Err(LabError::new(operation, format!("it has ended: {status}"))),
            None => sys::kill(self.pid, signal).during(operation),
        }
    }

    /// How it ended, `None` while it runs.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        lock(&self.child).try_wait().during(format!("ask for the state of {}", self.name))
    }

    /// True while it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.try_wait(), Ok(None))
    }

    /// Waits for its end and the end of its output.
    pub fn wait(&self, limit: Duration) -> Result<Finished> {
        let what = format!("the end of {}", self.name);
        let (status, _) = wait_for_some(limit, &what, || self.try_wait().ok().flatten())?;
        // A grandchild may hold the pipes open; do not wait for it for long.
        let ended = || lock(&self.stdout).ended && lock(&self.stderr).ended;
        _ = wait_for(Duration::from_millis(500), "the end of its output", ended);
        let text = |lines: Vec<OutputLine>| lines.iter().map(|line| format!("{}\n", line.text)).collect();
        Ok(Finished { status, stdout: text(self.stdout()), stderr: text(self.stderr()) })
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&self, limit: Duration) -> Result<Finished> {
        self.signal(libc::SIGTERM)?;
        self.wait(limit)
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&self) -> Result<Finished> {
        self.signal(libc::SIGKILL)?;
        self.wait(Duration::from_secs(5))
    }

    /// CPU time used so far, user and system.
    pub fn cpu_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = std::fs::read_to_string(&path).during(format!("read {path}"))?;
        let unreadable = || LabError::new(format!("read {path}"), format!("unexpected content: {stat}"));
        // The second field is the name in parentheses and may hold anything; utime and stime are 14 and 15.
        let (_, rest) = stat.rsplit_once(") ").ok_or_else(unreadable)?;
        let mut fields = rest.split(' ').skip(11).map(str::parse::<u64>);
        match (fields.next(), fields.next()) {
            (Some(Ok(user)), Some(Ok(system))) => {
                Ok(Duration::from_secs_f64((user + system) as f64 / sys::ticks_per_second() as f64))
            }
            _ => Err(unreadable()),
        }
    }

    /// CPU time of the threads that live now by the scheduler's clock: exact to the microsecond, where `cpu_time`
    /// counts ticks of 10 ms.
    pub fn cpu_time_exact(&self) -> Result<Duration> {
        let directory = format!("/proc/{}/task", self.pid);
        let threads = std::fs::read_dir(&directory).during(format!("list {directory}"))?;
        let nanoseconds = threads.flatten().filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        match nanoseconds.sum() {
            0 => Err(LabError::new(format!("read {directory}/*/schedstat"), "nothing there")
                .with_hint("the kernel needs CONFIG_SCHED_INFO; use cpu_time")),
            sum => Ok(Duration::from_nanos(sum)),
        }
    }

    /// Resident memory in bytes: VmRSS.
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).during(format!("read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let missing = || LabError::new(format!("read VmRSS from {path}"), "no such line");
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(missing)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        _ = child.kill();
        _ = child.wait();
    }
}

impl Finished {
    /// Its exit code, or 128 + the signal that ended it, as a shell says.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
    }
}

/// PATH with the directories of administrators' tools, which ordinary users often lack.
pub(crate) fn path_with_sbin() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}
