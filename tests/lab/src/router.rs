//! The router under test: its namespace, and the programs besides failoverd that write to its routing tables - a DHCP
//! client, netifd, a person. Made by `lab.rs`, used by tests through `lab.router()`.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::conntrack::ConnectionTable;
use crate::error::{During, LabError, Result};
use crate::line::lock;
use crate::message::Request;
use crate::namespace::Namespace;
use crate::netlink::Netlink;
use crate::provider::Provider;
use crate::routing::{self, Route, RouteWrite, Rule};
use crate::stream::{Between, Flows, Stream};
use crate::views::{self, KernelView};

/// The router's namespace with a netlink socket in it.
#[derive(Clone)]
pub struct Router {
    pub(crate) namespace: Namespace,
    pub(crate) netlink: Arc<Mutex<Netlink>>,
}

impl Router {
    pub(crate) fn new() -> Result<Router> {
        let namespace = Namespace::new("router")?;
        let netlink = Arc::new(Mutex::new(Netlink::open_in(&namespace)?));
        namespace.set_sysctl("net/ipv4/ip_forward", "1")?;
        Ok(Router { namespace, netlink })
    }

    /// The namespace; `namespace().run(..)` opens sockets in it.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Writes a default route through a provider as a DHCP client does; `replace` as udhcpc's script and netifd do it,
    /// otherwise it must not exist yet.
    pub fn dhcp_default(&self, provider: &Provider, metric: u32, protocol: u8, replace: bool) -> Result<()> {
        let how = if replace { RouteWrite::Replace } else { RouteWrite::Add };
        self.write(how, &self.default_route(provider).metric(metric).protocol(protocol))
    }

    /// `default via GATEWAY dev DEVICE` of a provider, to be adorned and written.
    #[must_use]
    pub fn default_route(&self, provider: &Provider) -> Route {
        Route::default_via(provider.addresses().gateway, provider.device())
    }

    /// Writes or deletes a route.
    pub fn write(&self, how: RouteWrite, route: &Route) -> Result<()> {
        routing::write_route(&mut lock(&self.netlink), how, route)
    }

    /// Adds or deletes a rule.
    pub fn rule(&self, add: bool, rule: &Rule) -> Result<()> {
        routing::write_rule(&mut lock(&self.netlink), add, rule)
    }

