//! Not a test: keeps a lab, a daemon and the bridge running, for a person with a browser. README.md says how.

use std::time::Duration;

use lab::LabConfig;

use crate::bridge::Bridge;
use crate::bridge::access::User;
use crate::page::fixtures;
use crate::world::World;

#[test]
#[ignore = "for a person who wants to look at a page; ends with Ctrl-C"]
fn look() {
    let providers = std::env::var("PROVIDERS").map_or(3, |number| number.parse().unwrap());
    let world = World::new(LabConfig { providers, identical: false, ..LabConfig::default() });
    for provider in world.lab.providers() {
        provider.delay(Duration::from_millis(4 + 9 * u64::from(provider.number())), Duration::ZERO);
    }
    let _daemon = world.start();
    let bridge = Bridge::start(world.broker.path(), world.lab.dir(), &[fixtures()]);
    for page in ["admin/status/failover", "admin/network/failover", "admin/status/overview", "admin/harness/hello"] {
        println!("{}", bridge.url(User::Admin, page));
    }
    println!("as=reader in place of as=admin: a user who may not change anything.");
    println!("Configuration: {}, ubus: {}", world.config().display(), world.broker.path().display());
    println!("Cut and mend a line: echo 'cut 0' > {0}, echo 'mend 0' > {0}", world.lab.dir().join("do").display());
    loop {
        std::thread::sleep(Duration::from_millis(100));
        obey(&world);
    }
}

/// Does what somebody has written into the file `do`.
fn obey(world: &World) {
    let file = world.lab.dir().join("do");
    let Ok(text) = std::fs::read_to_string(&file) else { return };
    _ = std::fs::remove_file(&file);
    for line in text.lines() {
        let (word, number) = line.split_once(' ').unwrap_or((line, "0"));
        let Ok(provider) = world.lab.provider(number.trim().parse().unwrap_or(0)) else { continue };
        match word {
            "cut" => provider.silent(true),
            "mend" => provider.silent(false),
            "unplug" => provider.carrier(false).unwrap(),
            "plug" => provider.carrier(true).unwrap(),
            _ => println!("cut, mend, unplug or plug, and a number"),
        }
    }
}
