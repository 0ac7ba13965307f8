//! Causes of refusals and results of look-ups, as they stand in a trace. Written by `record`, read again by `words`.

use super::NONE;
use crate::event::{Neighbour, Resolved};
use crate::reason::Refusal;

/// The cause in words of which the first one is enough to know its code.
pub(super) fn write_refusal(cause: &Refusal) -> String {
    match cause {
        Refusal::Unreachable { code, from } => format!("unreachable {code} {from}"),
        Refusal::NotSent(cause) => format!("not_sent {cause}"),
        Refusal::Portal { status, location } => {
            // Where exactly it leads to may hold what nobody else should know.
            let host = location.as_ref().and_then(|it| it.split('/').nth(2));
            format!("portal {status} {}", host.unwrap_or(NONE))
        }
        Refusal::Wrong(_) => "wrong_answer".to_owned(),
        Refusal::NoNeighbour(gateway) => format!("no_neighbour {gateway}"),
        Refusal::NoGateway => "no_gateway".to_owned(),
        Refusal::Script { status } => format!("script {}", status.unwrap_or(-1)),
    }
}

/// What a name leads to.
pub(super) fn write_resolved(outcome: &Result<Resolved, String>) -> String {
    match outcome {
        Ok(Resolved { addresses, ttl }) => {
            let mut text = ttl.as_secs().to_string();
            addresses.iter().for_each(|address| text += &format!(" {address}"));
            text
        }
        Err(cause) => format!("{NONE} {cause}"),
    }
}

/// A neighbour's state in a word; for how long it has been asked, in milliseconds, behind `asked`.
pub(super) fn neighbour_word(gateway: Neighbour) -> String {
    match gateway {
        Neighbour::Unknown => "unknown".to_owned(),
        Neighbour::Failed => "failed".to_owned(),
        Neighbour::Asked(time) => format!("asked{}", time.as_millis()),
        Neighbour::Reachable => "reachable".to_owned(),
    }
}
