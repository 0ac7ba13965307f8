//! How a provider's line was: its last single check results, and a day of minutes. In memory alone, and never more than that.
//!
//! Fed by `core` with every finished check and every state; read by ubus `series`, a little at a time.

use crate::moment::Moment;
use crate::sentence::Sentence;

/// Another provider became active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// When.
    pub at: Moment,
    /// The provider before.
    pub from: Option<String>,
    /// The provider now.
    pub to: Option<String>,
    /// Why, for programs.
    pub reason_code: &'static str,
    /// Why, for people.
    pub reason: Sentence,
}
