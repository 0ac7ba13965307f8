//! The kernel's networking state as facts, and the changes that can be asked of it.
//!
//! The shell fills a [`Snapshot`] from netlink dumps; `uplink` and `route_plan` read it and answer with [`RouteChange`]s.

use std::fmt;
use std::net::IpAddr;

/// Marks routes and rules as ours (`RTA_PROTOCOL`, `FRA_PROTOCOL`); a number nobody has registered in iproute2's rt_protos.
pub const PROTOCOL: u8 = 102;

/// `RT_SCOPE_UNIVERSE` of linux/rtnetlink.h: behind a gateway.
pub const SCOPE_UNIVERSE: u8 = 0;
/// `RT_SCOPE_LINK` of linux/rtnetlink.h: directly on the device.
pub const SCOPE_LINK: u8 = 253;
/// `RTPROT_BOOT` of linux/rtnetlink.h: what `ip route add` writes when a person types it.
pub const PROTOCOL_BOOT: u8 = 3;
/// `RTPROT_STATIC` of linux/rtnetlink.h: what netifd writes.
pub const PROTOCOL_STATIC: u8 = 4;

/// A device's index (`ifi_index`); a device that is made anew gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// A route's metric (`RTA_PRIORITY`); lower wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric(pub u32);

/// A routing table's number (`RTA_TABLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

impl TableId {
    /// `RT_TABLE_MAIN` of linux/rtnetlink.h.
    pub const MAIN: Self = Self(254);
}

/// An ip rule's priority (`FRA_PRIORITY`); lower is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RulePriority(pub u32);

/// An address range: `192.168.1.0/24`. The address may have bits beyond the prefix; they do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// Any address of the range.
    pub address: IpAddr,
    /// Prefix length, at most 32 or 128.
    pub prefix: u8,
}

impl Network {
    /// The range `address/prefix` with the bits beyond the prefix cleared; a prefix too long is cut to the address's own length.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self { address: IpAddr::V4((u32::from(v4) & mask).into()), prefix }
            }
            IpAddr::V6(v6) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Self { address: IpAddr::V6((u128::from(v6) & mask).into()), prefix }
            }
        }
    }

    /// `0.0.0.0/0`.
    pub const ANY_V4: Self = Self { address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), prefix: 0 };

    /// Whether `address` lies in the range; never across families.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Self::new(address, self.prefix).address == Self::new(self.address, self.prefix).address
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Everything about the kernel that decisions are made from, read at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All devices.
    pub links: Vec<Link>,
    /// All IPv4 addresses, in the kernel's order (the first of a device is its primary one).
    pub addresses: Vec<Address>,
    /// IPv4 routes, in the kernel's order: the whole of table main, and those of protocol [`PROTOCOL`] in every table.
    pub routes: Vec<Route>,
    /// Rules of protocol [`PROTOCOL`].
    pub rules: Vec<Rule>,
    /// `net.ipv4.conf.all.rp_filter`.
    pub all_rp_filter: u32,
    /// The kernel's answers to the look-ups last asked for, in the order of the question.
    pub lookups: Vec<Lookup>,
    /// The handle of nftables' table `inet failover` (`NFTA_TABLE_HANDLE`), while there is one. A table made anew has another.
    pub filter: Option<u64>,
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index.
    pub index: IfIndex,
    /// Name.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Has a carrier (`IFLA_CARRIER`, also that of the lower device where the kernel shows one in this namespace).
    pub carrier: bool,
    /// `IFF_POINTOPOINT`: needs no gateway.
    pub point_to_point: bool,
    /// `net.ipv4.conf.DEV.rp_filter`.
    pub rp_filter: u32,
    /// `net.ipv4.conf.DEV.ignore_routes_with_linkdown`.
    pub ignore_linkdown: u32,
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The device.
    pub device: IfIndex,
    /// The address itself (`IFA_LOCAL`).
    pub address: IpAddr,
    /// The other end or the connected network's address (`IFA_ADDRESS`); equals `address` on ordinary networks.
    pub peer: IpAddr,
    /// Prefix length of the connected network.
    pub prefix: u8,
    /// `RT_SCOPE_*`.
    pub scope: u8,
}

impl Address {
    /// The network reached directly through the device by this address.
    pub fn network(&self) -> Network {
        Network::new(self.peer, self.prefix)
    }
}

