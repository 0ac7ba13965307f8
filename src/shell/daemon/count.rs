//! The calls of `connections`: all that come while the table is gone through get the same answer.
//!
//! Part of the event loop; `conntrack` counts.

use failoverd::event::Census;
use failoverd::member::object;
use failoverd::ubus_call::UbusStatus;
use serde_json::Value;

use super::super::conntrack::Counts;
use super::super::ubus::ReplyTo;
use super::Daemon;

/// A count under way.
pub(super) struct Counting {
    census: Census,
    reply_to: Vec<ReplyTo>,
}

impl Daemon {
    pub(super) fn count(&mut self, reply_to: ReplyTo) {
        if let Some(counting) = &mut self.counting {
            counting.reply_to.push(reply_to);
            return;
        }
        let census = self.core.census();
        if self.connections.count(&census) {
            self.counting = Some(Counting { census, reply_to: vec![reply_to] });
        } else {
            self.bus.reply(reply_to, Err(UbusStatus::UnknownError));
        }
    }

    /// Without ctnetlink nothing can be counted.
    pub(super) fn counted(&mut self, counts: Counts) {
        let Some(Counting { census, reply_to }) = self.counting.take() else { return };
        let answer = counts.map(|counts| told(&census, &counts));
        for asker in reply_to {
            self.bus.reply(asker, answer.clone().ok_or(UbusStatus::NotSupported));
        }
    }
}

fn told(census: &Census, counts: &[u32]) -> Value {
    let mut counts = counts.iter().copied();
    let mut providers = Vec::new();
    for provider in &census.providers {
        let count = counts.next().unwrap_or_default();
        providers.push(object(&mut [("name", provider.name.as_str().into()), ("connections", count.into())]));
    }
    let others = counts.next().unwrap_or_default();
    object(&mut [("marked", census.marked.into()), ("providers", providers.into()), ("others", others.into())])
}
