//! A browser that does what a test says: chromium, driven by chromedriver over the WebDriver protocol and, where that has no words for
//! it, Chrome's own. It ends with the test however that ends. Started by `page.rs`.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::wait_for;
use serde_json::{Value, json};

use crate::bridge::http;
use crate::world::SOON;

/// For one command; a busy machine needs its time to load a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// What WebDriver calls the member that holds an element's number.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How wide the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// As on a desk.
    Desk,
    /// As on a phone, held upright.
    Phone,
}

/// A browser with one window; closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    /// The window's target, in Chrome's protocol.
    window: String,
}

impl Browser {
    /// Starts it with a profile of its own in `directory`.
    pub(crate) fn start(directory: &Path) -> Browser {
        let profile = directory.join("browser");
        std::fs::create_dir_all(&profile).unwrap();
        // The shell waits for the end of its input, which comes even if this process is killed; chromium ends with the driver's pipe.
        let mut driver = Command::new("sh")
            .args(["-c", "chromedriver --port=0 & read -r _; kill $!; wait"])
            .env("HOME", &profile)
            .env("TMPDIR", &profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let port: u16 = port.expect("chromedriver does not start: apt-get install chromium chromium-driver");
        // Nobody reads the rest, but it must have somewhere to go.
        _ = std::thread::Builder::new().name("chromedriver".to_owned()).spawn(move || lines.for_each(drop));
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let mut browser = Browser { driver, address, session: String::new(), window: String::new() };
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
            "--window-size=1280,900",
        ];
        let mut arguments: Vec<String> = flags.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.join("profile").display()));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
            "timeouts": { "script": 30000, "pageLoad": 30000 },
        } } });
        let (_, session) = browser.send("POST", "/session", Some(&capabilities));
        browser.session = session["sessionId"].as_str().unwrap_or_else(|| panic!("chromium: {session}")).to_owned();
        browser.window = browser.command("GET", "/window", None).as_str().unwrap().to_owned();
        // Otherwise the driver has every page believe that it is in front.
        browser.chrome("Emulation.setFocusEmulationEnabled", json!({ "enabled": false }));
        browser.chrome("Performance.enable", json!({}));
        browser
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.command("POST", "/url", Some(&json!({ "url": url })));
    }

    /// Runs the body of a function in the page; what it returns.
    pub(crate) fn run(&self, script: &str, arguments: Value) -> Value {
        self.command("POST", "/execute/sync", Some(&json!({ "script": script, "args": arguments })))
    }

    /// The value of an expression.
    pub(crate) fn value(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};"), json!([]))
    }

    /// The value that the promise of an expression yields.
    pub(crate) fn promised(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];\n\
             Promise.resolve({expression}).then(value => done([ value ]), error => done([ null, String(error) ]));"
        );
        let result = self.command("POST", "/execute/async", Some(&json!({ "script": script, "args": [] })));
        assert!(result[1].is_null(), "{expression}: {}", result[1]);
        result[0].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&self, what: &str, expression: &str) -> Duration {
        let waited = wait_for(SOON, what, || self.value(&format!("!!({expression})")) == true);
        waited.unwrap_or_else(|error| panic!("{error}; the page says: {}", self.text("body")))
    }

    /// Waits until the text of an element contains another.
    pub(crate) fn wait_text(&self, selector: &str, text: &str) -> Duration {
        let expression = format!("document.querySelector({})?.textContent.includes({})", json!(selector), json!(text));
        self.wait(&format!("'{text}' in {selector}"), &expression)
    }

    /// The text of the first element that fits, as it can be read; empty if there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({})?.innerText ?? ''", json!(selector)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// How many elements fit.
    pub(crate) fn count(&self, selector: &str) -> u64 {
        self.value(&format!("document.querySelectorAll({}).length", json!(selector))).as_u64().unwrap()
    }

    /// Clicks the first element that fits, with the mouse: it must be there, and nothing in front of it. Again, if the page has moved it
    /// away from under the mouse meanwhile.
    pub(crate) fn click(&self, selector: &str) {
        // A list hears of a click on its entry in the entry's place.
        let script = "const wanted = arguments[0];
            window.arrived = false;
            window.addEventListener('click', ({ target }) => {
                window.arrived = !!target.closest(wanted) || (target.matches('select') && !!target.querySelector(wanted));
            }, { capture: true, once: true });";
        let done = wait_for(SOON, &format!("a click on {selector} to arrive"), || {
            self.run(script, json!([selector]));
            self.on(selector, "click", &json!({}));
            // Another page by now: it has arrived.
            self.value("window.arrived ?? true") == true
        });
        done.unwrap_or_else(|error| panic!("{error}; the page says: {}", self.text("body")));
    }

    /// Types into the first element that fits; keys beyond text are WebDriver's (`\u{e007}` is Enter).
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        self.on(selector, "value", &json!({ "text": text }));
    }

    /// Empties an input.
    pub(crate) fn clear(&self, selector: &str) {
        self.on(selector, "clear", &json!({}));
    }

    /// Does something to the first element that fits, as soon as that can be done: a page that polls may put another in its place.
    fn on(&self, selector: &str, action: &str, body: &Value) {
        let by = json!({ "using": "css selector", "value": selector });
        let mut last = Value::from("no such element");
        let done = wait_for(SOON, &format!("{action} on {selector}"), || {
            let found = self.command("POST", "/elements", Some(&by));
            let Some(element) = found.get(0).and_then(|it| it[ELEMENT].as_str()) else { return false };
            let path = format!("/session/{}/element/{element}/{action}", self.session);
            let (status, answer) = self.send("POST", &path, Some(body));
            last = answer["message"].clone();
            status == 200
        });
        done.unwrap_or_else(|error| panic!("{error}: {last}; the page says: {}", self.text("body")));
    }

    /// Presses and releases a key wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let source = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.command("POST", "/actions", Some(&json!({ "actions": [source] })));
    }

    /// Saves what can be seen of the page, all its length, as target/luci/NAME.png.
    pub(crate) fn screenshot(&self, name: &str) -> PathBuf {
        let mut clip = self.chrome("Page.getLayoutMetrics", json!({}))["cssContentSize"].take();
        clip["scale"] = 1.into();
        let whole = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.chrome("Page.captureScreenshot", whole);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/luci");
        // As an ordinary user there may be nowhere to put it.
        let file = directory.join(format!("{name}.png"));
        if std::fs::create_dir_all(&directory).is_ok() {
            _ = std::fs::write(&file, base64(shot["data"].as_str().unwrap()));
        }
        file
    }

    /// What has been written to the console since the last time, a line each with its level first.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.command("POST", "/se/log", Some(&json!({ "type": "browser" })));
        let line = |entry: &Value| {
            format!("{} {}", entry["level"].as_str().unwrap_or("?"), entry["message"].as_str().unwrap_or("?"))
        };
        entries.as_array().into_iter().flatten().map(line).collect()
    }

    /// Nothing but what was written for developers on purpose.
    pub(crate) fn assert_no_errors(&self) {
        let mut lines = self.console();
        lines.retain(|line| line.starts_with("SEVERE") || line.starts_with("WARNING"));
        assert_eq!(lines, Vec::<String>::new(), "on the console");
    }

    /// The system's preference.
    pub(crate) fn dark(&self, on: bool) {
        let scheme = if on { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.chrome("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The window's width.
    pub(crate) fn width(&self, width: Width) {
        let (width, height, phone) = match width {
            Width::Desk => (1280, 900, false),
            Width::Phone => (390, 844, true),
        };
        let scale = if phone { 2 } else { 1 };
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone,
            "screenWidth": width, "screenHeight": height,
        });
        self.chrome("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Puts another tab in front, or this one again.
    pub(crate) fn hidden(&self, on: bool) {
        if on {
            self.chrome("Target.createTarget", json!({ "url": "about:blank" }));
        } else {
            self.chrome("Target.activateTarget", json!({ "targetId": self.window }));
        }
        self.wait(if on { "the tab to be hidden" } else { "the tab in front" }, &format!("document.hidden === {on}"));
    }

    /// Time spent in scripts since the page was loaded.
    pub(crate) fn script_time(&self) -> Duration {
        let metrics = self.chrome("Performance.getMetrics", json!({}));
        let mut all = metrics["metrics"].as_array().into_iter().flatten();
        let seconds = all.find(|metric| metric["name"] == "ScriptDuration").and_then(|metric| metric["value"].as_f64());
        Duration::from_secs_f64(seconds.unwrap())
    }

    /// A command in Chrome's own protocol.
    pub(crate) fn chrome(&self, command: &str, parameters: Value) -> Value {
        self.command("POST", "/goog/cdp/execute", Some(&json!({ "cmd": command, "params": parameters })))
    }

    /// What becomes of it when this process is killed.
    pub(crate) fn abandon(&mut self) {
        drop(self.driver.stdin.take());
    }

    fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, value) = self.send(method, &format!("/session/{}{path}", self.session), body);
        assert_eq!(status, 200, "{method} {path} {}: {}", body.unwrap_or(&Value::Null), value["message"]);
        value
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let text = body.map(Value::to_string);
        let (status, reply) = http::ask(self.address, method, path, text.as_deref(), PATIENCE)
            .unwrap_or_else(|error| panic!("chromedriver, {method} {path}: {error}"));
        let mut reply: Value = serde_json::from_slice(&reply).unwrap();
        (status, reply["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Politely first, so that the profile can be removed after it.
        let path = format!("/session/{}", self.session);
        _ = http::ask(self.address, "DELETE", &path, None, Duration::from_secs(5));
        drop(self.driver.stdin.take());
        let ended = || self.driver.try_wait().is_ok_and(|status| status.is_some());
        if wait_for(Duration::from_secs(5), "the end of chromedriver", ended).is_err() {
            _ = self.driver.kill();
            _ = self.driver.wait();
        }
    }
}

/// The bytes behind base64 without line breaks.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | digit(*byte)) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
