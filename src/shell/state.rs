//! The state file: what the core must know again after a crash. Read at the start, written whenever the core asks for it.
//!
//! It is replaced in one step: a crash leaves the old one or the new one.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use failoverd::event::State;

use super::replace;

/// Where it is unless told otherwise. In memory on a router: it does not outlive the kernel state that it describes.
pub(crate) const PATH: &str = "/var/run/failover/state.json";

/// More than 63 providers can fill. A larger file is not ours.
const LONGEST: u64 = 1024 * 1024;

/// What went wrong, with the consequence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Not read: the daemon begins with nothing.
    #[error(
        "cannot read the state file {path}: {cause}; forgotten are the runtime pin, the order of moved routes, \
         and the sysctl values from before the last start"
    )]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Not written: what changed last is lost if the daemon crashes.
    #[error("cannot write the state file {path}: {cause}; after a crash what changed last would be forgotten")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Reads the state. No file is the ordinary first start; the other failures give an empty state and a warning for the log.
pub(crate) fn load(path: &Path) -> (State, Option<Error>) {
    match read(path) {
        Ok(state) => (state, None),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => (State::default(), None),
        Err(cause) => (State::default(), Some(Error::Read { path: path.to_owned(), cause })),
    }
}

/// Writes the state; makes the directory if it is missing.
pub(crate) fn save(path: &Path, state: &State) -> Result<(), Error> {
    write(path, state).map_err(|cause| Error::Write { path: path.to_owned(), cause })
}

fn read(path: &Path) -> io::Result<State> {
    let mut text = String::new();
    // Root reads in the directory of an unprivileged daemon too, and waits for no other end of a pipe.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(State::from_json(&serde_json::from_str(&text)?))
}

fn write(path: &Path, state: &State) -> io::Result<()> {
    let text = state.to_json().to_string();
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    replace::replace(path, text.as_bytes(), 0o644, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use failoverd::event::{MovedRoute, ProviderId, SavedSysctl};
    use failoverd::kernel::{IfIndex, Metric, Sysctl};
    use failoverd::netifd::{DefaultRoute, Interface};

    use super::*;
    use crate::shell::testing::Directory;

    fn state() -> State {
        State {
            ids: [("fiber".to_owned(), ProviderId(1)), ("lte".to_owned(), ProviderId(2))].into(),
            pin: Some("lte".to_owned()),
            active: Some("fiber".to_owned()),
            sysctls: vec![SavedSysctl {
                device: "wan0".to_owned(),
                index: IfIndex(7),
                key: Sysctl::RpFilter,
                value: 1,
            }],
            moved: vec![MovedRoute { id: ProviderId(1), metric: Metric(0), round: 3, beside: false }],
            interfaces: vec![Interface {
                name: "wan".to_owned(),
                default_route: Some(DefaultRoute::Direct),
                ..Interface::default()
            }],
        }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let directory = Directory::new();
        let path = directory.path().join("deeper").join("state.json");
        assert!(matches!(load(&path), (empty, None) if empty == State::default()), "the first start is no fault");
        for _ in 0..2 {
            save(&path, &state()).unwrap();
            assert!(matches!(load(&path), (found, None) if found == state()));
        }
        let parent = path.parent().unwrap();
        assert_eq!(fs::read_dir(parent).unwrap().count(), 1, "no temporary file is left");
        assert_eq!(fs::metadata(parent).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn damage_costs_the_state_and_says_so() {
        let directory = Directory::new();
        let path = directory.path().join("state.json");
        save(&path, &state()).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let (found, error) = load(&path);
            assert_eq!(found, State::default());
            let error = error.expect("a warning").to_string();
            assert!(error.contains("state.json") && error.contains("forgotten"), "{error}");
        }
        fs::write(&path, r#"{"pin": "lte", "invented later": 1}"#).unwrap();
        let (found, error) = load(&path);
        assert!(
            error.is_none() && found.pin.as_deref() == Some("lte"),
            "a file of another version is read as far as it goes"
        );
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let directory = Directory::new();
        let path = directory.path().join("state.json");
        save(&path, &state()).unwrap();
        fs::create_dir(directory.path().join(".state.json.new")).unwrap();
        let error = save(&path, &State::default()).unwrap_err().to_string();
        assert!(error.contains("cannot write the state file"), "{error}");
        assert!(matches!(load(&path), (found, None) if found == state()));
    }

    #[test]
    fn a_link_in_the_directory_leads_nowhere() {
        let directory = Directory::new();
        let path = directory.path().join("state.json");
        let victim = directory.path().join("victim");
        fs::write(&victim, "as it was").unwrap();
        let temporary = directory.path().join(".state.json.new");
        std::os::unix::fs::symlink(&victim, &temporary).unwrap();
        save(&path, &state()).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        assert!(matches!(load(&path), (found, None) if found == state()), "and hinders nothing");
        fs::hard_link(&victim, &temporary).unwrap();
        save(&path, &state()).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
    }

    #[test]
    fn a_pipe_in_the_place_of_the_state_keeps_nobody_waiting() {
        let directory = Directory::new();
        let path = directory.path().join("state.json");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let (found, error) = load(&path);
        assert_eq!(found, State::default());
        assert!(error.is_some());
    }
}
