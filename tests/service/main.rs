//! What is installed on the router beside the program: the scripts, as busybox runs them, and the files that procd and ubusd read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

mod files;
mod init;
mod mail;
mod recover;
mod root;
