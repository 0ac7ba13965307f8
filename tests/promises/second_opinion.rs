//! Our ICMP prober and surge-ping, who know nothing of each other, must see the same line.

use std::time::Duration;

use lab::LabConfig;
use surge_ping::{Client, Config, PingIdentifier, PingSequence};

use crate::world::{SECOND, World};

/// The median round trip in milliseconds of `count` pings through `device`, by surge-ping. Inside the router.
fn surge_ping(device: &str, count: u16) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::new(&Config::builder().interface(device).build()).unwrap();
        let mut pinger = client.pinger("9.9.9.9".parse().unwrap(), PingIdentifier(0x5157)).await;
        pinger.timeout(SECOND);
        let mut trips = Vec::new();
        for number in 0..count {
            let (_, trip) = pinger.ping(PingSequence(number), &[7; 56]).await.unwrap();
            trips.push(trip);
        }
        trips.sort_unstable();
        trips[trips.len() / 2].as_secs_f64() * 1000.0
    })
}

#[test]
fn both_measure_the_same_latency() {
    let world = World::new(LabConfig::default());
    let delays = [20, 60];
    for (number, delay) in (0..).zip(delays) {
        world.provider(number).delay(Duration::from_millis(delay), Duration::ZERO);
    }
    let daemon = world.start();
    for (number, delay) in (0..).zip(delays) {
        let device = world.provider(number).device().to_owned();
        let theirs = world.lab.router().namespace().run(|| Ok(surge_ping(&device, 9))).unwrap();
        assert!(theirs >= delay as f64, "the line takes {delay} ms: {theirs}");
        // Smoothed over the busy machine's outliers, so it may need a few checks more.
        world.wait_status(&format!("{device}: {theirs:.1} ms, as surge-ping says"), |status| {
            let providers = status["providers"].as_array().unwrap();
            let ours = providers.iter().find(|it| it["name"] == device.as_str()).unwrap()["latency_ms"].as_f64();
            ours.is_some_and(|ours| ours >= delay as f64 && (ours - theirs).abs() < 10.0)
        });
    }
    world.stop(&daemon);
}
