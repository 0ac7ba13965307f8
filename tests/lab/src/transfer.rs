//! An established TCP connection from the LAN to a peer that sends all the time and hears everything back: whether it
//! stands still, is reset, or loses a byte. Started by `client.rs`; at the other end is an `Echo`.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::error::{During, LabError, Result};
use crate::line::lock;
use crate::namespace::Namespace;
use crate::sys;
use crate::wait::wait_for_some;

/// How far a transfer has come.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Number of the provider it was opened through.
    pub provider: u8,
    /// Numbers (of eight bytes) that have come back, each once, in their order.
    pub echoed: u64,
    /// When the last one came back.
    pub last: Instant,
    /// The longest time between two.
    pub longest_pause: Duration,
    /// When and how the connection ended; none does so by itself.
    pub end: Option<(Instant, ErrorKind)>,
    /// The first number that came back, and should not have: (this, instead of that).
    pub wrong: Option<(u64, u64)>,
}

/// A running transfer; its connection is closed when dropped.
pub struct Transfer {
    progress: Arc<Mutex<Progress>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Numbers sent at once: a thousand bytes.
const AT_ONCE: u64 = 125;

impl Transfer {
    pub(crate) fn start(namespace: &Namespace, server: SocketAddr, interval: Duration) -> Result<Transfer> {
        let operation = format!("open a connection to {server}");
        let open = || {
            let limit = Duration::from_secs(5);
            let mut connection = TcpStream::connect_timeout(&server, limit).during(operation.clone())?;
            connection.set_read_timeout(Some(limit)).during(operation.clone())?;
            connection.set_nodelay(true).during(operation.clone())?;
            let mut provider = [0];
            connection.read_exact(&mut provider).during(operation.clone())?;
            connection.set_nonblocking(true).during(operation.clone())?;
            Ok((connection, provider))
        };
        let (connection, [provider]) = namespace.run(open)?;
        let start = Instant::now();
        let none = Duration::ZERO;
        let progress = Progress { provider, echoed: 0, last: start, longest_pause: none, end: None, wrong: None };
        let progress = Arc::new(Mutex::new(progress));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stop_flag) = (Arc::clone(&progress), Arc::clone(&stop));
        let talk = move || talk(connection, &shared, &stop_flag, interval);
        let thread = std::thread::Builder::new().name("transfer".to_owned()).spawn(talk).during(operation)?;
        Ok(Transfer { progress, stop, thread: Some(thread) })
    }

    /// So far.
    #[must_use]
    pub fn progress(&self) -> Progress {
        lock(&self.progress).clone()
    }

    /// Waits until it goes on: something sent from now on has come back.
    pub fn wait_until_it_goes_on(&self, limit: Duration) -> Result<()> {
        let before = self.progress().echoed;
        let done = wait_for_some(limit, "the transfer to go on", || {
            let progress = self.progress();
            // Twice, as the first may have been on its way.
            (progress.end.is_some() || progress.echoed >= before + 2 * AT_ONCE).then_some(progress)
        });
        match done? {
            (Progress { end: Some((_, kind)), .. }, _) => Err(LabError::new("go on with a transfer", kind)),
            _ => Ok(()),
        }
    }

    /// Waits for its end; when and how that was.
    pub fn wait_for_its_end(&self, limit: Duration) -> Result<(Instant, ErrorKind)> {
        wait_for_some(limit, "the end of a transfer", || self.progress().end).map(|(end, _)| end)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn talk(mut connection: TcpStream, progress: &Mutex<Progress>, stop: &AtomicBool, interval: Duration) {
    let (mut unsent, mut heard) = (Vec::new(), Vec::new());
    let mut buffer = [0; 8192];
    let (mut number, mut next) = (0u64, Instant::now());
    while !stop.load(Ordering::Acquire) {
        let now = Instant::now();
        if now >= next {
            next = now + interval;
            // What is not acknowledged waits; there is no burst to catch up.
            if unsent.is_empty() {
                unsent.extend((number..number + AT_ONCE).flat_map(u64::to_be_bytes));
                number += AT_ONCE;
            }
        }
        // Not even nothing is written without need: that would take the news of a reset away.
        let ended = match if unsent.is_empty() { Ok(0) } else { connection.write(&unsent) } {
            Ok(length) => {
                unsent.drain(..length);
                None
            }
            Err(error) => Some(error.kind()),
        };
        let waited: [&dyn sys::AsRawFdExt; 1] = [&connection];
        let pause = next.saturating_duration_since(Instant::now());
        let Ok(_) = sys::wait_readable(&waited, Some(pause)) else { return };
        let ended = ended.filter(|kind| *kind != ErrorKind::WouldBlock).or(match connection.read(&mut buffer) {
            Ok(0) => Some(ErrorKind::UnexpectedEof),
            Ok(length) => {
                heard.extend_from_slice(buffer.get(..length).unwrap_or_default());
                hear(&mut heard, progress);
                None
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(error.kind()),
        });
        if let Some(kind) = ended {
            lock(progress).end = Some((Instant::now(), kind));
            return;
        }
    }
}

/// Takes whole numbers off what was heard.
fn hear(heard: &mut Vec<u8>, progress: &Mutex<Progress>) {
    let mut progress = lock(progress);
    let now = Instant::now();
    while let Some((bytes, _)) = heard.split_first_chunk::<8>() {
        let number = u64::from_be_bytes(*bytes);
        if number != progress.echoed {
            let wanted = progress.echoed;
            progress.wrong.get_or_insert((number, wanted));
        }
        progress.echoed += 1;
        heard.drain(..8);
    }
    progress.longest_pause = progress.longest_pause.max(now - progress.last);
    progress.last = now;
}
