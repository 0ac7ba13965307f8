//! The tool `nft`: has the kernel's nftables load a text, in one transaction or not at all, and hears of our table's end.
//!
//! The event loop hands over a text and waits in [`Nft::next`]; nothing here waits for the tool, but for `failoverd cleanup`. The text is a file
//! in memory: were it a pipe, a tool whose daemon is killed meanwhile would take the beginning for the whole.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::FromRawFd as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use failoverd::event::Event;
use failoverd::moment::Moment;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::clock;
use super::group::Group;
use super::hotplug::{self, Ended};
use super::netlink::Watcher;

/// By the path of the environment, and where OpenWrt has it: a jail's environment may have none.
const PROGRAMS: [&str; 2] = ["nft", "/usr/sbin/nft"];

/// A tool that takes longer is killed. A thousand rules take a slow router some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of a complaint, so many bytes.
const COMPLAINT: u64 = 300;

/// Runs the tool, one text at a time.
#[derive(Default)]
pub(crate) struct Nft {
    running: Option<(Tool, Moment)>,
    child_ended: Option<Signal>,
    /// From the first text on.
    watcher: Option<Watcher>,
}

/// What there is to tell.
pub(crate) enum Told {
    /// How it went.
    Event(Event),
    /// Our table is gone, or may be.
    Removed,
}

impl Nft {
    /// Has a text loaded. The event, if that cannot even begin.
    pub(crate) fn load(&mut self, text: &str) -> Option<Event> {
        let begin = || -> Result<Signal, String> { signal(SignalKind::child()).map_err(|error| error.to_string()) };
        if self.watcher.is_none() {
            match Watcher::of_filter() {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => log::debug!("cannot watch nftables: {error}"),
            }
        }
        // Before the start: an end that comes at once is heard.
        match begin().and_then(|signal| Tool::start(&PROGRAMS, text).map(|tool| (signal, tool))) {
            Ok((signal, tool)) => {
                self.child_ended = Some(signal);
                self.running = Some((tool, clock::now() + PATIENCE));
                None
            }
            Err(cause) => Some(Event::Filtered(Err(cause))),
        }
    }

    /// Waits until there is something to tell. Cancel safe.
    pub(crate) async fn next(&mut self) -> Told {
        let alive = self.running.as_ref().filter(|(tool, _)| !tool.killed);
        let (now, until) = (clock::now(), alive.map(|(_, until)| *until));
        let late = tokio::time::sleep_until(clock::instant(now, until.unwrap_or(now)));
        tokio::pin!(late);
        loop {
            if let Some((tool, until)) = &mut self.running
                && let Some(outcome) = tool.outcome(*until <= clock::now())
            {
                (self.running, self.child_ended) = (None, None);
                return Told::Event(Event::Filtered(outcome));
            }
            tokio::select! {
                () = ended(&mut self.child_ended) => {}
                () = &mut late, if until.is_some() && !late.is_elapsed() => {}
                () = removed(&mut self.watcher) => return Told::Removed,
            }
        }
    }
}

async fn ended(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

async fn removed(watcher: &mut Option<Watcher>) {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}

/// Has a text loaded, and waits for it.
pub(crate) fn load_and_wait(text: &str) -> Result<(), String> {
    let mut tool = Tool::start(&PROGRAMS, text)?;
    match hotplug::wait(&mut tool.group, PATIENCE) {
        Ended::Status(status) => tool.judge(status),
        other => Err(format!("nft: {other}")),
    }
}

/// The tool at work.
struct Tool {
    group: Group,
    /// What it says to people.
    said: File,
    killed: bool,
}

impl Tool {
    fn start(programs: &[&str], text: &str) -> Result<Self, String> {
        let broken = |error: io::Error| format!("cannot start nft: {error}");
        let (mut script, said) = (memory().map_err(broken)?, memory().map_err(broken)?);
        script.write_all(text.as_bytes()).and_then(|()| script.rewind()).map_err(broken)?;
        for program in programs {
            let (script, said_too) = (script.try_clone().map_err(broken)?, said.try_clone().map_err(broken)?);
            let mut command = Command::new(program);
            command.args(["-f", "-"]).stdout(Stdio::null()).stderr(said_too);
            match Group::start_with(&mut command, script.into()) {
                Ok(group) => return Ok(Self { group, said, killed: false }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(broken(error)),
            }
        }
        Err("nft is not installed (OpenWrt: package nftables-json or nftables-nojson)".to_owned())
    }

    /// How it ended, if it has; after too long a time it is killed. Its end is waited for all the same: the kernel may still be at its text.
    fn outcome(&mut self, late: bool) -> Option<Result<(), String>> {
        match self.group.finished() {
            Some(Ok(_)) if self.killed => Some(Err(format!("nft: {}", Ended::TooSlow(PATIENCE)))),
            Some(Ok(status)) => Some(self.judge(status)),
            Some(Err(error)) => Some(Err(format!("nft: {error}"))),
            None => {
                if late && !self.killed {
                    self.group.kill();
                    self.killed = true;
                }
                None
            }
        }
    }

    fn judge(&mut self, status: ExitStatus) -> Result<(), String> {
        if status.success() {
            return Ok(());
        }
        let mut said = Vec::new();
        // Of several complaints the first is the cause of the others.
        let _ = self.said.rewind().and_then(|()| (&self.said).take(COMPLAINT).read_to_end(&mut said));
        let said = String::from_utf8_lossy(&said);
        let first = said.lines().map(str::trim).find(|line| !line.is_empty());
        Err(match first {
            Some(first) => format!("nft: {first}"),
            None => format!("nft: {}", Ended::Status(status)),
        })
    }
}

/// A file that is in memory alone, and gone when nobody has it open.
fn memory() -> io::Result<File> {
    // SAFETY: a string that ends with zero, alive during the call.
    let descriptor = unsafe { libc::memfd_create(c"nft".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests;
