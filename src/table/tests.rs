use super::*;
use crate::status::{History, HistoryEntry, ProviderStatus, RuleStatus, Status, TargetStatus, TestStatus};
use proptest::prelude::*;

fn render(status: &Status, room: usize, colour: bool) -> String {
    super::render(&serde_json::to_value(status).unwrap(), room, colour)
}

fn render_history(history: &History, room: usize, colour: bool) -> String {
    super::render_history(&serde_json::to_value(history).unwrap(), room, colour)
}

fn provider(name: &str, state: &str) -> ProviderStatus {
    ProviderStatus {
        name: name.into(),
        state: state.into(),
        since: 273_600,
        reliable: state == "online",
        default: true,
        device: Some("eth1".into()),
        gateway: Some("192.168.1.1".into()),
        metric: Some(2),
        latency_ms: Some(12.2),
        loss_percent: Some(0.0),
        ..ProviderStatus::default()
    }
}

fn three() -> Status {
    let fiber = ProviderStatus { active: true, ..provider("fiber", "online") };
    let lte = ProviderStatus {
        description: Some("Überall-LTE".into()),
        device: Some("wwan0".into()),
        gateway: None,
        metric: Some(3),
        latency_ms: Some(48.7),
        loss_percent: Some(2.5),
        failback_in: Some(42),
        since: 125,
        ..provider("lte", "online")
    };
    let dsl = ProviderStatus {
        reason: Some("lost 9 of 9 probes to 4 targets, nothing received for 0.6 s".into()),
        metric: Some(4),
        latency_ms: None,
        loss_percent: Some(100.0),
        since: 9,
        device: Some("pppoe-wan".into()),
        ..provider("dsl", "offline")
    };
    Status {
        enabled: true,
        active: Some("fiber".into()),
        active_since: Some(273_600),
        providers: vec![fiber, lte, dsl],
        ..Status::default()
    }
}

#[test]
fn a_status_fits_on_a_terminal() {
    let mut status = three();
    status.warnings =
        vec!["provider 'cable' has the device of provider 'dsl', so a failure of one is a failure of both".into()];
    status.overridden_by = vec!["default via 10.8.0.1 dev tun0 metric 0".into()];
    status.config_errors =
        vec!["/etc/config/failover:14: provider 'lte': interval '0' must be between 50ms and 1h".into()];
    let expected = "\
online through fiber for 3d 4h, 12 ms

NAME   STATE    ROLE     DEVICE     GATEWAY      METRIC  LATENCY  LOSS  SINCE
fiber  online   active   eth1       192.168.1.1       2    12 ms    0%  3d 4h
lte    online   standby  wwan0      -                 3    49 ms  2.5%  2m 5s
dsl    offline  -        pppoe-wan  192.168.1.1       4        -  100%     9s

lte (Überall-LTE): takes over again in 42s
dsl: lost 9 of 9 probes to 4 targets, nothing received for 0.6 s
warning: provider 'cable' has the device of provider 'dsl', so a failure of one
  is a failure of both
overridden by: default via 10.8.0.1 dev tun0 metric 0
the configuration was refused, the one before it is in force:
/etc/config/failover:14: provider 'lte': interval '0' must be between 50ms and
  1h
";
    assert_eq!(render(&status, 80, false), expected);
}

