//! How the daemon refuses to start, and what `validate` says: one clear line for each reason, and the right exit code.

use lab::{Capability, Finished, LabConfig, SpawnOptions};

use crate::world::{SOON, World};

fn lines(finished: &Finished) -> Vec<&str> {
    finished.stderr.lines().collect()
}

#[test]
fn a_second_one_refuses() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    let before = world.view();
    let second = world.lab.run(world.daemon(), SOON).unwrap();
    assert_eq!(second.code(), 1);
    let want = "failoverd runs already in this network namespace";
    assert!(lines(&second).len() == 1 && second.stderr.contains(want), "{}", second.stderr);
    assert_eq!(before.difference(&world.view()), Vec::<String>::new());
    // After a kill nothing has to be removed first.
    daemon.kill().unwrap();
    let daemon = world.start();
    world.stop(&daemon);
}

#[test]
fn missing_capabilities_are_named() {
    let world = World::new(LabConfig::default());
    let before = world.view();
    for (without, named) in [
        (vec![Capability::NetAdmin], vec!["CAP_NET_ADMIN"]),
        (vec![Capability::NetRaw], vec!["CAP_NET_RAW"]),
        (vec![Capability::NetAdmin, Capability::NetRaw], vec!["CAP_NET_ADMIN", "CAP_NET_RAW"]),
    ] {
        let options = SpawnOptions { without, ..SpawnOptions::default() };
        let finished = world.lab.spawn_with(world.daemon(), options).unwrap().wait(SOON).unwrap();
        assert_eq!(finished.code(), 1, "{named:?}: {}", finished.stderr);
        let lines = lines(&finished);
        assert_eq!(lines.len(), named.len(), "{lines:#?}");
        assert!(lines.iter().zip(&named).all(|(line, name)| line.contains(name)), "{lines:#?}");
    }
    world.assert_as_before(&before, "nothing was touched");
}

/// Eight mistakes of eight kinds, each with its line.
const MISTAKES: &str = "\
config failover 'settings'
	option interval '0'
	option metirc '5'
	option last_resort 'sometimes'

config provider 'fiber'
	option device 'wan0'
	option gateway '192.168.1.999'
	list test 'nowhere'

config provider 'lte'
	option device 'wan0'
	option weight '0'

config provdier 'dsl'
	option device 'wan2'
";
/// Where each of them is, and what is said about it.
const NAMED: [(u32, &str); 8] = [
    (2, "interval '0' must be between"),
    (3, "unknown option 'metirc'"),
    (4, "last_resort 'sometimes'"),
    (8, "gateway '192.168.1.999'"),
    (9, "'nowhere'"),
    (12, "wan0"),
    (13, "weight '0'"),
    (15, "provdier"),
];

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let world = World::new(LabConfig::default());
    world.configure(MISTAKES);
    let path = world.config();
    let path = path.to_str().unwrap();
    let before = world.view();
    let validated = world.cli(&["validate", path]);
    let started = world.lab.run(world.daemon(), SOON).unwrap();
    for (what, finished) in [("validate", validated), ("run", started)] {
        assert_eq!(finished.code(), 2, "{what}");
        let lines = lines(&finished);
        for (line, text) in NAMED {
            let place = format!("{path}:{line}: ");
            let told = lines.iter().any(|it| it.contains(&place) && it.contains(text));
            assert!(told, "{what}: no '{place}...{text}' in {lines:#?}");
        }
        assert_eq!(lines.len(), NAMED.len(), "{what}: nothing else: {lines:#?}");
    }
    world.assert_as_before(&before, "nothing was touched");
    let missing = world.cli(&["validate", "/no/such/file"]);
    assert!(missing.code() == 2 && missing.stderr.contains("/no/such/file"), "{}", missing.stderr);
}

#[test]
fn the_shipped_file_is_valid_and_explained() {
    let world = World::new(LabConfig::default());
    let shipped = include_str!("../../files/etc/config/failover");
    world.configure(shipped);
    let said = world.ask(&["validate", world.config().to_str().unwrap()]);
    assert!(said.contains("No provider is configured"), "{said}");
    world.configure(&world.lab.uci(&[]));
    let said = world.ask(&["validate", world.config().to_str().unwrap()]);
    assert!(said.contains("wan0") && said.contains("wan1"), "{said}");
    // With the shipped file as it is there is nothing to do, and nothing is done.
    world.configure(shipped);
    let before = world.view();
    let daemon = world.launch();
    world.wait_status("no provider", |status| status["warnings"].to_string().contains("no provider"));
    assert_eq!(before.difference(&world.view()), Vec::<String>::new());
    world.stop(&daemon);
}
