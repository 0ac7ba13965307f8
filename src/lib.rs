//! failoverd's decisions, pure: no clock, no socket, no file, no thread, no log. The map of the straight line:
//!
//! ```text
//! uci -> settings -> provider -> uplink -> probe -> reliability -> ranking -> route_plan -> (shell) -> kernel
//!                                                                     |
//!                                                                     +-> status, notice
//! ```
//!
//! `core::Core` holds the steps together: [`event::Event`]s in, [`event::Action`]s out.

pub mod event;
pub mod icmp;
pub mod kernel;
pub mod moment;
pub mod notice;
pub mod settings;
pub mod status;
pub mod uci;
