//! An object on the router's ubus, offered by a thread that registers it again whenever the broker has been away, as the programs of
//! OpenWrt do. `netifd.rs` and `hotplug.rs` are made of it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failoverd::ubus_frame::{self, FrameReader};
use failoverd::ubus_value;
use serde_json::{Map, Value};
use ubus::envelope::{EnvBuilder, UbusAttr};
use ubus::wire::{Codec, Frame, MsgType, ObjId, PeerId};
use ubus::{BlobBuilder, BlobMsgTable, InboundMsg, OutboundMsg};

use crate::error::{LabError, Result};

/// For the broker's word on a registration.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between attempts to reach the broker.
const RETRY: Duration = Duration::from_millis(20);

/// What a call is answered with.
pub(crate) enum Reply {
    /// A table, and success.
    Table(Map<String, Value>),
    /// Bytes in place of a table, and success.
    Bytes(Vec<u8>),
    /// A status alone.
    Status(i32),
    /// Nothing, ever.
    Nothing,
}

type Handler = Box<dyn FnMut(&str, Map<String, Value>) -> Reply + Send>;

/// The object; gone when dropped.
pub(crate) struct UbusObject {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    path: PathBuf,
    name: String,
    methods: Vec<&'static str>,
    ending: AtomicBool,
    connection: Mutex<Option<Connection>>,
    registered: Condvar,
}

struct Connection {
    stream: UnixStream,
    object: ObjId,
    sequence: u16,
}

impl UbusObject {
    /// Registers `name` with `methods` at the broker on the socket `path`; calls go to `handler`, one after the other.
    pub(crate) fn start(path: &Path, name: &str, methods: &[&'static str], handler: Handler) -> Result<UbusObject> {
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            name: name.to_owned(),
            methods: methods.to_vec(),
            ending: AtomicBool::new(false),
            connection: Mutex::new(None),
            registered: Condvar::new(),
        });
        let thread_shared = Arc::clone(&shared);
        let operation = || format!("offer '{name}' at the ubus broker {}", path.display());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || thread_shared.run(handler))
            .map_err(|error| LabError::new(operation(), error))?;
        let object = UbusObject { shared, thread: Some(thread) };
        let waited = object.shared.registered.wait_timeout_while(object.shared.lock(), PATIENCE, |it| it.is_none());
        if waited.is_ok_and(|(_, waited)| waited.timed_out()) {
            return Err(LabError::timed_out(&format!("the broker to register '{name}'"), PATIENCE));
        }
        Ok(object)
    }

    /// Tells the object's subscribers; to nobody while the broker is away.
    pub(crate) fn notify(&self, name: &str, data: &Map<String, Value>) {
        self.shared.send(|object, sequence| Some(ubus_frame::notification(object, sequence, name, &table(data)?)));
    }

    /// Sends an event; to nobody while the broker is away.
    pub(crate) fn event(&self, name: &str, data: &Map<String, Value>) {
        let event = Map::from_iter([("id".to_owned(), name.into()), ("data".to_owned(), data.clone().into())]);
        self.shared.send(|_, sequence| Some(ubus_frame::event(&table(&event)?, sequence)));
    }
}

impl Drop for UbusObject {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        if let Some(connection) = &*self.shared.lock() {
            _ = connection.stream.shutdown(std::net::Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, frame: impl FnOnce(ObjId, u16) -> Option<Frame>) {
        let mut connection = self.lock();
        let Some(connection) = connection.as_mut() else { return };
        connection.sequence = connection.sequence.wrapping_add(1);
        if let Some(frame) = frame(connection.object, connection.sequence) {
            // A broker that is gone is noticed by the thread that reads.
            _ = connection.stream.write_all(&Codec::write_frame(&frame));
        }
    }

    fn run(&self, mut handler: Handler) {
        while !self.ending.load(Ordering::Acquire) {
            _ = self.session(&mut handler);
            *self.lock() = None;
            if !self.ending.load(Ordering::Acquire) {
                std::thread::sleep(RETRY);
            }
        }
    }

    /// One connection, until it ends.
    fn session(&self, handler: &mut Handler) -> std::io::Result<()> {
        let mut incoming = Incoming { stream: UnixStream::connect(&self.path)?, reader: FrameReader::default() };
        incoming.stream.set_read_timeout(Some(PATIENCE))?;
        // A broker that hangs holds nobody up for long.
        incoming.stream.set_write_timeout(Some(PATIENCE))?;
        // ubusd speaks first.
        incoming.next()?;
        let mut outgoing = incoming.stream.try_clone()?;
        let mut signature = BlobBuilder::new();
        for method in &self.methods {
            signature.open_table(Some(method));
            signature.close_table();
        }
        let signature = signature.finish();
        let add = OutboundMsg::AddObject { path: &self.name, signature: &signature }.into_frame(1);
        outgoing.write_all(&Codec::write_frame(&add))?;
        let object = loop {
            let frame = incoming.next()?;
            match InboundMsg::parse(&frame) {
                Ok(InboundMsg::Data { obj_id: Some(object), .. }) => break ObjId::new(object),
                Ok(InboundMsg::Status { .. }) => break None,
                _ => {}
            }
        };
        let object = object.ok_or(ErrorKind::PermissionDenied)?;
        incoming.stream.set_read_timeout(None)?;
        *self.lock() = Some(Connection { stream: outgoing, object, sequence: 1 });
        self.registered.notify_all();
        // Dropped between the two: nobody has shut this connection down.
        while !self.ending.load(Ordering::Acquire) {
            let frame = incoming.next()?;
            let Ok(InboundMsg::Invoke { seq, peer, obj_id, method, data }) = InboundMsg::parse(&frame) else {
                continue;
            };
            let Some(peer) = PeerId::new(peer).filter(|_| obj_id == object) else { continue };
            let arguments = ubus_value::decode(data.unwrap_or_default()).unwrap_or_default();
            let (data, status) = match handler(method, arguments) {
                Reply::Table(answer) => (table(&answer).map(|table| table.contents().to_vec()), 0),
                Reply::Bytes(bytes) => (Some(bytes), 0),
                Reply::Status(status) => (None, status),
                Reply::Nothing => continue,
            };
            let data = data.map(|data| {
                let mut body = EnvBuilder::new();
                body.push_u32(UbusAttr::ObjId, object.get());
                body.push_data(&data);
                Frame::to_peer(MsgType::Data, seq, peer.get(), body.finish())
            });
            let status = OutboundMsg::Status { peer, obj_id: Some(object), status }.into_frame(seq);
            for frame in data.into_iter().chain([status]) {
                self.send(|_, _| Some(frame));
            }
        }
        Ok(())
    }
}

struct Incoming {
    stream: UnixStream,
    reader: FrameReader,
}

impl Incoming {
    fn next(&mut self) -> std::io::Result<Frame> {
        loop {
            if let Some(frame) = self.reader.next_frame().map_err(std::io::Error::other)? {
                return Ok(frame);
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.reader.push(chunk.get(..count).unwrap_or_default());
        }
    }
}

fn table(data: &Map<String, Value>) -> Option<BlobMsgTable> {
    ubus_value::encode(data).ok()
}
