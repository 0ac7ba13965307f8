//! The init script under a stand-in for procd, and the script that makes the first configuration.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::root::{Root, make_executable, run, wait_until};

const COMMON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/rc.common");

/// A router with the init script; `/proc/net/unix` is a file of ours, by default without a daemon in it.
fn router() -> Root {
    let root = Root::new();
    let moved = [
        "/usr/sbin/failoverd",
        "/usr/sbin/nft",
        "/var/run/failover",
        "/etc/config/failover",
        "/sbin/ujail",
        "/proc/net/unix",
    ];
    root.install("/etc/init.d/failover", &moved, &[]);
    root.write("/usr/sbin/failoverd", "");
    daemon_program(&root, "exit 0");
    root.write("/proc/net/unix", "Num RefCount\n0: 2 /var/run/ubus/ubus.sock\n");
    root.write("/etc/config/failover", "");
    root
}

fn daemon_program(root: &Root, script: &str) {
    let record = root.path("/record");
    let program = root.write(
        "/usr/sbin/failoverd",
        &format!("#!/bin/sh\n[ \"$1\" = validate ] || echo \"failoverd $*\" >> {}\n{script}\n", record.display()),
    );
    make_executable(&program);
}

/// What the script asks of procd; paths in the root are shown as on the router.
fn asks(root: &Root, action: &str, accounts: &str) -> Vec<String> {
    asks_with(root, action, accounts, "")
}

/// The same with `config test` sections.
fn asks_with(root: &Root, action: &str, accounts: &str, tests: &str) -> Vec<String> {
    let record = root.path("/record");
    let _ = fs::remove_file(&record);
    let script = root.path("/etc/init.d/failover");
    let mut shell = root.shell(&[COMMON, script.to_str().unwrap(), action]);
    let output = run(shell.env("RECORD", &record).env("ACCOUNTS", accounts).env("TESTS", tests));
    assert!(output.status.success() && output.stderr.is_empty(), "{action}: {output:?}");
    let prefix = root.path("/").display().to_string();
    root.read("/record").replace(prefix.trim_end_matches('/'), "").lines().map(str::to_owned).collect()
}

const UNCONFINED: [&str; 9] = [
    "open",
    "set command /usr/sbin/failoverd run",
    "set respawn 3600 5 0",
    "set term_timeout 10",
    "set file /etc/config/failover /etc/config/firewall",
    "set reload_signal HUP",
    "set stderr 1",
    "close",
    "trigger failover firewall",
];

const CONFINED: [&str; 8] = [
    "chown failover:failover /var/run/failover",
    "jail failover log",
    "mount /etc/config /var/run/ubus",
    "mount_rw /var/run/failover",
    "set user failover",
    "set group failover",
    "set capabilities /etc/capabilities/failover.json",
    "set no_new_privs 1",
];

fn confined() -> Vec<&'static str> {
    let (before, after) = UNCONFINED.split_at(7);
    [before, &CONFINED, after].concat()
}

/// A router with a jail and somebody to put into it.
fn with_jail() -> Root {
    let root = router();
    let capabilities = root.path("/etc/capabilities/failover.json");
    let script = root.path("/etc/init.d/failover");
    let text = fs::read_to_string(&script).unwrap();
    fs::write(&script, text.replace("/etc/capabilities/failover.json", capabilities.to_str().unwrap())).unwrap();
    make_executable(&root.write("/sbin/ujail", ""));
    root.write("/etc/capabilities/failover.json", "{}");
    root
}

#[test]
fn it_runs_in_a_jail_where_there_is_one_and_somebody_to_put_into_it() {
    let root = with_jail();
    fs::remove_file(root.path("/sbin/ujail")).unwrap();
    fs::remove_file(root.path("/etc/capabilities/failover.json")).unwrap();
    assert_eq!(asks(&root, "start", "root failover"), UNCONFINED, "no ujail");
    make_executable(&root.write("/sbin/ujail", ""));
    assert_eq!(asks(&root, "start", "root failover"), UNCONFINED, "no capabilities: it would have none");
    root.write("/etc/capabilities/failover.json", "{}");
    assert_eq!(asks(&root, "start", "root"), UNCONFINED, "no user");
    assert!(!root.path("/var/run/failover").exists(), "as root the daemon makes it itself");
    assert_eq!(asks(&root, "start", "root failover"), confined());
    assert!(root.path("/var/run/failover").is_dir());
    assert_eq!(asks(&root, "start", "root failover"), confined(), "and again, as a reload does");
}

