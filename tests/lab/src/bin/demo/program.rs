//! Where failoverd comes from: built by the cargo that runs the demo, beside the demo's own program. Used by `main.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{LabError, Result};

/// Builds failoverd if cargo runs us, and says where it is.
pub(crate) fn failoverd() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|error| LabError::new("find the demo's own program", error))?;
    let program = own.with_file_name("failoverd");
    if let (Some(cargo), Some(package)) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR")) {
        let status = Command::new(cargo)
            .args(["build", "--package", "failoverd", "--bin", "failoverd", "--profile", profile(&own)])
            // The package's directory, so that it is this workspace wherever the demo is started.
            .current_dir(package)
            .status()
            .map_err(|error| LabError::new("run cargo", error))?;
        if !status.success() {
            return Err(LabError::new("build failoverd", format!("cargo says why above ({status})")));
        }
    }
    match program.is_file() {
        true => Ok(program),
        false => Err(LabError::new("find failoverd", format!("not at {}", program.display()))
            .with_hint("'cargo demo' builds it")),
    }
}

/// The profile the demo was built with: its directory has that name, but for `dev`.
fn profile(own: &Path) -> &str {
    match own.parent().and_then(Path::file_name).and_then(std::ffi::OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    }
}
