//! `cargo demo`: failoverd at work on real kernel routing, in a router with three providers that all have the same
//! gateway. `cargo demo -- --live` leaves cutting and mending to the person in front of it.
//!
//! * `program.rs` builds failoverd, `stage.rs` builds what it runs in.
//! * `tour.rs` goes through the steps and measures, `step.rs` says what must hold and how a line reads.
//! * `live.rs` obeys keys.
//! * `screen.rs` draws in place or prints lines, `terminal.rs` puts the terminal back.
// A demo is made of clocks, programs and a terminal; what clippy.toml forbids is forbidden to the library.
#![allow(clippy::disallowed_methods)]

mod live;
mod program;
mod screen;
mod stage;
mod step;
mod terminal;
mod tour;

use std::process::ExitCode;

use failoverd::text::wrap;
use lab::Result;

use crate::screen::{Screen, Style};
use crate::stage::Stage;

const USAGE: &str = "\
Usage: cargo demo [-- --live]

Three providers with the same gateway, and failoverd between them and a LAN.
  --live   cut, mend and pin them yourself

Exit codes: 0 every step held, 1 one did not, 2 usage.
";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let live = match words.iter().map(AsRef::as_ref).collect::<Vec<&str>>().as_slice() {
        [] => false,
        ["--live"] => true,
        ["--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("demo: not understood: {}\n{USAGE}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match run(live) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(live: bool) -> Result<bool> {
    // Before anything is built: what the kernel refuses now it refuses after a minute of building.
    lab::enter()?;
    if live {
        live::need_a_terminal()?;
    }
    let failoverd = program::failoverd()?;
    let screen = Screen::new();
    screen.print(&introduction(&screen))?;
    let stage = Stage::new(&failoverd)?;
    if live { live::play(&stage, &screen) } else { tour::go(&stage, &screen) }
}

fn introduction(screen: &Screen) -> String {
    let title = screen.paint(Style::Title, "A router with three providers that all have gateway 192.168.1.1");
    let file = screen.paint(Style::Faint, "# /etc/config/failover");
    let rights = match lab::is_unprivileged() {
        true => ", in namespaces of an ordinary user",
        false => "",
    };
    let about = format!(
        "Kernel routing and failoverd are real{rights}; the lines behind wan0, wan1 and wan2 are simulated. A LAN client \
         sends a datagram every 20 ms and counts the answers. Outage: its longest wait from one answer to the next."
    );
    let about = wrap(&about, screen.width().min(79), 0);
    format!("\n{title}\n\n{about}\n\n{file}\n{}\n", stage::config())
}
