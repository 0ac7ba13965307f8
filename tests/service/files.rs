//! Each installed file by itself: where it is, its mode, whether those who read it understand it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::root::{Root, installed, run, source};

/// The scripts, by the path on the router. All that is installed is here or below.
const SCRIPTS: [&str; 7] = [
    "/etc/failover.mail",
    "/etc/failover.user",
    "/etc/hotplug.d/failover/10-user",
    "/etc/hotplug.d/failover/15-recover",
    "/etc/hotplug.d/failover/20-mail",
    "/etc/init.d/failover",
    "/etc/uci-defaults/99_failover",
];
const OTHERS: [&str; 4] = [
    "/etc/capabilities/failover.json",
    "/etc/config/failover",
    "/lib/upgrade/keep.d/failover",
    "/usr/share/acl.d/failover.json",
];

#[test]
fn every_file_is_where_it_is_looked_for() {
    let found: BTreeSet<String> = installed().into_iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    let known: BTreeSet<String> = SCRIPTS.iter().chain(&OTHERS).map(|&path| path.to_owned()).collect();
    assert_eq!(found, known);
    for path in &found {
        let executable = fs::metadata(source(path)).unwrap().permissions().mode() & 0o111 != 0;
        assert_eq!(executable, path == "/etc/init.d/failover", "{path}: only the init script is run as a program");
    }
}

#[test]
fn the_scripts_are_correct() {
    for path in SCRIPTS {
        let file = source(path);
        // busybox's shell knows 'local'; the names are for others, who set them or read them.
        let exclude = "--exclude=SC3043,SC2034,SC1090,SC1091,SC2148";
        let mut shellcheck = Command::new("shellcheck");
        shellcheck.args(["--shell=dash", exclude]);
        for command in [Command::new("sh").arg("-n"), Command::new("busybox").args(["ash", "-n"]), &mut shellcheck] {
            let output = run(command.arg(&file));
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
        }
    }
}

fn json(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(source(path)).unwrap()).unwrap()
}

#[test]
fn two_capabilities_and_no_more() {
    let sets = json("/etc/capabilities/failover.json");
    let names: BTreeSet<&str> = sets.as_object().unwrap().keys().map(String::as_str).collect();
    // ujail takes a set that is not named for all capabilities.
    assert_eq!(names, ["ambient", "bounding", "effective", "inheritable", "permitted"].into());
    for (name, set) in sets.as_object().unwrap() {
        assert_eq!(*set, serde_json::json!(["CAP_NET_ADMIN", "CAP_NET_RAW"]), "{name}");
    }
}

/// Judged by the broker crate's reading of such a file, which ubusd's agrees with.
#[test]
fn the_user_may_do_on_ubus_what_the_daemon_does_and_no_more() {
    use ubusd::acl::{AccessGrant, AclEntry, AclOp, AclRegistry, Cred, Pattern};

    let file = json("/usr/share/acl.d/failover.json");
    let known = ["access", "listen", "publish", "send", "subscribe", "user"];
    assert!(file.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "ubusd reads no other keys");
    let patterns = |key: &str| -> Vec<Pattern> {
        file[key].as_array().unwrap().iter().map(|name| Pattern::parse(name.as_str().unwrap())).collect()
    };
    let grant = |(object, access): (&String, &Value)| AccessGrant {
        object: Pattern::parse(object),
        methods: Some(serde_json::from_value(access["methods"].clone()).unwrap()),
        priv_blob: None,
    };
    let (uid, user) = (Some(900), Some("failover".to_owned()));
    assert_eq!(file["user"].as_str(), user.as_deref());
    let entry = AclEntry {
        user: user.clone(),
        group: None,
        uid,
        gid: None,
        publish: patterns("publish"),
        subscribe: patterns("subscribe"),
        listen: patterns("listen"),
        send: patterns("send"),
        access: file["access"].as_object().unwrap().iter().map(grant).collect(),
    };
    let registry = AclRegistry { entries: vec![entry] };
    let we = Cred { uid, user, ..Cred::default() };
    let somebody = Cred { uid: Some(901), user: Some("somebody".to_owned()), ..Cred::default() };
    for (path, op, method, want) in [
        ("failover", AclOp::Publish, None, true),
        ("failover2", AclOp::Publish, None, false),
        ("network.interface", AclOp::Publish, None, false),
        ("failover", AclOp::Send, None, true),
        ("network.interface", AclOp::Send, None, false),
        ("network.interface", AclOp::Subscribe, None, true),
        ("network.device", AclOp::Subscribe, None, false),
        ("network.interface", AclOp::Listen, None, true),
        ("ubus.object.add", AclOp::Listen, None, true),
        ("ubus.object.remove", AclOp::Listen, None, false),
        ("", AclOp::Listen, None, false),
        ("network.interface", AclOp::Access, Some("dump"), true),
        ("network.interface", AclOp::Access, Some("renew"), true),
        ("network.interface", AclOp::Access, Some("down"), true),
        ("network.interface", AclOp::Access, Some("up"), true),
        ("network.interface", AclOp::Access, Some("remove"), false),
        ("network.interface.wan", AclOp::Access, Some("dump"), false),
        ("hotplug.failover", AclOp::Access, Some("call"), true),
        ("hotplug.iface", AclOp::Access, Some("call"), false),
        ("service", AclOp::Access, Some("set"), false),
        ("file", AclOp::Access, Some("exec"), false),
    ] {
        assert_eq!(registry.check(&we, path, op, method), want, "{path} {op:?} {method:?}");
        assert!(!registry.check(&somebody, path, op, method), "{path} {op:?} {method:?}");
    }
}

/// sysupgrade gives every line to `find` as a pattern of the shell.
#[test]
fn sysupgrade_keeps_what_is_the_owners_and_not_what_is_ours() {
    let root = Root::new();
    for path in
        SCRIPTS.iter().chain(&OTHERS).chain(&["/etc/hotplug.d/failover/30-mine", "/etc/hotplug.d/failover/99-too"])
    {
        root.write(path, "");
    }
    let list = fs::read_to_string(source("/lib/upgrade/keep.d/failover")).unwrap();
    let list = list.replace("/etc/", root.path("/etc/").to_str().unwrap());
    let list = root.write("/list", &list);
    let command = format!("find $(sed -ne '/^[[:space:]]*$/d; /^#/d; p' {}) -type f", list.display());
    let output = run(&mut root.shell(&["-c", &command]));
    let kept = String::from_utf8(output.stdout).unwrap().replace(root.path("").to_str().unwrap(), "/");
    let mut kept: Vec<&str> = kept.lines().collect();
    kept.sort_unstable();
    let owners = [
        "/etc/failover.mail",
        "/etc/failover.user",
        "/etc/hotplug.d/failover/30-mine",
        "/etc/hotplug.d/failover/99-too",
    ];
    assert_eq!(kept, owners, "the configuration is kept as every file in /etc/config");
}
