use serde_json::json;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn decoded(dump: Value) -> Vec<Interface> {
    interfaces(dump.as_object().unwrap())
}

/// The only interface of a dump with one entry.
fn one(told: Value) -> Interface {
    let mut all = decoded(json!({ "interface": [told] }));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn interfaces_of_every_kind() {
    for (told, want, why) in [
        (
            json!({
                "interface": "wan", "up": true, "pending": false, "available": true, "autostart": true, "dynamic": false,
                "uptime": 42, "l3_device": "eth1", "proto": "dhcp", "device": "eth1", "metric": 0, "dns_metric": 0,
                "delegation": true, "ipv4-address": [{ "address": "192.168.1.2", "mask": 24 }], "ipv6-address": [],
                "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": "192.168.1.1", "source": "192.168.1.2/32" }],
                "dns-server": ["192.168.1.1", "2001:db8::53"], "dns-search": ["lan"],
                "inactive": { "ipv4-address": [], "route": [], "dns-server": [] }, "data": { "leasetime": 3600 },
            }),
            Interface {
                name: "wan".into(),
                up: true,
                autostart: true,
                proto: "dhcp".into(),
                device: Some("eth1".into()),
                lower_device: Some("eth1".into()),
                addresses: vec![ip("192.168.1.2")],
                default_route: Some(DefaultRoute::Via(ip("192.168.1.1"))),
                dns_servers: vec![ip("192.168.1.1"), ip("2001:db8::53")],
                ..Interface::default()
            },
            "DHCP",
        ),
        (
            json!({
                "interface": "dsl", "up": true, "pending": false, "autostart": true, "l3_device": "pppoe-dsl",
                "proto": "pppoe", "device": "eth0.7", "metric": 10,
                "ipv4-address": [{ "address": "203.0.113.7", "mask": 32, "ptpaddress": "198.51.100.1" }],
                "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": "198.51.100.1", "metric": 10, "source": "0.0.0.0/0" }],
            }),
            Interface {
                name: "dsl".into(),
                up: true,
                autostart: true,
                proto: "pppoe".into(),
                device: Some("pppoe-dsl".into()),
                lower_device: Some("eth0.7".into()),
                addresses: vec![ip("203.0.113.7")],
                default_route: Some(DefaultRoute::Via(ip("198.51.100.1"))),
                ..Interface::default()
            },
            "PPPoE: the port below is told",
        ),
        (
            json!({
                "interface": "vpn", "up": true, "autostart": true, "l3_device": "wg0", "proto": "wireguard",
                "ipv4-address": [{ "address": "10.9.0.2", "mask": 32 }],
                "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": "0.0.0.0", "source": "0.0.0.0/0" }],
            }),
            Interface {
                name: "vpn".into(),
                up: true,
                autostart: true,
                proto: "wireguard".into(),
                device: Some("wg0".into()),
                addresses: vec![ip("10.9.0.2")],
                default_route: Some(DefaultRoute::Direct),
                ..Interface::default()
            },
            "no next hop",
        ),
        (
            json!({ "interface": "lte", "up": false, "pending": true, "available": true, "autostart": true, "proto": "qmi", "device": "/dev/cdc-wdm0", "data": {} }),
            Interface {
                name: "lte".into(),
                pending: true,
                autostart: true,
                proto: "qmi".into(),
                lower_device: Some("/dev/cdc-wdm0".into()),
                ..Interface::default()
            },
            "a modem that dials",
        ),
        (
            json!({ "interface": "lte", "up": false, "pending": false, "autostart": false, "proto": "none" }),
            Interface { name: "lte".into(), proto: "none".into(), ..Interface::default() },
            "taken down by hand",
        ),
    ] {
        assert_eq!(one(told), want, "{why}");
    }
}

