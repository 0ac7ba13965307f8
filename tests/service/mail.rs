//! The hotplug scripts under busybox, with a stand-in for msmtp: what is mailed, when, and that nothing is lost or doubled.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::root::{Root, run, source, wait_until};

/// A router on which mail works. Seconds stand for the minutes of the pause.
struct Router {
    root: Root,
    script: PathBuf,
}

/// Keeps each mail behind the time at which it came. Fails while there is a file 'broken', hangs while there is 'hanging', and complains
/// if it is called before the last call has ended.
const MSMTP: &str = r#"
mkdir ROOT/running || echo "two at a time" >> ROOT/wrong
echo "$*" >> ROOT/tries
env > ROOT/environment
cat > ROOT/stdin
while [ -e ROOT/hanging ]; do sleep 0.05; done
rmdir ROOT/running
if [ -e ROOT/broken ]; then
	echo failed >> ROOT/failures
	echo "msmtp: something first" >&2
	echo "msmtp: cannot connect" >&2
	exit 75
fi
{ echo "at $(cut -d ' ' -f 1 /proc/uptime)"; cat ROOT/stdin; } >> ROOT/mails"#;

impl Router {
    fn new(settings: &str, changes: &[(&str, &str)]) -> Self {
        let root = Root::new();
        let place = root.path("/").display().to_string();
        let place = place.trim_end_matches('/');
        root.program("msmtp", &MSMTP.replace("ROOT", place));
        let logger = format!("{place}/bin/logger -t failoverd");
        root.program("logger", &format!("echo \"$*\" >> {place}/log"));
        let mut all = vec![("* 60", "* 1"), ("logger -t failoverd", logger.as_str())];
        for usual in [("collect=5 ", "collect=0 "), ("retry=60 ", "retry=1 "), ("step=5 ", "step=0.1 ")] {
            let own = changes.iter().find(|(name, _)| *name == usual.0);
            all.push(*own.unwrap_or(&usual));
        }
        all.extend(changes.iter().filter(|(name, _)| !["collect=5 ", "retry=60 ", "step=5 "].contains(name)));
        let moved = ["/etc/failover.mail", "/var/run/failover-mail"];
        let script = root.install("/etc/hotplug.d/failover/20-mail", &moved, &all);
        fs::create_dir_all(root.path("/var/run")).unwrap();
        root.write("/etc/failover.mail", settings);
        Self { root, script }
    }

    fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = self.root.shell(&["-c", &format!(". {}", self.script.display())]);
        command.envs(variables.iter().copied());
        command
    }

    fn event(&self, variables: &[(&str, &str)]) {
        let start = Instant::now();
        let output = run(&mut self.command(variables));
        let quiet = output.stdout.is_empty() && output.stderr.is_empty();
        assert!(output.status.success() && quiet, "{output:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "an event does not wait for the mail");
    }

    fn offline(&self, provider: &str) {
        self.event(&[("ACTION", "offline"), ("PROVIDER", provider), ("REASON", "no carrier")]);
    }

    fn count(&self, file: &str) -> usize {
        self.root.read(file).lines().count()
    }

    fn mails(&self) -> Vec<Mail> {
        let text = self.root.read("/mails");
        text.split("at ").filter(|text| text.contains("\n\n")).map(Mail::new).collect()
    }

    /// Waits until so many mails have gone out and the sender has ended.
    fn settled(&self, wanted: usize) -> Vec<Mail> {
        wait_until(&format!("{wanted} mails: {}", self.root.read("/mails")), || self.mails().len() >= wanted);
        let sender = self.root.path("/var/run/failover-mail/sender");
        wait_until("the sender ends", || {
            let mut free = Command::new("flock");
            run(free.arg("-n").arg(&sender).arg("true")).status.success()
        });
        assert_eq!(self.root.read("/wrong"), "");
        let mails = self.mails();
        assert_eq!(mails.len(), wanted, "{}", self.root.read("/mails"));
        mails
    }
}

#[derive(Debug)]
struct Mail {
    at: f64,
    header: String,
    /// Without date and time.
    lines: Vec<String>,
}

