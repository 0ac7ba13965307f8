//! Changes, judged by `ip` and by the bytes of a dump.

use super::*;

#[test]
fn a_route_moved_away_and_back_is_the_same_route() {
    with_kernel(|mut kernel| {
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
        let before = raw_routes(&mut kernel);
        let snapshot = kernel.snapshot(&[]).unwrap();
        let mut originals: Vec<Route> = defaults(&snapshot).into_iter().cloned().collect();
        assert!(originals.len() >= 10, "{}", originals.len());
        // Metric 0 last: as long as others are there, deleting "metric 0" would hit the first of them.
        originals.sort_by_key(|route| std::cmp::Reverse(route.metric));
        for back in [false, true] {
            for original in &originals {
                let away = Route { metric: Metric(1_000_000_000 + original.metric.0), ..original.clone() };
                let (from, to) = if back { (&away, original) } else { (original, &away) };
                assert_eq!(kernel.apply(&RouteChange::Write(to.clone())), Outcome::Done, "{to:?}");
                assert_eq!(kernel.apply(&RouteChange::Delete(from.clone())), Outcome::Done, "{from:?}");
            }
            let moved = kernel.snapshot(&[]).unwrap();
            assert_eq!(defaults(&moved).len(), originals.len());
            assert_eq!(defaults(&moved).iter().all(|route| route.metric >= Metric(1_000_000_000)), !back);
        }
        assert_eq!(raw_routes(&mut kernel), before, "byte for byte");
    });
}

#[test]
fn a_delete_that_hits_another_route_says_which() {
    with_kernel(|mut kernel| {
        ip("route add default via 192.168.1.1 dev wan0 proto static");
        let seen = kernel.snapshot(&[]).unwrap();
        let original = defaults(&seen)[0].clone();
        assert_eq!(original.metric, Metric(0));
        // The copy is in place; in between somebody's REPLACE takes the original's place.
        let copy = Route { metric: Metric(1_001_000_000), ..original.clone() };
        assert_eq!(kernel.apply(&RouteChange::Write(copy.clone())), Outcome::Done);
        ip("route replace default via 192.168.2.1 dev wan1 proto static");
        let outcome = kernel.apply(&RouteChange::Delete(original.clone()));
        assert_eq!(outcome, Outcome::DeletedOther(Box::new(copy.clone())), "metric 0 means any: the copy was hit");
        assert_eq!(kernel.apply(&RouteChange::Write(copy.clone())), Outcome::Done, "and can be put back");
        assert_eq!(kernel.apply(&RouteChange::Delete(copy.clone())), Outcome::Done);
        assert_eq!(kernel.apply(&RouteChange::Delete(copy)), Outcome::Done, "gone already is success");
        assert_eq!(ip("route show default").trim(), "default via 192.168.2.1 dev wan1 proto static");
    });
}

#[test]
fn replace_swaps_and_append_stands_behind() {
    with_kernel(|mut kernel| {
        let (a, b) = (default_route("wan0", "192.168.1.1", 2), default_route("wan1", "192.168.2.1", 2));
        assert_eq!(kernel.apply(&RouteChange::Write(a.clone())), Outcome::Done);
        assert_eq!(kernel.apply(&RouteChange::Write(b.clone())), Outcome::Done);
        assert_eq!(defaults(&kernel.snapshot(&[]).unwrap()), [&b], "one slot, the other next hop");
        assert_eq!(kernel.apply(&RouteChange::Append(a.clone())), Outcome::Done);
        assert_eq!(defaults(&kernel.snapshot(&[]).unwrap()), [&b, &a]);
        let refused = kernel.apply(&RouteChange::Write(a.clone()));
        let Outcome::Refused(words) = refused else { panic!("{refused:?}") };
        assert!(words.starts_with("File exists (17)"), "{words}");
        let nowhere = default_route("wan0", "10.9.9.9", 3);
        let refused = kernel.apply(&RouteChange::Write(nowhere.clone()));
        let words = "Network is unreachable (101): Nexthop has invalid gateway";
        assert_eq!(refused, Outcome::Refused(words.to_owned()), "with the kernel's own explanation");
        let onlink = Route { onlink: true, ..nowhere };
        assert_eq!(kernel.apply(&RouteChange::Write(onlink.clone())), Outcome::Done);
        assert_eq!(*defaults(&kernel.snapshot(&[]).unwrap())[2], onlink);
    });
}

