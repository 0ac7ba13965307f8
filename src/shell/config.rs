//! Reads the configuration files. Called at start, on reload, by `validate` and `init`; the library's `settings` says what they mean.

use std::path::Path;

use failoverd::advice::advice;
use failoverd::neighbours::Neighbours;
use failoverd::settings::{self, Settings};
use failoverd::uci;

/// A configuration that can be used.
pub(crate) struct Configuration {
    /// What it means.
    pub(crate) settings: Settings,
    /// What the files around it make doubtful, a sentence each.
    pub(crate) advice: Vec<String>,
}

/// Reads a configuration, or its problems, one line each. Warnings about the file itself go to the log.
pub(crate) fn load(path: &Path) -> Result<Configuration, Vec<String>> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| vec![format!("{name}: cannot be read: {error}")])?;
    match settings::parse(&name, &text) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| log::warn!("{warning}"));
            let advice = advise(path, &text, &loaded.settings);
            Ok(Configuration { settings: loaded.settings, advice })
        }
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
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
