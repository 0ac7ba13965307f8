//! Where the kernel sends a packet: the LAN's and the router's own, marked and not, and why it refuses one.

use std::net::IpAddr;

use failoverd::kernel::{NoRouteCause, PacketQuestion};

use super::*;

fn question(destination: &str, source: Option<&str>, incoming: Option<&str>, mark: u32) -> PacketQuestion {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    PacketQuestion {
        destination: address(destination),
        source: source.map(address),
        incoming: incoming.map(index),
        mark,
        protocol: Some(6),
        port: Some(443),
    }
}

#[test]
fn the_kernel_says_where_a_packet_goes() {
    with_kernel(|mut kernel| {
        uplink("lan0", "192.168.9");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        ip("route add default via 192.168.1.1 dev wan0 metric 2");
        ip("route add default via 192.168.2.1 dev wan1 table 7102");
        ip("route add unreachable default table 7103");
        ip("rule add pref 7204 fwmark 0x2000000/0x3f000000 lookup main suppress_prefixlength 0");
        ip("rule add pref 7205 fwmark 0x2000000/0x3f000000 lookup 7102");
        ip("rule add pref 7206 fwmark 0x3f000000/0x3f000000 lookup 7103");
        ip("rule add pref 7300 from 192.168.9.8 ipproto tcp dport 443 lookup 7102");
        let (near, lan) = (Some("192.168.1.2"), Some("192.168.9.7"));
        let (first, second) = (("wan0", Some("192.168.1.1")), ("wan1", Some("192.168.2.1")));
        for (destination, source, incoming, mark, want, why) in [
            ("1.1.1.1", None, None, 0, first, "nothing is said"),
            ("1.1.1.1", near, None, 0, first, "the router's own"),
            ("1.1.1.1", near, None, 0x0200_0000, second, "the router's own, marked"),
            ("1.1.1.1", lan, Some("lan0"), 0, first, "the LAN's"),
            ("1.1.1.1", lan, Some("lan0"), 0x0200_0000, second, "the LAN's, marked"),
            ("1.1.1.1", lan, Some("lan0"), 0x0200_0001, second, "with bits of others"),
            ("1.1.1.1", Some("192.168.9.8"), Some("lan0"), 0, second, "by protocol and port"),
            ("192.168.1.77", lan, Some("lan0"), 0x0200_0000, ("wan0", None), "a neighbour, whatever the mark"),
        ] {
            let answer = kernel.ask(&question(destination, source, incoming, mark)).unwrap().unwrap();
            let (device, gateway) = want;
            let want = (Some(index(device)), gateway.map(|it| it.parse().unwrap()));
            assert_eq!((answer.device, answer.gateway), want, "{why}");
        }
        std::fs::write("/proc/sys/net/ipv4/conf/wan1/rp_filter", "1").unwrap();
        let mut refused = |question: PacketQuestion| kernel.ask(&question).unwrap().unwrap_err();
        let nowhere = refused(question("1.1.1.1", lan, Some("lan0"), 0x3f00_0000));
        assert_eq!(nowhere.cause, NoRouteCause::Unreachable, "{nowhere:?}");
        assert!(nowhere.text.starts_with("No route to host"), "{nowhere:?}");
        let own = refused(question("1.1.1.1", near, None, 0x3f00_0000));
        assert_eq!(own.cause, NoRouteCause::Unreachable, "{own:?}");
        let filtered = refused(question("1.1.1.1", lan, Some("wan1"), 0));
        assert_eq!(filtered.cause, NoRouteCause::Source, "{filtered:?}");
        std::fs::write("/proc/sys/net/ipv4/conf/lan0/forwarding", "0").unwrap();
        let kept = refused(question("1.1.1.1", lan, Some("lan0"), 0));
        assert_eq!(kept.cause, NoRouteCause::Unreachable, "{kept:?}");
    });
}
