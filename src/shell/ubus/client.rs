//! A single call of a method, for the command line: connect, look the object up, call, wait for the answer.
//!
//! Used by `shell::cli`; the daemon's own connection is `Bus`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use failoverd::ubus_call::UbusStatus;
use failoverd::ubus_frame::FrameReader;
use failoverd::ubus_value;
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use ubus::wire::{Codec, Frame, ObjId};
use ubus::{InboundMsg, OutboundMsg};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody listens.
    #[error("ubus is not reachable at {path}: {error}", path = path.display())]
    NoBroker {
        /// The socket.
        path: PathBuf,
        /// The operating system's words.
        error: std::io::Error,
    },
    /// ubusd does not know the object, or does not show it to this user.
    #[error("there is no object '{0}' on ubus: the daemon is not running, or this user may not see it")]
    NoObject(String),
    /// The object's answer is a status other than 0.
    #[error("{0}")]
    Status(UbusStatus),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The connection ended, or what came was no ubus.
    #[error("{0}")]
    Broken(String),
}

/// Calls `method` of `object`; the answer is an empty object where there is none but success.
pub(crate) async fn call(
    socket: &Path,
    object: &str,
    method: &str,
    arguments: &Map<String, Value>,
    timeout: Duration,
) -> Result<Value, CallError> {
    let unreachable = |error| CallError::NoBroker { path: socket.to_owned(), error };
    let mut connection =
        Connection { stream: super::link::connect(socket).map_err(unreachable)?, reader: FrameReader::default() };
    tokio::time::timeout(timeout, connection.call(object, method, arguments))
        .await
        .unwrap_or(Err(CallError::Timeout(timeout)))
}

struct Connection {
    stream: UnixStream,
    reader: FrameReader,
}

impl Connection {
    async fn call(&mut self, object: &str, method: &str, arguments: &Map<String, Value>) -> Result<Value, CallError> {
        if !matches!(InboundMsg::parse(&self.receive().await?), Ok(InboundMsg::Hello { .. })) {
            return Err(CallError::Broken("ubusd did not greet us as it should".to_owned()));
        }
        let missing = || CallError::NoObject(object.to_owned());
        let lookup = OutboundMsg::Lookup { obj_path: object }.into_frame(1);
        let found = match self.request(&lookup).await {
            // Success without data: the object is there, but not for this user.
            Ok(answer) => answer.object.ok_or_else(missing)?,
            Err(CallError::Status(UbusStatus::NotFound)) => return Err(missing()),
            Err(error) => return Err(error),
        };
        let arguments = ubus_value::encode(arguments).map_err(|error| CallError::Broken(error.to_string()))?;
        let invoke = OutboundMsg::Invoke { obj_id: found, method, args: &arguments }.into_frame(2);
        Ok(Value::Object(self.request(&invoke).await?.data))
    }

    /// Sends a request and gathers what comes until its final status.
    async fn request(&mut self, frame: &Frame) -> Result<Answer, CallError> {
        self.stream.write_all(&Codec::write_frame(frame)).await.map_err(|error| lost(&error))?;
        let mut answer = Answer::default();
        loop {
            let received = self.receive().await?;
            if (received.hdr.seq, received.hdr.peer) != (frame.hdr.seq, frame.hdr.peer) {
                continue;
            }
            match InboundMsg::parse(&received) {
                Ok(InboundMsg::Data { obj_id, data, .. }) => {
                    answer.object = obj_id.and_then(ObjId::new);
                    if let Some(data) = data {
                        answer.data = ubus_value::decode(data).map_err(|error| CallError::Broken(error.to_string()))?;
                    }
                }
                Ok(InboundMsg::Status { status, .. }) => {
                    return UbusStatus::from_code(status).map(|()| answer).map_err(CallError::Status);
                }
                _ => {}
            }
        }
    }

    async fn receive(&mut self) -> Result<Frame, CallError> {
        let mut chunk = [0; 8192];
        loop {
            if let Some(frame) = self.reader.next_frame().map_err(|error| CallError::Broken(error.to_string()))? {
                return Ok(frame);
            }
            let count = self.stream.read(&mut chunk).await.map_err(|error| lost(&error))?;
            if count == 0 {
                return Err(CallError::Broken("ubusd closed the connection".to_owned()));
            }
            self.reader.push(chunk.get(..count).unwrap_or_default());
        }
    }
}

#[derive(Default)]
struct Answer {
    object: Option<ObjId>,
    data: Map<String, Value>,
}

fn lost(error: &std::io::Error) -> CallError {
    CallError::Broken(format!("the connection to ubusd is lost: {error}"))
}
