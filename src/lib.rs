//! failoverd's decisions, pure: no clock, no socket, no file, no thread, no log. The map of the straight line:
//!
//! ```text
//! uci -> settings -> provider -> uplink -> probe -> reliability -> ranking -> route_plan -> (shell) -> kernel
//!                                                                     |
//!                                                                     +-> status, notice
//! ```
//!
//! `core::Core` holds the steps together: [`event::Event`]s in, [`event::Action`]s out.

pub mod advice;
pub mod cadence;
pub mod core;
pub mod dns;
pub mod draft;
pub mod event;
pub mod filter;
pub mod http;
pub mod icmp;
pub mod import;
pub mod init;
pub mod kernel;
pub mod member;
pub mod moment;
pub mod neighbours;
pub mod netifd;
pub mod notice;
pub mod order;
pub mod probe;
pub mod provider;
pub mod quality;
pub mod question;
pub mod random;
pub mod ranking;
pub mod reason;
pub mod recovery;
pub mod reliability;
pub mod route_plan;
pub mod sentence;
pub mod series;
pub mod settings;
pub mod status;
pub mod table;
pub mod takeover;
pub mod text;
pub mod trace;
pub mod ubus_call;
pub mod ubus_frame;
pub mod ubus_value;
pub mod uci;
pub mod uplink;
pub mod volume;
pub mod why;
