//! A trace: what the daemon was told and what it did, a fact per line, so that it can be done again with other settings.
//!
//! `record` makes it from the core's events and actions, `read` takes it in, `simulate` has the core live through it, `report` says what
//! came of that. The shell only writes and reads the file.
//!
//! The first line names the format, when the daemon started (nanoseconds of its clock) and the seed of its random numbers. Every other
//! one begins with the seconds since that start:
//!
//! ```text
//! failoverd-trace 1 81234567890 4711
//! 0.004321 provider fiber 1
//! 0.004321 uplink fiber 7 1 192.168.1.1
//! 0.009876 probe fiber 1 ping 1.1.1.1
//! 0.022222 answer 1 12346
//! ```

mod line;
mod read;
mod record;
mod report;
mod simulate;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

pub use line::{Fate, Line};
pub use read::{Problem, Recorded, Trace, exercise};
pub use record::Recorder;
pub use report::report;
pub use simulate::{Outcome, Switched, simulate};

use crate::event::{Neighbour, ProviderId, Resolved};
use crate::question::Question;
use crate::reason::{Refusal, Wrong};

/// What the first line begins with.
pub const FORMAT: &str = "failoverd-trace 1 ";

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `provider NAME ID`: there is this one.
    Provider(String, ProviderId),
    /// `uplink NAME DEVICE NUMBER GATEWAY`, or `uplink NAME REASON`: what a provider resolves to from now on.
    Uplink(String, Result<Way, String>),
    /// `probe NAME NUMBER KIND TARGET`: the numbers grow.
    Probe {
        /// Of which provider.
        provider: String,
        /// Which one.
        number: u64,
        /// The type of its test.
        kind: String,
        /// Whom it asks.
        target: String,
    },
    /// `answer NUMBER MICROSECONDS`.
    Answer(u64, Duration),
    /// `refused NUMBER CAUSE ...`: it has failed without being lost.
    Refused(u64, Refusal),
    /// `received NAME PACKETS GATEWAY`: counted at a judgement.
    Received(String, Option<u32>, Neighbour),
    /// `resolved NAME HOST SECONDS ADDRESS...`, or `resolved NAME HOST - CAUSE`.
    Resolved(String, String, Result<Resolved, String>),
    /// `before NAME`: who was active when the run before ended.
    Before(String),
    /// `active NAME`: is so from now on, without a switch.
    Active(Option<String>),
    /// `switch FROM TO REASON`.
    Switch {
        /// The provider before.
        from: Option<String>,
        /// The provider now.
        to: Option<String>,
        /// The code of the reason.
        code: String,
    },
    /// `pin NAME`, or `pin -`.
    Pin(Option<String>),
    /// `check NAME`, or `check -`: somebody asked for it.
    Check(Option<String>),
    /// `reload`: the configuration was read again.
    Reload,
    /// `stop`.
    Stop,
}

/// A provider's way out, as far as it matters whether it stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The device's index.
    pub device: u32,
    /// Grows with every change of the provider's device, address or gateway.
    pub number: u32,
    /// The gateway.
    pub gateway: Option<IpAddr>,
}

/// What a probe asks, as a trace has it: its type, and whom.
fn words(question: &Question) -> (&'static str, String) {
    let (kind, target) = match question {
        Question::Ping { target, .. } => ("ping", target.to_string()),
        Question::Tcp { server } => ("tcp", server.to_string()),
        Question::Dns { server, .. } => ("dns", server.to_string()),
        Question::Http { server, .. } => ("http", server.to_string()),
        Question::Arp { gateway } => ("arp", gateway.to_string()),
        Question::Exec { script, .. } => ("exec", script.replace(char::is_whitespace, "_")),
    };
    (kind, if target.is_empty() { NONE.to_owned() } else { target })
}