/// What a route does with a packet (`rtm_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// Sends it on.
    Unicast,
    /// Answers with ICMP unreachable.
    Unreachable,
    /// Drops it.
    Blackhole,
    /// Answers with ICMP prohibited.
    Prohibit,
    /// Ends the search in its table; the next rule is asked.
    Throw,
    /// Any other `RTN_*` number.
    Other(u8),
}

/// How many next hops a route has, and where they are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextHops {
    /// One, in the route itself.
    Single,
    /// `RTA_MULTIPATH` of a route of ours: several, in the kernel's order. The kernel hashes source and destination address
    /// (`net.ipv4.fib_multipath_hash_policy` 0), and passes over hops that are dead.
    Shared(Vec<Hop>),
    /// `RTA_MULTIPATH` of somebody else, carried along in `other`.
    Multipath,
    /// `RTA_NH_ID`: a nexthop object.
    Object,
}

/// One of several next hops of a route (`struct rtnexthop`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Device.
    pub device: IfIndex,
    /// Next hop; `None`: point-to-point.
    pub gateway: Option<IpAddr>,
    /// `RTNH_F_ONLINK`.
    pub onlink: bool,
    /// Share of the traffic among the weights of all, 1 to 256 (`rtnh_hops` is one less).
    pub weight: u16,
}

/// What a route of ours tells TCP and IP about the line (`RTA_METRICS`); somebody else's stay in `other`. Zero is no value: the kernel
/// takes it and does not show it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteOptions {
    /// `RTAX_MTU`, bytes, 65520 at most. The kernel believes it, also beyond the device's: what is larger than that is lost then.
    pub mtu: Option<u32>,
    /// `RTAX_ADVMSS`, bytes.
    pub advmss: Option<u32>,
    /// `RTAX_INITCWND`, segments.
    pub initcwnd: Option<u32>,
    /// `RTAX_INITRWND`, segments.
    pub initrwnd: Option<u32>,
    /// `RTAX_QUICKACK`, 1.
    pub quickack: Option<u32>,
}

impl RouteOptions {
    /// What both say alike: for a route over both.
    pub fn in_common(self, other: Self) -> Self {
        let same = |own: Option<u32>, other| own.filter(|_| own == other);
        Self {
            mtu: same(self.mtu, other.mtu),
            advmss: same(self.advmss, other.advmss),
            initcwnd: same(self.initcwnd, other.initcwnd),
            initrwnd: same(self.initrwnd, other.initrwnd),
            quickack: same(self.quickack, other.quickack),
        }
    }
}

/// A netlink attribute that we carry along without looking into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawAttribute {
    /// Attribute type, with its flag bits.
    pub kind: u16,
    /// Payload.
    pub value: Vec<u8>,
}

/// A route. The kernel's key is (destination, tos, metric, table).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Table.
    pub table: TableId,
    /// Destination; prefix 0 is a default route.
    pub destination: Network,
    /// Metric.
    pub metric: Metric,
    /// `rtm_tos`.
    pub tos: u8,
    /// `rtm_protocol`: who made it.
    pub protocol: u8,
    /// `rtm_type`.
    pub kind: RouteKind,
    /// `rtm_scope`.
    pub scope: u8,
    /// Outgoing device (`RTA_OIF`).
    pub device: Option<IfIndex>,
    /// Next hop (`RTA_GATEWAY`, or `RTA_VIA` where its family differs).
    pub gateway: Option<IpAddr>,
    /// Preferred source address (`RTA_PREFSRC`).
    pub source: Option<IpAddr>,
    /// `RTNH_F_ONLINK`; the state flags (dead, linkdown...) are left out on purpose: they are not ours to write.
    pub onlink: bool,
    /// Where the next hops are.
    pub next_hops: NextHops,
    /// `RTA_METRICS` of a route of ours.
    pub options: RouteOptions,
    /// All other attributes (metrics, flow...), in order, as they are to be written again.
    pub other: Vec<RawAttribute>,
}

impl Route {
    /// Whether this is a default route that ordinary traffic in table main follows.
    pub fn is_main_default(&self) -> bool {
        self.table == TableId::MAIN && self.destination.prefix == 0 && self.tos == 0
    }

    /// The devices through which it sends packets on.
    pub fn devices(&self) -> impl Iterator<Item = IfIndex> + '_ {
        let hops = if let NextHops::Shared(hops) = &self.next_hops { hops.as_slice() } else { &[] };
        self.device.into_iter().chain(hops.iter().map(|hop| hop.device))
    }

    /// Whether failoverd made it.
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL
    }
}

