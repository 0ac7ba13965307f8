//! `status` and `history` as tables for a terminal, never wider than it is; `why` as paragraphs.
//!
//! Fed with the replies as ubus delivers them (`status.rs` and `why.rs` say what is in them); the command line prints the text as it is.

use serde_json::Value;

use crate::member::{flag, float, list, number, text};
use crate::sentence::and;
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
    fn new(title: &'static str, items: &[Value], cell: &dyn Fn(&Value) -> (Style, String)) -> Self {
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

/// The reply of `status`: a sentence, a line per provider, and what a person should know.
pub fn render(status: &Value, room: usize, colour: bool) -> String {
    let (style, sentence) = sentence(status);
    let mut told = Style::paint(style, &wrap(&plain(&sentence), room, 2), colour) + "\n";
    let providers = list(status, "providers");
    if !providers.is_empty() {
        let known = |value: Option<String>| (Style::Plain, value.unwrap_or_else(|| "-".to_owned()));
        let word = |provider: &Value, name: &str| known(text(provider, name).map(str::to_owned));
        let state = |provider: &Value| text(provider, "state").unwrap_or_default().to_owned();
        let columns = vec![
            Column::new("NAME", providers, &|it| (Style::Plain, name_of(it).to_owned())).shrinks_to(6),
            Column::new("STATE", providers, &|it| (Style::of_state(&state(it)), state(it))),
            Column::new("ROLE", providers, &|it| role(status, it)).leaves(2),
            Column::new("DEVICE", providers, &|it| word(it, "device")).shrinks_to(6).leaves(4),
            Column::new("GATEWAY", providers, &|it| word(it, "gateway")).shrinks_to(9).leaves(5),
            Column::new("METRIC", providers, &|it| known(number(it, "metric").map(|metric| metric.to_string())))
                .right()
                .leaves(6),
            Column::new("LATENCY", providers, &|it| known(float(it, "latency_ms").map(latency))).right().leaves(3),
            Column::new("LOSS", providers, &|it| known(float(it, "loss_percent").map(percent))).right().leaves(1),
            Column::new("SINCE", providers, &|it| known(number(it, "since").map(duration))).right().leaves(5),
        ];
        told.push('\n');
        told.push_str(&lay_out(columns, room, colour));
    }
    let notes = notes(status);
    if !notes.is_empty() {
        told.push('\n');
    }
    for (style, note) in notes {
        told.push_str(&style.paint(&wrap(&plain(&note), room, 2), colour));
        told.push('\n');
    }
    told
}

fn name_of(provider: &Value) -> &str {
    text(provider, "name").unwrap_or_default()
}

fn role(status: &Value, provider: &Value) -> (Style, String) {
    if let Some(share) = float(provider, "share_percent") {
        return (Style::Title, format!("active {}", percent(share)));
    }
    let pinned = text(status, "pin") == Some(name_of(provider));
    // One without default traffic waits for nothing.
    let stands_by = flag(provider, "reliable") && flag(provider, "default");
    let (style, word) = match (flag(provider, "active"), pinned, stands_by) {
        (true, true, _) => (Style::Title, "pinned"),
        (true, false, _) => (Style::Title, "active"),
        (false, true, _) => (Style::Doubtful, "pin?"),
        (false, false, true) => (Style::Plain, "standby"),
        (false, false, false) => (Style::Plain, "-"),
    };
    (style, word.to_owned())
}

/// The whole status in one sentence.
fn sentence(status: &Value) -> (Style, String) {
    if !flag(status, "enabled") {
        return (Style::Doubtful, "disabled by the configuration (option enabled '0')".to_owned());
    }
    let providers = list(status, "providers");
    if providers.is_empty() {
        return (Style::Bad, "no provider is configured".to_owned());
    }
    let all: Vec<&Value> = providers.iter().filter(|provider| flag(provider, "active")).collect();
    let Some(&active) = all.first() else {
        return (Style::Bad, "offline: no provider has a device with carrier, address and gateway".to_owned());
    };
    let (name, state) = (name_of(active), text(active, "state").unwrap_or_default());
    let since = number(status, "active_since").map(|seconds| format!(" for {}", duration(seconds))).unwrap_or_default();
    let pinned = if text(status, "pin") == Some(name) { ", pinned" } else { "" };
    if flag(active, "reliable") {
        // Of several that share traffic each has its own.
        let speed = float(active, "latency_ms").filter(|_| all.len() == 1);
        let speed = speed.map(|ms| format!(", {}", latency(ms))).unwrap_or_default();
        let names = and(&all.into_iter().map(name_of).collect::<Vec<_>>());
        let (style, word) = match state {
            "degraded" => (Style::Doubtful, "degraded"),
            _ => (Style::Good, "online"),
        };
        return (style, format!("{word} through {names}{since}{speed}{pinned}"));
    }
    if state == "checking" {
        return (Style::Doubtful, format!("checking; {name} is used meanwhile{since}{pinned}"));
    }
    match providers.iter().any(|provider| flag(provider, "reliable")) {
        true => (Style::Bad, format!("{name} is used{since} although it is {state}{pinned}")),
        false => (Style::Bad, format!("no provider is reliable; {name} is used{since} without proof{pinned}")),
    }
}

/// What needs words: reasons, warnings, what stands in the way.
fn notes(status: &Value) -> Vec<(Style, String)> {
    let mut notes = Vec::new();
    for provider in list(status, "providers") {
        let mut name = name_of(provider).to_owned();
        if let Some(description) = text(provider, "description") {
            name += &format!(" ({description})");
        }
        if let Some(reason) = text(provider, "reason").filter(|_| text(provider, "state") != Some("online")) {
            notes.push((Style::Plain, format!("{name}: {reason}")));
        }
        if let Some(seconds) = number(provider, "failback_in") {
            notes.push((Style::Plain, format!("{name}: takes over again in {}", duration(seconds))));
        }
        if let Some(seconds) = number(provider, "drain_in") {
            notes.push((Style::Plain, format!("{name}: its connections are forgotten in {}", duration(seconds))));
        }
        let stranded: Vec<_> = list(provider, "stranded").iter().filter_map(Value::as_str).collect();
        if !stranded.is_empty() {
            let routes = stranded.join(", ");
            notes.push((Style::Doubtful, format!("{name}: other programs' routes still lead there: {routes}")));
        }
    }
    if text(status, "marks") == Some("on") {
        notes.push((Style::Plain, "connections are marked with their provider".to_owned()));
    }
    // While connections cannot be marked nothing follows them; a warning says so.
    if text(status, "marks") != Some("failed") {
        rules(status, &mut notes);
    }
    for line in suspects(status) {
        notes.push((Style::Plain, line));
    }
    let lines = |name: &str, style, before: &str| -> Vec<_> {
        list(status, name).iter().filter_map(Value::as_str).map(|line| (style, format!("{before}{line}"))).collect()
    };
    notes.extend(lines("warnings", Style::Doubtful, "warning: "));
    notes.extend(lines("overridden_by", Style::Doubtful, "overridden by: "));
    let errors = lines("config_errors", Style::Plain, "");
    if !errors.is_empty() {
        notes.push((Style::Bad, "the configuration was refused, the one before it is in force:".to_owned()));
        notes.extend(errors);
    }
    notes
}

/// Rules by what they lead to now, each with the first of its rules.
fn rules(status: &Value, notes: &mut Vec<(Style, String)>) {
    const NAMED: usize = 10;
    let mut groups: Vec<(Style, String, Vec<&str>)> = vec![];
    for rule in list(status, "rules") {
        let (style, whither) = match (text(rule, "provider"), text(rule, "fallback")) {
            (Some(provider), _) => (Style::Plain, format!("rules through {provider}")),
            (None, Some("unreachable")) => {
                (Style::Doubtful, "rules without a reliable provider, unreachable".to_owned())
            }
            (None, _) => (Style::Doubtful, "rules without a reliable provider, as other traffic".to_owned()),
        };
        match groups.iter_mut().find(|(_, known, _)| *known == whither) {
            Some((_, _, names)) => names.push(name_of(rule)),
            None => groups.push((style, whither, vec![name_of(rule)])),
        }
    }
    for (style, whither, names) in groups {
        let left = names.len().saturating_sub(NAMED);
        let more = if left > 0 { format!(" and {left} more") } else { String::new() };
        let names: Vec<&str> = names.into_iter().take(NAMED).collect();
        notes.push((style, format!("{whither}: {}{more}", names.join(", "))));
    }
}

/// Targets that answer nowhere, once each whoever asks them.
fn suspects(status: &Value) -> Vec<String> {
    let mut lines = vec![];
    for test in list(status, "providers").iter().flat_map(|provider| list(provider, "tests")) {
        for target in list(test, "targets").iter().filter(|target| flag(target, "suspect")) {
            let target = text(target, "target").unwrap_or_default();
            let line = format!("test {}: {target} is suspect, it answers nowhere and is asked last", name_of(test));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// The reply of `history`: a provider's last checks, newest first.
pub fn render_history(history: &Value, room: usize, colour: bool) -> String {
    let (provider, checks) = (text(history, "provider").unwrap_or_default(), list(history, "checks"));
    let failed = checks.iter().filter(|check| !flag(check, "ok")).count();
    let sentence = match checks.len() {
        0 => format!("{provider}: not checked yet"),
        1 => format!("{provider}: 1 check, {failed} failed"),
        count => format!("{provider}: {count} checks, {failed} failed"),
    };
    let mut told = wrap(&plain(&sentence), room, 2) + "\n";
    if checks.is_empty() {
        return told;
    }
    let known = |value: Option<String>| (Style::Plain, value.unwrap_or_else(|| "-".to_owned()));
    let columns = vec![
        Column::new("AGO", checks, &|it| known(number(it, "ago").map(duration))).right(),
        Column::new("RESULT", checks, &|it| match flag(it, "ok") {
            true => (Style::Good, "ok".to_owned()),
            false => (Style::Bad, "failed".to_owned()),
        }),
        Column::new("LATENCY", checks, &|it| known(float(it, "latency_ms").map(latency))).right().leaves(2),
        Column::new("LOSS", checks, &|it| known(float(it, "loss_percent").map(percent))).right().leaves(1),
        Column::new("PROBES", checks, &|it| known(number(it, "sent").map(|sent| sent.to_string()))).right().leaves(3),
        Column::new("REASON", checks, &|it| (Style::Plain, text(it, "reason").unwrap_or_default().to_owned()))
            .sentences()
            .shrinks_to(10)
            .leaves(4),
    ];
    told.push('\n');
    told.push_str(&lay_out(columns, room, colour));
    told
}

/// The reply of `why`: the whole in one line, then a paragraph per provider.
pub fn render_why(answer: &Value, room: usize, colour: bool) -> String {
    let style = if flag(answer, "reliable") { Style::Good } else { Style::Bad };
    let sentence = text(answer, "sentence").unwrap_or_default();
    let mut told = style.paint(&wrap(&plain(sentence), room, 2), colour) + "\n";
    for provider in list(answer, "providers") {
        let sentences: Vec<_> = list(provider, "sentences").iter().filter_map(Value::as_str).map(plain).collect();
        told += &format!("\n{}\n", wrap(&sentences.join(" "), room, 2));
    }
    if let Some(switches) = number(answer, "switches").filter(|switches| *switches > 0) {
        told += &format!("\nswitches within the last hour: {switches}\n");
    }
    told
}

#[cfg(test)]
mod tests;
