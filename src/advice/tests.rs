use super::*;
use crate::settings;
use crate::uci;

const NETWORK: &str = "\
config interface lan
 option proto static
 option device br-lan
config interface wan
 option proto pppoe
 option device eth0.7
config interface lte
 option proto qmi
 option device /dev/cdc-wdm0
config interface wlan
 option proto dhcp
config interface cable
 option proto dhcp
 option device eth3
config interface alias
 option proto static
 option device @cable
config interface wwan
 option proto dhcp
";

/// Zone lan, zone wan with `wan` in line 4, and what the row adds.
fn firewall(more: &str) -> String {
    let zones = "config zone\n option name lan\n list network lan\nconfig zone\n option name wan\n";
    format!(
        "{zones} option network 'wan other'\n option masq 1\nconfig forwarding\n option src lan\n option dest wan\n{more}"
    )
}

fn given(own: &str, network: Option<&str>, firewall: Option<&str>) -> Vec<String> {
    let network = network.map(|text| ("network", text.as_bytes()));
    let neighbours = Neighbours::parse(network, None, firewall.map(|text| ("firewall", text.as_bytes())));
    let settings = settings::parse("failover", own.as_bytes()).unwrap().settings;
    let advice = advice("failover", &uci::parse(own.as_bytes()), &settings, &neighbours);
    advice.iter().map(ToString::to_string).collect()
}

fn provider(source: &str) -> String {
    format!("config provider a\n option {source}\n")
}

#[test]
fn a_provider_that_the_lan_cannot_use() {
    let no_zone =
        "failover:1: provider 'a': interface 'cable' is in no zone of firewall: nothing from the LAN gets through it";
    let no_interface = "failover:1: provider 'a': there is no interface 'other' in network";
    let mistyped = "failover:1: provider 'a': there is no interface 'cabel' in network (did you mean 'cable'?)";
    let no_masq = "failover:1: provider 'a': its zone 'x' at firewall:11 does not masquerade (option masq '1'): what the LAN sends \
        through it gets no answer";
    let no_forward = "failover:1: provider 'a': nothing is forwarded from zone 'lan' to its zone 'x' at firewall:11: add a config \
        forwarding with option src 'lan' and option dest 'x'";
    let x = |options: &str| format!("config zone\n option name x\n{options}");
    let forward = "config forwarding\n option src lan\n option dest x\n";
    for (source, more, want, why) in [
        ("interface wan", String::new(), None, "as shipped"),
        ("interface other", String::new(), Some(no_interface), "an interface that the network file does not have"),
        ("interface cabel", String::new(), Some(mistyped), "a slip of the finger, not a matter of zones"),
        (
            "interface lte_4\n option metered 1",
            x(" list network lte\n option masq 1\n") + forward,
            None,
            "a modem's child",
        ),
        ("interface cable", String::new(), Some(no_zone), "in no zone"),
        ("interface cable\n option enabled 0", String::new(), None, "a disabled provider"),
        ("interface cable", x(" list network cable\n") + forward, Some(no_masq), "no masq"),
        ("interface cable", x(" list network cable\n option masq 0\n") + forward, Some(no_masq), "masq 0"),
        ("interface cable", x(" list network cable\n option masq yes\n") + forward, None, "another word for 1"),
        ("interface cable", x(" list network alias\n option masq 1\n") + forward, None, "an alias has the same device"),
        ("interface cable", x(" list device eth3\n option masq 1\n") + forward, None, "named by its device"),
        ("interface wan", x(" list device 'pppoe-+'\n") + forward, None, "in two zones, one masquerades"),
        ("device eth3", x(" list network 'cable'\n option masq 1\n") + forward, None, "the device of a network"),
        ("device eth3", x(" list device 'eth+'\n option masq 1\n") + forward, None, "a pattern"),
        ("device wwan0\n option metered 1", String::new(), None, "may be the device of lte: nobody can tell"),
        (
            "interface cable",
            x(" list network cable\n option masq 1\n option enabled 0\n"),
            Some(no_zone),
            "a zone that is off",
        ),
        (
            "interface cable",
            x(" list network cable\nconfig nat\n option src x\n option target MASQUERADE\n") + forward,
            None,
            "a nat rule does it",
        ),
        (
            "interface cable",
            x(" list network cable\n option masq 1\n option masq_src '192.168.1.0/24'\n") + forward,
            None,
            "for some",
        ),
        ("interface cable", x(" list network cable\n option masq 1\n"), Some(no_forward), "no forwarding"),
        (
            "interface cable",
            x(" list network cable\n option masq 1\n") + forward + " option enabled 0\n",
            Some(no_forward),
            "off",
        ),
        (
            "interface cable",
            x(" list network cable\n option masq 1\n") + forward + " option family ipv6\n",
            Some(no_forward),
            "v6",
        ),
        (
            "interface cable",
            x(" list network cable\n option masq 1\nconfig forwarding\n option src lan\n option dest '*'\n"),
            None,
            "to every zone",
        ),
        (
            "interface cable",
            x(" list network cable\n option masq 1\nconfig forwarding\n option src '*'\n option dest x\n"),
            None,
            "from every zone",
        ),
        (
            "interface cable",
            x(
                " list network cable\n option masq 1\nconfig rule\n option src lan\n option dest x\n option target ACCEPT\n",
            ),
            None,
            "a rule for all",
        ),
        (
            "interface cable",
            x(
                " list network cable\n option masq 1\nconfig rule\n option src lan\n option dest x\n option dest_port 443\n \
               option target ACCEPT\n",
            ),
            Some(no_forward),
            "a rule for some",
        ),
        (
            "interface cable",
            x(" list network cable\n option masq 1\nconfig defaults\n option forward ACCEPT\n"),
            None,
            "everything may pass",
        ),
    ] {
        let found = given(&provider(source), Some(NETWORK), Some(&firewall(&more)));
        assert_eq!(found.first().map(String::as_str), want, "{why}: {found:?}");
    }
}

