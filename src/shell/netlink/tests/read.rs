//! Snapshots against what `ip` has made.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn a_snapshot_says_what_ip_made() {
    with_kernel(|mut kernel| {
        ip("addr add 10.0.0.1 peer 10.0.0.9/32 dev wan1");
        ip("addr add 192.168.1.3/24 dev wan0");
        std::fs::write("/proc/sys/net/ipv4/conf/wan1/rp_filter", "2").unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/wan1/ignore_routes_with_linkdown", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").unwrap();
        ip("route add default via 192.168.1.1 dev wan0 proto static metric 5");
        ip("route append default via 192.168.2.1 dev wan1 proto static metric 5");
        ip("route add unreachable 10.1.0.0/16 metric 9");
        ip("route add blackhole 10.2.0.0/16");
        ip("route add default via 192.168.2.1 dev wan1 proto 102 table 7102");
        ip("route add unreachable default metric 4294967295 proto 102 table 7102");
        ip("route add 10.3.0.0/16 dev wan1 proto static table 7102");
        ip("rule add pref 7000 oif wan0 lookup main suppress_prefixlength 0 protocol 102");
        ip("rule add pref 7001 from 192.168.1.2 lookup 70000 protocol 102");
        ip("rule add pref 7002 oif wan1 lookup 7102 protocol 4");
        let questions = [("wan0", "1.1.1.1"), ("wan0", "10.1.0.1"), ("wan0", "192.168.1.77"), ("wan1", "10.1.0.1")]
            .map(|(device, target)| LookupQuestion { device: index(device), target: target.parse().unwrap() });
        let snapshot = kernel.snapshot(&questions).unwrap();

        let link = |name| snapshot.links.iter().find(|link| link.name == name).unwrap();
        assert_eq!((link("wan0").index, link("wan0").up, link("wan0").carrier), (index("wan0"), true, true));
        assert_eq!((link("wan0").rp_filter, link("wan1").rp_filter, snapshot.all_rp_filter), (0, 2, 1));
        assert_eq!((link("wan0").ignore_linkdown, link("wan1").ignore_linkdown), (0, 1));
        assert!(!link("wan0").point_to_point);

        let of = |device| {
            let found = snapshot.addresses.iter().filter(move |address| address.device == index(device));
            found.map(|found| (found.address.to_string(), found.network().to_string())).collect()
        };
        let wan0: Vec<(String, String)> = of("wan0");
        let (first, second, network) = ("192.168.1.2", "192.168.1.3", "192.168.1.0/24");
        assert_eq!(wan0, [(first.into(), network.into()), (second.into(), network.into())]);
        let wan1: Vec<(String, String)> = of("wan1");
        assert!(wan1.contains(&("10.0.0.1".into(), "10.0.0.9/32".into())), "the peer is what is connected: {wan1:?}");

        let seen: Vec<_> = defaults(&snapshot).iter().map(|route| (route.device, route.metric)).collect();
        assert_eq!(seen, [(Some(index("wan0")), Metric(5)), (Some(index("wan1")), Metric(5))], "in the kernel's order");
        let kind_of = |destination: &str| {
            let found = snapshot.routes.iter().find(|route| route.destination.to_string() == destination).unwrap();
            (found.kind, found.metric, found.table)
        };
        assert_eq!(kind_of("10.1.0.0/16"), (RouteKind::Unreachable, Metric(9), TableId::MAIN));
        assert_eq!(kind_of("10.2.0.0/16"), (RouteKind::Blackhole, Metric(0), TableId::MAIN));
        let connected = snapshot.routes.iter().find(|route| route.destination.to_string() == network).unwrap();
        assert_eq!((connected.scope, connected.source), (SCOPE_LINK, Some(first.parse().unwrap())));
        let table: Vec<_> = snapshot.routes.iter().filter(|route| route.table == TableId(7102)).collect();
        assert_eq!(table.len(), 2, "of other tables only ours: {table:?}");
        assert_eq!((table[1].kind, table[1].metric), (RouteKind::Unreachable, Metric(u32::MAX)));

        let rule = |priority, selector, table, suppress_prefix| Rule {
            priority: RulePriority(priority),
            selector: Some(selector),
            table: TableId(table),
            suppress_prefix,
            raw: Vec::new(),
        };
        let source = Network::new(first.parse().unwrap(), 32);
        assert_eq!(
            snapshot.rules,
            [
                rule(7000, Selector::OutgoingDevice(index("wan0")), 254, Some(0)),
                rule(7001, Selector::Source(source), 70000, None),
            ],
            "only ours"
        );

        let answers: Vec<_> = snapshot.lookups.iter().map(|lookup| lookup.answer.clone().unwrap()).collect();
        assert_eq!(
            (answers[0].device, answers[0].gateway),
            (Some(index("wan0")), Some("192.168.1.1".parse().unwrap()))
        );
        assert_eq!((answers[1].device, answers[1].gateway), (Some(index("wan0")), None), "unreachable is ARPed for");
        assert_eq!(answers[2].gateway, None, "a neighbour");
        assert_eq!(answers[3].gateway, Some("192.168.2.1".parse().unwrap()), "by the table that a rule names");
        assert!(snapshot.lookups.iter().map(|lookup| lookup.question).eq(questions));
    });
}

