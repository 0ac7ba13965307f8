//! LuCI's pages in a real browser, against the real daemon in a lab: what they show is live, what they ask goes through a bridge to the
//! lab's broker. README.md here says how to run one test and how to look at a page by hand.
//!
//! * `page.rs` is what the tests stand on: `world.rs` of the promises, `bridge.rs` and `browser.rs`.
//! * `harness.rs`, `rights.rs` and `uci.rs` test these, `conformance.rs` the stand-in of LuCI's runtime (`runtime/`); the other modules
//!   test the pages.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bridge;
mod browser;
mod conformance;
mod harness;
mod look;
mod page;
mod rights;
mod settings;
mod status;
mod traffic;
mod trouble;
mod uci;
#[allow(dead_code, reason = "the promises ask more of it")]
#[path = "../promises/world.rs"]
mod world;
