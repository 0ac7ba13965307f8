//! A `config rule` section: which new connections it means, and which providers they use.
//!
//! Fed with the section by `check`, for the problems, and by `load`, for the meaning.

use super::layer::{Layer, Stack};
use super::option::Value;
use super::{AddressMatch, Fallback, Ports, RuleSettings};

/// The meaning of a section without problems.
pub(super) fn settings(name: &str, layer: &Layer) -> RuleSettings {
    let own = [layer];
    let stack = Stack(&own);
    let small = |name: &str| layer.numbers(name).into_iter().filter_map(|number| u8::try_from(number).ok()).collect();
    let texts = |name: &str| layer.texts(name).into_iter().map(|(_, text)| text.to_owned()).collect();
    RuleSettings {
        name: name.to_owned(),
        enabled: stack.flag("enabled"),
        source: layer.each("src", address_match),
        destination: layer.each("dest", address_match),
        protocols: small("proto"),
        source_ports: layer.each("src_port", ports),
        destination_ports: layer.each("dest_port", ports),
        devices: texts("device"),
        dscp: small("dscp"),
        providers: texts("use"),
        fallback: match stack.text("fallback").as_deref() {
            Some("unreachable") => Fallback::Unreachable,
            _ => Fallback::Default,
        },
        local: stack.flag("local"),
    }
}

fn address_match(value: &Value) -> Option<AddressMatch> {
    if let Value::AddressMatch(it) = value { Some(*it) } else { None }
}

fn ports(value: &Value) -> Option<Ports> {
    if let Value::Ports(it) = value { Some(*it) } else { None }
}
