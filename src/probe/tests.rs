mod targets;

use super::*;
use crate::settings::tests::shipped;
use crate::settings::{CheckSettings, Host};

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(1, 1, 1, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(8, 8, 8, 8));
/// A script is asked without an address.
const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 1));

/// A prober in virtual time, with everything it asked for.
struct Bench {
    now: Moment,
    prober: Prober,
    random: Random,
    limits: CheckSettings,
    sent: Vec<(Moment, ProbeToken, IpAddr)>,
    done: Vec<Check>,
    /// Of the checks that failed, the test that was named.
    named: Vec<Option<usize>>,
    /// Target and test, with an `!` if missed.
    heard: Vec<String>,
    watching: bool,
    counted: bool,
    received: Option<u32>,
    gateway: Neighbour,
}

impl Bench {
    fn new(tests: Vec<Vec<IpAddr>>) -> Self {
        let mut random = Random::new(1);
        let targets: Vec<Vec<Target>> =
            tests.into_iter().map(|test| test.into_iter().map(Target::from).collect()).collect();
        Self {
            now: Moment::from_nanos(0),
            prober: Prober::new(7, targets.iter().map(Vec::as_slice).collect(), &mut random),
            random,
            limits: shipped(),
            sent: vec![],
            done: vec![],
            named: vec![],
            heard: vec![],
            watching: false,
            counted: false,
            received: Some(0),
            gateway: Neighbour::Unknown,
        }
    }

    fn carry_out(&mut self, mut steps: Vec<Step>) {
        while !steps.is_empty() {
            let mut more = vec![];
            for step in steps.drain(..) {
                match step {
                    Step::Send(token, aim) => self.sent.push((self.now, token, aim.address.unwrap_or(NOWHERE))),
                    Step::Watch => self.watching = true,
                    Step::Unwatch => self.watching = false,
                    Step::Count => {
                        self.counted = true;
                        assert!(self.watching, "nothing can be counted that was not watched");
                        self.prober.received(
                            self.now,
                            self.received,
                            Some((GATEWAY, self.gateway)),
                            &mut self.random,
                            &mut more,
                        );
                    }
                    Step::Done(check, named) => {
                        self.named.extend(check.failure.as_ref().map(|_| named));
                        self.done.push(check);
                    }
                    Step::Heard { test, target, answered } => {
                        self.heard.push(format!("{test}.{target}{}", if answered { "" } else { "!" }));
                    }
                }
            }
            steps = more;
        }
    }

    fn begin(&mut self) {
        let mut steps = vec![];
        self.prober.begin(self.now, &self.limits, &mut self.random, &mut steps);
        self.carry_out(steps);
    }

    /// Lets time pass, from deadline to deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.prober.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            let mut steps = vec![];
            self.prober.tick(self.now, &mut self.random, &mut steps);
            self.carry_out(steps);
        }
        self.now = end;
    }

    fn answer(&mut self, index: usize) {
        let (_, token, target) = self.sent[index];
        let mut steps = vec![];
        self.prober.answered(self.now, Some(target), token, &mut steps);
        self.carry_out(steps);
    }

    fn refuse(&mut self, index: usize, cause: &Refusal) {
        let (_, token, target) = self.sent[index];
        let mut steps = vec![];
        self.prober.refused(self.now, token.id, token.sequence, Some(target), cause, &mut steps);
        let mut more = vec![];
        self.prober.tick(self.now, &mut self.random, &mut more);
        steps.extend(more);
        self.carry_out(steps);
    }

    /// Teaches the prober a round trip of 10 ms.
    fn warm(mut self) -> Self {
        for _ in 0..40 {
            let first = self.sent.len();
            self.begin();
            self.pass(Duration::from_millis(10));
            (first..self.sent.len()).for_each(|index| self.answer(index));
            self.pass(Duration::from_millis(990));
        }
        self.sent.clear();
        self.done.clear();
        self.heard.clear();
        self
    }
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

#[test]
fn a_healthy_line_costs_one_packet_per_check() {
    let mut bench = Bench::new(vec![vec![A, B]]);
    bench.begin();
    bench.pass(Duration::from_millis(12));
    bench.answer(0);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.sent.len(), 1);
    let check = &bench.done[0];
    assert_eq!((check.failure.clone(), check.latency, check.first_lost), (None, Some(Duration::from_millis(12)), 0));
    assert!(!bench.watching);
}

