//! `status` and `history` as tables for a terminal, never wider than it is; `why` as paragraphs.
//!
//! Fed with what ubus delivers ([`Status`], [`History`], the reply of `why` as it is); the command line prints the text as it is.

use serde_json::Value;

use crate::status::{History, ProviderStatus, Status};
use crate::text::{duration, latency, percent, plain, shorten, shorten_middle, width, wrap};

/// How a piece of text looks on a terminal with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Title,
    Good,
    Doubtful,
    Bad,
    Faint,
}

impl Style {
    fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            _ if !colour || text.is_empty() => return text.to_owned(),
            Self::Title => "1",
            Self::Good => "32",
            Self::Doubtful => "33",
            Self::Bad => "31",
            Self::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn of_state(state: &str) -> Self {
        match state {
            "online" => Self::Good,
            "checking" | "degraded" => Self::Doubtful,
            "disabled" => Self::Faint,
            _ => Self::Bad,
        }
    }
}

/// A column with its cells.
struct Column {
    title: &'static str,
    cells: Vec<(Style, String)>,
    /// Numbers are read from the right.
    right: bool,
    /// It may be cut down to this; `None`: not at all.
    least: Option<usize>,
    /// It holds sentences: cut at the end. Names and addresses are cut in the middle.
    sentences: bool,
    /// Where it comes in the order of leaving if there is no room at all; 0: it never leaves.
    leaves: u8,
    width: usize,
}

