//! Scenarios in virtual time: what happens to the world, and what failoverd makes of it. Written to be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../model/mod.rs"]
mod model;

mod adversity;
mod advice;
mod cadence;
mod connections;
mod drain;
mod evidence;
mod kernel;
mod mark_pairs;
mod marks;
mod names;
mod netifd;
mod networks;
mod outage;
mod policy;
mod quality;
mod recover;
mod route;
mod scripts;
mod series;
mod silent_netifd;
#[cfg(feature = "simulate")]
mod simulate;
mod start;
mod sysctls;
mod targets;
mod tiers;
mod why;
mod why_traffic;

use model::{Config, World, secs};

/// `count` lines with fixed gateways that have all proved themselves.
fn healthy(count: u32, config: Config, seed: u64) -> World {
    proved(World::with_defaults(count, &[(0, 0)], seed), count, config)
}

/// The same of a world, whose traffic leaves by `wan0`.
fn proved(mut world: World, count: u32, config: Config) -> World {
    world.start(config.0);
    world.pass(secs(30));
    for name in (0..count).map(|index| char::from_u32(u32::from('a') + index).unwrap().to_string()) {
        assert_eq!(world.state_of(&name), "online", "{name}: {}", world.reason_of(&name));
    }
    assert_eq!(world.traffic(), "wan0");
    world.changes.clear();
    world.told.clear();
    world
}
