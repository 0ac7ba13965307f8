//! What the shell's own tests share: network namespaces held by a thread each, a runtime, and `ip` as a second opinion.
//!
//! For an ordinary user the lab, linked in, has put the process into a user namespace before `main`.

#![allow(unsafe_code)]

use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace of its own, alive as long as this value. Threads share none of it by accident: only its own thread is in it.
pub(crate) struct Namespace {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        lab::enter().unwrap();
        let (jobs, inbox) = channel::<Job>();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            // SAFETY: affects this thread alone, which has no network state yet.
            let outcome = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            let error = std::io::Error::last_os_error();
            // SAFETY: no arguments, cannot fail.
            let (process, thread) = (std::process::id(), unsafe { libc::gettid() });
            let path = format!("/proc/{process}/task/{thread}/ns/net");
            tell.send(if outcome == 0 { Ok(path) } else { Err(error) }).unwrap();
            inbox.into_iter().for_each(|job| job());
        });
        let path = told.recv().unwrap().unwrap_or_else(|error| panic!("cannot make a network namespace: {error}"));
        Self { jobs: Some(jobs), thread: Some(thread), path }
    }

    /// A path for `ip link set DEV netns PATH`.
    pub(crate) fn path(&self) -> String {
        self.path.clone()
    }

    /// Runs `job` inside; a panic in it is a panic here.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let job = move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let _ = tell.send(outcome);
        };
        self.jobs.as_ref().unwrap().send(Box::new(job)).unwrap();
        match told.recv().unwrap() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Two uplinks that look the same, each with a machine behind it that answers; returns those machines.
pub(crate) fn twins() -> (Namespace, [Namespace; 2]) {
    let here = Namespace::new();
    let there = ["a", "b"].map(|name| {
        let peer = Namespace::new();
        let (near, far, path) = (format!("wan-{name}"), format!("far-{name}"), peer.path());
        here.run(move || {
            ip(&format!("link add {near} type veth peer name {far}"));
            ip(&format!("link set {far} netns {path}"));
            ip(&format!("addr add 192.168.1.2/24 dev {near}"));
            ip(&format!("link set {near} up"));
        });
        let far = format!("far-{name}");
        peer.run(move || {
            ip("link set lo up");
            ip(&format!("addr add 192.168.1.1/24 dev {far}"));
            ip(&format!("link set {far} up"));
        });
        peer
    });
    here.run(|| {
        for (dev, table) in [("wan-a", 71), ("wan-b", 72)] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{dev}/rp_filter"), "0").unwrap();
            ip(&format!("route add 192.168.1.0/24 dev {dev} table {table}"));
            ip(&format!("rule add oif {dev} lookup {table}"));
        }
    });
    (here, there)
}

/// Runs a future as the daemon would: on one thread.
pub(crate) fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    super::runtime::block_on(future).unwrap()
}

/// Runs iproute2 in the calling thread's namespace and returns what it prints.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A device's index. Asked by a socket, since /sys shows the namespace that mounted it.
pub(crate) fn index(device: &str) -> failoverd::kernel::IfIndex {
    let name = std::ffi::CString::new(device).unwrap();
    // SAFETY: a string that ends with zero, alive during the call.
    let found = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(found, 0, "no device {device}");
    failoverd::kernel::IfIndex(found)
}

thread_local! {
    static LOGGED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

struct Logged;

impl log::Log for Logged {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.with_borrow_mut(|lines| lines.push(format!("{}: {}", record.level(), record.args())));
    }

    fn flush(&self) {}
}

/// What the calling thread has logged since it asked last, from `Info` on. The first call begins it.
pub(crate) fn logged() -> Vec<String> {
    static LOGGER: std::sync::Once = std::sync::Once::new();
    LOGGER.call_once(|| {
        log::set_boxed_logger(Box::new(Logged)).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    LOGGED.take()
}

/// A directory of its own, removed with this value.
pub(crate) struct Directory(std::path::PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("failoverd-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
