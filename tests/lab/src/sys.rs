//! The few system calls that std and socket2 do not offer, each behind a safe function. The only file of the lab with
//! unsafe code apart from `enter.rs`, which runs before main.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Puts the calling thread into a new, empty network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    // SAFETY: no pointers; CLONE_NEWNET concerns the calling thread alone.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}

/// Puts the calling thread into the network namespace behind `namespace`.
pub(crate) fn enter_network(namespace: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as the borrow lasts; setns concerns the calling thread alone.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// What a child does between fork and exec: sees `run_dir` as /var/run and `root` as the root, loses capabilities, dies with
/// its parent thread. Only async-signal-safe calls are made.
pub(crate) struct ChildSetup {
    /// The process that must still be the parent.
    pub(crate) parent: u32,
    /// Path on our side of the directory the child sees as /var/run.
    pub(crate) run_dir: Option<std::ffi::CString>,
    /// Path on our side of the directory that it covers.
    pub(crate) seen_run_dir: std::ffi::CString,
    /// Path on our side of the directory the child sees as the root.
    pub(crate) root: Option<std::ffi::CString>,
    /// Capability numbers the child must not have.
    pub(crate) dropped_capabilities: Vec<u8>,
    /// User and group of the child, and the only capability numbers it may have.
    pub(crate) confined: Option<(u32, Vec<u8>)>,
}

impl ChildSetup {
    /// Hooks the set-up into a command that is about to be spawned.
    pub(crate) fn install(self, command: &mut std::process::Command) {
        use std::os::unix::process::CommandExt;
        // SAFETY: the closure allocates nothing and calls only async-signal-safe functions (apply).
        unsafe { command.pre_exec(move || self.apply()) };
    }

    fn apply(&self) -> io::Result<()> {
        if let Some(run_dir) = &self.run_dir {
            // SAFETY: all strings are NUL-terminated and live across the calls; the process is a fresh child with
            // one thread, whose new mount namespace nobody else sees.
            unsafe {
                checked(libc::unshare(libc::CLONE_NEWNS))?;
                let private = libc::MS_REC | libc::MS_PRIVATE;
                checked(libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()))?;
                let (source, target) = (run_dir.as_ptr(), self.seen_run_dir.as_ptr());
                let bind = libc::MS_BIND | libc::MS_REC;
                checked(libc::mount(source, target, std::ptr::null(), bind, std::ptr::null()))?;
            }
        }
        for capability in &self.dropped_capabilities {
            // SAFETY: prctl with integer arguments.
            checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(*capability), 0, 0, 0) })?;
        }
        if let Some(root) = &self.root {
            // SAFETY: both strings are NUL-terminated and live across the calls.
            unsafe {
                checked(libc::chroot(root.as_ptr()))?;
                checked(libc::chdir(c"/".as_ptr()))?;
            }
        }
        if let Some((id, capabilities)) = &self.confined {
            confine(*id, capabilities)?;
        }
        // Last: a change of the user takes the signal away again.
        // SAFETY: prctl with integer arguments and getppid, no pointers.
        let orphaned = unsafe {
            checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            libc::getppid() as u32 != self.parent
        };
        if orphaned {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    }
}

/// Gives the calling process, which has one thread, another user and only these capabilities, for good.
fn confine(id: u32, capabilities: &[u8]) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    /// More than any kernel has.
    const CAPABILITIES: u8 = 64;
    // SAFETY: integer arguments; setgroups reads no list of length 0.
    unsafe {
        for capability in (0..CAPABILITIES).filter(|number| !capabilities.contains(number)) {
            let number = libc::c_ulong::from(capability);
            if libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) == 1 {
                checked(libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0))?;
            }
        }
        checked(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        if id != 0 {
            checked(libc::setgroups(0, std::ptr::null()))?;
        }
        checked(libc::setresgid(id, id, id))?;
        checked(libc::setresuid(id, id, id))?;
    }
    let low = capabilities.iter().filter(|number| **number < 32).fold(0, |set, number| set | 1u32 << number);
    let mut header = Header { version: VERSION_3, pid: 0 };
    let data = [
        Data { effective: low, permitted: low, inheritable: low },
        Data { effective: 0, permitted: 0, inheritable: 0 },
    ];
    // SAFETY: header and data have the layout of version 3 of capset and live across the call; prctl has integer arguments.
    unsafe {
        checked(libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) as libc::c_int)?;
        for capability in capabilities {
            let number = libc::c_ulong::from(*capability);
            checked(libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0))?;
        }
        checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
    }
    Ok(())
}

/// Sends a signal to one process we started.
pub(crate) fn kill(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: integer arguments; pid is a child not yet waited for (Process guards that), so it is no stranger.
    checked(unsafe { libc::kill(pid as libc::pid_t, signal) }).map(drop)
}

