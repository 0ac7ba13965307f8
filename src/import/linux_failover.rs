//! linux_failover's `config.py` to a draft: its providers in their order, its ping targets, its thresholds.
//!
//! Called by `import`, fed by `python` with the file's plain values. The tool's README and sources are the reference for
//! what they mean.

use super::line::Line;
use super::notes::{NO_SERVERS, Notes, Options, is_name};
use super::python::{self, Value};
use crate::draft::Draft;
use crate::settings::schema::{OptionSpec, SectionKind};
use crate::text;
use crate::uci::Short;

/// The fields of a provider in the order in which they can be given without name.
const FIELDS: [&str; 7] =
    ["id", "interface_name", "ipv4_address", "gateway", "network", "rt_table_name", "rt_table_id"];
/// Names that the program keeps in the file for itself.
const INTERNAL: [&str; 2] = ["result_set", "DEFAULT_SHELL_OPTIONS"];
/// What the program ships, or shows in its README: nobody's decision.
const USUAL: &[(&str, &[&str])] = &[
    ("CHECK_INTERVAL", &["0.3", "5"]),
    ("MAX_STORED_TEST_RESULT_COUNT", &["50"]),
    ("MAX_FAILED_CHECKS", &["50"]),
    ("MIN_CONSECUTIVE_SUCCEEDED_CHECKS", &["1"]),
];
/// The default of failoverd's `history`, and of the program's.
const HISTORY: u32 = 50;

/// A number of the file, and where.
type Number<'a> = Option<(u32, &'a str)>;

/// Translates a `config.py`; see [`import`](super::import).
pub fn linux_failover(path: &str, text: &[u8]) -> Result<Draft, Vec<String>> {
    let text = String::from_utf8_lossy(text);
    let statements = python::statements(&text);
    let mut notes = Notes::new(path);
    let mut lines = Vec::new();
    let mut targets = Vec::new();
    let mut numbers: Vec<(&str, u32, &str)> = Vec::new();
    for statement in &statements {
        let (line, name) = (statement.line, statement.name.as_str());
        match (name, &statement.value) {
            ("providers", Some(Value::List(items))) => lines = providers(&mut notes, items),
            ("test_cases", Some(Value::List(items))) => targets = test_cases(&mut notes, items),
            ("STICKY_PROVIDER_FILENAME", Some(Value::Text(file))) => notes.left_out(
                line,
                format!(
                    "the file '{}' is not read: if it names a provider, `failoverd pin NAME` or option pin does the same",
                    Short(file)
                ),
            ),
            (_, Some(Value::Number(number))) if known(name) => {
                numbers.retain(|(earlier, ..)| *earlier != name);
                numbers.push((name, line, number));
            }
            ("", _) => {
                if !is_plumbing(&text, line) {
                    notes.left_out(line, "this is program text, which is not executed: whatever it sets is left out");
                }
            }
            _ if INTERNAL.contains(&name) => {}
            ("providers" | "test_cases" | "STICKY_PROVIDER_FILENAME", _) => {
                notes.left_out(line, format!("{name} is not written as plain values, so it is left out"));
            }
            _ if known(name) => {
                notes.left_out(line, format!("{name} is not a plain number, so it is left out and failoverd's default is used"));
            }
            _ => notes.left_out(line, format!("'{}' is no setting of linux_failover; left out", Short(name))),
        }
    }
    if lines.is_empty() {
        return Err(notes.refuse("no providers = [Provider(...)] in plain values: nothing to translate"));
    }
    let number = |name: &str| numbers.iter().find(|(known, ..)| *known == name).map(|(_, line, text)| (*line, *text));
    settings(&mut notes, number);
    for line in &mut lines {
        line.targets.clone_from(&targets);
    }
    if targets.len() > 1 {
        notes.decided(
            "One answer of any target is enough: linux_failover wanted one of each, so that a single dead target took every \
             provider down.",
        );
    }
    notes.decided(
        "When no provider is reliable the active one is kept (last_resort 'keep'); linux_failover went to the first.",
    );
    notes.decided(
        "A better provider takes over again once it has been reliable for a minute (failback_delay); linux_failover did \
         not wait.",
    );
    notes.decided("Nothing in the file says which line costs money: set option metered '1' for a mobile one.");
    notes.decided(
        "linux_failover is not touched: uninstall it before failoverd starts, for it deletes other programs' default routes.",
    );
    Ok(notes.finish(lines, ""))
}

fn known(name: &str) -> bool {
    name == "START_METRIC" || USUAL.iter().any(|(known, _)| *known == name)
}

/// Statements that set nothing: imports, and text that stands by itself.
fn is_plumbing(text: &str, line: u32) -> bool {
    let at = usize::try_from(line).unwrap_or_default().saturating_sub(1);
    text.lines()
        .nth(at)
        .is_some_and(|line| ["import ", "from ", "\"\"\"", "'''"].iter().any(|word| line.starts_with(word)))
}

