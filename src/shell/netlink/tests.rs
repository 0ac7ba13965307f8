//! The netlink layer against the real kernel, in namespaces of its own; `ip` is the second opinion.

#![allow(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use failoverd::kernel::{Metric, Network, NextHops, RawAttribute, RouteKind, SCOPE_LINK, SCOPE_UNIVERSE, Selector};

use super::*;
use crate::shell::testing::{Namespace, in_runtime, index, ip};

/// Two uplinks, each with an address and a gateway that can be named; their other ends lie idle in the same namespace.
fn two_uplinks() -> Namespace {
    let here = Namespace::new();
    here.run(|| {
        ip("link set lo up");
        for (device, network) in [("wan0", "192.168.1"), ("wan1", "192.168.2")] {
            uplink(device, network);
        }
    });
    here
}

fn uplink(device: &str, network: &str) {
    ip(&format!("link add {device} type veth peer name far-{device}"));
    ip(&format!("link set far-{device} up"));
    ip(&format!("addr add {network}.2/24 dev {device}"));
    ip(&format!("link set {device} up"));
}

/// Runs `test` in [`two_uplinks`] with an open connection.
fn with_kernel<F: Future<Output = ()>>(test: impl FnOnce(Kernel) -> F + Send + 'static) {
    two_uplinks().run(move || in_runtime(async move { test(Kernel::new().unwrap()).await }));
}

fn default_route(device: &str, gateway: &str, metric: u32) -> Route {
    Route {
        table: TableId::MAIN,
        destination: Network::ANY_V4,
        metric: Metric(metric),
        tos: 0,
        protocol: PROTOCOL,
        kind: RouteKind::Unicast,
        scope: SCOPE_UNIVERSE,
        device: Some(index(device)),
        gateway: Some(gateway.parse().unwrap()),
        source: None,
        onlink: false,
        next_hops: NextHops::Single,
        other: Vec::new(),
    }
}

fn defaults(snapshot: &Snapshot) -> Vec<&Route> {
    snapshot.routes.iter().filter(|route| route.is_main_default()).collect()
}

/// All routes as the kernel writes them, not as our codec reads them: what must be equal before and after.
async fn raw_routes(kernel: &mut Kernel) -> Vec<Vec<u8>> {
    let messages = kernel.transport.dump("read", route::GET, route::dump_request(MAIN, 0)).await.unwrap();
    messages.into_iter().map(|message| message.body).collect()
}

