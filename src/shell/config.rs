//! Reads the configuration files. Called at start, on reload, by `validate`, `init` and the daemon's answers; the library's `settings`
//! says what they mean.

use std::path::Path;

use failoverd::advice::advice;
use failoverd::neighbours::Neighbours;
use failoverd::settings::{self, Problem, Settings};
use failoverd::uci;
use serde_json::{Value, json};

/// No more than a page can send: uhttpd takes 64 kB in one call. The daemon has better things to do than to read a book.
const LONGEST: usize = 64 * 1024;
/// The bytes of sentences in one list of a reply: two such lists fit into a message of ubus.
const LONGEST_LIST: usize = 256 * 1024;

/// A configuration that can be used.
pub(crate) struct Configuration {
    /// What it means.
    pub(crate) settings: Settings,
    /// What is odd in the file itself, a sentence each.
    warnings: Vec<String>,
    /// What the files around it make doubtful, a sentence each.
    pub(crate) advice: Vec<String>,
}

/// Reads a configuration, or its problems, one line each. Warnings about the file itself go to the log.
pub(crate) fn load(path: &Path) -> Result<Configuration, Vec<String>> {
    let read = std::fs::read(path);
    let text = read.map_err(|error| vec![format!("{}: cannot be read: {error}", path.display())])?;
    let judged = judge(path, &text)?;
    judged.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(judged)
}

/// What `text` means as the file `path`, or its problems.
fn judge(path: &Path, text: &[u8]) -> Result<Configuration, Vec<String>> {
    let sentences = |all: &[Problem]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let loaded = settings::parse(&path.display().to_string(), text).map_err(|problems| sentences(&problems))?;
    let advice = advise(path, text, &loaded.settings);
    Ok(Configuration { settings: loaded.settings, warnings: sentences(&loaded.warnings), advice })
}

/// The answer of ubus `validate`: what `failoverd validate` would say of `text` as the file `path`.
pub(crate) fn verdict(path: &Path, text: &str) -> Value {
    let judged = match text.len() {
        0..=LONGEST => judge(path, text.as_bytes()),
        _ => {
            let limit = LONGEST / 1024;
            Err(vec![format!("{}: has more than {limit} kB: only 'failoverd validate' judges that", path.display())])
        }
    };
    let (problems, warnings) = match judged {
        Ok(Configuration { mut warnings, advice, .. }) => {
            warnings.extend(advice);
            (vec![], warnings)
        }
        Err(problems) => (problems, vec![]),
    };
    json!({ "valid": problems.is_empty(), "problems": limited(problems), "warnings": limited(warnings) })
}

/// The first of many sentences, and how many there are more.
fn limited(mut sentences: Vec<String>) -> Vec<String> {
    let mut room = LONGEST_LIST;
    let fits = sentences.iter().take_while(|sentence| {
        // What ubus adds to each.
        let needed = sentence.len() + 16;
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    });
    let (fits, all) = (fits.count(), sentences.len());
    if fits < all {
        sentences.truncate(fits);
        sentences.push(format!("and {} more", all - fits));
    }
    sentences
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
