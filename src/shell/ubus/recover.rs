//! Has netifd set an interface up again: `renew`, or `down` and `up`.
//!
//! Called by the event loop; `session` tells the answers. What came of it the core sees in the interface.

use failoverd::settings::Recover;
use failoverd::ubus_call::UbusStatus;
use failoverd::ubus_value;
use serde_json::Map;
use tokio::time::Instant;
use ubus::OutboundMsg;
use ubus::wire::Frame;

use super::Bus;
use super::calls::Ask;
use super::queue::Weight;

impl Bus {
    /// Asks netifd for it. Never waits; nothing is asked later if it cannot be asked now, as the core will want it again.
    ///
    /// `down` and `up` go out in one write, which is one piece on a socket of this kind, and ubusd takes in all of a piece or, once we are gone,
    /// nothing: whenever the daemon dies, no interface stays down.
    pub(crate) fn recover(&mut self, interface: &str, how: &Recover) {
        let methods: &[&'static str] = match how {
            Recover::Renew => &["renew"],
            Recover::Restart => &["down", "up"],
            Recover::Exec(_) => return,
        };
        let mut arguments = Map::new();
        arguments.insert("interface".to_owned(), interface.into());
        let Ok(args) = ubus_value::encode(&arguments) else { return };
        let now = Instant::now();
        let netifd = self.link.as_ref().and_then(|link| link.following.netifd());
        let (Some(link), Some(obj_id)) = (&mut self.link, netifd) else {
            return self.recover_failed(methods.first().copied().unwrap_or_default(), "netifd cannot be reached");
        };
        let mut frames: Vec<Frame> = vec![];
        for method in methods {
            let frame = OutboundMsg::Invoke { obj_id, method, args: &args }.into_frame(link.next_sequence());
            link.calls.add(Ask::Recover(method), &frame, now + self.timing.request);
            frames.push(frame);
        }
        self.send_together(Weight::Needed, &frames.iter().collect::<Vec<_>>());
    }

    pub(super) fn recover_answered(&mut self, method: &str, answer: Result<(), UbusStatus>) {
        match answer {
            Ok(()) => self.recover_told = false,
            Err(UbusStatus::PermissionDenied) => {
                self.recover_failed(method, "ubusd refuses it: /usr/share/acl.d/failover.json must allow it");
            }
            Err(status) => self.recover_failed(method, &status.to_string()),
        }
    }

    /// Told once, until it works.
    pub(super) fn recover_failed(&mut self, method: &str, cause: &str) {
        let level = if std::mem::replace(&mut self.recover_told, true) { log::Level::Debug } else { log::Level::Warn };
        log::log!(
            level,
            "ubus: netifd's '{method}' has failed: {cause}; 'option recover' can do nothing until that is mended"
        );
    }
}
