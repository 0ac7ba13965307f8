//! What hangs concerns its own provider. A resolver that never answers, servers that take a connection and say nothing, a script that
//! does not end: another provider's probes arrive as before.

use std::time::{Duration, Instant};

use lab::{Fault, Kind, LabConfig, Provider, wait_for};

use crate::kinds::{HOSTS, test};
use crate::world::{SECOND, SOON, World};

/// Between two checks of every provider here.
const INTERVAL: Duration = Duration::from_millis(200);
/// A busy machine may be late by this, what holds the daemon up is so by its timeout, two seconds; the bench measures what it really is.
const LATE: Duration = SECOND;

/// The longest pause between two pings that came in at a provider since `from`.
fn longest_gap(provider: &Provider, from: Instant) -> (usize, Duration) {
    let mut arrivals = provider.seen().arrivals_of(Kind::Ping);
    arrivals.retain(|at| *at >= from);
    let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]);
    (arrivals.len(), gaps.max().unwrap_or(Duration::MAX))
}

#[test]
fn nothing_that_hangs_delays_the_probes_of_another_provider() {
    let world = World::alone(LabConfig { providers: 4, ..LabConfig::default() });
    let script = world.lab.write_file("hangs.sh", "#!/bin/sh\nsleep 1000 &\nsleep 1000\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let settings =
        [("interval", "200ms"), ("standby_interval", "200ms"), ("failback_delay", "300ms"), ("resolver", "9.9.9.9")];
    let mut text = world.lab.uci(&settings);
    for (device, used) in [("wan0", "dns"), ("wan1", "http"), ("wan2", "script"), ("wan3", "ping")] {
        let option = format!("\toption device '{device}'\n");
        text = text.replace(&option, &format!("{option}\tlist test '{used}'\n"));
    }
    text += &test(Kind::Dns, &["one.example", "two.example", "three.example"], "");
    text += &test(Kind::Http, &HOSTS, "");
    text += &format!("\nconfig test 'script'\n\toption type 'exec'\n\toption script '{}'\n", script.display());
    text += &test(Kind::Ping, &HOSTS, "");
    world.configure(&text);
    world.provider(0).fault(Kind::Dns, Fault::Silent);
    world.provider(1).fault(Kind::Http, Fault::AcceptAndSayNothing);
    let daemon = world.launch();
    world.wait_state(3, "online");
    for (number, code) in [(0, "unresolvable"), (1, "lost_probes"), (2, "script_failed")] {
        let status = world.wait_state(number, "offline");
        assert_eq!(status["reason_code"], code, "wan{number}: {status:#}");
    }
    world.wait_route(3);
    let from = Instant::now();
    // Nothing is asked of the daemon meanwhile: only what hangs could be in the way.
    std::thread::sleep(6 * SECOND);
    let (count, gap) = longest_gap(world.provider(3), from);
    assert!(count >= 15, "it was probed all the time: {count}");
    assert!(gap <= INTERVAL + LATE, "{gap:?} between two pings, the interval is {INTERVAL:?}");
    let others = [(0, Kind::Dns), (1, Kind::Http)];
    for (number, kind) in others {
        let since = world.provider(number).seen().arrivals_of(kind).iter().filter(|at| **at >= from).count();
        assert!(since >= 3, "wan{number} goes on asking: {since}");
    }
    world.stop(&daemon);
    // Nothing of the script stays behind.
    let left = || processes_with(&script.display().to_string());
    wait_for(SOON, "the end of the script", || left() == 0).unwrap();
}

/// Processes with this text in their command line.
fn processes_with(text: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        count += usize::from(String::from_utf8_lossy(&line).contains(text));
    }
    count
}
