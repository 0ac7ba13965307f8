//! Stand-in until the event loop exists.

#![allow(dead_code)]

mod shell;

fn main() {}
