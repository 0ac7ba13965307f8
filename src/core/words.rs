//! Routes and changes of them in words, for the log and the status.

use super::Core;
use crate::kernel::{IfIndex, Route, RouteChange, RouteKind};
use crate::takeover;

impl Core {
    /// What is to be done, to complete a sentence.
    pub(super) fn describe(&self, change: &RouteChange) -> String {
        match change {
            RouteChange::Write(route) => format!("write {}", self.describe_route(route)),
            RouteChange::Append(route) => format!("add {}", self.describe_route(route)),
            RouteChange::Delete(route) => format!("delete {}", self.describe_route(route)),
            RouteChange::AddRule(rule) => format!("add ip rule {}", rule.priority.0),
            RouteChange::DeleteRule(rule) => format!("delete ip rule {}", rule.priority.0),
            RouteChange::SetSysctl { device, key, value } => {
                format!("set {key:?} of {} to {value}", self.device_name(*device))
            }
        }
    }

    /// `default via 192.168.1.1 dev wan0 metric 2`, in iproute2's words.
    pub(super) fn describe_route(&self, route: &Route) -> String {
        let mut text = match route.kind {
            RouteKind::Unicast => String::new(),
            kind => format!("{} ", format!("{kind:?}").to_lowercase()),
        };
        text += &if route.destination.prefix == 0 { "default".to_owned() } else { route.destination.to_string() };
        if let Some(gateway) = route.gateway {
            text += &format!(" via {gateway}");
        }
        if let Some(device) = route.device {
            text += &format!(" dev {}", self.device_name(device));
        }
        text += &format!(" metric {}", route.metric.0);
        if let Some((_, original)) = takeover::original_metric(route.metric).filter(|_| !route.is_ours()) {
            text += &format!(" (moved from {})", original.0);
        }
        text
    }

    fn device_name(&self, index: IfIndex) -> String {
        let link = self.snapshot.as_ref().and_then(|it| it.links.iter().find(|link| link.index == index));
        link.map_or_else(|| format!("#{}", index.0), |link| link.name.clone())
    }
}
