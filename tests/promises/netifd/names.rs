//! The DNS servers that netifd tells of: a host route through the provider they belong to, while it is reliable.

use lab::LabConfig;
use serde_json::json;

use super::{Home, interface};
use crate::world::{SOON, word};

#[test]
fn dns_servers_are_asked_through_their_provider() {
    let home = Home::new(LabConfig { identical: false, ..LabConfig::default() });
    for (number, servers) in
        [(0, json!(["198.51.100.1", "198.51.100.53"])), (1, json!(["198.51.100.2", "198.51.100.53"]))]
    {
        home.quietly(number, |it| it["dns-server"] = servers);
    }
    home.world.configure(&home.uci(&[("dns_routes", "1")]));
    let before = home.world.view();
    let daemon = home.world.start();
    // Which provider each server is asked through: the own ones, and the one that both name.
    let through = |last: u8| {
        let routes = home.world.lab.router().routes().unwrap();
        let to = format!("198.51.100.{last}/32 ");
        let route = routes.iter().find(|it| it.starts_with(&to) && it.contains(" proto 102 "))?;
        let index = word(route, "oif");
        let mut providers = home.world.lab.providers().iter();
        providers.find(|it| it.ifindex().unwrap() == Some(index)).map(lab::Provider::number)
    };
    let wait = |why: &str, wanted: [Option<u8>; 3]| {
        let mut seen = wanted;
        lab::wait_for(SOON, why, || {
            seen = [1, 2, 53].map(through);
            seen == wanted
        })
        .unwrap_or_else(|error| panic!("{error}: {seen:?}"));
    };
    wait("both reliable: the first slot's", [Some(0), Some(1), Some(0)]);
    home.world.provider(0).silent(true);
    home.world.wait_route(1);
    wait("the first is not: its own one by the default route", [None, Some(1), Some(1)]);
    home.world.provider(0).silent(false);
    home.world.wait_route(0);
    wait("it is again", [Some(0), Some(1), Some(0)]);
    // netifd has other ones.
    let mut shape = interface(&home.world, 0);
    shape["dns-server"] = json!(["198.51.100.2"]);
    home.up(0, shape);
    wait("other servers", [None, Some(0), Some(1)]);
    home.world.stop(&daemon);
    home.world.assert_as_before(&before, "the host routes are gone");
}
