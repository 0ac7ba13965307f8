//! fault_tolerant_router's YAML to a draft: uplinks become providers by their device, priority groups their order.
//!
//! Called by `import`, fed by `yaml`. The gem's README and sources are the reference for what the parameters mean.

use super::line::Line;
use super::notes::{NO_SERVERS, Notes, Options, is_name};
use super::yaml::{self, Node, Value};
use crate::draft::Draft;
use crate::settings::schema::{OptionSpec, SectionKind};
use crate::text;
use crate::uci::Short;

/// The parameters that need no word with these values: the gem's example has them.
const EXAMPLE_INTERVAL: &str = "60";
/// The addresses of the gem's example, of which four must answer.
const EXAMPLE_TARGETS: [&str; 6] = ["208.67.220.220", "208.67.222.222", "4.2.2.2", "4.2.2.3", "8.8.4.4", "8.8.8.8"];
/// How many of them the example wants.
const EXAMPLE_REQUIRED: usize = 4;
/// Numbers of the gem's own rules and tables, with those of its example.
const NUMBERS: [(&str, &str, &str); 3] =
    [("base_table", "1", "base_table"), ("base_priority", "40000", "base_priority"), ("base_fwmark", "1", "mark_mask")];

/// Translates a `fault_tolerant_router.conf`; see [`import`](super::import).
pub fn fault_tolerant_router(path: &str, text: &[u8]) -> Result<Draft, Vec<String>> {
    let text = String::from_utf8_lossy(text);
    let (root, strange) = yaml::read(&text);
    let mut notes = Notes::new(path);
    for line in strange {
        notes.left_out(line, "this line is not understood; left out");
    }
    let Value::Map(entries) = root.value else {
        return Err(notes.refuse("no uplinks: nothing to translate"));
    };
    let mut lines = Vec::new();
    let mut tests = None;
    for (key, node) in &entries {
        match (key.as_str(), &node.value) {
            ("uplinks", Value::List(uplinks)) => {
                lines = uplinks.iter().filter_map(|uplink| self::uplink(&mut notes, uplink)).collect();
            }
            ("tests", Value::Map(entries)) => tests = Some(entries),
            // The firewall knows these.
            ("downlinks", _) => {}
            ("log", _) => notes.left_out(node.line, "log: failoverd logs to syslog (logread on OpenWrt)"),
            ("email", _) => notes.left_out(
                node.line,
                "email: failoverd sends none by itself; /etc/hotplug.d/failover has an example that mails on a switch",
            ),
            ("all_up_command" | "all_down_command", _) => {
                let text = format!(
                    "{key}: a script in /etc/hotplug.d/failover or /etc/failover.user is called on every change"
                );
                notes.left_out(node.line, text);
            }
            _ => match NUMBERS.iter().find(|(known, ..)| known == key) {
                Some((_, example, _)) if word(node) == Some(*example) => {}
                Some((_, _, ours)) => {
                    notes.left_out(node.line, format!("{key}: failoverd has numbers of its own, see option {ours}"));
                }
                None => notes.left_out(node.line, format!("unknown parameter '{}' is left out", Short(key))),
            },
        }
    }
    if lines.is_empty() {
        return Err(notes.refuse("no uplinks that can be translated"));
    }
    self::tests(&mut notes, tests.map_or(&[], Vec::as_slice), &mut lines);
    notes.decided("The order of preference is that of the priority groups.");
    notes.decided("When no provider is reliable the active one is kept (last_resort 'keep'), as before.");
    notes.decided("Nothing in the file says which line costs money: set option metered '1' for a mobile one.");
    notes.decided(
        "fault_tolerant_router is not touched: stop it before failoverd starts, and remove its marking rules from the firewall.",
    );
    Ok(notes.finish(lines, "A priority group"))
}

fn word(node: &Node) -> Option<&str> {
    if let Value::Text(text) = &node.value { Some(text) } else { None }
}

