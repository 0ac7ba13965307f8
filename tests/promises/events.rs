//! What programs hear on ubus while things happen: the event `failover` and the notifications of the object, read by the client
//! of another implementation.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use lab::{LabConfig, wait_for};
use serde_json::{Value, json};
use ubus::client::UbusClient;
use ubus::wire::{Codec, Frame};
use ubus::{InboundMsg, Transport, UbusError};

use crate::world::{SOON, World};

/// Frames on a socket; a read waits a few milliseconds.
pub(crate) struct Line {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Line {
    /// A client of the world's broker, and the daemon's object on it.
    pub(crate) fn client(world: &World) -> (UbusClient<Line>, u32) {
        let stream = UnixStream::connect(world.broker.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let mut client = UbusClient::connect(Line { stream, buffer: Vec::new() }).unwrap();
        let mut object = None;
        wait_for(SOON, "the object on ubus", || {
            object = client.lookup("failover").ok();
            object.is_some()
        })
        .unwrap();
        (client, object.unwrap())
    }
}

impl Transport for Line {
    fn send(&mut self, frame: &Frame) -> Result<(), UbusError> {
        self.stream.write_all(&Codec::write_frame(frame)).map_err(|_| UbusError::Closed)
    }

    fn recv(&mut self) -> Result<Option<Frame>, UbusError> {
        let mut chunk = [0; 4096];
        if let Ok(length) = self.stream.read(&mut chunk) {
            self.buffer.extend_from_slice(&chunk[..length]);
        }
        let Ok((frame, length)) = Codec::read_frame(&self.buffer) else { return Ok(None) };
        self.buffer.drain(..length);
        Ok(Some(frame))
    }
}

/// Somebody who listens to the event and has subscribed to the object.
struct Listener {
    client: UbusClient<Line>,
    heard: VecDeque<(String, Value)>,
}

impl Listener {
    fn new(world: &World) -> Listener {
        let (mut client, object) = Line::client(world);
        let (events, notifications) = (client.add_anonymous_object().unwrap(), client.add_anonymous_object().unwrap());
        client.register_event(events, "failover").unwrap();
        client.subscribe(notifications, object).unwrap();
        Listener { client, heard: VecDeque::new() }
    }

    /// Waits for the next notification or event of this name whose content has all of `wanted`; those before it are dropped.
    fn hear(&mut self, name: &str, wanted: &Value) -> Value {
        let fits = |(method, content): &(String, Value)| {
            method == name && wanted.as_object().unwrap().iter().all(|(field, value)| content[field] == *value)
        };
        let mut passed = Vec::new();
        let found = wait_for(SOON, &format!("{name} with {wanted}"), || {
            while let Ok(Some(frame)) = self.client.recv_frame() {
                if let Ok(InboundMsg::Invoke { method, data, .. }) = InboundMsg::parse(&frame) {
                    let text = ubus::blobmsg::to_json(data.unwrap_or_default(), true);
                    self.heard.push_back((method.to_owned(), serde_json::from_str(&text).unwrap()));
                }
            }
            while let Some(next) = self.heard.pop_front() {
                passed.push(next);
                if passed.last().is_some_and(fits) {
                    return true;
                }
            }
            false
        });
        found.unwrap_or_else(|error| panic!("{error}; heard was {passed:#?}"));
        passed.pop().unwrap().1
    }
}

#[test]
fn what_happens_is_told() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    world.wait_route(0);
    let (mut events, mut notifications) = (Listener::new(&world), Listener::new(&world));
    let mut hear = |wanted: &Value| {
        let event = events.hear("failover", wanted);
        let notification = notifications.hear(wanted["action"].as_str().unwrap(), wanted);
        assert_eq!(event, notification, "both tell the same");
        event
    };
    world.provider(0).silent(true);
    let offline = hear(&json!({ "action": "offline", "provider": "wan0" }));
    assert!(offline["reason"].as_str().unwrap().contains("probes to 4 targets"), "{offline}");
    let switch = hear(&json!({ "action": "switch", "from": "wan0", "to": "wan1" }));
    assert!(switch["reason"].as_str().unwrap().contains("wan0: lost"), "{switch}");
    world.provider(0).silent(false);
    hear(&json!({ "action": "online", "provider": "wan0" }));
    hear(&json!({ "action": "switch", "from": "wan1", "to": "wan0" }));
    world.ask(&["pin", "wan1"]);
    hear(&json!({ "action": "pinned", "provider": "wan1" }));
    hear(&json!({ "action": "switch", "from": "wan0", "to": "wan1", "reason": "pinned" }));
    world.provider(0).carrier(false).unwrap();
    hear(&json!({ "action": "offline", "provider": "wan0", "reason": "no carrier" }));
    world.configure("config nonsense\n");
    assert_eq!(world.cli(&["reload"]).code(), 2);
    let refused = hear(&json!({ "action": "config_error" }));
    assert!(refused["reason"].as_str().unwrap().contains("nonsense"), "{refused}");
    world.stop(&daemon);
}
