//! `notify-test`: sends the hotplug scripts an event the way the daemon does, and tells what became of it. Called by `cli`.

use std::path::Path;
use std::time::Duration;

use failoverd::notice::{Notice, NoticeAction};
use failoverd::settings::LogLevel;
use serde_json::Map;

use super::Exit;
use super::ask::Outcome;
use crate::shell::hotplug::{self, Output};
use crate::shell::ubus::client::{CallError, call};
use crate::shell::ubus::{HOTPLUG, assignments};

/// procd answers before it runs the scripts.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has procd run the scripts in `directory`, or runs them itself and waits for them.
pub(super) async fn notify_test(socket: &Path, directory: &Path) -> Outcome {
    let scripts = hotplug::scripts(directory);
    let shown = directory.display();
    if scripts.is_empty() {
        return Outcome::failed(Exit::NotFine, format!("there is no script in {shown}: events are told to nobody"));
    }
    let reason = "a test, nothing has happened".to_owned();
    let environment = Notice::about(None, Some(NoticeAction::Test), LogLevel::Info, Some(reason)).environment();
    let variables = assignments(&environment);
    let mut text = format!("event: {}\n", variables.join(", "));
    let names = scripts.iter().map(|script| script.file_name().unwrap_or_default().to_string_lossy());

    let mut arguments = Map::new();
    arguments.insert("env".to_owned(), variables.into());
    match call(socket, HOTPLUG, "call", &arguments, PATIENCE).await {
        Ok(_) => {
            text += &format!("procd runs the scripts in {shown}, one after the other, as root:\n");
            names.for_each(|name| text += &format!("  {name}\n"));
            text += "It does not tell how they end. What they log is here: logread -e failover\n";
            return Outcome::fine(text);
        }
        // procd may be running them already: once more would be twice.
        Err(error @ CallError::Timeout(_)) => return Outcome::failed(Exit::NotFine, format!("{HOTPLUG}: {error}")),
        Err(CallError::NoObject(_)) => {
            text += &format!("procd does not run scripts here (no object '{HOTPLUG}' on ubus), so failoverd does:\n");
        }
        Err(error) => text += &format!("procd cannot be asked to run the scripts ({error}), so failoverd does:\n"),
    }
    let mut failed = 0;
    for (script, name) in scripts.iter().zip(names) {
        let ended = hotplug::run_script(script, &environment, Output::Terminal);
        failed += usize::from(!ended.well());
        text += &format!("  {name}: {ended}\n");
    }
    let complaint = (failed > 0).then(|| format!("{failed} of {} scripts failed", scripts.len()));
    Outcome { text, exit: if failed > 0 { Exit::NotFine } else { Exit::Fine }, complaint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::testing::Directory;
    use crate::shell::ubus::test_broker::{Broker, Place};

    fn place(scripts: &[(&str, &str)]) -> Directory {
        let place = Directory::new();
        for (name, script) in scripts {
            std::fs::write(place.path().join(name), script).unwrap();
        }
        place
    }

    #[tokio::test]
    async fn without_procd_it_runs_the_scripts_and_tells_how_they_end() {
        let ubus = Place::new();
        let out = Directory::new();
        let out = out.path().join("out");
        let writes = format!(r#"echo "$ACTION,$REASON" > '{}'"#, out.display());
        let scripts = place(&[("10-user", &writes), ("20-mail", "exit 3")]);
        let outcome = notify_test(&ubus.socket(), scripts.path()).await;
        assert!(outcome.text.contains("\n  10-user: exit code 0\n  20-mail: exit code 3\n"), "{}", outcome.text);
        assert!(outcome.text.contains("procd cannot be asked"), "no ubus: {}", outcome.text);
        assert_eq!((outcome.complaint.as_deref(), outcome.exit), (Some("1 of 2 scripts failed"), Exit::NotFine));
        assert_eq!(std::fs::read_to_string(out).unwrap(), "test,a test, nothing has happened\n");

        let _broker = Broker::start(&ubus);
        let scripts = place(&[("10-user", "true")]);
        let outcome = notify_test(&ubus.socket(), scripts.path()).await;
        assert!(outcome.text.contains("no object 'hotplug.failover'"), "{}", outcome.text);
        assert_eq!((outcome.complaint, outcome.exit), (None, Exit::Fine));
    }

    #[tokio::test]
    async fn procd_is_asked_first() {
        let ubus = Place::new();
        let _broker = Broker::start(&ubus);
        let procd = lab::HotplugObject::start(&ubus.socket()).unwrap();
        let scripts = place(&[("10-user", "exit 1"), ("20-mail", "exit 1")]);
        let outcome = notify_test(&ubus.socket(), scripts.path()).await;
        assert_eq!((outcome.complaint, outcome.exit), (None, Exit::Fine), "{}", outcome.text);
        assert!(outcome.text.contains("as root:\n  10-user\n  20-mail\n"), "{}", outcome.text);
        assert_eq!(procd.calls(), [["ACTION=test", "REASON=a test, nothing has happened"]]);
    }

    #[tokio::test]
    async fn no_script_is_not_fine() {
        let scripts = place(&[]);
        let outcome = notify_test(&Place::new().socket(), scripts.path()).await;
        assert!(outcome.complaint.unwrap().starts_with("there is no script in "));
        assert_eq!(outcome.exit, Exit::NotFine);
    }
}
