//! The shell: everything that touches the world. It carries out actions and reports facts; it decides nothing.

#![allow(clippy::disallowed_methods)]

mod asker;
mod clean_up;
pub(crate) mod cli;
mod clock;
mod config;
mod conntrack;
mod daemon;
mod exec;
mod group;
mod hotplug;
mod instance;
mod logging;
mod netlink;
mod nft;
mod prober;
mod received;
mod record;
mod replace;
mod runtime;
mod socket;
mod start;
mod state;
#[cfg(test)]
mod testing;
mod ubus;
mod worker;

pub(crate) use start::{cleanup, run, validate};
