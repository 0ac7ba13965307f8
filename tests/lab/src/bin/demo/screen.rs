//! Where the demo shows what it does: on a terminal an area that is drawn again in place, otherwise plain lines. Used by
//! `tour.rs` and `live.rs`.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use failoverd::status::Status;
use failoverd::table;
use lab::{LabError, Result};

use crate::terminal::Terminal;

/// How a piece of text looks where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Title,
    Good,
    Busy,
    Bad,
    Faint,
}

/// Output, to a person or to a file.
pub(crate) struct Screen {
    terminal: Option<Terminal>,
    /// Lines of the area that is on the terminal now.
    drawn: Mutex<usize>,
    /// The status has never taken fewer lines than this: what is below it stays where it is.
    tallest: Mutex<usize>,
}

/// A sentence, a heading, three providers and two notes, with empty lines between.
const USUAL_STATUS: usize = 9;

/// What is at the top of the area.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Top<'a> {
    /// What the daemon told last, if it has told anything yet.
    Status(Option<&'a Status>),
    /// There is no daemon any more.
    Stopped,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { terminal: Terminal::take(), drawn: Mutex::new(0), tallest: Mutex::new(USUAL_STATUS) }
    }

    /// The terminal, if there is one.
    pub(crate) fn terminal(&self) -> Option<&Terminal> {
        self.terminal.as_ref()
    }

    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            _ if !self.terminal.as_ref().is_some_and(|terminal| terminal.colour) || text.is_empty() => {
                return text.to_owned();
            }
            Style::Title => "1",
            Style::Good => "32",
            Style::Busy => "33",
            Style::Bad => "31",
            Style::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Prints for good. On a terminal, below what has been drawn, which then stays too.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        match &self.terminal {
            Some(terminal) => {
                *lock(&self.drawn) = 0;
                terminal.write(text);
                Ok(())
            }
            None => {
                let mut stdout = std::io::stdout();
                let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
                written.map_err(|error| LabError::new("write to standard output", error))
            }
        }
    }

    /// Draws the area, over itself if it is there already: the top, then `lines`, which fit the width. Nothing where
    /// there is no terminal.
    pub(crate) fn draw(&self, top: Top<'_>, lines: &[String]) {
        let Some(terminal) = &self.terminal else { return };
        let (columns, rows) = terminal.size();
        let text = match top {
            Top::Status(Some(status)) => table::render(&serde_json::json!(status), columns.min(100), terminal.colour),
            Top::Status(None) => "failoverd is starting".to_owned(),
            Top::Stopped => "failoverd has stopped".to_owned(),
        };
        let mut area: Vec<&str> = text.lines().collect();
        let mut tallest = lock(&self.tallest);
        if let Top::Status(_) = top {
            *tallest = area.len().max(*tallest);
            area.resize(*tallest, "");
        }
        // The steps matter more than a long status.
        area.truncate(rows.saturating_sub(lines.len() + 2));
        area.push("");
        area.extend(lines.iter().map(String::as_str));
        area.truncate(rows.saturating_sub(1));
        let mut drawn = lock(&self.drawn);
        let up = if *drawn > 0 { format!("\x1b[{}A", *drawn) } else { String::new() };
        let body: String = area.iter().map(|line| format!("{line}\x1b[K\n")).collect();
        terminal.write(&format!("\r{up}{body}\x1b[J"));
        *drawn = area.len();
    }

    /// Columns to fill.
    pub(crate) fn width(&self) -> usize {
        self.terminal.as_ref().map_or(80, |terminal| terminal.size().0)
    }

    /// Rows to fill.
    pub(crate) fn height(&self) -> usize {
        self.terminal.as_ref().map_or(24, |terminal| terminal.size().1)
    }

    /// How many rows of these the status takes.
    pub(crate) fn status_height(&self) -> usize {
        *lock(&self.tallest)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
