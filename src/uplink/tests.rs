use std::net::Ipv4Addr;

use super::*;
use crate::kernel::{PROTOCOL, SCOPE_UNIVERSE};
use crate::settings::tests::shipped;

const BASE: TableId = TableId(7100);
const DEVICE: IfIndex = IfIndex(4);

fn ip(text: &str) -> IpAddr {
    IpAddr::V4(text.parse::<Ipv4Addr>().unwrap())
}

fn provider(gateway: GatewaySetting, address: Option<&str>) -> ProviderSettings {
    ProviderSettings {
        name: "a".into(),
        enabled: true,
        description: None,
        source: UplinkSource::Device("wan0".into()),
        gateway,
        address: address.map(ip),
        priority: 1,
        weight: 1,
        balance: true,
        default_route: true,
        drain: None,
        static_routes: vec![],
        sticky: false,
        route_options: RouteOptions::default(),
        metered: false,
        cold_standby: false,
        tests: vec![],
        check: shipped(),
    }
}

/// `wan0` with these addresses (`LOCAL/PREFIX` or `LOCAL peer PEER/PREFIX`).
fn snapshot(addresses: &[&str]) -> Snapshot {
    let link = |index, name: &str| Link {
        index,
        name: name.into(),
        up: true,
        carrier: true,
        point_to_point: false,
        rp_filter: 0,
        ignore_linkdown: 0,
    };
    let address = |text: &&str| {
        let (rest, prefix) = text.split_once('/').unwrap();
        let (local, peer) = rest.split_once(" peer ").unwrap_or((rest, rest));
        Address { device: DEVICE, address: ip(local), peer: ip(peer), prefix: prefix.parse().unwrap(), scope: 0 }
    };
    Snapshot {
        links: vec![link(IfIndex(1), "lo"), link(DEVICE, "wan0")],
        addresses: addresses.iter().map(address).collect(),
        ..Snapshot::default()
    }
}

/// A default route of `wan0` in main, or in the provider's table if it is ours there.
fn default(table: TableId, gateway: Option<&str>, metric: u32, protocol: u8) -> Route {
    Route {
        table,
        destination: Network::ANY_V4,
        metric: Metric(metric),
        tos: 0,
        protocol,
        kind: RouteKind::Unicast,
        scope: SCOPE_UNIVERSE,
        device: Some(DEVICE),
        gateway: gateway.map(ip),
        source: None,
        onlink: false,
        next_hops: NextHops::Single,
        options: RouteOptions::default(),
        other: vec![],
    }
}

fn resolved(provider: &ProviderSettings, snapshot: &Snapshot) -> Result<Uplink, Reason> {
    by_netifd(provider, snapshot, &Known::default())
}

fn by_netifd(provider: &ProviderSettings, snapshot: &Snapshot, netifd: &Known) -> Result<Uplink, Reason> {
    resolve(provider, ProviderId(3), BASE, &source(provider, netifd, snapshot)?, snapshot)
}

/// The same on interface `wan`.
fn interface_provider(gateway: GatewaySetting, address: Option<&str>) -> ProviderSettings {
    ProviderSettings { source: UplinkSource::Interface("wan".into()), ..provider(gateway, address) }
}

/// Interface `wan`, up on `wan0`.
fn wan() -> Interface {
    Interface { name: "wan".into(), up: true, autostart: true, device: Some("wan0".into()), ..Interface::default() }
}

fn known(interface: Interface) -> Known {
    Known { interfaces: vec![interface], told: true }
}

