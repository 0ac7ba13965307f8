//! What a probe asks, ready to be put on the wire: made by `core::checks` from a test and an uplink, carried out by the shell's probers.

use std::net::{IpAddr, SocketAddr};

use crate::settings::Record;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// An ICMP echo request. Answers come as `Event::Icmp`, all others' as `Event::Answered`.
    Ping {
        /// Whom.
        target: IpAddr,
        /// Bytes of payload, at least 8.
        size: u16,
        /// Hops it may take.
        ttl: u8,
    },
    /// A connection, closed at once.
    Tcp {
        /// Whom.
        server: SocketAddr,
    },
    /// A DNS query over UDP.
    Dns {
        /// Whom.
        server: SocketAddr,
        /// For which name.
        name: String,
        /// For what.
        record: Record,
        /// What must be in the answer.
        expect: Option<IpAddr>,
    },
    /// An HTTP request: GET with `expect`, else HEAD.
    Http {
        /// Whom.
        server: SocketAddr,
        /// The `Host` field.
        host: String,
        /// The path, with its slash.
        path: String,
        /// The expected statuses.
        status: Vec<u16>,
        /// What the body must contain.
        expect: Option<String>,
    },
    /// A neighbour solicitation.
    Arp {
        /// Whom.
        gateway: IpAddr,
    },
    /// A script.
    Exec {
        /// Its path.
        script: String,
        /// What it finds in its environment.
        environment: Vec<(&'static str, String)>,
    },
}

impl Question {
    /// Bytes that asking it and a good answer put on the line, IP headers included; for what a script sends nothing is known.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Ping { size, .. } => 2 * (28 + u64::from(*size)),
            // SYN, SYN-ACK, RST with their options.
            Self::Tcp { .. } => 60 + 60 + 40,
            // Header, one question, one answer.
            Self::Dns { name, .. } => {
                let question = 28 + 12 + u64::try_from(name.len()).unwrap_or(0) + 6;
                question + question + 16
            }
            // Handshake, request, a small answer, FINs and acknowledgements.
            Self::Http { host, path, .. } => 700 + u64::try_from(host.len() + path.len()).unwrap_or(0),
            Self::Arp { .. } | Self::Exec { .. } => 0,
        }
    }
}
