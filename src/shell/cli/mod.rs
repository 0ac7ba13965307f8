//! The command line: what was asked is carried out, printed, and told in the exit code.
//!
//! Called by `main`; asks the daemon through `ubus::client`, prints what the library's `table` makes of the answer.

mod args;
mod ask;
mod init;
mod notify_test;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;
mod watch;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

pub(crate) use args::{Command, InitOptions, RunOptions};

use crate::shell::hotplug;
use crate::shell::runtime::block_on;
use ask::Outcome;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Fine = 0,
    /// It was done, but all is not well; or it could not be done.
    NotFine = 1,
    /// What was typed or configured makes no sense.
    Usage = 2,
    /// There is no daemon to ask.
    NoDaemon = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Where the output goes.
#[derive(Clone, Copy, Debug)]
struct Screen {
    width: usize,
    colour: bool,
}

impl Screen {
    /// Colours only for a person who looks on and does not mind (no-color.org).
    fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { width: 80, colour: std::io::stdout().is_terminal() && !unwanted }
    }
}

/// Does what the command line says, without the program's name.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match args::parse(arguments) {
        Ok(command) => command,
        Err(sentence) => {
            complain(&format!("{sentence}\nTry 'failoverd --help'."));
            return Exit::Usage.into();
        }
    };
    match command {
        Command::Run(options) => crate::shell::run(&options).into(),
        Command::Validate { file } => crate::shell::validate(&file).into(),
        Command::Init(options) => init::init(&options).into(),
        #[cfg(feature = "simulate")]
        Command::Simulate { config, trace } => simulate::run(&config, &trace).into(),
        #[cfg(not(feature = "simulate"))]
        Command::Simulate { .. } => {
            complain("'simulate' is left out of this program, for its size: take trace and configuration to a PC");
            Exit::NotFine.into()
        }
        Command::Cleanup => crate::shell::cleanup().into(),
        Command::Version => {
            print(concat!("failoverd ", env!("CARGO_PKG_VERSION"), "\n"));
            Exit::Fine.into()
        }
        Command::Help => {
            print(args::HELP);
            Exit::Fine.into()
        }
        command => talk(&command).into(),
    }
}

/// Carries out what needs the daemon.
fn talk(command: &Command) -> Exit {
    let screen = Screen::of_stdout();
    let outcome = block_on(async {
        match command {
            Command::Watch { socket } => Outcome { exit: watch::watch(socket, screen).await, ..Outcome::fine("") },
            Command::NotifyTest { socket } => notify_test::notify_test(socket, Path::new(hotplug::DIRECTORY)).await,
            command => ask::ask(command, screen).await,
        }
    });
    let outcome = outcome.unwrap_or_else(|error| Outcome::failed(Exit::NotFine, unable(&error)));
    print(&outcome.text);
    if let Some(complaint) = &outcome.complaint {
        complain(complaint);
    }
    outcome.exit
}

fn unable(error: &std::io::Error) -> String {
    format!("cannot wait for anything: {error}")
}

/// A reader who has gone away (`| head`) is no reason to panic, as `print!` would.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

/// Tells the person at the terminal what must be mended.
pub(crate) fn complain(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "failoverd: {sentence}");
}

/// The same for a sentence that begins with the place to be mended, `FILE:LINE:`.
pub(crate) fn complain_raw(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "{sentence}");
}