#[test]
fn a_snapshot_says_what_ip_made() {
    with_kernel(|mut kernel| async move {
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
        let snapshot = kernel.snapshot(&questions).await.unwrap();

        let link = |name| snapshot.links.iter().find(|link| link.name == name).unwrap();
        assert_eq!((link("wan0").index, link("wan0").up, link("wan0").carrier), (index("wan0"), true, true));
        assert_eq!((link("wan0").rp_filter, link("wan1").rp_filter, snapshot.all_rp_filter), (0, 2, 1));
        assert_eq!((link("wan0").ignore_linkdown, link("wan1").ignore_linkdown), (0, 1));
        assert!(!link("wan0").point_to_point);

        let of = |device| {
            let found = snapshot.addresses.iter().filter(move |address| address.device == index(device));
            found.map(|found| (found.address.to_string(), found.network().to_string(), found.secondary)).collect()
        };
        let wan0: Vec<(String, String, bool)> = of("wan0");
        let (first, second, network) = ("192.168.1.2", "192.168.1.3", "192.168.1.0/24");
        assert_eq!(wan0, [(first.into(), network.into(), false), (second.into(), network.into(), true)]);
        let wan1: Vec<(String, String, bool)> = of("wan1");
        assert!(
            wan1.contains(&("10.0.0.1".into(), "10.0.0.9/32".into(), false)),
            "the peer is what is connected: {wan1:?}"
        );

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
    with_kernel(|mut kernel| async move {
        ip("tuntap add dev ppp9 mode tun");
        let links = kernel.snapshot(&[]).await.unwrap().links;
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
            in_runtime(async {
                let snapshot = Kernel::new().unwrap().snapshot(&[]).await.unwrap();
                ["wan", "upper"].map(|name| snapshot.links.iter().find(|link| link.name == name).unwrap().carrier)
            })
        })
    };
    // The upper device learns of its carrier with a delay of up to a second, and would of its loss.
    let start = Instant::now();
    while carriers() != [true, true] {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", carriers());
        std::thread::sleep(Duration::from_millis(10));
    }
    there.run(|| ip("link set far down"));
    assert_eq!(carriers(), [false, false], "at once");
}

#[test]
fn a_route_moved_away_and_back_is_the_same_route() {
    with_kernel(|mut kernel| async move {
        ip("-6 addr add fe80::2/64 dev wan0 nodad");
        let features = [
            "via 192.168.1.1 dev wan0 proto static metric 5 src 192.168.1.2",
            "via 192.168.1.1 dev wan0 proto static metric 6 mtu lock 1400 advmss 1360 window 65000 initcwnd 20 initrwnd 30",
            "via 192.168.1.1 dev wan0 proto static metric 7 rtt 300ms rto_min 40ms hoplimit 40 quickack 1 features ecn",
            "via 192.168.1.1 dev wan0 proto static metric 8 congctl lock cubic",
            "via 192.168.1.1 dev wan0 proto ra metric 9 realms 3/4",
            "via 10.9.9.9 dev wan0 onlink proto 44 metric 10",
            "via inet6 fe80::1 dev wan0 proto dhcp metric 11",
            "dev wan1 scope link proto boot metric 12",
            "via 192.168.2.1 dev wan1 proto static tos 0x10 metric 13",
            "via 192.168.2.1 dev wan1 proto static",
            "proto static metric 14 nexthop via 192.168.1.1 dev wan0 weight 3 nexthop via 192.168.2.1 dev wan1 onlink",
            "via 192.168.2.1 dev wan1 encap ip id 7 dst 10.7.7.7 ttl 9 proto static metric 15",
        ];
        for (number, features) in features.iter().enumerate() {
            // Several next hops, encapsulations and ECN need kernel options that need not be there.
            let added =
                std::process::Command::new("ip").args(["route", "add", "default"]).args(features.split(' ')).output();
            let added = added.unwrap();
            let optional = ["nexthop", "encap", "ecn"].iter().any(|word| features.contains(word));
            assert!(added.status.success() || optional, "{number}: {features}: {added:?}");
        }
        let before = raw_routes(&mut kernel).await;
        let snapshot = kernel.snapshot(&[]).await.unwrap();
        let mut originals: Vec<Route> = defaults(&snapshot).into_iter().cloned().collect();
        assert!(originals.len() >= 10, "{}", originals.len());
        // Metric 0 last: as long as others are there, deleting "metric 0" would hit the first of them.
        originals.sort_by_key(|route| std::cmp::Reverse(route.metric));
        for back in [false, true] {
            for original in &originals {
                let away = Route { metric: Metric(1_000_000_000 + original.metric.0), ..original.clone() };
                let (from, to) = if back { (&away, original) } else { (original, &away) };
                assert_eq!(kernel.apply(&RouteChange::Write(to.clone())).await, Outcome::Done, "{to:?}");
                assert_eq!(kernel.apply(&RouteChange::Delete(from.clone())).await, Outcome::Done, "{from:?}");
            }
            let moved = kernel.snapshot(&[]).await.unwrap();
            assert_eq!(defaults(&moved).len(), originals.len());
            assert_eq!(defaults(&moved).iter().all(|route| route.metric >= Metric(1_000_000_000)), !back);
        }
        assert_eq!(raw_routes(&mut kernel).await, before, "byte for byte");
    });
}

#[test]
fn a_delete_that_hits_another_route_says_which() {
    with_kernel(|mut kernel| async move {
        ip("route add default via 192.168.1.1 dev wan0 proto static");
        let seen = kernel.snapshot(&[]).await.unwrap();
        let original = defaults(&seen)[0].clone();
        assert_eq!(original.metric, Metric(0));
        // The copy is in place; in between somebody's REPLACE takes the original's place.
        let copy = Route { metric: Metric(1_001_000_000), ..original.clone() };
        assert_eq!(kernel.apply(&RouteChange::Write(copy.clone())).await, Outcome::Done);
        ip("route replace default via 192.168.2.1 dev wan1 proto static");
        let outcome = kernel.apply(&RouteChange::Delete(original.clone())).await;
        assert_eq!(outcome, Outcome::DeletedOther(Box::new(copy.clone())), "metric 0 means any: the copy was hit");
        assert_eq!(kernel.apply(&RouteChange::Write(copy.clone())).await, Outcome::Done, "and can be put back");
        assert_eq!(kernel.apply(&RouteChange::Delete(copy.clone())).await, Outcome::Done);
        assert_eq!(kernel.apply(&RouteChange::Delete(copy)).await, Outcome::Done, "gone already is success");
        assert_eq!(ip("route show default").trim(), "default via 192.168.2.1 dev wan1 proto static");
    });
}

#[test]
fn replace_swaps_and_append_stands_behind() {
    with_kernel(|mut kernel| async move {
        let (a, b) = (default_route("wan0", "192.168.1.1", 2), default_route("wan1", "192.168.2.1", 2));
        assert_eq!(kernel.apply(&RouteChange::Write(a.clone())).await, Outcome::Done);
        assert_eq!(kernel.apply(&RouteChange::Write(b.clone())).await, Outcome::Done);
        assert_eq!(defaults(&kernel.snapshot(&[]).await.unwrap()), [&b], "one slot, the other next hop");
        assert_eq!(kernel.apply(&RouteChange::Append(a.clone())).await, Outcome::Done);
        assert_eq!(defaults(&kernel.snapshot(&[]).await.unwrap()), [&b, &a]);
        let refused = kernel.apply(&RouteChange::Write(a.clone())).await;
        let Outcome::Refused(words) = refused else { panic!("{refused:?}") };
        assert!(words.starts_with("File exists (17)"), "{words}");
        let nowhere = default_route("wan0", "10.9.9.9", 3);
        let refused = kernel.apply(&RouteChange::Write(nowhere.clone())).await;
        let words = "Network is unreachable (101): Nexthop has invalid gateway";
        assert_eq!(refused, Outcome::Refused(words.to_owned()), "with the kernel's own explanation");
        let onlink = Route { onlink: true, ..nowhere };
        assert_eq!(kernel.apply(&RouteChange::Write(onlink.clone())).await, Outcome::Done);
        assert_eq!(*defaults(&kernel.snapshot(&[]).await.unwrap())[2], onlink);
    });
}

#[test]
fn an_unreachable_route_in_a_table_of_ours() {
    with_kernel(|mut kernel| async move {
        let last = Route {
            table: TableId(7101),
            kind: RouteKind::Unreachable,
            device: None,
            gateway: None,
            ..default_route("wan0", "192.168.1.1", u32::MAX)
        };
        assert_eq!(kernel.apply(&RouteChange::Write(last.clone())).await, Outcome::Done);
        let shown = ip("route show table 7101");
        assert!(shown.contains("unreachable default proto 102 metric 4294967295"), "{shown}");
        let snapshot = kernel.snapshot(&[]).await.unwrap();
        let found = snapshot.routes.iter().find(|route| route.table == last.table).unwrap();
        // The kernel says `dev lo` of its own accord only for IPv6.
        assert_eq!(*found, last);
        assert_eq!(kernel.apply(&RouteChange::Delete(last)).await, Outcome::Done);
        assert_eq!(ip("route show table 7101"), "");
    });
}

#[test]
fn rules_come_and_go_by_name_even_when_the_device_is_gone() {
    with_kernel(|mut kernel| async move {
        let before = ip("rule show");
        let device = Rule {
            priority: RulePriority(7000),
            selector: Some(Selector::OutgoingDevice(index("wan0"))),
            table: TableId::MAIN,
            suppress_prefix: Some(0),
            raw: Vec::new(),
        };
        let pair =
            Rule { priority: RulePriority(7001), table: TableId(70_001), suppress_prefix: None, ..device.clone() };
        let source = Selector::Source(Network::new("192.168.2.2".parse().unwrap(), 32));
        let by_source = Rule { priority: RulePriority(7002), selector: Some(source), ..pair.clone() };
        let rules = [device.clone(), pair.clone(), by_source.clone()];
        for rule in &rules {
            for _ in 0..2 {
                assert_eq!(kernel.apply(&RouteChange::AddRule(rule.clone())).await, Outcome::Done, "twice is once");
            }
        }
        let shown = ip("rule show");
        for line in [
            "7000:\tfrom all oif wan0 lookup main suppress_prefixlength 0 proto 102",
            "7001:\tfrom all oif wan0 lookup 70001 proto 102",
            "7002:\tfrom 192.168.2.2 lookup 70001 proto 102",
        ] {
            assert_eq!(shown.lines().filter(|shown| shown.trim() == line).count(), 1, "{line} in\n{shown}");
        }
        assert_eq!(kernel.snapshot(&[]).await.unwrap().rules, rules);

        ip("link del wan0");
        let left = kernel.snapshot(&[]).await.unwrap().rules;
        assert_eq!(left.iter().map(|rule| rule.selector).collect::<Vec<_>>(), [None, None, Some(source)]);
        let refused = kernel.apply(&RouteChange::AddRule(device)).await;
        assert!(matches!(&refused, Outcome::Refused(words) if words.contains("No such device")), "{refused:?}");
        ip("rule add pref 7003 oif wan0 fwmark 0x5 lookup 9 protocol 102");
        for rule in kernel.snapshot(&[]).await.unwrap().rules {
            for _ in 0..2 {
                assert_eq!(kernel.apply(&RouteChange::DeleteRule(rule.clone())).await, Outcome::Done, "{rule:?}");
            }
        }
        assert_eq!(ip("rule show"), before);
    });
}

#[test]
fn a_rule_of_somebody_else_that_looks_like_ours_stays() {
    with_kernel(|mut kernel| async move {
        let ours = Rule {
            priority: RulePriority(7001),
            selector: Some(Selector::OutgoingDevice(index("wan0"))),
            table: TableId(7101),
            suppress_prefix: None,
            raw: Vec::new(),
        };
        ip("rule add pref 7001 oif wan0 lookup 7101 protocol 4");
        let before = ip("rule show");
        assert_eq!(kernel.apply(&RouteChange::DeleteRule(ours)).await, Outcome::Done);
        assert_eq!(ip("rule show"), before);
    });
}

#[test]
fn sysctls_are_set_to_zero_as_well() {
    with_kernel(|mut kernel| async move {
        let device = index("wan0");
        for (key, file) in [(Sysctl::RpFilter, "rp_filter"), (Sysctl::IgnoreLinkdown, "ignore_routes_with_linkdown")] {
            for value in [1, 0, 1, 2, 0] {
                let value = if key == Sysctl::IgnoreLinkdown { value.min(1) } else { value };
                assert_eq!(kernel.apply(&RouteChange::SetSysctl { device, key, value }).await, Outcome::Done);
                let found = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/wan0/{file}")).unwrap();
                assert_eq!(found.trim(), value.to_string(), "{file}");
            }
        }
        let refused =
            kernel.apply(&RouteChange::SetSysctl { device: IfIndex(999), key: Sysctl::RpFilter, value: 0 }).await;
        assert!(matches!(&refused, Outcome::Refused(words) if words.contains("No such device")), "{refused:?}");
    });
}

#[test]
fn a_long_table_is_read_whole_and_in_order() {
    with_kernel(|mut kernel| async move {
        let batch =
            (0..2000_u32).map(|n| format!("route add 10.{}.{}.0/24 via 192.168.1.1 mtu 1400\n", n / 250, n % 250));
        let directory = crate::shell::testing::Directory::new();
        let file = directory.path().join("batch");
        std::fs::write(&file, batch.collect::<String>()).unwrap();
        ip(&format!("-batch {}", file.display()));
        let start = Instant::now();
        let snapshot = kernel.snapshot(&[]).await.unwrap();
        println!("snapshot of 2000 routes: {:?}", start.elapsed());
        let shown = ip("-details route show table main");
        let shown: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        let seen: Vec<String> = snapshot.routes.iter().map(|route| route.destination.to_string()).collect();
        assert_eq!(seen, shown);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 2002);
    });
}

