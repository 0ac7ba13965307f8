//! Has procd run the scripts of /etc/hotplug.d/failover, as root, for every notice with an action: one call after the other, so that
//! they come in order.
//!
//! Fed by the event loop with notices, driven by `session`. What procd was not seen to accept goes back to the event loop.

use std::collections::VecDeque;

use failoverd::notice::Notice;
use failoverd::ubus_call::UbusStatus;
use failoverd::ubus_value;
use serde_json::Map;
use tokio::time::Instant;
use ubus::OutboundMsg;

use super::calls::{Answer, Ask};
use super::link::Phase;
use super::{Bus, BusEvent};

/// procd's object for the directory; it is there as long as the directory is.
pub(crate) const HOTPLUG: &str = "hotplug.failover";
/// Notices that wait; beyond it the oldest is given up.
const MAX_WAITING: usize = 64;

/// What a script finds in its environment: names and values.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// The same as procd's object takes it, and people read it: `NAME=value`.
pub(crate) fn assignments(environment: &Environment) -> Vec<String> {
    environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The notices that procd has not accepted yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Hotplug {
    waiting: VecDeque<Waiting>,
    /// The first one's request is on its way.
    asked: bool,
}

#[derive(Debug)]
struct Waiting {
    environment: Environment,
    until: Instant,
}

impl Hotplug {
    pub(super) fn disconnected(&mut self) {
        self.asked = false;
    }

    /// When the first one is given back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.until)
    }

    fn accepted(&mut self) -> Option<Waiting> {
        self.asked = false;
        self.waiting.pop_front()
    }
}

impl Bus {
    /// Has the hotplug scripts run, if the notice has an action. Never waits: whatever procd does not accept in time comes back by
    /// [`BusEvent::HotplugUnheard`], also while ubusd is away.
    pub(crate) fn hotplug(&mut self, notice: &Notice) {
        let environment = notice.environment();
        if environment.is_empty() {
            return;
        }
        if self.hotplug.waiting.len() >= MAX_WAITING {
            // The first may be on its way already.
            drop(self.hotplug.waiting.remove(usize::from(self.hotplug.asked)));
            log::warn!(
                "ubus: procd does not take events for /etc/hotplug.d/failover as fast as they come: one is lost"
            );
        }
        self.hotplug.waiting.push_back(Waiting { environment, until: Instant::now() + self.timing.request });
    }

    /// Sends what can be sent; tells what has waited too long.
    pub(super) fn hotplug_due(&mut self, now: Instant) -> Option<BusEvent> {
        if self.hotplug.deadline()? <= now {
            return self.unheard("no answer".to_owned());
        }
        let link = self.link.as_mut().filter(|link| !matches!(link.phase, Phase::Hello { .. }))?;
        if !std::mem::replace(&mut self.hotplug.asked, true) {
            let frame = OutboundMsg::Lookup { obj_path: HOTPLUG }.into_frame(link.next_sequence());
            self.ask_ubusd(now, Ask::FindHotplug, &frame);
        }
        None
    }

    pub(super) fn hotplug_answered(
        &mut self,
        now: Instant,
        ask: Ask,
        answer: Result<Answer, UbusStatus>,
    ) -> Option<BusEvent> {
        match (ask, answer) {
            (Ask::FindHotplug, Ok(Answer { object: Some(object), .. })) => {
                let first = self.hotplug.waiting.front()?;
                let mut arguments = Map::new();
                arguments.insert("env".to_owned(), assignments(&first.environment).into());
                let args = match ubus_value::encode(&arguments) {
                    Ok(args) => args,
                    Err(error) => return self.unheard(error.to_string()),
                };
                let sequence = self.link.as_mut()?.next_sequence();
                let frame = OutboundMsg::Invoke { obj_id: object, method: "call", args: &args }.into_frame(sequence);
                self.ask(now, Ask::RunHotplug, self.timing.request, &frame);
                None
            }
            (Ask::FindHotplug, Ok(_) | Err(UbusStatus::NotFound)) => {
                self.unheard(format!("there is no object '{HOTPLUG}', or this user may not see it"))
            }
            (_, Err(status)) => self.unheard(status.to_string()),
            (_, Ok(_)) => {
                self.hotplug.accepted();
                None
            }
        }
    }

    /// Gives the first one back.
    fn unheard(&mut self, cause: String) -> Option<BusEvent> {
        if let Some(link) = &mut self.link {
            link.calls.forget(Ask::FindHotplug);
            link.calls.forget(Ask::RunHotplug);
        }
        let Waiting { environment, .. } = self.hotplug.accepted()?;
        Some(BusEvent::HotplugUnheard { environment, cause })
    }
}
