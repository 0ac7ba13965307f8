//! A network namespace without a name: held by a descriptor alone, so it ends with the process, whatever ends that.
//! `lab.rs` makes one per provider, one for the router, one for the LAN client.

use std::fs::File;
use std::sync::Arc;

use crate::error::{During, LabError, Result};
use crate::sys;

/// A handle to a network namespace; clones refer to the same one.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: Arc<str>,
    handle: Arc<File>,
}

impl Namespace {
    /// Makes an empty namespace: loopback up, IPv6 off (its chatter would only blur counts). The name is for messages.
    pub fn new(name: &str) -> Result<Namespace> {
        let operation = || format!("create network namespace '{name}'");
        // The thread that unshares ends at once: threads of a pool must not be left in a foreign namespace.
        let handle = on_fresh_thread(name, || {
            sys::unshare_network().during(operation())?;
            File::open("/proc/thread-self/ns/net").during(operation())
        })?;
        let namespace = Namespace { name: name.into(), handle: Arc::new(handle) };
        namespace.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1").or_else(ignore_missing)?;
        namespace.set_sysctl("net/ipv6/conf/default/disable_ipv6", "1").or_else(ignore_missing)?;
        namespace.run(|| crate::netlink::Netlink::open()?.set_up("lo", true))?;
        Ok(namespace)
    }

    /// The name given to [`Namespace::new`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The open namespace file.
    pub(crate) fn file(&self) -> &File {
        &self.handle
    }

    /// Runs `work` on a thread of its own inside the namespace. Sockets opened there stay there, so they can be
    /// returned and used from anywhere.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_fresh_thread(&self.name, || {
            self.enter_thread()?;
            work()
        })
    }

    /// Moves the calling thread into the namespace, for good.
    pub(crate) fn enter_thread(&self) -> Result<()> {
        sys::enter_network(&self.handle).during(format!("enter network namespace '{}'", self.name))
    }

    /// Reads a sysctl of this namespace, `net/ipv4/ip_forward` for instance, without its line end.
    pub fn sysctl(&self, key: &str) -> Result<String> {
        let path = format!("/proc/sys/{key}");
        self.run(|| Ok(std::fs::read_to_string(&path).during(format!("read {path}"))?.trim_end().to_owned()))
    }

    /// Writes a sysctl of this namespace.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{key}");
        self.run(|| {
            std::fs::write(&path, value).map_err(|error| {
                let read_only = error.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
                let failure = LabError::new(format!("write {value} to {path}"), error);
                if read_only { failure.with_hint("a container's /proc/sys: docker run --privileged") } else { failure }
            })
        })
    }

    /// The text of a file below /proc/net as this namespace shows it, `route` for instance.
    pub fn proc_net(&self, file: &str) -> Result<String> {
        let path = format!("/proc/thread-self/net/{file}");
        self.run(|| std::fs::read_to_string(&path).during(format!("read {path}")))
    }
}

/// A kernel without IPv6 has no such sysctl.
fn ignore_missing(error: LabError) -> Result<()> {
    if std::path::Path::new("/proc/sys/net/ipv6").exists() { Err(error) } else { Ok(()) }
}

/// Runs `work` on a new thread and waits for it.
fn on_fresh_thread<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(format!("lab {name}"))
            .spawn_scoped(scope, work)
            .during(format!("start a thread for namespace '{name}'"))?;
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
