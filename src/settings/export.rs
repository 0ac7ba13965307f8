//! The table of options as data: what a page needs to show every option with its limits, its default and what it is for.
//!
//! Made from `schema` alone; the shell sends it as the answer of ubus `schema`.

use std::time::Duration;

use serde_json::Value;

use super::load::{BUILTIN_TARGETS, BUILTIN_TEST};
use super::schema::{Kind, OPTIONS, OptionSpec, SectionKind, TEST_TYPES};
use super::test::{OF_TYPES, TARGETS};
use crate::member::object;

/// `{"options": [...], "builtin_test": {...}}`: every row of the table, and the test that exists when the file has none.
pub fn export() -> Value {
    let targets: Value = BUILTIN_TARGETS.iter().map(ToString::to_string).collect();
    let test = object(&mut [("name", BUILTIN_TEST.into()), ("targets", targets)]);
    object(&mut [("options", OPTIONS.iter().map(option).collect()), ("builtin_test", test)])
}

fn option(spec: &OptionSpec) -> Value {
    let choices = match spec.kind {
        Kind::Choice(words) => words.iter().copied().collect(),
        Kind::TestType => TEST_TYPES.iter().copied().collect(),
        _ => Value::Null,
    };
    let (min, max) = limits(spec.kind).unzip();
    object(&mut [
        ("name", spec.name.into()),
        ("sections", spec.sections.iter().map(|section| section.uci_type()).collect()),
        ("type", word(spec.kind).into()),
        ("list", spec.list.into()),
        ("doc", spec.doc.into()),
        ("must", spec.kind.describe().into()),
        ("min", min.into()),
        ("max", max.into()),
        ("default", Some(spec.default).filter(|it| !it.is_empty()).into()),
        ("choices", choices),
        ("types", types(spec)),
        ("forms", if spec.kind == Kind::Target { TARGETS.iter().map(form).collect() } else { Value::Null }),
    ])
}

/// The types of a test that an option is for; nothing where it is for all of them.
fn types(spec: &OptionSpec) -> Value {
    if spec.kind == Kind::Target {
        return TARGETS.iter().map(|(kind, ..)| *kind).collect();
    }
    let of_types = OF_TYPES.iter().find(|(name, _)| *name == spec.name);
    of_types.map_or(Value::Null, |(_, types)| types.iter().copied().collect())
}

/// What a type's targets are like.
fn form((kind, must, example): &(&str, &str, &str)) -> Value {
    let example = Some(*example).filter(|it| !it.is_empty());
    object(&mut [("type", (*kind).into()), ("must", (*must).into()), ("example", example.into())])
}

