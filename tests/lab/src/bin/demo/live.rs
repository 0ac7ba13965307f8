//! The demo as a toy: the status and the last events live, and keys that cut, mend and pin. Called by `main.rs`.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use failoverd::status::Status;
use failoverd::text::{plain, shorten};
use lab::{LabError, Result, wait_for};

use crate::screen::{Screen, Style, Top, lock};
use crate::stage::{NAMES, Stage, name};
use crate::step::time;
use crate::terminal::{Key, Terminal};

const KEYS: &str = "1 2 3 select   c cut   h heal   k carrier   p pin   u unpin   q quit";
/// How soon a key press or an event is seen.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// The time that the line about the LAN client speaks of.
const WINDOW: Duration = Duration::from_secs(10);
/// Answers of this age would have come.
const GRACE: Duration = Duration::from_millis(300);
/// The default route that is there before failoverd is one through this provider.
const FIRST: u8 = 0;
/// For its first datagram, and for carriers to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// More events than any terminal has rows.
const MOST_EVENTS: usize = 200;

/// Told before anything is built.
pub(crate) fn need_a_terminal() -> Result<()> {
    match std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        true => Ok(()),
        false => Err(LabError::new("play live", "there is no terminal").with_hint("without --live it needs none")),
    }
}

/// What the person has done to a line.
#[derive(Clone, Copy, Default)]
struct LineState {
    cut: bool,
    unplugged: bool,
}

struct Toy<'a> {
    stage: &'a Stage,
    screen: &'a Screen,
    started: Instant,
    selected: u8,
    lines: [LineState; NAMES.len()],
    events: VecDeque<(Style, String)>,
    /// Lines of the daemon's log that have become events.
    log_read: usize,
    /// The provider that answers the LAN client, and since when.
    through: u8,
    through_since: Instant,
}

/// Plays until the person has enough; `true` if failoverd left nothing behind then.
pub(crate) fn play(stage: &Stage, screen: &Screen) -> Result<bool> {
    need_a_terminal()?;
    let terminal = screen.terminal().filter(|terminal| terminal.read_keys());
    let terminal = terminal.ok_or_else(|| LabError::new("play live", "this terminal cannot move its cursor"))?;
    stage.stream().wait_until_via(FIRST, PATIENCE)?;
    stage.start_daemon()?;
    let status = Mutex::new(None);
    let note = |seen: Option<Status>| {
        if seen.is_some() {
            *lock(&status) = seen;
        }
    };
    stage.watched(note, || {
        let mut toy = Toy {
            stage,
            screen,
            started: Instant::now(),
            selected: 0,
            lines: [LineState::default(); NAMES.len()],
            events: VecDeque::new(),
            log_read: 0,
            through: FIRST,
            through_since: Instant::now(),
        };
        toy.obey(terminal, &status);
    });
    stage.stop_daemon()?;
    // A lost carrier shows at the kernel's own routes; what is left once all lines are whole again is failoverd's.
    (0..).zip(NAMES).try_for_each(|(provider, _)| stage.heal(provider))?;
    _ = wait_for(PATIENCE, "the carriers", || stage.changes().is_ok_and(|changes| changes.is_empty()));
    let changes = stage.changes()?;
    let sentence = match changes.is_empty() {
        true => "failoverd has stopped; routes, rules and sysctls are as they were before.".to_owned(),
        false => format!("failoverd has stopped and left this:\n  {}", changes.join("\n  ")),
    };
    let style = if changes.is_empty() { Style::Good } else { Style::Bad };
    screen.print(&format!("\n{}\n", screen.paint(style, &sentence)))?;
    Ok(changes.is_empty())
}

