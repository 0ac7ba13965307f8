//! The package, unpacked into an empty root beside a busybox: everything is where OpenWrt looks for it, and the daemon does its main
//! job as the init script starts it, with the rights that the package gives it and no others.
//!
//! tests/run names a package made by cross/package in FAILOVERD_IPK. Without it the same files are installed with the program that
//! cargo has built.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use lab::{Capability, Confined, Finished, Flows, LabConfig, Nat, Process, SpawnOptions};
use serde_json::Value;

use crate::netifd::Home;
use crate::world::{SECOND, SOON, World};

/// OpenWrt's /etc/rc.common, as far as a start goes: writes down what procd would be told.
const RC_COMMON: &str = r#"#!/bin/sh
user_exists() { grep -q "^$1:" /etc/passwd; }
group_exists() { grep -q "^$1:" /etc/group; }
procd_set_param() { echo "$@" >>/instance; }
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_add_jail() { echo jail "$@" >>/instance; }
procd_add_jail_mount() { echo mount "$@" >>/instance; }
procd_add_jail_mount_rw() { echo mount_rw "$@" >>/instance; }
. "$1"
start_service
"#;

/// Runs a tool of this machine to its end, which must be a good one.
fn tool(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Where a program of this machine is.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(program));
    places.find(|place| place.is_file()).unwrap_or_else(|| panic!("no {program}: apt-get install {program}"))
}

/// A router's file system below the lab's directory.
struct Root(PathBuf);