/// Stands for nothing.
const NONE: &str = "-";

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn or_none<T: fmt::Display>(value: &Option<T>) -> &dyn fmt::Display {
            value.as_ref().map_or(&NONE, |value| value)
        }
        match self {
            Self::Provider(name, id) => write!(f, "provider {name} {}", id.0),
            Self::Uplink(name, Ok(Way { device, number, gateway })) => {
                write!(f, "uplink {name} {device} {number} {}", or_none(gateway))
            }
            Self::Uplink(name, Err(code)) => write!(f, "uplink {name} {code}"),
            Self::Probe { provider, number, kind, target } => write!(f, "probe {provider} {number} {kind} {target}"),
            Self::Answer(number, latency) => write!(f, "answer {number} {}", latency.as_micros()),
            Self::Refused(number, cause) => {
                write!(f, "refused {number} ")?;
                match cause {
                    Refusal::Unreachable { code, from } => write!(f, "unreachable {code} {from}"),
                    Refusal::NotSent(cause) => write!(f, "not_sent {cause}"),
                    Refusal::Portal { status, location } => {
                        // Where it leads to may hold what nobody else should know.
                        let host = location.as_ref().and_then(|it| it.split('/').nth(2));
                        write!(f, "portal {status} {}", host.filter(|it| !it.is_empty()).unwrap_or(NONE))
                    }
                    Refusal::Wrong(_) => f.write_str("wrong_answer"),
                    Refusal::NoNeighbour(gateway) => write!(f, "no_neighbour {gateway}"),
                    Refusal::NoGateway => f.write_str("no_gateway"),
                    Refusal::Script { status } => write!(f, "script {}", status.unwrap_or(-1)),
                }
            }
            Self::Received(name, packets, gateway) => {
                let gateway = match gateway {
                    Neighbour::Unknown => "unknown",
                    Neighbour::Failed => "failed",
                    Neighbour::Reachable => "reachable",
                };
                write!(f, "received {name} {} {gateway}", or_none(packets))
            }
            Self::Resolved(provider, name, Ok(Resolved { addresses, ttl })) => {
                write!(f, "resolved {provider} {name} {}", ttl.as_secs())?;
                addresses.iter().try_for_each(|address| write!(f, " {address}"))
            }
            Self::Resolved(provider, name, Err(cause)) => write!(f, "resolved {provider} {name} {NONE} {cause}"),
            Self::Before(name) => write!(f, "before {name}"),
            Self::Active(name) => write!(f, "active {}", or_none(name)),
            Self::Switch { from, to, code } => write!(f, "switch {} {} {code}", or_none(from), or_none(to)),
            Self::Pin(name) => write!(f, "pin {}", or_none(name)),
            Self::Check(name) => write!(f, "check {}", or_none(name)),
            Self::Reload => f.write_str("reload"),
            Self::Stop => f.write_str("stop"),
        }
    }
}

impl Fact {
    /// Reads what stands behind the time; `None`: it makes no sense.
    fn read(line: &str) -> Option<Self> {
        let words = &mut Words(line);
        let fact = match words.next()? {
            "provider" => Self::Provider(words.text()?, ProviderId(words.number()?)),
            "uplink" => {
                let (name, word) = (words.text()?, words.next()?);
                Self::Uplink(
                    name,
                    match word.parse() {
                        Ok(device) => Ok(Way { device, number: words.number()?, gateway: words.unless_none()? }),
                        Err(_) => Err(word.to_owned()),
                    },
                )
            }
            "probe" => Self::Probe {
                provider: words.text()?,
                number: words.number()?,
                kind: words.text()?,
                target: words.text()?,
            },
            "answer" => Self::Answer(words.number()?, Duration::from_micros(words.number()?)),
            "refused" => Self::Refused(words.number()?, words.refusal()?),
            "received" => Self::Received(
                words.text()?,
                words.unless_none()?,
                match words.next()? {
                    "failed" => Neighbour::Failed,
                    "reachable" => Neighbour::Reachable,
                    _ => Neighbour::Unknown,
                },
            ),
            "resolved" => {
                let (provider, name) = (words.text()?, words.text()?);
                let outcome = match words.unless_none()? {
                    None => Err(words.rest()),
                    Some(ttl) => {
                        let mut addresses = Vec::new();
                        while !words.0.is_empty() {
                            addresses.push(words.number()?);
                        }
                        Ok(Resolved { addresses, ttl: Duration::from_secs(ttl) })
                    }
                };
                Self::Resolved(provider, name, outcome)
            }
            "before" => Self::Before(words.text()?),
            "active" => Self::Active(words.unless_none()?),
            "switch" => Self::Switch { from: words.unless_none()?, to: words.unless_none()?, code: words.text()? },
            "pin" => Self::Pin(words.unless_none()?),
            "check" => Self::Check(words.unless_none()?),
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

    fn text(&mut self) -> Option<String> {
        self.next().map(str::to_owned)
    }

    /// A number or an address.
    fn number<T: FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    fn unless_none<T: FromStr>(&mut self) -> Option<Option<T>> {
        match self.next()? {
            NONE => Some(None),
            word => word.parse().ok().map(Some),
        }
    }

    fn rest(&mut self) -> String {
        std::mem::take(&mut self.0).to_owned()
    }

    fn refusal(&mut self) -> Option<Refusal> {
        Some(match self.next()? {
            "unreachable" => Refusal::Unreachable { code: self.number()?, from: self.number()? },
            "not_sent" => Refusal::NotSent(self.rest()),
            "portal" => {
                let (status, host): (_, Option<String>) = (self.number()?, self.unless_none()?);
                Refusal::Portal { status, location: host.map(|host| format!("http://{host}/")) }
            }
            "wrong_answer" => Refusal::Wrong(Wrong::Garbage),
            "no_neighbour" => Refusal::NoNeighbour(self.number()?),
            "no_gateway" => Refusal::NoGateway,
            "script" => Refusal::Script { status: self.number().filter(|status| *status >= 0) },
            _ => return None,
        })
    }
}
