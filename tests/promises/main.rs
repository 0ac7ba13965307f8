//! The promises of the design (section 8), kept by the real daemon on a real kernel: the binary runs in the router of a lab,
//! and what came of it is judged by the kernel's own view, a stream of datagrams, and the command line.
//!
//! A module for each kind of promise; `world.rs` is what they stand on. Deadlines are generous: order and loss are tested here,
//! speed is the bench's business.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod adoption;
mod bus;
mod connections;
mod events;
mod gateway;
mod hindered;
mod init;
mod installed;
mod intruders;
mod killed;
mod kinds;
mod lines;
mod netifd;
mod never_without;
mod others;
mod page;
mod put_back;
mod quality;
mod scripts;
mod second_opinion;
mod series;
mod settings;
mod simulate;
mod start;
mod switching;
mod table;
mod why;
mod world;
