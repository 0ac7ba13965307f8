//! What the text says, in tables; what it does, and that nft takes it, is tried in `shell/nft/tests.rs` and by the promises.

use super::*;
use crate::settings::parse;

const TWO: &str = "config provider 'a'\n\toption device 'wan0'\nconfig provider 'b'\n\toption device 'wan1'\n";

fn settings(rules: &str) -> Settings {
    let loaded = parse("failover", format!("{TWO}{rules}").as_bytes());
    loaded.unwrap_or_else(|problems| panic!("{problems:?}")).settings
}

fn whole(settings: &Settings, devices: &[(u8, Option<&str>)], targets: &[Option<u8>]) -> String {
    let devices: Vec<_> = devices.iter().map(|(id, name)| (ProviderId(*id), name.map(str::to_owned))).collect();
    let targets: Vec<_> = targets.iter().map(|it| it.map(ProviderId)).collect();
    let policies = Policy::all(&settings.rules);
    assert_eq!(policies.len(), targets.len());
    Filter { settings, devices: &devices, policies: &policies, targets: &targets }.whole()
}

/// What is in one chain.
fn chain<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("add rule inet failover {name} ");
    text.lines().filter_map(|line| line.strip_prefix(&start)).collect()
}

#[test]
fn the_whole_says_who_marks_and_who_follows() {
    let text = whole(
        &settings("config rule\n\tlist dest '192.0.2.1'\n\tlist use 'b'\n"),
        &[(1, Some("wan0")), (2, Some("wan1"))],
        &[Some(2)],
    );
    let flush = text.find("flush table inet failover\n").unwrap();
    assert!(text[flush..].lines().skip(1).all(|line| line.starts_with("add rule ")), "{text}");
    assert!(text[..flush].lines().all(|line| line.starts_with("add table ") || line.starts_with("add chain ")));
    for (name, want) in [
        (
            "prerouting",
            &[
                "meta nfproto != ipv4 return",
                "ct mark and 0x3f000000 == 0 iifname vmap { \"wan0\" : goto mark_1, \"wan1\" : goto mark_2 }",
                "iifname { \"wan0\", \"wan1\" } return",
                "ct mark and 0x3f000000 vmap { 0x1000000 : goto follow_1, 0x2000000 : goto follow_2 }",
                "ct state new jump choose",
            ][..],
        ),
        (
            "output",
            &[
                "meta nfproto != ipv4 return",
                "ct mark and 0x3f000000 vmap { 0x1000000 : goto follow_1, 0x2000000 : goto follow_2 }",
                "ct state new jump choose_local",
            ],
        ),
        (
            "postrouting",
            &[
                "meta nfproto != ipv4 return",
                "ct mark and 0x3f000000 == 0 oifname vmap { \"wan0\" : goto mark_1, \"wan1\" : goto mark_2 }",
            ],
        ),
        ("mark_1", &["ct mark set ct mark and 0xc0ffffff or 0x1000000"]),
        ("follow_2", &["meta mark set meta mark and 0xc0ffffff or 0x2000000"]),
        ("choose", &["ip daddr 192.0.2.1 goto use_0"]),
        ("choose_local", &[]),
        ("use_0", &["goto follow_2"]),
    ] {
        assert_eq!(chain(&text, name), want, "{name}");
    }
}

#[test]
fn devices_that_cannot_be_named_are_left_out() {
    let odd = ["a\"b", "wan*", "a\\b", "", "sixteencharacter", "ümlaut", "a b"];
    for name in odd {
        let text = whole(&settings(""), &[(1, Some(name)), (2, Some("wan1"))], &[]);
        assert_eq!(chain(&text, "prerouting")[2], "iifname { \"wan1\" } return", "{name}");
        assert!(chain(&text, "prerouting")[3].contains("0x1000000 : goto follow_1"), "its connections keep their way");
    }
    let text = whole(&settings(""), &[(1, None), (2, None)], &[]);
    assert_eq!(chain(&text, "prerouting").len(), 3, "no device is known: {text}");
    let text = whole(&settings(""), &[(1, Some("wan0")), (2, Some("wan0"))], &[]);
    assert_eq!(chain(&text, "postrouting")[1], "ct mark and 0x3f000000 == 0 oifname vmap { \"wan0\" : goto mark_1 }");
    let text = whole(&settings(""), &[], &[]);
    assert_eq!(
        chain(&text, "output"),
        ["meta nfproto != ipv4 return", "ct state new jump choose_local"],
        "no provider"
    );
}