/// A ping, and two scripts.
const TESTS: &str = "internet:ping: modem:exec:/etc/modem.check portal:exec:/root/portal.sh";

fn confined_with_scripts(scripts: &str) -> Vec<String> {
    let mount = format!("mount /bin /sbin /usr /lib /etc/ssl /etc/hosts {scripts}");
    let mut asked: Vec<String> = confined().into_iter().map(str::to_owned).collect();
    let jail = asked.iter().position(|line| line == "jail failover log").unwrap();
    asked.splice(jail..=jail, ["jail failover log procfs".to_owned(), mount]);
    asked
}

#[test]
fn the_jail_shows_what_scripts_of_tests_need_and_nothing_without_them() {
    let root = with_jail();
    let start = |tests| asks_with(&root, "start", "root failover", tests);
    assert_eq!(start("internet:ping: web:http:"), confined());
    assert_eq!(start(TESTS), confined_with_scripts("/etc/modem.check /root/portal.sh"));
    assert_eq!(start(""), confined(), "and is as small as before without them");
    fs::remove_file(root.path("/sbin/ujail")).unwrap();
    assert_eq!(start(TESTS), UNCONFINED, "outside of a jail they see everything");
}

#[test]
fn the_jail_shows_nft_where_it_is_installed() {
    let root = with_jail();
    make_executable(&root.write("/usr/sbin/nft", ""));
    let mut want = confined();
    let jail = want.iter().position(|line| *line == "jail failover log").unwrap();
    want.insert(jail + 1, "mount /usr/sbin/nft");
    assert_eq!(asks(&root, "start", "root failover"), want);
    assert_eq!(
        asks_with(&root, "start", "root failover", TESTS),
        confined_with_scripts("/etc/modem.check /root/portal.sh"),
        "with scripts it is among the system's programs"
    );
}

#[test]
fn other_scripts_need_another_jail_and_so_a_restart() {
    let root = with_jail();
    let reload = |tests| asks_with(&root, "reload", "root failover", tests);
    let running = |running| {
        drop(root.write("/proc/net/unix", if running { "0: 2 @failoverd\n" } else { "" }));
    };
    assert_eq!(reload(TESTS), confined_with_scripts("/etc/modem.check /root/portal.sh"), "it does not run");
    running(true);
    assert_eq!(
        reload(TESTS),
        confined_with_scripts("/etc/modem.check /root/portal.sh"),
        "the same scripts: a signal will do"
    );

    // Waits for the end of the one that runs.
    let restart = |tests: &'static str, want: Vec<String>| {
        let record = root.path("/record");
        fs::remove_file(&record).unwrap();
        running(true);
        std::thread::scope(|scope| {
            let reloading = scope.spawn(|| reload(tests));
            wait_until("it is stopped", || root.read("/record").contains("procd stops it"));
            running(false);
            let asked = reloading.join().unwrap();
            assert_eq!(asked[..2], ["procd stops it", "failoverd cleanup"], "{tests}");
            assert_eq!(asked[2..], want, "{tests}");
        });
    };
    restart("modem:exec:/etc/modem.check", confined_with_scripts("/etc/modem.check"));
    restart("", confined().into_iter().map(str::to_owned).collect());

    running(true);
    daemon_program(&root, MISTAKES);
    let asked = reload(TESTS);
    assert!(!asked.contains(&"procd stops it".to_owned()), "with mistakes the old one stays: {asked:?}");
    daemon_program(&root, "exit 0");
    fs::remove_file(root.path("/sbin/ujail")).unwrap();
    assert_eq!(reload(TESTS), UNCONFINED, "without a jail there is nothing to make anew");
}

#[test]
fn it_starts_behind_the_network_and_stops_before_it() {
    assert_eq!(asks(&router(), "levels", ""), ["START=21 STOP=89 USE_PROCD=1"]);
}

#[test]
fn the_configuration_is_made_readable() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = router();
    let file = root.path("/etc/config/failover");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    asks(&root, "start", "");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    fs::remove_file(&file).unwrap();
    asks(&root, "start", "");
    assert!(!file.exists());
}

