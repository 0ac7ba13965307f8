//! What the shell tells the core, and what the core asks of the shell. The only words the two have in common.
//!
//! Facts come in as [`Event`]s, decisions go out as [`Action`]s; a recorded list of events replays to the same actions.

mod state;

use std::net::IpAddr;
use std::time::Duration;

use crate::icmp::Icmp;
use crate::kernel::{Applied, IfIndex, LookupQuestion, Mark, Network, RouteChange, Snapshot};
use crate::moment::Moment;
use crate::netifd::Interface;
use crate::notice::Notice;
use crate::question::Question;
use crate::reason::Refusal;
use crate::settings::{Recover, Settings};

pub use state::{MovedRoute, SavedSysctl, State};

/// A provider's small number, 1 to 63: its routing table, its rules and later its mark are derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(pub u8);

/// A fact.
#[derive(Clone, Debug)]
pub enum Event {
    /// The kernel's state was read.
    Kernel {
        /// What was read.
        snapshot: Snapshot,
        /// The `sequence` of the last [`Action::Change`] carried out before reading; 0 if none was.
        after: u64,
        /// What became of that change list, once.
        applied: Vec<Applied>,
    },
    /// netifd's interfaces were read: all of them. Told whenever they are read, changed or not.
    Interfaces(Vec<Interface>),
    /// An ICMP message came in on a provider's probe socket.
    Icmp {
        /// Whose socket.
        provider: ProviderId,
        /// Sender of the message.
        source: IpAddr,
        /// The message.
        message: Icmp,
        /// When the kernel received it.
        at: Moment,
    },
    /// The target of a probe other than ping has answered as it should.
    Answered {
        /// Of which provider.
        provider: ProviderId,
        /// Which probe.
        token: ProbeToken,
        /// When.
        at: Moment,
    },
    /// A probe has failed without being lost: not sent, refused, or answered wrongly. One that gets no answer is never told.
    ProbeRefused {
        /// Of which provider.
        provider: ProviderId,
        /// Which probe.
        token: ProbeToken,
        /// Why.
        cause: Refusal,
    },
    /// The answer to [`Action::Resolve`].
    Resolved {
        /// Of which provider.
        provider: ProviderId,
        /// The name.
        name: String,
        /// Its addresses, or why there are none.
        outcome: Result<Resolved, String>,
    },
    /// The answer to [`Action::Filter`]: the text is in force, or why not, for people.
    Filtered(Result<(), String>),
    /// The answer to [`Action::CountReceived`].
    Received {
        /// Of which provider.
        provider: ProviderId,
        /// Packets since [`Action::WatchReceived`]; `None` if they could not be counted.
        packets: Option<u32>,
        /// What the kernel's neighbour table says of the gateway.
        gateway: Neighbour,
    },
    /// A new, valid configuration.
    Reload(Box<Settings>),
    /// A configuration was refused; the old one stays. One line per problem.
    ConfigError(Vec<String>),
    /// What the configuration files around ours make doubtful, a sentence each: all of it. Told at the start and after each reading of the
    /// configuration.
    Advice(Vec<String>),
    /// Use this provider whatever the checks say, until unpinned. A name nobody has is ignored.
    Pin(String),
    /// Back to the configured pin, or none.
    Unpin,
    /// Check this provider (or all) now.
    CheckNow(Option<String>),
    /// Put everything back, then [`Action::Stopped`].
    Stop,
    /// The deadline told by `next_wakeup` has come, and every answer that came in before was told.
    Wakeup,
}

