//! The configuration files beside ours: what `/etc/config/network`, `wireless` and `firewall` say about the lines to the internet.
//!
//! Filled by the shell with the files' text; `init` finds the WANs in them, `advice` looks for what keeps a provider from working.

pub mod firewall;
pub mod network;
pub mod protocol;

pub use firewall::{Firewall, Zone};
pub use network::{Configured, Network};
pub use protocol::Protocol;

use crate::uci::{self, File};

/// What is known of them. A file that is not there, or that libuci would refuse, is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// `/etc/config/network`, with what `wireless` adds to it.
    pub network: Option<Network>,
    /// `/etc/config/firewall`; `None` too if it has no zones.
    pub firewall: Option<Firewall>,
}

/// A file's path, for messages, and its text.
pub type Text<'a> = (&'a str, &'a [u8]);

impl Neighbours {
    /// Reads them.
    pub fn parse(network: Option<Text<'_>>, wireless: Option<Text<'_>>, firewall: Option<Text<'_>>) -> Self {
        let wireless = wireless.and_then(usable).map(|(_, file)| file).unwrap_or_default();
        Self {
            network: network.and_then(usable).map(|(path, file)| Network::read(path, &file, &wireless)),
            firewall: firewall
                .and_then(usable)
                .map(|(path, file)| Firewall::read(path, &file))
                .filter(|firewall| !firewall.zones.is_empty()),
        }
    }
}

fn usable<'a>((path, text): Text<'a>) -> Option<(&'a str, File)> {
    let file = uci::parse(text);
    file.errors.is_empty().then_some((path, file))
}
