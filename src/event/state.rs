//! What the daemon must know again after a crash, as it stands in the state file.
//!
//! Kept by the core, which has the shell write it; what the shell reads at the start begins the next core.

use serde_json::{Map, Value};

use super::ProviderId;
use crate::kernel::{IfIndex, Metric, Sysctl};
use crate::member::{flag, list, number, object, text};
use crate::netifd::Interface;

/// What must survive a crash of the daemon: `/var/run/failover/state.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Ids by provider name, in the order of the names, so that tables keep their numbers.
    pub ids: Vec<(String, ProviderId)>,
    /// The runtime pin.
    pub pin: Option<String>,
    /// The provider that was active last.
    pub active: Option<String>,
    /// Sysctl values found before the first change.
    pub sysctls: Vec<SavedSysctl>,
    /// Foreign default routes that were moved, in that order.
    pub moved: Vec<MovedRoute>,
    /// netifd's interfaces that providers use, as last told.
    pub interfaces: Vec<Interface>,
}

/// A sysctl value found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSysctl {
    /// The device's name, for people.
    pub device: String,
    /// The device.
    pub index: IfIndex,
    /// Which.
    pub key: Sysctl,
    /// The value before us.
    pub value: u32,
}

/// A foreign default route that was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedRoute {
    /// Of which provider.
    pub id: ProviderId,
    /// Its metric before.
    pub metric: Metric,
    /// Routes seen at one metric at the same time have the same number; the highest goes back.
    pub round: u32,
    /// Others at that metric stayed where they were: one of them that is moved later belongs to the same round.
    pub beside: bool,
}

impl State {
    /// The id of the provider `name`.
    pub fn id_of(&self, name: &str) -> Option<ProviderId> {
        self.ids.iter().find(|(known, _)| known == name).map(|(_, id)| *id)
    }

    /// As it is written.
    pub fn to_json(&self) -> Value {
        let mut ids = Map::new();
        for (name, id) in &self.ids {
            ids.insert(name.clone(), id.0.into());
        }
        object(&mut [
            ("ids", Value::Object(ids)),
            ("pin", self.pin.as_deref().into()),
            ("active", self.active.as_deref().into()),
            ("sysctls", self.sysctls.iter().map(SavedSysctl::to_json).collect()),
            ("moved", self.moved.iter().map(|it| it.to_json()).collect()),
            ("interfaces", self.interfaces.iter().map(Interface::to_json).collect()),
        ])
    }

    /// As it was read. A file of another version is read as far as it goes.
    pub fn from_json(saved: &Value) -> Self {
        let ids = saved.get("ids").and_then(Value::as_object).into_iter().flatten();
        let id = |(name, id): (&String, &Value)| Some((name.clone(), ProviderId(id.as_u64()?.try_into().ok()?)));
        Self {
            ids: ids.filter_map(id).collect(),
            pin: text(saved, "pin").map(str::to_owned),
            active: text(saved, "active").map(str::to_owned),
            sysctls: list(saved, "sysctls").iter().filter_map(SavedSysctl::from_json).collect(),
            moved: list(saved, "moved").iter().filter_map(MovedRoute::from_json).collect(),
            interfaces: list(saved, "interfaces").iter().map(Interface::from_json).collect(),
        }
    }
}

impl SavedSysctl {
    fn to_json(&self) -> Value {
        object(&mut [
            ("device", self.device.as_str().into()),
            ("index", self.index.0.into()),
            ("key", self.key.word().into()),
            ("value", self.value.into()),
        ])
    }

    fn from_json(saved: &Value) -> Option<Self> {
        let key = text(saved, "key")?;
        Some(Self {
            device: text(saved, "device")?.to_owned(),
            index: IfIndex(small(saved, "index")?),
            key: [Sysctl::RpFilter, Sysctl::IgnoreLinkdown].into_iter().find(|it| it.word() == key)?,
            value: small(saved, "value")?,
        })
    }
}

impl MovedRoute {
    fn to_json(self) -> Value {
        object(&mut [
            ("id", self.id.0.into()),
            ("metric", self.metric.0.into()),
            ("round", self.round.into()),
            ("beside", self.beside.into()),
        ])
    }

    fn from_json(saved: &Value) -> Option<Self> {
        Some(Self {
            id: ProviderId(number(saved, "id")?.try_into().ok()?),
            metric: Metric(small(saved, "metric")?),
            round: small(saved, "round")?,
            beside: flag(saved, "beside"),
        })
    }
}

fn small(object: &Value, name: &str) -> Option<u32> {
    number(object, name)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netifd::DefaultRoute;
    use serde_json::json;

    #[test]
    fn the_file_keeps_its_form() {
        let file = json!({
            "ids": { "fiber": 1, "lte": 2 },
            "pin": "lte",
            "active": "fiber",
            "sysctls": [{ "device": "wan0", "index": 7, "key": "rp_filter", "value": 1 }],
            "moved": [{ "id": 1, "metric": 0, "round": 3, "beside": true }],
            "interfaces": [
                {
                    "name": "wan", "up": true, "pending": false, "autostart": true, "proto": "dhcp", "device": "pppoe-wan",
                    "lower_device": "eth0", "addresses": ["10.0.0.2"], "default_route": { "via": "10.0.0.1" },
                    "dns_servers": ["10.0.0.3", "2001:db8::1"],
                },
                {
                    "name": "wwan", "up": false, "pending": false, "autostart": false, "proto": "",
                    "default_route": "direct",
                },
            ],
        });
        let state = State::from_json(&file);
        assert_eq!(state.to_json(), file);
        assert_eq!(state.id_of("lte"), Some(ProviderId(2)));
        assert_eq!(state.sysctls.first().map(|saved| saved.key), Some(Sysctl::RpFilter));
        assert_eq!(state.interfaces.last().and_then(|it| it.default_route), Some(DefaultRoute::Direct));
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        for (file, why) in [
            (json!({ "ids": { "a": 256, "b": -1, "c": "1" } }), "no number of a provider"),
            (json!({ "pin": null, "active": 1 }), "no names"),
            (
                json!({ "sysctls": [{ "device": "wan0", "index": 7, "key": "forwarding", "value": 1 }] }),
                "no setting of ours",
            ),
            (json!({ "moved": [{ "id": 1, "round": 3 }, 5] }), "whereto is not known"),
            (json!([]), "not even an object"),
        ] {
            assert_eq!(State::from_json(&file), State::default(), "{why}");
        }
    }
}