fn settings<'a>(notes: &mut Notes<'_>, number: impl Fn(&str) -> Number<'a>) {
    let chosen = |name: &str| {
        let usual = USUAL.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, usual)| usual);
        number(name).filter(|(_, text)| !usual.contains(text))
    };
    let mut options = Options::new();
    if USUAL.iter().all(|(name, _)| chosen(name).is_none()) {
        notes.decided("Intervals and thresholds are failoverd's own: the file has those that linux_failover ships.");
    }
    if let Some((line, text)) = chosen("CHECK_INTERVAL") {
        for option in ["interval", "standby_interval"] {
            notes.set(&mut options, (line, "CHECK_INTERVAL", ""), (SectionKind::Settings, option), text);
        }
        notes.decided(format!("Every provider is checked every {text} s, on standby too, as before (CHECK_INTERVAL)."));
    }
    let mut history = HISTORY;
    if let Some((line, text)) = chosen("MAX_STORED_TEST_RESULT_COUNT") {
        let before = options.len();
        notes.set(&mut options, (line, "MAX_STORED_TEST_RESULT_COUNT", ""), (SectionKind::Settings, "history"), text);
        if options.len() > before {
            history = text.parse().unwrap_or(HISTORY);
        }
    }
    if let Some((line, text)) = number("MAX_FAILED_CHECKS") {
        // As many as are kept, or more, can never be exceeded: the same as off, which is the default.
        match text.parse::<u32>() {
            Ok(most) if most >= history => {}
            _ => notes.set(&mut options, (line, "MAX_FAILED_CHECKS", ""), (SectionKind::Settings, "max_failed"), text),
        }
    }
    if let Some((line, text)) = chosen("MIN_CONSECUTIVE_SUCCEEDED_CHECKS") {
        // The program wants more than this.
        let up = text.parse::<u32>().map_or_else(|_| text.to_owned(), |least| least.saturating_add(1).to_string());
        let what = "MIN_CONSECUTIVE_SUCCEEDED_CHECKS plus one,";
        notes.set(&mut options, (line, what, ""), (SectionKind::Settings, "up"), &up);
    }
    if let Some((line, text)) = number("START_METRIC") {
        let before = options.len();
        notes.set(&mut options, (line, "START_METRIC", ""), (SectionKind::Settings, "start_metric"), text);
        if options.len() > before {
            notes.decided(format!(
                "The metrics begin at {text} as before (start_metric), so that a route made by hand with a lower one still wins."
            ));
        }
    }
    notes.draft.settings.append(&mut options);
}

fn providers(notes: &mut Notes<'_>, items: &[(u32, Value)]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (line, item) in items {
        let Value::Call(class, arguments) = item else {
            notes.left_out(*line, "an entry of providers is no Provider(...); left out");
            continue;
        };
        let mut fields = Vec::new();
        for (at, (line, name, value)) in arguments.iter().enumerate() {
            let Some(name) = name.as_deref().or_else(|| FIELDS.get(at).copied()) else { continue };
            if !FIELDS.contains(&name) {
                notes.left_out(*line, format!("a {} has no field '{}'; left out", Short(class), Short(name)));
            } else if let Value::Text(text) = value {
                fields.push((name, *line, text.as_str()));
            } else if !name.starts_with("rt_table") {
                notes.left_out(*line, format!("{name} is not a plain string, so it is left out"));
            }
        }
        lines.extend(provider(notes, *line, &fields));
    }
    // The first one is preferred.
    lines.iter_mut().zip(0..).for_each(|(line, rank)| line.rank = Some(rank));
    lines
}

fn provider(notes: &mut Notes<'_>, line: u32, fields: &[(&str, u32, &str)]) -> Option<Line> {
    let field = |name: &str| fields.iter().find(|(known, ..)| *known == name).map(|(_, line, text)| (*line, *text));
    let Some((at, device)) = field("interface_name") else {
        notes.left_out(line, "a provider without interface_name cannot be translated");
        return None;
    };
    let name = field("id").or_else(|| field("rt_table_name")).map_or(device, |(_, name)| name);
    let what = format!("provider '{}': ", Short(name));
    if let Some(Err(why)) = OptionSpec::find(SectionKind::Provider, "device").map(|spec| spec.accepts(device)) {
        notes.left_out(at, format!("{what}interface_name '{}' {why}; the provider is left out", Short(device)));
        return None;
    }
    let mut options = Options::new();
    for (theirs, ours) in [("gateway", "gateway"), ("ipv4_address", "address")] {
        if let Some((line, text)) = field(theirs) {
            notes.set(&mut options, (line, &what, theirs), (SectionKind::Provider, ours), text);
        }
    }
    Some(Line {
        line,
        name: text::plain(name),
        source: ("device", device.to_owned()),
        options,
        enabled: true,
        rank: None,
        weight: 1,
        asks: Options::new(),
        targets: Vec::new(),
        required: 1,
    })
}

/// The addresses that are pinged.
fn test_cases(notes: &mut Notes<'_>, items: &[(u32, Value)]) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let Some(spec) = OptionSpec::find(SectionKind::Test, "target") else { return targets };
    for (line, item) in items {
        let (class, arguments) = match item {
            Value::Call(class, arguments) => (class.as_str(), arguments.as_slice()),
            _ => ("", &[][..]),
        };
        match arguments {
            [(_, _, Value::Text(target))] if class == "TestScenarioPing" => match spec.accepts(target) {
                Ok(()) if targets.contains(target) => {}
                Ok(()) if is_name(target) => notes.left_out(*line, format!("target '{}' {NO_SERVERS}", Short(target))),
                Ok(()) => targets.push(target.clone()),
                Err(why) => notes.left_out(*line, format!("target '{}' {why}; left out", Short(target))),
            },
            _ if class == "TestScenarioPing" => {
                notes.left_out(*line, "this ping does not name its target as a plain string; left out");
            }
            _ => {
                let text = format!(
                    "test case '{}' is program text of your own: a test of type tcp, dns, http or exec may do the same; left out",
                    Short(class)
                );
                notes.left_out(*line, text);
            }
        }
    }
    targets
}