#[test]
fn addresses_and_gateways() {
    let fixed = |gateway: &str| GatewaySetting::Address(ip(gateway));
    for (addresses, gateway, address, want, why) in [
        (&["10.0.0.2/24"][..], fixed("10.0.0.1"), None, Ok(("10.0.0.2", false)), "the ordinary case"),
        (&["10.0.0.2/24", "10.9.0.2/24"], fixed("10.9.0.1"), None, Ok(("10.0.0.2", false)), "the first address"),
        (&["10.0.0.2/24", "10.9.0.2/24"], fixed("10.9.0.1"), Some("10.9.0.2"), Ok(("10.9.0.2", false)), "configured"),
        (
            &["10.0.0.2/24"],
            fixed("10.0.0.1"),
            Some("10.0.0.3"),
            Err(Reason::NoAddress(Some(ip("10.0.0.3")))),
            "missing",
        ),
        (&[], fixed("10.0.0.1"), None, Err(Reason::NoAddress(None)), "no address at all"),
        (&["10.0.0.2/32"], fixed("10.0.0.1"), None, Ok(("10.0.0.2", true)), "a gateway outside every network"),
        (&["10.0.0.2 peer 10.0.0.1/32"], fixed("10.0.0.1"), None, Ok(("10.0.0.2", false)), "the other end itself"),
        (&["10.0.0.2/24"], GatewaySetting::None, None, Ok(("10.0.0.2", false)), "point-to-point"),
        (&["10.0.0.2/24"], GatewaySetting::Learnt, None, Err(Reason::NoGateway), "nobody to learn it from"),
    ] {
        let got = resolved(&provider(gateway, address), &snapshot(addresses));
        assert_eq!(got.map(|it| (it.address, it.onlink)), want.map(|(text, onlink)| (ip(text), onlink)), "{why}");
    }
}

#[test]
fn links() {
    let wanted = provider(GatewaySetting::None, None);
    let mut seen = snapshot(&["10.0.0.2/24"]);
    seen.links[1].carrier = false;
    assert!(!resolved(&wanted, &seen).unwrap().carrier, "without carrier it is known, but unusable");
    seen.links[1].up = false;
    assert_eq!(resolved(&wanted, &seen), Err(Reason::LinkDown("wan0".into())));
    seen.links.pop();
    assert_eq!(resolved(&wanted, &seen), Err(Reason::NoDevice("wan0".into())));
}

#[test]
fn interfaces_and_their_devices() {
    let wan_text = || "wan".to_owned();
    let down = || Interface { up: false, device: None, ..wan() };
    let told = |interface| known(interface);
    for (netifd, want, why) in [
        (told(wan()), Ok("10.0.0.2"), "the ordinary case"),
        (Known::default(), Err(Reason::NetifdSilent(wan_text())), "netifd has not answered"),
        (Known { told: false, ..known(wan()) }, Ok("10.0.0.2"), "but the run before knew"),
        (Known { told: true, ..Known::default() }, Err(Reason::NoInterface(wan_text())), "nobody has heard of it"),
        (told(Interface { pending: true, ..down() }), Err(Reason::InterfacePending(wan_text())), "it dials"),
        (told(down()), Err(Reason::InterfaceDown { name: wan_text(), error: None }), "no device, say"),
        (
            told(Interface { autostart: false, ..down() }),
            Err(Reason::InterfaceTakenDown { name: wan_text(), error: None }),
            "ifdown",
        ),
        (
            told(Interface { error: Some("NO_DEVICE".into()), ..down() }),
            Err(Reason::InterfaceDown { name: wan_text(), error: Some("NO_DEVICE".into()) }),
            "netifd says why",
        ),
        (
            told(Interface { autostart: false, error: Some("PIN_FAILED".into()), ..down() }),
            Err(Reason::InterfaceTakenDown { name: wan_text(), error: Some("PIN_FAILED".into()) }),
            "the protocol handler has given up",
        ),
        (
            told(Interface { autostart: false, pending: true, ..down() }),
            Err(Reason::InterfacePending(wan_text())),
            "ifup of one that does not start by itself",
        ),
        (
            told(Interface { up: false, ..wan() }),
            Err(Reason::InterfaceDown { name: wan_text(), error: None }),
            "a device is not enough",
        ),
        (told(Interface { device: None, ..wan() }), Err(Reason::InterfaceWithoutDevice(wan_text())), "up, on nothing"),
        (
            told(Interface { device: Some("ppp7".into()), ..wan() }),
            Err(Reason::NoDevice("ppp7".into())),
            "the kernel does not have what netifd says",
        ),
    ] {
        let got = by_netifd(&interface_provider(GatewaySetting::None, None), &snapshot(&["10.0.0.2/24"]), &netifd);
        assert_eq!(got.map(|it| it.address), want.map(ip), "{why}");
    }
}

