//! However a program with a lab ends, nothing stays: this test binary starts itself again and ends its copy by a panic
//! and by signals.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{Lab, LabConfig, wait_for};

const VARIABLE: &str = "LAB_TEST_HOLDS";

/// Not a test by itself: what the copies do.
#[test]
#[ignore = "run by the tests below"]
fn holds_a_lab() {
    let Ok(ending) = std::env::var(VARIABLE) else { return };
    let lab = Lab::new(LabConfig { providers: 3, ..LabConfig::default() }).unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec sleep 1000"]);
    let sleeper = lab.spawn(command).unwrap();
    println!("LAB {} {}", lab.dir().display(), sleeper.pid());
    assert!(ending != "panic", "as asked");
    if ending == "at once" {
        return;
    }
    std::thread::sleep(Duration::from_secs(30));
}

/// Starts the copy; returns it with its directory and the program it runs.
fn start(ending: &str) -> (Child, String, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["holds_a_lab", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, ending)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find_map(|line| line.split_once("LAB ").map(|(_, rest)| rest.to_owned()));
    let line = line.expect("the copy builds its lab");
    let (directory, pid) = line.split_once(' ').unwrap();
    (child, directory.to_owned(), pid.to_owned())
}

fn program_is_gone(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    let gone = || std::fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z ")) || !Path::new(&stat).exists();
    wait_for(Duration::from_secs(5), "the end of the program in the router", gone).unwrap();
}

#[test]
fn a_panic_leaves_nothing() {
    let (mut child, directory, pid) = start("panic");
    assert!(!child.wait().unwrap().success());
    assert!(!Path::new(&directory).exists());
    program_is_gone(&pid);
}

#[test]
fn control_c_leaves_nothing() {
    let (mut child, directory, pid) = start("signal");
    assert!(Command::new("/bin/kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(!child.wait().unwrap().success());
    assert!(!Path::new(&directory).exists());
    program_is_gone(&pid);
}

#[test]
fn what_a_killed_run_leaves_is_removed_by_the_next() {
    let (mut child, directory, pid) = start("kill");
    child.kill().unwrap();
    child.wait().unwrap();
    program_is_gone(&pid);
    drop(Lab::new(LabConfig::default()).unwrap());
    assert!(!Path::new(&directory).exists());
}

/// The whole file runs as an ordinary user too; this one sees to it that somebody does when the tests run as root.
#[test]
fn an_ordinary_user_can_have_a_lab_or_is_told_why_not() {
    use std::os::unix::process::CommandExt;
    if lab::is_unprivileged() {
        return;
    }
    let lab = Lab::new(LabConfig::default()).unwrap();
    // The build directory may be closed to others.
    let copy = lab.dir().join("copy");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new(&copy)
        .args(["holds_a_lab", "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, "at once")
        .env("HOME", "/tmp")
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = said.lines().any(|line| line.contains("user namespace: ") && line.contains("or run as root"));
    assert!(output.status.success() || refused, "{said}");
    if refused {
        println!("this kernel lets nobody but root have a lab: {said}");
    }
}
