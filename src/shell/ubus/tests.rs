//! The connection against the broker crate `ubusd`, which is another implementation of the protocol, and against brokers that
//! hang, lie or go away.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

use failoverd::notice::NoticeAction;
use failoverd::settings::LogLevel;
use failoverd::ubus_frame::FrameReader;
use serde_json::json;
use ubus::InboundMsg;
use ubus::envelope::{EnvBuilder, UbusAttr};
use ubus::wire::{Codec, MsgType};

use super::client::{CallError, call};
use super::test_broker::{Broker, Place};
use super::*;

/// A client of the lowest kind: frames on a blocking socket.
struct Peer {
    stream: UnixStream,
    reader: FrameReader,
}

impl Peer {
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut peer = Self { stream, reader: FrameReader::default() };
        assert_eq!(peer.receive().hdr.ty, MsgType::Hello);
        peer
    }

    fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&Codec::write_frame(frame)).unwrap();
    }

    fn receive(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                return frame;
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).expect("an answer within five seconds");
            assert!(count > 0, "the broker closed the connection");
            self.reader.push(&chunk[..count]);
        }
    }

    /// Sends, and gathers everything until the status: `(object id, data, status)`.
    fn ask(&mut self, frame: &Frame) -> (Option<u32>, Map<String, Value>, i32) {
        self.send(frame);
        self.answer()
    }

    fn answer(&mut self) -> (Option<u32>, Map<String, Value>, i32) {
        let (mut object, mut table) = (None, Map::new());
        loop {
            let frame = self.receive();
            match InboundMsg::parse(&frame).unwrap() {
                InboundMsg::Data { obj_id, data, .. } => {
                    object = obj_id;
                    table = data.map(|data| ubus_value::decode(data).unwrap()).unwrap_or_default();
                }
                InboundMsg::Status { status, .. } => return (object, table, status),
                other => panic!("{other:?} instead of an answer"),
            }
        }
    }

    fn lookup(&mut self) -> ObjId {
        let (object, _, status) = self.ask(&OutboundMsg::Lookup { obj_path: OBJECT }.into_frame(1));
        assert_eq!(status, 0);
        ObjId::new(object.unwrap()).unwrap()
    }

    /// An anonymous object of ours, to receive notifications and events with.
    fn anonymous(&mut self) -> u32 {
        let frame = Frame::to_broker(MsgType::AddObject, 2, EnvBuilder::new().finish());
        self.ask(&frame).0.unwrap()
    }

    /// The next call that reaches an object of ours.
    fn invoked(&mut self) -> (String, Value) {
        loop {
            let frame = self.receive();
            if let Ok(InboundMsg::Invoke { method, data, .. }) = InboundMsg::parse(&frame) {
                let data = ubus_value::decode(data.unwrap()).unwrap();
                return (method.to_owned(), Value::Object(data));
            }
        }
    }
}

fn quick() -> Timing {
    Timing {
        answer: Duration::from_millis(500),
        retry: (Duration::from_millis(20), Duration::from_millis(50)),
        refused: Duration::from_millis(30),
        idle: Duration::from_millis(100),
        pong: Duration::from_millis(400),
        pending: Duration::from_millis(400),
    }
}

/// Plays the event loop.
async fn serve(bus: &mut Bus) {
    loop {
        let BusEvent::Request(Request { call, reply_to }) = bus.next().await else { continue };
        let answer = match call {
            Call::Status { provider: Some(name) } if name == "nobody" => Err(UbusStatus::NotFound),
            Call::Unpin => Ok(Value::Null),
            call => Ok(json!({ "call": format!("{call:?}"), "latency_ms": 12.5, "since": 3, "ok": true })),
        };
        bus.reply(reply_to, answer);
    }
}

/// Runs `client` in a thread of its own while the daemon's side is served.
async fn with_client<T: Send + 'static>(bus: &mut Bus, client: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(client()));
    tokio::select! {
        result = result => result.unwrap(),
        () = serve(bus) => unreachable!(),
    }
}

async fn connected(bus: &mut Bus) {
    let within = tokio::time::timeout(Duration::from_secs(5), async {
        while !matches!(bus.next().await, BusEvent::Connected) {}
    });
    within.await.expect("registered within five seconds");
}

