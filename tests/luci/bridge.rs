//! What stands between the browser and the lab: serves the app's files as they are, the pages around them as LuCI's dispatcher does, and
//! carries LuCI's JSON-RPC to the lab's broker.
//!
//! * `http.rs`, `frame.rs` and `rpc.rs` are uhttpd, `access.rs`, `rpcd.rs`, `uci.rs` and `document.rs` are rpcd, `site.rs` is LuCI's
//!   dispatcher, `po.rs` its translations, `ubus.rs` the way to the broker.
//! * It counts what it is asked, since the pages promise to ask little.

pub(crate) mod access;
mod document;
mod frame;
pub(crate) mod http;
mod po;
mod rpc;
mod rpcd;
mod site;
mod ubus;
mod uci;

use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use access::{Access, User};
use frame::Arguments;
use http::{Request, Response};
use rpcd::{Answer, NO_METHOD, NOT_FOUND};
use uci::Uci;

/// How rpcd (and with it uhttpd's answer to calls) behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rpcd {
    /// As it should.
    Fine,
    /// Calls are not answered for as long as this lasts.
    Silent,
    /// It does not run: nothing is allowed, its own objects are not there.
    Gone,
}

/// One request to /ubus.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// `failover.status`, in their order.
    pub(crate) calls: Vec<String>,
    /// What the reply's body came to.
    pub(crate) reply_bytes: usize,
}

/// The server; closed when dropped.
pub(crate) struct Bridge {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    broker: PathBuf,
    /// Packages: directories with `htdocs` and `root` as in LuCI's repository; the first one that has a file wins.
    packages: Vec<PathBuf>,
    access: Access,
    uci: Mutex<Uci>,
    rpcd: Mutex<Rpcd>,
    /// The language and its file of translations.
    language: Mutex<Option<(String, PathBuf)>>,
    exchanges: Mutex<Vec<Exchange>>,
    /// `failover.status`, and what it is answered with in place of the daemon's own answer.
    fixed: Mutex<Vec<(String, Value)>>,
    ending: AtomicBool,
}

impl Bridge {
    /// Serves the app and these further packages, over the broker and the configuration files of a lab.
    pub(crate) fn start(broker: &Path, etc: &Path, further: &[PathBuf]) -> Bridge {
        let packages = site::packages(further);
        let shared = Arc::new(Shared {
            broker: broker.to_owned(),
            access: Access::read(&site::files(&packages, "root/usr/share/rpcd/acl.d")),
            packages,
            uci: Mutex::new(Uci::new(etc)),
            rpcd: Mutex::new(Rpcd::Fine),
            language: Mutex::new(None),
            exchanges: Mutex::new(Vec::new()),
            fixed: Mutex::new(Vec::new()),
            ending: AtomicBool::new(false),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Arc::clone(&shared);
        let accept = move || {
            for stream in listener.incoming().flatten() {
                if accepting.ending.load(Ordering::Acquire) {
                    return;
                }
                let serving = Arc::clone(&accepting);
                _ = std::thread::Builder::new().name("bridge".to_owned()).spawn(move || serving.serve(stream));
            }
        };
        let thread = std::thread::Builder::new().name("bridge".to_owned()).spawn(accept).unwrap();
        Bridge { address, shared, thread: Some(thread) }
    }

    /// The address of a page (`admin/status/failover`), for somebody who is logged in.
    pub(crate) fn url(&self, user: User, page: &str) -> String {
        format!("http://{}/cgi-bin/luci/{page}?as={}", self.address, user.name())
    }

    /// From now on pages are in this language, by the translations in a .po file.
    pub(crate) fn language(&self, name: &str, po: &Path) {
        *lock(&self.shared.language) = Some((name.to_owned(), po.to_owned()));
    }

    /// How rpcd behaves from now on.
    pub(crate) fn rpcd(&self, how: Rpcd) {
        *lock(&self.shared.rpcd) = how;
    }

    /// From now on a call (`failover.status`) is answered with this: for what no lab can bring about in a test's time.
    pub(crate) fn fix(&self, call: &str, answer: Value) {
        let mut fixed = lock(&self.shared.fixed);
        fixed.retain(|(name, _)| name != call);
        fixed.push((call.to_owned(), answer));
    }

    /// The requests to /ubus since the last time this was asked.
    pub(crate) fn take_exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut *lock(&self.shared.exchanges))
    }

