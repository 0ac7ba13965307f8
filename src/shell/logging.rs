//! Where log lines go: to the system's log in syslog format, or to stderr for a person.
//!
//! The crate `syslog` would block when logd does not read, never come back after it was restarted, and put a time before each line, for
//! which it reads the wall clock and links a calendar. logd notes the time itself. So both the line and the writer are ours: it never
//! waits, opens its socket again, and counts what it had to throw away. In procd's jail a restarted logd cannot be found again, as the
//! socket there stays the old one: then stderr leads to the log, through procd.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use failoverd::settings::LogLevel;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Where logd listens.
const SOCKET: &str = "/dev/log";

/// The facility `daemon`, as the upper bits of a priority (RFC 3164, section 4.1.1). logd does not store all facilities; this it does.
const DAEMON: u8 = 3 << 3;

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
            let _ = write_line(&mut io::stderr(), record);
        }
    }

    fn flush(&self) {}
}

fn write_line(to: &mut dyn io::Write, record: &Record<'_>) -> io::Result<()> {
    // In one piece: threads have something to say at the same time.
    to.write_all(format!("{}: {}\n", word(record.level()), record.args()).as_bytes())
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
    process: u32,
    /// Hardly ever waited for: next to the daemon's one thread only `hotplug` and `conntrack` have something to say.
    writer: Mutex<Writer>,
}

impl SystemLog {
    fn new(path: PathBuf) -> Self {
        Self::with_detour(path, Box::new(io::stderr()))
    }

    fn with_detour(path: PathBuf, detour: Box<dyn io::Write + Send>) -> Self {
        let writer = Writer { path, socket: None, detour, lost: 0 };
        Self { process: std::process::id(), writer: Mutex::new(writer) }
    }

    /// A line as RFC 3164 has it, without time and host name. Where the 16th character is a blank, logd (ubox, `log/syslog.c`) takes the
    /// first 16 for a time and cuts them off: with four digits at least, that place is never a blank.
    fn line(&self, level: Level, message: &dyn std::fmt::Display) -> Vec<u8> {
        let severity = match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        format!("<{}>failoverd[{:04}]: {message}", DAEMON | severity, self.process).into_bytes()
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
        let line = self.line(record.level(), record.args());
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.lost > 0 {
            let lost = writer.lost;
            let lines = if lost == 1 { "line was" } else { "lines were" };
            let note = format_args!("{lost} {lines} lost: the system log did not take them");
            writer.lost = if writer.send(&self.line(Level::Warn, &note)).is_ok() { 0 } else { lost };
        }
        let sent = writer.send(&line).or_else(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => write_line(&mut writer.detour, record),
            _ => Err(error),
        });
        if sent.is_err() {
            writer.lost = writer.lost.saturating_add(1);
        }
    }

    fn flush(&self) {}
}

/// Sends datagrams, without waiting for anybody.
struct Writer {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    detour: Box<dyn io::Write + Send>,
    lost: u32,
}

impl Writer {
    /// Sends a line. When the system log was restarted, the old socket leads nowhere: then once more by a new one.
    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match socket.send(line) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(_) => self.socket = None,
            }
        }
        let socket = self.connect()?;
        socket.send(line)?;
        self.socket = Some(socket);
        Ok(())
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
        assert_eq!(line, format!("<30>failoverd[{:04}]: fiber online", std::process::id()));
    }

    #[test]
    fn logd_takes_nothing_of_a_line_for_a_time() {
        for process in [1, 99, 123, 4321, 32768, 4_194_304] {
            let system = SystemLog { process, ..SystemLog::new("".into()) };
            let line = String::from_utf8(system.line(Level::Error, &"a b c d e f")).unwrap();
            let (priority, text) = line.split_once('>').unwrap();
            assert_eq!(priority, "<27");
            assert_ne!(text.as_bytes()[15], b' ', "{text}");
        }
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

    /// What was written, for a test that has given the writer away.
    #[derive(Clone, Default)]
    struct Written(std::sync::Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// In procd's jail /dev/log is mounted as a file: it stays the socket of the logd that was there at the start.
    #[test]
    fn a_log_that_is_gone_for_good_costs_nothing() {
        let directory = crate::shell::testing::Directory::new();
        let path = directory.path().join("log");
        let written = Written::default();
        let system = SystemLog::with_detour(path.clone(), Box::new(written.clone()));
        let logd = UnixDatagram::bind(&path).unwrap();
        log(&system, "first");
        assert_eq!(lines(&logd), ["first"]);
        drop(logd);
        log(&system, "second");
        log(&system, "third");
        assert_eq!(String::from_utf8_lossy(&written.0.lock().unwrap()), "info: second\ninfo: third\n");
        std::fs::remove_file(&path).unwrap();
        let logd = UnixDatagram::bind(&path).unwrap();
        log(&system, "fourth");
        assert_eq!(lines(&logd), ["fourth"], "nothing was lost");
    }

    #[test]
    fn libraries_are_heard_when_something_is_wrong() {
        for (target, level, want) in [
            ("failoverd::core", Level::Debug, true),
            ("mio::poll", Level::Debug, false),
            ("mio::poll", Level::Warn, true),
        ] {
            assert_eq!(ours(&Metadata::builder().target(target).level(level).build()), want, "{target} {level}");
        }
    }
}
