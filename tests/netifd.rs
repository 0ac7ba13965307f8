//! What a real netifd said (`tests/netifd/*.jsonl`), read by the decoder: after everything that happened to it, what an interface is.
//!
//! Each line of a recording is a `comment` on what was done (or on an object of netifd that came or went), a `dump` (the answer from
//! then on), an `event` or a `notify`.

#![allow(clippy::disallowed_methods, clippy::panic)]

use std::path::Path;

use failoverd::netifd::{DefaultRoute, Interface, Known, interfaces};
use serde_json::{Map, Value};

/// What followed a comment.
struct Deed {
    comment: String,
    /// The last answer before the next comment.
    dump: Map<String, Value>,
    /// The answer changed.
    changed: bool,
    /// Events and notifications.
    words: usize,
}

fn deeds(recording: &str) -> Vec<Deed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netifd").join(recording).with_extension("jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut deeds: Vec<Deed> = vec![];
    for (number, line) in (1..).zip(text.lines()) {
        let step: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{recording}:{number}: {error}"));
        if let Some(comment) = step.get("comment").and_then(Value::as_str) {
            if comment.starts_with("ubus.object.") {
                continue;
            }
            let dump = deeds.last().map(|deed| deed.dump.clone()).unwrap_or_default();
            deeds.push(Deed { comment: comment.to_owned(), dump, changed: false, words: 0 });
            continue;
        }
        let deed = deeds.last_mut().unwrap_or_else(|| panic!("{recording}:{number}: a comment must come first"));
        match step.get("dump").and_then(Value::as_object) {
            Some(dump) => (deed.dump, deed.changed) = (dump.clone(), true),
            None => deed.words += 1,
        }
    }
    deeds
}

/// An interface in a few words.
fn words(interface: Option<&Interface>) -> String {
    let Some(it) = interface else { return "not there".to_owned() };
    if !it.up {
        let state = match (it.pending, it.autostart) {
            (true, _) => "pending",
            (false, true) => "down",
            (false, false) => "taken down",
        };
        return it.error.as_ref().map_or(state.to_owned(), |error| format!("{state}: {error}"));
    }
    assert_eq!((&it.error, &it.modem), (&None, &None), "{it:?}");
    let mut words = it.device.clone().unwrap_or_default();
    if let Some(lower) = it.lower_device.as_ref().filter(|lower| it.device.as_ref() != Some(lower)) {
        words += &format!(" on {lower}");
    }
    it.addresses.iter().for_each(|address| words += &format!(" {address}"));
    match it.default_route {
        Some(DefaultRoute::Via(gateway)) => words += &format!(" via {gateway}"),
        Some(DefaultRoute::Direct) => words += " direct",
        None => {}
    }
    let servers: Vec<_> = it.dns_servers.iter().map(ToString::to_string).collect();
    if servers.is_empty() { words } else { format!("{words} dns {}", servers.join(",")) }
}

