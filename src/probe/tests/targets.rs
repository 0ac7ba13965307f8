//! Several targets and several tests: who is missed, who is asked last, whose failure is told.

use super::*;

const C: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(9, 9, 9, 9));
const D: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(208, 67, 222, 222));

/// Lets checks run for so many seconds on a line where these targets are dead; tells how many probes went out.
fn live(bench: &mut Bench, seconds: u64, dead: &[IpAddr]) -> usize {
    let before = bench.sent.len();
    for _ in 0..seconds {
        let end = bench.now + Duration::from_secs(1);
        let mut next = bench.sent.len();
        bench.begin();
        while bench.now < end {
            bench.pass(Duration::from_millis(10));
            while let Some((_, _, target)) =
                bench.sent.get(next).filter(|(at, ..)| *at + Duration::from_millis(10) <= bench.now).copied()
            {
                if !dead.contains(&target) {
                    bench.answer(next);
                }
                next += 1;
            }
        }
    }
    bench.sent.len() - before
}

#[test]
fn a_missed_target_is_told_once_a_check_and_an_answer_at_once() {
    let mut bench = Bench::new(vec![vec![A, B, C, D]]).warm();
    live(&mut bench, 40, &[B]);
    let count = |what: &str| bench.heard.iter().filter(|heard| *heard == what).count();
    assert_eq!((count("0.1!"), count("0.1")), (13, 0), "each time it was its turn: {:?}", bench.heard);
    assert_eq!(["0.0!", "0.2!", "0.3!"].map(count), [0; 3], "those who had no time to answer are not missed");
    assert!(bench.done.iter().all(|check| check.failure.is_none()));
}

#[test]
fn nobody_is_missed_on_a_line_that_is_dead_or_slow() {
    for (delay, why) in [(None, "dead"), (Some(1500), "an answer comes to who was asked first")] {
        let mut bench = Bench::new(vec![vec![A, B, C, D]]).warm();
        bench.received = Some(80);
        for _ in 0..10 {
            let first = bench.sent.len();
            bench.begin();
            bench.pass(Duration::from_millis(delay.unwrap_or(3000)));
            if delay.is_some() {
                bench.answer(first);
            }
            bench.pass(Duration::from_secs(1));
        }
        assert!(bench.heard.iter().all(|heard| !heard.ends_with('!')), "{why}: {:?}", bench.heard);
    }
}

#[test]
fn a_suspect_target_costs_nothing_and_is_asked_last() {
    let mut bench = Bench::new(vec![vec![A, B, C, D]]).warm();
    bench.prober.set_suspect(0, 1, true);
    assert_eq!(live(&mut bench, 100, &[B]), 100, "a probe a check");
    let to = |bench: &Bench, target| bench.sent.iter().filter(|(.., it)| *it == target).count();
    let asked = [A, B, C, D].map(|target| to(&bench, target));
    assert!(asked[1] == 0 && asked.iter().all(|count| [0, 33, 34].contains(count)), "the others take turns: {asked:?}");
    bench.sent.clear();
    let start = bench.now;
    bench.begin();
    bench.pass(Duration::from_secs(3));
    let targets: Vec<_> = bench.sent.iter().map(|(.., target)| *target).collect();
    assert_eq!(targets.iter().position(|target| *target == B), Some(8), "once, at the end: {targets:?}");
    assert_eq!(millis(bench.done.last().unwrap().at.since(start)), 650, "detection takes as long as ever");
    bench.sent.clear();
    bench.begin();
    bench.pass(Duration::from_secs(3));
    assert!(to(&bench, B) > 1, "while the test fails nobody is left out");
}