#[test]
fn an_unreachable_route_in_a_table_of_ours() {
    with_kernel(|mut kernel| {
        let last = Route {
            table: TableId(7101),
            kind: RouteKind::Unreachable,
            device: None,
            gateway: None,
            ..default_route("wan0", "192.168.1.1", u32::MAX)
        };
        assert_eq!(kernel.apply(&RouteChange::Write(last.clone())), Outcome::Done);
        let shown = ip("route show table 7101");
        assert!(shown.contains("unreachable default proto 102 metric 4294967295"), "{shown}");
        let snapshot = kernel.snapshot(&[]).unwrap();
        let found = snapshot.routes.iter().find(|route| route.table == last.table).unwrap();
        // The kernel says `dev lo` of its own accord only for IPv6.
        assert_eq!(*found, last);
        assert_eq!(kernel.apply(&RouteChange::Delete(last)), Outcome::Done);
        assert_eq!(ip("route show table 7101"), "");
    });
}

#[test]
fn rules_come_and_go_by_name_even_when_the_device_is_gone() {
    with_kernel(|mut kernel| {
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
                assert_eq!(kernel.apply(&RouteChange::AddRule(rule.clone())), Outcome::Done, "twice is once");
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
        assert_eq!(kernel.snapshot(&[]).unwrap().rules, rules);

        ip("link del wan0");
        let left = kernel.snapshot(&[]).unwrap().rules;
        assert_eq!(left.iter().map(|rule| rule.selector).collect::<Vec<_>>(), [None, None, Some(source)]);
        let refused = kernel.apply(&RouteChange::AddRule(device));
        assert!(matches!(&refused, Outcome::Refused(words) if words.contains("No such device")), "{refused:?}");
        ip("rule add pref 7003 oif wan0 fwmark 0x5 lookup 9 protocol 102");
        for rule in kernel.snapshot(&[]).unwrap().rules {
            for _ in 0..2 {
                assert_eq!(kernel.apply(&RouteChange::DeleteRule(rule.clone())), Outcome::Done, "{rule:?}");
            }
        }
        assert_eq!(ip("rule show"), before);
    });
}

#[test]
fn a_rule_of_somebody_else_that_looks_like_ours_stays() {
    with_kernel(|mut kernel| {
        let ours = Rule {
            priority: RulePriority(7001),
            selector: Some(Selector::OutgoingDevice(index("wan0"))),
            table: TableId(7101),
            suppress_prefix: None,
            raw: Vec::new(),
        };
        ip("rule add pref 7001 oif wan0 lookup 7101 protocol 4");
        let before = ip("rule show");
        assert_eq!(kernel.apply(&RouteChange::DeleteRule(ours)), Outcome::Done);
        assert_eq!(ip("rule show"), before);
    });
}

#[test]
fn sysctls_are_set_to_zero_as_well() {
    with_kernel(|mut kernel| {
        let device = index("wan0");
        for (key, file) in [(Sysctl::RpFilter, "rp_filter"), (Sysctl::IgnoreLinkdown, "ignore_routes_with_linkdown")] {
            for value in [1, 0, 1, 2, 0] {
                let value = if key == Sysctl::IgnoreLinkdown { value.min(1) } else { value };
                assert_eq!(kernel.apply(&RouteChange::SetSysctl { device, key, value }), Outcome::Done);
                let found = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/wan0/{file}")).unwrap();
                assert_eq!(found.trim(), value.to_string(), "{file}");
            }
        }
        let refused = kernel.apply(&RouteChange::SetSysctl { device: IfIndex(999), key: Sysctl::RpFilter, value: 0 });
        assert!(matches!(&refused, Outcome::Refused(words) if words.contains("No such device")), "{refused:?}");
    });
}

