//! A router's root directory in a temporary place: the installed files are copied there, and their paths are made to lead there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// For what takes a second or two on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is installed, by its path on the router.
pub(crate) fn installed() -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { walk(&entry, found) } else { found.push(entry) }
        }
    }
    let mut found = Vec::new();
    walk(&source(""), &mut found);
    found.sort();
    found.into_iter().map(|path| Path::new("/").join(path.strip_prefix(source("")).unwrap())).collect()
}

/// Where the repository has it.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(path.trim_start_matches('/'))
}

/// The root; removed when dropped.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("failoverd-service-{}-{number}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    /// The place of a path on the router.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The text of a file; nothing if there is none.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Copies an installed file. The router's paths in `moved` lead into this root, and each text in `changes` becomes another.
    pub(crate) fn install(&self, path: &str, moved: &[&str], changes: &[(&str, &str)]) -> PathBuf {
        let mut text = fs::read_to_string(source(path)).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{path} has no '{from}'");
            text = text.replace(from, to);
        }
        for path in moved {
            assert!(text.contains(path), "nothing leads to {path}");
            text = text.replace(path, self.path(path).to_str().unwrap());
        }
        self.write(path, &text)
    }

    /// A program in /bin, which comes first in the PATH.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        let program = self.write(&format!("/bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
        make_executable(&program);
        program
    }

    /// busybox's shell with these arguments.
    pub(crate) fn shell(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("busybox");
        let path = format!("{}:{}", self.path("/bin").display(), std::env::var("PATH").unwrap());
        command.arg("ash").args(arguments).env_clear().env("PATH", path);
        command
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs to the end of the program and of its output; that busybox is missing is a failure with its cure.
pub(crate) fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {shown} (tests/run installs it): {error}"));
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    let output =
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("still runs, or keeps its output open: {shown}"));
    output.unwrap()
}

/// Waits until `what` holds.
pub(crate) fn wait_until(why: &str, mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "not within 30 s: {why}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