/// Clock ticks per second in /proc/PID/stat.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: sysconf has no memory arguments.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// Takes an exclusive lock on an open directory without waiting; `false` if somebody holds it.
pub(crate) fn lock_exclusively(directory: &File) -> bool {
    // SAFETY: the descriptor is open for as long as the borrow lasts.
    unsafe { libc::flock(directory.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// An eventfd: a wake-up that poll can wait for.
pub(crate) fn event_fd() -> io::Result<File> {
    // SAFETY: integer arguments; on success the descriptor is new and ours.
    unsafe {
        let fd = checked(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// Waits until one of `fds` is readable (or in error) or `timeout` has passed; says which are.
pub(crate) fn wait_readable(fds: &[&dyn AsRawFdExt], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.raw(), events: libc::POLLIN, revents: 0 }).collect();
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().min(1 << 30) as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `polled` and `limit` live across the call and the count is the vector's; no signal mask is given.
    let result = unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit, std::ptr::null()) };
    match checked(result) {
        Ok(_) => Ok(polled.iter().map(|entry| entry.revents != 0).collect()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(vec![false; fds.len()]),
        Err(error) => Err(error),
    }
}

/// Anything with a descriptor; lets one poll wait for sockets and files together.
pub(crate) trait AsRawFdExt {
    /// The descriptor, valid while `self` is borrowed.
    fn raw(&self) -> i32;
}

impl<T: AsFd> AsRawFdExt for T {
    fn raw(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }
}

/// Bytes before each frame of a packet socket, both ways: struct virtio_net_hdr, what the kernel has left to be done by
/// hardware. Passed on with a frame they spare checksums and segmentation; all zero, there is nothing left to do.
pub(crate) const OFFLOAD: usize = 10;

/// `PACKET_VNET_HDR` of linux/if_packet.h.
const PACKET_VNET_HDR: libc::c_int = 15;

/// A packet socket for all incoming frames of one device, in the calling thread's namespace.
pub(crate) fn packet_socket(ifindex: u32) -> io::Result<Socket> {
    let all = (libc::ETH_P_ALL as u16).to_be();
    // Protocol 0 at first: nothing is received before the socket is bound to its device.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    let on: libc::c_int = 1;
    // Without a queue in between nothing is dropped while the kernel gets around to noticing the carrier.
    for option in [libc::PACKET_IGNORE_OUTGOING, libc::PACKET_QDISC_BYPASS, PACKET_VNET_HDR] {
        // SAFETY: the option value is an int that lives across the call, and its size is given.
        checked(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                std::ptr::from_ref(&on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        })?;
    }
    // SAFETY: the storage is zeroed and large enough for sockaddr_ll, which is plain data; the length is set to match.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as u16;
            (*link).sll_protocol = all;
            (*link).sll_ifindex = ifindex as libc::c_int;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    socket.bind(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Receives one datagram or frame without waiting; `None` when there is none.
pub(crate) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    use std::io::Read;
    let mut reader = socket;
    match reader.read(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long ago the kernel received what was read last from a packet socket; asking once makes it stamp what follows.
pub(crate) fn age_of_last(socket: &Socket) -> Option<Duration> {
    /// `SIOCGSTAMPNS_OLD` of asm/sockios.h.
    const STAMP: libc::Ioctl = 0x8907;
    let mut stamp = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives across the call and is the one this request fills.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), STAMP, &raw mut stamp) }).ok()?;
    let stamp = Duration::new(u64::try_from(stamp.tv_sec).ok()?, u32::try_from(stamp.tv_nsec).ok()?);
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH + stamp).ok()
}

/// A path as a C string.
pub(crate) fn c_path(path: &Path) -> io::Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::CString::new(path.as_os_str().as_bytes())?)
}

/// Write end of the pipe the signal handler writes to.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(signal: libc::c_int) {
    let byte = signal as u8;
    // SAFETY: write is async-signal-safe; the byte lives across the call; the pipe is never closed.
    _ = unsafe { libc::write(SIGNAL_PIPE.load(Ordering::Relaxed), std::ptr::from_ref(&byte).cast(), 1) };
}

/// Has SIGINT, SIGTERM and SIGHUP, where nobody handles or ignores them, written as bytes to the returned pipe instead
/// of ending the process.
pub(crate) fn catch_ending_signals() -> io::Result<File> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both descriptors; on success they are new, and the read end becomes ours.
    let read = unsafe {
        checked(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        let [read, write] = ends;
        SIGNAL_PIPE.store(write, Ordering::Relaxed);
        File::from_raw_fd(read)
    };
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: zeroed sigaction is a valid value; both structures live across the calls; the handler makes one
        // async-signal-safe call.
        unsafe {
            let mut old: libc::sigaction = std::mem::zeroed();
            checked(libc::sigaction(signal, std::ptr::null(), &raw mut old))?;
            if old.sa_sigaction == libc::SIG_DFL {
                let mut new: libc::sigaction = std::mem::zeroed();
                new.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
                new.sa_flags = libc::SA_RESTART;
                checked(libc::sigaction(signal, &raw const new, std::ptr::null_mut()))?;
            }
        }
    }
    Ok(read)
}

/// Ends the process as the signal would have done.
pub(crate) fn end_by_signal(signal: i32) {
    // SAFETY: integer arguments; the default action of the signal ends the process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
}
