//! What the pages tell a person to write and to type, and what they say the program answers, is what the program knows.
//!
//! In README.md and docs: every indented block that is a configuration of failoverd is one without problems; commands, options, paths and
//! names of packages exist; in troubleshooting.md what stands in double quotes, and in its tables, is what the program and LuCI's pages say,
//! and so are the sentences of `why` in README.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use failoverd::reason::Reason;
use failoverd::settings::schema::{OptionSpec, SectionKind};
use failoverd::{settings, uci};

const PAGES: [&str; 6] = [
    "README.md",
    "cross/README.md",
    "docs/recipes.md",
    "docs/reference.md",
    "docs/traffic.md",
    "docs/troubleshooting.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The indented blocks of a page, without the indentation.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in page.lines() {
        let last = blocks.last_mut().unwrap();
        match line.strip_prefix("    ") {
            Some(code) => *last += &format!("{code}\n"),
            None if line.is_empty() && !last.is_empty() => *last += "\n",
            None if !last.is_empty() => blocks.push(String::new()),
            None => {}
        }
    }
    blocks.into_iter().map(|block| block.trim_end().to_owned()).filter(|block| !block.is_empty()).collect()
}

/// What stands between two of these marks on a page, blocks aside.
fn marked(page: &str, mark: char) -> Vec<String> {
    let prose = page.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n");
    prose.split("\n\n").flat_map(|paragraph| paragraph.split(mark).skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Everything that a page says is to be typed, a command each.
fn commands(page: &str) -> Vec<String> {
    let blocks = blocks(page);
    let lines = blocks.iter().flat_map(|block| block.lines()).map(str::to_owned).chain(marked(page, '`'));
    let all: Vec<String> = lines.collect();
    all.iter().flat_map(|line| line.split("; ")).map(|command| command.trim_start_matches("$ ").to_owned()).collect()
}

fn help() -> String {
    let told = Command::new(env!("CARGO_BIN_EXE_failoverd")).arg("--help").output().unwrap();
    String::from_utf8(told.stdout).unwrap()
}

#[test]
fn every_configuration_is_one() {
    let mut seen = 0;
    for path in PAGES {
        let mut whole = String::new();
        for block in blocks(&read(path)) {
            let is_more = block.starts_with(' ') || block.starts_with("option ");
            if !is_more && !block.starts_with("config ") {
                continue;
            }
            // Options alone belong into the block before.
            whole = if is_more { format!("{whole}\n{block}") } else { block };
            let file = uci::parse(whole.as_bytes());
            let ours = |kind: &str| ["failover", "provider", "test", "rule"].contains(&kind);
            // Those of network and firewall, which are libuci's business.
            if !file.sections.iter().any(|section| ours(&section.kind)) {
                assert!(file.errors.is_empty(), "{path}: {:?}\n{whole}", file.errors);
                continue;
            }
            let loaded = settings::parse(path, whole.as_bytes());
            let loaded = loaded.unwrap_or_else(|problems| panic!("{path}: {problems:?}\n{whole}"));
            assert!(loaded.warnings.is_empty(), "{path}: {:?}\n{whole}", loaded.warnings);
            seen += 1;
        }
    }
    assert!(seen >= 9, "only {seen} blocks were found");
}

/// `down '3'` and `option failback_delay '5'` in a sentence.
#[test]
fn every_value_is_allowed() {
    let others = ["masq", "peerdns", "dns_metric", "strictorder", "defaultroute", "nohostroute"];
    let kinds = [SectionKind::Settings, SectionKind::Provider, SectionKind::Test, SectionKind::Rule];
    let mut seen = 0;
    for path in PAGES {
        for code in marked(&read(path), '`') {
            let setting = code.strip_prefix("option ").unwrap_or(&code);
            let Some((name, value)) = setting.strip_suffix('\'').and_then(|it| it.split_once(" '")) else { continue };
            if name.contains(' ') || others.contains(&name) {
                continue;
            }
            let spec = kinds.iter().find_map(|kind| OptionSpec::find(*kind, name));
            assert!(spec.is_some_and(|spec| spec.accepts(value).is_ok()), "{path}: {code}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} were found");
}

#[test]
fn every_command_is_there() {
    let help = help();
    let mut named: Vec<String> = Vec::new();
    for path in PAGES {
        for command in commands(&read(path)) {
            let mut words = command.split_whitespace().skip_while(|word| *word == "sudo");
            match words.next() {
                Some("failoverd") => {}
                Some(file) if file.starts_with("cross/") || file.starts_with("tests/") || file.starts_with("src/") => {
                    assert!(root().join(file.trim_end_matches('/')).exists(), "{path}: {command}");
                    continue;
                }
                _ => continue,
            }
            let Some(verb) = words.next() else { continue };
            assert!(help.contains(&format!("\n  {verb} ")), "{path}: {command}");
            named.push(verb.to_owned());
            for option in words.map(|word| word.trim_matches(['[', ']'])).filter(|word| word.starts_with('-')) {
                assert!(help.contains(&format!(" {option}")), "{path}: {command}: {option}");
            }
        }
    }
    for line in help.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let verb = line.split_whitespace().next().unwrap();
        assert!(verb == "help" || named.iter().any(|it| it == verb), "no page has '{verb}'");
    }
}

#[test]
fn every_file_is_installed() {
    let mut seen = 0;
    for path in PAGES {
        let page = read(path);
        let words = page.split(|it: char| it.is_whitespace() || "`();,".contains(it));
        for word in words.map(|word| word.trim_end_matches(['.', ':'])) {
            let ours = ["/etc/", "/usr/", "/lib/"].iter().any(|it| word.starts_with(it)) && word.contains("failover");
            // Folders, the person's own, and the configurations of programs with such a name.
            if !ours || word.contains("/30-") || word.ends_with('/') || word.starts_with("/usr/sbin/") {
                continue;
            }
            assert!(root().join("files").join(word.trim_start_matches('/')).exists(), "{path}: {word}");
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} were found");
}

#[test]
fn every_link_leads_somewhere() {
    for path in PAGES {
        let folder = Path::new(path).parent().unwrap();
        for link in
            read(path).split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link.to_owned()))
        {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let page = read(folder.join(file).to_str().unwrap());
            let titles = page.lines().filter_map(|line| line.strip_prefix("## "));
            let mut anchors = titles.map(|title| title.to_lowercase().replace(' ', "-").replace(['`', ','], ""));
            assert!(anchor.is_empty() || anchors.any(|it| it == anchor), "{path}: {link}");
        }
    }
}

#[test]
fn the_packages_are_called_so() {
    let makefile = read("openwrt/failoverd/Makefile");
    let release = makefile.lines().find_map(|line| line.strip_prefix("PKG_RELEASE:=")).unwrap();
    let version = format!("{}-r{release}", env!("CARGO_PKG_VERSION"));
    let readme = read("README.md");
    for name in [
        format!("failoverd_{version}_mipsel_24kc.ipk"),
        format!("failoverd-{version}.apk"),
        format!("luci-app-failover_{version}_all.ipk"),
        format!("luci-i18n-failover-de_{version}_all.ipk"),
    ] {
        assert!(readme.contains(&name), "README.md does not have {name}");
    }
}

fn sources(folder: PathBuf, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(path, text);
        } else {
            *text += &fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn what_is_quoted_is_said() {
    let mut text = String::new();
    sources(root().join("src"), &mut text);
    sources(root().join("files"), &mut text);
    // A string that goes on in the next line.
    let text: String = text.split("\\\n").map(str::trim_start).collect();
    let quoted = marked(&read("docs/troubleshooting.md"), '"');
    assert!(quoted.len() >= 5, "{quoted:?}");
    for quote in quoted {
        let quote = quote.replace('\n', " ");
        assert!(text.contains(&quote), "nothing says \"{quote}\"");
    }
}

#[test]
fn what_why_is_shown_to_say_it_says() {
    let mut text = String::new();
    sources(root().join("src"), &mut text);
    let patterns: Vec<&str> =
        text.split("say!(").filter_map(|it| it.trim_start().strip_prefix('"')?.split('"').next()).collect();
    let is_of = |sentence: &str, pattern: &str| {
        // What stands between the places comes one after the other.
        let mut fixed = pattern.split('{').enumerate().map(|(at, it)| if at > 0 { &it[2..] } else { it });
        let first = fixed.next().and_then(|it| sentence.strip_prefix(it));
        let rest = fixed.try_fold(first, |rest, it| rest.map(|rest| rest.split_once(it).map(|(_, after)| after)));
        rest.flatten().is_some_and(str::is_empty)
    };
    let page = read("README.md");
    let (_, shown) = page.split_once("    $ failoverd why lte\n").unwrap();
    let shown: Vec<&str> = shown.split("\n\n").take(2).flat_map(|it| it.split_whitespace().chain(["\n"])).collect();
    let shown = shown.join(" ").replace(". ", ".\n");
    let sentences: Vec<&str> = shown.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(sentences.len(), 4, "{sentences:#?}");
    for sentence in sentences {
        assert!(patterns.iter().any(|pattern| is_of(sentence, pattern)), "nothing says: {sentence}");
    }
}

/// The first column of a table of troubleshooting.md.
fn rows(title: &str) -> Vec<String> {
    let page = read("docs/troubleshooting.md");
    let (_, table) = page.split_once(&format!("| {title} |")).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').nth(1).unwrap().trim().to_owned()).collect()
}

#[test]
fn every_excuse_of_the_pages_has_a_row() {
    let script = read("openwrt/luci-app-failover/htdocs/luci-static/resources/tools/failover.js");
    let (_, excuses) = script.split_once("excuse(error)").unwrap();
    let said: Vec<&str> = excuses.split("_('").skip(1).filter_map(|it| it.split("')").next()).collect();
    assert_eq!(rows("the page says"), said);
}

#[test]
fn every_reason_to_be_unresolved_has_a_row() {
    let name = || "NAME".to_owned();
    let device = || "DEVICE".to_owned();
    let reasons = [
        Reason::NetifdSilent(name()),
        Reason::NoInterface(name()),
        Reason::InterfacePending(name()),
        Reason::InterfaceDown { name: name(), error: None },
        Reason::InterfaceDown { name: name(), error: Some("CODE".to_owned()) },
        Reason::InterfaceWithoutDevice(name()),
        Reason::NoDevice(device()),
        Reason::LinkDown(device()),
        Reason::NoAddress(None),
        Reason::NoAddress(Some([192, 0, 2, 1].into())),
        Reason::NoGateway,
        Reason::DeviceTaken { device: device(), provider: "PROVIDER".to_owned() },
        Reason::Blocked { target: [192, 0, 2, 1].into(), cause: String::new() },
        Reason::NotReadYet,
    ];
    let rows = rows("the reason says").into_iter();
    let rows: Vec<String> =
        rows.map(|row| row.replace("ADDRESS", "192.0.2.1").replace("TARGET", "192.0.2.1")).collect();
    let said: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    for sentence in &said {
        assert!(rows.iter().any(|row| sentence.starts_with(row.as_str())), "no row for: {sentence}");
    }
    for row in rows {
        assert!(said.iter().any(|sentence| sentence.starts_with(&row)), "nothing says: {row}");
    }
}
