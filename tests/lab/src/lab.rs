//! The lab as a whole: builds router, providers and client from a `LabConfig`, hands out their handles, and ends them
//! all when dropped.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::broker::Broker;
use crate::client::Client;
use crate::directory::Directory;
use crate::enter::enter;
use crate::error::{During, LabError, Result};
use crate::process::{Finished, Process, SpawnOptions, Spawner};
use crate::provider::{Addresses, Provider};
use crate::router::Router;
use crate::stream::{Flows, Stream};
use crate::watcher::DefaultRouteWatcher;

/// What kind of lab to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabConfig {
    /// How many providers, 1 to 16.
    pub providers: u8,
    /// All providers have gateway 192.168.1.1 and give the router 192.168.1.2; otherwise provider i has
    /// 192.168.(10+i).0/24.
    pub identical: bool,
    /// Whether and how the router rewrites source addresses. Takes `nft`.
    pub nat: Nat,
    /// rp_filter of `all` and of the providers' devices; OpenWrt has 0.
    pub rp_filter: u8,
    /// Default routes that are there from the start.
    pub initial_defaults: Vec<InitialDefault>,
    /// Names of the router's devices on the lines, in place of `wan0`, `wan1`...
    pub devices: &'static [&'static str],
    /// Behind every provider there is a peer, a computer with a kernel of its own.
    pub peers: bool,
    /// Seed of all randomness.
    pub seed: u64,
}

impl Default for LabConfig {
    fn default() -> LabConfig {
        LabConfig {
            providers: 2,
            identical: true,
            nat: Nat::None,
            rp_filter: 0,
            initial_defaults: Vec::new(),
            devices: &[],
            peers: false,
            seed: 1,
        }
    }
}

/// Network address translation on the router. With it, a provider answers datagrams only from the address that it gave
/// to the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// None: the providers know the way back to the LAN.
    None,
    /// `masquerade` on all provider devices.
    Masquerade,
    /// `snat to` the router's address of each.
    Snat,
}

/// A default route that is there before failoverd starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialDefault {
    /// Through which provider.
    pub provider: u8,
    /// Its metric.
    pub metric: u32,
    /// Who wrote it, see [`crate::protocol`].
    pub protocol: u8,
}

/// A router with providers on one side and a LAN client on the other.
pub struct Lab {
    // Dropped in this order: programs first, then who they talk to, the directory last.
    spawner: Spawner,
    client: Client,
    providers: Vec<Provider>,
    router: Router,
    directory: Directory,
    config: LabConfig,
}

