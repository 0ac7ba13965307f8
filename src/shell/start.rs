//! The commands that need no daemon: being it, judging a configuration, and cleaning up after one that was killed.
//!
//! Called by `cli`; `run` checks what must be in place and hands over to `daemon`.

use std::path::{Path, PathBuf};

use failoverd::settings::{LogLevel, describe};

use super::cli::{Exit, RunOptions, complain, complain_raw, print};
use super::daemon::{Daemon, Places};
use super::instance::{self, Instance, missing_privileges};
use super::logging::{self, Destination};
use super::netlink::Kernel;
use super::runtime::block_on;
use super::{clean_up, config, state};

/// The daemon; returns when it was told to stop and everything is put back.
pub(crate) fn run(options: &RunOptions) -> Exit {
    let destination = if options.foreground { Destination::Stderr } else { Destination::System };
    logging::start(destination, LogLevel::Info);
    let loaded = match config::load(&options.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            refuse(&problems, destination, complain_raw);
            return Exit::Usage;
        }
    };
    logging::set_level(loaded.settings.log_level);
    alone(destination, |mut kernel| {
        let missing = missing_privileges(&mut kernel);
        if !missing.is_empty() {
            return Err(missing);
        }
        let count = loaded.settings.providers.len();
        log::info!("failoverd {} starts; providers: {count}", env!("CARGO_PKG_VERSION"));
        let places = Places {
            config: options.config.clone(),
            socket: options.socket.clone(),
            state: PathBuf::from(state::PATH),
            record: options.record.clone(),
        };
        let ended = block_on(async { Daemon::new(places, loaded.settings, kernel).run(loaded.advice).await });
        ended.and_then(|ended| ended).map_err(|error| vec![format!("cannot start the event loop: {error}")])?;
        log::info!("failoverd has stopped, and what was there before it is back");
        Ok(())
    })
}

/// Takes everything of ours out of the kernel; for when a daemon was killed and will not be started again.
pub(crate) fn cleanup() -> Exit {
    logging::start(Destination::Stderr, LogLevel::Warning);
    alone(Destination::Stderr, |mut kernel| {
        match clean_up::clean_up(&mut kernel, Path::new(state::PATH)) {
            Ok(0) => print("nothing of failoverd is in the kernel\n"),
            Ok(made) => print(&format!("{made} changes undone: the kernel is as it was before failoverd\n")),
            Err(problem) => return Err(vec![problem]),
        }
        Ok(())
    })
}

/// Says what a configuration means, or everything that is wrong with it.
pub(crate) fn validate(file: &Path) -> Exit {
    logging::start(Destination::Stderr, LogLevel::Warning);
    match config::load(file) {
        Ok(loaded) => {
            print(&describe(&loaded.settings));
            loaded.advice.iter().for_each(|sentence| print(&format!("warning: {sentence}\n")));
            Exit::Fine
        }
        Err(problems) => {
            problems.iter().for_each(|problem| complain_raw(problem));
            Exit::Usage
        }
    }
}

/// Runs `work` as the only failoverd of this network namespace, with a netlink connection. Its problems are told, one line each.
fn alone(destination: Destination, work: impl FnOnce(Kernel) -> Result<(), Vec<String>>) -> Exit {
    let outcome = instance::acquire().map_err(|error| vec![error.to_string()]).and_then(|instance: Instance| {
        let ended = Kernel::new().map_err(|error| vec![error.to_string()]).and_then(work);
        drop(instance);
        ended
    });
    match outcome {
        Ok(()) => Exit::Fine,
        Err(problems) => {
            refuse(&problems, destination, complain);
            Exit::NotFine
        }
    }
}

/// Says why it cannot go on. Both to the person at the terminal, and to whoever reads the log of a service that does not start.
fn refuse(problems: &[String], log: Destination, complain: fn(&str)) {
    for problem in problems {
        if log != Destination::Stderr {
            complain(problem);
        }
        log::error!("{problem}");
    }
}
