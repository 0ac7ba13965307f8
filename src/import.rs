//! Other tools' configurations to a [`Draft`]: what `failoverd init --from KIND` writes and says.
//!
//! Fed with a file by the shell. Nothing of it is executed, and what has no counterpart is listed with its line. One file per
//! tool reads it into lines with rank, weight and targets (`line`), which become providers and tests (`providers`, `targets`).

mod fault_tolerant_router;
mod line;
mod linux_failover;
mod mwan3;
mod notes;
mod providers;
mod python;
mod targets;
mod yaml;

pub use fault_tolerant_router::fault_tolerant_router;
pub use linux_failover::linux_failover;
pub use mwan3::mwan3;

use crate::draft::Draft;

/// A tool whose configuration can be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// OpenWrt's mwan3, from version 2.
    Mwan3,
    /// The Python program linux_failover.
    LinuxFailover,
    /// The Ruby gem fault_tolerant_router, version 1.
    FaultTolerantRouter,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mwan3, Self::LinuxFailover, Self::FaultTolerantRouter];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mwan3 => "mwan3",
            Self::LinuxFailover => "linux_failover",
            Self::FaultTolerantRouter => "fault_tolerant_router",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Where the tool keeps its configuration, if it has such a place.
    pub fn default_file(self) -> Option<&'static str> {
        Some(match self {
            Self::Mwan3 => "/etc/config/mwan3",
            Self::LinuxFailover => "/etc/failover/config.py",
            Self::FaultTolerantRouter => "/etc/fault_tolerant_router.conf",
        })
    }
}

/// Translates a file; `path` is for the sentences only. The draft's text is accepted by `settings::parse`; without a line
/// that can be translated there is none, and the sentences say why.
pub fn import(kind: Kind, path: &str, text: &[u8]) -> Result<Draft, Vec<String>> {
    match kind {
        Kind::Mwan3 => mwan3(path, text),
        Kind::LinuxFailover => linux_failover(path, text),
        Kind::FaultTolerantRouter => fault_tolerant_router(path, text),
    }
}

/// Translates any bytes as each kind; the result must be accepted. For fuzzing and the replay of its corpus.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    for kind in Kind::ALL {
        match import(kind, "file", bytes) {
            Ok(draft) => {
                let loaded = crate::settings::parse("draft", draft.text().as_bytes());
                assert!(loaded.is_ok(), "{}: {loaded:?}\n{}", kind.name(), draft.text());
            }
            Err(sentences) => assert!(!sentences.is_empty(), "{}: refused without a reason", kind.name()),
        }
    }
}
