//! Reads the configuration files. Called at start, on reload, by `validate`, `init` and the daemon's answers; the library's `settings`
//! says what they mean.

use std::path::Path;

use failoverd::advice::advice;
use failoverd::member::object;
use failoverd::neighbours::Neighbours;
use failoverd::settings::{self, Loaded, Problem, Settings};
use failoverd::uci;
use serde_json::Value;

/// The longest text that the daemon judges for others, some ten times what a router needs: it has better things to do than to read a book.
const LONGEST: usize = 32 * 1024;
/// The bytes of sentences in one list of a reply.
const LONGEST_LIST: usize = 64 * 1024;

/// A configuration that can be used.
pub(crate) struct Configuration {
    /// What it means.
    pub(crate) settings: Settings,
    /// What is odd in the file itself.
    warnings: Vec<Problem>,
    /// What the files around it make doubtful, a sentence each.
    pub(crate) advice: Vec<String>,
}

/// Reads a configuration, or its problems, one line each. Warnings about the file itself go to the log.
pub(crate) fn load(path: &Path) -> Result<Configuration, Vec<String>> {
    let read = std::fs::read(path);
    let text = read.map_err(|error| vec![format!("{}: cannot be read: {error}", path.display())])?;
    let judged = judge(path, &text);
    let judged = judged.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    judged.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(judged)
}

/// What `text` means as the file `path`, or its problems.
fn judge(path: &Path, text: &[u8]) -> Result<Configuration, Vec<Problem>> {
    let Loaded { settings, warnings } = settings::parse(&path.display().to_string(), text)?;
    let advice = advise(path, text, &settings);
    Ok(Configuration { settings, warnings, advice })
}

/// The answer of ubus `validate`: what `failoverd validate` would say of `text` as the file `path`.
pub(crate) fn verdict(path: &Path, text: &str) -> Value {
    let (problems, warnings) = if text.len() > LONGEST {
        let (path, limit) = (path.display(), LONGEST / 1024);
        (vec![format!("{path}: has more than {limit} kB: only 'failoverd validate' judges that")], vec![])
    } else {
        match judge(path, text.as_bytes()) {
            Ok(Configuration { warnings, advice, .. }) => {
                (vec![], limited(&mut warnings.iter().map(ToString::to_string).chain(advice)))
            }
            Err(problems) => (limited(&mut problems.iter().map(ToString::to_string)), vec![]),
        }
    };
    object(&mut [("valid", problems.is_empty().into()), ("problems", problems.into()), ("warnings", warnings.into())])
}

/// The first of many sentences, and how many there are more.
fn limited(sentences: &mut dyn Iterator<Item = String>) -> Vec<String> {
    let (mut kept, mut bytes, mut more) = (vec![], 0, 0);
    for sentence in sentences {
        bytes += sentence.len();
        if bytes > LONGEST_LIST {
            more += 1;
        } else {
            kept.push(sentence);
        }
    }
    if more > 0 {
        kept.push(format!("and {more} more"));
    }
    kept
}

/// What the files beside `path` make doubtful about its text, and what stays unknown because they cannot be read.
pub(crate) fn advise(path: &Path, text: &[u8], settings: &Settings) -> Vec<String> {
    let name = path.display().to_string();
    let beside = Beside::read(path);
    let found = advice(&name, &uci::parse(text), settings, &beside.parse());
    found.iter().map(ToString::to_string).chain(beside.unreadable()).collect()
}

/// What the configuration files beside ours say, as far as they can be read.
pub(crate) fn neighbours(config: &Path) -> Neighbours {
    Beside::read(config).parse()
}

/// The configuration files beside ours, read once.
struct Beside {
    network: Text,
    wireless: Text,
    firewall: Text,
}

/// A file's path, and what is in it.
type Text = (String, std::io::Result<Vec<u8>>);

impl Beside {
    fn read(config: &Path) -> Self {
        let read = |name: &str| {
            let path = config.with_file_name(name);
            (path.display().to_string(), std::fs::read(&path))
        };
        Self { network: read("network"), wireless: read("wireless"), firewall: read("firewall") }
    }

    fn parse(&self) -> Neighbours {
        fn readable((path, text): &Text) -> Option<(&str, &[u8])> {
            Some((path, text.as_ref().ok()?))
        }
        Neighbours::parse(readable(&self.network), readable(&self.wireless), readable(&self.firewall))
    }