#[test]
fn what_the_kernel_refuses_without_privilege() {
    with_kernel(|mut kernel| {
        assert!(kernel.may_change().unwrap());
        let odd =
            Route { other: vec![RawAttribute { kind: 8, value: vec![1] }], ..default_route("wan0", "192.168.1.1", 2) };
        let refused = kernel.apply(&RouteChange::Write(odd));
        assert!(matches!(refused, Outcome::Refused(_)), "nonsense is refused, and told: {refused:?}");
    });
}

#[test]
fn options_come_back_as_they_were_written() {
    with_kernel(|mut kernel| {
        let none = RouteOptions::default();
        let every = RouteOptions {
            mtu: Some(68),
            advmss: Some(40),
            initcwnd: Some(1),
            initrwnd: Some(1000),
            quickack: Some(1),
        };
        let limits = RouteOptions { mtu: Some(65_520), advmss: Some(65_495), initcwnd: Some(1000), ..none };
        let zeros =
            RouteOptions { mtu: Some(0), advmss: Some(0), initcwnd: Some(0), initrwnd: Some(0), quickack: Some(0) };
        for (options, shown, why) in [
            (every, every, "the least, or what is usual"),
            (limits, limits, "the most, whatever the mtu of the device: the kernel does not compare"),
            (RouteOptions { mtu: Some(65_535), ..none }, RouteOptions { mtu: Some(65_520), ..none }, "a limit of IP"),
            (RouteOptions { advmss: Some(65_500), ..none }, RouteOptions { advmss: Some(65_495), ..none }, "of TCP"),
            (zeros, none, "zeros are taken and not shown again"),
            (none, none, "gone again"),
        ] {
            let route = Route { options, ..default_route("wan0", "192.168.1.1", 2) };
            // One REPLACE: only the options differ.
            assert_eq!(kernel.apply(&RouteChange::Write(route.clone())), Outcome::Done, "{why}");
            assert_eq!(defaults(&kernel.snapshot(&[]).unwrap()), [&Route { options: shown, ..route }], "{why}");
        }
        let route = Route { options: every, ..default_route("wan0", "192.168.1.1", 2) };
        assert_eq!(kernel.apply(&RouteChange::Write(route.clone())), Outcome::Done);
        let shown = ip("route show default");
        let words =
            "default via 192.168.1.1 dev wan0 proto 102 metric 2 mtu 68 advmss 40 initcwnd 1 initrwnd 1000 quickack 1";
        assert_eq!(shown.trim(), words, "and `ip` reads them like us");
        assert_eq!(kernel.apply(&RouteChange::Delete(route)), Outcome::Done);
        assert_eq!(ip("route show default"), "");
    });
}

#[test]
fn two_routes_to_one_network_at_one_metric_stand_side_by_side() {
    with_kernel(|mut kernel| {
        ip("route add 203.0.113.0/24 via 192.168.1.1 dev wan0 proto static metric 4294967295");
        let before = ip("route show 203.0.113.0/24");
        let ours = Route {
            destination: Network::new("203.0.113.0".parse().unwrap(), 24),
            ..default_route("wan1", "192.168.2.1", u32::MAX)
        };
        assert_eq!(kernel.apply(&RouteChange::Append(ours.clone())), Outcome::Done);
        assert!(ip("route get 203.0.113.5").contains("dev wan0"), "theirs goes before");
        assert_eq!(kernel.apply(&RouteChange::Delete(ours)), Outcome::Done);
        assert_eq!(ip("route show 203.0.113.0/24"), before);
    });
}