#[test]
fn what_is_not_known_is_not_judged() {
    for (source, network, firewall, why) in [
        ("interface cable", Some(NETWORK), None, "no firewall"),
        ("interface cable", Some(NETWORK), Some(""), "an empty one"),
        ("interface cable", Some(NETWORK), Some("config zone\n option name 'wan\n"), "one that libuci refuses"),
        ("device eth3", None, Some("config zone\n option name wan\n option masq 1\n"), "a device, and no network file"),
        (
            "interface wan",
            None,
            Some("config zone\n option name wan\n option masq 1\n"),
            "no LAN zone: nobody to forward for",
        ),
        ("interface wan_4", None, None, "no file at all"),
    ] {
        assert_eq!(given(&provider(source), network, firewall), Vec::<String>::new(), "{why}");
    }
}

#[test]
fn a_modem_that_is_not_metered() {
    for (source, want, why) in [
        ("interface lte", "is mobile (qmi at network:7)", "by protocol"),
        ("interface lte_4", "is mobile (qmi at network:7)", "its child interface"),
        ("device wwan0", "device 'wwan0' is a modem", "by its name"),
        ("interface lte\n option metered 1", "", "it is"),
        ("interface lte\n option metered 0", "", "somebody has decided"),
        ("interface lte\n option enabled 0", "", "disabled"),
        ("interface wan", "", "PPPoE"),
        ("interface wwan", "", "an interface's name says nothing"),
        ("device wwan", "", "no number"),
    ] {
        let found = given(&provider(source), Some(NETWORK), None);
        let tail = ", but not metered: set option metered '1', or '0' if its traffic is free";
        let want: Vec<String> = [want]
            .iter()
            .filter(|it| !it.is_empty())
            .map(|it| format!("failover:1: provider 'a': {it}{tail}"))
            .collect();
        assert_eq!(found, want, "{why}");
    }
}

#[test]
fn a_fixed_address_without_a_gateway() {
    let network = |more: &str| {
        format!(
            "config interface fixed\n option proto static\n option device eth3\n option ipaddr 192.0.2.2/24\n{more}\
             config interface dsl\n option proto pppoe\n option device eth4\n\
             config interface cable\n option proto dhcp\n option device eth5\n"
        )
    };
    let route = |more: &str| format!("config route\n option interface fixed\n{more}");
    let via = " option gateway 192.0.2.1\n";
    for (source, more, told, why) in [
        ("interface fixed", String::new(), true, "nobody tells it"),
        ("interface fixed\n option gateway 192.0.2.1", String::new(), false, "the provider has it"),
        ("interface fixed\n option gateway none", String::new(), false, "somebody says that there is none"),
        ("interface fixed\n option enabled 0", String::new(), false, "a disabled provider"),
        ("device eth3", String::new(), false, "a device learns its gateway from whoever has a route there"),
        ("interface fixed", via.to_owned(), false, "the interface has it"),
        ("interface fixed", route(" option target 0.0.0.0/0\n") + via, false, "by a route of its own"),
        (
            "interface fixed",
            route(" option target 0.0.0.0\n option netmask 0.0.0.0\n") + via,
            false,
            "as it was written once",
        ),
        ("interface fixed", route(via), false, "without a target it leads everywhere"),
        ("interface fixed", route(" option target 10.0.0.0/8\n") + via, true, "a route to some addresses"),
        ("interface fixed", route(" option target 0.0.0.0\n") + via, true, "to a single one, which none has"),
        ("interface fixed", route(" option disabled 1\n") + via, true, "switched off"),
        ("interface fixed", route(" option type unreachable\n"), true, "which leads nowhere"),
        ("interface dsl", route(via), false, "PPPoE is told its own"),
        ("interface cable", String::new(), false, "so is DHCP"),
        ("interface fixed_4", String::new(), false, "somebody's child, not that interface"),
    ] {
        let want = "failover:1: provider 'a': interface 'fixed' is static and has no gateway at network:1: nothing gets out through \
                    it; set option gateway there, or for this provider";
        let want: Vec<String> = told.then(|| want.to_owned()).into_iter().collect();
        assert_eq!(given(&provider(source), Some(&network(&more)), None), want, "{why}");
    }
}

