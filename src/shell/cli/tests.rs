//! The commands against a daemon's side that answers what the test tells it, over the broker crate.

use std::path::PathBuf;
use std::time::Duration;

use failoverd::status::{History, HistoryEntry, ProviderStatus, Status};
use failoverd::ubus_call::{Call, Packet, UbusStatus};
use serde_json::{Value, json};

use super::ask::{Outcome, ask};
use super::*;
use crate::shell::ubus::test_broker::{Broker, Place};
use crate::shell::ubus::{Bus, BusEvent, Request};

const SCREEN: Screen = Screen { width: 80, colour: false };

fn a_status(reliable: bool) -> Status {
    let provider = |name: &str, active| ProviderStatus {
        name: name.into(),
        state: if reliable { "online" } else { "offline" }.into(),
        reason: Some("nothing received for 0.6 s".into()),
        latency_ms: Some(12.0),
        loss_percent: Some(0.0),
        active,
        reliable,
        ..ProviderStatus::default()
    };
    Status {
        version: "0.1.0".into(),
        enabled: true,
        active: Some("fiber".into()),
        active_since: Some(61),
        providers: vec![provider("fiber", true), provider("lte", false)],
        ..Status::default()
    }
}

async fn daemon(bus: &mut Bus, reliable: bool) {
    let known = |name: &str| ["fiber", "lte"].contains(&name);
    loop {
        let BusEvent::Request(Request { call, reply_to }) = bus.next().await else { continue };
        let answer = match call {
            Call::Status { .. } => Ok(serde_json::to_value(a_status(reliable)).unwrap()),
            Call::History { provider, limit } if known(&provider) => {
                let entry = HistoryEntry { ago: 1, ok: true, sent: 1, ..HistoryEntry::default() };
                let checks = vec![entry; limit.unwrap_or(3).try_into().unwrap()];
                Ok(serde_json::to_value(History { provider, checks }).unwrap())
            }
            Call::Pin { provider } if known(&provider) => Ok(Value::Null),
            Call::Check { provider } if provider.as_deref().is_none_or(known) => {
                Ok(serde_json::to_value(a_status(reliable)).unwrap())
            }
            Call::History { .. } | Call::Pin { .. } | Call::Check { .. } => Err(UbusStatus::NotFound),
            Call::Why { provider, parts: false } if provider.as_deref().is_none_or(known) => Ok(json!({
                "reliable": reliable,
                "sentence": "Online through fiber for 1m 1s, 12 ms.",
                "providers": [{ "name": "lte", "sentences": ["lte is disabled."] }],
            })),
            Call::Why { .. } => Err(UbusStatus::NotFound),
            Call::Route(Packet { port, .. }) => Ok(json!({
                "sentences": ["Rule web sends it through lte.", "The kernel says so too."],
                "kernel": if port == Some(81) { json!({ "refused": "No" }) } else { json!({ "device": "wwan0" }) },
                "agrees": port != Some(80),
            })),
            Call::Unpin => Err(UbusStatus::UnknownError),
            Call::Reload if reliable => Ok(json!({})),
            Call::Reload => Ok(json!({ "config_errors": ["/etc/config/failover:14: interval '0'"] })),
            _ => Err(UbusStatus::NotSupported),
        };
        bus.reply(reply_to, answer);
    }
}

async fn typed(place: &Place, line: &str, reliable: bool) -> Outcome {
    let words = line.split_whitespace().map(OsString::from);
    let command = args::parse(words.chain(["-s".into(), place.socket().into()])).unwrap();
    let mut bus = Bus::new(&place.socket());
    let registered = async { while !matches!(bus.next().await, BusEvent::Connected) {} };
    tokio::time::timeout(Duration::from_secs(30), registered).await.unwrap();
    tokio::select! {
        outcome = ask(&command, SCREEN) => outcome,
        () = daemon(&mut bus, reliable) => unreachable!(),
    }
}

#[tokio::test]
async fn commands_print_and_exit_as_they_should() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let nobody = "no provider is named 'nobody'; there are: fiber, lte";
    let refused =
        "the configuration is refused, the one before it stays in force:\n/etc/config/failover:14: interval '0'";
    for (line, reliable, text, complaint, exit) in [
        ("status", true, "online through fiber for 1m 1s, 12 ms", None, Exit::Fine),
        ("status", false, "no provider is reliable; fiber is used for 1m 1s without proof", None, Exit::NotFine),
        ("status --json", false, "{", None, Exit::NotFine),
        ("why", true, "Online through fiber for 1m 1s, 12 ms.", None, Exit::Fine),
        ("why lte", false, "Online through fiber for 1m 1s, 12 ms.", None, Exit::NotFine),
        ("why --json", true, "{", None, Exit::Fine),
        ("why nobody", true, "", Some(nobody), Exit::Usage),
        ("history lte", true, "lte: 3 checks, 0 failed", None, Exit::Fine),
        ("history lte -n 1", true, "lte: 1 check, 0 failed", None, Exit::Fine),
        ("history nobody", true, "", Some(nobody), Exit::Usage),
        ("pin lte", true, "pinned to lte, until 'failoverd unpin'", None, Exit::Fine),
        ("pin nobody", true, "", Some(nobody), Exit::Usage),
        ("check", true, "online through fiber for 1m 1s, 12 ms", None, Exit::Fine),
        ("check lte", false, "no provider is reliable; fiber is used for 1m 1s without proof", None, Exit::NotFine),
        ("check nobody", true, "", Some(nobody), Exit::Usage),
        ("route 10.0.0.2 192.0.2.1", true, "Rule web sends it through lte.", None, Exit::Fine),
        ("route 10.0.0.2 192.0.2.1 tcp 80 --json", true, "{", None, Exit::NotFine),
        ("route 10.0.0.2 192.0.2.1 tcp 81", true, "Rule web sends it through lte.", None, Exit::NotFine),
        ("unpin", true, "", Some("the daemon answers: unknown error"), Exit::NotFine),
        ("reload", true, "reloaded", None, Exit::Fine),
        ("reload", false, "", Some(refused), Exit::Usage),
    ] {
        let outcome = typed(&place, line, reliable).await;
        assert_eq!(outcome.text.lines().next().unwrap_or_default(), text, "{line}");
        assert_eq!((outcome.complaint.as_deref(), outcome.exit), (complaint, exit), "{line}");
    }
}

#[tokio::test]
async fn json_is_what_the_daemon_said() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let outcome = typed(&place, "status --json", true).await;
    assert_eq!(serde_json::from_str::<Status>(&outcome.text).unwrap(), a_status(true));
    let outcome = typed(&place, "history lte --json -n 2", true).await;
    assert_eq!(serde_json::from_str::<History>(&outcome.text).unwrap().checks.len(), 2);
}

#[tokio::test]
async fn without_a_daemon_the_exit_code_is_three() {
    let place = Place::new();
    let command = |socket: PathBuf| Command::Status { socket, json: false };
    let outcome = ask(&command(place.socket()), SCREEN).await;
    let complaint = outcome.complaint.unwrap();
    assert!(complaint.starts_with("ubus is not reachable at ") && complaint.contains("No such file"), "{complaint}");
    assert_eq!(outcome.exit, Exit::NoDaemon);
    let _broker = Broker::start(&place);
    let outcome = ask(&command(place.socket()), SCREEN).await;
    assert!(outcome.complaint.unwrap().starts_with("the daemon is not running"));
    assert_eq!(outcome.exit, Exit::NoDaemon);
}
