//! A lab for failoverd: a router, simulated providers and a LAN client in network namespaces of this process, built by
//! netlink, with no iproute2 and nothing left behind. For integration tests, the demo and the bench.
//!
//! ```text
//!   client 10.77.0.2 ---- lan0 router wan0 ---- provider 0: gateway, 1.1.1.1, 8.8.8.8, ..., stream server
//!    (streams)               (failoverd) wan1 ---- provider 1: the same addresses again
//!                                        ...
//! ```
//!
//! * `lab.rs` builds it all; `namespace.rs`, `netlink.rs`, `message.rs`, `routing.rs` are what it is built with.
//! * `provider.rs` is the handle to one provider, `line.rs` the state of its line, `responder.rs` the thread that plays
//!   it, `internet.rs` who answers behind it and `fault.rs` how wrongly; `packet.rs`, `tcp.rs` and `dns.rs` the frames.
//! * `router.rs` is the router and the other programs that write its routes; `views.rs` shows what its kernel holds;
//!   `conntrack.rs` its connection table.
//! * `peer.rs` is a computer behind a provider with a kernel of its own, `echo.rs` a server there, in the LAN or on the router.
//! * `client.rs`, `stream.rs` and `transfer.rs` send traffic, `timeline.rs` says what became of it; `watcher.rs` looks for moments
//!   without a default route.
//! * `process.rs` runs programs in the router, `broker.rs` is its ubus; `netifd.rs` and `hotplug.rs` stand in for OpenWrt's programs on it
//!   (`ubus_object.rs`); `netifd_kernel.rs` does to the kernel what netifd does.
//! * `enter.rs` makes it work for ordinary users, `cleanup.rs` removes the directory on Ctrl-C.
//!
//! ```no_run
//! # fn main() -> lab::Result<()> {
//! use std::time::Duration;
//! let lab = lab::Lab::new(lab::LabConfig { providers: 3, ..Default::default() })?;
//! let daemon = lab.spawn(std::process::Command::new("failoverd"))?;
//! let stream = lab.stream()?;
//! stream.wait_until_via(0, Duration::from_secs(5))?;
//! lab.provider(0)?.silent(true);
//! let outage = stream.wait_until_via(1, Duration::from_secs(5))?;
//! # drop(daemon); Ok(()) }
//! ```
// The lab is made of threads, clocks and sockets; what clippy.toml forbids is forbidden to the library.
#![allow(clippy::disallowed_methods)]

use std::net::Ipv4Addr;

mod broker;
mod cleanup;
mod client;
mod conntrack;
mod directory;
mod dns;
mod echo;
mod enter;
mod error;
mod fault;
mod hotplug;
mod internet;
mod lab;
mod line;
mod message;
mod namespace;
mod netifd;
mod netifd_kernel;
mod netlink;
mod packet;
mod peer;
mod process;
mod provider;
mod responder;
mod router;
mod routing;
mod stream;
mod sys;
mod tcp;
mod timeline;
mod transfer;
mod ubus_object;
mod views;
mod wait;
mod watcher;

pub use broker::Broker;
pub use cleanup::at_signal;
pub use client::{Client, LAN_CLIENT, LAN_ROUTER};
pub use conntrack::{Connection, ConnectionTable, Tuple};
pub use echo::{Echo, Transport, ask};
pub use enter::{enter, is_unprivileged};
pub use error::{LabError, Result};
pub use fault::{Fault, Faults, HTTP_PORTS, Kind};
pub use hotplug::HotplugObject;
pub use internet::{ANY_HOST, LOGIN_HOST, LOGIN_PAGE, PAGE, WRONG_SOURCE};
pub use lab::{InitialDefault, Lab, LabConfig, Nat};
pub use line::{Answers, Arrival, Conditions, Count, Cut, EchoRequest, FullQueue, Seen};
pub use namespace::Namespace;
pub use netifd::{Manner, Netifd, Step};
pub use peer::{ECHO_PORT, PEER};
pub use process::{Capability, Confined, Finished, OutputLine, Process, SpawnOptions};
pub use provider::{Addresses, Provider};
pub use router::Router;
pub use routing::{MAIN, Route, RouteWrite, Rule, protocol};
pub use stream::{Flows, Stream};
pub use timeline::{Answer, Datagram, Timeline};
pub use transfer::{Progress, Transfer};
pub use views::KernelView;
pub use wait::{wait_for, wait_for_some};
pub use watcher::{DefaultRouteReport, DefaultRouteWatcher};

/// The anycast addresses that failoverd asks by itself. Providers answer for all others, too.
pub const TARGETS: [Ipv4Addr; 4] =
    [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(208, 67, 222, 222)];

/// The server that answers datagrams with the number of the provider they came through; answers echo requests too.
pub const STREAM_SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Its UDP port.
pub const STREAM_PORT: u16 = 7777;

/// Who sends the other traffic of a full queue.
pub const OTHER_SENDER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);
