//! One question to the daemon, and its answer in text and exit code. Called by `cli`; prints nothing itself.

use std::path::Path;
use std::time::Duration;

use failoverd::status::{History, Status};
use failoverd::table;
use failoverd::ubus_call::{OBJECT, UbusStatus};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

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
    let answered = match command {
        Command::Status { socket, json } => show_status(socket, "status", json!({}), None, *json, screen).await,
        Command::Why { socket, provider, json } => {
            show_status(socket, "why", json!({ "provider": provider }), provider.as_deref(), *json, screen).await
        }
        Command::History { socket, provider, limit, json } => {
            let arguments = json!({ "provider": provider, "limit": limit });
            match question(socket, "history", arguments, PATIENCE).await {
                Ok(answer) => shown(&answer, *json, |history: &History| {
                    table::render_history(history, screen.width, screen.colour)
                })
                .map(|(_, text)| Outcome::fine(text)),
                Err(error) => Err(about(socket, Some(provider), error).await),
            }
        }
        Command::Check { socket, provider } => {
            let arguments = json!({ "provider": provider });
            show_status(socket, "check", arguments, provider.as_deref(), false, screen).await
        }
        Command::Pin { socket, provider } => {
            let done = format!("pinned to {provider}, until 'failoverd unpin'\n");
            order(socket, "pin", json!({ "provider": provider }), Some(provider), done).await
        }
        Command::Unpin { socket } => order(socket, "unpin", json!({}), None, "unpinned\n".to_owned()).await,
        Command::Reload { socket } => order(socket, "reload", json!({}), None, "reloaded\n".to_owned()).await,
        _ => Err(Outcome::failed(Exit::Usage, "this command asks the daemon nothing")),
    };
    answered.unwrap_or_else(|failure| failure)
}

/// The status in its type, for `watch`.
pub(super) async fn status(socket: &Path) -> Result<Status, String> {
    let answer = question(socket, "status", json!({}), PATIENCE).await.map_err(|error| explain(&error).1)?;
    // As `shown` does it: a second way would cost a second decoder's bytes.
    Status::deserialize(&answer).map_err(|error| not_understood(&error))
}

/// A method that answers with the status, `status` at once, `check` when the checks have ended; or with what it comes from: `why`.
async fn show_status(
    socket: &Path,
    method: &str,
    arguments: Value,
    provider: Option<&str>,
    json: bool,
    screen: Screen,
) -> Result<Outcome, Outcome> {
    let patience = if method == "check" { LONG_PATIENCE } else { PATIENCE };
    let answer = match question(socket, method, arguments, patience).await {
        Ok(answer) => answer,
        Err(error) => return Err(about(socket, provider, error).await),
    };
    let (reliable, text) = if method == "why" {
        let told = if json { format!("{answer:#}\n") } else { table::render_why(&answer, screen.width, screen.colour) };
        (answer.get("reliable") == Some(&Value::Bool(true)), told)
    } else {
        let render = |status: &Status| table::render(status, screen.width, screen.colour);
        let (status, text) = shown(&answer, json, render)?;
        (status.providers.iter().any(|provider| provider.reliable), text)
    };
    Ok(Outcome { exit: if reliable { Exit::Fine } else { Exit::NotFine }, ..Outcome::fine(text) })
}

/// A command that changes something and has little to answer.
async fn order(
    socket: &Path,
    method: &str,
    arguments: Value,
    provider: Option<&str>,
    done: String,
) -> Result<Outcome, Outcome> {
    match question(socket, method, arguments, LONG_PATIENCE).await {
        Ok(answer) => match strings(&answer, "config_errors") {
            errors if errors.is_empty() => Ok(Outcome::fine(done)),
            errors => {
                let head = "the configuration is refused, the one before it stays in force:";
                Err(Outcome::failed(Exit::Usage, format!("{head}\n{}", errors.join("\n"))))
            }
        },
        Err(error) => Err(about(socket, provider, error).await),
    }
}

async fn question(socket: &Path, method: &str, arguments: Value, patience: Duration) -> Result<Value, CallError> {
    let arguments = match arguments {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    call(socket, OBJECT, method, &arguments, patience).await
}

fn shown<Answer: DeserializeOwned>(
    answer: &Value,
    json: bool,
    render: impl Fn(&Answer) -> String,
) -> Result<(Answer, String), Outcome> {
    let typed: Answer =
        Answer::deserialize(answer).map_err(|error| Outcome::failed(Exit::NoDaemon, not_understood(&error)))?;
    let text = if json { format!("{answer:#}\n") } else { render(&typed) };
    Ok((typed, text))
}

fn not_understood(error: &serde_json::Error) -> String {
    format!("the daemon's answer is not understood ({error}): it may be of another version, restart it")
}

fn strings(answer: &Value, name: &str) -> Vec<String> {
    let strings = answer.get(name).and_then(Value::as_array).into_iter().flatten();
    strings.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Words a failure; if it is about a name that nobody has, asks for the names that there are.
async fn about(socket: &Path, provider: Option<&str>, error: CallError) -> Outcome {
    if let (Some(provider), CallError::Status(UbusStatus::NotFound)) = (provider, &error) {
        let known = match status(socket).await {
            Ok(status) => status.providers.into_iter().map(|provider| provider.name).collect::<Vec<_>>().join(", "),
            Err(_) => String::new(),
        };
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
        CallError::Timeout(patience) => (Exit::NoDaemon, format!("no answer within {} s", patience.as_secs())),
        CallError::Broken(_) => (Exit::NoDaemon, error.to_string()),
        CallError::Status(UbusStatus::PermissionDenied) => {
            (Exit::NoDaemon, "ubus does not let this user call the daemon (try as root)".to_owned())
        }
        CallError::Status(UbusStatus::InvalidArgument) => {
            (Exit::Usage, "the daemon does not accept these arguments".to_owned())
        }
        CallError::Status(status) => (Exit::NotFine, format!("the daemon answers: {status}")),
    }
}
