//! Reads the configuration files. Called at start, on reload, and by `validate`; the library's `settings` says what they mean.

use std::path::Path;

use failoverd::settings::{self, Settings};
use failoverd::uci::{self, UciValue};

/// The settings of a file, or its problems, one line each. Warnings go to the log.
pub(crate) fn load(path: &Path) -> Result<Settings, Vec<String>> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| vec![format!("{name}: cannot be read: {error}")])?;
    match settings::parse(&name, &text) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| log::warn!("{warning}"));
            Ok(loaded.settings)
        }
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

/// Whether the firewall configuration beside ours forwards flows in hardware, past the kernel's counters.
pub(crate) fn hardware_offload(config: &Path) -> bool {
    let Ok(text) = std::fs::read(config.with_file_name("firewall")) else { return false };
    uci::parse(&text).sections.iter().filter(|section| section.kind == "defaults").any(|section| {
        section.options.iter().any(|option| option.name == "flow_offloading_hw" && is_true(&option.value))
    })
}

fn is_true(value: &UciValue) -> bool {
    matches!(value, UciValue::Single(text) if uci::boolean(text) == Some(true))
}
