//! `watch`: the status drawn again every second, in place. Called by `cli`; ends on Ctrl-C or when nobody reads any more.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use failoverd::table;
use failoverd::text::{duration, plain, shorten};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Exit, Screen, ask, complain};

const HIDE_CURSOR: &str = "\x1b[?25l\x1b[2J";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Draws until told to stop. A daemon that does not answer is said so, and asked again.
pub(super) async fn watch(socket: &Path, screen: Screen) -> Exit {
    let (mut stop, mut end) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(stop), Ok(end)) => (stop, end),
        (Err(error), _) | (_, Err(error)) => {
            complain(&format!("cannot wait for signals: {error}"));
            return Exit::NotFine;
        }
    };
    let in_place = std::io::stdout().is_terminal();
    if in_place && write(HIDE_CURSOR).is_err() {
        return Exit::Fine;
    }
    tokio::select! {
        _ = stop.recv() => {}
        _ = end.recv() => {}
        () = draw_for_ever(socket, screen, in_place) => {}
    }
    if in_place {
        let _ = write(SHOW_CURSOR);
    }
    Exit::Fine
}

async fn draw_for_ever(socket: &Path, screen: Screen, in_place: bool) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<(Instant, Value)> = None;
    loop {
        ticks.tick().await;
        let trouble = match ask::status(socket).await {
            Ok(status) => {
                last = Some((Instant::now(), status));
                None
            }
            Err(why) => Some(why),
        };
        let known = last.as_ref().map(|(at, status)| (at.elapsed().as_secs(), status));
        let text = frame(known, trouble.as_deref(), screen);
        let drawn = if in_place { write(&redrawn(&text)) } else { write(&format!("{text}\n")) };
        if drawn.is_err() {
            return;
        }
    }
}

/// What is to be seen: one line of trouble if there is any, and the last status.
fn frame(known: Option<(u64, &Value)>, trouble: Option<&str>, screen: Screen) -> String {
    let mut text = String::new();
    if let Some(trouble) = trouble {
        let age = known.map(|(age, _)| format!("as of {} ago: ", duration(age))).unwrap_or_default();
        text = shorten(&plain(&format!("{age}{trouble}")), screen.width) + "\n\n";
    }
    if let Some((_, status)) = known {
        text.push_str(&table::render(status, screen.width, screen.colour));
    }
    text
}

/// Drawn over what is there, line by line, so that nothing flickers.
fn redrawn(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{lines}\x1b[J")
}

fn write(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_one_line_above_the_last_status() {
        let screen = Screen { width: 80, colour: false };
        let status = serde_json::json!({ "enabled": true });
        let long = "no answer\n".repeat(20);
        let text = frame(Some((65, &status)), Some(&long), screen);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("as of 1m 5s ago: no answer no answer"));
        assert_eq!(lines[2], "no provider is configured");
        assert_eq!(frame(None, Some("the daemon is not running"), screen), "the daemon is not running\n\n");
        assert_eq!(frame(Some((0, &status)), None, screen), "no provider is configured\n");
    }

    #[test]
    fn every_line_is_cleared_to_its_end() {
        assert_eq!(redrawn("a\n\nb\n"), "\x1b[Ha\x1b[K\n\x1b[K\nb\x1b[K\n\x1b[J");
    }
}
