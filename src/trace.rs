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

#[cfg(feature = "simulate")]
mod line;
#[cfg(feature = "simulate")]
mod read;
mod record;
mod refusal;
#[cfg(feature = "simulate")]
mod report;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(feature = "simulate")]
#[cfg(test)]
mod tests;
#[cfg(feature = "simulate")]
mod words;
#[cfg(feature = "simulate")]
mod world;

use std::fmt;
use std::net::IpAddr;

pub use record::Recorder;
#[cfg(feature = "simulate")]
pub use {
    line::{Fate, Line},
    read::{Problem, Recorded, Trace, exercise},
    report::report,
    simulate::{Outcome, simulate},
};

use crate::question::Question;

/// What the first line begins with.
pub const FORMAT: &str = "failoverd-trace 1 ";

/// Stands for nothing.
const NONE: &str = "-";

/// What one line says. Names are those of providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// `provider NAME ID`: there is this one.
    Provider(&'a str, u8),
    /// `uplink NAME DEVICE NUMBER GATEWAY`, or `uplink NAME REASON`: what it resolves to from now on.
    Uplink(&'a str, Result<Way, &'a str>),
    /// `probe NAME NUMBER TYPE TARGET`: it was sent. The numbers grow.
    Probe(&'a str, u64, &'a str, &'a str),
    /// `answer NUMBER MICROSECONDS`: it was answered.
    Answer(u64, u32),
    /// `refused NUMBER CAUSE`: it has failed without being lost.
    Refused(u64, &'a str),
    /// `received NAME PACKETS GATEWAY`: counted at a judgement.
    Received(&'a str, Option<u32>, &'a str),
    /// `resolved NAME HOST SECONDS ADDRESS...`, or `resolved NAME HOST - CAUSE`.
    Resolved(&'a str, &'a str, &'a str),
    /// `before NAME`: was active when the run before ended.
    Before(&'a str),
    /// `active NAME`: is so from now on, without a switch.
    Active(Option<&'a str>),
    /// `switch FROM TO REASON`.
    Switch(Option<&'a str>, Option<&'a str>, &'a str),
    /// `pin NAME`, or `pin -`.
    Pin(Option<&'a str>),
    /// `check NAME`, or `check -`: somebody asked for it.
    Check(Option<&'a str>),
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

/// What a probe asks, as a trace has it: the type of its test, and whom.
fn asked(question: &Question) -> (&'static str, String) {
    match question {
        Question::Ping { target, .. } => ("ping", target.to_string()),
        Question::Tcp { server } => ("tcp", server.to_string()),
        Question::Dns { server, .. } => ("dns", server.to_string()),
        Question::Http { server, .. } => ("http", server.to_string()),
        Question::Arp { gateway } => ("arp", gateway.to_string()),
        Question::Exec { script, .. } => ("exec", script.replace(' ', "_")),
    }
}

impl fmt::Display for Fact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |name: Option<&'_ str>| name.unwrap_or(NONE).to_owned();
        match *self {
            Self::Provider(name, id) => write!(f, "provider {name} {id}"),
            Self::Uplink(name, Ok(Way { device, number, gateway })) => {
                let gateway = gateway.map(|gateway| gateway.to_string());
                write!(f, "uplink {name} {device} {number} {}", or_none(gateway.as_deref()))
            }
            Self::Uplink(name, Err(code)) => write!(f, "uplink {name} {code}"),
            Self::Probe(name, number, kind, target) => write!(f, "probe {name} {number} {kind} {target}"),
            Self::Answer(number, micros) => write!(f, "answer {number} {micros}"),
            Self::Refused(number, cause) => write!(f, "refused {number} {cause}"),
            Self::Received(name, packets, gateway) => {
                let packets = packets.map(|packets| packets.to_string());
                write!(f, "received {name} {} {gateway}", or_none(packets.as_deref()))
            }
            Self::Resolved(name, host, outcome) => write!(f, "resolved {name} {host} {outcome}"),
            Self::Before(name) => write!(f, "before {name}"),
            Self::Active(name) => write!(f, "active {}", or_none(name)),
            Self::Switch(from, to, code) => write!(f, "switch {} {} {code}", or_none(from), or_none(to)),
            Self::Pin(name) => write!(f, "pin {}", or_none(name)),
            Self::Check(name) => write!(f, "check {}", or_none(name)),
            Self::Reload => f.write_str("reload"),
            Self::Stop => f.write_str("stop"),
        }
    }
}
