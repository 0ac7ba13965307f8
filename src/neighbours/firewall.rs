//! `/etc/config/firewall`, as fw4 and fw3 read it: which interfaces a zone has, whether it masquerades, what is forwarded between
//! zones.

use crate::uci::{File, Section};

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// Its path, for messages.
    pub path: String,
    /// Enabled zones in file order.
    pub zones: Vec<Zone>,
    /// From which zone to which everything is let through; `*` is every zone.
    pub forwards: Vec<(String, String)>,
    /// What no zone decides is let through: `option forward 'ACCEPT'` of the defaults.
    pub open: bool,
}

/// One `config zone`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Its line.
    pub line: u32,
    /// `option name`.
    pub name: String,
    /// `network`: netifd interfaces.
    pub networks: Vec<String>,
    /// `device`: devices, with `+` or `*` at the end for any ending.
    pub devices: Vec<String>,
    /// IPv4 that leaves through it gets its address: `option masq`, or a `config nat` for it.
    pub masquerades: bool,
}

impl Firewall {
    pub(super) fn read(path: &str, file: &File) -> Self {
        let enabled = |section: &&Section| section.flag("enabled").unwrap_or(true);
        let of_kind = |kind: &'static str| file.sections.iter().filter(move |it| it.kind == kind).filter(enabled);
        let is = |section: &Section, option: &str, value: &str| {
            section.text(option).is_some_and(|text| text.eq_ignore_ascii_case(value))
        };
        let for_ipv4 = |section: &&Section| !is(section, "family", "ipv6");
        let has_nat = |zone: &str| {
            of_kind("nat").filter(for_ipv4).any(|nat| {
                let source = nat.text("src").unwrap_or("*");
                (source == zone || source == "*") && (is(nat, "target", "masquerade") || is(nat, "target", "snat"))
            })
        };
        let zone = |section: &Section| {
            let name = section.text("name")?.to_owned();
            let masq = section.flag("masq").unwrap_or(false);
            let words = |option: &str| section.words(option).map(str::to_owned).collect::<Vec<_>>();
            let mut networks = words("network");
            // fw3: a zone without networks has the one of its own name.
            if section.option("network").is_none() && section.option("device").is_none() {
                networks.push(name.clone());
            }
            Some(Zone {
                line: section.line,
                networks,
                devices: words("device"),
                masquerades: masq || has_nat(&name),
                name,
            })
        };
        let pair = |section: &Section| Some((section.text("src")?.to_owned(), section.text("dest")?.to_owned()));
        // A rule that names ports or hosts lets only those through.
        let everything = |rule: &&Section| {
            let narrow = ["dest_port", "src_port", "dest_ip", "src_ip", "src_mac", "ipset", "mark", "icmp_type"];
            is(rule, "target", "accept") && narrow.iter().all(|option| rule.option(option).is_none())
        };
        let rules = of_kind("rule").filter(for_ipv4).filter(everything);
        Self {
            path: path.to_owned(),
            zones: of_kind("zone").filter(for_ipv4).filter_map(zone).collect(),
            forwards: of_kind("forwarding").filter(for_ipv4).chain(rules).filter_map(pair).collect(),
            open: file.sections.iter().filter(|it| it.kind == "defaults").any(|it| is(it, "forward", "accept")),
        }
    }

    /// The zones of a line: those that name one of its interfaces, or its device.
    pub fn zones_of(&self, interfaces: &[&str], device: Option<&str>) -> Vec<&Zone> {
        let has = |zone: &&Zone| {
            zone.networks.iter().any(|network| network == "*" || interfaces.contains(&network.as_str()))
                || device.is_some_and(|device| zone.devices.iter().any(|pattern| matches(pattern, device)))
        };
        self.zones.iter().filter(has).collect()
    }

    /// Whether everything is let through from one zone to another.
    pub fn forwards(&self, from: &str, to: &str) -> bool {
        let any = |pattern: &str, zone: &str| pattern == zone || pattern == "*";
        self.open || self.forwards.iter().any(|(source, destination)| any(source, from) && any(destination, to))
    }

    /// The zones whose clients are to reach the internet: `lan`, or where there is none of that name every zone that does not
    /// masquerade.
    pub fn inner_zones(&self) -> Vec<&Zone> {
        let is_lan = |zone: &&Zone| zone.name == "lan" || zone.networks.iter().any(|network| network == "lan");
        let lan: Vec<&Zone> = self.zones.iter().filter(is_lan).collect();
        if lan.is_empty() { self.zones.iter().filter(|zone| !zone.is_outer()).collect() } else { lan }
    }
}

impl Zone {
    /// Whether it looks out on the internet.
    pub fn is_outer(&self) -> bool {
        self.masquerades || self.name == "wan"
    }
}

fn matches(pattern: &str, device: &str) -> bool {
    match pattern.strip_suffix(['+', '*']) {
        Some(start) => device.starts_with(start),
        None => pattern == device,
    }
}