#[test]
fn a_dead_line_is_certain_after_the_burst() {
    let mut bench = Bench::new(vec![vec![A, B]]).warm();
    let start = bench.now;
    bench.begin();
    bench.pass(Duration::from_secs(3));
    let times: Vec<_> = bench.sent.iter().map(|(at, ..)| millis(at.since(start))).collect();
    assert_eq!(times, [0, 100, 150, 200, 250, 300, 350, 400, 450]);
    assert!(bench.sent.windows(2).all(|pair| pair[0].2 != pair[1].2), "each attempt goes to the next target");
    let check = &bench.done[0];
    assert_eq!(millis(check.at.since(start)), 650);
    assert_eq!(
        check.failure.as_ref().map(ToString::to_string).unwrap(),
        "lost 9 of 9 probes to 2 targets, nothing received for 0.6 s"
    );
    assert!(!bench.watching, "the counter is closed");
}

#[test]
fn any_answer_ends_the_suspicion() {
    for (index, why) in [(0, "the first probe's, late"), (3, "an attempt's")] {
        let mut bench = Bench::new(vec![vec![A, B]]).warm();
        bench.begin();
        bench.pass(Duration::from_millis(320));
        bench.answer(index);
        assert_eq!(bench.done.len(), 1, "{why}");
        assert_eq!(bench.done[0].failure, None, "{why}");
        assert!(!bench.watching, "{why}");
    }
}

#[test]
fn a_receiving_line_is_given_until_timeout() {
    for (received, answered, why) in [
        (Some(80), Some(1500), "a full queue that adds 1.5 s"),
        (Some(80), None, "upstream dead, downstream alive"),
        (None, None, "the count could not be had"),
    ] {
        let mut bench = Bench::new(vec![vec![A, B]]).warm();
        bench.received = received;
        let start = bench.now;
        bench.begin();
        bench.pass(Duration::from_millis(1500));
        assert!(bench.done.is_empty(), "{why}: not certain yet");
        if answered.is_some() {
            bench.answer(0);
        }
        bench.pass(Duration::from_secs(2));
        assert_eq!(bench.done[0].failure.is_none(), answered.is_some(), "{why}");
        if answered.is_none() {
            assert_eq!(millis(bench.done[0].at.since(start)), 2000, "{why}");
        }
    }
}

#[test]
fn a_line_that_begins_to_receive_is_looked_at_again() {
    for (received, verdict, why) in [
        (&[0][..], 650, "nothing came: dead"),
        (&[1, 1], 750, "a single packet costs one more wait"),
        (&[1, 2, 3, 4, 4], 1050, "each that is new another one"),
        (&[1, 3, 5], 2000, "answers to the burst, or to the first step of a test that takes two: slow"),
    ] {
        let mut bench = Bench::new(vec![vec![A, B]]).warm();
        let (start, mut received) = (bench.now, received.iter());
        bench.begin();
        while bench.done.is_empty() {
            // Asked for once at each deadline from the first judgement on.
            if millis(bench.now.since(start)) >= 649 && millis(bench.now.since(start)) % 100 == 49 {
                bench.received = Some(received.next().copied().unwrap_or(9));
            }
            bench.pass(Duration::from_millis(1));
        }
        assert_eq!(millis(bench.done[0].at.since(start)), verdict, "{why}");
    }
}

#[test]
fn few_attempts_wait_no_longer_than_timeout() {
    let mut bench = Bench::new(vec![vec![A, B]]).warm();
    bench.limits.attempts = 1;
    bench.limits.timeout = Duration::from_millis(400);
    let start = bench.now;
    bench.begin();
    bench.pass(Duration::from_secs(1));
    assert_eq!(millis(bench.done[0].at.since(start)), 400);
}

#[test]
fn the_window_is_as_long_as_configured() {
    let mut bench = Bench::new(vec![vec![A]]);
    for (size, checks, want) in [(1000, 1100, 1000), (20, 1, 20), (1000, 7, 27)] {
        bench.limits.quality_window = size;
        for _ in 0..checks {
            bench.begin();
            bench.pass(Duration::from_millis(10));
            bench.answer(bench.sent.len() - 1);
            bench.pass(Duration::from_millis(90));
        }
        assert_eq!(bench.prober.window().tally(bench.now, bench.limits.timeout, None).counted, want, "{size}");
    }
}

