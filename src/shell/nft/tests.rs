//! The real nft, in namespaces of their own.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use failoverd::event::ProviderId;
use failoverd::filter::{Filter, Policy, REMOVE};
use failoverd::random::Random;
use failoverd::settings::{Settings, parse};

use super::*;
use crate::shell::netlink::Kernel;
use crate::shell::testing::{Directory, Namespace, in_runtime};

const SOME: &str = "add table inet failover\nadd chain inet failover choose\n";

/// Fails with the command that installs it.
fn needs_nft() {
    let found = Command::new("nft").arg("--version").output();
    assert!(found.is_ok_and(|it| it.status.success()), "nft is needed: apt-get install nftables");
}

fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "nft {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("within a minute")
}

async fn load(nft: &mut Nft, text: &str) -> Result<(), String> {
    assert!(nft.load(text).is_none());
    loop {
        match within(nft.next()).await {
            Told::Event(Event::Filtered(outcome)) => return outcome,
            Told::Event(other) => panic!("{other:?}"),
            Told::Removed => {}
        }
    }
}

#[test]
fn what_is_loaded_is_seen_and_its_end_is_heard() {
    needs_nft();
    Namespace::new().run(|| {
        in_runtime(async {
            let mut kernel = Kernel::new().unwrap();
            let mut seen = || {
                kernel.look_for_nftables();
                kernel.snapshot(&[]).unwrap().filter
            };
            let mut tool = Nft::default();
            assert_eq!(seen(), None);
            nft("add table ip failover");
            nft("add table inet other");
            assert_eq!(seen(), None, "of another family, or another name");
            assert_eq!(load(&mut tool, SOME).await, Ok(()));
            let first = seen();
            assert!(first.is_some());
            assert_eq!(load(&mut tool, SOME).await, Ok(()));
            assert_eq!(seen(), first, "the same table with other rules");

            nft("delete table ip failover");
            nft("flush ruleset");
            assert!(matches!(within(tool.next()).await, Told::Removed));
            assert_eq!(seen(), None);
            assert_eq!(load(&mut tool, SOME).await, Ok(()));
            assert!(seen().is_some() && seen() != first, "another table: {first:?}");
            assert_eq!(load(&mut tool, REMOVE).await, Ok(()));
            assert_eq!(load(&mut tool, REMOVE).await, Ok(()), "also one that is not there");
            assert_eq!((seen(), nft("list ruleset").as_str()), (None, ""));

            let cause = load(&mut tool, "add table inet other\nadd nonsense\n").await.unwrap_err();
            assert!(cause.starts_with("nft: /dev/stdin:2:") && !cause.contains('\n'), "{cause}");
            assert_eq!(nft("list ruleset"), "", "all or nothing");
            assert_eq!(load_and_wait(SOME), Ok(()));
            assert!(seen().is_some());
            let cause = load_and_wait("add nonsense\n").unwrap_err();
            assert!(cause.starts_with("nft: /dev/stdin:1:"), "{cause}");
        });
    });
}

