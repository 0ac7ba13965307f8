//! A stand-in for netifd on the lab's ubus: offers `network.interface`, tells what changes as netifd does, and can be slow, silent or wrong.
//! What a real netifd said is replayed from files in `tests/netifd`.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::{During, LabError, Result};
use crate::ubus_object::{Reply, UbusObject};

/// How `dump` is answered.
#[derive(Clone, Debug, Default)]
pub enum Manner {
    /// At once.
    #[default]
    Prompt,
    /// After this time, and one call after the other.
    Slow(Duration),
    /// Never.
    Silent,
    /// With this status alone: 6 is what ubusd says for it where the ACL forbids it.
    Refusing(i32),
    /// With these bytes in place of a table.
    Garbage(Vec<u8>),
}

/// netifd; its object is gone when dropped. It comes back by itself after a restart of the broker.
pub struct Netifd {
    object: UbusObject,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    dump: Map<String, Value>,
    /// The dump that the kernel is as.
    applied: Value,
    manner: Manner,
    dumps: u64,
    calls: Vec<String>,
    /// What is down by `down`, as it was before.
    downed: Vec<Value>,
}

/// One line of a recording: what netifd shows from now on, or what it says.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `{"dump": {...}}`: the answer of `dump` from now on.
    Dump(Map<String, Value>),
    /// `{"notify": "interface.update", "data": {...}}`: a notification to subscribers.
    Notify(String, Map<String, Value>),
    /// `{"event": {...}}`: the event `network.interface`.
    Event(Map<String, Value>),
    /// `{"comment": "..."}`: what was done to the real one.
    Comment(String),
}

const OBJECT: &str = "network.interface";
const METHODS: [&str; 4] = ["up", "down", "renew", "dump"];

impl Netifd {
    /// Registers at the broker on the socket `broker`, without any interface.
    pub fn start(broker: &Path) -> Result<Netifd> {
        let state = Arc::new(Mutex::new(State::default()));
        state.lock().unwrap_or_else(PoisonError::into_inner).dump.insert("interface".to_owned(), Value::Array(vec![]));
        let shown = Arc::clone(&state);
        let answer = move |method: &str, arguments: Map<String, Value>| {
            let manner = {
                let mut state = shown.lock().unwrap_or_else(PoisonError::into_inner);
                state.dumps += u64::from(method == "dump");
                state.manner.clone()
            };
            if method != "dump" {
                let name = arguments.get("interface").and_then(Value::as_str).unwrap_or_default();
                let status = shown.lock().unwrap_or_else(PoisonError::into_inner).act(method, name);
                return match manner {
                    Manner::Silent => Reply::Nothing,
                    Manner::Refusing(status) => Reply::Status(status),
                    _ => Reply::Status(status),
                };
            }
            if let Manner::Slow(duration) = manner {
                std::thread::sleep(duration);
            }
            match manner {
                Manner::Silent => Reply::Nothing,
                Manner::Refusing(status) => Reply::Status(status),
                Manner::Garbage(bytes) => Reply::Bytes(bytes),
                Manner::Prompt | Manner::Slow(_) => {
                    Reply::Table(shown.lock().unwrap_or_else(PoisonError::into_inner).dump.clone())
                }
            }
        };
        Ok(Netifd { object: UbusObject::start(broker, OBJECT, &METHODS, Box::new(answer))?, state })
    }

    /// What `dump` answers from now on, `{"interface": [...]}`. Nobody is told: as if the notification had got lost.
    pub fn set(&self, dump: Value) {
        if let Value::Object(dump) = dump {
            self.state().dump = dump;
        }
    }

    /// Notes that the kernel is now as `dump`, which is shown from now on; what it was as before.
    pub(crate) fn applied(&self, dump: Value) -> Value {
        self.set(dump.clone());
        std::mem::replace(&mut self.state().applied, dump)
    }

    /// What `dump` answers now.
    #[must_use]
    pub fn shown(&self) -> Map<String, Value> {
        self.state().dump.clone()
    }