#[test]
fn spreads_of_latency_and_jitter() {
    let mut bench = Bench::new(vec![vec![A, B]]);
    assert_eq!(bench.prober.window().spreads(), None);
    let told = |bench: &Bench| {
        let (latency, jitter) = bench.prober.window().spreads().unwrap();
        [latency, jitter].map(|it| [it.min, it.median, it.max].map(millis))
    };
    // One target is near and steady, the other far and less so.
    for (latency, want) in [
        (10, [[10, 10, 10], [0, 0, 0]]),
        (50, [[10, 10, 50], [0, 0, 0]]),
        (11, [[10, 11, 50], [1, 1, 1]]),
        (70, [[10, 11, 70], [1, 1, 20]]),
        (11, [[10, 11, 70], [0, 1, 20]]),
    ] {
        bench.begin();
        bench.pass(Duration::from_millis(latency));
        bench.answer(bench.sent.len() - 1);
        bench.pass(Duration::from_secs(1));
        assert_eq!(told(&bench), want);
    }
}

#[test]
fn an_outage_that_is_over_is_forgiven() {
    let mut bench = Bench::new(vec![vec![A]]).warm();
    let loss = |bench: &Bench| {
        let tally = bench.prober.window().tally(bench.now, bench.limits.timeout, None);
        (tally.lost, tally.counted)
    };
    // The first probe is lost, and an attempt answered.
    bench.begin();
    bench.pass(Duration::from_millis(120));
    bench.answer(1);
    bench.pass(Duration::from_secs(1));
    assert_eq!(loss(&bench), (0, 40), "it may still come");
    for _ in 0..3 {
        bench.begin();
        bench.pass(Duration::from_secs(3));
    }
    assert_eq!(loss(&bench), (4, 44));
    bench.prober.forgive();
    assert_eq!(loss(&bench), (1, 41), "what was lost while the line worked stays lost");
    bench.prober.begin_anew();
    assert_eq!(loss(&bench), (0, 40), "unless it was another link");
}

#[test]
fn only_the_right_answer_counts() {
    let mut bench = Bench::new(vec![vec![A]]).warm();
    bench.begin();
    let (_, token, target) = bench.sent[0];
    for (source, wrong, why) in [
        (B, token, "from somebody else"),
        (target, ProbeToken { id: token.id ^ 1, ..token }, "another id"),
        (target, ProbeToken { sequence: token.sequence ^ 1, ..token }, "another sequence"),
        (target, ProbeToken { cookie: token.cookie ^ 1, ..token }, "another cookie"),
    ] {
        let mut steps = vec![];
        bench.prober.answered(bench.now, Some(source), wrong, &mut steps);
        assert_eq!(steps, [], "{why}");
    }
    bench.answer(0);
    assert_eq!(bench.done.len(), 1);
}

#[test]
fn nothing_counts_across_a_lost_link() {
    let mut bench = Bench::new(vec![vec![A]]).warm();
    bench.begin();
    bench.pass(Duration::from_millis(200));
    let mut steps = vec![];
    bench.prober.invalidate(8, &mut steps);
    assert_eq!(steps, [Step::Unwatch]);
    bench.carry_out(steps);
    bench.answer(0);
    assert_eq!(bench.done, [], "the old probe is forgotten");
    bench.begin();
    assert_eq!(bench.sent.last().unwrap().1.id, 8, "new probes carry the new id");
}

#[test]
fn an_icmp_error_counts_at_once() {
    let mut bench = Bench::new(vec![vec![A, B]]).warm();
    let start = bench.now;
    bench.begin();
    let mut refused = 0;
    while bench.done.is_empty() {
        while refused < bench.sent.len() {
            bench.refuse(refused, &Refusal::Unreachable { code: 1, from: A });
            refused += 1;
        }
        bench.pass(Duration::from_millis(1));
    }
    assert_eq!(bench.sent.len(), 9);
    assert!(bench.done[0].at.since(start) < Duration::from_millis(360), "no wait for the first, none for the last");
    assert_eq!(bench.done[0].failure.as_ref().unwrap().to_string(), "1.1.1.1 says host unreachable (9 of 9 probes)");
}

#[test]
fn required_tests() {
    for (required, answered, want, why) in [
        (Required::Count(1), 1, true, "one of two is enough"),
        (Required::All, 1, false, "all means both"),
        (Required::All, 2, true, "and both do"),
        (Required::Count(2), 1, false, "two are required"),
    ] {
        let mut bench = Bench::new(vec![vec![A], vec![B]]).warm();
        bench.limits.required = required;
        bench.begin();
        (0..answered).for_each(|index| bench.answer(index));
        bench.pass(Duration::from_secs(3));
        assert_eq!(bench.done[0].failure.is_none(), want, "{why}");
    }
}

