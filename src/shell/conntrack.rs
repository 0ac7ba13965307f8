//! The kernel's connection tracking: forgets the connections of a provider that went down, so that their next packet starts a new one
//! through another provider. Fed by the event loop, over ctnetlink.

use std::net::IpAddr;

/// Forgets connections, without ever making the event loop wait.
#[derive(Debug, Default)]
pub(crate) struct Connections {}

impl Connections {
    /// Forgets every connection that leaves with one of these source addresses.
    pub(crate) fn forget(&mut self, addresses: Vec<IpAddr>) {
        log::debug!("connections of {addresses:?} would be forgotten");
    }
}
