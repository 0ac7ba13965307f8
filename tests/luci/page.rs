//! What the tests of LuCI's pages stand on: a lab with a broker and (once started) the daemon, the bridge in front of them, and a browser.

use std::path::{Path, PathBuf};

use lab::{LabConfig, Process};
use serde_json::{Value, json};

use crate::bridge::Bridge;
use crate::bridge::access::User;
use crate::browser::Browser;
use crate::world::World;

/// axe-core, fetched by tests/run.
const AXE: &str = "target/axe/axe_playwright_python/axe.min.js";

/// A page in a browser, with all that is behind it.
pub(crate) struct Page {
    // Dropped in this order.
    pub(crate) browser: Browser,
    pub(crate) bridge: Bridge,
    pub(crate) world: World,
}

impl Page {
    /// A lab, a bridge and a browser that shows nothing yet.
    pub(crate) fn new(config: LabConfig) -> Page {
        Page::with(World::new(config), &[])
    }

    /// The same, with the machine for itself: for what is measured.
    pub(crate) fn alone(config: LabConfig) -> Page {
        Page::with(World::alone(config), &[])
    }

    /// The same with packages (directories like LuCI's) beside the app.
    pub(crate) fn with(world: World, packages: &[PathBuf]) -> Page {
        let bridge = Bridge::start(world.broker.path(), world.lab.dir(), packages);
        Page { browser: Browser::start(world.lab.dir()), bridge, world }
    }

    /// The same with the views in tests/luci/fixtures.
    pub(crate) fn of_fixtures(config: LabConfig) -> Page {
        Page::with(World::new(config), &[fixtures()])
    }

    /// Opens a page of the menu (`admin/status/failover`) and waits until its view is there.
    pub(crate) fn open(&self, user: User, page: &str) {
        self.browser.open(&self.bridge.url(user, page));
        self.browser.wait(
            &format!("the view of {page}"),
            "window.L?.loaded && document.querySelector('#view') && !document.querySelector('#view > .spinning')",
        );
    }

    /// Starts the daemon and waits until all its providers are online.
    pub(crate) fn start(&self) -> Process {
        self.world.start()
    }

    /// Calls a method as the admin's page would, without the page; what it yields.
    pub(crate) fn call(&self, object: &str, method: &str, arguments: &Value) -> Value {
        let reply = self.bridge.call(User::Admin, object, method, arguments);
        assert_eq!(reply["result"][0], 0, "{object} {method} {arguments}: {reply}");
        reply["result"][1].clone()
    }

    /// What axe-core finds wrong with the page's own part for people who use the keyboard or a screen reader.
    pub(crate) fn violations(&self) -> Value {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(AXE);
        let source = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; get it with: tests/luci/get-axe", file.display()));
        self.browser.run(&source, json!([]));
        // The frame around the view is the theme's, and so are its landmarks and the colours of its buttons and labels.
        self.browser.promised(
            "axe.run(document.querySelector('#view'), { resultTypes: [ 'violations' ], rules: { region: { enabled: false } } })
                .then(result => result.violations.map(it => [ it.id, it.help, it.nodes
                    .filter(node => it.id != 'color-contrast'
                        || !document.querySelector(node.target[0]).closest('.label, .btn, .cbi-button, .alert-message'))
                    .map(node => node.html) ]).filter(it => it[2].length))",
        )
    }

    /// There are none.
    pub(crate) fn assert_accessible(&self) {
        let found = self.violations();
        assert_eq!(found, json!([]), "axe-core finds: {found:#}");
    }
}

/// A package with the views that test the harness itself.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/luci/fixtures")
}