impl Mail {
    fn new(text: &str) -> Self {
        let (at, text) = text.split_once('\n').unwrap();
        let (header, body) = text.split_once("\n\n").unwrap();
        let line = |line: &str| line.splitn(3, ' ').nth(2).unwrap().to_owned();
        Self { at: at.parse().unwrap(), header: header.to_owned(), lines: body.lines().map(line).collect() }
    }
}

const SETTINGS: &str = "MAIL_TO='me@example.org'\nMAIL_PAUSE='0'\n";

#[test]
fn as_installed_nobody_gets_mail() {
    let router = Router::new(&fs::read_to_string(source("/etc/failover.mail")).unwrap(), &[]);
    router.event(&[("ACTION", "offline"), ("PROVIDER", "fiber"), ("MAIL_TO", "thief@example.org")]);
    fs::remove_file(router.root.path("/etc/failover.mail")).unwrap();
    router.event(&[("ACTION", "offline"), ("MAIL_TO", "thief@example.org")]);
    assert!(!router.root.path("/var/run/failover-mail").exists(), "nothing was begun");
    assert_eq!(router.root.read("/log"), "");
}

/// The daemon's user may have procd run the scripts with variables of its choice: one names a file with commands that msmtp runs.
#[test]
fn nothing_in_the_environment_leads_root_astray() {
    let router = Router::new(SETTINGS, &[]);
    router.event(&[("ACTION", "test"), ("HOME", "/var/run/failover"), ("XDG_CONFIG_HOME", "/var/run/failover")]);
    router.settled(1);
    let environment = router.root.read("/environment");
    let mut names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    // The shell sets its own two.
    assert!(names.iter().all(|name| ["HOME", "PATH", "PWD", "SHLVL", "OLDPWD", "_"].contains(name)), "{environment}");
    assert!(environment.contains("HOME=/root\n"), "{environment}");
}

#[test]
fn an_outage_is_one_mail() {
    let settings = "MAIL_TO='me@example.org you@example.org'\n";
    let router = Router::new(settings, &[("collect=5 ", "collect=1 ")]);
    router.offline("fiber");
    router.event(&[("ACTION", "switch"), ("FROM", "fiber"), ("TO", "lte"), ("REASON", "fiber is offline")]);
    let mails = router.settled(1);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let header = format!(
        "To: me@example.org, you@example.org\n\
         Subject: [{}] failover: fiber -> lte: fiber is offline (and 1 before)\n\
         Content-Type: text/plain; charset=UTF-8",
        host.trim()
    );
    assert_eq!(mails[0].header, header);
    assert_eq!(mails[0].lines, ["fiber offline: no carrier", "fiber -> lte: fiber is offline"]);
    assert_eq!(router.root.read("/tries"), "--timeout=60 -- me@example.org you@example.org\n");
    assert_eq!(router.root.read("/log"), "");
}

