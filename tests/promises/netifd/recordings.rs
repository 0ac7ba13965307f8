//! What a real netifd said, word for word, while the kernel was as it had made it: after everything that happened to it the routes
//! are right.

use std::cell::RefCell;

use lab::{LabConfig, Netifd, Step, wait_for};
use serde_json::Value;

use crate::world::{SOON, World, word};

/// The lines of the recordings: `eth1` and `eth2`, in place of the second sometimes a modem, in place of the first PPPoE over it.
const ETHERNET: &[&str] = &["eth1", "eth2"];
const MODEM: &[&str] = &["eth1", "wwan0"];
const DIALLED: &[&str] = &["pppoe-wan", "eth2", "eth1"];

/// A recording, which is in the program: an ordinary user may not be let into the checkout.
fn text(recording: &str) -> &'static str {
    macro_rules! recordings {
        ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../netifd/", $name, ".jsonl")))),*] };
    }
    let all: &[(&str, &str)] = recordings!["auto" "carrier" "dhcp" "late" "modem" "options" "pppoe" "restart" "static"];
    all.iter().find(|(name, _)| *name == recording).unwrap().1
}

/// Two providers in a lab with a netifd that replays.
struct Replay {
    /// None while it is away, with what it showed before.
    netifd: RefCell<Result<Netifd, Value>>,
    world: World,
    names: [&'static str; 2],
}

impl Replay {
    fn new(devices: &'static [&'static str], names: [&'static str; 2]) -> Replay {
        let providers = u8::try_from(devices.len()).unwrap();
        let world = World::new(LabConfig { devices, providers, ..LabConfig::default() });
        world.lab.providers().iter().for_each(|provider| provider.router_address(false).unwrap());
        let netifd = Netifd::start(world.broker.path()).unwrap();
        let sections = names.map(|name| format!("config provider '{name}'\n\toption interface '{name}'\n"));
        let settings = "config failover 'settings'\n\toption interval '100ms'\n\toption standby_interval '100ms'\n\
            \toption failback_delay '100ms'\n";
        world.configure(&format!("{settings}{}", sections.concat()));
        Replay { netifd: RefCell::new(Ok(netifd)), world, names }
    }

    /// Each provider's state, and where its slot leads: `wan online eth1 192.168.1.2 via 192.168.1.1 first`.
    fn seen(&self) -> String {
        let status = self.world.status();
        let routes = self.world.defaults();
        let mut slots: Vec<&String> = routes.iter().filter(|it| it.contains(" proto 102 ")).collect();
        slots.sort_by_key(|it| word(it, "metric"));
        let seen = self.names.map(|name| {
            let entry = status["providers"].as_array().into_iter().flatten().find(|it| it["name"] == name);
            let state = entry.and_then(|it| it["state"].as_str()).unwrap_or("nowhere");
            let place = slots.iter().position(|slot| self.device(slot).is_some_and(|it| self.is_of(name, it)));
            match place.and_then(|place| slots.get(place).map(|slot| (place, slot))) {
                None => format!("{name} {state}"),
                Some((place, slot)) => {
                    let after = |name: &str| slot.split(' ').skip_while(|it| *it != name).nth(1).unwrap_or("nowhere");
                    let (device, place) = (self.device(slot).unwrap_or("?"), ["first", "second"][place]);
                    format!("{name} {state} {device} {} via {} {place}", after("src"), after("via"))
                }
            }
        });
        seen.join("; ")
    }

    fn device(&self, route: &str) -> Option<&str> {
        let mut all = self.world.lab.providers().iter();
        all.find(|it| it.ifindex().unwrap() == Some(word(route, "oif"))).map(lab::Provider::device)
    }

    /// The first provider's device is the first line's, or the one below it.
    fn is_of(&self, name: &str, device: &str) -> bool {
        let number = self.names.iter().position(|it| *it == name).unwrap();
        self.world.lab.providers()[number].device() == device
    }