/// Milliseconds for durations; for what can be counted the numbers.
fn limits(kind: Kind) -> Option<(u32, u32)> {
    let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    match kind {
        Kind::Duration { min, max } | Kind::Drain { min, max } => Some((millis(min), millis(max))),
        Kind::Number { min, max } => Some((min, max)),
        Kind::CountOrAll { max } => Some((1, max)),
        _ => None,
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "flag",
        Kind::Duration { .. } => "duration",
        Kind::Number { .. } => "number",
        Kind::CountOrAll { .. } => "count_or_all",
        Kind::Mask => "mask",
        Kind::Choice(_) => "choice",
        Kind::TestType => "test_type",
        Kind::Text => "text",
        Kind::Reference(SectionKind::Test) => "test",
        Kind::Reference(_) => "provider",
        Kind::Interface => "interface",
        Kind::Device => "device",
        Kind::Address => "address",
        Kind::Gateway => "gateway",
        Kind::Target => "target",
        Kind::Name => "name",
        Kind::Script => "script",
        Kind::Network => "network",
        Kind::AddressMatch => "address_match",
        Kind::Ports => "ports",
        Kind::Protocol => "protocol",
        Kind::Dscp => "dscp",
        Kind::Drain { .. } => "drain",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The rows with what was exported of each.
    fn rows() -> Vec<(&'static OptionSpec, Value)> {
        let exported = export()["options"].as_array().unwrap().clone();
        assert_eq!(exported.len(), OPTIONS.len(), "every option, once per row");
        OPTIONS.iter().zip(exported).collect()
    }

    #[test]
    fn what_a_page_gets() {
        let rows = rows();
        for (name, want) in [
            (
                "interval",
                json!({
                    "name": "interval", "sections": ["failover", "provider"], "type": "duration", "min": 50, "max": 3_600_000,
                    "list": false, "default": "1", "doc": "time between checks of the active provider",
                    "must": "between 50ms and 1h",
                }),
            ),
            (
                "type",
                json!({
                    "name": "type", "sections": ["test"], "type": "test_type", "list": false, "default": "ping",
                    "choices": ["ping", "tcp", "dns", "http", "arp", "exec"],
                    "doc": "how to find out whether the internet is reachable",
                    "must": "ping or tcp or dns or http or arp or exec",
                }),
            ),
            (
                "target",
                json!({
                    "name": "target", "sections": ["test"], "type": "target", "list": true,
                    "doc": "whom to ask, several by several operators for preference: a host, host:port for tcp and dns, http://host/path; none for arp",
                    "must": "a host, host:port or http://host/path, as the type wants it",
                    "types": ["ping", "tcp", "dns", "http", "exec"],
                    "forms": [
                        { "type": "ping", "must": "an IPv4 address or the name of a host", "example": "1.1.1.1" },
                        {
                            "type": "tcp", "example": "1.1.1.1:443",
                            "must": "an IPv4 address or the name of a host, with ':port' behind it or without",
                        },
                        {
                            "type": "dns", "example": "9.9.9.9",
                            "must": "an IPv4 address or the name of a host, with ':port' behind it or without",
                        },
                        {
                            "type": "http", "must": "like http://host/path",
                            "example": "http://connectivitycheck.gstatic.com/generate_204",
                        },
                        { "type": "exec", "must": "text" },
                    ],
                }),
            ),
            (
                "expect",
                json!({
                    "name": "expect", "sections": ["test"], "type": "text", "list": false, "types": ["dns", "http"],
                    "doc": "dns: address that must be in the answer; http: what the page must contain", "must": "text",
                }),
            ),
        ] {
            let (_, exported) = rows.iter().find(|(spec, _)| spec.name == name).unwrap();
            assert_eq!(*exported, want, "{name}: nothing else, absent rather than null");
        }
        assert_eq!(
            export()["builtin_test"],
            json!({ "name": "internet", "targets": ["1.1.1.1", "8.8.8.8", "9.9.9.9", "208.67.222.222"] })
        );
    }

    #[test]
    fn every_option_says_what_it_is() {
        for (spec, exported) in rows() {
            assert_eq!((&exported["name"], &exported["list"]), (&json!(spec.name), &json!(spec.list)));
            for section in exported["sections"].as_array().unwrap() {
                let kind = SectionKind::of(section.as_str().unwrap()).unwrap();
                assert!(OptionSpec::find(kind, spec.name).is_some_and(|it| std::ptr::eq(it, spec)), "{}", spec.name);
            }
            let default = exported.get("default").and_then(Value::as_str);
            assert_eq!(default.unwrap_or_default(), spec.default, "{}", spec.name);
            assert_eq!(exported["must"], json!(spec.kind.describe()));
            // Whoever adds an option of a new kind decides what a page shows for it.
            let of_words = matches!(spec.kind, Kind::Choice(_) | Kind::TestType);
            let counted = matches!(
                spec.kind,
                Kind::Duration { .. } | Kind::Drain { .. } | Kind::Number { .. } | Kind::CountOrAll { .. }
            );
            assert_eq!(
                (exported.get("choices").is_some(), exported.get("min").is_some(), exported.get("max").is_some()),
                (of_words, counted, counted),
                "{}",
                spec.name
            );
        }
    }

    #[test]
    fn its_limits_are_those_of_the_parser() {
        let mut tried = 0;
        for (spec, exported) in rows() {
            let unit = if matches!(spec.kind, Kind::Duration { .. } | Kind::Drain { .. }) { "ms" } else { "" };
            let limits = exported.get("min").and_then(Value::as_u64).zip(exported.get("max").and_then(Value::as_u64));
            for (number, within) in limits.into_iter().flat_map(|(min, max)| {
                let below = min.checked_sub(1).map(|below| (below, false));
                [(min, true), (max, true), (max + 1, false)].into_iter().chain(below)
            }) {
                let text = format!("{number}{unit}");
                assert_eq!(spec.accepts(&text).is_ok(), within, "{} '{text}'", spec.name);
                tried += 1;
            }
            for word in exported.get("choices").and_then(Value::as_array).into_iter().flatten() {
                assert_eq!(spec.accepts(word.as_str().unwrap()), Ok(()), "{}: {word} can be chosen", spec.name);
                tried += 1;
            }
        }
        assert!(tried > 50, "{tried}");
        let (spec, types) = rows().into_iter().find(|(spec, _)| spec.kind == Kind::TestType).unwrap();
        let types = types["choices"].as_array().unwrap();
        for word in TEST_TYPES {
            assert_eq!(types.contains(&json!(word)), spec.accepts(word).is_ok(), "{word}: offered once it is built");
        }
    }
}
