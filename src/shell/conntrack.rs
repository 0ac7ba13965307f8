//! The kernel's connection tracking: forgets the connections of a provider that went down, so that their next packet starts a new one
//! through another provider; and counts them. Fed by the event loop.
//!
//! A table of 50,000 entries takes a while to go through, so a thread does that; it is started for the first request and then sleeps.

mod entry;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use entry::{Marked, Sign};
use failoverd::event::{Census, Stranded};
use failoverd::kernel::Network;
use failoverd::order::ordered;
use table::{Tally, count, delete_marked, walk};

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
    /// Only UDP that the router itself has begun with one of these addresses, of this mark.
    own_datagrams: Option<Marked>,
}

/// What the thread is asked.
#[derive(Debug)]
enum Task {
    /// Forget these.
    Forget(Stranded),
    /// Count all.
    Count { signs: Vec<Sign>, inside: Vec<Network> },
}

/// Forgets and counts connections, without ever making the event loop wait.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    thread: Option<Worker<Task>>,
    answer: Arc<Mutex<Answer>>,
}

/// What the thread tells the event loop.
#[derive(Debug, Default)]
struct Answer {
    counts: Option<Counts>,
    waker: Option<Waker>,
}

/// Of each provider, then of nobody; `None`: they cannot be counted.
pub(crate) type Counts = Option<Vec<u32>>;

impl Connections {
    /// Forgets these connections. IPv4 only.
    pub(crate) fn forget(&mut self, stranded: Stranded) {
        self.leave(Task::Forget(stranded));
    }

    /// Counts all connections; [`Self::counted`] tells. False: they cannot be counted.
    pub(crate) fn count(&mut self, census: &Census) -> bool {
        let signs = census.providers.iter().map(|it| match it.address {
            _ if census.marked => Marked::new(it.mark).map_or(Sign::Nothing, Sign::Marked),
            Some(IpAddr::V4(address)) => Sign::Address(address),
            _ => Sign::Nothing,
        });
        self.leave(Task::Count { signs: signs.collect(), inside: census.inside.clone() })
    }

    /// Waits for what was counted. Cancel safe.
    pub(crate) async fn counted(&mut self) -> Counts {
        let told = std::future::poll_fn(|context| {
            let mut answer = lock(&self.answer);
            if let Some(counts) = answer.counts.take() {
                return Poll::Ready(counts);
            }
            answer.waker = Some(context.waker().clone());
            Poll::Pending
        });
        told.await
    }

    fn leave(&mut self, task: Task) -> bool {
        if self.thread.is_none() {
            let mut complained = false;
            let answer = Arc::clone(&self.answer);
            match Worker::start("conntrack", move |tasks| serve(tasks, &answer, &mut complained)) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => log::warn!("cannot start a thread to forget connections: {error}"),
            }
        }
        let Some(thread) = &self.thread else { return false };
        thread.leave(task);
        true
    }
}

fn lock(answer: &Mutex<Answer>) -> MutexGuard<'_, Answer> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves the requests that have come in together: first those that take one message. The complaint about a failure is made once: it will
/// be the same each time.
fn serve(tasks: Vec<Task>, answer: &Mutex<Answer>, complained: &mut bool) {
    let mut by_address = Search::default();
    let mut searches = Vec::new();
    let mut counts = Vec::new();
    let mut outcome = Ok(());
    for task in tasks {
        match task {
            Task::Forget(Stranded::Addresses { addresses, inside }) => {
                by_address.addresses.extend(ours(addresses));
                by_address.inside = inside;
            }
            Task::Forget(Stranded::Marked { mark, provider }) => {
                let Some(marked) = Marked::new(mark) else { continue };
                match delete_marked(marked) {
                    Ok(()) => {
                        log::info!("{provider}: forgot its connections (mark {:#x}/{:#x})", mark.value, mark.mask)
                    }
                    Err(error) => outcome = Err(error),
                }
            }
            Task::Forget(Stranded::OwnDatagrams { mark, addresses }) => {
                let addresses = ours(addresses);
                let own_datagrams = Marked::new(mark);
                searches.extend(own_datagrams.map(|_| Search { addresses, own_datagrams, ..Search::default() }));
            }
            Task::Count { signs, inside } => counts.push((signs, inside)),
        }
    }
    if !by_address.addresses.is_empty() {
        searches.push(by_address);
    }
    for mut search in searches {
        search.addresses = ordered(search.addresses, |address| *address);
        search.addresses.dedup();
        match forget(&search) {
            Ok(tallies) => tell(&search, &tallies),
            Err(error) => outcome = Err(error),
        }
    }
    match outcome {
        Ok(()) => *complained = false,
        Err(error) => {
            let level = if *complained { log::Level::Debug } else { log::Level::Warn };
            log::log!(level, "{}", complaint(&error));
            *complained = true;
        }
    }
    for (signs, inside) in counts {
        let counted = count(&signs, &inside);
        let mut answer = lock(answer);
        answer.counts = Some(counted.map_err(|error| log::debug!("cannot count connections: {error}")).ok());
        answer.waker.take().into_iter().for_each(Waker::wake);
    }
}

fn ours(addresses: Vec<IpAddr>) -> Vec<Ipv4Addr> {
    let of_version_4 = addresses.into_iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    of_version_4.collect()
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

fn tell(search: &Search, tallies: &[Tally]) {
    let what = if search.own_datagrams.is_some() { "the router's own exchanges" } else { "connections" };
    for (address, Tally { forgotten, held }) in search.addresses.iter().zip(tallies) {
        // Of the router's own many addresses most have nothing.
        let level = if *forgotten > 0 { log::Level::Info } else { log::Level::Debug };
        log::log!(level, "forgot {forgotten} {what} of address {address}");
        if *held > 0 {
            log::info!("the kernel holds on to {held} offloaded {what} of address {address} until they expire");
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
