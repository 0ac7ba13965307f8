//! What a stop would have undone, without a daemon: after `kill -9`, or by `failoverd cleanup`.
//!
//! Called by `start`; plans with the library's `route_plan::restore` until nothing is left to do.

use std::path::Path;

use failoverd::core::describe;
use failoverd::filter::REMOVE;
use failoverd::kernel::{Outcome, RouteChange};

use super::netlink::Kernel;
use super::{nft, state};

/// Takes everything of ours out of the kernel and puts everything back, as a stop would have. Tells how many changes that took.
pub(crate) fn clean_up(kernel: &mut Kernel, state_file: &Path) -> Result<usize, String> {
    /// Each round works on what the one before left; a healthy kernel needs two or three.
    const ROUNDS: usize = 10;
    let (mut state, damaged) = state::load(state_file);
    if let Some(error) = damaged {
        log::warn!("{error}");
    }
    let mut made = 0;
    let mut refused = Vec::new();
    for _ in 0..ROUNDS {
        let snapshot = kernel.snapshot(&[]).map_err(|error| error.to_string())?;
        let plan = failoverd::route_plan::restore(&snapshot, &state);
        (state.moved, state.sysctls) = (plan.moved, plan.sysctls);
        if plan.changes.is_empty() {
            if snapshot.filter.is_some() {
                nft::load_and_wait(REMOVE)
                    .map_err(|cause| format!("the table inet failover of nftables could not be removed: {cause}"))?;
                made += 1;
            }
            state::save(state_file, &state).map_err(|error| error.to_string())?;
            return Ok(made);
        }
        refused.clear();
        for change in plan.changes {
            match kernel.apply(&change) {
                Outcome::Done => made += 1,
                Outcome::Refused(cause) => refused.push(format!("{}: {cause}", describe(&change, &snapshot.links))),
                // Somebody replaced the route between the reading and the delete, which cannot name metric 0.
                Outcome::DeletedOther(hit) => drop(kernel.apply(&RouteChange::Append(*hit))),
            }
        }
    }
    state::save(state_file, &state).map_err(|error| error.to_string())?;
    Err(format!("{} changes could not be undone: {}", refused.len(), refused.join("; ")))
}
