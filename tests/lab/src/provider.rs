//! One simulated provider as tests hold it: its addresses, the state of its line, and everything that can be done to
//! its cable. Made by `lab.rs`; the packets are the business of `responder.rs`.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::{During, LabError, Result};
use crate::fault::{Fault, Kind};
use crate::line::{Answers, Conditions, Cut, FullQueue, Line, Seen, lock};
use crate::namespace::Namespace;
use crate::netlink::{Netlink, VethEnd};
use crate::packet::Mac;
use crate::peer::{NEAR_INDEX, Peer};
use crate::responder::{Identity, Responder};
use crate::sys;

/// Addresses on one provider's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The provider's gateway.
    pub gateway: Ipv4Addr,
    /// The router's own address on this line.
    pub router: Ipv4Addr,
    /// Length of their common prefix.
    pub prefix: u8,
}

/// A simulated provider. All methods take `&self`, so any thread may cut a line.
pub struct Provider {
    number: u8,
    device: String,
    addresses: Addresses,
    namespace: Namespace,
    own_netlink: Mutex<Netlink>,
    router_namespace: Namespace,
    router_netlink: Arc<Mutex<Netlink>>,
    line: Arc<Line>,
    responder: Mutex<Option<Responder>>,
    seed: u64,
    only_router: bool,
    plugged_in: AtomicU32,
    peer: Option<Peer>,
}

/// The provider's end of the cable, in its own namespace.
const FAR_DEVICE: &str = "line0";

impl Provider {
    pub(crate) fn new(
        (number, device): (u8, String),
        addresses: Addresses,
        router: (Namespace, Arc<Mutex<Netlink>>),
        seed: u64,
        (only_router, with_peer): (bool, bool),
    ) -> Result<Provider> {
        let namespace = Namespace::new(&format!("provider {number}"))?;
        let mut own_netlink = Netlink::open_in(&namespace)?;
        let peer = if with_peer { Some(Peer::new(number, macs(number).1, &mut own_netlink)?) } else { None };
        let own_netlink = Mutex::new(own_netlink);
        let (router_namespace, router_netlink) = router;
        let provider = Provider {
            number,
            device,
            addresses,
            namespace,
            own_netlink,
            router_namespace,
            router_netlink,
            line: Arc::default(),
            responder: Mutex::new(None),
            seed,
            only_router,
            plugged_in: AtomicU32::new(0),
            peer,
        };
        provider.plug_in()?;
        Ok(provider)
    }

    /// Its number, counted from 0, as in `wan0` and in the answers of the stream server.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The router's device on this line: `wan0`.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The addresses on this line.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The provider's namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The namespace of the peer behind it; the lab must have been built with `peers`.
    pub fn peer(&self) -> Result<&Namespace> {
        let missing = || LabError::new(format!("use the peer of provider {}", self.number), "the lab has no peers");
        self.peer.as_ref().map(|peer| &peer.namespace).ok_or_else(missing)
    }

    /// The router's interface index on this line, `None` while the device is away.
    pub fn ifindex(&self) -> Result<Option<u32>> {
        lock(&self.router_netlink).index(&self.device)
    }

    // The line.

    /// Changes the line's conditions, in one step.
    pub fn change(&self, how: impl FnOnce(&mut Conditions)) {
        how(&mut self.line.conditions());
        if let Some(responder) = lock(&self.responder).as_ref() {
            responder.wake();
        }
    }

