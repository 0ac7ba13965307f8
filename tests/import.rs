//! What other tools' configurations become: every file in tests/import against its golden output, and any bytes at all.
//!
//! `WRITE_IMPORTS=1 cargo test --test import` writes the golden files anew; read the difference before you commit it.

#![allow(clippy::disallowed_methods)]

use std::path::Path;

use failoverd::import::{Kind, import};
use proptest::prelude::*;

/// What a person gets to see, and what is written.
fn shown(kind: Kind, name: &str, text: &[u8]) -> String {
    let draft = match import(kind, name, text) {
        Ok(draft) => draft,
        Err(sentences) => return format!("# refused\n{}\n", sentences.join("\n")),
    };
    let config = draft.text();
    let loaded = failoverd::settings::parse(name, config.as_bytes());
    assert!(matches!(&loaded, Ok(loaded) if loaded.warnings.is_empty()), "{name}: {loaded:?}\n{config}");
    let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    format!("{config}\n# decided\n{}\n# left out\n{}", lines(&draft.decisions), lines(&draft.left_out))
}

#[test]
fn every_file_becomes_what_is_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    let mut seen = [0; Kind::ALL.len()];
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".want") {
            continue;
        }
        let at = Kind::ALL.iter().position(|kind| name.starts_with(kind.name())).unwrap();
        seen[at] += 1;
        let found = shown(Kind::ALL[at], &name, &std::fs::read(&path).unwrap());
        let golden = folder.join(format!("{name}.want"));
        if std::env::var_os("WRITE_IMPORTS").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        let want = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(found == want, "{name} became\n{found}\nwhere {name}.want has\n{want}");
    }
    assert!(seen.iter().all(|files| *files >= 2), "files for each kind: {seen:?}");
}

#[test]
fn names_and_places() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
        assert!(kind.default_file().is_none_or(|file| file.starts_with('/')));
    }
    assert_eq!(Kind::from_name("keepalived"), None);
}

/// Pieces of such files, so that chance gets somewhere.
const WORDS: &[&str] = &[
    "\n",
    "\n",
    "\n  ",
    "\n- ",
    "\nconfig interface 'wan'\noption enabled 1\n",
    "\nconfig interface 'settings'\noption enabled 1\nlist track_ip 1.1.1.1\nlist track_ip 9.9.9.9\noption reliability 2\n",
    "\nconfig interface 'internet'\nlist track_ip 8.8.8.8\n",
    "\nconfig member 'a'\noption interface wan\noption metric 4\noption weight 1000\n",
    "\nconfig member 'b'\noption interface settings\noption metric 4\noption weight 1\n",
    "\nconfig policy 'p'\nlist use_member 'a'\nlist use_member 'b'\n",
    "\nconfig rule 'r'\noption use_policy p\n",
    "\nconfig policy 'q'\nlist use_member 'b'\noption last_resort default\n",
    "\nconfig rule 'internet'\noption use_policy q\noption proto tcp\noption sticky 1\n",
    "\nconfig rule 'wan'\noption use_policy unreachable\noption dest_port 53\n",
    "\nconfig rule 'x'\noption use_policy default\noption src_ip 10.0.0.0/8\n",
    "\noption dest_ip '192.0.2.1,!198.51.100.0/24'",
    "\noption dest_ip 0.0.0.0/0",
    "\noption src_port 8000:8100",
    "\noption proto ",
    "\noption interval ",
    "\noption timeout ",
    "\noption down ",
    "\noption up ",
    "\noption reliability ",
    "\noption track_method httping\nlist track_ip example.org\n",
    "\noption track_method arping\nlist track_ip 192.168.1.1\n",
    "\noption track_method nslookup\n",
    "\noption check_quality 1",
    "\noption failure_loss ",
    "\noption recovery_latency ",
    "\noption size ",
    "\noption family ipv6",
    "0",
    "1",
    "7",
    "99999999999",
    "-3",
    "0.001",
    "1e9",
    "CHECK_INTERVAL = ",
    "MAX_FAILED_CHECKS = ",
    "MAX_STORED_TEST_RESULT_COUNT = ",
    "MIN_CONSECUTIVE_SUCCEEDED_CHECKS = ",
    "START_METRIC = ",
    "\nproviders = [Provider('a', 'eth1', '192.168.1.2', '192.168.1.1'), Provider('a', 'eth1'), Provider('\u{e9}\t', 'wwan0')]\n",
    "\ntest_cases = [TestScenarioPing('1.1.1.1'), TestScenarioPing('1.1.1.1'), TestScenarioPing('x')]\n",
    "[",
    "]",
    "(",
    ")",
    "'",
    "\"",
    "\\",
    "#",
    "{",
    "uplinks:\n- interface: eth1\n  type: static\n  ip: 10.0.0.2\n  gateway: 10.0.0.1\n  priority_group: 1\n",
    "- interface: eth1\n  type: ppp\n  weight: 700\n  description: \"it's\"\n  priority_group: 1\n",
    "tests:\n  ips: [1.1.1.1, 8.8.8.8, 9.9.9.9]\n  required_successful: ",
    "  interval: ",
    "a: ",
    "\u{0}",
    "\u{202e}",
];

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        failoverd::import::exercise(&bytes);
    }

    #[test]
    fn what_comes_out_is_accepted(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..60)) {
        failoverd::import::exercise(words.concat().as_bytes());
    }
}