    fn play(&self, recording: &str, table: &[(&str, &str)]) {
        let mut steps = Step::all(recording, text(recording)).unwrap().into_iter().peekable();
        let mut rows = table.iter();
        let daemon = self.world.launch();
        self.world.wait_status("the daemon", |status| status.is_object());
        while let Some(step) = steps.next() {
            let Step::Comment(comment) = step else { panic!("{recording}: a comment comes first") };
            let (told, wanted) = rows.next().unwrap_or_else(|| panic!("{recording}: no row for '{comment}'"));
            assert!(comment.starts_with(told), "{recording}: '{comment}' where the table has '{told}'");
            self.by_hand(&comment);
            let more = |step: &Step| !matches!(step, Step::Comment(text) if !text.starts_with("ubus.object."));
            while let Some(step) = steps.next_if(more) {
                match step {
                    Step::Dump(dump) => self.follow(Value::Object(dump)),
                    Step::Comment(object) => self.come_or_go(&object),
                    other => self.netifd.borrow().as_ref().unwrap().play(&other),
                }
            }
            let mut seen = String::new();
            let done = wait_for(SOON, &format!("'{wanted}' after '{comment}'"), || {
                seen = self.seen();
                seen == *wanted
            });
            done.unwrap_or_else(|error| {
                panic!("{recording}: {error}; it is '{seen}': {:#?}", self.world.lab.router().routes().unwrap())
            });
        }
        assert_eq!(rows.next(), None, "{recording}: played to its end");
        self.world.stop(&daemon);
        let left = self.world.lab.router().routes().unwrap();
        assert!(!left.iter().any(|it| it.contains(" proto 102 ")), "{recording}: {left:#?}");
    }

    /// What netifd did to the kernel on its way there: PPPoE's device goes and comes with the connection.
    fn follow(&self, dump: Value) {
        let interfaces = dump["interface"].as_array().cloned().unwrap_or_default();
        let line = self.world.provider(0);
        if line.device() == "pppoe-wan" {
            let up = interfaces.iter().any(|it| it["l3_device"] == "pppoe-wan");
            match (up, line.ifindex().unwrap()) {
                (false, Some(_)) => line.remove_device().unwrap(),
                (true, None) => {
                    line.restore_device().unwrap();
                    line.router_address(false).unwrap();
                }
                _ => {}
            }
        }
        self.netifd.borrow().as_ref().unwrap().apply(&self.world.lab, dump).unwrap();
    }

    /// netifd's object is there or not; what it has done to the kernel stays.
    fn come_or_go(&self, comment: &str) {
        let mut netifd = self.netifd.borrow_mut();
        let shown = netifd.as_ref().map_or_else(Value::clone, |it| Value::Object(it.shown()));
        match comment {
            "ubus.object.remove network.interface" => *netifd = Err(shown),
            "ubus.object.add network.interface" if netifd.is_err() => {
                let again = Netifd::start(self.world.broker.path()).unwrap();
                again.set(shown);
                *netifd = Ok(again);
            }
            _ => {}
        }
    }