impl Lab {
    /// Builds it; takes some tens of milliseconds.
    pub fn new(config: LabConfig) -> Result<Lab> {
        enter()?;
        if !(1..=16).contains(&config.providers) {
            return Err(LabError::new("build a lab", format!("1 to 16 providers, not {}", config.providers)));
        }
        let directory = Directory::new()?;
        let router = Router::new()?;
        let mut providers = Vec::new();
        for number in 0..config.providers {
            let handles = (router.namespace.clone(), router.netlink.clone());
            let seed = config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(number));
            let translated = config.nat != Nat::None;
            let named = config.devices.get(usize::from(number)).map(|&name| name.to_owned());
            let device = named.unwrap_or_else(|| format!("wan{number}"));
            providers.push(Provider::new(
                (number, device),
                addresses(number, config.identical),
                handles,
                seed,
                (translated, config.peers),
            )?);
        }
        let client = Client::new(&router)?;
        let spawner = Spawner::start(&router.namespace, directory.path())?;
        let lab = Lab { spawner, client, providers, router, directory, config };
        lab.set_rp_filter(lab.config.rp_filter)?;
        lab.set_up_nat()?;
        for initial in &lab.config.initial_defaults {
            lab.router.dhcp_default(lab.provider(initial.provider)?, initial.metric, initial.protocol, false)?;
        }
        Ok(lab)
    }

    /// What it was built from.
    #[must_use]
    pub fn config(&self) -> &LabConfig {
        &self.config
    }

    /// The router.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// One provider by number, from 0.
    pub fn provider(&self, number: u8) -> Result<&Provider> {
        let missing =
            || LabError::new(format!("use provider {number}"), format!("the lab has {}", self.providers.len()));
        self.providers.get(usize::from(number)).ok_or_else(missing)
    }

    /// All providers.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// One target dies behind all providers, or lives again.
    pub fn target_dead(&self, target: Ipv4Addr, dead: bool) {
        self.providers.iter().for_each(|provider| provider.target_dead(target, dead));
    }

    /// The LAN client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A private directory, removed with the lab.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// What programs of the lab see as /var/run.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.dir().join("run")
    }

    /// Starts a program in the router. It dies with the lab, and with this process.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        self.spawner.spawn(command, SpawnOptions::default())
    }

    /// The same, with options.
    pub fn spawn_with(&self, command: Command, options: SpawnOptions) -> Result<Process> {
        self.spawner.spawn(command, options)
    }

    /// Runs a program in the router to its end.
    pub fn run(&self, command: Command, limit: Duration) -> Result<Finished> {
        self.spawn(command)?.wait(limit)
    }

    /// Starts a ubus broker where programs of the lab look for it: /var/run/ubus/ubus.sock.
    pub fn broker(&self) -> Result<Broker> {
        let directory = self.run_dir().join("ubus");
        std::fs::create_dir_all(&directory).during(format!("create {}", directory.display()))?;
        Broker::start(&directory.join("ubus.sock"))
    }

    /// Starts datagrams from the LAN client to the stream server, 20 ms apart, one established flow.
    pub fn stream(&self) -> Result<Stream> {
        self.client.stream(Duration::from_millis(20), Flows::One)
    }

    /// Starts looking for moments without a default route, as fast as the kernel answers.
    pub fn watch_default_route(&self) -> Result<DefaultRouteWatcher> {
        DefaultRouteWatcher::start(&self.router.namespace, Duration::ZERO)
    }

    /// Number of the provider the router sends new packets through.
    pub fn active_provider(&self) -> Result<Option<u8>> {
        self.router.active_provider(&self.providers)
    }

    /// A UCI file for failoverd with every provider under the name of its device (`wan0`), and these options in the
    /// section `settings`.
    #[must_use]
    pub fn uci(&self, settings: &[(&str, &str)]) -> String {
        let mut text = String::from("config failover 'settings'\n");
        for (name, value) in settings {
            text.push_str(&format!("\toption {name} '{value}'\n"));
        }
        for provider in &self.providers {
            let Addresses { gateway, router, .. } = provider.addresses();
            let device = provider.device();
            text.push_str(&format!("\nconfig provider '{device}'\n\toption device '{device}'\n"));
            text.push_str(&format!("\toption gateway '{gateway}'\n\toption address '{router}'\n"));
        }
        text
    }

    /// Writes a file into the lab's directory; returns its path.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir().join(name);
        std::fs::write(&path, text).during(format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Sets rp_filter of `all`, `default` and every provider's device.
    pub fn set_rp_filter(&self, value: u8) -> Result<()> {
        let devices = self.providers.iter().map(Provider::device);
        for device in ["all", "default"].into_iter().chain(devices) {
            self.router.set_device_sysctl(device, "rp_filter", &value.to_string())?;
        }
        Ok(())
    }

    fn set_up_nat(&self) -> Result<()> {
        let rules = match self.config.nat {
            Nat::None => return Ok(()),
            Nat::Masquerade => "oifname \"wan*\" masquerade\n".to_owned(),
            Nat::Snat => {
                let rule = |provider: &Provider| {
                    format!("oifname \"{}\" snat to {}\n", provider.device(), provider.addresses().router)
                };
                self.providers.iter().map(rule).collect()
            }
        };
        // As OpenWrt's firewall does, the router's own packets included.
        self.router.nft(&format!(
            "table ip lab {{ chain postrouting {{ type nat hook postrouting priority srcnat;\n{rules}}}\n}}\n"
        ))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Closing a packet socket takes the kernel some milliseconds: let all of them end side by side.
        self.providers.iter().for_each(Provider::begin_to_end);
    }
}

fn addresses(number: u8, identical: bool) -> Addresses {
    let third = if identical { 1 } else { 10 + number };
    Addresses { gateway: Ipv4Addr::new(192, 168, third, 1), router: Ipv4Addr::new(192, 168, third, 2), prefix: 24 }
}