#[test]
fn every_event_has_its_words() {
    let router = Router::new(SETTINGS, &[]);
    for (number, (variables, line)) in [
        (
            vec![("ACTION", "online"), ("PROVIDER", "lte"), ("REASON", "3 checks succeeded")],
            "lte online: 3 checks succeeded",
        ),
        (vec![("ACTION", "switch"), ("TO", "lte")], "nothing -> lte"),
        (vec![("ACTION", "switch"), ("FROM", "lte"), ("REASON", "no provider")], "lte -> nothing: no provider"),
        (vec![("ACTION", "pinned"), ("PROVIDER", "lte")], "lte pinned"),
        (vec![("ACTION", "pinned"), ("REASON", "unpinned")], "pinned: unpinned"),
        (vec![("ACTION", "config_error"), ("REASON", "line 3")], "configuration refused: line 3"),
        (vec![("ACTION", "test"), ("REASON", "a test")], "test: a test"),
        (
            vec![("ACTION", "offline"), ("PROVIDER", "x"), ("REASON", "a\r\nBcc: b@c\n\nd $(e) 'f \"g")],
            "x offline: a  Bcc: b@c  d $(e) 'f \"g",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        router.event(&variables);
        let mails = router.settled(number + 1);
        assert_eq!(mails[number].lines, [line]);
        assert!(mails[number].header.contains(&format!("failover: {line}\n")), "{:?}", mails[number]);
    }
}

#[test]
fn there_is_a_pause_between_two_mails_and_nothing_is_lost_in_it() {
    let router = Router::new("MAIL_TO='me@example.org'\nMAIL_PAUSE='3'\n", &[]);
    router.offline("one");
    router.settled(1);
    router.offline("two");
    router.offline("three");
    let mails = router.settled(2);
    assert_eq!(mails[1].lines, ["two offline: no carrier", "three offline: no carrier"]);
    // Whole seconds are counted: of the three, one may have been almost over.
    assert!(mails[1].at - mails[0].at >= 2.0, "{mails:?}");

    // Somebody who tests does not want to wait.
    let router = Router::new("MAIL_TO='me@example.org'\nMAIL_PAUSE='1000'\n", &[]);
    router.offline("one");
    router.settled(1);
    router.event(&[("ACTION", "test")]);
    router.settled(2);
    router.offline("two");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(router.mails().len(), 2, "the pause still holds for others");
    router.event(&[("ACTION", "test")]);
    assert_eq!(router.settled(3)[2].lines, ["two offline: no carrier", "test"], "also while a sender waits");
}

#[test]
fn what_cannot_be_sent_waits_for_a_provider() {
    // So long a wait shows that the event has ended it.
    let router = Router::new(SETTINGS, &[("retry=60 ", "retry=1000 ")]);
    router.root.write("/broken", "");
    router.offline("fiber");
    wait_until("that it failed is told", || router.count("/log") == 1);
    let log = router.root.read("/log");
    let want =
        "-p daemon.warn mail: not sent (msmtp: exit code 75), tried again until it works: msmtp: cannot connect\n";
    assert!(log.ends_with(want), "{log}");
    router.offline("lte");
    wait_until("it is tried again", || router.count("/failures") == 2);
    assert_eq!(router.count("/log"), 1, "told once");
    fs::remove_file(router.root.path("/broken")).unwrap();
    router.event(&[("ACTION", "online"), ("PROVIDER", "fiber")]);
    let mails = router.settled(1);
    assert_eq!(mails[0].lines, ["fiber offline: no carrier", "lte offline: no carrier", "fiber online"]);
    assert!(router.root.read("/log").ends_with("mail: sent at last\n"));

    // Nobody says that it works again, and it goes out all the same.
    let router = Router::new(SETTINGS, &[]);
    router.root.write("/broken", "");
    router.offline("fiber");
    wait_until("it is tried by itself", || router.count("/failures") >= 3);
    fs::remove_file(router.root.path("/broken")).unwrap();
    assert_eq!(router.settled(1)[0].lines, ["fiber offline: no carrier"]);
}

#[test]
fn many_events_at_once_are_told_once_each() {
    let router = Router::new(SETTINGS, &[]);
    let events: Vec<_> = (0..20)
        .map(|number| {
            let provider = format!("p{number}");
            router.command(&[("ACTION", "offline"), ("PROVIDER", &provider)]).spawn().unwrap()
        })
        .collect();
    events.into_iter().for_each(|mut event| assert!(event.wait().unwrap().success()));
    let told = || router.mails().into_iter().flat_map(|mail| mail.lines).collect::<Vec<_>>();
    wait_until("all are told", || told().len() >= 20);
    let mut told = told();
    told.sort();
    let mut want: Vec<String> = (0..20).map(|number| format!("p{number} offline")).collect();
    want.sort();
    assert_eq!(told, want);
    assert_eq!(router.root.read("/wrong"), "", "one mail at a time");
}

#[test]
fn a_mail_server_that_hangs_holds_up_no_event() {
    let router = Router::new(SETTINGS, &[]);
    router.root.write("/hanging", "");
    router.offline("one");
    wait_until("it hangs", || router.count("/tries") == 1);
    router.offline("two");
    router.offline("three");
    fs::remove_file(router.root.path("/hanging")).unwrap();
    let mails = router.settled(2);
    assert_eq!(mails[1].lines, ["two offline: no carrier", "three offline: no carrier"]);
}

#[test]
fn a_long_outage_fills_nothing() {
    let router = Router::new(SETTINGS, &[("most=200 ", "most=5 ")]);
    router.root.write("/broken", "");
    router.root.write("/hanging", "");
    router.offline("0");
    wait_until("it is tried", || router.count("/tries") == 1);
    (1..9).for_each(|number| router.offline(&number.to_string()));
    assert_eq!(router.count("/var/run/failover-mail/queue"), 5);
    fs::remove_file(router.root.path("/hanging")).unwrap();
    wait_until("it has failed", || router.count("/failures") >= 1);
    fs::remove_file(router.root.path("/broken")).unwrap();
    let want: Vec<String> = (4..9).map(|number| format!("{number} offline: no carrier")).collect();
    assert_eq!(router.settled(1)[0].lines, want);
}

#[test]
fn a_sender_that_was_killed_leaves_its_mail_to_the_next() {
    let router = Router::new(SETTINGS, &[("collect=5 ", "collect=0.2 ")]);
    // As a sender leaves it: taken from the queue, not sent.
    router.root.write("/var/run/failover-mail/mail", "2026-01-01 00:00:00 fiber offline\n");
    router.event(&[("ACTION", "online"), ("PROVIDER", "fiber")]);
    assert_eq!(router.settled(1)[0].lines, ["fiber offline", "fiber online"]);
}

#[test]
fn without_msmtp_that_is_said() {
    let router = Router::new(SETTINGS, &[]);
    fs::remove_file(router.root.path("/bin/msmtp")).unwrap();
    let mut command = router.command(&[("ACTION", "offline")]);
    // Where the tests run there may be a real one.
    command.env("PATH", router.root.path("/bin"));
    let path = std::env::var("PATH").unwrap();
    let busybox = path.split(':').map(|directory| PathBuf::from(directory).join("busybox")).find(|path| path.exists());
    std::os::unix::fs::symlink(busybox.unwrap(), router.root.path("/bin/busybox")).unwrap();
    assert!(run(&mut command).status.success());
    assert!(router.root.read("/log").ends_with("-p daemon.warn mail: not sent: msmtp is not installed\n"));
}

#[test]
fn the_owners_commands_get_the_event_and_disturb_nobody() {
    let root = Root::new();
    let script = root.install("/etc/hotplug.d/failover/10-user", &["/etc/failover.user"], &[]);
    let out = root.path("/out");
    let shell = |user: Option<&str>| {
        match user {
            Some(user) => drop(root.write("/etc/failover.user", &user.replace("OUT", out.to_str().unwrap()))),
            None => drop(fs::remove_file(root.path("/etc/failover.user"))),
        }
        let mut command = root.shell(&["-c", &format!(". {}; echo behind", script.display())]);
        command.envs([
            ("ACTION", "switch"),
            ("FROM", "a b"),
            ("TO", "c"),
            ("REASON", "$(x) 'y"),
            ("REASON_CODE", "no_carrier"),
        ]);
        command.envs([("HOME", "/var/run/failover"), ("UCI_CONFIG_DIR", "/var/run/failover")]);
        String::from_utf8(run(&mut command).stdout).unwrap()
    };
    assert_eq!(shell(Some("echo \"$ACTION/$FROM/$TO/$REASON/$REASON_CODE/$PROVIDER\" > OUT; exit 3")), "behind\n");
    assert_eq!(root.read("/out"), "switch/a b/c/$(x) 'y/no_carrier/\n");
    assert_eq!(shell(Some("echo \"$HOME/$UCI_CONFIG_DIR\" > OUT")), "behind\n");
    assert_eq!(root.read("/out"), "/root/\n", "nothing but the event comes from whoever asked for it");
    assert_eq!(shell(None), "behind\n");
    let shipped = fs::read_to_string(source("/etc/failover.user")).unwrap();
    assert_eq!(shell(Some(&shipped)), "behind\n");
    // What it shows is right once the signs in front are taken away.
    let shown: String = shipped
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    let example = root.write("/example", &shown.replace("/sys/class/leds/red:wan/brightness", out.to_str().unwrap()));
    assert!(shown.starts_with("case \"$ACTION\" in\n") || shown.contains("\ncase \"$ACTION\" in\n"), "{shown}");
    let output = run(&mut root.shell(&["-n", example.to_str().unwrap()]));
    assert!(output.status.success(), "{output:?}");
}
