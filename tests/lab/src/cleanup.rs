//! Removes the directories of all labs when the process is ended by a signal: Ctrl-C, SIGTERM, a closed terminal.
//! Namespaces, devices and programs need no such care, the kernel ends them with the process. Fed by `directory.rs`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};

use crate::line::lock;
use crate::sys;

static DIRECTORIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static ACTIONS: Mutex<Vec<Action>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

type Action = Box<dyn FnOnce() + Send>;

/// Has something done before a signal (Ctrl-C, SIGTERM, SIGHUP) ends the process: a terminal put back as it was.
pub fn at_signal(action: impl FnOnce() + Send + 'static) {
    lock(&ACTIONS).push(Box::new(action));
    take_care_of_signals();
}

/// Registers a directory. With the first one, signals that nobody else handles are taken care of.
pub(crate) fn remove_at_signal(path: &Path) {
    lock(&DIRECTORIES).push(path.to_owned());
    take_care_of_signals();
}

fn take_care_of_signals() {
    STARTED.call_once(|| {
        // Without this the directory would stay behind until the next run: no reason to fail.
        let Ok(mut signals) = sys::catch_ending_signals() else { return };
        let wait = move || {
            let mut signal = [0u8; 1];
            if signals.read_exact(&mut signal).is_ok() {
                lock(&ACTIONS).drain(..).for_each(|action| action());
                for path in lock(&DIRECTORIES).drain(..) {
                    _ = std::fs::remove_dir_all(path);
                }
                sys::end_by_signal(signal.into_iter().map(i32::from).sum());
            }
        };
        _ = std::thread::Builder::new().name("lab signals".to_owned()).spawn(wait);
    });
}

/// The directory has been removed.
pub(crate) fn forget(path: &Path) {
    lock(&DIRECTORIES).retain(|registered| registered != path);
}