    /// A call without a browser; the frame of the reply.
    pub(crate) fn call(&self, user: User, object: &str, method: &str, arguments: &Value) -> Value {
        let params = json!([user.session(), object, method, arguments]);
        self.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "call", "params": params }))
    }

    /// Sends a body to /ubus.
    pub(crate) fn post(&self, body: &Value) -> Value {
        self.post_text(&body.to_string())
    }

    /// The same for one whose order matters.
    pub(crate) fn post_text(&self, body: &str) -> Value {
        let (status, reply) = self.ask("POST", "/ubus/", Some(body));
        assert_eq!(status, 200);
        serde_json::from_str(&reply).unwrap()
    }

    /// What a page of the menu is answered with, without a browser.
    pub(crate) fn fetch(&self, user: User, page: &str) -> (u16, String) {
        self.ask("GET", &format!("/cgi-bin/luci/{page}?as={}", user.name()), None)
    }

    /// What rpcd does when an apply is not confirmed in time.
    pub(crate) fn roll_back(&self) {
        self.shared.uci(Some(User::Admin), "rollback", &Arguments::none()).unwrap();
    }

    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
        let (status, reply) = http::ask(self.address, method, path, body, Duration::from_secs(15)).unwrap();
        (status, String::from_utf8(reply).unwrap())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Shared {
    /// One connection, until the browser closes it.
    fn serve(&self, mut stream: TcpStream) {
        _ = stream.set_nodelay(true);
        let Ok(copy) = stream.try_clone() else { return };
        let mut reader = BufReader::new(copy);
        while let Ok(Some(request)) = Request::read(&mut reader) {
            let response = match request.path.strip_prefix("/ubus") {
                Some("" | "/") if request.method == "POST" => self.ubus(&request.body),
                _ => self.page(&request),
            };
            if response.write(&mut stream).is_err() {
                return;
            }
        }
    }

    fn ubus(&self, body: &[u8]) -> Response {
        let mut calls = Vec::new();
        while self.rpcd() == Rpcd::Silent && !self.ending.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let body = rpc::answer(self, body, &mut calls).to_string();
        lock(&self.exchanges).push(Exchange { calls, reply_bytes: body.len() });
        Response::new(200, "application/json", body)
    }

    fn fixed(&self, call: &str) -> Option<Value> {
        lock(&self.fixed).iter().find(|(name, _)| name == call).map(|(_, answer)| answer.clone())
    }

    fn rpcd(&self) -> Rpcd {
        *lock(&self.rpcd)
    }

    /// The object `uci`. What is written is reloaded, as procd does it.
    fn uci(&self, user: Option<User>, method: &str, arguments: &Arguments) -> Answer {
        let (answer, written) = lock(&self.uci).call(&self.access, user, method, arguments);
        if written.iter().any(|config| config == "failover")
            && let Ok(mut bus) = ubus::Ubus::connect(&self.broker)
            && let Some(daemon) = bus.find("failover")
        {
            // A daemon that refuses the file says so in its status.
            _ = bus.call(daemon, "reload", &serde_json::Map::new());
        }
        answer
    }

    /// `file list`: what the packages have at a path of the router's.
    fn list(&self, path: &str) -> Result<Value, i32> {
        let inside = path.strip_prefix("/www/").ok_or(NOT_FOUND)?;
        let files = site::files(&self.packages, &format!("htdocs/{inside}"));
        let entry = |file: &PathBuf| json!({ "name": file.file_name().unwrap().to_string_lossy(), "type": "file" });
        Ok(json!({ "entries": files.iter().map(entry).collect::<Vec<_>>() }))
    }

    /// Devices and interfaces, for choosing among them.
    fn network(&self, object: &str, method: &str) -> Result<Value, i32> {
        match (object, method) {
            ("luci-rpc", "getNetworkDevices") => {
                let device = |name: String| (name.clone(), json!({ "name": name, "type": "ethernet", "up": true }));
                Ok(lock(&self.uci).devices().into_iter().map(device).collect::<serde_json::Map<_, _>>().into())
            }
            ("luci-rpc", "getHostHints" | "getBoardJSON" | "getWirelessDevices")
            | ("network.device", "status")
            | ("network", "get_proto_handlers") => Ok(json!({})),
            _ => Err(NO_METHOD),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