impl Root {
    /// Installs the package beside what every router has.
    fn new(world: &World, id: u32) -> Root {
        let root = Root(world.lab.dir().join("root"));
        for directory in ["bin", "sbin", "dev", "etc", "var/run"] {
            fs::create_dir_all(root.path(directory)).unwrap();
        }
        root.unpack();
        root.add_busybox();
        root.write("etc/passwd", &format!("root:x:0:0:root:/root:/bin/ash\nfailover:x:{id}:{id}::/:/bin/false\n"));
        root.write("etc/group", &format!("root:x:0:\nfailover:x:{id}:failover\n"));
        root.write("etc/rc.common", RC_COMMON);
        // That it is there is all the init script asks; what it would do the lab does.
        root.write("sbin/ujail", "");
        for program in ["etc/rc.common", "sbin/ujail"] {
            fs::set_permissions(root.path(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("/{name}: {error}"))
    }

    fn unpack(&self) {
        if let Some(package) = std::env::var_os("FAILOVERD_IPK") {
            let script = r#"tar xOzf "$1" ./data.tar.gz | tar xzf - -C "$2""#;
            tool(Command::new("sh").args(["-c", script, "sh"]).arg(package).arg(&self.0));
            return;
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = self.0.with_file_name("built");
        fs::create_dir_all(built.join("bin")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_failoverd"), built.join("bin/failoverd")).unwrap();
        let argument = |name: &str, path: &Path| format!("{name}={}", path.display());
        tool(Command::new("make").arg("--silent").arg("-C").arg(repository.join("openwrt/failoverd")).args([
            &argument("TOPDIR", &repository.join("cross/openwrt")),
            &argument("ROOT", &self.0),
            &argument("PKG_INSTALL_DIR", &built),
            "install",
        ]));
        self.add_libraries(&self.path("usr/sbin/failoverd"));
    }

    fn add_busybox(&self) {
        let busybox = find("busybox");
        fs::copy(&busybox, self.path("bin/busybox")).unwrap();
        self.add_libraries(&busybox);
        for applet in tool(Command::new(&busybox).arg("--list")).lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", self.path("bin").join(applet)).unwrap();
        }
    }

    /// The libraries of a program that is not static, where it looks for them.
    fn add_libraries(&self, program: &Path) {
        let output = Command::new("ldd").arg(program).output().unwrap();
        for word in String::from_utf8_lossy(&output.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
            let place = self.path(word.trim_start_matches('/').trim_end_matches(':'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            if Path::new(word).is_file() {
                fs::copy(word, place).unwrap();
            }
        }
    }

    /// A program in this root.
    fn spawn(&self, world: &World, command: &[&str], confined: Option<Confined>) -> Process {
        let mut program = Command::new(command[0]);
        program.args(&command[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let options = SpawnOptions { root: Some(self.0.clone()), confined, ..SpawnOptions::default() };
        world.lab.spawn_with(program, options).unwrap()
    }

    /// The same, to its good end.
    fn run(&self, world: &World, command: &[&str]) -> Finished {
        let finished = self.spawn(world, command, None).wait(SOON).unwrap();
        assert_eq!(finished.code(), 0, "{command:?}: {}{}", finished.stdout, finished.stderr);
        finished
    }

    /// What procd is told by the init script, by the name of the parameter; several values are words of one text.
    fn instance(&self, name: &str) -> Option<String> {
        let text = self.read("instance");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    }
}

/// The line of /proc/PID/status with this name.
fn status_of(process: &Process, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The capabilities the package asks procd for: the same in every set.
fn capabilities(root: &Root) -> Vec<Capability> {
    let path = root.instance("capabilities").expect("capabilities for the jail");
    let text: Value = serde_json::from_str(&root.read(path.trim_start_matches('/'))).unwrap();
    for set in ["bounding", "effective", "ambient", "permitted", "inheritable"] {
        let mut names: Vec<&str> = text[set].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["CAP_NET_ADMIN", "CAP_NET_RAW"], "{set}");
    }
    vec![Capability::NetAdmin, Capability::NetRaw]
}

#[test]
fn the_package_does_the_main_job_with_the_least_rights() {
    // In a user namespace there is no second user to become: then the capabilities alone are what it has less.
    let (id, user) = if lab::is_unprivileged() { (0, "root") } else { (65534, "nobody") };
    let mut world = World::alone(LabConfig { providers: 2, nat: Nat::Masquerade, ..LabConfig::default() });
    let root = Root::new(&world, id);
    root.run(&world, &["/usr/sbin/failoverd", "validate"]);

    // The broker knows the users of this machine, not of that root: there 'failover' has another name.
    let acl = root.read("usr/share/acl.d/failover.json");
    assert!(acl.contains(r#""user": "failover""#), "{acl}");
    let directory = world.lab.dir().join("acl.d");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("failover.json"), acl.replace(r#""user": "failover""#, &format!(r#""user": "{user}""#)))
        .unwrap();
    world.broker.obey(&directory).unwrap();

    root.write("etc/config/failover", &fs::read_to_string(world.config()).unwrap());
    root.run(&world, &["/etc/init.d/failover", "start"]);
    assert_eq!(root.instance("user").as_deref(), Some("failover"));
    assert_eq!(root.instance("group").as_deref(), Some("failover"));
    assert_eq!(root.instance("no_new_privs").as_deref(), Some("1"));
    let command = root.instance("command").expect("a command for procd");
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[0], "/usr/sbin/failoverd");

    let before = world.view();
    let confined = Confined { id, capabilities: capabilities(&root) };
    let daemon = root.spawn(&world, &words, Some(confined));
    for number in [0, 1] {
        world.wait_state(number, "online");
    }
    assert_eq!(status_of(&daemon, "Uid"), [id.to_string().as_str(); 4].join(" "));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_of(&daemon, set), "0000000000003000", "{set}: NET_ADMIN and NET_RAW");
    }
    assert_eq!(status_of(&daemon, "NoNewPrivs"), "1");

    let stream = world.lab.client().stream(SECOND / 50, Flows::Fresh).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    world.provider(0).silent(true);
    stream.wait_until_via(1, SOON).unwrap();
    world.wait_state(0, "offline");
    world.provider(0).carrier(false).unwrap();
    world.wait_state(0, "no_carrier");
    world.provider(0).carrier(true).unwrap();
    world.provider(0).heal();
    stream.wait_until_via(0, SOON).unwrap();
    drop(stream);

    assert!(world.lab.run_dir().join("failover/state.json").is_file(), "the state file is where it may write");
    world.stop(&daemon);
    world.assert_as_before(&before, "after the stop");
}

/// The router's own files beside ours: a LAN that may reach the internet through every line.
const NETWORK: &str = "config interface 'lan'\n\toption proto 'static'\n\toption device 'client'\n";
const FIREWALL: &str = "config zone\n\toption name 'lan'\n\tlist network 'lan'\n\n\
    config zone\n\toption name 'wan'\n\toption masq '1'\n\tlist network 'wan0'\n\tlist network 'wan1'\n\n\
    config forwarding\n\toption src 'lan'\n\toption dest 'wan'\n";

/// What the package manager does after unpacking, up to the running daemon.
fn install(home: &Home, root: &Root) -> Process {
    let mut network = NETWORK.to_owned();
    for provider in home.world.lab.providers() {
        let device = provider.device();
        network += &format!("\nconfig interface '{device}'\n\toption proto 'dhcp'\n\toption device '{device}'\n");
    }
    root.write("etc/config/network", &network);
    root.write("etc/config/firewall", FIREWALL);
    root.run(&home.world, &["/bin/sh", "/etc/uci-defaults/99_failover"]);
    root.run(&home.world, &["/etc/init.d/failover", "start"]);
    let command = root.instance("command").expect("a command for procd");
    root.spawn(&home.world, &command.split(' ').collect::<Vec<_>>(), None)
}

#[test]
fn installing_takes_no_further_step_and_moves_no_traffic() {
    let home = Home::alone(LabConfig { providers: 2, nat: Nat::Masquerade, ..LabConfig::default() });
    let world = &home.world;
    let root = Root::new(world, 0);
    let stream = world.lab.client().stream(SECOND / 50, Flows::Fresh).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    let (before, start) = (world.view(), Instant::now());

    let daemon = install(&home, &root);
    for number in [0, 1] {
        world.wait_state(number, "online");
    }
    world.wait_slots(&[(2, 0), (3, 1)]);
    let written = root.read("etc/config/failover");
    let place = |name: &str| written.find(&format!("config provider '{name}'\n\toption interface '{name}'\n"));
    assert!(place("wan0").is_some() && place("wan0") < place("wan1"), "{written}");
    assert_eq!(world.status()["warnings"], Value::Null, "the firewall is as it should be");
    world.stop(&daemon);

    let until = Instant::now();
    let timeline = stream.stop(SECOND);
    assert_eq!(timeline.lost_between(start, until), 0);
    let through: Vec<u8> = timeline.providers_between(start, until).iter().map(|(provider, _)| *provider).collect();
    assert_eq!(through, [0], "all through the line that carried it before");
    world.assert_as_before(&before, "nothing is left of it");
}

#[test]
fn installing_on_a_router_with_one_line_only_watches_it() {
    let home = Home::new(LabConfig { providers: 1, ..LabConfig::default() });
    let world = &home.world;
    let root = Root::new(world, 0);
    let (before, defaults) = (world.view(), world.defaults());
    let daemon = install(&home, &root);
    world.wait_state(0, "online");
    assert_eq!(world.defaults(), defaults, "its default route is left alone");
    world.provider(0).silent(true);
    world.wait_state(0, "offline");
    assert_eq!(world.defaults(), defaults);
    world.stop(&daemon);
    world.assert_as_before(&before, "nothing is left of it");
}