#[test]
fn gateways_of_an_interface() {
    let via = |gateway: &str| Some(DefaultRoute::Via(ip(gateway)));
    let fixed = GatewaySetting::Address(ip("10.0.0.9"));
    let kernel = || vec![default(TableId::MAIN, Some("10.0.0.5"), 0, 4)];
    for (setting, netifd, routes, point_to_point, want, why) in [
        (GatewaySetting::Learnt, via("10.0.0.1"), vec![], false, Ok(Some("10.0.0.1")), "the kernel need not have it"),
        (GatewaySetting::Learnt, via("10.0.0.1"), kernel(), false, Ok(Some("10.0.0.1")), "netifd before the kernel"),
        (GatewaySetting::Learnt, None, kernel(), false, Ok(Some("10.0.0.5")), "else the kernel's"),
        (GatewaySetting::Learnt, Some(DefaultRoute::Direct), kernel(), false, Ok(None), "no next hop"),
        (GatewaySetting::Learnt, None, vec![], true, Ok(None), "point-to-point"),
        (GatewaySetting::Learnt, None, vec![], false, Err(Reason::NoGateway), "nobody knows"),
        (fixed, via("10.0.0.1"), kernel(), false, Ok(Some("10.0.0.9")), "the configured one before all"),
        (GatewaySetting::None, via("10.0.0.1"), kernel(), false, Ok(None), "configured to have none"),
    ] {
        let mut seen = Snapshot { routes, ..snapshot(&["10.0.0.2/24"]) };
        seen.links[1].point_to_point = point_to_point;
        let netifd = known(Interface { default_route: netifd, ..wan() });
        let got = by_netifd(&interface_provider(setting, None), &seen, &netifd);
        assert_eq!(got.map(|it| it.gateway), want.map(|it| it.map(ip)), "{why}");
    }
}

#[test]
fn addresses_of_an_interface() {
    let missing = Err(Reason::NoAddress(Some(ip("10.0.0.7"))));
    for (addresses, told, setting, want, why) in [
        (&["10.0.0.2/24", "10.9.0.2/24"][..], &["10.9.0.2"][..], None, Ok("10.9.0.2"), "netifd's, of several"),
        (&["10.0.0.2/24"], &["10.9.0.2", "10.0.0.2"], None, Ok("10.0.0.2"), "the first that the kernel has"),
        (&["10.0.0.2/24"], &["10.9.0.2"], None, Ok("10.0.0.2"), "netifd is late: the kernel's"),
        (&["10.0.0.2/24"], &[], None, Ok("10.0.0.2"), "netifd has none (a modem): the kernel's"),
        (&["10.0.0.2/24", "10.0.0.3/24"], &["10.0.0.2"], Some("10.0.0.3"), Ok("10.0.0.3"), "configured"),
        (&["10.0.0.2/24"], &["10.0.0.7"], Some("10.0.0.7"), missing, "configured, and not there"),
    ] {
        let netifd = known(Interface { addresses: told.iter().map(|it| ip(it)).collect(), ..wan() });
        let got = by_netifd(&interface_provider(GatewaySetting::None, setting), &snapshot(addresses), &netifd);
        assert_eq!(got.map(|it| it.address), want.map(ip), "{why}");
    }
}

#[test]
fn the_carrier_of_the_device_below_counts_too() {
    for (lower, up, carrier, want, why) in [
        (Some("eth0"), true, true, true, "all is well"),
        (Some("eth0"), true, false, false, "the cable of the port below is pulled"),
        (Some("eth0"), false, true, false, "the port below is down"),
        (Some("/dev/cdc-wdm0"), true, true, true, "no network device: nothing to ask"),
        (Some("wan0"), true, true, true, "the same device"),
        (None, true, true, true, "none told"),
    ] {
        let mut seen = snapshot(&["10.0.0.2/24"]);
        let below = Link { index: IfIndex(2), name: "eth0".into(), up, carrier, ..seen.links[1].clone() };
        seen.links.push(below);
        let netifd = known(Interface { lower_device: lower.map(str::to_owned), ..wan() });
        let got = by_netifd(&interface_provider(GatewaySetting::None, None), &seen, &netifd);
        assert_eq!(got.unwrap().carrier, want, "{why}");
    }
}

