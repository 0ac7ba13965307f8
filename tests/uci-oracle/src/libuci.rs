//! The real libuci: loads a file and walks what it made of it.

use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;

use libuci_sys::{
    UCI_OK, uci_alloc_context, uci_element, uci_free_context, uci_list, uci_load, uci_option,
    uci_option_type_UCI_TYPE_STRING, uci_package, uci_section, uci_set_confdir, uci_set_savedir,
};

use crate::verdict::{Section, Value, Verdict};

const PACKAGE: &CStr = c"failover";

/// A directory that plays /etc/config.
pub(crate) struct Libuci {
    directory: PathBuf,
}

impl Libuci {
    pub(crate) fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("uci-oracle-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("changes")).unwrap();
        Self { directory }
    }

    /// What libuci makes of `text`.
    pub(crate) fn verdict(&mut self, text: &[u8]) -> Verdict {
        std::fs::write(self.directory.join("failover"), text).unwrap();
        let confdir = CString::new(self.directory.to_str().unwrap()).unwrap();
        let savedir = CString::new(self.directory.join("changes").to_str().unwrap()).unwrap();
        // SAFETY: the context lives from here to its free, within this function; the strings outlive the calls, and libuci
        // copies them. A null context is excluded before use.
        unsafe {
            let context = uci_alloc_context();
            assert!(!context.is_null());
            assert_eq!(uci_set_confdir(context, confdir.as_ptr()), UCI_OK as i32);
            assert_eq!(uci_set_savedir(context, savedir.as_ptr()), UCI_OK as i32);
            let mut package: *mut uci_package = std::ptr::null_mut();
            let result = uci_load(context, PACKAGE.as_ptr(), &mut package);
            let verdict = if result == UCI_OK as i32 && !package.is_null() {
                Verdict::Sections(elements(&raw mut (*package).sections).map(|element| section(element)).collect())
            } else {
                Verdict::Error
            };
            uci_free_context(context);
            verdict
        }
    }
}

impl Drop for Libuci {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The elements of a list; each begins with its list head.
///
/// # Safety
/// `head` is the head of a well-formed libuci list that outlives the iterator.
unsafe fn elements(head: *mut uci_list) -> impl Iterator<Item = *mut uci_element> {
    // SAFETY: by the caller's promise `next` leads around the ring, back to the head.
    let mut at = unsafe { (*head).next };
    std::iter::from_fn(move || {
        if at == head {
            return None;
        }
        let element = at.cast::<uci_element>();
        // SAFETY: as above; `at` is not the head, so it is the first field of an element.
        at = unsafe { (*at).next };
        Some(element)
    })
}

/// # Safety
/// `element` is the first field of a `uci_section`.
unsafe fn section(element: *mut uci_element) -> Section {
    let section = element.cast::<uci_section>();
    // SAFETY: by the caller's promise; options are the elements of the list of that name.
    unsafe {
        let options = elements(&raw mut (*section).options).map(|element| {
            let option = element.cast::<uci_option>();
            let value = if (*option).type_ == uci_option_type_UCI_TYPE_STRING {
                Value::Single(text((*option).v.string))
            } else {
                Value::List(elements(&raw mut (*option).v.list).map(|item| text((*item).name)).collect())
            };
            (text((*element).name), value)
        });
        Section {
            kind: text((*section).type_),
            name: (!(*section).anonymous).then(|| text((*section).e.name)),
            options: options.collect(),
        }
    }
}

/// # Safety
/// `string` is a zero-terminated string.
unsafe fn text(string: *const c_char) -> String {
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