#[test]
fn two_providers_on_one_device() {
    let tail = "is used by provider 'a' already (line 1): only the earlier one can work; remove one, or give it a device of its own";
    for (a, b, told, why) in [
        ("interface cable", "device eth3", "'eth3' ", "an interface and its device"),
        ("device eth3", "interface cable", "'eth3' (network:12) ", "the other way round"),
        ("interface cable", "interface alias", "'eth3' (network:15) ", "an alias"),
        (
            "interface alias\n option gateway 192.0.2.1",
            "interface cable",
            "'eth3' (network:12) ",
            "before what it is an alias of",
        ),
        ("interface cable\n option enabled 0", "device eth3", "", "a disabled one may wait there"),
        ("interface cable", "device eth3\n option enabled 0", "", "either of them"),
        ("interface wan", "device eth0.7", "", "PPPoE has a device of its own"),
        ("interface wan", "device pppoe-wan", "'pppoe-wan' ", "this is it"),
        ("interface wan", "interface cable", "", "two lines"),
        ("interface wlan", "interface wwan", "", "no device is known of either"),
        ("interface cable", "interface cable_4", "", "what carries IPv4 over IPv6 is a line of its own"),
    ] {
        let own = format!("config provider a\n option {a}\nconfig provider b\n option {b}\n");
        let line = own.split("config provider b").next().unwrap().lines().count() + 1;
        let found = given(&own, Some(NETWORK), None);
        let found: Vec<&String> = found.iter().filter(|it| it.contains("its device")).collect();
        let want = format!("failover:{line}: provider 'b': its device {told}{tail}");
        assert_eq!(found, Some(&want).filter(|_| !told.is_empty()).into_iter().collect::<Vec<_>>(), "{why}");
    }
    // Two that name the same are refused before that.
    for source in ["interface cable", "device eth3"] {
        let own = format!("config provider a\n option {source}\nconfig provider b\n option {source}\n");
        assert_eq!(settings::parse("failover", own.as_bytes()).map_err(|problems| problems.len()), Err(1), "{source}");
    }
}

#[test]
fn all_targets_of_one_operator() {
    let tail = "a fault there looks like a fault of the line, add others";
    for (targets, want, why) in [
        ("1.1.1.1 1.0.0.1", "all its targets are of one operator (Cloudflare): ", "two addresses, one operator"),
        ("8.8.8.8", "its only target is of one operator (Google): ", "only one"),
        ("192.0.2.1 192.0.2.254", "all its targets are in one network (192.0.2.0/24): ", "one network of somebody's"),
        ("1.1.1.1 8.8.8.8", "", "two operators"),
        ("1.1.1.1 192.0.2.1", "", "one of them is unknown"),
        ("192.0.2.1 198.51.100.1", "", "two unknown"),
    ] {
        let list: String = targets.split(' ').map(|target| format!(" list target {target}\n")).collect();
        let own =
            format!("{}{}config test t\n{list}", provider("device eth0"), "config provider b\n option device eth1\n");
        let want: Vec<String> =
            [want].iter().filter(|it| !it.is_empty()).map(|it| format!("failover:5: test 't': {it}{tail}")).collect();
        assert_eq!(given(&own, None, None), want, "{why}: told once for both providers");
    }
    let own = "config provider a\n option device eth0\nconfig test x\n list target 9.9.9.9\nconfig test y\n list target 149.112.112.9\n";
    let want = format!("failover:3: tests 'x', 'y': all their targets are of one operator (Quad9): {tail}");
    assert_eq!(given(own, None, None), [want]);
    assert_eq!(
        given(&provider("device eth0"), None, None),
        Vec::<String>::new(),
        "the built-in test has four operators"
    );
}
