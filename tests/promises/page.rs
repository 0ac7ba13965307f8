//! Whoever asks the daemon on the real bus as a page of LuCI does: JSON there and back.

use serde_json::Value;
use ubus::UbusError;
use ubus::client::UbusClient;

use crate::events::Line;
use crate::world::World;

/// A client, and the daemon's object.
pub(crate) struct Page {
    client: UbusClient<Line>,
    object: u32,
}

impl Page {
    pub(crate) fn new(world: &World) -> Page {
        let (client, object) = Line::client(world);
        Page { client, object }
    }

    /// The reply, or ubus' status.
    pub(crate) fn ask(&mut self, method: &str, arguments: &Value) -> Result<Value, i32> {
        let arguments = failoverd::ubus_value::encode(arguments.as_object().unwrap()).unwrap();
        match self.client.invoke(self.object, method, &arguments) {
            Ok(reply) => Ok(serde_json::from_str(&ubus::blobmsg::to_json(&reply, true)).unwrap()),
            Err(UbusError::Status(status)) => Err(status),
            Err(error) => panic!("{error}"),
        }
    }
}
