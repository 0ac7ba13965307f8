//! Other tools' configurations to a [`Draft`]: what `failoverd init --from KIND` writes and says. Not built yet.

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
        match self {
            Self::Mwan3 => Some("/etc/config/mwan3"),
            Self::LinuxFailover => None,
            Self::FaultTolerantRouter => Some("/etc/fault_tolerant_router.conf"),
        }
    }
}

/// Translates a file; `path` is for the sentences only.
pub fn import(kind: Kind, path: &str, _text: &[u8]) -> Result<Draft, Vec<String>> {
    Err(vec![format!("{path}: reading a configuration of {} is not built yet", kind.name())])
}