async fn ask(bus: &mut Bus, place: &Place, method: &str, arguments: Value) -> Result<Value, CallError> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    let socket = place.socket();
    tokio::select! {
        answer = call(&socket, OBJECT, method, &arguments, Duration::from_secs(2)) => answer,
        () = serve(bus) => unreachable!(),
    }
}

fn switch() -> Notice {
    Notice {
        action: Some(NoticeAction::Switch),
        provider: None,
        from: Some("fiber".into()),
        to: Some("lte".into()),
        reason: Some("no carrier".into()),
        level: LogLevel::Warning,
    }
}

#[tokio::test]
async fn every_method_can_be_called() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    for (method, arguments, seen) in [
        ("status", json!({}), "Status { provider: None }"),
        ("status", json!({ "provider": "lte" }), r#"Status { provider: Some("lte") }"#),
        ("history", json!({ "provider": "lte", "limit": 5 }), r#"History { provider: "lte", limit: Some(5) }"#),
        ("check", json!({ "ubus_rpc_session": "0000" }), "Check { provider: None }"),
        ("pin", json!({ "provider": "lte" }), r#"Pin { provider: "lte" }"#),
        ("reload", json!({}), "Reload"),
    ] {
        let answer = ask(&mut bus, &place, method, arguments).await.unwrap();
        assert_eq!(answer, json!({ "call": seen, "latency_ms": 12.5, "since": 3, "ok": true }));
    }
    assert_eq!(ask(&mut bus, &place, "unpin", json!({})).await.unwrap(), json!({}), "success and nothing more");
}

#[tokio::test]
async fn wrong_calls_are_answered_with_their_status() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    for (method, arguments, expected) in [
        ("status", json!({ "provider": 5 }), UbusStatus::InvalidArgument),
        ("pin", json!({}), UbusStatus::InvalidArgument),
        ("history", json!({ "provider": "lte", "limit": "all" }), UbusStatus::InvalidArgument),
        ("stop", json!({}), UbusStatus::MethodNotFound),
        ("status", json!({ "provider": "nobody" }), UbusStatus::NotFound),
    ] {
        match ask(&mut bus, &place, method, arguments.clone()).await {
            Err(CallError::Status(status)) => assert_eq!(status, expected, "{method} {arguments}"),
            other => panic!("{method} {arguments}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_callers_with_one_number_get_their_own_answers_late_and_in_any_order() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    let caller = |name: &'static str, place: &Place| {
        let socket = place.socket();
        std::thread::spawn(move || {
            let mut peer = Peer::connect(&socket);
            let object = peer.lookup();
            let args = BlobMsgTable::build(|table| table.put_str(Some("provider"), name));
            peer.ask(&OutboundMsg::Invoke { obj_id: object, method: "check", args: &args }.into_frame(77))
        })
    };
    let callers = [caller("first", &place), caller("second", &place)];
    let mut open = Vec::new();
    while open.len() < 2 {
        if let BusEvent::Request(request) = bus.next().await {
            open.push(request);
        }
    }
    assert_eq!(open[0].reply_to.sequence, open[1].reply_to.sequence);
    for request in open.into_iter().rev() {
        let Call::Check { provider } = request.call else { panic!("{:?}", request.call) };
        bus.reply(request.reply_to, Ok(json!({ "provider": provider })));
    }
    let answers = with_client(&mut bus, move || callers.map(|caller| caller.join().unwrap())).await;
    for ((_, data, status), name) in answers.into_iter().zip(["first", "second"]) {
        assert_eq!((Value::Object(data), status), (json!({ "provider": name }), 0));
    }
}

#[tokio::test]
async fn a_call_that_the_event_loop_forgets_is_answered_for_it() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    connected(&mut bus).await;
    let socket = place.socket();
    let arguments = Map::new();
    let forgetful = async {
        loop {
            drop(bus.next().await);
        }
    };
    let answer = tokio::select! {
        answer = call(&socket, OBJECT, "status", &arguments, Duration::from_secs(2)) => answer,
        () = forgetful => unreachable!(),
    };
    assert!(matches!(answer, Err(CallError::Status(UbusStatus::Timeout))), "{answer:?}");
    assert!(bus.link.unwrap().pending.is_empty());
}

#[tokio::test]
async fn a_flood_of_calls_is_bounded() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    let thread = {
        let mut peer = Peer::connect(&place.socket());
        std::thread::spawn(move || {
            let object = peer.lookup();
            let args = BlobMsgTable::empty();
            for sequence in 0..200 {
                peer.send(&OutboundMsg::Invoke { obj_id: object, method: "status", args: &args }.into_frame(sequence));
            }
            (0..200).map(|_| peer.answer().2).filter(|status| *status == 9).count()
        })
    };
    let mut open = Vec::new();
    let mut patience = Duration::from_secs(5);
    while let Ok(event) = tokio::time::timeout(patience, bus.next()).await {
        if let BusEvent::Request(request) = event {
            open.push(request);
        }
        if open.len() >= MAX_PENDING {
            patience = Duration::from_millis(500);
        }
    }
    assert_eq!(open.len(), MAX_PENDING);
    for request in open {
        bus.reply(request.reply_to, Ok(Value::Null));
    }
    assert_eq!(with_client(&mut bus, || thread.join().unwrap()).await, 200 - MAX_PENDING);
}

#[tokio::test]
async fn notices_reach_subscribers_and_listeners() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    let mut peer = Peer::connect(&place.socket());
    let (peer, subscription, events) = with_client(&mut bus, move || {
        let target = peer.lookup();
        let (subscription, events) = (peer.anonymous(), peer.anonymous());
        let mut body = EnvBuilder::new();
        body.push_u32(UbusAttr::ObjId, subscription);
        body.push_u32(UbusAttr::Target, target.get());
        assert_eq!(peer.ask(&Frame::to_broker(MsgType::Subscribe, 4, body.finish())).2, 0);
        let pattern = BlobMsgTable::build(|table| {
            table.put_i32(Some("object"), i32::from_ne_bytes(events.to_ne_bytes()));
            table.put_str(Some("pattern"), "failover");
        });
        let register = OutboundMsg::Invoke { obj_id: EVENTS.unwrap(), method: "register", args: &pattern };
        assert_eq!(peer.ask(&register.into_frame(5)).2, 0);
        (peer, subscription, events)
    })
    .await;
    assert_ne!(subscription, events);
    bus.notify(&switch());
    bus.notify(&Notice { action: None, ..switch() });
    bus.notify(&Notice { action: Some(NoticeAction::ConfigError), from: None, to: None, ..switch() });
    let seen = with_client(&mut bus, move || {
        let mut peer = peer;
        [(); 4].map(|()| peer.invoked())
    })
    .await;
    let moved = json!({ "action": "switch", "from": "fiber", "to": "lte", "reason": "no carrier" });
    let refused = json!({ "action": "config_error", "reason": "no carrier" });
    let expected = [
        ("switch".to_owned(), moved.clone()),
        ("failover".to_owned(), moved),
        ("config_error".to_owned(), refused.clone()),
        ("failover".to_owned(), refused),
    ];
    assert_eq!(seen, expected, "a notice without action is for the log alone");
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
            })
        };
        let open = loop {
            if let BusEvent::Request(request) = bus.next().await {
                break request.reply_to;
            }
        };
        thread.join().unwrap();
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
    assert!(began.elapsed() < Duration::from_secs(4), "queued or dropped, but not waited for: {:?}", began.elapsed());
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
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
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

#[tokio::test]
async fn a_caller_learns_why_there_is_no_answer() {
    let place = Place::new();
    let nothing = Map::new();
    let ask = async |timeout| call(&place.socket(), OBJECT, "status", &nothing, Duration::from_millis(timeout)).await;
    assert!(matches!(ask(500).await, Err(CallError::NoBroker { .. })));
    let broker = Broker::start(&place);
    assert!(matches!(ask(500).await, Err(CallError::NoObject(_))));
    broker.hang(true);
    assert!(matches!(ask(100).await, Err(CallError::Timeout(_))));
}

#[tokio::test]
async fn being_dropped_while_waiting_loses_nothing() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    let socket = place.socket();
    let caller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut answers = 0;
        while answers < 50 {
            answers += usize::from(call(&socket, OBJECT, "status", &Map::new(), Duration::from_secs(2)).await.is_ok());
        }
    });
    while !caller.is_finished() {
        // As in an event loop where something else is always ready soon.
        let Ok(event) = tokio::time::timeout(Duration::from_micros(300), bus.next()).await else { continue };
        if let BusEvent::Request(request) = event {
            bus.reply(request.reply_to, Ok(json!({ "large": "x".repeat(100_000) })));
        }
    }
    caller.await.unwrap();
}
