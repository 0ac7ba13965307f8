//! netifd's protocols by what they mean for failover. Read by `init` and `advice`.

/// What kind of a line a protocol makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `dhcp`: a line if it gets a gateway.
    Leased,
    /// `static`: a line if it has a gateway.
    Fixed,
    /// A session with a provider (PPPoE...), or IPv4 that a provider carries over IPv6.
    Dialled,
    /// A modem for mobile data.
    Mobile,
    /// A VPN: it runs over another line.
    Tunnel,
    /// IPv6 alone.
    Ipv6,
    /// `none` and its like: netifd knows neither address nor gateway.
    Unmanaged,
    /// One that this table does not have.
    Unknown,
}

/// Names as in the packages of OpenWrt's feeds, and GL.iNet's of VPNs.
const NAMES: &[(&str, Protocol)] = &[
    ("dhcp", Protocol::Leased),
    ("static", Protocol::Fixed),
    ("pppoe", Protocol::Dialled),
    ("pppoa", Protocol::Dialled),
    ("ppp", Protocol::Dialled),
    ("pptp", Protocol::Dialled),
    ("l2tp", Protocol::Dialled),
    ("ipoa", Protocol::Dialled),
    ("dslite", Protocol::Dialled),
    ("map", Protocol::Dialled),
    ("464xlat", Protocol::Dialled),
    ("qmi", Protocol::Mobile),
    ("mbim", Protocol::Mobile),
    ("ncm", Protocol::Mobile),
    ("modemmanager", Protocol::Mobile),
    ("3g", Protocol::Mobile),
    ("wwan", Protocol::Mobile),
    ("directip", Protocol::Mobile),
    ("hso", Protocol::Mobile),
    ("xmm", Protocol::Mobile),
    ("quectel", Protocol::Mobile),
    ("atc", Protocol::Mobile),
    ("wireguard", Protocol::Tunnel),
    ("amneziawg", Protocol::Tunnel),
    ("wgclient", Protocol::Tunnel),
    ("wgserver", Protocol::Tunnel),
    ("ovpnclient", Protocol::Tunnel),
    ("ovpnserver", Protocol::Tunnel),
    ("openvpn", Protocol::Tunnel),
    ("openconnect", Protocol::Tunnel),
    ("vpnc", Protocol::Tunnel),
    ("sstp", Protocol::Tunnel),
    ("pppossh", Protocol::Tunnel),
    ("xfrm", Protocol::Tunnel),
    ("vti", Protocol::Tunnel),
    ("gre", Protocol::Tunnel),
    ("gretap", Protocol::Tunnel),
    ("ipip", Protocol::Tunnel),
    ("vxlan", Protocol::Tunnel),
    ("batadv", Protocol::Unmanaged),
    ("batadv_hardif", Protocol::Unmanaged),
    ("dhcpv6", Protocol::Ipv6),
    ("6in4", Protocol::Ipv6),
    ("6to4", Protocol::Ipv6),
    ("6rd", Protocol::Ipv6),
    ("grev6", Protocol::Tunnel),
    ("grev6tap", Protocol::Tunnel),
    ("vtiv6", Protocol::Tunnel),
    ("ip6tnl", Protocol::Ipv6),
    ("none", Protocol::Unmanaged),
    ("relay", Protocol::Unmanaged),
    ("", Protocol::Unmanaged),
];

impl Protocol {
    /// Of `option proto`.
    pub fn of(name: &str) -> Self {
        NAMES.iter().find(|(known, _)| *known == name).map_or(Self::Unknown, |(_, protocol)| *protocol)
    }
}

/// Whether a device of this name is a modem for mobile data, or a phone on USB.
pub fn is_mobile_device(name: &str) -> bool {
    is_modem(name) || numbered(name, "usb")
}

/// Whether a device of this name is a modem for mobile data, as the kernel's drivers name it.
pub fn is_modem(name: &str) -> bool {
    ["wwan", "rmnet", "rmnet_mhi", "rmnet_data", "mhi_hwip", "qmimux"].iter().any(|prefix| numbered(name, prefix))
}

/// Whether a device of this name is a WLAN adapter, as OpenWrt and the kernel's drivers name it.
pub fn is_wireless_device(name: &str) -> bool {
    let of_phy = name.starts_with("phy") && name.contains("-sta");
    of_phy || ["wlan", "ath", "wlp", "ra", "apcli", "sta"].iter().any(|prefix| numbered(name, prefix))
}

fn numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        for (name, mobile, wireless, why) in [
            ("wwan0", true, false, "a modem"),
            ("usb0", true, false, "a phone"),
            ("rmnet_mhi0.1", true, false, "a modem on PCIe, by its maker's driver"),
            ("qmimux0", true, false, "a modem that carries several lines"),
            ("wwan", false, false, "no number: somebody's bridge"),
            ("phy0-sta0", false, true, "OpenWrt 23.05"),
            ("phy0-ap0", false, false, "an access point"),
            ("wlan0-1", false, true, "OpenWrt 19.07"),
            ("rax", false, false, "no Ralink device"),
            ("eth1", false, false, "wired"),
        ] {
            assert_eq!((is_mobile_device(name), is_wireless_device(name)), (mobile, wireless), "{name}: {why}");
        }
    }
}
