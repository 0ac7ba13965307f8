//! `init`: gathers what is known of the router's lines, and writes what the library makes of it.
//!
//! Called by `cli`; the WANs are found by the library's `init`, other tools' files translated by its `import`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use failoverd::draft::{self, Draft, Merged, Refusal};
use failoverd::import::import;
use failoverd::init::{Facts, default_devices};
use failoverd::netifd::{Interface, interfaces};
use failoverd::settings::LogLevel;
use serde_json::Map;

use super::{Exit, InitOptions, complain, complain_raw, print, unable};
use crate::shell::config;
use crate::shell::logging::{self, Destination};
use crate::shell::netlink::Kernel;
use crate::shell::replace::replace;
use crate::shell::runtime::block_on;
use crate::shell::ubus::NETIFD;
use crate::shell::ubus::client::call;

/// netifd answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds or translates, writes, and tells.
pub(super) fn init(options: &InitOptions) -> Exit {
    logging::start(Destination::Stderr, LogLevel::Error);
    match draft(options) {
        Ok(draft) => write(options, &draft),
        Err(sentences) => {
            sentences.iter().for_each(|sentence| complain(sentence));
            Exit::NotFine
        }
    }
}

fn draft(options: &InitOptions) -> Result<Draft, Vec<String>> {
    if let Some((kind, file)) = &options.from {
        let path = file.display().to_string();
        let text = fs::read(file).map_err(|error| vec![format!("{path}: cannot be read: {error}")])?;
        return import(*kind, &path, &text);
    }
    let (interfaces, default_devices) = ask(&options.socket).map_err(|error| vec![error])?;
    let neighbours = config::neighbours(&options.config);
    failoverd::init::draft(Facts {
        interfaces: interfaces.as_deref(),
        neighbours: Some(&neighbours),
        default_devices: &default_devices,
    })
}

/// netifd's interfaces, if it can be asked, and the devices of the kernel's default routes.
fn ask(socket: &Path) -> Result<(Option<Vec<Interface>>, Vec<String>), String> {
    let asked = block_on(async {
        let told = call(socket, NETIFD, "dump", &Map::new(), PATIENCE).await;
        told.ok().and_then(|answer| answer.as_object().map(interfaces))
    });
    let seen = Kernel::new().and_then(|mut kernel| kernel.snapshot(&[]));
    let devices = seen.map(|snapshot| default_devices(&snapshot)).unwrap_or_default();
    asked.map(|interfaces| (interfaces, devices)).map_err(|error| unable(&error))
}

/// Puts the draft into the file, or shows it.
fn write(options: &InitOptions, draft: &Draft) -> Exit {
    let path = options.config.display().to_string();
    let existing = match fs::read(&options.config) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            complain_raw(&format!("{path}: cannot be read: {error}"));
            return Exit::NotFine;
        }
    };
    let Merged { text, settings } = match draft::merge(&path, &existing, draft, options.force || options.dry_run) {
        Ok(merged) => merged,
        Err(refusal) => {
            complain_raw(&refusal.to_string());
            return if matches!(refusal, Refusal::Problems(_)) { Exit::Usage } else { Exit::NotFine };
        }
    };
    let mut report = String::new();
    draft.decisions.iter().for_each(|sentence| report += &format!("{sentence}\n"));
    draft.left_out.iter().for_each(|sentence| report += &format!("left out: {sentence}\n"));
    let advice = config::advise(&options.config, &text, &settings);
    advice.iter().for_each(|sentence| report += &format!("warning: {sentence}\n"));
    if options.dry_run {
        print(&draft.text());
        complain_raw(report.trim_end());
        return Exit::Fine;
    }
    if let Err(error) = put(&options.config, &text) {
        complain_raw(&format!("{path}: cannot be written, it is as it was: {error}"));
        return Exit::NotFine;
    }
    let next = "'failoverd reload' makes a running failoverd use it, '/etc/init.d/failover start' starts it";
    print(&format!("{report}written to {path}; {next}\n"));
    Exit::Fine
}

/// The file keeps its permissions; where a link leads to it, it stays there.
fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&path).map_or(0o644, |known| known.permissions().mode() & 0o7777);
    replace(&path, text, mode, File::sync_all)
}
