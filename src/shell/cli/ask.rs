//! One question to the daemon, and its answer in text and exit code. Called by `cli`; prints nothing itself.

use std::path::Path;
use std::time::Duration;

use failoverd::member::{flag, list, object, text};
use failoverd::table;
use failoverd::text::wrap;
use failoverd::ubus_call::{OBJECT, UbusStatus};
use serde_json::{Map, Value};

use super::{Command, Exit, Screen};
use crate::shell::ubus::client::{CallError, call};

/// A daemon that is alive answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// A check, or a configuration to be read, may take longer.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// What is printed, and how it ends.
#[derive(Debug)]
pub(super) struct Outcome {
    /// For stdout.
    pub(super) text: String,
    /// For stderr.
    pub(super) complaint: Option<String>,
    /// The exit code.
    pub(super) exit: Exit,
}

impl Outcome {
    pub(super) fn fine(text: impl Into<String>) -> Self {
        Self { text: text.into(), complaint: None, exit: Exit::Fine }
    }

    pub(super) fn failed(exit: Exit, complaint: impl Into<String>) -> Self {
        Self { text: String::new(), complaint: Some(complaint.into()), exit }
    }
}

/// Asks, and words the answer.
pub(super) async fn ask(command: &Command, screen: Screen) -> Outcome {
    let (socket, method, provider, patience) = match command {
        Command::Status { socket, .. } => (socket, "status", None, PATIENCE),
        Command::Why { socket, provider, .. } => (socket, "why", provider.as_deref(), PATIENCE),
        Command::History { socket, provider, .. } => (socket, "history", Some(provider.as_str()), PATIENCE),
        Command::Route { socket, .. } => (socket, "route", None, PATIENCE),
        Command::Check { socket, provider } => (socket, "check", provider.as_deref(), LONG_PATIENCE),
        Command::Pin { socket, provider } => (socket, "pin", Some(provider.as_str()), LONG_PATIENCE),
        Command::Unpin { socket } => (socket, "unpin", None, LONG_PATIENCE),
        Command::Reload { socket } => (socket, "reload", None, LONG_PATIENCE),
        _ => return Outcome::failed(Exit::Usage, "this command asks the daemon nothing"),
    };
    let limit = if let Command::History { limit, .. } = command { *limit } else { None };
    let arguments = match command {
        Command::Route { packet, .. } => object(&mut [
            ("source", packet.source.to_string().into()),
            ("destination", packet.destination.to_string().into()),
            ("protocol", packet.protocol.map(|it| it.to_string()).into()),
            ("port", packet.port.into()),
        ]),
        _ => object(&mut [("provider", provider.into()), ("limit", limit.into())]),
    };
    match question(socket, method, arguments, patience).await {
        Ok(answer) => worded(command, &answer, screen),
        Err(error) => about(socket, provider, error).await,
    }
}

/// The reply of `status`, for `watch`.
pub(super) async fn status(socket: &Path) -> Result<Value, String> {
    question(socket, "status", Value::Null, PATIENCE).await.map_err(|error| explain(&error).1)
}

fn worded(command: &Command, answer: &Value, Screen { width, colour }: Screen) -> Outcome {
    let holds = match command {
        Command::History { .. } => "checks",
        Command::Route { .. } => "sentences",
        _ => "providers",
    };
    let (told, fine, json) = match command {
        Command::Pin { provider, .. } => {
            return Outcome::fine(format!("pinned to {provider}, until 'failoverd unpin'\n"));
        }
        Command::Unpin { .. } => return Outcome::fine("unpinned\n"),
        Command::Reload { .. } => {
            let errors: Vec<_> = list(answer, "config_errors").iter().filter_map(Value::as_str).collect();
            if errors.is_empty() {
                return Outcome::fine("reloaded\n");
            }
            let head = "the configuration is refused, the one before it stays in force:";
            return Outcome::failed(Exit::Usage, format!("{head}\n{}", errors.join("\n")));
        }
        _ if answer.get(holds).is_none() => {
            let complaint = "the daemon's answer is not understood: it may be of another version, restart it";
            return Outcome::failed(Exit::NoDaemon, complaint);
        }
        Command::Route { json, .. } => {
            let mut told = String::new();
            for sentence in list(answer, "sentences").iter().filter_map(Value::as_str) {
                told = told + &wrap(sentence, width, 2) + "\n";
            }
            let refused = answer.get("kernel").is_some_and(|kernel| kernel.get("refused").is_some());
            (told, flag(answer, "agrees") && !refused, *json)
        }
        Command::Why { json, .. } => (table::render_why(answer, width, colour), flag(answer, "reliable"), *json),
        Command::History { json, .. } => (table::render_history(answer, width, colour), true, *json),
        _ => {
            let reliable = list(answer, "providers").iter().any(|provider| flag(provider, "reliable"));
            (table::render(answer, width, colour), reliable, matches!(command, Command::Status { json: true, .. }))
        }
    };
    let told = if json { format!("{answer:#}\n") } else { told };
    Outcome { exit: if fine { Exit::Fine } else { Exit::NotFine }, ..Outcome::fine(told) }
}

async fn question(socket: &Path, method: &str, arguments: Value, patience: Duration) -> Result<Value, CallError> {
    let arguments = match arguments {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    call(socket, OBJECT, method, &arguments, patience).await
}

/// Words a failure; if it is about a name that nobody has, asks for the names that there are.
async fn about(socket: &Path, provider: Option<&str>, error: CallError) -> Outcome {
    if let (Some(provider), CallError::Status(UbusStatus::NotFound)) = (provider, &error) {
        let status = status(socket).await.unwrap_or_default();
        let names: Vec<_> = list(&status, "providers").iter().filter_map(|it| text(it, "name")).collect();
        let known = names.join(", ");
        let known = if known.is_empty() { String::new() } else { format!("; there are: {known}") };
        return Outcome::failed(Exit::Usage, format!("no provider is named '{provider}'{known}"));
    }
    let (exit, sentence) = explain(&error);
    Outcome::failed(exit, sentence)
}

fn explain(error: &CallError) -> (Exit, String) {
    match error {
        CallError::NoBroker { .. } => (Exit::NoDaemon, format!("{error} (another socket: -s PATH)")),
        CallError::NoObject(_) => {
            (Exit::NoDaemon, "the daemon is not running, or not visible to this user on ubus (try as root)".to_owned())
        }
        CallError::Timeout(_) | CallError::Broken(_) => (Exit::NoDaemon, error.to_string()),
        CallError::Status(UbusStatus::PermissionDenied) => {
            (Exit::NoDaemon, "ubus does not let this user call the daemon (try as root)".to_owned())
        }
        CallError::Status(UbusStatus::InvalidArgument) => {
            (Exit::Usage, "the daemon does not accept these arguments".to_owned())
        }
        CallError::Status(status) => (Exit::NotFine, format!("the daemon answers: {status}")),
    }
}