#[test]
fn suspects_save_a_test_whose_other_targets_have_died() {
    for (suspects, attempts, answered, why) in [
        (&[0, 1, 2][..], 8, true, "one left"),
        (&[0, 1, 2], 2, true, "few attempts: one of them for the suspects"),
        (&[0], 1, false, "a single attempt is for those of whom an answer is expected"),
    ] {
        let mut bench = Bench::new(vec![vec![A, B, C, D]]).warm();
        bench.limits.attempts = attempts;
        suspects.iter().for_each(|target| bench.prober.set_suspect(0, *target, true));
        let dead: Vec<IpAddr> =
            [A, B, C, D].into_iter().enumerate().filter(|(at, _)| !suspects.contains(at)).map(|(_, it)| it).collect();
        live(&mut bench, 1, &dead);
        assert_eq!(bench.done[0].failure.is_none(), answered, "{why}");
    }
}

#[test]
fn an_extra_probe_clears_a_suspect_and_nothing_else() {
    for (answer, why) in [(true, "it answers, though the check is over"), (false, "it does not")] {
        let mut bench = Bench::new(vec![vec![A, B]]).warm();
        let (now, mut steps) = (bench.now, vec![]);
        bench.prober.set_suspect(0, 0, true);
        bench.begin();
        bench.prober.ask_suspect(now, 0, 0, &mut bench.random, &mut steps);
        bench.carry_out(steps);
        bench.pass(Duration::from_millis(10));
        let tally = bench.prober.window().tally(bench.now, bench.limits.timeout, None);
        bench.answer(0);
        bench.pass(Duration::from_millis(50));
        if answer {
            bench.answer(1);
        }
        bench.pass(Duration::from_secs(3));
        assert_eq!((bench.sent.len(), bench.sent[1].2, bench.done.len()), (2, A, 1), "{why}");
        assert_eq!(bench.heard, if answer { vec!["0.1", "0.0"] } else { vec!["0.1"] }, "{why}");
        let after = bench.prober.window().tally(bench.now, bench.limits.timeout, None);
        assert_eq!((after.counted, after.lost), (tally.counted.max(after.counted), 0), "{why}: no loss");
    }
}

#[test]
fn our_own_answers_are_no_sign_of_life_for_a_test_that_fails() {
    for (received, ends, why) in [
        (Some(6), 650, "the other test's answers alone: no later than a single test's failure"),
        (Some(80), 2000, "but a line that carries traffic is slow rather than dead"),
    ] {
        let mut bench = Bench::new(vec![vec![A, B], vec![C, D]]).warm();
        bench.limits.required = Required::All;
        bench.received = received;
        let start = bench.now;
        bench.begin();
        // The other test is answered in time, and late enough to be counted.
        bench.pass(Duration::from_millis(120));
        let again = bench.sent.iter().position(|(at, _, target)| *at > start && [A, B].contains(target)).unwrap();
        bench.answer(again);
        bench.pass(Duration::from_secs(3));
        let check = &bench.done[0];
        assert_eq!(millis(check.at.since(start)), ends, "{why}");
        assert_eq!(bench.named, [Some(1)], "{why}");
    }
}

#[test]
fn late_answers_to_others_are_a_sign_that_the_line_is_slow() {
    for (late, why) in [(true, "from 10 to 600 ms at once, and the second test takes two round trips"), (false, "dead")]
    {
        let mut bench = Bench::new(vec![vec![A, B], vec![C, D]]).warm();
        bench.limits.required = Required::All;
        bench.received = Some(if late { 2 } else { 0 });
        let start = bench.now;
        bench.begin();
        bench.pass(Duration::from_millis(600));
        if late {
            bench.answer(0);
        }
        bench.pass(Duration::from_millis(600));
        if late {
            bench.answer(1);
        }
        bench.pass(Duration::from_secs(3));
        let check = &bench.done[0];
        let (failed, after) = (check.failure.is_some(), millis(check.at.since(start)));
        assert_eq!((failed, after), if late { (false, 1200) } else { (true, 650) }, "{why}");
    }
}