impl Column {
    fn new<'a, Item: 'a>(title: &'static str, items: &'a [Item], cell: impl Fn(&'a Item) -> (Style, String)) -> Self {
        let cells: Vec<_> = items.iter().map(cell).map(|(style, text)| (style, plain(&text))).collect();
        let width = cells.iter().map(|(_, text)| width(text)).chain([width(title)]).max().unwrap_or_default();
        Self { title, cells, right: false, least: None, sentences: false, leaves: 0, width }
    }

    fn right(self) -> Self {
        Self { right: true, ..self }
    }

    fn shrinks_to(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    fn sentences(self) -> Self {
        Self { sentences: true, ..self }
    }

    fn leaves(self, leaves: u8) -> Self {
        Self { leaves, ..self }
    }

    fn padded(&self, style: Style, text: &str, colour: bool) -> String {
        let text = if self.sentences { shorten(text, self.width) } else { shorten_middle(text, self.width) };
        let padding = " ".repeat(self.width.saturating_sub(width(&text)));
        let text = style.paint(&text, colour);
        if self.right { padding + &text } else { text + &padding }
    }
}

fn total(columns: &[Column], gap: usize) -> usize {
    columns.iter().map(|column| column.width + gap).sum::<usize>().saturating_sub(gap)
}

/// Makes the columns fit: first by narrower gaps, then by shorter texts, then by fewer columns. Answers the gap.
fn fit(columns: &mut Vec<Column>, room: usize) -> usize {
    loop {
        if let Some(gap) = [2, 1].into_iter().find(|gap| total(columns, *gap) <= room) {
            return gap;
        }
        let widest = columns.iter_mut().filter(|column| column.least.is_some_and(|least| column.width > least));
        if let Some(widest) = widest.max_by_key(|column| column.width) {
            widest.width -= 1;
            continue;
        }
        let last = columns.iter().enumerate().filter(|(_, column)| column.leaves > 0);
        match last.max_by_key(|(_, column)| column.leaves).map(|(at, _)| at) {
            Some(at) => drop(columns.remove(at)),
            None => return 1,
        }
    }
}

fn lay_out(mut columns: Vec<Column>, room: usize, colour: bool) -> String {
    let gap = " ".repeat(fit(&mut columns, room));
    let titles: Vec<_> = columns.iter().map(|column| column.padded(Style::Plain, column.title, colour)).collect();
    let mut text = Style::Title.paint(titles.join(&gap).trim_end(), colour) + "\n";
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or_default();
    for row in 0..rows {
        let cells: Vec<_> = columns
            .iter()
            .filter_map(|column| column.cells.get(row).map(|(style, text)| column.padded(*style, text, colour)))
            .collect();
        text.push_str(cells.join(&gap).trim_end());
        text.push('\n');
    }
    text
}

/// The status: a sentence, a line per provider, and what a person should know.
pub fn render(status: &Status, room: usize, colour: bool) -> String {
    let (style, sentence) = sentence(status);
    let mut text = Style::paint(style, &wrap(&plain(&sentence), room, 2), colour) + "\n";
    let providers = &status.providers;
    if !providers.is_empty() {
        let known = |value: Option<String>| (Style::Plain, value.unwrap_or_else(|| "-".to_owned()));
        let columns = vec![
            Column::new("NAME", providers, |p| (Style::Plain, p.name.clone())).shrinks_to(6),
            Column::new("STATE", providers, |p| (Style::of_state(&p.state), p.state.clone())),
            Column::new("ROLE", providers, |p| role(status, p)).leaves(2),
            Column::new("DEVICE", providers, |p| known(p.device.clone())).shrinks_to(6).leaves(4),
            Column::new("GATEWAY", providers, |p| known(p.gateway.clone())).shrinks_to(9).leaves(5),
            Column::new("METRIC", providers, |p| known(p.metric.map(|metric| metric.to_string()))).right().leaves(6),
            Column::new("LATENCY", providers, |p| known(p.latency_ms.map(latency))).right().leaves(3),
            Column::new("LOSS", providers, |p| known(p.loss_percent.map(percent))).right().leaves(1),
            Column::new("SINCE", providers, |p| known(Some(duration(p.since)))).right().leaves(5),
        ];
        text.push('\n');
        text.push_str(&lay_out(columns, room, colour));
    }
    let notes = notes(status);
    if !notes.is_empty() {
        text.push('\n');
    }
    for (style, note) in notes {
        text.push_str(&style.paint(&wrap(&plain(&note), room, 2), colour));
        text.push('\n');
    }
    text
}

fn role(status: &Status, provider: &ProviderStatus) -> (Style, String) {
    let pinned = status.pin.as_deref() == Some(&provider.name);
    match (provider.active, pinned, provider.reliable) {
        (true, true, _) => (Style::Title, "pinned".to_owned()),
        (true, false, _) => (Style::Title, "active".to_owned()),
        (false, true, _) => (Style::Doubtful, "pin?".to_owned()),
        (false, false, true) => (Style::Plain, "standby".to_owned()),
        (false, false, false) => (Style::Plain, "-".to_owned()),
    }
}

/// The whole status in one sentence.
fn sentence(status: &Status) -> (Style, String) {
    if !status.enabled {
        return (Style::Doubtful, "disabled by the configuration (option enabled '0')".to_owned());
    }
    if status.providers.is_empty() {
        return (Style::Bad, "no provider is configured".to_owned());
    }
    let Some(active) = status.providers.iter().find(|provider| provider.active) else {
        return (Style::Bad, "offline: no provider has a device with carrier, address and gateway".to_owned());
    };
    let name = &active.name;
    let since = status.active_since.map(|seconds| format!(" for {}", duration(seconds))).unwrap_or_default();
    let pinned = if status.pin.as_deref() == Some(name) { ", pinned" } else { "" };
    if active.reliable {
        let speed = active.latency_ms.map(|ms| format!(", {}", latency(ms))).unwrap_or_default();
        let (style, word) = match active.state.as_str() {
            "degraded" => (Style::Doubtful, "degraded"),
            _ => (Style::Good, "online"),
        };
        return (style, format!("{word} through {name}{since}{speed}{pinned}"));
    }
    if active.state == "checking" {
        return (Style::Doubtful, format!("checking; {name} is used meanwhile{since}{pinned}"));
    }
    match status.providers.iter().any(|provider| provider.reliable) {
        true => (Style::Bad, format!("{name} is used{since} although it is {}{pinned}", active.state)),
        false => (Style::Bad, format!("no provider is reliable; {name} is used{since} without proof{pinned}")),
    }
}

/// What needs words: reasons, warnings, what stands in the way.
fn notes(status: &Status) -> Vec<(Style, String)> {
    let mut notes = Vec::new();
    for provider in &status.providers {
        let name = match &provider.description {
            Some(description) => format!("{} ({description})", provider.name),
            None => provider.name.clone(),
        };
        if let Some(reason) = provider.reason.as_ref().filter(|_| provider.state != "online") {
            notes.push((Style::Plain, format!("{name}: {reason}")));
        }
        if let Some(seconds) = provider.failback_in {
            notes.push((Style::Plain, format!("{name}: takes over again in {}", duration(seconds))));
        }
    }
    notes.extend(status.warnings.iter().map(|warning| (Style::Doubtful, format!("warning: {warning}"))));
    notes.extend(status.overridden_by.iter().map(|route| (Style::Doubtful, format!("overridden by: {route}"))));
    if !status.config_errors.is_empty() {
        notes.push((Style::Bad, "the configuration was refused, the one before it is in force:".to_owned()));
        notes.extend(status.config_errors.iter().map(|error| (Style::Plain, error.clone())));
    }
    notes
}

/// A provider's last checks, newest first.
pub fn render_history(history: &History, room: usize, colour: bool) -> String {
    let checks = &history.checks;
    let failed = checks.iter().filter(|check| !check.ok).count();
    let sentence = match checks.len() {
        0 => format!("{}: not checked yet", history.provider),
        1 => format!("{}: 1 check, {failed} failed", history.provider),
        count => format!("{}: {count} checks, {failed} failed", history.provider),
    };
    let mut text = wrap(&plain(&sentence), room, 2) + "\n";
    if checks.is_empty() {
        return text;
    }
    let columns = vec![
        Column::new("AGO", checks, |check| (Style::Plain, duration(check.ago))).right(),
        Column::new("RESULT", checks, |check| match check.ok {
            true => (Style::Good, "ok".to_owned()),
            false => (Style::Bad, "failed".to_owned()),
        }),
        Column::new("LATENCY", checks, |check| {
            (Style::Plain, check.latency_ms.map_or_else(|| "-".to_owned(), latency))
        })
        .right()
        .leaves(2),
        Column::new("LOSS", checks, |check| (Style::Plain, percent(check.loss_percent))).right().leaves(1),
        Column::new("PROBES", checks, |check| (Style::Plain, check.sent.to_string())).right().leaves(3),
        Column::new("REASON", checks, |check| (Style::Plain, check.reason.clone().unwrap_or_default()))
            .sentences()
            .shrinks_to(10)
            .leaves(4),
    ];
    text.push('\n');
    text.push_str(&lay_out(columns, room, colour));
    text
}

/// The reply of `why`: the whole in one line, then a paragraph per provider.
pub fn render_why(answer: &Value, room: usize, colour: bool) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let reliable = answer.get("reliable").and_then(Value::as_bool) == Some(true);
    let style = if reliable { Style::Good } else { Style::Bad };
    let mut told = style.paint(&wrap(&plain(&text(answer, "sentence")), room, 2), colour) + "\n";
    for provider in list(answer, "providers") {
        let sentences = list(&provider, "sentences");
        let sentences: Vec<_> = sentences.iter().filter_map(Value::as_str).map(plain).collect();
        told += &format!("\n{}\n", wrap(&sentences.join(" "), room, 2));
    }
    if let Some(switches) = answer.get("switches").and_then(Value::as_u64).filter(|switches| *switches > 0) {
        told += &format!("\nswitches within the last hour: {switches}\n");
    }
    told
}

#[cfg(test)]
mod tests;
