//! `init` and the advice of `validate` and `status`, by the real program on the files of a lab.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lab::{Finished, InitialDefault, LabConfig, Netifd, protocol};

use crate::world::World;

const LAN: &str = "config interface 'lan'\n\toption proto 'static'\n\toption device 'client'\n\n";
const NETWORK: &str = "config interface 'second'\n\toption proto 'dhcp'\n\toption device 'wan1'\n\n\
    config interface 'first'\n\toption proto 'dhcp'\n\toption device 'wan0'\n";
const FIREWALL: &str = "config zone\n\toption name 'lan'\n\tlist network 'lan'\n\n\
    config zone\n\toption name 'wan'\n\toption masq '1'\n\toption network 'second first'\n\n\
    config forwarding\n\toption src 'lan'\n\toption dest 'wan'\n";

/// A lab with a router's files, a default route through the first line, and a configuration without providers.
fn world() -> World {
    let initial_defaults = vec![InitialDefault { provider: 0, metric: 0, protocol: protocol::DHCP }];
    let world = World::new(LabConfig { initial_defaults, ..LabConfig::default() });
    world.lab.write_file("network", &format!("{LAN}{NETWORK}")).unwrap();
    world.lab.write_file("firewall", FIREWALL).unwrap();
    world.configure("# mine\nconfig failover 'settings'\n\toption failback_delay '5'\n");
    world
}

fn init(world: &World, arguments: &[&str]) -> Finished {
    let config = world.config();
    world.cli(&[&["init", "-c", config.to_str().unwrap()], arguments].concat())
}

fn text(world: &World) -> String {
    fs::read_to_string(world.config()).unwrap()
}