#[test]
fn a_rule_says_what_it_means() {
    let both = "meta l4proto { 6, 17 } ";
    for (options, want, why) in [
        ("", Some(String::new()), "everything"),
        ("list src '192.168.1.0/24'", Some("ip saddr 192.168.1.0-192.168.1.255 ".into()), "a network"),
        ("list dest '192.0.2.1'", Some("ip daddr 192.0.2.1 ".into()), "an address"),
        ("list dest '192.0.2.9'\nlist dest '192.0.2.1'", Some("ip daddr { 192.0.2.1, 192.0.2.9 } ".into()), "several"),
        (
            "list dest '10.1.0.0/16'\nlist dest '10.0.0.0/8'\nlist dest '10.0.0.1'\nlist dest '10.0.0.1'",
            Some("ip daddr 10.0.0.0-10.255.255.255 ".into()),
            "one that holds the others",
        ),
        (
            "list dest '10.0.0.0/8'\nlist dest '!10.0.0.1'\nlist dest '!10.1.0.0/16'",
            Some("ip daddr 10.0.0.0-10.255.255.255 ip daddr != { 10.0.0.1, 10.1.0.0-10.1.255.255 } ".into()),
            "and not",
        ),
        ("list src '!192.168.1.5'", Some("ip saddr != 192.168.1.5 ".into()), "not"),
        ("list dest '0.0.0.0/0'\nlist dest '10.0.0.1'", Some(String::new()), "a network of all addresses"),
        ("list dest '!0.0.0.0/0'", None, "nothing is left"),
        (
            "list dest '0.0.0.0/1'\nlist dest '128.0.0.0/1'",
            Some("ip daddr { 0.0.0.0-127.255.255.255, 128.0.0.0-255.255.255.255 } ".into()),
            "two halves",
        ),
        ("list proto 'icmp'", Some("meta l4proto 1 ".into()), "a protocol"),
        ("list dest_port '443'", Some(format!("{both}th dport 443 ")), "ports are those of TCP and UDP"),
        (
            "list proto 'udp'\nlist dest_port '80-90'\nlist dest_port '85-100'\nlist dest_port '7'\nlist src_port '1-2'",
            Some("meta l4proto 17 th sport 1-2 th dport { 7, 80-100 } ".into()),
            "overlapping ranges",
        ),
        ("list device 'br-lan'\nlist device 'a.10'", Some("iifname { \"a.10\", \"br-lan\" } ".into()), "devices"),
        ("list device 'wan*'", None, "one that nft would take for many"),
        ("list device 'wan*'\nlist device 'eth0'", Some("iifname { \"eth0\" } ".into()), "the other one"),
        ("list dscp 'ef'\nlist dscp '0'", Some("ip dscp { 0, 46 } ".into()), "a mark of its own"),
    ] {
        let rules = format!("config rule\n\tlist use 'a'\n{options}\n");
        assert_eq!(matches(&settings(&rules).rules[0]), want, "{why}");
    }
}

#[test]
fn rules_share_chains_and_keep_their_order() {
    let settings = settings(
        "config rule\n\tlist use 'a'\n\tlist use 'b'\n\toption local '1'\n\tlist dest '192.0.2.1'\n\
         config rule\n\tlist use 'b'\n\toption fallback 'unreachable'\n\tlist dest '192.0.2.2'\n\
         config rule\n\toption enabled '0'\n\tlist use 'b'\n\tlist dest '192.0.2.3'\n\
         config rule\n\tlist use 'a'\n\tlist use 'b'\n\tlist dest '192.0.2.4'\n\
         config rule\n\tlist use 'a'\n\tlist device 'lan'\n\toption local '1'\n",
    );
    let text = whole(&settings, &[(1, Some("wan0")), (2, Some("wan1"))], &[Some(1), None, None]);
    assert_eq!(
        chain(&text, "choose"),
        [
            "ip daddr 192.0.2.1 goto use_0",
            "ip daddr 192.0.2.2 goto use_1",
            "ip daddr 192.0.2.4 goto use_0",
            "iifname { \"lan\" } goto use_2"
        ]
    );
    assert_eq!(chain(&text, "choose_local"), ["ip daddr 192.0.2.1 goto use_0"], "the last one comes in by a device");
    assert_eq!(chain(&text, "use_0"), ["goto follow_1"]);
    assert_eq!(chain(&text, "use_1"), ["goto follow_63"], "unreachable");
    assert_eq!(chain(&text, "use_2"), [""; 0], "as without rules");
    assert_eq!(chain(&text, "follow_63"), ["meta mark set meta mark and 0xc0ffffff or 0x3f000000"]);
}

#[test]
fn a_refill_touches_what_has_changed_alone() {
    let settings = settings(
        "config rule\n\tlist use 'a'\n\
         config rule\n\tlist use 'b'\n\
         config rule\n\tlist use 'b'\n\toption fallback 'unreachable'\n",
    );
    let policies = Policy::all(&settings.rules);
    let (one, two) = (Some(ProviderId(1)), Some(ProviderId(2)));
    for (before, now, want) in [
        ([one, two, two], [one, two, two], vec![]),
        (
            [one, two, two],
            [one, None, None],
            vec![
                "flush chain inet failover use_1",
                "flush chain inet failover use_2",
                "add rule inet failover use_2 goto follow_63",
            ],
        ),
        (
            [None, two, two],
            [one, two, two],
            vec!["flush chain inet failover use_0", "add rule inet failover use_0 goto follow_1"],
        ),
    ] {
        let filter = Filter { settings: &settings, devices: &[], policies: &policies, targets: &now };
        assert_eq!(filter.refill(&before).lines().collect::<Vec<_>>(), want);
    }
}