fn uplink(notes: &mut Notes<'_>, node: &Node) -> Option<Line> {
    let Value::Map(entries) = &node.value else {
        notes.left_out(node.line, "an uplink without parameters cannot be translated");
        return None;
    };
    let field = |name: &str| {
        let (_, node) = entries.iter().find(|(key, _)| key == name)?;
        word(node).map(|text| (node.line, text))
    };
    let Some((at, device)) = field("interface") else {
        notes.left_out(node.line, "an uplink without interface cannot be translated");
        return None;
    };
    let what = format!("uplink '{}': ", Short(device));
    if let Some(Err(why)) = OptionSpec::find(SectionKind::Provider, "device").map(|spec| spec.accepts(device)) {
        notes.left_out(at, format!("{what}interface {why}; the uplink is left out"));
        return None;
    }
    let mut options = Options::new();
    let point_to_point = field("type").is_some_and(|(_, kind)| kind.trim_start_matches(':') == "ppp");
    if point_to_point {
        options.push(("gateway", "none".to_owned()));
    }
    for (theirs, ours) in [("gateway", "gateway"), ("ip", "address")] {
        if let Some((line, text)) = field(theirs).filter(|_| !point_to_point) {
            notes.set(&mut options, (line, &what, theirs), (SectionKind::Provider, ours), text);
        }
    }
    if let Some((_, description)) = field("description") {
        options.push(("description", text::plain(description)));
    }
    for (key, node) in entries {
        match key.as_str() {
            "interface" | "type" | "ip" | "gateway" | "description" | "priority_group" | "weight" => {}
            "up_command" | "down_command" => {
                let text =
                    format!("{what}{key}: a script in /etc/hotplug.d/failover or /etc/failover.user is called instead");
                notes.left_out(node.line, text);
            }
            _ => notes.left_out(node.line, format!("{what}unknown parameter '{}' is left out", Short(key))),
        }
    }
    let mut number = |name: &str| {
        let (line, text) = field(name)?;
        let number = text.parse::<u32>().ok();
        if number.is_none() {
            notes.left_out(line, format!("{what}{name} '{}' is no number; left out", Short(text)));
        }
        number
    };
    let (rank, weight) = (number("priority_group"), number("weight").unwrap_or(1));
    let mut line = Line {
        line: node.line,
        name: device.to_owned(),
        source: ("device", device.to_owned()),
        options,
        enabled: true,
        rank,
        weight,
        asks: Options::new(),
        targets: Vec::new(),
        required: 1,
    };
    if rank.is_none() {
        notes.apart(&mut line);
        notes.decided(format!(
            "{what}without priority_group it never had the default route: with default '0' it is for what comes in through it."
        ));
    }
    Some(line)
}

/// The section `tests`, which is for all uplinks alike.
fn tests(notes: &mut Notes<'_>, entries: &[(String, Node)], lines: &mut [Line]) {
    let Some(spec) = OptionSpec::find(SectionKind::Test, "target") else { return };
    let mut targets: Vec<String> = Vec::new();
    let mut required = 1;
    let mut options = Options::new();
    for (key, node) in entries {
        match (key.as_str(), &node.value) {
            ("ips", Value::List(nodes)) => {
                for node in nodes {
                    let text = word(node).unwrap_or_default();
                    match spec.accepts(text) {
                        Ok(()) if targets.iter().any(|known| known == text) => {}
                        Ok(()) if is_name(text) => {
                            notes.left_out(node.line, format!("tests: '{}' {NO_SERVERS}", Short(text)));
                        }
                        Ok(()) => targets.push(text.to_owned()),
                        Err(why) => notes.left_out(node.line, format!("tests: '{}' {why}; left out", Short(text))),
                    }
                }
            }
            ("required_successful", Value::Text(text)) => match text.parse() {
                Ok(number) => required = number,
                Err(_) => {
                    let text = format!("tests: required_successful '{}' is no number; taken for 1", Short(text));
                    notes.left_out(node.line, text);
                }
            },
            ("ping_retries", Value::Text(_)) => {}
            ("interval", Value::Text(text)) if text == EXAMPLE_INTERVAL => {
                notes.decided(
                    "Intervals are failoverd's own: the file has the 60 seconds of fault_tolerant_router's example, which notice \
                     a silent line after a minute.",
                );
            }
            ("interval", Value::Text(text)) => {
                for option in ["interval", "standby_interval"] {
                    notes.set(&mut options, (node.line, "tests: ", "interval"), (SectionKind::Settings, option), text);
                }
                notes.decided(format!("Every provider is checked every {} s, on standby too, as before.", Short(text)));
            }
            _ => notes.left_out(node.line, format!("tests: '{}' is left out", Short(key))),
        }
    }
    let example = targets.len() == EXAMPLE_TARGETS.len() && targets.iter().all(|t| EXAMPLE_TARGETS.contains(&&**t));
    if example && required == EXAMPLE_REQUIRED {
        required = 1;
        notes.decided(
            "One answer of any of the 6 addresses is enough; the file has them and required_successful 4 as in \
             fault_tolerant_router's example.",
        );
    }
    notes.draft.settings.append(&mut options);
    for line in lines {
        line.targets.clone_from(&targets);
        line.required = required;
    }
}