#[test]
fn shares_rules_and_what_is_left_behind() {
    let mut status = three();
    let [fiber, lte, dsl] = status.providers.as_mut_slice() else { unreachable!() };
    (fiber.share_percent, lte.share_percent) = (Some(75.0), Some(25.0));
    (lte.active, lte.failback_in, lte.metric, lte.drain_in) = (true, None, Some(2), Some(480));
    dsl.stranded = vec!["198.51.100.7".into(), "198.51.100.8".into()];
    let apart = ProviderStatus { default: false, metric: None, ..provider("apart", "online") };
    status.providers.push(apart);
    status.marks = Some("on".into());
    let rule = |name: &str, provider: Option<&str>, fallback: &str| RuleStatus {
        name: name.into(),
        provider: provider.map(Into::into),
        fallback: fallback.into(),
    };
    status.rules = vec![
        rule("voip", Some("lte"), "unreachable"),
        rule("bank", None, "unreachable"),
        rule("games", None, "default"),
        rule("#4", Some("lte"), "default"),
    ];
    status.rules.extend((0..990).map(|number| rule(&format!("r{number}"), Some("fiber"), "default")));
    let expected = "\
online through fiber and lte for 3d 4h

NAME   STATE    ROLE        DEVICE     GATEWAY      METRIC  LATENCY  LOSS  SINCE
fiber  online   active 75%  eth1       192.168.1.1       2    12 ms    0%  3d 4h
lte    online   active 25%  wwan0      -                 2    49 ms  2.5%  2m 5s
dsl    offline  -           pppoe-wan  192.168.1.1       4        -  100%     9s
apart  online   -           eth1       192.168.1.1       -    12 ms    0%  3d 4h

lte (Überall-LTE): its connections are forgotten in 8m
dsl: lost 9 of 9 probes to 4 targets, nothing received for 0.6 s
dsl: other programs' routes still lead there: 198.51.100.7, 198.51.100.8
connections are marked with their provider
rules through lte: voip, #4
rules without a reliable provider, unreachable: bank
rules without a reliable provider, as other traffic: games
rules through fiber: r0, r1, r2, r3, r4, r5, r6, r7, r8, r9 and 980 more
";
    assert_eq!(render(&status, 80, false), expected);
    status.marks = Some("failed".into());
    assert!(!render(&status, 80, false).contains("rules"), "nothing follows them: a warning says so");
}

#[test]
fn the_sentence_tells_what_is_wrong() {
    let none = Status { enabled: true, ..Status::default() };
    let with = |state: &str, other: &str| Status {
        enabled: true,
        active_since: Some(60),
        providers: vec![ProviderStatus { active: true, ..provider("a", state) }, provider("b", other)],
        ..Status::default()
    };
    let mut pinned = with("offline", "online");
    pinned.pin = Some("a".into());
    let mut degraded = with("degraded", "offline");
    degraded.providers[0].reliable = true;
    let mut unresolved = with("unresolved", "unresolved");
    unresolved.providers[0].active = false;
    for (status, expected) in [
        (Status::default(), "disabled by the configuration (option enabled '0')"),
        (none, "no provider is configured"),
        (unresolved, "offline: no provider has a device with carrier, address and gateway"),
        (with("checking", "checking"), "checking; a is used meanwhile for 1m"),
        (with("offline", "offline"), "no provider is reliable; a is used for 1m without proof"),
        (with("online", "offline"), "online through a for 1m, 12 ms"),
        (degraded, "degraded through a for 1m, 12 ms"),
        (pinned, "a is used for 1m although it is offline, pinned"),
    ] {
        assert_eq!(render(&status, 80, false).lines().next(), Some(expected));
    }
}

#[test]
fn a_suspect_target_is_named_once() {
    let target = |target: &str, suspect| TargetStatus { target: target.into(), suspect, ..TargetStatus::default() };
    let targets = vec![target("192.0.2.1", true), target("192.0.2.2", false)];
    let tests = vec![TestStatus { name: "internet".into(), kind: "ping".into(), targets }];
    let mut status = three();
    for provider in &mut status.providers[..2] {
        provider.tests.clone_from(&tests);
    }
    let told = render(&status, 80, false);
    let about: Vec<&str> = told.lines().filter(|line| line.contains("192.0.2.")).collect();
    assert_eq!(about, ["test internet: 192.0.2.1 is suspect, it answers nowhere and is asked last"]);
}

#[test]
fn the_widest_values_fit_and_lose_their_tails_alone() {
    let mut status = three();
    status.providers = (0..16)
        .map(|number| ProviderStatus {
            name: format!("a_very_long_provider_name_{number}"),
            device: Some("a-device-name-15".into()),
            gateway: Some("2001:db8:1111:2222:3333:4444:5555:6666".into()),
            metric: Some(100_015),
            latency_ms: Some(1999.0),
            loss_percent: Some(100.0),
            since: 86_400 * 365 + 82_800,
            ..provider("", "unresolved")
        })
        .collect();
    let text = render(&status, 80, false);
    assert_eq!(text.lines().count(), 19);
    let row = text.lines().nth(3).unwrap();
    assert_eq!(row, "a_very_…e_0 unresolved -    a-devic…-15 2001:db…666 100015   2.0 s 100% 365d 23h", "{text}");
    assert!(text.lines().all(|line| width(line) <= 80));
}

