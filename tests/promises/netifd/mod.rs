//! Providers that are netifd's interfaces: the daemon follows what netifd says, what it forgets to say, and does without it.
//!
//! `Home` is a world with a stand-in for netifd, which says on ubus what netifd says and does to the kernel what netifd does.

mod broker;
mod following;
mod names;
mod recordings;
mod recover;
mod restart;

use std::cell::RefCell;
use std::time::Duration;

use lab::{LabConfig, Netifd, wait_for};
use serde_json::{Map, Value, json};

use crate::world::{SOON, World, word};

/// A world whose provider `wan0` is netifd's interface `wan0`, on the device of that name, and so on.
pub(crate) struct Home {
    // Before the broker that it is at.
    netifd: Netifd,
    /// In the order of the providers.
    interfaces: RefCell<Vec<Value>>,
    pub(crate) world: World,
}

/// Checks come as quickly as they may, each as patient as shipped.
const QUICK: [(&str, &str); 3] = [("interval", "100ms"), ("standby_interval", "100ms"), ("failback_delay", "200ms")];

/// Where netifd's routes are moved to, and up.
const MOVED: u32 = 1_000_000_000;

impl Home {
    pub(crate) fn new(config: LabConfig) -> Home {
        Home::on(World::new(config))
    }

    /// Has the machine for itself.
    pub(crate) fn alone(config: LabConfig) -> Home {
        Home::on(World::alone(config))
    }

    fn on(world: World) -> Home {
        let netifd = Netifd::start(world.broker.path()).unwrap();
        let numbers: Vec<u8> = world.lab.providers().iter().map(lab::Provider::number).collect();
        numbers.iter().for_each(|number| world.provider(*number).router_address(false).unwrap());
        let interfaces = RefCell::new(numbers.iter().map(|number| interface(&world, *number)).collect());
        let home = Home { netifd, interfaces, world };
        home.apply();
        home.world.configure(&home.uci(&[]));
        home
    }

    /// A configuration with all interfaces as providers, in their order.
    fn uci(&self, more: &[(&str, &str)]) -> String {
        let options = QUICK.iter().chain(more).map(|(name, value)| format!("\toption {name} '{value}'\n"));
        let providers = self.world.lab.providers().iter().map(|provider| {
            let name = provider.device();
            format!("\nconfig provider '{name}'\n\toption interface '{name}'\n")
        });
        ["config failover 'settings'\n".to_owned()].into_iter().chain(options).chain(providers).collect()
    }

    /// netifd does what it will not tell by itself: the kernel and `dump` change.
    fn quietly(&self, number: u8, change: impl FnOnce(&mut Value)) {
        change(&mut self.interfaces.borrow_mut()[usize::from(number)]);
        self.apply();
    }

    /// The interface comes up, or up again, in this shape.
    fn up(&self, number: u8, shape: Value) {
        self.quietly(number, |interface| *interface = shape);
        self.netifd.announce(&name(number), true);
    }

    /// The interface goes down: netifd says so when it begins and when it is done.
    fn down(&self, number: u8, shape: Value) {
        self.interfaces.borrow_mut()[usize::from(number)] = shape;
        self.netifd.set(self.dump());
        self.netifd.announce(&name(number), false);
        self.apply();
        self.netifd.announce(&name(number), false);
    }

    fn apply(&self) {
        self.netifd.apply(&self.world.lab, self.dump()).unwrap();
    }

    /// The last one first, so that at the start the first one holds the default route: of one metric the kernel has but one.
    fn dump(&self) -> Value {
        json!({ "interface": self.interfaces.borrow().iter().rev().collect::<Vec<_>>() })
    }

    /// Default routes of ours through a provider's device, in whatever table.
    fn ours(&self, number: u8) -> Vec<String> {
        let Some(index) = self.world.provider(number).ifindex().unwrap() else { return vec![] };
        let mut routes = self.world.lab.router().routes().unwrap();
        routes.retain(|it| it.starts_with("default") && it.contains(" proto 102 ") && word(it, "oif") == index);
        routes
    }