#[test]
fn reading_goes_on_while_others_write() {
    let here = two_uplinks();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let halt = std::sync::Arc::clone(&stop);
    let path = here.path();
    let noise = std::thread::spawn(move || {
        while !halt.load(std::sync::atomic::Ordering::Relaxed) {
            for verb in ["add", "del"] {
                let rule = format!("--net={path} ip rule {verb} pref 9000 from 10.0.0.1 lookup 9");
                std::process::Command::new("nsenter").args(rule.split(' ')).output().unwrap();
            }
        }
    });
    here.run(|| {
        in_runtime(async {
            let mut kernel = Kernel::new().unwrap();
            for _ in 0..300 {
                kernel.snapshot(&[]).await.unwrap();
            }
        });
    });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    noise.join().unwrap();
}

/// Whether the watcher reports something within a time in which the kernel always has.
async fn notices(watcher: &mut Watcher) -> bool {
    tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await.is_ok()
}

/// A watcher after the devices have come up: the kernel tells of a second carrier change within a second only after it.
async fn calm_watcher(kernel: &Kernel) -> Watcher {
    let mut watcher = kernel.watch().unwrap();
    while tokio::time::timeout(Duration::from_millis(1100), watcher.changed()).await.is_ok() {}
    watcher
}

#[test]
fn what_matters_is_noticed_and_our_own_is_not() {
    with_kernel(|mut kernel| async move {
        let mut watcher = calm_watcher(&kernel).await;
        let own = default_route("wan0", "192.168.1.1", 2);
        for (command, want, why) in [
            ("route add default via 192.168.1.1 metric 7", true, "a default route"),
            ("route add 10.0.0.0/8 via 192.168.1.1 table 99", false, "a table of others"),
            ("route add default via 192.168.1.1 table 7101 proto 102", true, "a table of ours"),
            ("addr add 10.0.0.1/8 dev wan1", true, "an address"),
            ("rule add pref 9 lookup 9", true, "a rule"),
            ("neigh add 192.168.1.1 lladdr 02:00:00:00:00:01 dev wan0", false, "a neighbour"),
        ] {
            ip(command);
            assert_eq!(notices(&mut watcher).await, want, "{why}");
            assert!(!notices(&mut watcher).await, "{why}: one change is told once");
        }
        std::fs::write("/proc/sys/net/ipv4/conf/wan0/rp_filter", "1").unwrap();
        assert!(notices(&mut watcher).await, "a sysctl");
        assert_eq!(kernel.apply(&RouteChange::Write(own.clone())).await, Outcome::Done);
        assert_eq!(kernel.apply(&RouteChange::Delete(own)).await, Outcome::Done);
        assert!(!notices(&mut watcher).await, "what we did ourselves");
        ip("link set wan1 down");
        assert!(notices(&mut watcher).await, "a device");
    });
}

