//! What netifd is asked to do with an interface, and what becomes of a refusal.

use failoverd::settings::Recover;
use lab::{Manner, Netifd};

use super::*;
use crate::shell::testing::logged;

fn complaints() -> Vec<String> {
    logged().into_iter().filter(|line| line.contains("has failed")).collect()
}

/// A netifd with the interface `wan`, and a connection that has found it.
async fn found(place: &Place) -> (Broker, Netifd, Bus) {
    logged();
    let broker = Broker::start(place);
    let netifd = Netifd::start(&place.socket()).unwrap();
    netifd.set(json!({ "interface": [{ "interface": "wan", "up": true, "autostart": true, "l3_device": "eth1" }] }));
    let mut bus = Bus::with_timing(&place.socket(), quick());
    bus.read_interfaces();
    drive_to(&mut bus, "a reading", |event| matches!(event, BusEvent::Interfaces(_))).await;
    (broker, netifd, bus)
}

#[tokio::test]
async fn netifd_is_asked_for_what_is_wanted() {
    let place = Place::new();
    let (_broker, netifd, mut bus) = found(&place).await;
    let whole = netifd.shown();
    bus.recover("wan", &Recover::Renew);
    bus.recover("wan", &Recover::Exec("/etc/script".into()));
    bus.recover("wan", &Recover::Restart);
    drive_until(&mut bus, "three calls", || netifd.calls().len() >= 3).await;
    drive_for(&mut bus, Duration::from_millis(200)).await;
    assert_eq!(netifd.calls(), ["renew wan", "down wan", "up wan"]);
    assert_eq!((netifd.shown(), complaints()), (whole, vec![]));
}

/// What is queued as one is written as one: ubusd has both before it can notice that the daemon is gone.
#[tokio::test]
async fn down_and_up_are_one_piece() {
    let place = Place::new();
    let (_broker, _netifd, mut bus) = found(&place).await;
    drive_for(&mut bus, Duration::from_millis(50)).await;
    let link = bus.link.as_mut().unwrap();
    assert!(link.write().unwrap() && link.out.is_empty(), "nothing else waits");
    bus.recover("wan", &Recover::Restart);
    let link = bus.link.as_mut().unwrap();
    let first = link.out.front().unwrap().to_vec();
    link.out.advance(first.len());
    assert!(link.out.is_empty(), "one piece");
    let mut reader = FrameReader::default();
    reader.push(&first);
    let methods: Vec<String> = std::iter::from_fn(|| reader.next_frame().unwrap())
        .map(|frame| match InboundMsg::parse(&frame) {
            Ok(InboundMsg::Invoke { method, .. }) => method.to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(methods, ["down", "up"]);
}

#[tokio::test]
async fn a_failure_is_told_once_until_it_works() {
    let place = Place::new();
    let (_broker, netifd, mut bus) = found(&place).await;
    for (manner, want) in [
        (Manner::Refusing(6), "ubusd refuses it: /usr/share/acl.d/failover.json must allow it"),
        (Manner::Silent, "netifd does not answer"),
    ] {
        netifd.manner(manner);
        for _ in 0..3 {
            let before = netifd.calls().len();
            bus.recover("wan", &Recover::Renew);
            drive_until(&mut bus, "the call", || netifd.calls().len() > before).await;
            drive_for(&mut bus, quick().request * 2).await;
        }
        let told = complaints();
        let loud: Vec<_> = told.iter().filter(|line| line.starts_with("WARN")).collect();
        assert_eq!(loud.len(), 1, "{told:?}");
        assert!(loud[0].contains("'renew'") && loud[0].contains(want), "{loud:?}");
        netifd.manner(Manner::Prompt);
        let before = netifd.calls().len();
        bus.recover("wan", &Recover::Renew);
        drive_until(&mut bus, "the call", || netifd.calls().len() > before).await;
        drive_for(&mut bus, Duration::from_millis(100)).await;
        assert_eq!(complaints(), Vec::<String>::new());
    }
    netifd.stop();
    let gone = |bus: &Bus| bus.link.as_ref().is_none_or(|link| link.following.netifd().is_none());
    let until = Instant::now() + Duration::from_secs(30);
    while !gone(&bus) {
        assert!(Instant::now() < until, "the loss of netifd is noticed");
        drive_for(&mut bus, Duration::from_millis(20)).await;
    }
    bus.recover("wan", &Recover::Restart);
    let told = complaints();
    assert!(told.len() == 1 && told[0].contains("netifd cannot be reached"), "{told:?}");
}
