//! The file of `run --record`: what the library's recorder makes of the core's events and actions, written without ever waiting for it.
//!
//! Told by the event loop. The file is bounded: when it is half full, it becomes FILE.1, in place of the one before, and a new one begins.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use failoverd::core::Core;
use failoverd::event::{Action, Event};
use failoverd::moment::Moment;
use failoverd::trace::{FORMAT, Recorder};

/// Of FILE and FILE.1 each: a day at the shipped settings.
const HALF: usize = 4 * 1024 * 1024;
/// So much is gathered before it is written, for so long at most.
const BLOCK: usize = 4096;
const FLUSH: Duration = Duration::from_secs(1);

/// What is recorded, if anything is.
#[derive(Debug, Default)]
pub(crate) struct Recording(Option<Open>);

#[derive(Debug)]
struct Open {
    recorder: Recorder,
    path: PathBuf,
    half: usize,
    file: File,
    text: String,
    /// Bytes in the file.
    written: usize,
    /// When it was written last.
    at: Moment,
}

impl Recording {
    /// Begins to record into `path`; a file that is there becomes FILE.1.
    pub(crate) fn new(path: Option<&Path>, now: Moment, recorder: Recorder) -> Self {
        Self::with(path, now, recorder, HALF)
    }

    fn with(path: Option<&Path>, now: Moment, recorder: Recorder, half: usize) -> Self {
        let Some(path) = path else { return Self(None) };
        match ours(path).and_then(|()| turn_over(path)) {
            Ok(file) => {
                let path = path.to_owned();
                Self(Some(Open { recorder, path, half, file, text: String::new(), written: 0, at: now }))
            }
            Err(error) => {
                log::warn!("cannot record to {}: {error}", path.display());
                Self(None)
            }
        }
    }

    /// Before the core is told.
    pub(crate) fn event(&mut self, now: Moment, event: &Event) {
        if let Some(open) = &mut self.0 {
            open.recorder.event(now, event);
        }
    }

    /// After it has answered. What cannot be written ends the recording, once and for all.
    pub(crate) fn outcome(&mut self, now: Moment, actions: &[Action], core: &Core) {
        let Some(open) = &mut self.0 else { return };
        open.recorder.outcome(now, actions, core);
        let last = actions.contains(&Action::Stopped);
        if let Err(error) = open.write(now, last) {
            log::warn!("cannot record to {}: {error}; nothing more is recorded", open.path.display());
            self.0 = None;
        }
    }
}

impl Open {
    fn write(&mut self, now: Moment, last: bool) -> io::Result<()> {
        self.text.push_str(&self.recorder.take());
        if !last && self.text.len() < BLOCK && now.since(self.at) < FLUSH {
            return Ok(());
        }
        self.at = now;
        self.file.write_all(self.text.as_bytes())?;
        self.written += self.text.len();
        self.text.clear();
        if self.written > self.half {
            self.file = turn_over(&self.path)?;
            self.written = 0;
            self.recorder.begin_part(now);
        }
        Ok(())
    }
}

/// FILE.1.
fn older(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

/// A mistyped name must not move anything else away.
fn ours(path: &Path) -> io::Result<()> {
    let mut begin = [0; FORMAT.len()];
    let read = |mut file: File| file.read_exact(&mut begin);
    match File::open(path).and_then(read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(()) if begin == FORMAT.as_bytes() => Ok(()),
        _ => Err(io::Error::other("what is there is no trace of failoverd")),
    }
}

/// A new file; the one that is there becomes the older one. Never through somebody's link.
fn turn_over(path: &Path) -> io::Result<File> {
    match fs::rename(path, older(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use failoverd::event::State;
    use failoverd::settings;
    use failoverd::trace::Trace;

    use super::*;
    use crate::shell::testing::Directory;

    /// A core that is told something every 100 ms, recorded.
    fn record(path: &Path, half: usize, events: u64) -> Recording {
        let settings = settings::parse("failover", b"config provider a\n option device x\n").unwrap().settings;
        let start = Moment::from_nanos(7_000_000_000);
        let mut core = Core::new(start, settings, State::default(), 3);
        let mut recording = Recording::with(Some(path), start, Recorder::new(start, 3, None), half);
        for index in 0..events {
            let now = start + Duration::from_millis(100 * index);
            let event = Event::CheckNow(None);
            recording.event(now, &event);
            let actions = core.handle(now, event);
            recording.outcome(now, &actions, &core);
        }
        recording
    }

    /// When a part begins and ends, and how many providers it knows.
    fn read(path: &Path) -> (Moment, Moment, usize) {
        summary(&fs::read_to_string(path).unwrap())
    }

    fn summary(text: &str) -> (Moment, Moment, usize) {
        let trace = Trace::read(text).unwrap_or_else(|problem| panic!("{problem:?}"));
        (trace.span.0, trace.span.1, trace.providers.len())
    }

    #[test]
    fn the_file_stays_bounded_and_both_halves_can_be_read() {
        let directory = Directory::new();
        let path = directory.path().join("trace");
        drop(record(&path, 5000, 2000));
        let sizes = [&path, &older(&path)].map(|path| fs::metadata(path).unwrap().len());
        assert!(sizes.iter().all(|size| *size < 5000 + 2 * BLOCK as u64), "{sizes:?}");
        let (first, second) = (read(&older(&path)), read(&path));
        assert!(first.1 <= second.0, "one after the other");
        assert_eq!((first.2, second.2), (1, 1));
        let whole = [older(&path), path].map(|path| fs::read_to_string(path).unwrap()).concat();
        assert_eq!(summary(&whole), (first.0, second.1, 1), "and one behind the other");
    }

    #[test]
    fn what_was_recorded_before_is_kept_once() {
        let directory = Directory::new();
        let path = directory.path().join("trace");
        drop(record(&path, HALF, 20));
        let before = fs::read(&path).unwrap();
        drop(record(&path, HALF, 30));
        assert_eq!(fs::read(older(&path)).unwrap(), before);
        assert!(fs::read(&path).unwrap().len() > before.len());
    }

    #[test]
    fn nothing_else_is_written_over() {
        let directory = Directory::new();
        let path = directory.path().join("failover");
        for text in ["config failover\n", ""] {
            fs::write(&path, text).unwrap();
            assert!(record(&path, HALF, 20).0.is_none(), "a mistyped name");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(record(&directory.path().join("nowhere/trace"), HALF, 20).0.is_none(), "no directory");
    }

    #[test]
    fn a_full_disk_ends_it() {
        let directory = Directory::new();
        let path = directory.path().join("trace");
        let mut recording = record(&path, HALF, 1);
        let open = recording.0.as_mut().unwrap();
        open.file = File::options().write(true).open("/dev/full").unwrap();
        open.text = "x".repeat(BLOCK);
        let settings = settings::parse("failover", b"").unwrap().settings;
        recording.outcome(Moment::default(), &[], &Core::new(Moment::default(), settings, State::default(), 1));
        assert!(recording.0.is_none());
    }
}