impl Toy<'_> {
    fn obey(&mut self, terminal: &Terminal, status: &Mutex<Option<Status>>) {
        loop {
            self.listen();
            self.draw(lock(status).as_ref());
            let done = match terminal.key(REDRAW_EVERY) {
                Key::Pressed(b'q' | b'Q') | Key::Gone => return,
                Key::Pressed(key) => self.press(key),
                Key::None => Ok(()),
            };
            if let Err(error) = done {
                self.event(Style::Bad, &error.to_string());
            }
            if self.stage.daemon_ended() {
                self.listen();
                self.event(Style::Bad, "failoverd has ended by itself");
                self.draw(lock(status).as_ref());
                return;
            }
        }
    }

    fn press(&mut self, key: u8) -> Result<()> {
        let selected = self.selected;
        let which = name(selected);
        let line = self.lines.get(usize::from(selected)).copied().unwrap_or_default();
        match key {
            b'1'..=b'3' => self.selected = key - b'1',
            b'c' | b'C' => {
                self.stage.cut(selected)?;
                self.set(LineState { cut: true, ..line });
                self.event(Style::Title, &format!("you cut {which} silently"));
            }
            b'h' | b'H' => {
                self.stage.heal(selected)?;
                self.set(LineState::default());
                self.event(Style::Title, &format!("you mend {which}"));
            }
            b'k' | b'K' => {
                self.stage.carrier(selected, line.unplugged)?;
                self.set(LineState { unplugged: !line.unplugged, ..line });
                let what = if line.unplugged { "give the carrier back to" } else { "take the carrier from" };
                self.event(Style::Title, &format!("you {what} {which}"));
            }
            b'p' | b'P' => {
                self.event(Style::Title, &format!("you type: failoverd pin {which}"));
                self.stage.command(&["pin", which])?;
            }
            b'u' | b'U' => {
                self.event(Style::Title, "you type: failoverd unpin");
                self.stage.command(&["unpin"])?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set(&mut self, state: LineState) {
        if let Some(line) = self.lines.get_mut(usize::from(self.selected)) {
            *line = state;
        }
    }

    /// What the daemon logs, and where traffic goes.
    fn listen(&mut self) {
        for line in self.stage.log().into_iter().skip(self.log_read) {
            self.log_read += 1;
            let (style, text) = match line.text.split_once(": ") {
                Some(("info", text)) => (Style::Faint, text),
                Some(("warning", text)) => (Style::Busy, text),
                Some(("error", text)) => (Style::Bad, text),
                _ => (Style::Faint, line.text.as_str()),
            };
            self.event(style, text);
        }
        let Some(through) = self.stage.stream().current_provider() else { return };
        if self.through != through {
            let now = Instant::now();
            let outage = self.stage.stream().outage_between(self.through_since, now);
            (self.through, self.through_since) = (through, now);
            let text = format!("the LAN client is served through {}; outage {}", name(through), time(outage));
            self.event(Style::Good, &text);
        }
    }

    fn event(&mut self, style: Style, text: &str) {
        let at = self.started.elapsed().as_secs();
        self.events.push_back((style, format!("{:>3}:{:02}  {}", at / 60, at % 60, plain(text))));
        if self.events.len() > MOST_EVENTS {
            self.events.pop_front();
        }
    }

    fn draw(&self, status: Option<&Status>) {
        let mut lines = vec![self.traffic(), self.switchboard(), self.screen.paint(Style::Faint, KEYS), String::new()];
        let room = self.screen.height().saturating_sub(self.screen.status_height() + lines.len() + 2).clamp(3, 12);
        let width = self.screen.width();
        let shown = self.events.iter().skip(self.events.len().saturating_sub(room));
        lines.extend(shown.map(|(style, text)| self.screen.paint(*style, &shorten(text, width))));
        // Always as tall, so that nothing jumps.
        lines.resize(room + 4, String::new());
        self.screen.draw(Top::Status(status), &lines);
    }

    /// How the LAN client fares.
    fn traffic(&self) -> String {
        let now = Instant::now();
        let until = now.checked_sub(GRACE).unwrap_or(now);
        let from = now.checked_sub(WINDOW).unwrap_or(now).max(self.started);
        let stream = self.stage.stream();
        let (outage, lost) = (stream.outage_between(from, now), stream.lost_between(from, until));
        let through = stream.current_provider().map_or("nothing", name);
        let text = format!(
            "LAN client: through {through}; in the last {} s {lost} datagrams lost, outage {}",
            WINDOW.as_secs(),
            time(outage)
        );
        shorten(&text, self.screen.width())
    }

    /// The three lines, and which one the keys are for.
    fn switchboard(&self) -> String {
        let mut text = String::new();
        for (number, (line, name)) in self.lines.iter().zip(NAMES).enumerate() {
            let (style, state) = match (line.cut, line.unplugged) {
                (false, false) => (Style::Good, "works"),
                (true, false) => (Style::Bad, "cut"),
                (false, true) => (Style::Bad, "no carrier"),
                (true, true) => (Style::Bad, "cut, no carrier"),
            };
            let selected = usize::from(self.selected) == number;
            let (open, close) = if selected { ('[', ']') } else { (' ', ' ') };
            let label = format!("{open}{} {name}{close}", number + 1);
            let label = if selected { self.screen.paint(Style::Title, &label) } else { label };
            text.push_str(&format!("{label} {}   ", self.screen.paint(style, state)));
        }
        text.trim_end().to_owned()
    }
}
