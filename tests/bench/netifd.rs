//! How long it takes from netifd's doing and saying something until the kernel's routes are right.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Addresses, Lab, LabConfig, LabError, Netifd, Provider, Result};
use serde_json::{Value, json};

use crate::Effort;
use crate::report::{Row, Unit};

const LIMIT: Duration = Duration::from_secs(10);
/// Between two changes, as they come on a bad day: all that the one before brought about is over.
const PAUSE: Duration = Duration::from_millis(200);

/// An interface comes up, changes its address, then its gateway, dials PPPoE with a new device, and is gone, again and again.
pub(crate) fn following(binary: &Path, effort: Effort) -> Row {
    const WHAT: &str = "netifd says so -> routes right";
    match changes(binary, effort) {
        Ok(times) => Row::of_durations(WHAT, Unit::Milliseconds, &times).each_at_most(100.0),
        Err(error) => Row::failed(WHAT, error),
    }
}

/// What netifd has for an interface that is up. Where the address is alone, the gateway is its peer.
#[derive(Clone, Copy)]
struct Uplink {
    address: Ipv4Addr,
    prefix: u8,
    gateway: Ipv4Addr,
}

impl Uplink {
    fn of(provider: &Provider) -> Uplink {
        let Addresses { gateway, router, prefix } = provider.addresses();
        Uplink { address: router, prefix, gateway }
    }
}

/// An entry of `dump`.
fn entry(device: &str, uplink: Option<Uplink>) -> Value {
    let Some(Uplink { address, prefix, gateway }) = uplink else {
        return json!({ "interface": device, "up": false, "pending": true, "autostart": true, "device": device });
    };
    let peer = if prefix == 32 { gateway } else { address };
    json!({
        "interface": device, "up": true, "pending": false, "autostart": true, "l3_device": device, "device": device, "metric": 0,
        "ipv4-address": [{ "address": address.to_string(), "mask": prefix, "ptpaddress": peer.to_string() }],
        "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": gateway.to_string() }],
    })
}

fn changes(binary: &Path, effort: Effort) -> Result<Vec<Duration>> {
    let lab = Lab::new(LabConfig { identical: false, seed: effort.seed, ..LabConfig::default() })?;
    let broker = lab.broker()?;
    let netifd = Netifd::start(broker.path())?;
    lab.providers().iter().try_for_each(|provider| provider.router_address(false))?;
    let line = lab.provider(0)?;
    let (first, other) = (Uplink::of(line), entry("wan1", Some(Uplink::of(lab.provider(1)?))));
    netifd.apply(&lab, json!({ "interface": [other, entry("wan0", Some(first))] }))?;
    let text = "config provider 'wan0'\n\toption interface 'wan0'\nconfig provider 'wan1'\n\toption interface 'wan1'\n";
    let mut command = Command::new(binary);
    command.arg("run").arg("-f").arg("-c").arg(lab.write_file("failover", text)?);
    let daemon = lab.spawn(command)?;
    let begin = Instant::now();
    for name in ["wan0 online", "wan1 online"] {
        daemon.wait_for_line(name, begin, LIMIT)?;
    }
    let mut times = Vec::new();
    let mut becomes = |uplink: Option<Uplink>| -> Result<()> {
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        netifd.apply(&lab, json!({ "interface": [other, entry("wan0", uplink)] }))?;
        netifd.announce("wan0", uplink.is_some());
        lab::wait_for(LIMIT, "the routes of wan0", || is_right(&lab, uplink).unwrap_or(false))?;
        times.push(start.elapsed());
        Ok(())
    };
    let dialled = Uplink { address: Ipv4Addr::new(100, 64, 0, 2), prefix: 32, gateway: Ipv4Addr::new(100, 64, 0, 1) };
    for _ in 0..if effort.full { 20 } else { 5 } {
        let moved = Uplink { address: Ipv4Addr::new(192, 168, 10, 77), ..first };
        becomes(Some(moved))?;
        becomes(Some(Uplink { gateway: Ipv4Addr::new(192, 168, 10, 254), ..moved }))?;
        becomes(None)?;
        line.remove_device()?;
        line.restore_device()?;
        line.router_address(false)?;
        becomes(Some(dialled))?;
        becomes(None)?;
        becomes(Some(first))?;
    }
    Ok(times)
}

/// The slot and the provider's table lead out of the first line as netifd has it, and netifd's own route does not go before ours; or,
/// while it is down, nothing of ours leads there.
fn is_right(lab: &Lab, uplink: Option<Uplink>) -> Result<bool> {
    let index = lab.provider(0)?.ifindex()?.ok_or_else(|| LabError::new("look up wan0", "no such device"))?;
    let mut routes = lab.router().routes()?;
    routes.retain(|it| it.starts_with("default") && it.contains(&format!(" oif {index} ")));
    let (ours, theirs): (Vec<&String>, Vec<&String>) = routes.iter().partition(|it| it.contains(" proto 102 "));
    let Some(Uplink { address, gateway, .. }) = uplink else { return Ok(ours.is_empty()) };
    let right = |it: &&String| it.contains(&format!(" via {gateway} ")) && it.contains(&format!(" src {address} "));
    Ok(ours.len() == 2 && ours.iter().all(right) && theirs.iter().all(|it| it.contains(" metric 100")))
}