    /// What was done to the real one that is not netifd's doing.
    fn by_hand(&self, comment: &str) {
        let carrier = |device: &str, on| {
            let mut lines = self.world.lab.providers().iter();
            lines.find(|it| it.device() == device).unwrap().carrier(on).unwrap();
        };
        match comment {
            "carrier of wan lost" | "carrier lost" => carrier("eth1", false),
            "carrier of wan back" | "carrier back" => carrier("eth1", true),
            "carrier of wanb lost" => carrier("eth2", false),
            "carrier of wanb back" => carrier("eth2", true),
            "netifd starts, the device of lte does not exist" | "the device vanishes" => {
                self.world.provider(1).remove_device().unwrap()
            }
            "the device appears" | "the device appears again" => {
                self.world.provider(1).restore_device().unwrap();
                self.world.provider(1).router_address(false).unwrap();
            }

            _ => {}
        }
    }
}

const WAN: &str = "wan online eth1 192.168.1.2 via 192.168.1.1 first; ";
const BOTH: &str = "wan online eth1 192.168.1.2 via 192.168.1.1 first; wanb online eth2 10.0.2.2 via 10.0.2.1 second";

#[test]
fn static_interfaces() {
    let wanb_alone = "wan disabled; wanb online eth2 10.0.2.2 via 10.0.2.1 first";
    let moved = "wan online eth1 192.168.1.7 via 192.168.1.1 first; wanb online eth2 10.0.2.2 via 10.0.2.1 second";
    let elsewhere = moved.replace("192.168.1.1 ", "192.168.1.254 ");
    Replay::new(ETHERNET, ["wan", "wanb"]).play(
        "static",
        &[
            ("netifd starts", BOTH),
            ("ifdown wan", wanb_alone),
            ("ifup wan", BOTH),
            ("address of wan changed", moved),
            ("gateway of wan changed", &elsewhere),
            ("reload without a change", &elsewhere),
            ("wanb out of the configuration", &format!("{WAN}wanb unresolved")),
            ("wanb back in the configuration", BOTH),
            ("ifup wan while it is up", BOTH),
        ],
    );
}

#[test]
fn interfaces_that_are_not_taken_up_by_themselves() {
    Replay::new(ETHERNET, ["wan", "wanb"]).play(
        "auto",
        &[
            ("netifd starts", &format!("{WAN}wanb disabled")),
            ("ifup wanb", BOTH),
            ("ifdown wanb", &format!("{WAN}wanb disabled")),
        ],
    );
}

#[test]
fn options_of_an_interface() {
    Replay::new(ETHERNET, ["wan", "wanb"]).play(
        "options",
        &[
            ("netifd starts", BOTH),
            ("ifdown wan", "wan disabled; wanb online eth2 10.0.2.2 via 10.0.2.1 first"),
            ("ifup wan", BOTH),
            ("option defaultroute 0 on wanb", BOTH),
            ("option auto 0 on wanb", &format!("{WAN}wanb disabled")),
            ("ifup wanb, which is auto 0", BOTH),
            ("option disabled 1 on wanb", &format!("{WAN}wanb unresolved")),
            ("wan and wanb without metric", BOTH),
            ("ip4table 100 on wan", BOTH),
            ("gateway of wan as a route section", BOTH),
        ],
    );
}

#[test]
fn carriers() {
    // The line without a carrier keeps a slot: it is netifd's interface still.
    let lost = "wan no_carrier eth1 192.168.1.2 via 192.168.1.1 second; wanb online eth2 10.0.2.2 via 10.0.2.1 first";
    Replay::new(ETHERNET, ["wan", "wanb"]).play(
        "carrier",
        &[
            ("netifd starts", BOTH),
            ("carrier of wan lost", lost),
            ("carrier of wan back", BOTH),
            ("carrier of wanb lost", &format!("{WAN}wanb no_carrier")),
            ("carrier of wanb back", BOTH),
        ],
    );
}

#[test]
fn dhcp() {
    let leased = BOTH.replace("192.168.1.2 ", "192.168.1.50 ");
    let elsewhere = leased.replace("192.168.1.1 ", "192.168.1.254 ");
    let wanb_alone = |wan: &str| format!("wan {wan}; wanb online eth2 10.0.2.2 via 10.0.2.1 first");
    Replay::new(ETHERNET, ["wan", "wanb"]).play(
        "dhcp",
        &[
            ("netifd starts", &wanb_alone("unresolved")),
            ("the server answers", &leased),
            ("renew", &leased),
            ("renew with another gateway", &elsewhere),
            ("carrier lost", &wanb_alone("no_carrier")),
            ("carrier back", &elsewhere),
            ("another address at the next ifup", &BOTH.replace("192.168.1.2 ", "192.168.1.60 ")),
        ],
    );
}

#[test]
fn pppoe() {
    let dialled = |address: &str, peer: &str| {
        format!("wan online pppoe-wan {address} via {peer} first; wanb online eth2 10.0.2.2 via 10.0.2.1 second")
    };
    Replay::new(DIALLED, ["wan", "wanb"]).play(
        "pppoe",
        &[
            ("netifd starts", &dialled("100.64.0.2", "100.64.0.1")),
            ("the line is cut", &dialled("100.64.7.9", "100.64.0.1")),
            ("carrier of eth1 lost", &dialled("100.64.8.8", "100.64.9.1")),
            ("ifdown wan", "wan disabled; wanb online eth2 10.0.2.2 via 10.0.2.1 first"),
            ("ifup wan", &dialled("100.64.8.8", "100.64.9.1")),
        ],
    );
}

#[test]
fn a_modem_that_is_plugged_in_late() {
    let alone = format!("{WAN}lte unresolved");
    let both = format!("{WAN}lte online wwan0 10.9.0.2 via 10.9.0.1 second");
    Replay::new(MODEM, ["wan", "lte"]).play(
        "late",
        &[
            ("netifd starts", &alone),
            ("the device appears", &both),
            ("the device vanishes", &alone),
            ("the device appears again", &both),
        ],
    );
}

#[test]
fn a_modem_whose_address_is_its_childs() {
    let both = format!("{WAN}lte online wwan0 10.64.0.2 via 10.64.0.1 second");
    Replay::new(MODEM, ["wan", "lte"]).play(
        "modem",
        &[
            ("netifd starts", &both),
            ("ifdown lte", &format!("{WAN}lte disabled")),
            ("ifup lte", &both),
            ("the modem is dialled again", &both),
        ],
    );
}

#[test]
fn netifd_itself_starts_again() {
    Replay::new(ETHERNET, ["wan", "wanb"]).play(
        "restart",
        &[
            ("netifd starts", BOTH),
            ("netifd is killed", BOTH),
            ("netifd starts again", BOTH),
            ("network restart", BOTH),
        ],
    );
}