#[test]
fn what_an_interface_is_after_everything_that_happened_to_it() {
    const WAN: &str = "eth1 192.168.1.2 via 192.168.1.1 dns 192.168.1.1";
    const WANB: &str = "eth2 10.0.2.2 via 10.0.2.1 dns 10.0.2.1,9.9.9.9";
    for (recording, comment, interface, want) in [
        ("static", "netifd starts with two static interfaces", "wan", WAN),
        ("static", "ifdown wan", "wan", "taken down"),
        ("static", "ifdown wan", "wanb", WANB),
        ("static", "ifup wan (the script reloads, takes down, then up)", "wan", WAN),
        (
            "static",
            "address of wan changed in the configuration, reload",
            "wan",
            "eth1 192.168.1.7 via 192.168.1.1 dns 192.168.1.1",
        ),
        ("static", "gateway of wan changed, reload", "wan", "eth1 192.168.1.7 via 192.168.1.254 dns 192.168.1.1"),
        ("static", "wanb out of the configuration, reload", "wanb", "not there"),
        ("static", "wanb back in the configuration, reload", "wanb", WANB),
        ("auto", "netifd starts, wanb has auto 0", "wanb", "taken down"),
        ("auto", "ifup wanb", "wanb", WANB),
        ("auto", "ifdown wanb", "wanb", "taken down"),
        ("options", "netifd starts with an alias interface @wan", "wan_alias", "eth1 192.168.100.2"),
        ("options", "ifdown wan, which has an alias", "wan_alias", "down: NO_DEVICE"),
        ("options", "ifup wan", "wan_alias", "eth1 192.168.100.2"),
        // With `option defaultroute '0'` the gateway is still known.
        ("options", "option defaultroute 0 on wanb, alias gone, reload", "wanb", WANB),
        ("options", "option auto 0 on wanb, reload", "wanb", "taken down"),
        ("options", "option disabled 1 on wanb, reload", "wanb", "not there"),
        ("options", "wan and wanb without metric, reload", "wan", WAN),
        ("options", "ip4table 100 on wan, reload", "wan", WAN),
        ("options", "gateway of wan as a route section with a metric of its own, reload", "wan", WAN),
        ("late", "netifd starts, the device of lte does not exist", "lte", "down: NO_DEVICE"),
        ("late", "the device appears", "lte", "wwan0 10.9.0.2 via 10.9.0.1"),
        ("late", "the device vanishes", "lte", "down: NO_DEVICE"),
        ("late", "the device appears again", "lte", "wwan0 10.9.0.2 via 10.9.0.1"),
        // Static interfaces stay up without a carrier, unless `force_link` is 0.
        ("carrier", "carrier of wan lost", "wan", WAN),
        ("carrier", "carrier of wanb lost", "wanb", "down"),
        ("carrier", "carrier of wanb back", "wanb", WANB),
        (
            "pppoe",
            "netifd starts, pppoe dials",
            "wan",
            "pppoe-wan on eth1 100.64.0.2 via 100.64.0.1 dns 9.9.9.9,8.8.8.8",
        ),
        (
            "pppoe",
            "the line is cut, pppd redials: same name, new device, other address",
            "wan",
            "pppoe-wan on eth1 100.64.7.9 via 100.64.0.1 dns 9.9.9.9,8.8.8.8",
        ),
        (
            "pppoe",
            "carrier of eth1 lost, back 2 s later",
            "wan",
            "pppoe-wan on eth1 100.64.8.8 via 100.64.9.1 dns 9.9.9.9,8.8.8.8",
        ),
        ("pppoe", "ifdown wan", "wan", "taken down"),
        ("dhcp", "netifd starts, no dhcp server", "wan", "pending"),
        ("dhcp", "the server answers", "wan", "eth1 192.168.1.50 via 192.168.1.1 dns 192.168.1.1,9.9.9.9"),
        ("dhcp", "renew with another gateway", "wan", "eth1 192.168.1.50 via 192.168.1.254 dns 192.168.1.254,9.9.9.9"),
        ("dhcp", "carrier lost", "wan", "down"),
        (
            "dhcp",
            "another address at the next ifup",
            "wan",
            "eth1 192.168.1.60 via 192.168.1.1 dns 192.168.1.1,9.9.9.9",
        ),
        // A modem: what counts is told by its child.
        (
            "modem",
            "netifd starts, the modem dials and its child lte_4 asks for a lease",
            "lte",
            "wwan0 10.64.0.2 via 10.64.0.1 dns 10.64.0.53",
        ),
        ("modem", "ifdown lte", "lte", "taken down"),
        ("modem", "ifdown lte", "lte_4", "not there"),
        ("modem", "ifup lte", "lte", "wwan0 10.64.0.2 via 10.64.0.1 dns 10.64.0.53"),
        ("restart", "netifd starts again", "wan", WAN),
    ] {
        let deeds = deeds(recording);
        let deed = deeds.iter().find(|deed| deed.comment == comment);
        let deed = deed.unwrap_or_else(|| panic!("{recording}: '{comment}' is not recorded"));
        let known = Known { interfaces: interfaces(&deed.dump), told: true };
        assert_eq!(words(known.find(interface).ok().as_ref()), want, "{recording}: {comment}: {interface}");
    }
}

/// Why notifications alone are not enough: netifd does these without a word.
#[test]
fn what_netifd_tells_nobody() {
    for (recording, comment) in [("dhcp", "renew with another gateway"), ("options", "ip4table 100 on wan, reload")] {
        let deeds = deeds(recording);
        let deed = deeds.iter().find(|deed| deed.comment == comment);
        let deed = deed.unwrap_or_else(|| panic!("{recording}: '{comment}' is not recorded"));
        assert!(deed.changed && deed.words == 0, "{recording}: {comment}");
    }
}
