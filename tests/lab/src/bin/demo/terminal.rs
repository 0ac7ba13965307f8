//! The terminal: its size, a line drawn over the last ones, keys without Enter; and that it is put back as it was
//! however the demo ends. Used by `screen.rs` and `live.rs`.
#![allow(unsafe_code)]

use std::io::IsTerminal;
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const STDIN: RawFd = libc::STDIN_FILENO;
const STDOUT: RawFd = libc::STDOUT_FILENO;

const HIDE_CURSOR: &[u8] = b"\x1b[?25l";
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";

/// What has to be put back. `None`: nothing has been changed, or it has been put back.
static CHANGED: Mutex<Option<Changed>> = Mutex::new(None);

struct Changed {
    keyboard: Option<libc::termios>,
}

/// A terminal in use; put back when dropped, and before a panic or a signal ends the process.
pub(crate) struct Terminal {
    pub(crate) colour: bool,
}

impl Terminal {
    /// `None` if the output is for a file, a pipe, or a terminal that cannot move its cursor.
    pub(crate) fn take() -> Option<Terminal> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if dumb || !std::io::stdout().is_terminal() {
            return None;
        }
        *changed() = Some(Changed { keyboard: None });
        write_all(HIDE_CURSOR);
        lab::at_signal(|| {
            write_all(b"\n");
            put_back();
        });
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            put_back();
            hook(panic);
        }));
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Some(Terminal { colour: !unwanted })
    }

    /// Columns and rows, as they are now.
    pub(crate) fn size(&self) -> (usize, usize) {
        // SAFETY: winsize is plain data that may be zero, and lives across the call that fills it.
        let size = unsafe {
            let mut size: libc::winsize = std::mem::zeroed();
            libc::ioctl(STDOUT, libc::TIOCGWINSZ, &raw mut size);
            size
        };
        let or = |value: u16, usual: usize| if value == 0 { usual } else { usize::from(value) };
        (or(size.ws_col, 80), or(size.ws_row, 24))
    }

    /// Writes, unless the terminal has been put back already.
    pub(crate) fn write(&self, text: &str) {
        let changed = changed();
        if changed.is_some() {
            write_all(text.as_bytes());
        }
    }

    /// From now on keys arrive one by one and are not shown. Ctrl-C stays a signal. `false` without a keyboard.
    pub(crate) fn read_keys(&self) -> bool {
        // SAFETY: termios is plain data that may be zero, and lives across the calls.
        unsafe {
            let mut found: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(STDIN, &raw mut found) != 0 {
                return false;
            }
            if let Some(changed) = changed().as_mut() {
                changed.keyboard = Some(found);
            }
            let mut single = found;
            single.c_lflag &= !(libc::ICANON | libc::ECHO);
            libc::tcsetattr(STDIN, libc::TCSANOW, &raw const single) == 0
        }
    }

    /// The next key, if one is pressed before `patience` ends.
    pub(crate) fn key(&self, patience: Duration) -> Key {
        let mut polled = libc::pollfd { fd: STDIN, events: libc::POLLIN, revents: 0 };
        let milliseconds = libc::c_int::try_from(patience.as_millis()).unwrap_or(libc::c_int::MAX);
        let mut key = 0u8;
        // SAFETY: one pollfd and one byte, which live across the calls, with their counts.
        let length = unsafe {
            if libc::poll(&raw mut polled, 1, milliseconds) <= 0 {
                return Key::None;
            }
            libc::read(STDIN, (&raw mut key).cast(), 1)
        };
        if length == 1 { Key::Pressed(key) } else { Key::Gone }
    }
}

/// What the keyboard has to say.
pub(crate) enum Key {
    None,
    Pressed(u8),
    /// There will be no more keys.
    Gone,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        put_back();
    }
}

fn changed() -> std::sync::MutexGuard<'static, Option<Changed>> {
    CHANGED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put_back() {
    let Some(found) = changed().take() else { return };
    if let Some(keyboard) = found.keyboard {
        // SAFETY: the settings were filled by tcgetattr and live across the call.
        unsafe { libc::tcsetattr(STDIN, libc::TCSANOW, &raw const keyboard) };
    }
    write_all(SHOW_CURSOR);
}

/// Not through std's stdout: its lock may be held by a thread that panics or is cut short by a signal.
fn write_all(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the buffer lives across the call, and its length is given.
        let written = unsafe { libc::write(STDOUT, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => bytes = bytes.get(written..).unwrap_or_default(),
            _ if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            // A terminal that is gone: nobody is left to see it.
            _ => return,
        }
    }
}
