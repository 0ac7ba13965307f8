//! What can go wrong while building or using a lab. Every fallible function of the crate returns it; tests,
//! demo and bench print it as it is.

use std::fmt;
use std::time::Duration;

/// An operation of the lab that failed: what was tried, on which object, why, and what helps.
#[derive(Clone)]
pub struct LabError {
    operation: String,
    cause: String,
    hint: Option<String>,
}

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, LabError>;

impl LabError {
    /// `operation` names the object too: "add route default via 192.168.1.1 dev wan0".
    pub fn new(operation: impl Into<String>, cause: impl fmt::Display) -> LabError {
        LabError { operation: operation.into(), cause: cause.to_string(), hint: None }
    }

    /// Says what the person in front of it can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> LabError {
        self.hint = Some(hint.into());
        self
    }

    /// Something was waited for and did not happen.
    pub(crate) fn timed_out(what: &str, after: Duration) -> LabError {
        LabError::new(format!("wait for {what}"), format!("not seen within {:.3} s", after.as_secs_f64()))
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.operation, self.cause)?;
        match &self.hint {
            Some(hint) => write!(out, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The same text: `unwrap()` in a test and `main() -> Result` print it, and a person reads it.
impl fmt::Debug for LabError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl std::error::Error for LabError {}

/// `result.during("read /proc/net/route")`: puts the operation in front of a lower error.
pub(crate) trait During<T> {
    /// Names what was being done.
    fn during(self, operation: impl Into<String>) -> Result<T>;
}

impl<T, E: fmt::Display> During<T> for std::result::Result<T, E> {
    fn during(self, operation: impl Into<String>) -> Result<T> {
        self.map_err(|cause| LabError::new(operation, cause))
    }
}