#[test]
fn host_scope_addresses_lead_nowhere() {
    let mut seen = snapshot(&["127.0.0.9/8", "10.0.0.2/24"]);
    seen.addresses[0].scope = 254;
    assert_eq!(resolved(&provider(GatewaySetting::None, None), &seen).unwrap().address, ip("10.0.0.2"));
}

#[test]
fn whose_gateway_is_learnt() {
    let main = |gateway: &str, metric, protocol| default(TableId::MAIN, Some(gateway), metric, protocol);
    let ours = default(table_of(BASE, ProviderId(3)), Some("10.0.0.7"), 0, PROTOCOL);
    let moved = takeover::moved_metric(ProviderId(3), Metric(0)).0;
    let elsewhere = Route { device: Some(IfIndex(9)), ..main("10.0.0.9", 0, 16) };
    let multipath = Route { next_hops: NextHops::Multipath, ..main("10.0.0.8", 0, 16) };
    for (routes, want, why) in [
        (vec![main("10.0.0.1", 0, 16)], Some("10.0.0.1"), "another program's default route"),
        (vec![main("10.0.0.1", 5, 16), main("10.0.0.2", 0, 16)], Some("10.0.0.2"), "the best metric"),
        (vec![main("10.0.0.1", moved, 16), main("10.0.0.2", 50, 16)], Some("10.0.0.2"), "before one that was moved"),
        (vec![ours.clone(), main("10.0.0.1", moved, 16)], Some("10.0.0.1"), "a moved one before our own memory"),
        (vec![ours.clone()], Some("10.0.0.7"), "our table remembers"),
        (vec![main("10.0.0.6", 2, PROTOCOL)], Some("10.0.0.6"), "and so does our slot, if the table was emptied"),
        (vec![ours, main("10.0.0.6", 2, PROTOCOL)], Some("10.0.0.7"), "the table first"),
        (vec![elsewhere], None, "not of another device"),
        (vec![multipath], None, "not one of several"),
    ] {
        let seen = Snapshot { routes, ..snapshot(&["10.0.0.2/24"]) };
        let got = resolved(&provider(GatewaySetting::Learnt, None), &seen);
        assert_eq!(got.ok().and_then(|it| it.gateway), want.map(ip), "{why}");
    }
}

#[test]
fn a_point_to_point_device_needs_no_gateway() {
    let mut seen = snapshot(&["10.0.0.2 peer 10.0.0.1/32"]);
    seen.links[1].point_to_point = true;
    let uplink = resolved(&provider(GatewaySetting::Learnt, None), &seen).unwrap();
    assert_eq!(uplink.gateway, None);
    let route = uplink.default_route(TableId::MAIN, Metric(2));
    assert_eq!((route.gateway, route.scope, route.device), (None, crate::kernel::SCOPE_LINK, Some(DEVICE)));
}

#[test]
fn routes_of_an_uplink() {
    for (address, gateway, network, onlink, why) in [
        ("10.0.0.2/24", "10.0.0.1", Some("10.0.0.0/24"), false, "an ordinary network"),
        ("10.0.0.2/32", "10.0.0.1", None, true, "alone in its network: no connected route, and onlink"),
        ("10.0.0.2 peer 10.0.0.1/32", "10.0.0.1", Some("10.0.0.1/32"), false, "the other end is the network"),
    ] {
        let gateway = GatewaySetting::Address(ip(gateway));
        let uplink = resolved(&provider(gateway, None), &snapshot(&[address])).unwrap();
        let connected = uplink.connected_route(BASE).map(|route| route.destination.to_string());
        assert_eq!(connected.as_deref(), network, "{why}");
        let route = uplink.default_route(BASE, Metric(7));
        assert_eq!((route.onlink, route.metric, route.source), (onlink, Metric(7), Some(ip("10.0.0.2"))), "{why}");
    }
}
