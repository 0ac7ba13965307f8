//! Causes of refusals and results of look-ups, as they stand in a trace. Written by `record`, read again by `simulate`.

use std::time::Duration;

use super::{NONE, Words};
use crate::event::{Neighbour, Resolved};
use crate::reason::{Refusal, Wrong};

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

/// What does not make sense could not be sent.
pub(super) fn read_refusal(text: &str) -> Refusal {
    let words = &mut Words(text);
    let cause = match words.next() {
        Some("unreachable") => {
            words.number().zip(words.number()).map(|(code, from)| Refusal::Unreachable { code, from })
        }
        Some("portal") => {
            let (status, host) = (words.number().unwrap_or(0), words.name().flatten());
            Some(Refusal::Portal { status, location: host.map(|host| format!("http://{host}/")) })
        }
        Some("wrong_answer") => Some(Refusal::Wrong(Wrong::Garbage)),
        Some("no_neighbour") => words.number().map(Refusal::NoNeighbour),
        Some("no_gateway") => Some(Refusal::NoGateway),
        Some("script") => Some(Refusal::Script { status: words.number().filter(|status| *status >= 0) }),
        _ => None,
    };
    cause.unwrap_or_else(|| Refusal::NotSent(words.rest().to_owned()))
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

/// The inverse.
pub(super) fn read_resolved(text: &str) -> Result<Resolved, String> {
    let words = &mut Words(text);
    match words.number() {
        Some(ttl) => {
            let addresses = std::iter::from_fn(|| words.number()).collect();
            Ok(Resolved { addresses, ttl: Duration::from_secs(ttl) })
        }
        None => Err(words.rest().to_owned()),
    }
}

/// A neighbour's state in a word.
pub(super) fn neighbour_word(gateway: Neighbour) -> &'static str {
    match gateway {
        Neighbour::Unknown => "unknown",
        Neighbour::Failed => "failed",
        Neighbour::Reachable => "reachable",
    }
}

/// The inverse.
pub(super) fn read_neighbour(word: &str) -> Neighbour {
    match word {
        "failed" => Neighbour::Failed,
        "reachable" => Neighbour::Reachable,
        _ => Neighbour::Unknown,
    }
}
