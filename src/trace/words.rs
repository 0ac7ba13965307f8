//! The words of a trace's lines, taken apart again: what `Fact`'s `Display` and `refusal` have written.
//!
//! `read` and `simulate` ask.

use std::str::FromStr;
use std::time::Duration;

use super::{Fact, NONE, Way};
use crate::event::{Neighbour, Resolved};
use crate::reason::{Refusal, Wrong};

impl<'a> Fact<'a> {
    /// Reads what stands behind the time; `None`: it makes no sense.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let words = &mut Words(line);
        let fact = match words.next()? {
            "provider" => Self::Provider(words.next()?, words.number()?),
            "uplink" => {
                let (name, word) = (words.next()?, words.next()?);
                let way = match word.parse() {
                    Ok(device) => {
                        let (number, gateway) = (words.number()?, words.name()?);
                        Ok(Way { device, number, gateway: gateway.map(str::parse).transpose().ok()? })
                    }
                    Err(_) => Err(word),
                };
                Self::Uplink(name, way)
            }
            "probe" => Self::Probe(words.next()?, words.number()?, words.next()?, words.next()?),
            "answer" => Self::Answer(words.number()?, words.number()?),
            "refused" => Self::Refused(words.number()?, words.rest()),
            "received" => {
                let (name, packets) = (words.next()?, words.name()?);
                Self::Received(name, packets.and_then(|packets| packets.parse().ok()), words.next()?)
            }
            "resolved" => Self::Resolved(words.next()?, words.next()?, words.rest()),
            "before" => Self::Before(words.next()?),
            "active" => Self::Active(words.name()?),
            "switch" => Self::Switch(words.name()?, words.name()?, words.next()?),
            "pin" => Self::Pin(words.name()?),
            "check" => Self::Check(words.name()?),
            "reload" => Self::Reload,
            "stop" => Self::Stop,
            _ => return None,
        };
        Some(fact).filter(|_| words.0.is_empty())
    }
}

/// What is left of a line.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        Some(word).filter(|word| !word.is_empty())
    }

    /// A number or an address.
    fn number<T: FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    fn name(&mut self) -> Option<Option<&'a str>> {
        self.next().map(|word| Some(word).filter(|word| *word != NONE))
    }

    fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.0)
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

/// A neighbour's state.
pub(super) fn read_neighbour(word: &str) -> Neighbour {
    match word {
        "failed" => Neighbour::Failed,
        "reachable" => Neighbour::Reachable,
        _ => word
            .strip_prefix("asked")
            .and_then(|millis| millis.parse().ok())
            .map_or(Neighbour::Unknown, |millis| Neighbour::Asked(Duration::from_millis(millis))),
    }
}
