//! Calls to the lab's broker, one connection for each request of a browser: what uhttpd's own connection to ubusd does.

use std::io::{ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use failoverd::ubus_frame::FrameReader;
use failoverd::ubus_value;
use serde_json::{Map, Value};
use ubus::wire::{Codec, Frame, ObjId};
use ubus::{InboundMsg, OutboundMsg};

/// uhttpd waits for a minute; no test does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody offers the object, or there is no ubusd.
    NoObject,
    /// A status other than 0.
    Status(i32),
    /// No answer.
    Timeout,
}

/// What came before the status 0: a table, an object's number.
type Reply = (Option<Map<String, Value>>, Option<ObjId>);

/// A connection to the broker.
pub(crate) struct Ubus {
    stream: UnixStream,
    reader: FrameReader,
    sequence: u16,
}

impl Ubus {
    pub(crate) fn connect(broker: &Path) -> Result<Ubus> {
        let stream = UnixStream::connect(broker)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut ubus = Ubus { stream, reader: FrameReader::default(), sequence: 0 };
        // ubusd speaks first.
        ubus.receive()?;
        Ok(ubus)
    }

    /// The object's number on the bus.
    pub(crate) fn find(&mut self, object: &str) -> Option<ObjId> {
        let lookup = |sequence| OutboundMsg::Lookup { obj_path: object }.into_frame(sequence);
        let (_, found) = self.request(lookup).ok()?;
        found
    }

    /// Calls a method; nothing where the answer is success alone.
    pub(crate) fn call(
        &mut self,
        object: ObjId,
        method: &str,
        arguments: &Map<String, Value>,
    ) -> std::result::Result<Option<Value>, Refusal> {
        let args = ubus_value::encode(arguments).map_err(|_| Refusal::Status(2))?;
        let invoke = |sequence| OutboundMsg::Invoke { obj_id: object, method, args: &args }.into_frame(sequence);
        self.request(invoke).map(|(data, _)| data.map(Value::Object))
    }

    fn request(&mut self, frame: impl FnOnce(u16) -> Frame) -> std::result::Result<Reply, Refusal> {
        self.sequence += 1;
        let frame = frame(self.sequence);
        self.stream.write_all(&Codec::write_frame(&frame)).map_err(|_| Refusal::NoObject)?;
        let (mut answer, mut object) = (None, None);
        loop {
            let received = self.receive().map_err(|error| match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Refusal::Timeout,
                _ => Refusal::NoObject,
            })?;
            if received.hdr.seq != self.sequence {
                continue;
            }
            match InboundMsg::parse(&received) {
                Ok(InboundMsg::Data { obj_id, data, .. }) => {
                    object = obj_id.and_then(ObjId::new);
                    answer = data.and_then(|data| ubus_value::decode(data).ok());
                }
                Ok(InboundMsg::Status { status: 0, .. }) => return Ok((answer, object)),
                Ok(InboundMsg::Status { status, .. }) => return Err(Refusal::Status(status)),
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Result<Frame> {
        let mut chunk = [0; 8192];
        loop {
            if let Some(frame) = self.reader.next_frame().map_err(std::io::Error::other)? {
                return Ok(frame);
            }
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.reader.push(chunk.get(..count).unwrap_or_default());
        }
    }
}
