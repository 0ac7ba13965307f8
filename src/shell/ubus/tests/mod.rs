//! The connection against the broker crate `ubusd`, which is another implementation of the protocol, and against brokers that
//! hang, lie or go away.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use failoverd::notice::NoticeAction;
use failoverd::settings::LogLevel;
use failoverd::ubus_frame::FrameReader;
use serde_json::json;
use ubus::InboundMsg;
use ubus::envelope::{EnvBuilder, UbusAttr};
use ubus::wire::{Codec, MsgType, ObjId};

use super::client::{CallError, call};
use super::test_broker::{Broker, Place};
use super::*;

mod broker;
mod hotplug;
mod methods;
mod netifd;
mod notices;
mod recordings;
mod recover;

/// A client of the lowest kind: frames on a blocking socket.
struct Peer {
    stream: UnixStream,
    reader: FrameReader,
}

impl Peer {
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut peer = Self { stream, reader: FrameReader::default() };
        assert_eq!(peer.receive().hdr.ty, MsgType::Hello);
        peer
    }

    fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&Codec::write_frame(frame)).unwrap();
    }

    fn receive(&mut self) -> Frame {
        self.try_receive().expect("the connection to stay")
    }

    /// `None`: the other side has closed the connection.
    fn try_receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                return Some(frame);
            }
            let mut chunk = [0; 4096];
            let count = match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                // So it ends where something was left unread.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                read => read.expect("a message in time"),
            };
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

    /// A nameless object of ours, to receive notifications and events with.
    fn nameless(&mut self) -> ObjId {
        ObjId::new(self.ask(&ubus_frame::nameless_object(2)).0.unwrap()).unwrap()
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
        request: Duration::from_millis(150),
        search: (Duration::from_millis(10), Duration::from_millis(600)),
        grace: Duration::from_millis(300),
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
    let within = tokio::time::timeout(Duration::from_secs(30), async {
        while !matches!(bus.next().await, BusEvent::Connected) {}
    });
    within.await.expect("registered in time");
}

async fn ask(bus: &mut Bus, place: &Place, method: &str, arguments: Value) -> Result<Value, CallError> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    let socket = place.socket();
    tokio::select! {
        answer = call(&socket, OBJECT, method, &arguments, Duration::from_secs(10)) => answer,
        () = serve(bus) => unreachable!(),
    }
}

/// Drives the connection until the condition holds; what it told meanwhile.
async fn drive_until(bus: &mut Bus, what: &str, mut condition: impl FnMut() -> bool) -> Vec<BusEvent> {
    let until = Instant::now() + Duration::from_secs(30);
    let mut told = Vec::new();
    while !condition() {
        assert!(Instant::now() < until, "{what} in time");
        told.extend(tokio::time::timeout(Duration::from_millis(5), bus.next()).await);
    }
    told
}

/// Drives the connection until it tells what is waited for; that and what it told before.
async fn drive_to(bus: &mut Bus, what: &str, mut is_last: impl FnMut(&BusEvent) -> bool) -> Vec<BusEvent> {
    let mut told = Vec::new();
    let seen = async {
        while !told.last().is_some_and(&mut is_last) {
            told.push(bus.next().await);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.unwrap_or_else(|_| panic!("{what} in time"));
    told
}

/// Drives the connection for a while; what it told.
async fn drive_for(bus: &mut Bus, while_: Duration) -> Vec<BusEvent> {
    let until = Instant::now() + while_;
    let mut told = Vec::new();
    while let Ok(event) = tokio::time::timeout_at(until, bus.next()).await {
        told.push(event);
    }
    told
}

fn switch() -> Notice {
    Notice {
        action: Some(NoticeAction::Switch),
        provider: None,
        from: Some("fiber".into()),
        to: Some("lte".into()),
        reason: Some("no carrier".into()),
        reason_code: Some("no_carrier"),
        ..Notice::about(None, None, LogLevel::Warning, None)
    }
}
