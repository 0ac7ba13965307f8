//! The router's ubus: the broker of the crate `ubusd` in a thread, which can be stopped, started again, and made to
//! hang. Started by `lab.broker()`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};

use ubusd::{Broker as Ubusd, Config};

use crate::error::{During, LabError, Result};

/// A ubus broker on a socket of its own.
pub struct Broker {
    path: PathBuf,
    acl: Option<PathBuf>,
    running: Option<Running>,
}

struct Running {
    mode: Arc<AtomicU8>,
    thread: Option<std::thread::JoinHandle<()>>,
}

const SERVE: u8 = 0;
const HANG: u8 = 1;
const END: u8 = 2;

/// How often an idle broker looks whether it is to hang or end.
const LOOK_UP_MS: i32 = 20;

impl Broker {
    /// Starts a broker on the socket `path`, whose directory must exist.
    pub fn start(path: &Path) -> Result<Broker> {
        let mut broker = Broker { path: path.to_owned(), acl: None, running: None };
        broker.restart()?;
        Ok(broker)
    }

    /// Starts it again with the access control files of a directory (OpenWrt: /usr/share/acl.d). Without them only root may
    /// do anything.
    pub fn obey(&mut self, acl: &Path) -> Result<()> {
        self.acl = Some(acl.to_owned());
        self.restart()
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it: connections are closed, the socket is gone.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Ends it if it runs, and starts an empty one.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let operation = format!("start a ubus broker on {}", self.path.display());
        let mode = Arc::new(AtomicU8::new(SERVE));
        let thread_mode = Arc::clone(&mode);
        let config = Config {
            socket_path: self.path.to_string_lossy().into_owned(),
            acl_dir: self.acl.as_ref().map(|acl| acl.to_string_lossy().into_owned()),
            ..Config::default()
        };
        let (report, started) = mpsc::channel();
        let serve = move || match Ubusd::bind(config) {
            Ok(mut broker) => {
                _ = report.send(Ok(()));
                run(&mut broker, &thread_mode);
            }
            Err(error) => _ = report.send(Err(error.to_string())),
        };
        let thread = std::thread::Builder::new().name("ubusd".to_owned()).spawn(serve).during(operation.clone())?;
        self.running = Some(Running { mode, thread: Some(thread) });
        let bound = started.recv().during(operation.clone())?;
        bound.map_err(|cause| LabError::new(operation, cause))
    }

    /// Makes it hang: it keeps its connections, the kernel still accepts new ones, nothing is answered. Or wakes it.
    pub fn hang(&self, on: bool) {
        if let Some(running) = &self.running {
            running.set(if on { HANG } else { SERVE });
        }
    }
}

impl Running {
    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.set(END);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn run(broker: &mut Ubusd, mode: &AtomicU8) {
    loop {
        match mode.load(Ordering::Acquire) {
            SERVE => {
                if broker.poll_once(LOOK_UP_MS).is_err() {
                    return;
                }
            }
            HANG => std::thread::park(),
            _ => return,
        }
    }
}