#[test]
fn a_device_without_neighbours_is_known_for_one() {
    with_kernel(|mut kernel| {
        ip("tuntap add dev ppp9 mode tun");
        let links = kernel.snapshot(&[]).unwrap().links;
        let link = links.iter().find(|link| link.name == "ppp9").unwrap();
        assert_eq!((link.point_to_point, link.up, link.carrier), (true, false, false));
    });
}

#[test]
fn a_lower_device_without_carrier_takes_it_from_the_upper_one() {
    let (here, there) = (Namespace::new(), Namespace::new());
    let path = there.path();
    here.run(move || {
        ip("link add wan index 100 type veth peer name far index 200");
        ip(&format!("link set far netns {path}"));
        ip("link add name upper link wan type macvlan mode bridge");
        ip("link set wan up");
        ip("link set upper up");
    });
    there.run(|| ip("link set far up"));
    let carriers = || {
        here.run(|| {
            let snapshot = Kernel::new().unwrap().snapshot(&[]).unwrap();
            ["wan", "upper"].map(|name| snapshot.links.iter().find(|link| link.name == name).unwrap().carrier)
        })
    };
    // The upper device learns of its carrier with a delay of up to a second, and would of its loss.
    let start = Instant::now();
    while carriers() != [true, true] {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", carriers());
        std::thread::sleep(Duration::from_millis(10));
    }
    there.run(|| ip("link set far down"));
    assert_eq!(carriers(), [false, false], "at once");
}

#[test]
fn a_long_table_is_read_whole_and_in_order() {
    with_kernel(|mut kernel| {
        let batch =
            (0..2000_u32).map(|n| format!("route add 10.{}.{}.0/24 via 192.168.1.1 mtu 1400\n", n / 250, n % 250));
        let directory = crate::shell::testing::Directory::new();
        let file = directory.path().join("batch");
        std::fs::write(&file, batch.collect::<String>()).unwrap();
        ip(&format!("-batch {}", file.display()));
        let start = Instant::now();
        let snapshot = kernel.snapshot(&[]).unwrap();
        println!("snapshot of 2000 routes: {:?}", start.elapsed());
        let shown = ip("-details route show table main");
        let shown: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        let seen: Vec<String> = snapshot.routes.iter().map(|route| route.destination.to_string()).collect();
        assert_eq!(seen, shown);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 2002);
    });
}

/// `ifaddrmsg` and the address, for RTM_NEWADDR and RTM_DELADDR.
fn address_body(device: IfIndex, scope: u8, address: [u8; 4]) -> Vec<u8> {
    let [a, b, c, d] = device.0.to_ne_bytes();
    let mut body = wire::Body::new(&[wire::INET, 32, 0, scope, a, b, c, d]);
    body.put(2, &address);
    body.into_bytes()
}

#[test]
fn a_list_that_changes_while_it_is_read_is_read_again() {
    const NEW_ADDRESS: u16 = 20;
    const DELETE_ADDRESS: u16 = 21;
    // Too many for one datagram of the kernel's.
    const LASTING: usize = 2000;
    two_uplinks().run(|| {
        let mut kernel = Kernel::new().unwrap();
        let device = index("wan0");
        for n in 0..LASTING {
            let address = [10, 1, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap()];
            let body = address_body(device, 0, address);
            kernel.transport.change("add", NEW_ADDRESS, CREATE, body).unwrap();
        }
        // A thread of its own, in the same namespace as it is started from here. What it adds comes first in the list (its scope is
        // the narrowest) and shifts all others.
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let writer = std::thread::spawn(move || {
            let mut kernel = Kernel::new().unwrap();
            while !stop.load(Ordering::Relaxed) {
                for kind in [NEW_ADDRESS, DELETE_ADDRESS] {
                    let body = address_body(device, 254, [10, 9, 9, 9]);
                    kernel.transport.change("toggle", kind, CREATE, body).unwrap();
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
        let (mut whole, mut given_up, mut holes) = (0, 0, 0);
        // On a busy machine many are interrupted.
        let start = Instant::now();
        while whole < 200 && start.elapsed() < Duration::from_secs(60) {
            match kernel.addresses() {
                Ok(addresses) => {
                    whole += 1;
                    let found = addresses.iter().map(|found| found.address.to_string());
                    let lasting: HashSet<String> = found.filter(|found| found.starts_with("10.1.")).collect();
                    holes += usize::from(lasting.len() != LASTING);
                }
                Err(Error::Interrupted { .. }) => given_up += 1,
                Err(other) => panic!("{other}"),
            }
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        println!("{whole} read whole, {given_up} given up, {holes} with a hole");
        assert!(whole > 30, "with pauses between the changes readings succeed: {whole}");
        // The kernel changes the list a moment before it says so; the event that follows brings another snapshot.
        assert!(holes * 20 <= whole, "{holes} of {whole} readings had a hole");
    });
}
