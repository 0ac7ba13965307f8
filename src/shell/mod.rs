//! The shell: everything that touches the world. It carries out actions and reports facts; it decides nothing.

pub(crate) mod clock;
pub(crate) mod instance;
pub(crate) mod logging;
pub(crate) mod netlink;
pub(crate) mod prober;
pub(crate) mod received;
pub(crate) mod state;
#[cfg(test)]
pub(crate) mod testing;
