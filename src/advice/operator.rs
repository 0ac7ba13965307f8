//! Whose a test's target is: the well-known public resolvers, by their networks.

use std::net::IpAddr;

use crate::kernel::Network;

/// Networks of 256 addresses, by their first three bytes.
const OPERATORS: &[(&str, &[[u8; 3]])] = &[
    ("Cloudflare", &[[1, 1, 1], [1, 0, 0]]),
    ("Google", &[[8, 8, 8], [8, 8, 4]]),
    ("Quad9", &[[9, 9, 9], [149, 112, 112]]),
    ("OpenDNS", &[[208, 67, 222], [208, 67, 220]]),
    ("AdGuard", &[[94, 140, 14], [94, 140, 15]]),
    ("Control D", &[[76, 76, 2], [76, 76, 10]]),
    ("CleanBrowsing", &[[185, 228, 168], [185, 228, 169]]),
    ("Level 3", &[[4, 2, 2]]),
    ("UltraDNS", &[[64, 6, 64], [64, 6, 65], [156, 154, 70], [156, 154, 71]]),
    ("DNS.WATCH", &[[84, 200, 69], [84, 200, 70]]),
    ("Yandex", &[[77, 88, 8]]),
    ("Alibaba", &[[223, 5, 5], [223, 6, 6]]),
    ("114DNS", &[[114, 114, 114], [114, 114, 115]]),
];

/// Completes "all targets are"; `None` if they are of several operators, or there are none.
pub(super) fn of_all(targets: &[IpAddr]) -> Option<String> {
    let first = *targets.first()?;
    let known = operator(first);
    if known.is_some() && targets.iter().all(|target| operator(*target) == known) {
        return Some(format!("of one operator ({})", known.unwrap_or_default()));
    }
    let network = Network::new(first, 24);
    let together = first.is_ipv4() && targets.iter().all(|target| network.contains(*target));
    together.then(|| format!("in one network ({network})"))
}

fn operator(target: IpAddr) -> Option<&'static str> {
    let IpAddr::V4(target) = target else { return None };
    let [a, b, c, _] = target.octets();
    OPERATORS.iter().find(|(_, networks)| networks.contains(&[a, b, c])).map(|(name, _)| *name)
}