    /// The conditions as they are now.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        self.line.conditions().clone()
    }

    /// Makes the line perfect again. Carrier, device, addresses and names are not touched.
    pub fn heal(&self) {
        self.change(|conditions| {
            let names = std::mem::take(&mut conditions.names);
            *conditions = Conditions { gateway: conditions.gateway, names, ..Conditions::default() };
        });
    }

    /// Cuts everything, ARP too, or mends it; the carrier stays.
    pub fn silent(&self, cut: bool) {
        self.change(|conditions| conditions.cut = if cut { Cut::Everything } else { Cut::None });
    }

    /// Cuts the internet behind the gateway, or mends it.
    pub fn silent_behind_gateway(&self, cut: bool) {
        self.change(|conditions| conditions.cut = if cut { Cut::BehindGateway } else { Cut::None });
    }

    /// Round-trip time of the line, and how much it varies.
    pub fn delay(&self, delay: Duration, jitter: Duration) {
        self.change(|conditions| (conditions.delay, conditions.jitter) = (delay, jitter));
    }

    /// Shares of requests and of answers lost, 0.0 to 1.0.
    pub fn loss(&self, upstream: f64, downstream: f64) {
        self.change(|conditions| (conditions.upstream_loss, conditions.downstream_loss) = (upstream, downstream));
    }

    /// How echo requests are answered from now on.
    pub fn answers(&self, answers: Answers) {
        self.change(|conditions| conditions.answers = answers);
    }

    /// How questions of one kind are answered from now on. See [`Fault`] for what that means to each.
    pub fn fault(&self, kind: Kind, fault: Fault) {
        self.change(|conditions| match kind {
            Kind::Tcp => conditions.faults.tcp = fault,
            Kind::Dns => conditions.faults.dns = fault,
            Kind::Http => conditions.faults.http = fault,
            Kind::Ping => {
                conditions.answers = match fault {
                    Fault::Silent => Answers::Never,
                    Fault::Refused => Answers::Unreachable,
                    Fault::Garbage => Answers::WrongPayload,
                    Fault::WrongId => Answers::WrongId,
                    Fault::WrongSource => Answers::WrongSource,
                    _ => Answers::Right,
                }
            }
        });
    }

    /// What this provider's DNS says about a name; without addresses there is no such name.
    pub fn name(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.change(|conditions| _ = conditions.names.insert(name.to_lowercase(), addresses.to_vec()));
    }

    /// One target dies, for every kind of question, or lives again.
    pub fn target_dead(&self, target: Ipv4Addr, dead: bool) {
        self.change(|conditions| {
            _ = if dead { conditions.dead_targets.insert(target) } else { conditions.dead_targets.remove(&target) };
        });
    }

    /// Fills the queue (1.5 s, while 50 other packets per second come in) or empties it.
    pub fn full_queue(&self, full: bool) {
        self.change(|conditions| conditions.full_queue = full.then(FullQueue::default));
    }

    /// The modem answers ARP and echo requests for every address, or stops doing so.
    pub fn answers_for_everybody(&self, on: bool) {
        self.change(|conditions| conditions.answers_for_everybody = on);
    }

    /// What has come in so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.line.seen().clone()
    }

    /// Starts counting from zero.
    pub fn forget_seen(&self) {
        *self.line.seen() = Seen::default();
    }

    // The cable.

    /// Takes the carrier away from the router's device, or gives it back. The router's end stays administratively up.
    pub fn carrier(&self, on: bool) -> Result<()> {
        lock(&self.own_netlink).set_up(FAR_DEVICE, on)
    }

    /// Sets the router's device administratively down or up.
    pub fn device_up(&self, up: bool) -> Result<()> {
        lock(&self.router_netlink).set_up(&self.device, up)
    }

    /// Removes the router's own address on this line, or adds it again.
    pub fn router_address(&self, present: bool) -> Result<()> {
        let Addresses { router, prefix, .. } = self.addresses;
        lock(&self.router_netlink).address(&self.device, router, prefix, present)
    }

    /// Adds another address to the router's device, or removes it.
    pub fn extra_address(&self, address: Ipv4Addr, prefix: u8, present: bool) -> Result<()> {
        lock(&self.router_netlink).address(&self.device, address, prefix, present)
    }

    /// Pulls the device out of the router, as an unplugged USB modem does.
    pub fn remove_device(&self) -> Result<()> {
        *lock(&self.responder) = None;
        lock(&self.router_netlink).delete_device(&self.device)
    }

    /// Tells the responder to end, without waiting for it.
    pub(crate) fn begin_to_end(&self) {
        if let Some(responder) = lock(&self.responder).as_ref() {
            responder.begin_to_end();
        }
    }

    /// Plugs it in again: same name and address, another interface index, no routes.
    pub fn restore_device(&self) -> Result<()> {
        if self.ifindex()?.is_some() {
            return Err(LabError::new(format!("restore device {}", self.device), "it is there"));
        }
        self.plug_in()
    }

    fn plug_in(&self) -> Result<()> {
        let (router_mac, mac) = macs(self.number);
        let far_index = 1000 + u32::from(self.number);
        // The kernel heeds the wanted index of the far end only if one is given for the near end too.
        let near_index = 100 + u32::from(self.number) + 16 * (self.plugged_in.fetch_add(1, Ordering::Relaxed) % 50);
        {
            let mut router = lock(&self.router_netlink);
            let near = VethEnd { device: &self.device, index: near_index, mac: router_mac };
            let far = VethEnd { device: FAR_DEVICE, index: far_index, mac };
            router.add_veth(&near, &far, &self.namespace)?;
        }
        lock(&self.own_netlink).set_up(FAR_DEVICE, true)?;
        self.router_namespace.set_sysctl(&format!("net/ipv4/conf/{}/rp_filter", self.device), "0")?;
        let open =
            |index| sys::packet_socket(index).during(format!("open a packet socket for provider {}", self.number));
        let sockets = self.namespace.run(|| {
            let peer = self.peer.as_ref().map(|_| open(NEAR_INDEX)).transpose()?;
            Ok((open(far_index)?, peer))
        })?;
        let Addresses { gateway, router, prefix } = self.addresses;
        let only_router = self.only_router;
        let identity = Identity { number: self.number, gateway, mac, router, router_mac, only_router };
        let responder = Responder::start(sockets, identity, Arc::clone(&self.line), self.seed)?;
        *lock(&self.responder) = Some(responder);
        let mut netlink = lock(&self.router_netlink);
        netlink.set_up(&self.device, true)?;
        netlink.address(&self.device, router, prefix, true)?;
        netlink.wait_until_operational(&self.device)
    }
}

/// (the router's, the provider's) Ethernet addresses on the line of provider `number`.
fn macs(number: u8) -> (Mac, Mac) {
    ([0x02, 0x4c, 0x41, 0x42, number, 1], [0x02, 0x4c, 0x41, 0x42, number, 2])
}
