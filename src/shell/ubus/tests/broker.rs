//! Brokers that restart, hang, refuse or talk nonsense.

use std::thread::JoinHandle;

use super::*;

/// A broker that says what it is told to say.
fn script(place: &Place, bytes: &'static [u8]) -> JoinHandle<()> {
    let listener = UnixListener::bind(place.socket()).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[tokio::test]
async fn the_object_comes_back_after_a_restart_of_the_broker() {
    let place = Place::new();
    let mut bus = Bus::with_timing(&place.socket(), quick());
    assert!(matches!(bus.next().await, BusEvent::Disconnected(_)), "told once, at boot too");
    for _ in 0..3 {
        let broker = Broker::start(&place);
        connected(&mut bus).await;
        assert!(ask(&mut bus, &place, "status", json!({})).await.is_ok());
        let thread = {
            let mut peer = Peer::connect(&place.socket());
            std::thread::spawn(move || {
                let object = peer.lookup();
                let args = BlobMsgTable::empty();
                peer.send(&OutboundMsg::Invoke { obj_id: object, method: "check", args: &args }.into_frame(1));
                // The ubusd of OpenWrt drops what somebody sends who closes at once.
                peer
            })
        };
        let open = loop {
            if let BusEvent::Request(request) = bus.next().await {
                break request.reply_to;
            }
        };
        let _caller = thread.join().unwrap();
        drop(broker);
        let BusEvent::Disconnected(reason) = bus.next().await else { panic!("the loss is told") };
        assert!(reason.contains("closed"), "{reason}");
        bus.reply(open, Ok(Value::Null));
        bus.notify(&switch());
        assert_eq!(bus.lost, 1);
        assert!(tokio::time::timeout(Duration::from_millis(200), bus.next()).await.is_err(), "and told once");
    }
}

#[tokio::test]
async fn a_hanging_broker_is_left_and_never_waited_for() {
    let place = Place::new();
    let broker = Broker::start(&place);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    connected(&mut bus).await;
    broker.hang(true);
    let began = Instant::now();
    for _ in 0..20_000 {
        bus.notify(&switch());
    }
    assert!(began.elapsed() < Duration::from_secs(20), "queued or dropped, but not waited for: {:?}", began.elapsed());
    assert!(bus.lost > 10_000, "the queue is bounded: {} lost", bus.lost);
    let BusEvent::Disconnected(reason) = bus.next().await else { panic!("the silence is noticed") };
    assert!(reason.contains("ping"), "{reason}");
    assert!(tokio::time::timeout(Duration::from_millis(1200), bus.next()).await.is_err(), "still hanging: told once");
    broker.hang(false);
    connected(&mut bus).await;
    assert!(ask(&mut bus, &place, "status", json!({})).await.is_ok());
}

#[tokio::test]
async fn a_silent_line_stays_as_long_as_pings_are_answered() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    connected(&mut bus).await;
    assert!(tokio::time::timeout(Duration::from_millis(1000), bus.next()).await.is_err(), "nothing to tell");
    assert_eq!(bus.connection, 0, "still the first connection");
}

#[tokio::test]
async fn brokers_that_talk_nonsense_are_left() {
    for (bytes, reason) in [
        (&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4][..], "greet"),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4], "greet"),
        (&[9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4], "version 9"),
        (&[0, 0, 0, 0, 0, 0, 9, 9, 0, 0x20, 0, 0], "length"),
        (&[0, 0, 0], "does not answer"),
        (&[0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 4], "does not answer"),
    ] {
        let place = Place::new();
        let thread = script(&place, bytes);
        let mut bus = Bus::with_timing(&place.socket(), quick());
        let BusEvent::Disconnected(told) = bus.next().await else { panic!("{bytes:?} accepted") };
        assert!(told.contains(reason), "{bytes:?}: {told}");
        drop(bus);
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_refused_registration_is_tried_again() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut peer = Peer { stream, reader: FrameReader::default() };
        peer.stream.write_all(&[0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 4]).unwrap();
        for attempt in 0..3 {
            let request = peer.receive();
            assert_eq!(request.hdr.ty, MsgType::AddObject, "attempt {attempt}");
            let mut status = EnvBuilder::new();
            if attempt == 2 {
                let mut data = EnvBuilder::new();
                data.push_u32(UbusAttr::ObjId, 4242);
                peer.send(&Frame::to_broker(MsgType::Data, request.hdr.seq, data.finish()));
            }
            status.push_i32(UbusAttr::Status, if attempt == 2 { 0 } else { 2 });
            peer.send(&Frame::to_broker(MsgType::Status, request.hdr.seq, status.finish()));
        }
    });
    let mut bus = Bus::with_timing(&place.socket(), quick());
    assert!(matches!(bus.next().await, BusEvent::Connected));
    assert_eq!(bus.connection, 0, "on the same connection");
    thread.join().unwrap();
}
