//! Real scripts: what they find in their environment, how they end, and that nothing of them stays.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::shell::testing::{Directory, in_runtime};

/// For what takes a moment on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(20);

fn token(number: u16) -> ProbeToken {
    ProbeToken { id: 7, sequence: number, cookie: 1 }
}

/// A directory with one script, in which `OUT` is a file beside it.
fn place(script: &str) -> (Directory, String, PathBuf) {
    let place = Directory::new();
    let out = place.path().join("out");
    let path = place.path().join("check");
    fs::write(&path, script.replace("OUT", out.to_str().unwrap())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (place, path, out)
}

async fn next(scripts: &mut Scripts) -> Event {
    tokio::time::timeout(PATIENCE, scripts.next()).await.expect("nothing to tell")
}

/// `token answered` or `token cause`.
fn told(event: &Event) -> String {
    match event {
        Event::Answered { token, .. } => format!("{} answered", token.sequence),
        Event::ProbeRefused { token, cause, .. } => format!("{} {}", token.sequence, cause.sentence()),
        other => panic!("{other:?}"),
    }
}

fn until(why: &str, mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "{why}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lines(file: &PathBuf) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn alive(pid: &str) -> bool {
    // A process that is dead and only waits to be told of is no longer alive.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn the_exit_status_is_the_answer() {
    for (script, want) in [
        ("#!/bin/sh\nexit 0\n", "1 answered"),
        ("#!/bin/sh\nexit 7\n", "1 the script ended with status 7"),
        ("#!/bin/sh\nkill -9 $$\n", "1 the script was killed"),
        ("#!/bin/sh\nread line && exit 1\necho 1; echo 2 >&2\n", "1 answered"),
        ("#!/bin/sh\nsleep 1000\n", "1 the script was killed"),
    ] {
        let (_place, path, _) = place(script);
        in_runtime(async {
            let mut scripts = Scripts::default();
            let timeout = if script.contains("1000") { Duration::from_millis(200) } else { PATIENCE };
            scripts.ask(ProviderId(1), token(1), path, vec![], timeout).unwrap();
            assert_eq!(told(&next(&mut scripts).await), want, "{script}");
        });
    }
}

#[test]
fn what_cannot_be_run_is_said_with_its_place() {
    let (_place, path, _) = place("#!/nonexistent/interpreter\n");
    let (_other, forbidden, _) = place("#!/bin/sh\n");
    fs::set_permissions(&forbidden, fs::Permissions::from_mode(0o644)).unwrap();
    for (path, cause) in [
        ("/nonexistent/check".to_owned(), "No such file or directory"),
        (path, "No such file or directory"),
        (forbidden, "Permission denied"),
    ] {
        in_runtime(async {
            let mut scripts = Scripts::default();
            scripts.ask(ProviderId(1), token(1), path.clone(), vec![], PATIENCE).unwrap();
            let told = told(&next(&mut scripts).await);
            assert!(told.starts_with(&format!("1 cannot send: {path}: {cause}")), "{told}");
            assert!(scripts.scripts.is_empty());
        });
    }
}

#[test]
fn its_environment_is_what_was_given_and_it_talks_to_nobody() {
    let (_place, path, out) = place("#!/bin/sh\n/usr/bin/env > OUT\nls -l /proc/self/fd > OUT.fds\n");
    in_runtime(async {
        let mut scripts = Scripts::default();
        let environment = vec![("DEVICE", "wan".to_owned()), ("TARGET", "a  'b' $(touch /x) \"c".to_owned())];
        scripts.ask(ProviderId(1), token(1), path, environment, PATIENCE).unwrap();
        assert_eq!(told(&next(&mut scripts).await), "1 answered");
    });
    let mut lines = lines(&out);
    // The shell's own.
    lines.retain(|line| !["PWD=", "_=", "SHLVL=", "OLDPWD="].iter().any(|name| line.starts_with(name)));
    lines.sort();
    assert_eq!(lines, ["DEVICE=wan", &format!("PATH={PATH}"), "TARGET=a  'b' $(touch /x) \"c"]);
    let open = fs::read_to_string(format!("{}.fds", out.display())).unwrap();
    assert!(open.contains(" 0 -> /dev/null\n") && open.contains(" 2 -> /dev/null\n"), "{open}");
}

#[test]
fn one_that_hangs_is_killed_with_its_children() {
    let (_place, path, out) =
        place("#!/bin/sh\ntrap '' TERM\nsleep 1000 & echo $! >> OUT; echo $$ >> OUT; wait; sleep 1000\n");
    in_runtime(async {
        let mut scripts = Scripts::default();
        scripts.ask(ProviderId(1), token(1), path.clone(), vec![], Duration::from_millis(300)).unwrap();
        assert_eq!(told(&next(&mut scripts).await), "1 the script was killed");
        let pids = lines(&out);
        assert_eq!(pids.len(), 2);
        until("they live on", || !pids.iter().any(|pid| alive(pid)));
        // Its end is taken note of, and makes room.
        let _ = tokio::time::timeout(PATIENCE, async {
            while !scripts.scripts.is_empty() {
                let _ = tokio::time::timeout(Duration::from_millis(20), scripts.next()).await;
            }
        })
        .await;
        assert!(scripts.scripts.is_empty());
    });
}

#[test]
fn what_a_script_leaves_behind_ends_with_it() {
    let (_place, path, out) = place("#!/bin/sh\nsleep 1000 & echo $! >> OUT\n");
    in_runtime(async {
        let mut scripts = Scripts::default();
        scripts.ask(ProviderId(1), token(1), path, vec![], PATIENCE).unwrap();
        assert_eq!(told(&next(&mut scripts).await), "1 answered");
    });
    let pids = lines(&out);
    until("it lives on", || !alive(&pids[0]));
}

#[test]
fn scripts_end_with_their_provider_and_with_the_daemon() {
    let (_place, path, out) =
        place("#!/bin/sh\necho $$ > OUT.$DEVICE.new\nmv OUT.$DEVICE.new OUT.$DEVICE\nsleep 1000\n");
    in_runtime(async {
        let mut scripts = Scripts::default();
        let mut pids = vec![];
        for (provider, device) in [(1, "a"), (2, "b")] {
            let environment = vec![("DEVICE", device.to_owned())];
            scripts.ask(ProviderId(provider), token(provider.into()), path.clone(), environment, PATIENCE).unwrap();
            let _ = tokio::time::timeout(Duration::from_millis(200), scripts.next()).await;
            let file = PathBuf::from(format!("{}.{device}", out.display()));
            until("it has not begun", || file.exists());
            pids.extend(lines(&file));
        }
        scripts.close(ProviderId(1));
        until("the first lives on", || !alive(&pids[0]));
        assert!(alive(&pids[1]));
        drop(scripts);
        until("the second lives on", || !alive(&pids[1]));
    });
}

#[test]
fn asked_twice_one_script_answers_both() {
    let (_place, path, out) = place("#!/bin/sh\necho $TARGET >> OUT\nwhile [ ! -e OUT.go ]; do sleep 0.01; done\n");
    in_runtime(async {
        let mut scripts = Scripts::default();
        let to = |target: &str| vec![("TARGET", target.to_owned())];
        for (number, target) in [(1, "a"), (2, "a"), (3, "b")] {
            scripts.ask(ProviderId(1), token(number), path.clone(), to(target), PATIENCE).unwrap();
        }
        scripts.ask(ProviderId(2), token(4), path.clone(), to("a"), PATIENCE).unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(50), scripts.next()).await;
        until("three begin", || lines(&out).len() == 3);
        fs::write(format!("{}.go", out.display()), "").unwrap();
        let mut answers = vec![];
        for _ in 0..4 {
            answers.push(told(&next(&mut scripts).await));
        }
        answers.sort();
        assert_eq!(answers, ["1 answered", "2 answered", "3 answered", "4 answered"]);
        assert_eq!(lines(&out).len(), 3, "not one more");
    });
}

