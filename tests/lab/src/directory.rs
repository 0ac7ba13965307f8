//! The lab's private directory: configuration files, sockets, the router's /var/run. Removed with the lab; what a
//! killed run left behind is removed by the next one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cleanup;
use crate::error::{During, Result};
use crate::sys;

const PREFIX: &str = "failoverd-lab-";
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A directory that lives as long as the value. A lock on it tells other runs that it is in use.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    pub(crate) fn new() -> Result<Directory> {
        let parent = std::env::temp_dir();
        remove_leftovers(&parent);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        // Locked before it can be seen under its own name: another run would take it for a leftover.
        let hidden = parent.join(format!(".{PREFIX}{}-{number}", std::process::id()));
        let operation = || format!("create the directory {}", path.display());
        std::fs::create_dir(&hidden).during(operation())?;
        let lock = File::open(&hidden).during(operation())?;
        sys::lock_exclusively(&lock);
        std::fs::rename(&hidden, &path).during(operation())?;
        cleanup::remove_at_signal(&path);
        std::fs::create_dir(path.join("run")).during(operation())?;
        Ok(Directory { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        cleanup::forget(&self.path);
        // A file that a program of the lab is still writing may be in the way once.
        for _ in 0..3 {
            if std::fs::remove_dir_all(&self.path).is_ok() {
                return;
            }
        }
    }
}

/// Removes directories of runs that were killed: those nobody holds a lock on.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        // Another user's directory cannot be opened or removed; that is his business.
        if let Ok(directory) = File::open(entry.path())
            && sys::lock_exclusively(&directory)
        {
            _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