    /// How `dump` is answered from now on.
    pub fn manner(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// How often `dump` has been called.
    #[must_use]
    pub fn dumps(&self) -> u64 {
        self.state().dumps
    }

    /// What was called besides `dump`, as `renew wan`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Tells that an interface has come up (or was updated) or gone down: the event, and the notification with what `dump` shows of it.
    pub fn announce(&self, interface: &str, up: bool) {
        let action = if up { "ifup" } else { "ifdown" };
        self.event(&Map::from_iter([
            ("action".to_owned(), Value::from(action)),
            ("interface".to_owned(), Value::from(interface)),
        ]));
        let named = |entry: &&Value| entry.get("interface").and_then(Value::as_str) == Some(interface);
        let shown = self
            .state()
            .dump
            .get("interface")
            .and_then(Value::as_array)
            .and_then(|all| all.iter().find(named).cloned());
        let mut data = Map::from_iter([("interface".to_owned(), Value::from(interface))]);
        if let Some(Value::Object(members)) = shown {
            data.extend(members);
        }
        self.notify(if up { "interface.update" } else { "interface.down" }, &data);
    }

    /// A notification to subscribers.
    pub fn notify(&self, name: &str, data: &Map<String, Value>) {
        self.object.notify(name, data);
    }

    /// The event `network.interface`.
    pub fn event(&self, data: &Map<String, Value>) {
        self.object.event(OBJECT, data);
    }

    /// Does what a line of a recording says.
    pub fn play(&self, step: &Step) {
        match step {
            Step::Dump(dump) => self.state().dump = dump.clone(),
            Step::Notify(name, data) => self.notify(name, data),
            Step::Event(data) => self.event(data),
            Step::Comment(_) => {}
        }
    }

    /// Replays a recording, one line after the other without a pause.
    pub fn replay(&self, recording: &Path) -> Result<()> {
        Step::read(recording)?.iter().for_each(|step| self.play(step));
        Ok(())
    }

    /// Ends it: its object is gone.
    pub fn stop(self) {}

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `up`, `down` or `renew`, as netifd does it on an interface without work to do; which status it answers. The kernel stays as it is.
    fn act(&mut self, method: &str, name: &str) -> i32 {
        const NOT_FOUND: i32 = 4;
        self.calls.push(format!("{method} {name}"));
        let named = |entry: &&mut Value| entry.get("interface").and_then(Value::as_str) == Some(name);
        let all = self.dump.get_mut("interface").and_then(Value::as_array_mut).into_iter().flatten();
        let Some(entry) = all.into_iter().find(named) else { return NOT_FOUND };
        let before = self.downed.iter().position(|it| it.get("interface").and_then(Value::as_str) == Some(name));
        match (method, before) {
            ("down", None) => {
                self.downed.push(entry.clone());
                let Value::Object(members) = entry else { return NOT_FOUND };
                members.retain(|name, _| {
                    ["interface", "available", "proto", "device", "dynamic"].contains(&name.as_str())
                });
                members.extend(
                    [("up", false), ("pending", false), ("autostart", false)]
                        .map(|(name, is)| (name.to_owned(), is.into())),
                );
            }
            ("up", Some(before)) => *entry = self.downed.swap_remove(before),
            _ => {}
        }
        0
    }
}

impl Step {
    /// The steps of a recording: JSON, one a line; empty lines do not count. `name` is for errors.
    pub fn all(name: &str, recording: &str) -> Result<Vec<Step>> {
        let lines = recording.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let place = |number: usize| format!("read {name}, line {}", number + 1);
        lines.map(|(number, line)| Step::parse(line).map_err(|cause| LabError::new(place(number), cause))).collect()
    }

    /// The same of a file.
    pub fn read(recording: &Path) -> Result<Vec<Step>> {
        let name = recording.display().to_string();
        let text = std::fs::read_to_string(recording).during(format!("read {name}"))?;
        Step::all(&name, &text)
    }

    fn parse(line: &str) -> std::result::Result<Step, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let table = |name: &str| value.get(name).and_then(Value::as_object).cloned();
        let steps = [
            table("dump").map(Step::Dump),
            value
                .get("notify")
                .and_then(Value::as_str)
                .and_then(|name| Some(Step::Notify(name.to_owned(), table("data")?))),
            table("event").map(Step::Event),
            value.get("comment").and_then(Value::as_str).map(|text| Step::Comment(text.to_owned())),
        ];
        steps
            .into_iter()
            .flatten()
            .next()
            .ok_or_else(|| "neither 'dump' nor 'notify' with 'data' nor 'event' nor 'comment'".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_a_recording_is_a_step_or_an_error() {
        let table = |value: Value| value.as_object().cloned().unwrap();
        for (line, step) in [
            (r#"{"dump": {"interface": []}}"#, Some(Step::Dump(table(json!({ "interface": [] }))))),
            (
                r#"{"notify": "interface.update", "data": {"interface": "wan"}}"#,
                Some(Step::Notify("interface.update".to_owned(), table(json!({ "interface": "wan" })))),
            ),
            (r#"{"event": {"action": "ifup"}, "at": 5}"#, Some(Step::Event(table(json!({ "action": "ifup" }))))),
            (r#"{"comment": "pulled"}"#, Some(Step::Comment("pulled".to_owned()))),
            (r#"{"notify": "interface.update"}"#, None),
            (r#"{"dump": 5}"#, None),
            ("dump", None),
        ] {
            assert_eq!(Step::parse(line).ok(), step, "{line}");
        }
    }
}
