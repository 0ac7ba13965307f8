//! What LuCI's dispatcher and template make of the packages: static files, pages by the menu.d files, translations, and the addresses
//! that save & apply goes to. Asked by `bridge.rs` for everything that is no call.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::access::User;
use super::frame::Arguments;
use super::http::{Request, Response};
use super::{Shared, lock, po};

const HTML: &str = "text/html; charset=UTF-8";
const SCRIPT: &str = "application/javascript; charset=UTF-8";
const COOKIE: &str = "sysauth_http";

/// The app and the packages that it stands on: LuCI's own, unpacked in the directory that LUCI names, or the stand-in for them.
pub(crate) fn packages(further: &[PathBuf]) -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![here.join("openwrt/luci-app-failover"), here.join("tests/luci/rpcd")];
    all.extend_from_slice(further);
    match std::env::var_os("LUCI").map(PathBuf::from) {
        Some(luci) => {
            let parts = ["modules/luci-base", "modules/luci-mod-status", "modules/luci-mod-network"];
            all.extend(parts.map(|part| luci.join(part)));
            all.push(luci.join("themes/luci-theme-bootstrap"));
        }
        None => all.push(here.join("tests/luci/runtime")),
    }
    all
}

/// The files in a directory of all packages.
pub(crate) fn files(packages: &[PathBuf], directory: &str) -> Vec<PathBuf> {
    let read = |package: &PathBuf| std::fs::read_dir(package.join(directory)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = packages.iter().flat_map(read).map(|entry| entry.path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    files
}

impl Shared {
    /// Anything but a call.
    pub(super) fn page(&self, request: &Request) -> Response {
        let named = request.argument("as").and_then(|name| User::named(&name));
        let user = named.or_else(|| request.cookie(COOKIE).and_then(User::of_session)).unwrap_or(User::Admin);
        let mut response = if let Some(file) = request.path.strip_prefix("/luci-static/") {
            self.file(file)
        } else {
            match request.path.strip_prefix("/cgi-bin/luci/") {
                Some("admin/translations") => self.translations(),
                Some(page) if page.starts_with("admin/uci/") => self.apply(user, page, request),
                Some("admin/menu") => Response::new(200, "application/json", "{}"),
                Some(page) => self.view(user, page.trim_end_matches('/')),
                None if request.path == "/favicon.ico" => Response::new(204, "image/x-icon", ""),
                None => missing(&request.path),
            }
        };
        if named.is_some() {
            response.headers.push_str(&format!("Set-Cookie: {COOKIE}={}; path=/\r\n", user.session()));
        }
        response
    }

    fn file(&self, name: &str) -> Response {
        let kind = match name.rsplit_once('.') {
            Some((_, "js")) => SCRIPT,
            Some((_, "css")) => "text/css",
            Some((_, "svg")) => "image/svg+xml",
            Some((_, "png")) => "image/png",
            _ => "application/octet-stream",
        };
        if name.split('/').any(|part| part == "..") {
            return missing(name);
        }
        let paths = self.packages.iter().map(|package| package.join("htdocs/luci-static").join(name));
        match paths.into_iter().find_map(|path| std::fs::read(path).ok()) {
            Some(bytes) => Response::new(200, kind, bytes),
            None => missing(name),
        }
    }

    /// A page of the menu, if this user may see it.
    fn view(&self, user: User, page: &str) -> Response {
        let mut menu = Map::new();
        for file in files(&self.packages, "root/usr/share/luci/menu.d") {
            let text = std::fs::read_to_string(&file).unwrap();
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            menu.extend(value.as_object().cloned().unwrap_or_default());
        }
        let Some(node) = menu.get(page) else { return missing(page) };
        let Some(path) = node["action"]["path"].as_str().filter(|_| node["action"]["type"] == "view") else {
            return missing(page);
        };
        let groups = node["depends"]["acl"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let groups: Vec<&str> = groups.collect();
        let may = |right: &str| groups.iter().any(|group| self.access.grants(Some(user), "access-group", group, right));
        if !groups.is_empty() && !may("read") && !may("write") {
            return Response::new(403, HTML, "<h2>Forbidden</h2>");
        }
        let mut nodespec = node.clone();
        nodespec["satisfied"] = true.into();
        nodespec["readonly"] = (!groups.is_empty() && !may("write")).into();
        Response::new(200, HTML, shell(user, page, path, &nodespec, self.language().as_deref().unwrap_or("en")))
    }

    fn language(&self) -> Option<String> {
        lock(&self.language).as_ref().map(|(name, _)| name.clone())
    }

    fn translations(&self) -> Response {
        let texts = match &*lock(&self.language) {
            Some((_, file)) => po::read(&std::fs::read_to_string(file).unwrap()),
            None => return Response::new(200, SCRIPT, ""),
        };
        Response::new(200, SCRIPT, format!("window.TEXTS = {};", Value::Object(texts)))
    }

    /// Where `ui.changes` sends its requests to.
    fn apply(&self, user: User, page: &str, request: &Request) -> Response {
        let uci = |method: &str, arguments: &Arguments| {
            self.uci(Some(user), method, arguments).err().map_or(200, |status| match status {
                5 => 204,
                6 => 403,
                4 => 404,
                _ => 500,
            })
        };
        let given = request.argument("token");
        let (status, body) = match page.trim_start_matches("admin/uci/") {
            "apply_rollback" => (uci("apply", &Arguments::rollback()), json!({ "token": TOKEN }).to_string()),
            "apply_unchecked" => match uci("apply", &Arguments::none()) {
                200 => (204, String::new()),
                status => (status, String::new()),
            },
            // Applied unchecked: there is nothing to confirm.
            "confirm" if !lock(&self.uci).unconfirmed() => (204, String::new()),
            "confirm" if given.as_deref() == Some(TOKEN) => (uci("confirm", &Arguments::none()), String::new()),
            "confirm" => (403, String::new()),
            "revert" => {
                lock(&self.uci).revert_all(user);
                (200, String::new())
            }
            _ => return missing(page),
        };
        Response::new(status, "application/json", body)
    }
}

const TOKEN: &str = "0f4c8a117de2953b6a0d54e8f1c37b92";

fn missing(what: &str) -> Response {
    Response::new(404, HTML, format!("Not found: {what}"))
}

/// The page around a view, with what the theme and the template of LuCI put into it.
fn shell(user: User, page: &str, view: &str, nodespec: &Value, language: &str) -> String {
    let environment = json!({
        "media": "/luci-static/bootstrap", "resource": "/luci-static/resources", "scriptname": "/cgi-bin/luci",
        "pathinfo": format!("/{page}"), "documentroot": "/www", "requestpath": page.split('/').collect::<Vec<_>>(),
        "dispatchpath": page.split('/').collect::<Vec<_>>(), "pollinterval": 5, "ubuspath": "/ubus/",
        "sessionid": user.session(), "token": TOKEN, "nodespec": nodespec,
        // Shorter than LuCI's 4 and 1.5 seconds: nobody looks on.
        "apply_rollback": 30, "apply_holdoff": 0.2, "apply_timeout": 5, "apply_display": 0.3,
    });
    let name = page.replace('/', "-");
    format!(
        r#"<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8"><title>OpenWrt</title>
<script>
(function(dark) {{
	const set = match => document.documentElement.setAttribute('data-darkmode', match.matches);
	dark.addEventListener('change', set);
	set(dark);
}})(window.matchMedia('(prefers-color-scheme: dark)'));
</script>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/luci-static/bootstrap/cascade.css">
<link rel="stylesheet" media="only screen and (max-device-width: 854px)" href="/luci-static/bootstrap/mobile.css">
<script src="/cgi-bin/luci/admin/translations"></script>
<script src="/luci-static/resources/cbi.js"></script>
<script>
// LuCI's own cbi.js looks texts up by their hash.
if (window.TEXTS && typeof(sfh) == 'function')
	window.TR = Object.fromEntries(Object.entries(TEXTS).map(([ key, text ]) => [ key == '00000000' ? key : sfh(key), text ]));
</script>
</head>
<body class="lang_{language}" data-page="{name}">
<header><a class="brand" href="/">OpenWrt</a><ul class="nav" id="topmenu" style="display:none"></ul>
<div id="indicators" class="pull-right"></div></header>
<div id="maincontent" class="container">
<div id="tabmenu" style="display:none"></div>
<script src="/luci-static/resources/luci.js"></script>
<script>L = new LuCI({environment});</script>
<div id="view"><div class="spinning">Loading</div></div>
<script>L.require('ui').then(ui => ui.instantiateView('{view}'));</script>
</div>
<footer></footer>
</body>
</html>
"#
    )
}
