//! The kernel's connection tracking: forgets the connections of a provider that went down, so that their next packet starts a new one
//! through another provider. Fed by the event loop.
//!
//! A table of 50,000 entries takes a while to go through, so a thread does that; it is started for the first request and then sleeps.

mod entry;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use failoverd::kernel::Network;
use failoverd::order::ordered;
use table::{Tally, walk};

use super::worker::Worker;

/// Packets of the old flows race with the switch, so the table is gone through until nothing is found, at most so often.
const WALKS: u32 = 3;

/// Which connections are to be forgotten.
#[derive(Debug, Default)]
struct Search {
    /// Those that leave with one of these source addresses, or came in to it.
    addresses: Vec<Ipv4Addr>,
    /// What came from these networks did not come in.
    inside: Vec<Network>,
}

/// Forgets connections, without ever making the event loop wait.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    thread: Option<Worker<Search>>,
}

impl Connections {
    /// Forgets every connection that leaves with one of these source addresses, or came in to one of them from elsewhere than these
    /// networks `inside`. IPv4 only.
    pub(crate) fn forget(&mut self, addresses: Vec<IpAddr>, inside: Vec<Network>) {
        let addresses = addresses.into_iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        if self.thread.is_none() {
            let mut complained = false;
            match Worker::start("conntrack", move |searches| serve(searches, &mut complained)) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => log::warn!("cannot start a thread to forget connections: {error}"),
            }
        }
        if let Some(thread) = &self.thread {
            thread.leave(Search { addresses: addresses.collect(), inside });
        }
    }
}

/// Serves the requests that have come in together. The complaint about a failure is made once: it will be the same each time.
fn serve(searches: Vec<Search>, complained: &mut bool) {
    let mut all = Search::default();
    for Search { addresses, inside } in searches {
        all.addresses.extend(addresses);
        all.inside = inside;
    }
    let mut search = Search { addresses: ordered(all.addresses, |address| *address), ..all };
    search.addresses.dedup();
    match forget(&search) {
        Ok(tallies) => {
            tell(&search.addresses, &tallies);
            *complained = false;
        }
        Err(error) => {
            let level = if *complained { log::Level::Debug } else { log::Level::Warn };
            log::log!(level, "{}", complaint(&error));
            *complained = true;
        }
    }
}

/// Goes through the table until nothing that is searched for is left; what became of the connections of each address.
fn forget(search: &Search) -> io::Result<Vec<Tally>> {
    let mut all = vec![Tally::default(); search.addresses.len()];
    for _ in 0..WALKS {
        let found = walk(search)?;
        for (sum, tally) in all.iter_mut().zip(&found.tallies) {
            sum.forgotten += tally.forgotten;
            sum.held = tally.held;
        }
        if !found.interrupted && found.tallies.iter().all(|tally| tally.forgotten == 0) {
            break;
        }
    }
    Ok(all)
}

fn tell(addresses: &[Ipv4Addr], tallies: &[Tally]) {
    for (address, Tally { forgotten, held }) in addresses.iter().zip(tallies) {
        let level = if *forgotten > 0 { log::Level::Info } else { log::Level::Debug };
        log::log!(level, "forgot {forgotten} connections of address {address}");
        if *held > 0 {
            log::info!("the kernel holds on to {held} offloaded connections of address {address} until they expire");
        }
    }
}

/// The kernel answers EINVAL where it has no ctnetlink.
fn complaint(error: &io::Error) -> String {
    let hint = match error.raw_os_error() {
        Some(libc::EINVAL | libc::EPROTONOSUPPORT | libc::ENOENT | libc::EOPNOTSUPP) => {
            "; the kernel module nf_conntrack_netlink is missing (OpenWrt: kmod-nf-conntrack-netlink)"
        }
        Some(libc::EPERM | libc::EACCES) => "; that takes CAP_NET_ADMIN",
        _ => "",
    };
    format!("cannot forget the connections of a provider that went down: {error}{hint}. They stay until they expire")
}
