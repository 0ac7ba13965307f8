//! Lets an ordinary user build namespaces. A constructor runs before main, while the process has one thread, and puts
//! it into a user namespace of its own if it may not build network namespaces as it is. So every program that links
//! the lab - test binary, demo, bench - works as root and as anybody, with nothing to remember. The network namespace
//! of the process stays the host's, where it has no rights; `Lab::new` asks here whether all went well.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use crate::error::{LabError, Result};

/// What the constructor did.
const NOT_RUN: u8 = 0;
const NOT_NEEDED: u8 = 1;
const ENTERED: u8 = 2;
const REFUSED_UNSHARE: u8 = 3;
const REFUSED_MAP: u8 = 4;
const REFUSED_USE: u8 = 5;

static OUTCOME: AtomicU8 = AtomicU8::new(NOT_RUN);
static ERRNO: AtomicI32 = AtomicI32::new(0);

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    OUTCOME.store(enter_user_namespace(), Ordering::Relaxed);
}

/// Only system calls in here: the Rust runtime has not been set up yet.
fn enter_user_namespace() -> u8 {
    if may_build_namespaces() {
        return NOT_NEEDED;
    }
    // SAFETY: getuid and getgid have no arguments; unshare concerns this process, which has one thread.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
        return refused(REFUSED_UNSHARE);
    }
    let mapped = write_file(c"/proc/self/setgroups", b"deny")
        && write_map(c"/proc/self/gid_map", gid)
        && write_map(c"/proc/self/uid_map", uid);
    if !mapped {
        return refused(REFUSED_MAP);
    }
    // AppArmor lets the namespace be made and then takes its capabilities away: try one.
    // SAFETY: integer argument; a mount namespace of our own changes nothing we see.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return refused(REFUSED_USE);
    }
    ENTERED
}

fn refused(outcome: u8) -> u8 {
    ERRNO.store(std::io::Error::last_os_error().raw_os_error().unwrap_or(0), Ordering::Relaxed);
    outcome
}

/// CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN are what building a lab takes.
fn may_build_namespaces() -> bool {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const NEEDED: u32 = 1 << 12 | 1 << 13 | 1 << 21;
    let mut header = Header { version: 0x2008_0522, pid: 0 };
    let mut data = [Data { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: header and data have the layout of version 3 of capget and live across the call.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    let [low, _high] = data;
    result == 0 && low.effective & NEEDED == NEEDED
}

fn write_file(path: &std::ffi::CStr, text: &[u8]) -> bool {
    // SAFETY: the path is NUL-terminated, the buffer's length is its own; the descriptor is closed on every path.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let error = *libc::__errno_location();
        libc::close(fd);
        *libc::__errno_location() = error;
        written == text.len() as isize
    }
}

/// `0 ID 1`, written without the allocator.
fn write_map(path: &std::ffi::CStr, id: u32) -> bool {
    let mut line = *b"0 ..........";
    let mut rest = id;
    for digit in line.iter_mut().skip(2).rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut text = [0u8; 14];
    for (to, from) in text.iter_mut().zip(line.iter().chain(b" 1")) {
        *to = *from;
    }
    write_file(path, &text)
}

/// Says whether this process can build labs, and if not, in one line, what the kernel refuses and what helps. Programs
/// call it at the start of main to fail early; `Lab::new` calls it anyway.
pub fn enter() -> Result<()> {
    let cause = std::io::Error::from_raw_os_error(ERRNO.load(Ordering::Relaxed));
    let (operation, hint) = match OUTCOME.load(Ordering::Relaxed) {
        NOT_NEEDED | ENTERED => return Ok(()),
        NOT_RUN => {
            return Err(LabError::new("enter the lab", "the program was linked without the lab's constructor"));
        }
        REFUSED_UNSHARE => ("create a user namespace", refusing_switch()),
        REFUSED_MAP => ("map this user into a user namespace", refusing_switch()),
        _ => ("use a user namespace", refusing_switch()),
    };
    Err(LabError::new(operation, cause).with_hint(format!("{hint}; or run as root")))
}

/// True if the process runs in a user namespace made for it, and not with the rights it was started with.
#[must_use]
pub fn is_unprivileged() -> bool {
    OUTCOME.load(Ordering::Relaxed) == ENTERED
}

/// The sysctl that stands in the way, as far as it can be told.
fn refusing_switch() -> &'static str {
    let is = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "sysctl -w kernel.unprivileged_userns_clone=1"
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        "sysctl -w user.max_user_namespaces=10000"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    } else {
        "a container's seccomp profile may forbid it: docker run --privileged"
    }
}
