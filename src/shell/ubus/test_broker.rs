//! The broker crate `ubusd`, another implementation of the protocol, in a thread of the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A directory of its own for each test, gone with it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("failoverd-ubus-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("ubus.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The broker in a thread; dropping it closes all connections, as a restart does.
pub(crate) struct Broker {
    stop: Arc<AtomicBool>,
    hang: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    pub(crate) fn start(place: &Place) -> Self {
        let config = ubusd::Config {
            socket_path: place.socket().to_str().unwrap().to_owned(),
            // So that the tests also work for users other than root.
            peer_uid_override: Some(0),
            ..ubusd::Config::default()
        };
        let mut broker = ubusd::Broker::bind(config).unwrap();
        let (stop, hang) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let flags = (stop.clone(), hang.clone());
        let thread = std::thread::spawn(move || {
            while !flags.0.load(Ordering::Relaxed) {
                if flags.1.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(2));
                } else {
                    broker.poll_once(2).unwrap();
                }
            }
        });
        Self { stop, hang, thread: Some(thread) }
    }

    pub(crate) fn hang(&self, hang: bool) {
        self.hang.store(hang, Ordering::Relaxed);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