    /// A slot and the provider's table lead where the shape says, nothing of ours leads elsewhere, and netifd's route does not go first.
    fn leads(&self, number: u8, shape: &Value) -> bool {
        let gateway = shape["route"][0]["nexthop"].as_str().filter(|it| *it != "0.0.0.0");
        let source = format!(" src {} ", shape["ipv4-address"][0]["address"].as_str().unwrap());
        let right = |route: &String| {
            let via = gateway.map_or(!route.contains(" via "), |it| route.contains(&format!(" via {it} ")));
            via && route.contains(&source)
        };
        let routes = self.ours(number);
        let slots = routes.iter().filter(|it| it.contains(" table 254 ")).count();
        let theirs = self.world.defaults();
        let mut theirs = theirs.iter().filter(|it| it.contains(" proto 4 "));
        routes.len() == 2 && slots == 1 && routes.iter().all(right) && theirs.all(|it| word(it, "metric") >= MOVED)
    }

    /// Waits until the routes are right; how long that took.
    fn wait_leads(&self, number: u8, shape: &Value) -> Duration {
        let what = format!("the routes of wan{number} as {shape}");
        wait_for(SOON, &what, || self.leads(number, shape)).unwrap_or_else(|error| {
            panic!("{error}: {:#?}\n{:#}", self.world.lab.router().routes().unwrap(), self.world.status_of(number))
        })
    }

    /// After a stop: all as before, but for the default route, which the kernel has but once at each metric: as without us it is that
    /// of `last`, which netifd took up last, perhaps on a new device.
    fn assert_put_back(&self, last: u8, before: &lab::KernelView) {
        let after = self.world.view();
        let index = format!(" oif {} ", self.world.provider(last).ifindex().unwrap().unwrap());
        let defaults = self.world.defaults();
        assert!(defaults.len() == 1 && defaults[0].contains(&index), "{defaults:#?}");
        assert!(!defaults[0].contains(" metric "), "{defaults:#?}");
        assert_eq!((&after.rules, &after.sysctls), (&before.rules, &before.sysctls));
        assert!(!after.routes.iter().any(|it| it.contains(" proto 102 ")), "{:#?}", after.routes);
    }

    /// Waits until no route of ours leads through the provider.
    fn wait_left(&self, number: u8) {
        wait_for(SOON, &format!("no routes of wan{number}"), || self.ours(number).is_empty())
            .unwrap_or_else(|error| panic!("{error}: {:#?}", self.ours(number)));
    }
}

fn name(number: u8) -> String {
    format!("wan{number}")
}

/// The shape of an interface that is up as the lab made it, by DHCP and without a metric.
fn interface(world: &World, number: u8) -> Value {
    let lab::Addresses { gateway, router, prefix } = world.provider(number).addresses();
    let device = world.provider(number).device();
    json!({
        "interface": name(number), "up": true, "pending": false, "available": true, "autostart": true, "dynamic": false, "uptime": 0,
        "l3_device": device, "proto": "dhcp", "device": device, "updated": ["addresses", "routes"], "metric": 0, "dns_metric": 0,
        "ipv4-address": [{ "address": router.to_string(), "mask": prefix }],
        "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": gateway.to_string(), "source": format!("{router}/32") }],
        "dns-server": [], "inactive": { "ipv4-address": [], "route": [], "dns-server": [] }, "data": {},
    })
}

/// PPPoE on that shape: an address of its own, and a peer that is the gateway.
fn dialled(shape: &Value, lower: &str, address: &str, peer: &str) -> Value {
    let mut shape = shape.clone();
    shape["proto"] = "pppoe".into();
    shape["device"] = lower.into();
    shape["ipv4-address"] = json!([{ "address": address, "mask": 32, "ptpaddress": peer }]);
    shape["route"] = json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": peer, "source": format!("{address}/32") }]);
    shape
}

/// What is left of a shape when the interface is down: taken down by hand, or for another reason, perhaps to come up again.
fn lowered(shape: &Value, by_hand: bool, pending: bool) -> Value {
    let mut left = Map::new();
    for kept in ["interface", "available", "dynamic", "proto", "device", "data"] {
        left.insert(kept.to_owned(), shape[kept].clone());
    }
    for (flag, value) in [("up", false), ("pending", pending), ("autostart", !by_hand)] {
        left.insert(flag.to_owned(), value.into());
    }
    Value::Object(left)
}