#[test]
fn a_doubt_that_was_settled_does_not_count_for_the_next() {
    let mut bench = Bench::new(vec![vec![A, B], vec![C, D]]);
    // The first test answers within 10 ms, the second within 300.
    for _ in 0..40 {
        bench.begin();
        let first = bench.sent.len() - 2;
        bench.pass(Duration::from_millis(10));
        bench.answer(first);
        bench.pass(Duration::from_millis(290));
        bench.answer(first + 1);
        bench.pass(Duration::from_millis(700));
    }
    bench.limits.required = Required::All;
    bench.sent.clear();
    bench.begin();
    bench.pass(Duration::from_millis(160));
    assert!(bench.watching && bench.sent.len() > 2, "the first test is in doubt");
    bench.answer(0);
    let mut steps = vec![];
    while !steps.contains(&Step::Watch) {
        bench.carry_out(std::mem::take(&mut steps));
        bench.now = bench.prober.deadline().unwrap();
        bench.prober.tick(bench.now, &mut bench.random, &mut steps);
    }
    assert_eq!(steps[..2], [Step::Unwatch, Step::Watch], "counted anew");
    let each: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Send(..))).collect();
    assert_eq!(each.len(), 1, "and the second test's burst begins, by its own round trip");
    assert!(millis(bench.now.since(bench.sent[0].0)) >= 300);
}

#[test]
fn the_most_telling_reason_is_named() {
    let portal = Refusal::Portal { status: 302, location: None };
    let unreachable = Refusal::Unreachable { code: 1, from: A };
    let not_sent = Refusal::NotSent("no buffer".into());
    for (refused, code, why) in [
        (&[(1, &portal)][..], "captive_portal", "one portal among nine lost probes"),
        (&[(1, &portal), (2, &unreachable)], "captive_portal", "a portal tells more than an error, whenever it came"),
        (&[(2, &unreachable)], "refused", "an error tells more than silence"),
        (&[(2, &not_sent)], "lost_probes", "what we could not send tells nothing about the rest"),
        (&[], "lost_probes", "silence"),
    ] {
        let mut bench = Bench::new(vec![vec![A, B]]).warm();
        bench.begin();
        bench.pass(Duration::from_millis(320));
        for (index, cause) in refused {
            bench.refuse(*index, cause);
        }
        bench.pass(Duration::from_secs(3));
        assert_eq!(bench.done[0].failure.as_ref().unwrap().code(), code, "{why}");
        assert_eq!(bench.named, [None], "{why}: there is but one test");
        let named = (0..2).any(|target| bench.prober.refusal(0, target) == Some(&portal));
        assert_eq!(named, code == "captive_portal", "{why}: the target too");
        live(&mut bench, 4, &[]);
        assert!((0..2).all(|target| bench.prober.refusal(0, target).is_none()), "{why}: until they answer");
    }
}

#[test]
fn of_several_tests_the_most_telling_failure_is_told() {
    for (required, code, named, why) in [
        (Required::All, "captive_portal", None, "nothing answered as it should"),
        (Required::Count(1), "captive_portal", None, "nor is one enough then"),
    ] {
        let mut bench = Bench::new(vec![vec![A], vec![B]]).warm();
        bench.limits.required = required;
        bench.begin();
        bench.pass(Duration::from_millis(320));
        let to_b: Vec<usize> = (0..bench.sent.len()).filter(|index| bench.sent[*index].2 == B).collect();
        let cause = Refusal::Portal { status: 200, location: None };
        to_b.into_iter().for_each(|index| bench.refuse(index, &cause));
        bench.pass(Duration::from_secs(3));
        assert_eq!(bench.done[0].failure.as_ref().unwrap().code(), code, "{why}");
        assert_eq!(bench.named, [named], "{why}");
    }
}

#[test]
fn a_refusal_after_the_check_is_over_is_noted_too() {
    let mut bench = Bench::new(vec![vec![A], vec![B]]).warm();
    bench.begin();
    bench.pass(Duration::from_millis(10));
    bench.answer(0);
    assert_eq!(bench.done.len(), 1, "one test is enough");
    bench.refuse(1, &Refusal::Wrong(crate::reason::Wrong::Garbage));
    assert!(bench.prober.refusal(1, 0).is_some());
}
