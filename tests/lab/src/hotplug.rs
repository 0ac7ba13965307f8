//! A stand-in for procd's hotplug object of /etc/hotplug.d/failover on the lab's ubus: keeps what its scripts would have found.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::error::Result;
use crate::ubus_object::{Reply, UbusObject};

/// The object `hotplug.failover`; gone when dropped.
pub struct HotplugObject {
    _object: UbusObject,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<Vec<String>>,
    status: i32,
    silent: bool,
}

impl HotplugObject {
    /// Registers at the broker on the socket `broker`.
    pub fn start(broker: &Path) -> Result<HotplugObject> {
        let state = Arc::new(Mutex::new(State::default()));
        let kept = Arc::clone(&state);
        let answer = move |method: &str, arguments: Map<String, Value>| {
            let mut state = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(env) = arguments.get("env").and_then(Value::as_array).filter(|_| method == "call") else {
                return Reply::Status(2);
            };
            if state.status != 0 {
                return Reply::Status(state.status);
            }
            state.calls.push(env.iter().filter_map(Value::as_str).map(str::to_owned).collect());
            if state.silent { Reply::Nothing } else { Reply::Status(0) }
        };
        let object = UbusObject::start(broker, "hotplug.failover", &["call"], Box::new(answer))?;
        Ok(HotplugObject { _object: object, state })
    }

    /// The environments of the calls so far, each as `NAME=value`.
    #[must_use]
    pub fn calls(&self) -> Vec<Vec<String>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).calls.clone()
    }

    /// Refuses further calls with this status; 0 accepts them again.
    pub fn refuse(&self, status: i32) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).status = status;
    }

    /// Accepts further calls without an answer, as a procd that hangs.
    pub fn silent(&self, on: bool) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).silent = on;
    }
}