#[test]
fn a_narrow_terminal_sees_the_state_to_the_last() {
    let text = render(&three(), 24, false);
    assert!(text.contains("\nfiber  online   "), "{text}");
    assert!(text.lines().all(|line| width(line) <= 24), "{text}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let (plain, coloured) = (render(&three(), 80, false), render(&three(), 80, true));
    assert!(!plain.contains('\x1b'));
    assert!(coloured.contains("\x1b[32monline\x1b[0m"));
    assert!(coloured.contains("\x1b[31moffline\x1b[0m"));
    assert_eq!(strip(&coloured), plain);
}

fn strip(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

#[test]
fn names_cannot_command_the_terminal() {
    let mut status = three();
    status.providers[2].reason = Some("\x1b]0;title\x07 and\n\x1b[2J".into());
    status.providers[2].name = "ds\x1b[31ml".into();
    status.warnings = vec!["two\r\nlines".into()];
    let text = render(&status, 80, false);
    assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
}

#[test]
fn a_history_is_a_table_too() {
    let reason = "lost 9 of 9 probes to 4 targets, nothing received for 0.6 s, and this goes on";
    let entry = |ago, ok| HistoryEntry { ago, ok, latency_ms: Some(12.3), sent: 1, ..HistoryEntry::default() };
    let failed = HistoryEntry {
        latency_ms: None,
        sent: 9,
        loss_percent: 100.0,
        reason: Some(reason.into()),
        ..entry(125, false)
    };
    let history = History { provider: "fiber".into(), checks: vec![entry(1, true), failed] };
    let expected = "\
fiber: 2 checks, 1 failed

  AGO RESULT LATENCY LOSS PROBES REASON
   1s ok       12 ms   0%      1
2m 5s failed       - 100%      9 lost 9 of 9 probes to 4 targets, nothing recei…
";
    assert_eq!(render_history(&history, 80, false), expected);
    let empty = History { provider: "fiber".into(), checks: vec![] };
    assert_eq!(render_history(&empty, 80, false), "fiber: not checked yet\n");
}

#[test]
fn why_is_a_line_and_a_paragraph_per_provider() {
    let answer = serde_json::json!({
        "reliable": true, "sentence": "Online through fiber for 3d 4h, 12 ms.", "switches": 2,
        "providers": [
            { "name": "fiber", "sentences": ["fiber has been online for 3d 4h: 12 ms, 0% lost.", "If it fails, lte takes over."] },
            { "name": "lte", "sentences": ["lte is \u{1b}[31m disabled."] },
        ],
    });
    let expected = "\
Online through fiber for 3d 4h, 12 ms.

fiber has been online for 3d 4h: 12 ms, 0% lost. If
  it fails, lte takes over.

lte is [31m disabled.

switches within the last hour: 2
";
    assert_eq!(render_why(&answer, 52, false), expected);
    assert_eq!(strip(&render_why(&answer, 52, true)), expected);
    assert_eq!(render_why(&Value::Null, 52, false), "\n", "of another version");
}

fn any_provider() -> impl Strategy<Value = ProviderStatus> {
    let words = (".{0,40}", "online|offline|checking|degraded|no_carrier|unresolved|disabled", ".{0,90}", ".{0,50}");
    let numbers = (any::<u64>(), any::<Option<u32>>(), any::<Option<f64>>(), any::<Option<f64>>());
    (words, numbers, any::<(bool, bool)>()).prop_map(|((name, state, reason, gateway), numbers, flags)| {
        ProviderStatus {
            name: name.clone(),
            state,
            reason: Some(reason),
            description: Some(gateway.clone()),
            gateway: Some(gateway),
            device: Some(name),
            since: numbers.0,
            metric: numbers.1,
            latency_ms: numbers.2,
            loss_percent: numbers.3,
            active: flags.0,
            reliable: flags.1,
            ..ProviderStatus::default()
        }
    })
}

proptest! {
    #[test]
    fn every_line_of_every_status_fits(
        providers in proptest::collection::vec(any_provider(), 0..6),
        warnings in proptest::collection::vec(".{0,200}", 0..3),
        room in 30usize..130,
    ) {
        let status = Status { enabled: true, providers, warnings, active_since: Some(5), ..Status::default() };
        let text = render(&status, room, false);
        for line in text.lines() {
            prop_assert!(width(line) <= room, "{} columns: {:?}", width(line), line);
        }
        prop_assert_eq!(strip(&render(&status, room, true)), text);
    }
}
