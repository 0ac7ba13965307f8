//! Puts a file in the place of another in one step, so that a crash leaves the old one or the new one, and never half of either.
//!
//! Used for the state file and by `init` for the configuration.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes `bytes` with these permissions; `settle` may wait until they are on the medium. The temporary file beside it has a name
/// that uci does not take for a configuration.
pub(crate) fn replace(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    settle: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let temporary = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
    // Root writes into the directory of an unprivileged daemon: what lies there, left by another user or put there to lead astray, is
    // never written to.
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| settle(&file))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
