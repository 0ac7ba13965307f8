//! Following netifd, through its own restarts, slowness and nonsense and those of the broker.

use failoverd::netifd::DefaultRoute;
use lab::{Manner, Netifd};

use super::*;
use crate::shell::testing::logged;

fn dump(gateway: &str) -> Value {
    json!({ "interface": [{
        "interface": "wan", "up": true, "pending": false, "autostart": true, "proto": "dhcp",
        "l3_device": "eth1", "device": "eth1", "ipv4-address": [{ "address": "192.0.2.2", "mask": 24 }],
        "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": gateway, "source": "192.0.2.2/32" }],
        "dns-server": ["192.0.2.53"],
    }] })
}

fn gateway(interfaces: &[Interface]) -> Option<String> {
    match interfaces.first()?.default_route? {
        DefaultRoute::Via(gateway) => Some(gateway.to_string()),
        DefaultRoute::Direct => None,
    }
}

/// Drives the connection until the interfaces are read with this gateway.
async fn read_until(bus: &mut Bus, wanted: &str) -> Duration {
    let began = Instant::now();
    let seen = async {
        loop {
            if let BusEvent::Interfaces(interfaces) = bus.next().await
                && gateway(&interfaces).as_deref() == Some(wanted)
            {
                return began.elapsed();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.unwrap_or_else(|_| panic!("{wanted} in time"))
}

fn readings(told: &[BusEvent]) -> usize {
    told.iter().filter(|event| matches!(event, BusEvent::Interfaces(_))).count()
}

/// The lines from warnings on.
fn warnings() -> Vec<String> {
    logged().into_iter().filter(|line| line.starts_with("WARN") || line.starts_with("ERROR")).collect()
}

/// A broker, a netifd with a gateway, and a connection that has read it.
async fn following(place: &Place, timing: Timing) -> (Broker, Netifd, Bus) {
    logged();
    let broker = Broker::start(place);
    let netifd = Netifd::start(&place.socket()).unwrap();
    netifd.set(dump("192.0.2.1"));
    let mut bus = Bus::with_timing(&place.socket(), timing);
    bus.read_interfaces();
    read_until(&mut bus, "192.0.2.1").await;
    (broker, netifd, bus)
}

#[tokio::test]
async fn every_hint_makes_the_interfaces_be_read() {
    let place = Place::new();
    let (_broker, netifd, mut bus) = following(&place, quick()).await;
    // The subscription is answered before the first reading.
    let named = json!({ "interface": "wan" }).as_object().cloned().unwrap();
    for (hint, wanted) in [
        ((&|| netifd.notify("interface.update", &named)) as &dyn Fn(), "192.0.2.11"),
        (&|| netifd.notify("interface.down", &named), "192.0.2.12"),
        (&|| netifd.event(&named), "192.0.2.13"),
        (&|| netifd.announce("wan", true), "192.0.2.14"),
    ] {
        netifd.set(dump(wanted));
        hint();
        let after = read_until(&mut bus, wanted).await;
        assert!(after < Duration::from_millis(500), "{wanted} only after {after:?}");
    }
    // A change that nobody told is found when the core asks.
    netifd.set(dump("192.0.2.15"));
    assert_eq!(readings(&drive_for(&mut bus, Duration::from_millis(100)).await), 0);
    bus.read_interfaces();
    read_until(&mut bus, "192.0.2.15").await;
    assert_eq!(warnings(), Vec::<String>::new());
}

#[tokio::test]
async fn netifd_is_left_alone_until_somebody_asks() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let netifd = Netifd::start(&place.socket()).unwrap();
    let mut bus = Bus::with_timing(&place.socket(), quick());
    connected(&mut bus).await;
    netifd.announce("wan", true);
    assert_eq!(readings(&drive_for(&mut bus, Duration::from_millis(100)).await), 0);
    assert_eq!(netifd.dumps(), 0);
    bus.read_interfaces();
    drive_until(&mut bus, "a reading", || netifd.dumps() == 1).await;
}

#[tokio::test]
async fn hints_during_a_reading_make_one_more() {
    let place = Place::new();
    let (_broker, netifd, mut bus) = following(&place, Timing::default()).await;
    let before = netifd.dumps();
    netifd.manner(Manner::Slow(Duration::from_millis(150)));
    netifd.announce("wan", true);
    drive_until(&mut bus, "a reading to begin", || netifd.dumps() == before + 1).await;
    (0..50).for_each(|_| netifd.announce("wan", true));
    let is_reading = |event: &BusEvent| matches!(event, BusEvent::Interfaces(_));
    for which in ["the reading", "one more"] {
        drive_to(&mut bus, which, is_reading).await;
    }
    let told = drive_for(&mut bus, Duration::from_millis(400)).await;
    assert_eq!((readings(&told), netifd.dumps()), (0, before + 2));
}

#[tokio::test]
async fn a_storm_of_notifications_is_read_in_peace() {
    let place = Place::new();
    let (_broker, netifd, mut bus) = following(&place, quick()).await;
    let (before, began) = (netifd.dumps(), Instant::now());
    let storm = std::thread::spawn(move || {
        (0..5_000).for_each(|_| netifd.announce("wan", true));
        netifd.set(dump("192.0.2.99"));
        netifd.announce("wan", true);
        netifd
    });
    read_until(&mut bus, "192.0.2.99").await;
    let netifd = storm.join().unwrap();
    let (readings, limit) = (netifd.dumps() - before, began.elapsed().as_millis() / 20 + 2);
    assert!(u128::from(readings) <= limit, "10,000 hints: {readings} readings, {limit} allowed");
    assert_eq!(bus.connection, 0, "still the first connection");
}

#[tokio::test]
async fn a_restarted_netifd_is_found_again() {
    let place = Place::new();
    let (_broker, netifd, mut bus) = following(&place, quick()).await;
    // It ends in the middle of a reading.
    let dumps = netifd.dumps();
    netifd.manner(Manner::Silent);
    netifd.announce("wan", true);
    drive_until(&mut bus, "a reading that nobody will answer", || netifd.dumps() > dumps).await;
    netifd.stop();
    for wanted in ["192.0.2.21", "192.0.2.22"] {
        let netifd = Netifd::start(&place.socket()).unwrap();
        netifd.set(dump(wanted));
        netifd.announce("wan", true);
        read_until(&mut bus, wanted).await;
        netifd.stop();
    }
    assert_eq!(warnings(), Vec::<String>::new(), "a restart is nobody's concern");
}

#[tokio::test]
async fn after_a_restart_of_the_broker_netifd_is_followed_as_before() {
    let place = Place::new();
    let (mut broker, netifd, mut bus) = following(&place, quick()).await;
    for wanted in ["192.0.2.31", "192.0.2.32"] {
        drop(broker);
        netifd.set(dump(wanted));
        broker = Broker::start(&place);
        read_until(&mut bus, wanted).await;
        drive_for(&mut bus, Duration::from_millis(100)).await;
        assert_eq!(warnings().len(), 1, "one line for the outage");
    }
    netifd.set(dump("192.0.2.33"));
    netifd.announce("wan", true);
    read_until(&mut bus, "192.0.2.33").await;
    drop(broker);
}

#[tokio::test]
async fn a_hanging_broker_is_blamed_and_netifd_is_not() {
    let place = Place::new();
    // Not noticed by mere silence, but by a reading without an answer.
    let timing = Timing { idle: Duration::from_secs(30), ..quick() };
    let (broker, netifd, mut bus) = following(&place, timing).await;
    broker.hang(true);
    netifd.set(dump("192.0.2.41"));
    let began = Instant::now();
    (0..1000).for_each(|_| bus.read_interfaces());
    assert!(began.elapsed() < Duration::from_secs(1), "nothing waits");
    let mut told = drive_to(&mut bus, "the loss", |event| matches!(event, BusEvent::Disconnected(_))).await;
    told.extend(drive_for(&mut bus, Duration::from_millis(1000)).await);
    let lost = told.iter().filter(|event| matches!(event, BusEvent::Disconnected(_))).count();
    assert_eq!((lost, readings(&told)), (1, 0), "{told:?}");
    let lines = warnings();
    assert!(lines.len() == 1 && lines[0].contains("ubusd does not answer"), "{lines:?}");
    broker.hang(false);
    read_until(&mut bus, "192.0.2.41").await;
}

#[tokio::test]
async fn a_missing_netifd_is_told_once_and_found_when_it_comes() {
    let place = Place::new();
    logged();
    let _broker = Broker::start(&place);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    bus.read_interfaces();
    assert_eq!(readings(&drive_for(&mut bus, Duration::from_millis(1500)).await), 0);
    let lines = warnings();
    assert!(lines.len() == 1 && lines[0].contains("netifd") && lines[0].contains("acl.d/failover.json"), "{lines:?}");
    let netifd = Netifd::start(&place.socket()).unwrap();
    netifd.set(dump("192.0.2.51"));
    netifd.announce("wan", true);
    read_until(&mut bus, "192.0.2.51").await;
    let lines = logged();
    assert!(lines.len() == 1 && lines[0].contains("read again"), "{lines:?}");
}

#[tokio::test]
async fn what_this_user_may_not_see_is_told_once() {
    let place = Place::new();
    logged();
    let _broker = Broker::start(&place);
    let mut hidden = Peer::connect(&place.socket());
    let mut body = EnvBuilder::new();
    // Without methods it is found and not shown, as where the ACL forbids them all.
    body.push_str(UbusAttr::ObjPath, "network.interface");
    assert_eq!(hidden.ask(&Frame::to_broker(MsgType::AddObject, 2, body.finish())).2, 0);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    bus.read_interfaces();
    drive_for(&mut bus, Duration::from_millis(1500)).await;
    let lines = warnings();
    assert!(lines.len() == 1 && lines[0].contains("acl.d/failover.json"), "{lines:?}");
}

#[tokio::test]
async fn answers_that_are_none_are_dropped_and_told_once() {
    for (manner, word) in [
        (Manner::Refusing(6), "acl.d/failover.json"),
        (Manner::Refusing(9), "unknown error"),
        (Manner::Silent, "netifd does not answer"),
        (Manner::Garbage(vec![1, 2, 3, 4, 5]), "cannot be read"),
        (Manner::Garbage(vec![]), "no list"),
        (Manner::Garbage(vec![0x85, 0, 0, 0xff, 0, 1, b'x', 0]), "cannot be read"),
        (Manner::Garbage(BlobMsgTable::build(|it| it.put_i32(Some("interface"), 5)).contents().to_vec()), "no list"),
    ] {
        let place = Place::new();
        let (_broker, netifd, mut bus) = following(&place, quick()).await;
        netifd.manner(manner.clone());
        netifd.set(dump("192.0.2.61"));
        netifd.announce("wan", true);
        let told = drive_for(&mut bus, Duration::from_millis(1200)).await;
        assert_eq!(readings(&told), 0, "{manner:?}");
        let lines = warnings();
        assert!(lines.len() == 1 && lines[0].contains(word), "{manner:?}: {lines:?}");
        netifd.manner(Manner::Prompt);
        read_until(&mut bus, "192.0.2.61").await;
    }
}

#[tokio::test]
async fn a_slow_netifd_is_waited_for_longer() {
    let place = Place::new();
    let (_broker, netifd, mut bus) = following(&place, quick()).await;
    netifd.manner(Manner::Slow(quick().request * 2));
    netifd.set(dump("192.0.2.71"));
    netifd.announce("wan", true);
    read_until(&mut bus, "192.0.2.71").await;
}

/// A broker that refuses our object, or notifications and events, and has a netifd. If it refuses no hints, netifd ends after each
/// reading, and nothing else tells of its return. For as many look-ups as `blind` it hides netifd and refuses hints.
fn refusing(place: &Place, object: bool, hints: bool, mut blind: u32) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(place.socket()).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut peer = Peer { stream, reader: FrameReader::default() };
        peer.stream.write_all(&[0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 4]).unwrap();
        while let Some(frame) = peer.try_receive() {
            let named = ubus::envelope::find(&frame.payload, UbusAttr::ObjPath).is_some();
            let dumped = frame.hdr.peer == 4711;
            let found = frame.hdr.ty != MsgType::Lookup || blind == 0;
            let hints = hints || blind > 0;
            let status = match frame.hdr.ty {
                MsgType::Lookup => {
                    blind = blind.saturating_sub(1);
                    0
                }
                MsgType::AddObject if named && object => 2,
                MsgType::Subscribe if hints => 4,
                MsgType::Invoke if hints && !dumped => 6,
                _ => 0,
            };
            let (mut data, mut end) = (EnvBuilder::new(), EnvBuilder::new());
            data.push_u32(UbusAttr::ObjId, 4711);
            if dumped {
                data.push_data(ubus_value::encode(dump("192.0.2.81").as_object().unwrap()).unwrap().contents());
            }
            end.push_i32(UbusAttr::Status, status);
            let reply = |kind, body: EnvBuilder| {
                Codec::write_frame(&Frame::to_peer(kind, frame.hdr.seq, frame.hdr.peer, body.finish()))
            };
            let mut answer = if status == 0 && found { reply(MsgType::Data, data) } else { vec![] };
            answer.extend(reply(MsgType::Status, end));
            if dumped && !hints {
                let mut gone = EnvBuilder::new();
                gone.push_u32(UbusAttr::Target, 4711);
                answer.extend(Codec::write_frame(&Frame::to_broker(MsgType::Unsubscribe, 1, gone.finish())));
            }
            // The other side may be gone by now.
            if peer.stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

#[tokio::test]
async fn following_needs_neither_our_object_nor_hints() {
    for (object, hints, word, why) in [
        (true, false, "refuses the object", "our object"),
        (true, true, "refuses the object", "everything but 'dump': the same cause, so the same line"),
        (false, true, "ubus.object.add, notifications (permission denied)", "hints alone"),
    ] {
        let place = Place::new();
        logged();
        let thread = refusing(&place, object, hints, 0);
        let mut bus = Bus::with_timing(&place.socket(), quick());
        bus.read_interfaces();
        read_until(&mut bus, "192.0.2.81").await;
        if hints {
            bus.read_interfaces();
        }
        read_until(&mut bus, "192.0.2.81").await;
        drive_for(&mut bus, Duration::from_millis(500)).await;
        let lines = warnings();
        assert!(lines.len() == 1 && lines[0].contains(word), "{why}: {lines:?}");
        assert!(lines[0].contains("/usr/share/acl.d/failover.json"), "{lines:?}");
        assert_eq!(bus.connection, 0, "on the same connection");
        drop(bus);
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn rights_that_come_later_are_used() {
    let place = Place::new();
    logged();
    let thread = refusing(&place, false, false, 3);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    bus.read_interfaces();
    read_until(&mut bus, "192.0.2.81").await;
    assert_eq!(warnings(), Vec::<String>::new(), "events are listened for by now");
    assert_eq!(bus.connection, 0, "on the same connection");
    drop(bus);
    thread.join().unwrap();
}

/// ubusd takes every subscription as a further one, even of the same object.
#[tokio::test]
async fn a_netifd_that_refuses_is_subscribed_to_once() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut peer = Peer { stream, reader: FrameReader::default() };
        peer.stream.write_all(&[0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 4]).unwrap();
        let (mut subscriptions, mut dumps) = (0, 0);
        while let Some(frame) = peer.try_receive() {
            subscriptions += u32::from(frame.hdr.ty == MsgType::Subscribe);
            let dump = frame.hdr.peer == 4711;
            dumps += u32::from(dump);
            let (mut data, mut end) = (EnvBuilder::new(), EnvBuilder::new());
            data.push_u32(UbusAttr::ObjId, 4711);
            end.push_i32(UbusAttr::Status, if dump { 6 } else { 0 });
            let reply = |kind, body: EnvBuilder| {
                Codec::write_frame(&Frame::to_peer(kind, frame.hdr.seq, frame.hdr.peer, body.finish()))
            };
            let answer = [reply(MsgType::Data, data), reply(MsgType::Status, end)].concat();
            if peer.stream.write_all(&answer).is_err() {
                break;
            }
        }
        (subscriptions, dumps)
    });
    let mut bus = Bus::with_timing(&place.socket(), quick());
    bus.read_interfaces();
    assert_eq!(readings(&drive_for(&mut bus, Duration::from_millis(1000)).await), 0);
    drop(bus);
    let (subscriptions, dumps) = thread.join().unwrap();
    assert!(subscriptions == 1 && dumps > 3, "{subscriptions} subscriptions for {dumps} readings");
}
