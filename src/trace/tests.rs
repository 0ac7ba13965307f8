//! Tables: lines and what they say, traces and what is wrong with them, a line's past and what it means for a probe.

use std::time::Duration;

use super::refusal::{write_refusal, write_resolved};
use super::words::{read_refusal, read_resolved};
use super::*;
use crate::event::Resolved;
use crate::moment::Moment;
use crate::reason::{Refusal, Wrong};
use crate::settings;

const HEAD: &str = "failoverd-trace 1 5000000000 7\n";

fn at(millis: u64) -> Moment {
    Moment::from_nanos(5_000_000_000 + millis * 1_000_000)
}

#[test]
fn facts_come_back_from_their_lines() {
    for line in [
        "provider fiber 1",
        "uplink fiber 7 1 192.168.1.1",
        "uplink ppp 9 3 -",
        "uplink lte no_carrier",
        "probe fiber 17 ping 1.1.1.1",
        "probe fiber 18 dns [2606:4700::1111]:53",
        "answer 17 19876",
        "refused 18 unreachable 1 10.0.0.1",
        "refused 18 not_sent Network is down (100)",
        "refused 18 portal 302 login.example",
        "refused 18 portal 200 -",
        "refused 18 wrong_answer",
        "refused 18 no_neighbour 10.0.0.1",
        "refused 18 no_gateway",
        "refused 18 script 3",
        "refused 18 script -1",
        "received fiber 0 failed",
        "received fiber - unknown",
        "received fiber 12 reachable",
        "received fiber 0 asked1500",
        "resolved fiber example.org 300 93.184.216.34 93.184.216.35",
        "resolved fiber example.org - no answer from 10.0.0.1",
        "before lte",
        "active fiber",
        "active -",
        "switch fiber lte lost_probes",
        "switch - lte best",
        "switch lte - no_uplink",
        "pin lte",
        "pin -",
        "check -",
        "reload",
        "stop",
    ] {
        let fact = Fact::read(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(fact.to_string(), line);
    }
    for (line, why) in [
        ("", "nothing"),
        ("stop now", "more than there is to say"),
        ("probe fiber 17 ping", "no target"),
        ("probe fiber x ping 1.1.1.1", "no number"),
        ("answer 17 -1", "before it was sent"),
        ("answer 17  5", "two blanks"),
        ("uplink fiber 7 1 nowhere", "no address"),
        ("frobnicate", "no fact"),
    ] {
        assert_eq!(Fact::read(line), None, "{line}: {why}");
    }
}

#[test]
fn where_a_portal_leads_to_stays_secret_but_for_its_host() {
    let location = Some("http://login.example:8080/?mac=00:11:22:33:44:55&token=secret".to_owned());
    assert_eq!(write_refusal(&Refusal::Portal { status: 302, location }), "portal 302 login.example:8080");
}

#[test]
fn causes_keep_their_codes() {
    let address = IpAddr::from([10, 0, 0, 1]);
    let portal = |location: Option<&str>| Refusal::Portal { status: 302, location: location.map(str::to_owned) };
    for cause in [
        Refusal::Unreachable { code: 1, from: address },
        Refusal::NotSent("Network is down (100)".to_owned()),
        portal(Some("http://login.example/")),
        portal(None),
        Refusal::Wrong(Wrong::Garbage),
        Refusal::NoNeighbour(address),
        Refusal::NoGateway,
        Refusal::Script { status: Some(3) },
        Refusal::Script { status: None },
    ] {
        assert_eq!(read_refusal(&write_refusal(&cause)), cause);
    }
    assert_eq!(read_refusal("tired of it"), Refusal::NotSent("of it".to_owned()), "what nobody knows");
    for outcome in [
        Ok(Resolved { addresses: vec![address, IpAddr::from([10, 0, 0, 2])], ttl: Duration::from_secs(300) }),
        Err("no answer from 10.0.0.1".to_owned()),
    ] {
        assert_eq!(read_resolved(&write_resolved(&outcome)), outcome);
    }
}

#[test]
fn problems_are_told_with_their_line() {
    let provider = "0.000001 provider a 1\n";
    for (lines, line, want) in [
        ("", 1, "this is no trace of failoverd"),
        ("config failover\n", 1, "this is no trace of failoverd"),
        ("failoverd-trace 2 5 7\n", 1, "this is no trace of failoverd"),
        ("failoverd-trace 1 5\n", 1, "this is no trace of failoverd"),
        ("HEAD0.000000\n", 2, "a time and a fact are missing"),
        ("HEAD1.5 stop\n", 2, "this is no time"),
        ("HEAD99999999999999999999.000000 stop\n", 2, "this is no time"),
        ("HEAD1.000000 halt\n", 2, "this makes no sense"),
        ("HEADPROVIDER0.000000 stop\n", 3, "time goes backwards"),
        ("HEAD0.000000 uplink a no_carrier\n", 2, "there is no such provider"),
        ("HEADPROVIDER1.000000 probe b 1 ping 1.1.1.1\n", 3, "there is no such provider"),
        (
            "HEADPROVIDER1.000000 probe a 2 ping 1.1.1.1\n1.000000 probe a 2 ping 1.1.1.1\n",
            4,
            "the number of a probe must be greater than the one before",
        ),
        ("HEADPROVIDERfailoverd-trace 1 6 8\n", 3, "another run begins here"),
    ] {
        let text = lines.replace("HEAD", HEAD).replace("PROVIDER", provider);
        let problem = Trace::read(&text).err();
        assert_eq!(problem.map(|it| (it.line, it.text)), Some((line, want)), "{lines}");
    }
    let many: String = (0..300).map(|it| format!("{it}.000000 probe a {} ping x{it}\n", it + 1)).collect();
    let many = format!("{HEAD}{provider}{many}").replace("0.000001", "0.000000");
    assert_eq!(Trace::read(&many).err().map(|it| (it.line, it.text)), Some((259, "there are too many targets")));
}

#[test]
fn what_a_crash_or_a_new_part_leaves_is_read() {
    let text = format!(
        "{HEAD}0.000000 provider a 1\n1.000000 answer 3 20000\n2.000000 probe a 4 ping 1.1.1.1\n\
         {HEAD}2.500000 provider a 1\n2.500000 uplink a 7 1 -\n2.600000 answer 4 600000\n3.000000 probe a 5 pi"
    );
    let trace = Trace::read(&text).unwrap();
    assert_eq!((trace.span, trace.probes), ((at(0), at(2600)), 1), "the last line is not whole");
    assert_eq!((trace.started, trace.seed, trace.providers.len()), (at(0), 7, 1));
    let fate = trace.providers[0].lines[0].fate(at(2000), "1.1.1.1");
    assert_eq!(fate, Fate::Answered(600_000), "across the parts; that to a probe before is nothing");
}

/// A line asked every 100 ms, its targets in turn: `+` answered after as many ms as its number, `-` lost, `u` refused.
fn line(targets: &[&'static str], script: &str) -> Line<'static> {
    let mut line = Line::new("ping");
    for (index, what) in (0..).zip(script.chars()) {
        let target = line.target(targets[usize::try_from(index).unwrap() % targets.len()]);
        let fate = match what {
            '+' => Fate::Answered(u32::try_from(index).unwrap()),
            'u' => Fate::Refused(Duration::ZERO, "no_gateway"),
            _ => Fate::Lost,
        };
        line.probe(at(index * 100), target, fate);
    }
    line.settle();
    line.begin();
    line
}

#[test]
fn a_probe_gets_the_fate_of_the_nearest() {
    for (targets, script, asked, target, want, why) in [
        (&["x"][..], "+++", 110, "x", "1", "the one before is nearer"),
        (&["x"], "+++", 190, "x", "2", "the one after is nearer"),
        (&["x", "y"], "++++", 200, "y", "1", "another target's is no matter"),
        (&["x", "y"], "++++", 190, "z", "2", "unless nothing is known of this one"),
        (&["x", "y"], "+-+-+-+-+-", 410, "y", "lost", "a dead target on a line that carries"),
        (&["x", "y"], "+-+-+-+-+-", 410, "x", "4", "and another one on it"),
        (&["x"], "+-+", 160, "x", "2", "a single loss is no outage"),
        (&["x"], "+-+", 140, "x", "lost", "it is a loss"),
        (&["x"], "+---+", 349, "x", "lost", "an outage lasts until an answer comes"),
        (&["x"], "+---+", 49, "x", "0", "and begins with the first loss"),
        (&["x"], "+---+", 51, "x", "lost", "give or take what a wake-up may take"),
        (&["x"], "+--uu+", 350, "x", "refused", "how it was at that time in the outage"),
        (&["x"], "+--uu+", 250, "x", "lost", "and before"),
        (&["x"], "---", 9000, "x", "lost", "it never ended"),
        (&["x"], "", 0, "x", "lost", "nothing is known"),
    ] {
        let fate = match line(targets, script).fate(at(asked), target) {
            Fate::Lost => "lost".to_owned(),
            Fate::Answered(after) => after.to_string(),
            Fate::Refused(..) => "refused".to_owned(),
        };
        assert_eq!(fate, want, "{script} at {asked}: {why}");
    }
}

#[test]
fn a_single_loss_is_no_outage_for_one_who_probes_more_often() {
    let line = line(&["x"], "+++++-+++++");
    let lost = (0..10).filter(|step| line.fate(at(410 + step * 20), "x") == Fate::Lost).count();
    assert_eq!(lost, 1);
}

#[test]
fn steps_are_where_a_line_ceases_to_carry() {
    let line = line(&["x"], "++---++");
    for (when, carries, next) in
        [(0, true, Some(200)), (200, false, Some(500)), (450, false, Some(500)), (500, true, None)]
    {
        assert_eq!((line.carries(at(when)), line.next_step(at(when))), (carries, next.map(at)), "{when}");
    }
}

/// An outage of two minutes of one of two providers, as somebody would write it down.
fn outage() -> String {
    let mut text = format!("{HEAD}0.000000 provider a 1\n0.000000 provider b 2\n");
    text += "0.001000 uplink a 7 1 10.0.0.1\n0.001000 uplink b 8 1 10.1.0.1\n0.001000 active a\n";
    let mut number = 0;
    for second in 0..300 {
        for name in ["a", "b"] {
            number += 1;
            text += &format!("{second}.500000 probe {name} {number} ping 1.1.1.1\n");
            if name == "b" || !(100..220).contains(&second) {
                text += &format!("{second}.500000 answer {number} 20000\n");
            }
        }
    }
    text
}

fn settings(more: &str) -> settings::Settings {
    let text = format!(
        "config failover settings\n{more}config provider a\n option device x\nconfig provider b\n option interface y\n"
    );
    settings::parse("failover", text.as_bytes()).unwrap().settings
}

#[test]
fn settings_decide_what_comes_of_an_outage() {
    let text = outage();
    let trace = Trace::read(&text).unwrap();
    for (more, want, why) in [
        ("", &[("b", "lost_probes"), ("a", "best")][..], "shipped: there and back"),
        (" option down 1000\n", &[], "an outage that nobody minds"),
        (" option failback manual\n", &[("b", "lost_probes")], "there"),
        (" option pin b\n", &[("b", "pinned")], "never on it"),
        (" option failback_delay 600\n", &[("b", "lost_probes")], "not yet back"),
        (" option enabled 0\n", &[], "nothing is done"),
    ] {
        let outcome = simulate(&trace, settings(more));
        let said: Vec<_> =
            outcome.switches.iter().map(|(_, it)| (it.to.as_deref().unwrap(), it.reason_code.unwrap())).collect();
        assert_eq!(said, want, "{why}");
        assert!(
            outcome.switches.first().is_none_or(
                |(when, it)| it.reason_code == Some("pinned") || when.since(at(99_500)) < Duration::from_secs(3)
            ),
            "{why}"
        );
        assert_eq!(outcome.guessed, 0, "{why}");
    }
}

#[test]
fn an_account_is_given() {
    let text = outage();
    let trace = Trace::read(&text).unwrap();
    let told = report("trace", &trace, &simulate(&trace, settings("")));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "trace: 299.5 s, 2 providers, 600 probes");
    assert!(lines[1].ends_with(" s  a -> b  a: lost 9 of 9 probes to 4 targets, nothing received for 0.6 s"), "{told}");
    assert!(lines[2].contains(" s  b -> a  the most preferred"), "{told}");
    let rows: Vec<Vec<&str>> = lines[3..].iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["recorded", "simulated"]);
    assert_eq!(rows[1], ["switches", "0", "2"]);
    assert_eq!(rows[2][..3], ["offline", "120.0", "s"], "{told}");
    assert!(rows[2][3].parse::<f64>().unwrap() < 2.0, "{told}");
    assert_eq!(rows[3], ["no", "provider", "active", "0.0", "s", "0.0", "s"]);
    assert_eq!((rows[4][0], rows[4][1], rows[5][0], rows[5][1]), ("a", "299.5", "b", "0.0"), "{told}");
    assert_eq!(lines.len(), 9, "{told}");
}

#[test]
fn a_number_that_was_another_ones_before_is_the_new_ones() {
    use super::Recorder;
    use crate::core::Core;
    use crate::event::{Event, Neighbour, ProviderId, State};
    let of = |name: &str| settings::parse("failover", format!("config provider {name}\n option device x\n").as_bytes());
    let mut core = Core::new(at(0), of("a").unwrap().settings, State::default(), 7);
    let mut recorder = Recorder::new(at(0), 7, None);
    for (name, number) in [("a", 1), ("c", 2), ("d", 1)] {
        let told = Event::Received { provider: ProviderId(number), packets: None, gateway: Neighbour::Unknown };
        let event = Event::Reload(Box::new(of(name).unwrap().settings));
        let actions = core.handle(at(0), event);
        recorder.outcome(at(0), &actions, &core);
        recorder.event(at(0), &told);
        let text = recorder.take();
        assert!(text.ends_with(&format!("received {name} - unknown\n")), "{text}");
    }
}
