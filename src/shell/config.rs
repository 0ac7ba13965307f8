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

/// What the files beside `path` make doubtful about its text.
pub(crate) fn advise(path: &Path, text: &[u8], settings: &Settings) -> Vec<String> {
    let name = path.display().to_string();
    advice(&name, &uci::parse(text), settings, &neighbours(path)).iter().map(ToString::to_string).collect()
}

/// The configuration files beside ours, as far as they can be read.
pub(crate) fn neighbours(config: &Path) -> Neighbours {
    let read = |name: &str| {
        let path = config.with_file_name(name);
        Some((path.display().to_string(), std::fs::read(&path).ok()?))
    };
    let (network, wireless, firewall) = (read("network"), read("wireless"), read("firewall"));
    fn borrowed(read: &Option<(String, Vec<u8>)>) -> Option<(&str, &[u8])> {
        read.as_ref().map(|(path, text)| (path.as_str(), text.as_slice()))
    }
    Neighbours::parse(borrowed(&network), borrowed(&wireless), borrowed(&firewall))
}

/// Whether the firewall configuration beside ours forwards flows in hardware, past the kernel's counters.
pub(crate) fn hardware_offload(config: &Path) -> bool {
    let Ok(text) = std::fs::read(config.with_file_name("firewall")) else { return false };
    let file = uci::parse(&text);
    let mut defaults = file.sections.iter().filter(|section| section.kind == "defaults");
    defaults.any(|section| section.flag("flow_offloading_hw") == Some(true))
}
