//! Where log lines go: to the system's log in syslog format, or to stderr for a person.
//!
//! The crate `syslog` formats; its own writers block when logd does not read and never come back after it was restarted, so the writer
//! is ours: it never waits, opens its socket again, and counts what it had to throw away.

use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use failoverd::settings::LogLevel;
use log::{Level, LevelFilter, Log, Metadata, Record};
use syslog::{Facility, Formatter3164, LogFormat as _, Severity};

/// Where logd listens.
const SOCKET: &str = "/dev/log";

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// `/dev/log`.
    System,
    /// stderr, with the level in front and no time: whoever reads it knows when.
    Stderr,
}

/// Makes `log::info!` and the like arrive. Once per process; a second call changes nothing.
pub(crate) fn start(destination: Destination, level: LogLevel) {
    let logger: Box<dyn Log> = match destination {
        Destination::System => Box::new(SystemLog::new(SOCKET.into())),
        Destination::Stderr => Box::new(StderrLog),
    };
    if log::set_boxed_logger(logger).is_ok() {
        set_level(level);
    }
}

/// Changes how much is logged, at once.
pub(crate) fn set_level(level: LogLevel) {
    log::set_max_level(filter(level));
}

struct StderrLog;

impl Log for StderrLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ours(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // A closed stderr is no reason to stop routing.
            let _ = writeln!(io::stderr(), "{}: {}", word(record.level()), record.args());
        }
    }

    fn flush(&self) {}
}

/// The libraries' own remarks are for their authors, unless something is broken.
fn ours(metadata: &Metadata<'_>) -> bool {
    metadata.level() <= Level::Warn || metadata.target().starts_with("failoverd")
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

struct SystemLog {
    formatter: Formatter3164,
    /// Hardly ever waited for: next to the daemon's one thread only `hotplug` has something to say.
    writer: Mutex<Writer>,
}

impl SystemLog {
    fn new(path: PathBuf) -> Self {
        // logd takes lines without a host name, and stores this facility (it does not store all).
        let formatter = Formatter3164 {
            facility: Facility::LOG_DAEMON,
            hostname: None,
            process: "failoverd".to_owned(),
            pid: std::process::id(),
        };
        Self { formatter, writer: Mutex::new(Writer { path, socket: None, lost: 0 }) }
    }

    fn line(&self, severity: Severity, message: &dyn std::fmt::Display) -> Option<Vec<u8>> {
        let mut line = Vec::with_capacity(160);
        self.formatter.format(&mut line, severity, message).ok().map(|()| line)
    }
}

impl Log for SystemLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ours(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let severity = match record.level() {
            Level::Error => Severity::LOG_ERR,
            Level::Warn => Severity::LOG_WARNING,
            Level::Info => Severity::LOG_INFO,
            Level::Debug | Level::Trace => Severity::LOG_DEBUG,
        };
        let Some(line) = self.line(severity, record.args()) else { return };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.lost > 0 {
            let lost = writer.lost;
            let lines = if lost == 1 { "line was" } else { "lines were" };
            let note = format_args!("{lost} {lines} lost: the system log did not take them");
            let sent = self.line(Severity::LOG_WARNING, &note).is_some_and(|note| writer.send(&note));
            writer.lost = if sent { 0 } else { lost };
        }
        if !writer.send(&line) {
            writer.lost = writer.lost.saturating_add(1);
        }
    }

    fn flush(&self) {}
}

/// Sends datagrams, without waiting for anybody.
struct Writer {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    lost: u32,
}

impl Writer {
    /// Whether the system log has taken the line. When it was restarted, the old socket leads nowhere: then once more by a new one.
    fn send(&mut self, line: &[u8]) -> bool {
        if let Some(socket) = &self.socket {
            match socket.send(line) {
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.socket = None,
            }
        }
        self.socket = self.connect().ok();
        self.socket.as_ref().is_some_and(|socket| socket.send(line).is_ok())
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(socket)
    }
}

/// The level in the words of the crate `log`.
pub(crate) fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn log(to: &SystemLog, text: &str) {
        let metadata = Metadata::builder().level(Level::Info).target("failoverd::test").build();
        to.log(&Record::builder().metadata(metadata).args(format_args!("{text}")).build());
    }

    /// The text of every line waiting in `logd`, without what stands before it.
    fn lines(logd: &UnixDatagram) -> Vec<String> {
        logd.set_nonblocking(true).unwrap();
        let mut buffer = [0; 500];
        let read = || logd.recv(&mut buffer).map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned());
        let whole: Vec<String> = std::iter::repeat_with(read).map_while(Result::ok).collect();
        whole.iter().map(|line| line.split_once("]: ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn logd_gets_a_line_in_its_format() {
        let directory = crate::shell::testing::Directory::new();
        let path = directory.path().join("log");
        let logd = UnixDatagram::bind(&path).unwrap();
        log(&SystemLog::new(path), "fiber online");
        let mut buffer = [0; 200];
        let length = logd.recv(&mut buffer).unwrap();
        let line = std::str::from_utf8(&buffer[..length]).unwrap();
        // 30: facility daemon (3 * 8) and severity info (6).
        assert!(line.starts_with("<30>"), "{line}");
        assert!(line.ends_with(&format!(" failoverd[{}]: fiber online", std::process::id())), "{line}");
        assert_eq!(line.split(' ').count(), 6, "month, day, time, process and two words, no host name: {line}");
    }

    #[test]
    fn a_log_that_does_not_read_costs_lines_not_time() {
        let directory = crate::shell::testing::Directory::new();
        let path = directory.path().join("log");
        let logd = UnixDatagram::bind(&path).unwrap();
        let system = SystemLog::new(path);
        let start = Instant::now();
        for number in 0..2000 {
            log(&system, &number.to_string());
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        let taken = lines(&logd).len();
        assert!(taken > 0 && taken < 2000, "{taken}: the queue is finite, or this test shows nothing");
        log(&system, "again");
        log(&system, "and again");
        let note = format!("{} lines were lost: the system log did not take them", 2000 - taken);
        assert_eq!(lines(&logd), [note.as_str(), "again", "and again"], "told once, before the next line");
    }

    #[test]
    fn a_restarted_log_is_found_again() {
        let directory = crate::shell::testing::Directory::new();
        let path = directory.path().join("log");
        let system = SystemLog::new(path.clone());
        log(&system, "nobody listens yet");
        let logd = UnixDatagram::bind(&path).unwrap();
        log(&system, "first");
        assert_eq!(lines(&logd), ["1 line was lost: the system log did not take them", "first"]);
        drop(logd);
        std::fs::remove_file(&path).unwrap();
        let logd = UnixDatagram::bind(&path).unwrap();
        log(&system, "second");
        assert_eq!(lines(&logd), ["second"], "not one line is lost by a restart");
    }

    #[test]
    fn libraries_are_heard_when_something_is_wrong() {
        for (target, level, want) in [
            ("failoverd::core", Level::Debug, true),
            ("netlink_proto::connection", Level::Debug, false),
            ("netlink_proto::connection", Level::Warn, true),
        ] {
            assert_eq!(ours(&Metadata::builder().target(target).level(level).build()), want, "{target} {level}");
        }
    }
}