#[test]
fn what_went_wrong_and_what_a_modem_says() {
    let long = "x".repeat(90);
    let error = |code: Value| json!([{ "subsystem": "qmi", "code": code }]);
    for (up, pending, errors, data, want, why) in [
        (false, false, error(json!("NO_DEVICE")), json!({}), (Some("NO_DEVICE"), None), "netifd's word"),
        (
            false,
            true,
            json!([{ "subsystem": "qmi", "code": "SIM_NOT_INITIALIZED" }, { "subsystem": "qmi", "code": "CALL_FAILED", "data": ["1"] }]),
            json!({}),
            (Some("CALL_FAILED"), None),
            "the last one",
        ),
        (true, false, error(json!("MM_CONNECT_IN_PROGRESS")), json!({}), (None, None), "it is up: that is history"),
        (
            false,
            true,
            json!([]),
            json!({ "state": "searching", "signal": -97, "registration": "denied", "zone": "wan" }),
            (None, Some("searching, denied, -97")),
            "a modem",
        ),
        (true, false, json!(null), json!({ "state": "connected" }), (None, Some("connected")), "a modem that is up"),
        (false, false, json!(null), json!({ "state": "connected" }), (None, None), "netifd keeps what was"),
        (true, false, json!([]), json!({ "cid_4": "3", "pdh_4": "2264423824" }), (None, None), "qmi's own business"),
        (true, false, json!([]), json!({ "tid": 9 }), (None, None), "mbim's"),
        (
            false,
            true,
            error(json!("a\nb\u{1b}[31m\u{202e}c\u{7f} é")),
            json!({ "state": "", "registration": "\n", "signal": [1] }),
            (Some("ab[31mc é"), None),
            "what a terminal would obey, or nobody could read",
        ),
        (false, false, error(json!(long)), json!(7), (Some(&long[..40]), None), "no longer than that"),
        (false, false, error(json!(7.5)), json!([]), (Some("7.5"), None), "a number"),
        (false, false, json!([7, null]), json!(null), (None, None), "malformed"),
        (false, false, json!({ "code": "x" }), json!("state"), (None, None), "malformed as well"),
    ] {
        let told = json!({ "interface": "lte", "up": up, "pending": pending, "errors": errors, "data": data });
        let found = one(told);
        assert_eq!((found.error.as_deref(), found.modem.as_deref()), want, "{why}");
        assert_eq!(Interface::from_json(&found.to_json()), found, "{why}");
    }
}

#[test]
fn which_interface_is_set_up_anew() {
    let interface = |name: &str, proto: &str, dynamic| Interface {
        name: name.into(),
        autostart: name != "off",
        proto: proto.into(),
        dynamic,
        ..Interface::default()
    };
    let known = Known {
        interfaces: vec![
            interface("wan", "dhcp", false),
            interface("lan_4", "dhcp", false),
            interface("lan", "static", false),
            interface("lte", "qmi", false),
            interface("lte_4", "dhcp", true),
            interface("mbim_4", "static", true),
            interface("mbim", "mbim", false),
            interface("vpn", "wireguard", true),
            interface("away", "qmi", false),
            interface("off", "dhcp", false),
        ],
        told: true,
    };
    for (name, renew, restart, why) in [
        ("wan", Some("wan"), Some("wan"), "the ordinary case"),
        ("lte", Some("lte_4"), Some("lte"), "the child has the lease"),
        ("lte_4", Some("lte_4"), Some("lte"), "with down the child would be gone"),
        ("mbim", Some("mbim"), Some("mbim"), "the child has no lease"),
        ("lan", Some("lan"), Some("lan"), "somebody's own interface of such a name"),
        ("vpn", Some("vpn"), None, "whose parent nobody knows"),
        ("away_4", Some("away"), Some("away"), "the child is gone with its parent"),
        ("off", None, None, "taken down by hand"),
        ("off_4", None, None, "so its child is gone"),
        ("dsl", None, None, "netifd has none"),
    ] {
        let found = [Recover::Renew, Recover::Restart].map(|how| known.to_recover(name, &how));
        assert_eq!(found, [renew, restart], "{why}");
    }
}