#[test]
fn loss_and_latency_come_from_first_probes_and_late_answers_count() {
    let mut bench = Bench::new(vec![vec![A, B]]);
    for lost in [false, true, false, false] {
        bench.begin();
        let first = bench.sent.len() - 1;
        bench.pass(Duration::from_millis(10));
        if !lost {
            bench.answer(first);
        }
        bench.pass(Duration::from_secs(3));
    }
    let loss = |bench: &Bench| {
        let tally = bench.prober.window().tally(bench.now, bench.limits.timeout, None);
        (tally.lost, tally.counted)
    };
    assert_eq!(loss(&bench), (1, 4));
    bench.answer(1);
    assert_eq!(loss(&bench), (0, 4), "un-lost");
}

#[test]
fn with_no_attempts_the_first_probe_has_until_timeout() {
    let mut bench = Bench::new(vec![vec![A]]).warm();
    bench.limits.attempts = 0;
    let start = bench.now;
    bench.begin();
    bench.pass(Duration::from_secs(3));
    assert_eq!((bench.sent.len(), millis(bench.done[0].at.since(start))), (1, 2000));
}

#[test]
fn every_target_is_told_apart() {
    let mut bench = Bench::new(vec![vec![A], vec![A, B]]);
    bench.limits.required = Required::All;
    for (answered, latency) in [(2, 10), (2, 30), (0, 0)] {
        bench.begin();
        let first = bench.sent.len() - 2;
        bench.pass(Duration::from_millis(latency));
        (0..answered).for_each(|index| bench.answer(first + index));
        bench.pass(Duration::from_secs(3));
    }
    let to_b = bench.sent.iter().filter(|(.., target)| *target == B).count();
    assert!(to_b > 1, "the second test takes turns");
    let tally = |bench: &Bench, target| bench.prober.window().tally(bench.now, bench.limits.timeout, target);
    let (all, a, b) = (tally(&bench, None), tally(&bench, Some((0, 0))), tally(&bench, Some((1, 1))));
    assert_eq!((all.lost, all.counted), (2, 6), "two tests, three checks");
    let b_lost = b.lost + tally(&bench, Some((1, 0))).lost;
    assert_eq!((a.lost + b_lost, a.counted), (2, 3), "each probe is of one target of one test");
    let (at, latency) = a.answer.unwrap();
    assert_eq!(
        (millis(latency), millis(bench.now.since(at))),
        (30, 6000),
        "the last answer's, whatever was lost since"
    );
    bench.begin();
    assert_eq!(tally(&bench, None), all, "what may still be answered is not counted");
    let mut steps = vec![];
    bench.prober.invalidate(8, &mut steps);
    bench.pass(Duration::from_secs(3));
    assert_eq!(tally(&bench, None), all, "nor what was sent across a lost link");
    assert_eq!(tally(&bench, Some((2, 0))), Tally::default(), "a stranger");
}

/// Scripts for these targets, alone or with a ping of `A`.
fn scripted(targets: &[&str], ping: bool) -> Bench {
    let mut random = Random::new(1);
    let script: Vec<Target> = targets.iter().map(|text| Target::of(Host::Text((*text).to_owned()))).collect();
    let ping = ping.then(|| vec![Target::from(A)]);
    let tests = ping.iter().map(Vec::as_slice).chain([script.as_slice()]).collect();
    let mut bench = Bench::new(vec![]);
    bench.prober = Prober::new(7, tests, &mut random);
    bench
}

const NO: Refusal = Refusal::Script { status: Some(1) };
const KILLED: Refusal = Refusal::Script { status: None };