    /// Deletes every route of a table, as `ip route flush table N` does.
    pub fn flush_table(&self, table: u32) -> Result<usize> {
        let mut netlink = lock(&self.netlink);
        let request = Request::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP).raw(&ipv4_header(0));
        let routes = netlink.dump(request).during("dump the IPv4 routes")?;
        let mut deleted = 0;
        for reply in routes.iter().filter(|reply| reply.number(12, libc::RTA_TABLE) == Some(table)) {
            let mut request = Request::new(libc::RTM_DELROUTE, libc::NLM_F_ACK);
            request = request.raw(reply.body.get(..12).unwrap_or_default());
            for (kind, value) in reply.attributes(12).into_iter().filter(|(kind, _)| *kind != libc::RTA_CACHEINFO) {
                request = request.attribute(kind, value);
            }
            netlink.change(request).during(format!("delete a route of table {table}"))?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// The interface index of the device the kernel sends packets to `target` out of; `None` when it has no route.
    pub fn route_to(&self, target: Ipv4Addr) -> Result<Option<u32>> {
        look_up(&mut lock(&self.netlink), target).during(format!("look up the route to {target}"))
    }

    /// Number of the provider new packets leave through now: the route to the stream server.
    pub fn active_provider(&self, providers: &[Provider]) -> Result<Option<u8>> {
        let Some(index) = self.route_to(crate::STREAM_SERVER)? else { return Ok(None) };
        for provider in providers {
            if provider.ifindex()? == Some(index) {
                return Ok(Some(provider.number()));
            }
        }
        Ok(None)
    }

    /// Everything the kernel holds that failoverd may change, as text.
    pub fn view(&self) -> Result<KernelView> {
        views::kernel_view(&self.namespace, &mut lock(&self.netlink))
    }

    /// The connections that the kernel tracks.
    pub fn connections(&self) -> Result<ConnectionTable> {
        ConnectionTable::open_in(&self.namespace)
    }

    /// All IPv4 routes of all tables, one line each, in the kernel's order.
    pub fn routes(&self) -> Result<Vec<String>> {
        views::routes(&mut lock(&self.netlink))
    }

    /// All IPv4 rules, one line each.
    pub fn rules(&self) -> Result<Vec<String>> {
        views::rules(&mut lock(&self.netlink))
    }

    /// Reads a per-device IPv4 sysctl, `rp_filter` for instance.
    pub fn device_sysctl(&self, device: &str, key: &str) -> Result<String> {
        self.namespace.sysctl(&format!("net/ipv4/conf/{device}/{key}"))
    }

    /// Writes a per-device IPv4 sysctl.
    pub fn set_device_sysctl(&self, device: &str, key: &str, value: &str) -> Result<()> {
        self.namespace.set_sysctl(&format!("net/ipv4/conf/{device}/{key}"), value)
    }

    /// Starts datagrams of the router itself to the stream server, from a socket that keeps to its source address, as
    /// programs do that have once been answered there: VPN daemons.
    pub fn stream_from(&self, source: Ipv4Addr, interval: Duration) -> Result<Stream> {
        Stream::start(&self.namespace, Between { source, ..Between::default() }, interval, Flows::One)
    }

    /// Forwards a port (TCP and UDP) of these addresses into the LAN, as a firewall's redirect does.
    pub fn forward(&self, addresses: &[Ipv4Addr], port: u16, server: Ipv4Addr) -> Result<()> {
        let forward = |address: &Ipv4Addr| {
            format!(
                "ip daddr {address} tcp dport {port} dnat to {server}\nip daddr {address} udp dport {port} dnat to {server}\n"
            )
        };
        let rules: String = addresses.iter().map(forward).collect();
        self.nft(&format!(
            "table ip forward {{\nchain dstnat {{\ntype nat hook prerouting priority dstnat\n{rules}}}\n}}\n"
        ))
    }

    /// How often anybody has changed the rule set: the kernel counts transactions.
    pub fn nft_generation(&self) -> Result<u32> {
        const GET_GENERATION: u16 = 10 << 8 | 16;
        let mut netlink = self.namespace.run(|| Netlink::open_protocol(NETLINK_NETFILTER))?;
        let reply = netlink
            .lookup(Request::new(GET_GENERATION, 0).raw(&[0; 4]))
            .during("ask for the generation of the rule set")?;
        let attributes = reply.attributes(4);
        let number = attributes.iter().find(|(kind, _)| *kind == 1).and_then(|(_, value)| (*value).try_into().ok());
        number.map(u32::from_be_bytes).ok_or_else(|| LabError::new("read the generation of the rule set", "no number"))
    }

    /// The rule set as `nft` lists it, with handles, one text per table.
    pub fn nft_tables(&self) -> Result<Vec<String>> {
        let list = || {
            std::process::Command::new("nft")
                .args(["-a", "list", "ruleset"])
                .env("PATH", crate::process::path_with_sbin())
                .output()
        };
        let output = self.namespace.run(|| list().during("run nft"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.split_inclusive("\n}\n").map(str::to_owned).collect())
    }

    /// Feeds a rule set to `nft -f -` inside the router.
    pub fn nft(&self, rules: &str) -> Result<()> {
        use std::io::Write;
        use std::process::{Command, Stdio};
        self.namespace.run(|| {
            let spawned = Command::new("nft")
                .args(["-f", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .env("PATH", crate::process::path_with_sbin())
                .spawn();
            let mut child = spawned.map_err(|error| {
                let hint = "install the package nftables";
                LabError::new("run nft", error).with_hint(hint)
            })?;
            if let Some(mut input) = child.stdin.take() {
                input.write_all(rules.as_bytes()).during("write rules to nft")?;
            }
            let output = child.wait_with_output().during("wait for nft")?;
            if output.status.success() {
                return Ok(());
            }
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(LabError::new(format!("load rules with nft: {rules}"), complaint)
                .with_hint("the kernel needs nf_tables and nft_masq / nft_chain_nat"))
        })
    }
}

/// struct rtmsg for IPv4, with a destination length.
fn ipv4_header(prefix: u8) -> [u8; 12] {
    [libc::AF_INET as u8, prefix, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// RTM_GETROUTE without an output device; "no route" in all its forms is `None`.
pub(crate) fn look_up(netlink: &mut Netlink, target: Ipv4Addr) -> std::io::Result<Option<u32>> {
    let request = Request::new(libc::RTM_GETROUTE, 0).raw(&ipv4_header(32)).attribute(libc::RTA_DST, &target.octets());
    match netlink.lookup(request) {
        Ok(reply) => Ok(reply.number(12, libc::RTA_OIF)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