#[test]
fn whose_default_route_counts() {
    let route =
        |next_hop: &str, metric: u32| json!({ "target": "0.0.0.0", "mask": 0, "nexthop": next_hop, "metric": metric });
    let via = |next_hop: &str| Some(DefaultRoute::Via(ip(next_hop)));
    for (routes, inactive, want, why) in [
        (json!([route("10.0.0.1", 5), route("10.0.0.2", 3)]), json!([]), via("10.0.0.2"), "the lowest metric"),
        (
            json!([route("10.0.0.1", 5), { "target": "0.0.0.0", "mask": 0, "nexthop": "10.0.0.3" }]),
            json!([]),
            via("10.0.0.3"),
            "the interface's own is lower",
        ),
        (
            json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": "10.0.0.3" }, route("10.0.0.1", 3)]),
            json!([]),
            via("10.0.0.1"),
            "the interface's own is higher",
        ),
        (
            json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": "10.0.0.9", "table": 55 }, route("10.0.0.1", 700)]),
            json!([]),
            via("10.0.0.1"),
            "not the one for another table",
        ),
        (
            json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": "10.0.0.9", "table": 55 }]),
            json!([]),
            via("10.0.0.9"),
            "unless there is no other",
        ),
        (
            json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": "10.0.0.9", "table": 254 }]),
            json!([route("10.0.0.1", 0)]),
            via("10.0.0.9"),
            "main, by its number",
        ),
        (json!([]), json!([route("10.0.0.1", 0)]), via("10.0.0.1"), "option defaultroute '0'"),
        (json!([route("10.0.0.1", 9)]), json!([route("10.0.0.2", 0)]), via("10.0.0.1"), "an active one first"),
        (json!([{ "target": "::", "mask": 0, "nexthop": "fe80::1" }]), json!([]), None, "IPv6"),
        (json!([{ "target": "10.0.0.0", "mask": 8, "nexthop": "10.0.0.1" }]), json!([]), None, "not a default route"),
        (json!([{ "target": "0.0.0.0", "mask": 1, "nexthop": "10.0.0.1" }]), json!([]), None, "half of one"),
        (json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": "10.0.0.1", "type": 7 }]), json!([]), None, "unreachable"),
        (
            json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": "10.0.0.1", "type": 1 }]),
            json!([]),
            via("10.0.0.1"),
            "unicast",
        ),
        (
            json!([{ "target": "0.0.0.0", "mask": 0 }, 7, null, { "target": 0, "mask": "0" }]),
            json!("?"),
            None,
            "malformed",
        ),
    ] {
        let told = json!({ "interface": "wan", "metric": 4, "route": routes, "inactive": { "route": inactive } });
        assert_eq!(one(told).default_route, want, "{why}");
    }
}

#[test]
fn what_is_malformed_is_left_out() {
    let bare = Interface { name: "wan".into(), autostart: true, ..Interface::default() };
    for (dump, want, why) in [
        (json!({}), vec![], "no list"),
        (json!({ "interface": { "wan": {} } }), vec![], "not a list"),
        (json!({ "interface": [7, null, "wan", [], {}, { "interface": 7 }, { "interface": "" }] }), vec![], "no names"),
        (
            json!({ "interface": [7, {
                "interface": "wan", "up": "yes", "pending": 1, "autostart": null, "proto": 3, "l3_device": [], "device": "",
                "ipv4-address": [{ "address": "::1" }, { "address": "1.2.3" }, {}, 4], "route": 5, "dns-server": ["x", 1], "inactive": []
            }] }),
            vec![bare],
            "everything of another type",
        ),
    ] {
        assert_eq!(decoded(dump), want, "{why}");
    }
}

#[test]
fn a_modem_has_what_its_child_has() {
    let modem = Interface { name: "lte".into(), up: true, device: Some("wwan0".into()), ..Interface::default() };
    let child = Interface {
        name: "lte_4".into(),
        addresses: vec![ip("10.64.0.2")],
        default_route: Some(DefaultRoute::Via(ip("10.64.0.1"))),
        dns_servers: vec![ip("10.64.0.53")],
        ..modem.clone()
    };
    let with_child = Interface { name: "lte".into(), ..child.clone() };
    let elsewhere = Interface { device: Some("eth1".into()), ..child.clone() };
    let own = Interface { addresses: vec![ip("10.1.0.2")], ..modem.clone() };
    let down = Interface { device: None, ..modem.clone() };
    let child_down = Interface { device: None, ..child.clone() };
    for (interfaces, want, why) in [
        (vec![modem.clone(), child.clone()], &with_child, "on the same device"),
        (vec![modem.clone(), elsewhere], &modem, "not on another"),
        (vec![own.clone(), child.clone()], &own, "one that has its own address needs none"),
        (vec![down.clone(), child_down], &down, "no device is not the same device"),
    ] {
        assert_eq!(Known { interfaces, told: true }.find("lte").as_ref(), Ok(want), "{why}");
    }
    let known = Known { interfaces: vec![own, modem, child], told: true };
    assert_eq!(known.of(&["lte"]).len(), 3, "the child is remembered too");
    assert_eq!(known.find("wan"), Err(Reason::NoInterface("wan".into())));
    assert_eq!(Known { told: false, ..known }.find("wan"), Err(Reason::NetifdSilent("wan".into())));
}
