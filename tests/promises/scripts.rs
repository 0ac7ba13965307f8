//! Tests of type exec: a script's exit status is the answer, and one that hangs is nobody else's business.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lab::{LabConfig, wait_for};

use crate::world::{BRISK, SECOND, SOON, World};

/// Two lines, the first with a script of this text beside the ping, both required; `DIR` is the lab's directory.
fn with_script(text: &str) -> World {
    let world = World::new(LabConfig::default());
    let dir = world.lab.dir().to_str().unwrap().to_owned();
    let script = world.lab.write_file("check", &text.replace("DIR", &dir)).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let uci = world.lab.uci(&BRISK).replace(
        "\toption device 'wan0'\n",
        "\toption device 'wan0'\n\tlist test 'internet'\n\tlist test 'script'\n\toption required 'all'\n",
    );
    let uci = uci.replace("\toption device 'wan1'\n", "\toption device 'wan1'\n\tlist test 'internet'\n");
    world.configure(&format!(
        "{uci}config test 'internet'\n\toption type 'ping'\n\tlist target '1.1.1.1'\n\tlist target '8.8.8.8'\n\
         config test 'script'\n\toption type 'exec'\n\toption script '{}'\n\tlist target 'a target'\n",
        script.display()
    ));
    world
}

#[test]
fn a_script_decides() {
    let world =
        with_script("#!/bin/sh\n/usr/bin/env > DIR/seen.$$; mv DIR/seen.$$ DIR/seen\n[ ! -e DIR/down ] || exit 3\n");
    let daemon = world.start();
    let seen = fs::read_to_string(world.lab.dir().join("seen")).unwrap();
    for line in
        ["INTERFACE=", "DEVICE=wan0", "ADDRESS=192.168.1.2", "GATEWAY=192.168.1.1", "TARGET=a target", "MARK=0x1000000"]
    {
        assert!(seen.lines().any(|it| it == line), "no {line}: {seen}");
    }
    world.lab.write_file("down", "").unwrap();
    world.wait_route(1);
    let status = world.wait_state(0, "offline");
    assert_eq!(status["reason_code"], "script_failed", "{status:#}");
    assert_eq!(status["reason"], "test script failed: the script ended with status 3 (1 of 1 probes)");
    fs::remove_file(world.lab.dir().join("down")).unwrap();
    world.wait_route(0);
    world.stop(&daemon);
}

#[test]
fn one_that_hangs_is_killed_and_holds_up_nobody() {
    let world = with_script(
        "#!/bin/sh\n[ -e DIR/hang ] || exit 0\nsleep 1000 &\necho $! >> DIR/pids; echo $$ >> DIR/pids\nwait\n",
    );
    let daemon = world.start();
    let pids = || fs::read_to_string(world.lab.dir().join("pids")).unwrap_or_default();
    world.lab.write_file("hang", "").unwrap();
    let status = world.wait_state(0, "offline");
    assert_eq!(status["reason"], "test script failed: the script was killed (1 of 1 probes)", "{status:#}");
    world.wait_route(1);
    // The other line's checks keep their pace, five in a second; what waited for the script would be late by its timeout.
    world.provider(1).forget_seen();
    std::thread::sleep(4 * SECOND);
    let sent: Vec<_> = world.provider(1).seen().echo_log.iter().map(|echo| echo.at).collect();
    assert!(sent.len() >= 10, "{} probes in four seconds", sent.len());
    let late = sent.windows(2).filter(|pair| pair[1] - pair[0] > SECOND).count();
    assert!(late == 0, "{late} of {} probes were late", sent.len());
    // One at a time, and with the daemon they end.
    let alive = || {
        pids()
            .lines()
            .filter(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")))
            .count()
    };
    assert!(alive() <= 2, "{} processes at once", alive());
    world.stop(&daemon);
    wait_for(SOON, "the end of all scripts", || alive() == 0).unwrap();
    assert!(pids().lines().count() >= 4, "it was tried again and again");
}