/// What an ip rule asks of a packet. Only what failoverd writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// `oif DEV`: sockets bound to the device. Devices are named in rules; the shell translates.
    OutgoingDevice(IfIndex),
    /// `from ADDRESS/PREFIX`.
    Source(Network),
    /// `fwmark VALUE/MASK`.
    Mark(Mark),
}

/// Bits of a packet's or connection's mark that are ours: the id of a provider within `option mark_mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The bits, shifted to their place.
    pub value: u32,
    /// Which bits are meant. Never zero: whoever asks for no bit means every connection.
    pub mask: u32,
}

/// An ip rule of ours. One that the shell cannot express in these terms has `selector: None` and is only ever deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Priority.
    pub priority: RulePriority,
    /// Selector; `None` when it is none of ours (an `oif` whose device is gone, say).
    pub selector: Option<Selector>,
    /// The table looked up.
    pub table: TableId,
    /// `suppress_prefixlength`.
    pub suppress_prefix: Option<u32>,
    /// The rule as the kernel wrote it, for deletion of what we cannot express; empty for rules to be added.
    pub raw: Vec<u8>,
}

/// A question: where does a packet for `target` go if it must leave by `device`?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupQuestion {
    /// `RTA_OIF`.
    pub device: IfIndex,
    /// `RTA_DST`.
    pub target: IpAddr,
}

/// The kernel's answer (RTM_GETROUTE).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What was asked.
    pub question: LookupQuestion,
    /// The route found, or the kernel's refusal in words.
    pub answer: Result<LookupAnswer, String>,
}

/// A route that the kernel would use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupAnswer {
    /// Outgoing device.
    pub device: Option<IfIndex>,
    /// Next hop; `None`: the target is taken for a neighbour.
    pub gateway: Option<IpAddr>,
}

/// A question: where does the first packet of a connection go?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketQuestion {
    /// `RTA_DST`.
    pub destination: IpAddr,
    /// `RTA_SRC`.
    pub source: Option<IpAddr>,
    /// `RTA_IIF`; `None`: the router itself sends it.
    pub incoming: Option<IfIndex>,
    /// `RTA_MARK`; 0: none.
    pub mark: u32,
    /// `RTA_IP_PROTO`.
    pub protocol: Option<u8>,
    /// `RTA_DPORT`.
    pub port: Option<u16>,
}

/// Why the kernel has no route for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoute {
    /// What that comes from, as far as the kernel's number tells.
    pub cause: NoRouteCause,
    /// The kernel's refusal in words.
    pub text: String,
}

/// What a refused look-up comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRouteCause {
    /// There is no route, or one that says unreachable; or the device that the packet comes in by forwards nothing.
    Unreachable,
    /// The source address cannot come in by that device: `rp_filter`, or an address that nobody may have.
    Source,
    /// Anything else.
    Other,
}

/// Per-device settings of the kernel that failoverd changes (`IFLA_INET_CONF`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sysctl {
    /// `IPV4_DEVCONF_RP_FILTER`.
    RpFilter,
    /// `IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN`.
    IgnoreLinkdown,
}

impl Sysctl {
    /// The kernel's name for it, as far as it tells the two apart.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RpFilter => "rp_filter",
            Self::IgnoreLinkdown => "ignore_linkdown",
        }
    }
}

/// One change of the kernel's state; each is carried out by one netlink message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteChange {
    /// `NLM_F_CREATE | NLM_F_REPLACE`: make it, or swap the next hop of the one at this metric.
    Write(Route),
    /// `NLM_F_CREATE | NLM_F_APPEND`: make it behind the others of the same metric.
    Append(Route),
    /// Delete by the whole key and next hop. ESRCH is success.
    Delete(Route),
    /// Add, EEXIST is success.
    AddRule(Rule),
    /// Delete. ENOENT is success.
    DeleteRule(Rule),
    /// Set a device's value.
    SetSysctl {
        /// The device.
        device: IfIndex,
        /// Which.
        key: Sysctl,
        /// The new value.
        value: u32,
    },
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Refused by the kernel, in words (`File exists (17)`), or not answered in time.
    Refused(String),
    /// A delete hit this other route (RTM_DELROUTE told): it must be put back.
    DeletedOther(Box<Route>),
}

/// A change together with what became of it.
pub type Applied = (RouteChange, Outcome);