#[test]
fn lost_events_are_noticed() {
    with_kernel(|kernel| async move {
        let mut watcher = calm_watcher(&kernel).await;
        let noise = |from: u32| {
            let directory = crate::shell::testing::Directory::new();
            let file = directory.path().join("batch");
            let line = |n: u32| format!("route add 10.{}.{}.0/24 via 192.168.1.1 table 99\n", n / 250, n % 250);
            std::fs::write(&file, (from..from + 3000).map(line).collect::<String>()).unwrap();
            ip(&format!("-batch {}", file.display()));
        };
        // None of these matters, but among those that do not fit one that does may have been.
        noise(0);
        assert!(notices(&mut watcher).await, "an overrun");
        assert!(!notices(&mut watcher).await, "and then quiet");
        ip("route add default via 192.168.1.1 metric 7");
        assert!(notices(&mut watcher).await, "and on");
    });
}

#[test]
fn a_broken_connection_is_opened_again() {
    with_kernel(|mut kernel| async move {
        let mut watcher = calm_watcher(&kernel).await;
        kernel.transport.break_it();
        let error = kernel.snapshot(&[]).await.unwrap_err().to_string();
        assert!(error.contains("read the devices: the netlink connection broke"), "{error}");
        assert!(kernel.snapshot(&[]).await.is_ok(), "the next request has a new one");
        let own = default_route("wan0", "192.168.1.1", 2);
        assert_eq!(kernel.apply(&RouteChange::Write(own)).await, Outcome::Done);
        assert!(!notices(&mut watcher).await, "and the watcher knows its number");
    });
}

