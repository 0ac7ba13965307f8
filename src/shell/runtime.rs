//! What waits for sockets, signals and time: one runtime per command, on the thread that calls.

use std::io;
use std::pin::{Pin, pin};

use tokio::runtime::Builder;

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut outcome = None;
    // All futures in the guise of one: for each type of its own the runtime would bring its loop anew.
    {
        let future: Pin<&mut dyn Future<Output = ()>> = pin!(async { outcome = Some(future.await) });
        runtime.block_on(future);
    }
    outcome.ok_or_else(|| io::ErrorKind::Interrupted.into())
}
