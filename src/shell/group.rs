//! A program in a process group of its own, so that it can be killed together with all that it has started.
//!
//! Used by `exec` for the scripts of tests, by `hotplug` for those in /etc/hotplug.d/failover, and by `nft`.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

/// The program that leads the group.
#[derive(Debug)]
pub(crate) struct Group(Child);

impl Group {
    /// Starts it, with nothing to read. Where its output goes has been said.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        Self::start_with(command, Stdio::null())
    }

    /// Starts it, with this to read.
    pub(crate) fn start_with(command: &mut Command, input: Stdio) -> io::Result<Self> {
        command.stdin(input).process_group(0).spawn().map(Self)
    }

    /// How the program has ended, without waiting for it. What it has left in the background lives on.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// How the program has ended, without waiting for it; what it has left in the background is killed.
    pub(crate) fn finished(&mut self) -> Option<io::Result<ExitStatus>> {
        let mut about = MaybeUninit::<libc::siginfo_t>::zeroed();
        let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: `about` may be written to, and is zero where the kernel leaves it alone.
        let (outcome, about) =
            unsafe { (libc::waitid(libc::P_PID, self.0.id(), about.as_mut_ptr(), how), about.assume_init()) };
        if outcome != 0 {
            return Some(Err(io::Error::last_os_error()));
        }
        // SAFETY: the number of the child that has ended, which is what was asked for; zero if it has not.
        if unsafe { about.si_pid() } == 0 {
            return None;
        }
        self.kill();
        Some(self.0.wait())
    }

    /// Kills them all.
    pub(crate) fn kill(&self) {
        let group = i32::try_from(self.0.id()).unwrap_or(0);
        if group > 0 {
            // SAFETY: no pointers. Nobody has waited for the leader's end yet, so its number, and with it the group's, is nobody else's.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }

    /// Waits for the program's end.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}