#[test]
fn what_the_kernel_refuses_without_privilege() {
    with_kernel(|mut kernel| async move {
        assert!(kernel.may_change().await.unwrap());
        let odd =
            Route { other: vec![RawAttribute { kind: 8, value: vec![1] }], ..default_route("wan0", "192.168.1.1", 2) };
        let refused = kernel.apply(&RouteChange::Write(odd)).await;
        assert!(matches!(refused, Outcome::Refused(_)), "nonsense is refused, and told: {refused:?}");
    });
}

/// Not a test of right and wrong: prints what a snapshot costs. `cargo test --release -- --ignored --nocapture snapshot_cost`.
#[test]
#[ignore = "a measurement"]
fn snapshot_cost() {
    for providers in [2_u32, 16] {
        Namespace::new().run(move || {
            in_runtime(async move {
                ip("link set lo up");
                let mut lookups = Vec::new();
                for n in 0..providers {
                    uplink(&format!("wan{n}"), &format!("192.168.{n}"));
                    ip(&format!("route add default via 192.168.{n}.1 dev wan{n} metric {} proto 102", n + 2));
                    ip(&format!("route add default via 192.168.{n}.1 dev wan{n} proto 102 table {}", 7101 + n));
                    ip(&format!("rule add pref {} oif wan{n} lookup {} protocol 102", 7000 + n, 7101 + n));
                    for target in ["1.1.1.1", "8.8.8.8", "9.9.9.9", "4.4.4.4"] {
                        let device = index(&format!("wan{n}"));
                        lookups.push(LookupQuestion { device, target: target.parse().unwrap() });
                    }
                }
                let mut kernel = Kernel::new().unwrap();
                for questions in [&lookups[..0], &lookups[..]] {
                    let start = Instant::now();
                    for _ in 0..1000 {
                        kernel.snapshot(questions).await.unwrap();
                    }
                    println!("{providers} providers, {} look-ups: {:?}", questions.len(), start.elapsed() / 1000);
                }
                let route = default_route("wan0", "192.168.0.1", 9);
                let start = Instant::now();
                for _ in 0..500 {
                    assert_eq!(kernel.apply(&RouteChange::Write(route.clone())).await, Outcome::Done);
                    assert_eq!(kernel.apply(&RouteChange::Delete(route.clone())).await, Outcome::Done);
                }
                println!("one change: {:?}", start.elapsed() / 1000);
            });
        });
    }
}