/// A wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask this question out of `device`.
    Probe {
        /// Whose socket.
        provider: ProviderId,
        /// The device to bind to; a socket bound to another one is replaced.
        device: IfIndex,
        /// Names the probe; for ping it goes into the packet, for DNS its cookie's low half.
        token: ProbeToken,
        /// What.
        question: Question,
        /// After this time nobody waits for the answer any more.
        timeout: Duration,
    },
    /// This provider is not probed any more: close its sockets, end its scripts and look-ups of names.
    CloseProber(ProviderId),
    /// Ask these DNS servers, one after the other, for the addresses of a name, then tell them by [`Event::Resolved`].
    Resolve {
        /// Through which provider.
        provider: ProviderId,
        /// The device to bind to.
        device: IfIndex,
        /// The name.
        name: String,
        /// At least one.
        servers: Vec<IpAddr>,
        /// For each server.
        timeout: Duration,
    },
    /// Have netifd set the interface up again. `exec` is a notice alone: the hotplug scripts do it.
    Recover {
        /// The netifd interface.
        interface: String,
        /// How.
        how: Recover,
    },
    /// Begin to count what the provider's device receives from beyond `network` (PACKET_HOST, unicast, no ICMP unreachable).
    WatchReceived {
        /// Whose.
        provider: ProviderId,
        /// Its device.
        device: IfIndex,
        /// The connected network, whose own packets do not count.
        network: Network,
    },
    /// Tell the count so far, and how it stands with the gateway, by [`Event::Received`].
    CountReceived {
        /// Whose.
        provider: ProviderId,
        /// Its device.
        device: IfIndex,
        /// Its gateway.
        gateway: Option<IpAddr>,
    },
    /// Count no more.
    StopWatching(ProviderId),
    /// Carry out `changes` in order, going on after a refusal, then read the kernel's state with `lookups` and tell it by [`Event::Kernel`].
    Change {
        /// Ever growing.
        sequence: u64,
        /// In order. May be empty: then only read.
        changes: Vec<RouteChange>,
        /// Questions to be answered in this and every further snapshot until the next `Change`.
        lookups: Vec<LookupQuestion>,
    },
    /// Read netifd's interfaces, then tell them by [`Event::Interfaces`]; nothing if netifd cannot be asked.
    ReadInterfaces,
    /// Forget these connections, and no other.
    ForgetConnections(Stranded),
    /// Have nftables load this text in one transaction, then tell by [`Event::Filtered`] and in further snapshots what became of it. At most
    /// one is on its way.
    Filter(String),
    /// Write the state file before anything that follows.
    Save(State),
    /// Something a person or a program wants to know.
    Notice(Notice),
    /// Everything of ours is out of the kernel: exit.
    Stopped,
}

/// Connections that are to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranded {
    /// Every one that leaves with one of these source addresses or came in to it.
    Addresses {
        /// Of providers that went down.
        addresses: Vec<IpAddr>,
        /// The networks that are no provider's: what came from there to such an address did not come in through a provider.
        inside: Vec<Network>,
    },
    /// Every one with this mark. Only asked for while nftables holds our table: a kernel that knows marks there knows them here.
    Marked {
        /// The mark.
        mark: Mark,
        /// Whose it is, for the log.
        provider: String,
    },
    /// Of those with this mark the UDP ones that the router itself has begun, with one of these addresses: tunnels.
    OwnDatagrams {
        /// The mark.
        mark: Mark,
        /// The router's own addresses.
        addresses: Vec<IpAddr>,
    },
}

/// By what the connections of each provider are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// By their marks, else by their addresses.
    pub marked: bool,
    /// In the order of preference; a connection is the first one's that it could be of.
    pub providers: Vec<Counted>,
    /// The networks that are no provider's, as in [`Stranded::Addresses`].
    pub inside: Vec<Network>,
}

/// A provider whose connections are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub name: String,
    /// What they are marked with.
    pub mark: Mark,
    /// What they leave with, if it has an address.
    pub address: Option<IpAddr>,
}

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// At least one.
    pub addresses: Vec<IpAddr>,
    /// How long that may be believed.
    pub ttl: Duration,
}

/// A neighbour's state, as far as it matters (`NUD_*` of linux/neighbour.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Not known, or nothing that could be said about it.
    Unknown,
    /// It was asked, and has not answered (`NUD_FAILED`).
    Failed,
    /// It has been asked for so long, and has not answered yet (`NUD_INCOMPLETE`, `NUD_PROBE`). After the next packet to it `NUD_FAILED` is
    /// this again, so that in the midst of lost probes a gateway that is gone looks like this.
    Asked(Duration),
    /// It has answered of late (`NUD_REACHABLE`).
    Reachable,
}

/// What identifies one probe on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeToken {
    /// ICMP identifier; differs between providers and changes when a link was lost.
    pub id: u16,
    /// ICMP sequence number.
    pub sequence: u16,
    /// Random payload.
    pub cookie: u64,
}
