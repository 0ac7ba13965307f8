//! Host routes to DNS servers in the real kernel: what they change for a packet, and what they leave alone.

use std::net::IpAddr;

use failoverd::event::{ProviderId, State};
use failoverd::route_plan::{Member, Plan, Wanted, plan, restore};
use failoverd::uplink::Uplink;

use super::*;

const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 53));

fn uplink_of(device: &str, network: &str) -> Uplink {
    let address: IpAddr = format!("{network}.2").parse().unwrap();
    Uplink {
        device: index(device),
        name: device.to_owned(),
        gateway: Some(format!("{network}.1").parse().unwrap()),
        onlink: false,
        address,
        network: Network::new(address, 24),
        carrier: true,
        options: RouteOptions::default(),
    }
}

/// Two providers in the order of the slots, both reliable.
fn wanted<'a>(uplinks: &'a [Uplink; 2], dns: [&'a [IpAddr]; 2], slots: [usize; 2]) -> Wanted<'a> {
    let member = |(id, (uplink, dns)): (u8, (&'a Uplink, &'a [IpAddr]))| Member {
        id: ProviderId(id),
        device: Some(uplink.device),
        uplink: Some(uplink),
        default: true,
        weight: 1,
        carries: true,
        source_rule: false,
        interface: false,
        reliable: true,
        dns,
        networks: &[],
    };
    Wanted {
        members: (1..).zip(uplinks.iter().zip(dns)).map(member).collect(),
        slots: slots.to_vec(),
        shared: 0,
        start_metric: Metric(2),
        base_table: TableId(7100),
        base_priority: RulePriority(7000),
        marks: None,
        nowhere: vec![],
        takeover: true,
        put_back: &[],
    }
}

/// Carries out what is planned until nothing is left to do.
fn settle(kernel: &mut Kernel, state: &mut State, next: impl Fn(&Snapshot, &State) -> Plan) {
    for _ in 0..10 {
        let Plan { changes, moved, sysctls, .. } = next(&kernel.snapshot(&[]).unwrap(), state);
        (state.moved, state.sysctls) = (moved, sysctls);
        if changes.is_empty() {
            return;
        }
        for change in changes {
            assert_eq!(kernel.apply(&change), Outcome::Done, "{change:?}");
        }
    }
    panic!("it does not settle");
}

/// Where the kernel sends a packet for `target`, by its own tool: `dev wan0`.
fn way(target: IpAddr) -> String {
    let answer = ip(&format!("route get {target}"));
    let device = answer.split_whitespace().skip_while(|word| *word != "dev").nth(1).unwrap_or("nowhere");
    let via = if answer.contains(" via ") { "via its gateway" } else { "directly" };
    format!("{device} {via}")
}

fn bound(kernel: &mut Kernel, device: &str, target: IpAddr) -> (Option<IfIndex>, Option<IpAddr>) {
    let question = LookupQuestion { device: index(device), target };
    let answer = kernel.lookup(&question).unwrap().answer.unwrap();
    (answer.device, answer.gateway)
}

#[test]
fn a_bound_probe_passes_another_providers_host_route() {
    with_kernel(|mut kernel| {
        let uplinks = [uplink_of("wan0", "192.168.1"), uplink_of("wan1", "192.168.2")];
        let (modem, servers) = ("192.168.1.1".parse().unwrap(), [FAR, "192.168.1.1".parse().unwrap()]);
        let (before, mut state) = (raw_routes(&mut kernel), State::default());
        let want = wanted(&uplinks, [&servers, &[FAR]], [1, 0]);
        settle(&mut kernel, &mut state, |snapshot, state| plan(&want, snapshot, state));
        assert_eq!((way(FAR).as_str(), way(modem).as_str()), ("wan1 via its gateway", "wan0 directly"));
        for (device, target, gateway, why) in [
            ("wan1", FAR, Some("192.168.2.1"), "its own server"),
            ("wan0", FAR, Some("192.168.1.1"), "a target that is the other one's server"),
            ("wan0", modem, None, "the modem is a neighbour"),
            ("wan1", modem, Some("192.168.2.1"), "and none of the other provider"),
        ] {
            let found = bound(&mut kernel, device, target);
            assert_eq!(found, (Some(index(device)), gateway.map(|it| it.parse().unwrap())), "{device}: {why}");
        }
        // By hand, without a metric: neither refused nor taken for ours.
        ip(&format!("route add {FAR} via 192.168.1.1 dev wan0"));
        assert_eq!(way(FAR), "wan0 via its gateway", "at once, before we know");
        settle(&mut kernel, &mut state, |snapshot, state| plan(&want, snapshot, state));
        assert!(!ip(&format!("route show {FAR}")).contains("proto 102"), "ours gave way");
        ip(&format!("route del {FAR} via 192.168.1.1 dev wan0"));
        settle(&mut kernel, &mut state, |snapshot, state| plan(&want, snapshot, state));
        assert_eq!(way(FAR), "wan1 via its gateway");
        settle(&mut kernel, &mut state, restore);
        assert_eq!(raw_routes(&mut kernel), before);
    });
}

#[test]
fn two_modems_of_one_make_with_their_own_resolver() {
    Namespace::new().run(|| {
        ip("link set lo up");
        uplink("wan0", "192.168.1");
        uplink("wan1", "192.168.1");
        let mut kernel = Kernel::new().unwrap();
        let uplinks = [uplink_of("wan0", "192.168.1"), uplink_of("wan1", "192.168.1")];
        let modem = [IpAddr::from([192, 168, 1, 1])];
        let (before, mut state) = (raw_routes(&mut kernel), State::default());
        assert_eq!(way(modem[0]), "wan0 directly", "main's connected routes lead to the first");
        for (slots, device) in [([0, 1], "wan0"), ([1, 0], "wan1"), ([0, 1], "wan0")] {
            let want = wanted(&uplinks, [&modem, &modem], slots);
            settle(&mut kernel, &mut state, |snapshot, state| plan(&want, snapshot, state));
            assert_eq!(way(modem[0]), format!("{device} directly"));
            assert_eq!(way(FAR), format!("{device} via its gateway"));
            for device in ["wan0", "wan1"] {
                assert_eq!(bound(&mut kernel, device, FAR), (Some(index(device)), Some(modem[0])));
                assert_eq!(bound(&mut kernel, device, modem[0]), (Some(index(device)), None));
            }
        }
        settle(&mut kernel, &mut state, restore);
        assert_eq!(raw_routes(&mut kernel), before);
    });
}