/// A program of that name and content.
fn program(directory: &Directory, script: &str) -> String {
    let path = directory.path().join("nft");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn ended(tool: &mut Tool, late: bool) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        if let Some(outcome) = tool.outcome(late) {
            return outcome;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_goes_wrong_is_said_in_a_line() {
    let directory = Directory::new();
    for (script, late, want) in [
        ("cat > /dev/null", false, Ok(())),
        ("echo; echo ' first' >&2; echo second >&2; exit 1", false, Err("nft: first")),
        ("exit 3", false, Err("nft: exit code 3")),
        ("kill -TERM $$", false, Err("nft: ended by signal 15")),
        ("sleep 600 & wait", true, Err("nft: killed after 30 s")),
    ] {
        let path = program(&directory, script);
        let mut tool = Tool::start(&["/nonexistent/nft", &path], SOME).unwrap();
        assert_eq!(ended(&mut tool, late), want.map_err(str::to_owned), "{script}");
    }
    let missing = Tool::start(&["/nonexistent/nft"], SOME).err();
    assert_eq!(missing.as_deref(), Some("nft is not installed (OpenWrt: package nftables-json or nftables-nojson)"));
    let path = directory.path().display().to_string();
    let cause = Tool::start(&[&path], SOME).err().unwrap();
    assert!(cause.starts_with("cannot start nft: Permission denied"), "{cause}");
}

#[test]
fn a_text_larger_than_a_pipe_arrives_whole() {
    let directory = Directory::new();
    let copy = directory.path().join("copy");
    let path = program(&directory, &format!("cat > {}", copy.display()));
    let text = "add table inet failover\n".repeat(100_000);
    assert_eq!(ended(&mut Tool::start(&[&path], &text).unwrap(), false), Ok(()));
    assert_eq!(std::fs::read_to_string(copy).unwrap(), text);
}

/// A configuration with this many providers and rules; whatever an option may be, some rule has it.
fn random_settings(random: &mut Random, providers: u64, rules: u64) -> Settings {
    let mut pick = |most: u64| random.next() % most;
    let mask = ["0x3f000000", "0x3f", "0xff", "0xfc000000", "0xff000000"][usize::try_from(pick(5)).unwrap()];
    let mut text = format!("config failover 'settings'\n\toption mark_mask '{mask}'\n");
    for number in 0..providers {
        let _ = writeln!(text, "config provider 'p{number}'\n\toption device 'w{number}&$#;{{'");
    }
    for _ in 0..rules {
        let _ = writeln!(text, "config rule\n\toption local '{}'", pick(2));
        let _ = writeln!(text, "\toption fallback '{}'", ["default", "unreachable"][usize::try_from(pick(2)).unwrap()]);
        for option in ["src", "dest"] {
            for _ in 0..pick(6) {
                let not = if pick(3) == 0 { "!" } else { "" };
                // Close together, so that they overlap.
                let address = [10, 10, 10, 255, 0][usize::try_from(pick(5)).unwrap()];
                let (b, c, d) = (pick(2), pick(3), pick(256));
                let _ = writeln!(text, "\tlist {option} '{not}{address}.{b}.{c}.{d}/{}'", 32 - pick(33).min(pick(33)));
            }
        }
        let ports = pick(2) == 0;
        for _ in 0..pick(4) {
            let named = ["tcp", "udp", "sctp", "tcp", "udp"];
            let protocol = pick(5);
            match ports {
                true => writeln!(text, "\tlist proto '{}'", named[usize::try_from(protocol).unwrap()]).unwrap(),
                false => writeln!(text, "\tlist proto '{}'", pick(256)).unwrap(),
            }
        }
        for option in ["src_port", "dest_port"].iter().filter(|_| ports) {
            for _ in 0..pick(4) {
                let first = [0, 1, 80, 65535, 1000][usize::try_from(pick(5)).unwrap()];
                let last = (first + pick(3) * pick(40000)).min(65535);
                let _ = writeln!(text, "\tlist {option} '{}-{}'", first.max(1), last.max(1));
            }
        }
        for _ in 0..pick(3) {
            let device =
                ["br-lan", "a.10", "lan@1", "wan*", "x'y", "ct", "accept", "q(`"][usize::try_from(pick(7)).unwrap()];
            let _ = writeln!(text, "\tlist device \"{device}\"");
        }
        for _ in 0..pick(3) {
            let _ = writeln!(text, "\tlist dscp '{}'", pick(64));
        }
        for _ in 0..=pick(3) {
            let _ = writeln!(text, "\tlist use 'p{}'", pick(providers));
        }
    }
    let loaded = parse("failover", text.as_bytes());
    loaded.unwrap_or_else(|problems| panic!("{problems:?}\n{text}")).settings
}

#[test]
fn nft_takes_whatever_the_settings_allow() {
    needs_nft();
    Namespace::new().run(|| {
        let mut random = Random::new(6);
        for case in 0..60 {
            let providers = [1, 2, 3, 8, 62][case % 5];
            let settings = random_settings(&mut random, providers, [0, 1, 5, 20][case % 4]);
            let id = |number: u64| ProviderId(u8::try_from(number + 1).unwrap());
            let device = |number: u64| (random.next() & 7 > 0).then(|| format!("w{}&$#;{{", number % 60));
            let devices: Vec<_> =
                (0..providers).map(device).zip(0..).map(|(device, number)| (id(number), device)).collect();
            let policies = Policy::all(&settings.rules);
            let mut targets = || -> Vec<_> {
                let target = |_: &Policy| Some(id(random.next() % providers)).filter(|it| it.0 % 3 > 0);
                policies.iter().map(target).collect()
            };
            let (before, now) = (targets(), targets());
            let filter = |targets| Filter { settings: &settings, devices: &devices, policies: &policies, targets };
            let whole = filter(&before).whole();
            // Over whatever the case before has left.
            assert_eq!(load_and_wait(&whole), Ok(()), "case {case}\n{whole}");
            let refill = filter(&now).refill(&before);
            assert_eq!(load_and_wait(&refill), Ok(()), "case {case}\n{refill}");
            let left = nft("list table inet failover");
            let fresh = format!("{REMOVE}{}", filter(&now).whole());
            assert_eq!(load_and_wait(&fresh), Ok(()), "case {case}");
            let count = |text: &str, what: &str| text.matches(what).count();
            for what in ["goto follow_", "goto mark_", "goto use_", "ip daddr"] {
                assert_eq!(count(&left, what), count(&nft("list table inet failover"), what), "case {case}: {what}");
            }
        }
    });
}