    /// In its jail the daemon is not root. Of `wireless` nothing is said: its keys are closed with good reason, and little depends on it.
    fn unreadable(&self) -> impl Iterator<Item = String> {
        let unknown = [
            (&self.network, "which providers are mobile lines is not known here; 'failoverd validate', as root, tells"),
            (
                &self.firewall,
                "whether flows are offloaded to hardware and whether the LAN reaches the providers is not known here; \
                 'chmod 0644' and 'failoverd reload' change that",
            ),
        ];
        unknown.into_iter().filter_map(|((path, text), unknown)| {
            let error = text.as_ref().err().filter(|error| error.kind() != std::io::ErrorKind::NotFound)?;
            Some(format!("{path}: cannot be read: {error}: {unknown}"))
        })
    }
}

/// Whether the firewall configuration beside ours forwards flows in hardware, past the kernel's counters. Hardly any does: where it
/// cannot be read, the answer is no, and `advise` has said so.
pub(crate) fn hardware_offload(config: &Path) -> bool {
    let Ok(text) = std::fs::read(config.with_file_name("firewall")) else { return false };
    let file = uci::parse(&text);
    let mut defaults = file.sections.iter().filter(|section| section.kind == "defaults");
    defaults.any(|section| section.flag("flow_offloading_hw") == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::testing::Directory;
    use serde_json::json;

    #[test]
    fn a_text_from_elsewhere_gets_an_answer_that_fits() {
        let directory = Directory::new();
        let path = directory.path().join("failover");
        let place = path.display();
        let provider = "config provider a\n option interface wan\n";
        let book = format!("{provider}#{}", " ".repeat(LONGEST));
        for (text, valid, lines, begin, why) in [
            (provider.to_owned(), true, 0, String::new(), "nothing to say"),
            (format!("{provider} option metered 0\n option metered 1\n"), true, 1, format!("{place}:4: "), "a warning"),
            (
                format!("{provider} option weight 0\n"),
                false,
                1,
                format!("{place}:3: provider 'a': weight '0' "),
                "a problem",
            ),
            (String::new(), true, 0, String::new(), "no provider is no mistake"),
            ("\u{fffd}\u{1}\u{7f}".to_owned(), false, 1, format!("{place}:1: "), "no text"),
            (book, false, 1, format!("{place}: has more than 32 kB: "), "more than is read"),
            ("x\n".repeat(LONGEST / 2), false, LONGEST / 2, format!("{place}:1: "), "a mistake in every line"),
            (
                format!("config provider {}\n", "a".repeat(LONGEST - 20)),
                false,
                1,
                format!("{place}:1: "),
                "one long name",
            ),
        ] {
            let verdict = verdict(&path, &text);
            let list = |name: &str| -> Vec<String> { serde_json::from_value(verdict[name].clone()).unwrap() };
            let (problems, warnings) = (list("problems"), list("warnings"));
            assert_eq!((&verdict["valid"], problems.is_empty()), (&json!(valid), valid), "{why}: {problems:?}");
            let said = [problems, warnings].concat();
            assert!(said.first().is_none_or(|first| first.starts_with(&begin)), "{why}: {said:?}");
            let bytes: usize = said.iter().map(String::len).sum();
            assert!(bytes < LONGEST_LIST + 100, "{why}: {bytes} bytes");
            let more = said.last().and_then(|last| last.strip_prefix("and ")?.strip_suffix(" more"));
            let more = more.and_then(|more| more.parse().ok()).map_or(0, |more: usize| more - 1);
            assert_eq!(said.len() + more, lines, "{why}: {said:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let directory = Directory::new();
        let config = directory.path().join("failover");
        std::fs::write(&config, "config provider a\n option interface wan\n").unwrap();
        let advice = || load(&config).map_err(|problems| problems.join("\n")).unwrap().advice;
        assert_eq!(advice(), [""; 0], "not there: a system without them");
        for (name, want) in [("firewall", "offloaded to hardware"), ("network", "mobile lines"), ("wireless", "")] {
            // Root may read every file, but no directory.
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let said = advice();
            let begin = format!("{}: cannot be read: ", path.display());
            let told = said.iter().any(|sentence| sentence.starts_with(&begin) && sentence.contains(want));
            assert_eq!((told, said.len()), (!want.is_empty(), usize::from(!want.is_empty())), "{said:?}");
            std::fs::remove_dir(&path).unwrap();
        }
    }
}
