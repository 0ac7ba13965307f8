//! Promise 6 and the like: what bad lines do not, and what must, lead to. The long runs are shortened; the bench has the full ones.

use std::time::Duration;

use lab::{Answers, LabConfig, Process, TARGETS};

use crate::world::{BRISK, FAST, SECOND, World, stays};

/// The failed checks of a provider must stay none, and traffic where it is, for `time`.
fn assert_steady(world: &World, daemon: &Process, time: Duration, why: &str) {
    let switched = |daemon: &Process| daemon.stderr().iter().any(|line| line.text.contains("switched"));
    stays(time, why, || !switched(daemon) && world.lab.active_provider().unwrap() == Some(0));
    let status = world.status_of(0);
    assert_eq!((&status["failed"], &status["state"]), (&0.into(), &"online".into()), "{why}: {status:#}");
    assert!(status["checks"].as_u64().unwrap() > time.as_secs() / 3, "{why}: it was checked all the time: {status:#}");
}

#[test]
fn thirty_per_cent_loss_is_no_reason_to_switch() {
    let world = World::new(LabConfig::default());
    world.configure(&world.lab.uci(&[]));
    let daemon = world.start();
    world.provider(0).loss(0.3, 0.0);
    assert_steady(&world, &daemon, 40 * SECOND, "30% lost, shipped settings");
    let loss = world.status_of(0)["loss_percent"].as_f64().unwrap();
    assert!((5.0..65.0).contains(&loss), "it is seen, and not made worse by bursts: {loss}");
    world.stop(&daemon);
}

#[test]
fn a_full_queue_is_no_reason_to_switch() {
    for settings in [&[][..], &FAST] {
        let world = World::new(LabConfig::default());
        world.configure(&world.lab.uci(settings));
        let daemon = world.start();
        // It was a quick line before: the wait must adapt, not the queue.
        std::thread::sleep(2 * SECOND);
        world.provider(0).full_queue(true);
        assert_steady(&world, &daemon, 15 * SECOND, &format!("a full queue, {settings:?}"));
        let latency = world.status_of(0)["latency_ms"].as_f64().unwrap();
        assert!(latency > 300.0, "it is seen: {latency}");
        world.stop(&daemon);
    }
}

#[test]
fn wrong_answers_never_count() {
    let wrong = [
        (Answers::WrongId, "lost"),
        (Answers::WrongSequence, "lost"),
        (Answers::WrongPayload, "lost"),
        (Answers::WrongSource, "lost"),
        (Answers::Unreachable, "192.168.1.1 says host unreachable"),
        (Answers::Late(10 * SECOND), "lost"),
    ];
    let world = World::new(LabConfig { providers: 7, ..LabConfig::default() });
    let daemon = world.start();
    for (number, (answers, _)) in (0..).zip(wrong) {
        world.provider(number).answers(answers);
    }
    for (number, (answers, reason)) in (0..).zip(wrong) {
        let status = world.wait_state(number, "offline");
        assert!(status["reason"].as_str().unwrap().contains(reason), "{answers:?}: {status:#}");
    }
    world.wait_route(6);
    stays(3 * SECOND, "all of them offline", || {
        (0..6).all(|number| world.lab.active_provider().unwrap() == Some(6) && number < 6)
    });
    for (number, (answers, _)) in (0..).zip(wrong) {
        assert_eq!(world.status_of(number)["state"], "offline", "{answers:?}");
        world.provider(number).heal();
    }
    world.wait_route(0);
    world.stop(&daemon);
}

#[test]
fn wrong_answers_do_not_count_at_the_start_either() {
    let world = World::new(LabConfig { providers: 3, ..LabConfig::default() });
    world.provider(0).answers(Answers::WrongPayload);
    world.provider(1).answers(Answers::WrongSource);
    let daemon = world.launch();
    world.wait_state(0, "offline");
    world.wait_state(1, "offline");
    world.wait_state(2, "online");
    world.wait_slots(&[(2, 2), (3, 0), (4, 1)]);
    world.stop(&daemon);
}

#[test]
fn a_dead_target_never_matters() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    for target in TARGETS.into_iter().take(3) {
        world.provider(0).target_dead(target, true);
        assert_steady(&world, &daemon, 4 * SECOND, &format!("{target} dead"));
    }
    world.stop(&daemon);
}

#[test]
fn late_answers_and_a_slow_line_are_fine() {
    let world = World::new(LabConfig::default());
    world.configure(&world.lab.uci(&BRISK));
    world.provider(0).delay(600 * SECOND / 1000, SECOND / 10);
    let daemon = world.start();
    assert_steady(&world, &daemon, 6 * SECOND, "a satellite");
    world.stop(&daemon);
}