#[test]
fn many_at_once_hold_up_nobody() {
    let (_place, path, _) = place("#!/bin/sh\nsleep 0.3\nexit $DEVICE\n");
    in_runtime(async {
        let mut scripts = Scripts::default();
        let ask = |scripts: &mut Scripts, number: u16| {
            let environment = vec![("DEVICE", (number % 2).to_string())];
            let provider = ProviderId(u8::try_from(number).unwrap());
            scripts.ask(provider, token(number), path.clone(), environment, PATIENCE)
        };
        let start = Instant::now();
        (0..50).for_each(|number| ask(&mut scripts, number).unwrap());
        assert!(start.elapsed() < Duration::from_secs(5), "asking took {:?}", start.elapsed());
        // What another provider's probe would see: a timer of 1 ms beside the scripts, again and again.
        let (mut answers, mut late) = (vec![], vec![]);
        while answers.len() < 50 {
            assert!(start.elapsed() < PATIENCE, "{answers:?}");
            let due = Instant::now() + Duration::from_millis(1);
            tokio::select! {
                event = scripts.next() => answers.push(told(&event)),
                () = tokio::time::sleep_until(due.into()) => late.push(due.elapsed()),
            }
        }
        late.sort();
        // Not the worst: other tests have the processors too. Who waits for a script waits 0.3 s.
        let most = late[late.len() / 2];
        assert!(most < Duration::from_millis(200), "held up for {most:?}");
        let no = answers.iter().filter(|answer| answer.ends_with("status 1")).count();
        let yes = answers.iter().filter(|answer| answer.ends_with("answered")).count();
        assert_eq!((yes, no), (25, 25));
        assert!(scripts.scripts.is_empty());
        for number in 0..u16::try_from(MAX_SCRIPTS).unwrap() {
            ask(&mut scripts, number).unwrap();
        }
        let refused = ask(&mut scripts, 200).unwrap_err();
        assert_eq!(refused.sentence().to_string(), "cannot send: too many scripts run already");
    });
}
