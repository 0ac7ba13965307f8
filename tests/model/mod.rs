//! A model of the world around the core, in virtual time: a kernel with Linux's routing semantics, lines that
//! answer probes or do not, and a decoder from bytes to events for fuzzing. Included by path in every test crate that needs it.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod bytes;
pub mod config;
pub mod fib;
pub mod kernel;
pub mod line;
pub mod lookup;
pub mod netifd;
pub mod world;

pub use config::{Config, provider};
pub use kernel::Kernel;
pub use line::Line;
pub use netifd::Netifd;
pub use world::World;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// `10.0.0.1`, without ceremony.
pub const fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// Milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}
