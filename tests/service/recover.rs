//! The hotplug script that runs a provider's recover_script under busybox, with a stand-in for uci: which script, with what, one at a time.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::root::{Root, make_executable, run, wait_until};

/// Knows the lines of a file, and nothing if somebody wants it to look elsewhere.
const UCI: &str = r#"
[ "$1 $2" = "-q get" ] && [ -z "$UCI_CONFIG_DIR" ] || exit 1
while IFS== read -r name value; do
	[ "$name" != "$3" ] || { echo "$value"; exit 0; }
done < ROOT/uci
exit 1"#;

/// A router whose scripts write down what they find.
struct Router {
    root: Root,
    script: PathBuf,
}

impl Router {
    fn new(settings: &str) -> Self {
        let root = Root::new();
        let place = root.path("/").display().to_string();
        let place = place.trim_end_matches('/').to_owned();
        root.program("uci", &UCI.replace("ROOT", &place));
        let logger = format!("{place}/bin/logger -t failoverd");
        root.program("logger", &format!("echo \"$*\" >> {place}/log"));
        let script = root.install(
            "/etc/hotplug.d/failover/15-recover",
            &["/var/run/failover-recover-"],
            &[("logger -t failoverd", &logger)],
        );
        fs::create_dir_all(root.path("/var/run")).unwrap();
        root.write("/uci", &settings.replace("ROOT", &place));
        for (name, does) in [
            ("own", "env | sort > ROOT/OUT/own; exit 3"),
            (
                "all",
                ": > ROOT/started; while [ -e ROOT/hanging ]; do sleep 0.05; done; echo \"$PROVIDER\" >> ROOT/OUT/all",
            ),
        ] {
            root.write(
                &format!("/scripts/{name}"),
                &format!("#!/bin/sh\n{}\n", does.replace("ROOT/OUT", &place).replace("ROOT", &place)),
            );
        }
        // The other one has no such right, and is run by a shell.
        make_executable(&root.path("/scripts/own"));
        Self { root, script }
    }

    fn event(&self, action: &str, code: &str, provider: &str) {
        let mut command: Command = self.root.shell(&["-c", &format!(". {}", self.script.display()), "a", "b"]);
        command.envs([("ACTION", action), ("REASON_CODE", code), ("PROVIDER", provider), ("INTERFACE", "wwan")]);
        command.envs([("DEVICE", "wwan0"), ("HOME", "/tmp"), ("UCI_CONFIG_DIR", "/tmp"), ("script", "/bin/false")]);
        let output = run(&mut command);
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }

    fn logged(&self, what: &str) {
        wait_until(&format!("the log says '{what}': {}", self.root.read("/log")), || {
            self.root.read("/log").contains(what)
        });
    }
}

const SETTINGS: &str = "failover.@failover[0].recover=exec
failover.@failover[0].recover_script=ROOT/scripts/all
failover.lte.recover_script=ROOT/scripts/own
failover.dsl.recover=renew
failover.lost.recover_script=ROOT/scripts/none
";

#[test]
fn the_configured_script_runs_with_what_it_needs_and_no_more() {
    let router = Router::new(SETTINGS);
    router.event("recover", "exec", "lte");
    router.logged("-p daemon.warn recover_script of lte: ");
    assert!(router.root.read("/log").ends_with("/scripts/own: exit code 3\n"), "{}", router.root.read("/log"));
    let found = router.root.read("/own");
    let names: Vec<&str> = found
        .lines()
        .filter(|it| {
            !it.starts_with("PATH=") && !it.starts_with("PWD=") && !it.starts_with("SHLVL=") && !it.starts_with("_=")
        })
        .collect();
    assert_eq!(names, ["DEVICE=wwan0", "HOME=/root", "INTERFACE=wwan", "PROVIDER=lte"]);
    router.event("recover", "exec", "other");
    wait_until("the script of all", || router.root.read("/all") == "other\n");
}

#[test]
fn nothing_runs_that_is_not_wanted() {
    let router = Router::new(SETTINGS);
    for (action, code, provider, why) in [
        ("offline", "exec", "lte", "another event"),
        ("recover", "restart", "lte", "netifd does it"),
        ("recover", "exec", "dsl", "the configuration says renew"),
        ("recover", "exec", "", "nobody"),
        ("recover", "exec", "x.y=z", "no name"),
    ] {
        router.event(action, code, provider);
        assert_eq!(router.root.read("/log"), "", "{why}");
    }
    router.event("recover", "exec", "lost");
    router.logged("recover_script of lost: not run: there is no file");
    let started = fs::read_dir(router.root.path("/var/run")).unwrap().count();
    assert_eq!((started, router.root.read("/own")), (0, String::new()));
}

#[test]
fn one_that_hangs_is_not_started_again() {
    let router = Router::new(SETTINGS);
    router.root.write("/hanging", "");
    router.event("recover", "exec", "a");
    let lock = router.root.path("/var/run/failover-recover-a");
    let at_work = || !run(Command::new("flock").arg("-n").arg(&lock).arg("true")).status.success();
    wait_until("it is at work", || router.root.path("/started").exists());
    router.event("recover", "exec", "a");
    router.logged("recover_script of a: not run: the last one is still at work");
    router.event("recover", "exec", "b");
    fs::remove_file(router.root.path("/hanging")).unwrap();
    wait_until("both have run once", || router.root.read("/all").lines().count() == 2);
    wait_until("it has ended", || !at_work());
}