#[test]
fn scripts_are_asked_one_after_the_other() {
    let second = |count| Duration::from_secs(count);
    for (targets, attempts, fates, want, why) in [
        (&["a"][..], 8, &[(second(1), None)][..], Ok(1), "it may take its time"),
        (&["a"], 8, &[(second(1), Some(NO))], Err("the script ended with status 1 (1 of 1 probes)"), "no is no"),
        (&["a", "b"], 8, &[(second(1), Some(NO)), (second(1), None)], Ok(2), "any target will do"),
        (&["a", "b"], 8, &[(second(2), Some(KILLED)), (second(1), None)], Ok(3), "also if one hangs"),
        (
            &["a", "b", "c"],
            8,
            &[(second(2), Some(KILLED)), (second(1), Some(NO)), (second(2), Some(KILLED))],
            Err("the script was killed (3 of 3 probes)"),
            "each target once",
        ),
        (&["a", "b"], 0, &[(second(1), Some(NO))], Err("the script ended with status 1 (1 of 1 probes)"), "attempts 0"),
    ] {
        let mut bench = scripted(targets, false);
        bench.limits.attempts = attempts;
        let start = bench.now;
        bench.begin();
        for (index, (time, refusal)) in fates.iter().enumerate() {
            assert_eq!(bench.sent.len(), index + 1, "{why}: one at a time");
            bench.pass(*time);
            let (_, token, _) = bench.sent[index];
            let mut steps = vec![];
            match refusal {
                Some(cause) => bench.prober.refused(bench.now, token.id, token.sequence, None, cause, &mut steps),
                None => bench.prober.answered(bench.now, None, token, &mut steps),
            }
            bench.carry_out(steps);
            bench.pass(Duration::ZERO);
        }
        let [check] = bench.done.as_slice() else { panic!("{why}: {:?}", bench.done) };
        let failure = check.failure.as_ref().map(ToString::to_string);
        match want {
            Ok(after) => assert_eq!((failure, check.at.since(start)), (None, second(after)), "{why}"),
            Err(reason) => assert_eq!(failure.as_deref(), Some(reason), "{why}"),
        }
        assert!(!bench.counted, "{why}: nothing that is received says what a script will say");
        assert_eq!(
            (check.latency, bench.prober.window().latency()),
            (None, None),
            "{why}: how long it takes is no latency"
        );
    }
}

#[test]
fn a_script_that_nobody_tells_of_is_given_up() {
    let mut bench = scripted(&["a"], false);
    let start = bench.now;
    bench.begin();
    bench.pass(Duration::from_secs(5));
    assert_eq!(millis(bench.done[0].at.since(start)), 2500);
    assert_eq!(bench.done[0].failure.as_ref().unwrap().to_string(), "lost 1 of 1 probes to 1 target within 2.5 s");
}

#[test]
fn a_slow_script_beside_a_ping_loses_nothing() {
    let mut bench = scripted(&["a"], true);
    bench.begin();
    bench.pass(Duration::from_millis(10));
    bench.answer(0);
    let check = &bench.done[0];
    assert_eq!((&check.failure, check.first, check.first_lost), (&None, 2, 0), "it still runs");
    assert_eq!(check.latency, Some(Duration::from_millis(10)));
    bench.pass(Duration::from_millis(700));
    let (_, token, _) = bench.sent[1];
    bench.prober.answered(bench.now, None, token, &mut vec![]);
    assert_eq!(bench.prober.window().latency(), Some(Duration::from_millis(10)), "the ping's alone");
}

#[test]
fn a_silent_gateway_fails_the_check_now() {
    let asked = |time| Neighbour::Asked(Duration::from_millis(time));
    let silent = "the gateway 192.168.1.1 does not answer ARP";
    let little = "lost 9 of 9 probes to 2 targets, nothing received for 0.6 s";
    for (received, gateway, after, want, why) in [
        (Some(80), Neighbour::Failed, 650, silent, "whatever is received"),
        (None, Neighbour::Failed, 650, silent, "also where that cannot be counted"),
        (Some(0), Neighbour::Failed, 650, silent, "named where the check fails anyway"),
        (Some(80), asked(1500), 650, silent, "asked twice in vain"),
        (
            Some(80),
            asked(500),
            2000,
            "lost 9 of 9 probes to 2 targets within 2.0 s on a line that received 80 packets",
            "once",
        ),
        (Some(0), asked(500), 650, silent, "enough for the name"),
        (Some(0), asked(20), 650, little, "the kernel has only just begun to ask"),
        (Some(0), Neighbour::Reachable, 650, little, "the gateway answers, and nobody behind it"),
        (
            None,
            Neighbour::Reachable,
            2000,
            "lost 9 of 9 probes to 2 targets within 2.0 s",
            "no reason to wait for less",
        ),
    ] {
        let mut bench = Bench::new(vec![vec![A, B]]).warm();
        (bench.received, bench.gateway) = (received, gateway);
        let start = bench.now;
        bench.begin();
        bench.pass(Duration::from_secs(3));
        let [check] = bench.done.as_slice() else { panic!("{why}: {:?}", bench.done) };
        assert_eq!(millis(check.at.since(start)), after, "{why}");
        assert_eq!(check.failure.as_ref().unwrap().to_string(), want, "{why}");
    }
}
