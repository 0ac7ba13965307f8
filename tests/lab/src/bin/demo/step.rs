//! One step of the tour as a person reads it: what is done, and in one line what came of it. Made by `tour.rs`, which
//! measures.

use std::time::{Duration, Instant};

use failoverd::text::shorten;

use crate::screen::{Screen, Style};

/// What a step must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// No longer outage than this.
    Outage(Duration),
    /// Every datagram is answered.
    NothingLost,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// The providers that traffic took, in order.
    pub(crate) path: Vec<&'static str>,
    pub(crate) outage: Duration,
    pub(crate) lost: usize,
}

/// How far a step is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    Waiting,
    Running(Instant),
    /// Measured, unless it did not get that far; with what is wrong about it, if something is.
    Done(Option<Measured>, Option<String>),
}

/// A line of the log of steps.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) title: &'static str,
    pub(crate) progress: Progress,
}

impl Bound {
    /// What is wrong, if something is.
    pub(crate) fn verdict(self, measured: &Measured) -> Option<String> {
        match self {
            Bound::Outage(most) if measured.outage > most => {
                Some(format!("outage {}, at most {} was wanted", time(measured.outage), time(most)))
            }
            Bound::NothingLost if measured.lost > 0 => {
                Some(format!("{} datagrams lost, none was wanted", measured.lost))
            }
            Bound::Outage(_) | Bound::NothingLost => None,
        }
    }
}

/// The headings of the columns.
pub(crate) fn heading(screen: &Screen) -> String {
    let text = row(screen, ["", "STEP", "TRAFFIC THROUGH", "OUTAGE", "LOST"]);
    screen.paint(Style::Title, shorten(&text, screen.width()).trim_end())
}

impl Line {
    pub(crate) fn text(&self, screen: &Screen) -> String {
        let (style, mark, measured) = match &self.progress {
            Progress::Waiting => (Some(Style::Faint), "", None),
            Progress::Running(_) => (Some(Style::Busy), "...", None),
            Progress::Done(measured, None) => (Some(Style::Good), "ok", measured.as_ref()),
            Progress::Done(measured, Some(_)) => (Some(Style::Bad), "FAILED", measured.as_ref()),
        };
        let (path, outage, lost) = match (measured, &self.progress) {
            (Some(measured), _) => {
                let path = match measured.path.as_slice() {
                    [] => "nothing".to_owned(),
                    path => path.join(" > "),
                };
                (path, time(measured.outage), measured.lost.to_string())
            }
            (None, Progress::Running(since)) => {
                (String::new(), format!("{} s", since.elapsed().as_secs()), String::new())
            }
            (None, _) => Default::default(),
        };
        // The running time is no outage: it stands there in the colour of what is not yet known.
        let text = shorten(&row(screen, [mark, self.title, &path, &outage, &lost]), screen.width());
        let text = text.trim_end();
        match (style, text.split_at_checked(MARK)) {
            (Some(style @ (Style::Good | Style::Bad)), Some((mark, rest))) => screen.paint(style, mark) + rest,
            (Some(style), _) => screen.paint(style, text),
            (None, _) => text.to_owned(),
        }
    }
}

const MARK: usize = 6;
const PATH: usize = 19;

/// 79 columns; on a narrow terminal the path gives way.
fn row(screen: &Screen, [mark, title, path, outage, lost]: [&str; 5]) -> String {
    let room = screen.width().saturating_sub(61).min(PATH);
    format!("{mark:<MARK$} {title:<36} {:<room$} {outage:>8} {lost:>6}", shorten(path, room))
}

/// `23 ms`, `1.23 s`.
pub(crate) fn time(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ 0..1000 => format!("{milliseconds} ms"),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}
