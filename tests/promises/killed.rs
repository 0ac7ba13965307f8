//! `kill -9` at many random moments, and a new start: no datagram of a stream is disturbed, and never is there a moment without
//! a default route.
//!
//! "Disturbed" means: of a flow of one datagram each 2 ms, over lines that all work, without NAT, not one goes unanswered,
//! from before the first kill until after the last, though nearly every start moves the traffic to the other provider.

use std::time::{Duration, Instant};

use lab::{Flows, LabConfig};

use crate::world::{BRISK, SECOND, SOON, World};

/// xorshift64*: moments that are the same in every run.
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

#[test]
fn fifty_kills_disturb_nothing() {
    let world = World::alone(LabConfig { providers: 3, ..LabConfig::default() });
    let before = world.view();
    let mut moments = Moments(2026);
    let pinned = |pin: &str| world.lab.uci(&[&BRISK[..], &[("pin", pin)]].concat());
    let daemon = world.start();
    let stream = world.lab.client().stream(Duration::from_millis(2), Flows::One).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    let begin = Instant::now();
    world.never_without("fifty kills", || {
        daemon.kill().unwrap();
        let mut moved = 0;
        for round in 0..50 {
            world.configure(&pinned(["wan1", "wan2", "wan0"][round % 3]));
            let was = world.lab.active_provider().unwrap();
            let daemon = world.launch();
            // From before it has read anything until it is at work; mostly while it changes routes.
            std::thread::sleep(Duration::from_micros(moments.below(if round % 5 == 0 { 400_000 } else { 40_000 })));
            daemon.kill().unwrap();
            moved += usize::from(world.lab.active_provider().unwrap() != was);
        }
        assert!(moved >= 10, "only {moved} of the starts came to move traffic");
    });
    let end = Instant::now();
    let timeline = stream.stop(SECOND);
    assert_eq!(timeline.lost_between(begin, end), 0, "of {}", timeline.sent_between(begin, end).count());
    assert!(timeline.sent_between(begin, end).count() > 300);
    world.ask(&["cleanup"]);
    world.assert_as_before(&before, "fifty kills later");
}

#[test]
fn killed_while_it_takes_over_and_gives_back() {
    let world = World::new(LabConfig::default());
    let (router, mut moments) = (world.lab.router(), Moments(7));
    router.dhcp_default(world.provider(0), 0, lab::protocol::DHCP, false).unwrap();
    let append = router.default_route(world.provider(1)).protocol(lab::protocol::DHCP).mtu(1400);
    router.write(lab::RouteWrite::Append, &append).unwrap();
    world.lab.set_rp_filter(1).unwrap();
    let before = world.view();
    for round in 0..25 {
        let daemon = world.launch();
        std::thread::sleep(Duration::from_micros(moments.below(30_000)));
        if round % 2 == 1 {
            world.wait_slots(&[(2, 0), (3, 1)]);
            daemon.signal(libc::SIGTERM).unwrap();
            std::thread::sleep(Duration::from_micros(moments.below(10_000)));
        }
        // It may have ended by itself.
        daemon.kill().ok();
        world.ask(&["cleanup"]);
        world.assert_as_before(&before, &format!("round {round}"));
    }
}