#[test]
fn the_files_alone_are_enough_for_a_configuration() {
    let world = world();
    let empty = text(&world);
    let shown = init(&world, &["--dry-run"]);
    assert_eq!((shown.code(), text(&world)), (0, empty.clone()), "{}", shown.stderr);
    assert!(shown.stdout.contains("config provider 'first'\n\toption interface 'first'\n"), "{}", shown.stdout);

    fs::set_permissions(world.config(), fs::Permissions::from_mode(0o640)).unwrap();
    let written = init(&world, &[]);
    assert_eq!(written.code(), 0, "{}", written.stderr);
    for sentence in [
        "netifd cannot be asked",
        "1. first (dhcp on wan0, firewall zone wan): the default route leads through it now",
        "2. second (dhcp on wan1, firewall zone wan): a wired line",
        "failoverd reload",
    ] {
        assert!(written.stdout.contains(sentence), "{sentence}: {}", written.stdout);
    }
    let whole = text(&world);
    assert!(whole.starts_with(&empty), "comments and settings stay: {whole}");
    assert!(whole.find("'first'").unwrap() < whole.find("'second'").unwrap(), "{whole}");
    assert_eq!(fs::metadata(world.config()).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(world.cli(&["validate", world.config().to_str().unwrap()]).code(), 0);

    let again = init(&world, &[]);
    assert_eq!((again.code(), text(&world)), (1, whole.clone()));
    assert!(again.stderr.contains("failover:5: there is a provider already, 'first'"), "{}", again.stderr);
    let shown = init(&world, &["--dry-run"]);
    assert_eq!((shown.code(), text(&world)), (0, whole.clone()), "{}", shown.stderr);
    assert!(shown.stdout.contains("config provider 'second'"), "{}", shown.stdout);
    assert!(shown.stderr.contains("1. first (dhcp on wan0"), "what is there already hides nothing: {}", shown.stderr);
    assert_eq!((init(&world, &["--force"]).code(), text(&world)), (0, whole));
}

#[test]
fn a_new_file_can_be_read_by_everybody() {
    let world = world();
    fs::remove_file(world.config()).unwrap();
    assert_eq!(init(&world, &[]).code(), 0);
    assert_eq!(fs::metadata(world.config()).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn what_cannot_be_done_leaves_the_file_as_it_was() {
    let world = world();
    let before = text(&world);
    let blocked = world.lab.dir().join(".failover.new");
    fs::create_dir(&blocked).unwrap();
    let failed = init(&world, &[]);
    assert!(failed.code() == 1 && failed.stderr.contains("cannot be written, it is as it was"), "{}", failed.stderr);
    assert_eq!(text(&world), before);
    fs::remove_dir(&blocked).unwrap();

    let missing = init(&world, &["--from", "mwan3", "/nowhere/mwan3"]);
    assert!(missing.code() == 1 && missing.stderr.contains("/nowhere/mwan3: cannot be read"), "{}", missing.stderr);

    world.lab.write_file("network", LAN).unwrap();
    let nothing = init(&world, &[]);
    assert!(nothing.code() == 1 && nothing.stderr.contains("no line to the internet was found"), "{}", nothing.stderr);

    world.lab.write_file("network", &format!("{LAN}{NETWORK}")).unwrap();
    world
        .configure("config failover 'settings'\n\toption pin 'old'\n\nconfig provider 'old'\n\toption device 'wan0'\n");
    let before = text(&world);
    let pinned = init(&world, &["--force"]);
    assert_eq!((pinned.code(), text(&world)), (2, before), "{}", pinned.stderr);
    assert!(pinned.stderr.contains("failover:2: settings: pin: there is no provider 'old'"), "{}", pinned.stderr);
    assert!(pinned.stderr.contains("nothing is changed: mend this first"), "{}", pinned.stderr);

    world.configure("config failover 'settings'\n\toption interval '0'\n");
    let refused = init(&world, &[]);
    assert!(refused.code() == 2 && refused.stderr.contains("failover:2: settings: interval '0'"), "{}", refused.stderr);
}

#[test]
fn what_is_wrong_around_the_configuration_is_told() {
    let world = world();
    world.configure(&world.lab.uci(&crate::world::BRISK));
    let shut = FIREWALL.replace("option masq '1'", "option masq '0'");
    world.lab.write_file("firewall", &shut).unwrap();
    let warning = "provider 'wan0': its zone 'wan' at";
    let told = world.cli(&["validate", world.config().to_str().unwrap()]);
    assert!(
        told.code() == 0 && told.stdout.contains(&format!("warning: {}", world.config().display())),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains(warning), "{}", told.stdout);

    let daemon = world.start();
    world.wait_line(&daemon, warning);
    world.wait_status("the warning", |status| status["warnings"].to_string().contains(warning));
    assert!(world.ask(&["status"]).contains("does not masquerade"));
    world.lab.write_file("firewall", FIREWALL).unwrap();
    world.ask(&["reload"]);
    world.wait_status("no warning", |status| status["warnings"].is_null());
    world.stop(&daemon);
}

#[test]
fn netifd_knows_more_than_the_files() {
    let world = world();
    let netifd = Netifd::start(world.broker.path()).unwrap();
    let interface = |name: &str, device: &str, gateway: &str| {
        serde_json::json!({
            "interface": name, "up": true, "autostart": true, "proto": "dhcp", "l3_device": device, "device": device,
            "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": gateway }],
        })
    };
    let all = [interface("first", "wan0", "192.168.1.1"), interface("later", "wan2", "192.168.2.1")];
    netifd.set(serde_json::json!({ "interface": all }));
    let written = init(&world, &[]);
    assert_eq!(written.code(), 0, "{}", written.stderr);
    for sentence in [
        "1. first (dhcp on wan0, gateway 192.168.1.1, firewall zone wan): the default route leads through it now",
        "2. second (dhcp on wan1, firewall zone wan): a wired line; it is not up now",
        "3. later (dhcp on wan2, gateway 192.168.2.1): a wired line; only netifd knows its default route",
        "provider 'later': there is no interface 'later' in",
    ] {
        assert!(written.stdout.contains(sentence), "{sentence}: {}", written.stdout);
    }
    assert!(!written.stdout.contains("cannot be asked"), "{}", written.stdout);
}