const MISTAKES: &str = "echo 'what is right'
echo \"/etc/config/failover:3: provider 'lte': interval '0' must be between 50ms and 1h\" >&2
echo '/etc/config/failover:9: unknown section' >&2
exit 2";

#[test]
fn mistakes_are_told_once_and_keep_it_from_starting() {
    let root = router();
    daemon_program(&root, MISTAKES);
    let asked = asks(&root, "start", "").join("\n");
    let mistakes = "/etc/config/failover:3: provider 'lte': interval '0' must be between 50ms and 1h\n\
                    /etc/config/failover:9: unknown section";
    assert!(asked.starts_with(&format!("logger -s -t failoverd -p daemon.err < {mistakes}\nopen\n")), "{asked}");
    assert!(asked.contains(&format!("\nset error {mistakes}\n")), "{asked}");
    assert!(asked.contains("\ntrigger failover firewall"), "the next change is noticed: {asked}");

    root.write("/proc/net/unix", "0000: 00000002 00000000 00010000 0001 01 1234 @failoverd\n");
    let asked = asks(&root, "start", "").join("\n");
    assert!(!asked.contains("logger"), "the running daemon says it itself: {asked}");
    assert!(asked.contains("\nset reload_signal HUP"), "{asked}");

    daemon_program(&root, "echo 'warning: somewhat odd' >&2");
    assert_eq!(asks(&root, "start", ""), UNCONFINED, "a warning is no mistake");
}

#[test]
fn stop_waits_for_the_end_and_then_cleans_up() {
    let root = router();
    assert_eq!(asks(&root, "stop", ""), ["procd stops it", "failoverd cleanup"]);

    root.write("/proc/net/unix", "0: 2 @failoverd\n");
    let record = root.path("/record");
    fs::remove_file(&record).unwrap();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| asks(&root, "stop", ""));
        wait_until("the script has begun", || record.exists());
        assert!(!root.read("/record").contains("cleanup"), "it is still there");
        root.write("/proc/net/unix", "0: 2 @failoverd-of-somebody-else\n0: 2 /tmp/@failoverd.sock\n");
        assert_eq!(stopping.join().unwrap(), ["procd stops it", "failoverd cleanup"]);
    });
}

/// The name and the file that the script looks for are what the kernel shows.
#[test]
fn the_socket_is_found_where_the_script_looks() {
    let name = format!("failoverd-test-{}", std::process::id());
    let line = format!(" @{name}\n");
    let shown = || fs::read_to_string("/proc/net/unix").unwrap().contains(&line);
    assert!(!shown());
    let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    assert!(shown());
    drop(socket);
    assert!(!shown());
    let instance = include_str!("../../src/shell/instance.rs");
    assert!(instance.contains(r#"const NAME: &str = "\0failoverd";"#), "the init script knows it by this name");
}

/// The end of the first configuration's script, and what it has called.
fn first_configuration(uci: &str, failoverd: &str) -> (Option<i32>, String) {
    let root = Root::new();
    let script = root.install("/etc/uci-defaults/99_failover", &["/usr/sbin/failoverd"], &[]);
    root.program("uci", uci);
    daemon_program(&root, failoverd);
    // As OpenWrt does it: read by a shell of its own, and removed if that ends well.
    let output = run(&mut root.shell(&["-c", &format!("( . {} ) && echo removed", script.display())]));
    (output.status.code(), format!("{}{}", root.read("/record"), String::from_utf8_lossy(&output.stdout)))
}

#[test]
fn the_first_configuration_is_made_once_and_fails_nothing() {
    let shipped = "echo 'failover.settings=failover'";
    let configured = "echo 'failover.settings=failover'; echo 'failover.fiber=provider'";
    for (uci, failoverd, called, why) in [
        (shipped, "exit 0", "failoverd init\nremoved\n", "no providers yet"),
        ("exit 1", "exit 0", "failoverd init\nremoved\n", "no configuration at all"),
        (configured, "exit 0", "removed\n", "there are providers: a sysupgrade"),
        (shipped, "exit 1", "failoverd init\nremoved\n", "no WAN was found"),
        (shipped, "kill -9 $$", "failoverd init\nremoved\n", "even then"),
    ] {
        assert_eq!(first_configuration(uci, failoverd), (Some(0), called.to_owned()), "{why}");
    }
}
