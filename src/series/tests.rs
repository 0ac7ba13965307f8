use super::*;
use crate::reason::Reason;
use ProviderState::{Checking, Disabled, NoCarrier, Offline, Online, Unresolved};
use proptest::prelude::*;

/// Not at a whole second: the daemon starts when it likes.
const START: Moment = Moment::from_nanos(77_300_000_000);

fn at(seconds: f64) -> Moment {
    START + Duration::from_secs_f64(seconds)
}

/// A check with `first` probes, of which `lost` are lost.
fn check(at: Moment, ok: bool, latency_us: Option<u64>, first: u32, lost: u32) -> Check {
    let failure = (!ok).then_some(Reason::NoCarrier);
    Check { at, failure, latency: latency_us.map(Duration::from_micros), sent: first, first, first_lost: lost }
}

fn starts(series: &Series, since: u32, until: u32, step: u32) -> Vec<u32> {
    let mut starts = vec![];
    series.starts(since, until, step, &mut starts);
    starts
}

fn good(series: &mut Series, seconds: f64, latency_us: u64) {
    series.record(at(seconds), &check(at(seconds), true, Some(latency_us), 1, 0));
}

/// `(start, state, lost of probes, min/median/max)` of every stretch from `since` on.
fn told(series: &mut Series, now: f64, since: u32, step: u32) -> Vec<String> {
    series.catch_up(at(now));
    let stretches = starts(series, since, series.second(at(now)), step).into_iter().map(|start| {
        let it = series.stretch(start, step).unwrap();
        let latency = it.latency.map(|it| format!(" {}/{}/{}", it.min, it.median, it.max)).unwrap_or_default();
        format!("{start} {} {}/{}{latency}", it.state.word(), it.lost, it.probes)
    });
    stretches.collect()
}

#[test]
fn minutes_have_a_state_whether_anything_happens_or_not() {
    type Script = &'static [(f64, ProviderState)];
    for (script, now, want, why) in [
        (&[][..] as Script, 300.0, &[][..] as &[&str], "nothing is known before a state is told"),
        (&[(1.0, Online)], 59.9, &["0 online 0/0"], "a minute that is not over is told as it is so far"),
        (&[(1.0, Online)], 60.2, &["0 online 0/0"], "the current second is not told, nor what begins with it"),
        (&[(1.0, Unresolved)], 125.0, &["0 unresolved 0/0", "60 unresolved 0/0", "120 unresolved 0/0"], "it goes on"),
        (
            &[(1.0, Checking), (2.0, Online), (61.0, Offline), (70.0, Online)],
            200.0,
            &["0 checking 0/0", "60 offline 0/0", "120 online 0/0", "180 online 0/0"],
            "the worst of each",
        ),
        (
            &[(1.0, Online), (70.0, Offline), (130.0, NoCarrier), (190.0, Offline), (191.0, Disabled)],
            245.0,
            &["0 online 0/0", "60 offline 0/0", "120 offline 0/0", "180 offline 0/0", "240 disabled 0/0"],
            "what lasted into a minute was in it",
        ),
        (
            &[(1.0, Disabled), (59.0, Online)],
            61.0,
            &["0 online 0/0", "60 online 0/0"],
            "anything is worse than disabled",
        ),
        (&[(250.0, Online)], 310.0, &["240 online 0/0", "300 online 0/0"], "one that was configured later"),
    ] {
        let mut series = Series::new(START);
        script.iter().for_each(|(seconds, state)| series.tell(at(*seconds), *state));
        assert_eq!(told(&mut series, now, 0, 60), want, "{why}");
    }
}

#[test]
fn latency_and_loss_of_a_minute_and_of_several() {
    let mut series = Series::new(START);
    series.tell(at(0.5), Online);
    for (seconds, latency) in [(1.0, 10_000), (2.0, 30_000), (3.0, 20_000), (4.0, 90_000)] {
        good(&mut series, seconds, latency);
    }
    assert_eq!(told(&mut series, 10.0, 0, 60), ["0 online 0/4 10000/20000/90000"], "of four the lower in the middle");
    good(&mut series, 61.0, 40_000);
    series.record(at(62.0), &check(at(62.0), false, None, 2, 2));
    series.record(at(63.0), &check(at(63.0), true, None, 1, 1));
    assert_eq!(
        told(&mut series, 185.0, 0, 60),
        ["0 online 0/4 10000/20000/90000", "60 online 3/4 40000/40000/40000", "120 online 0/0", "180 online 0/0"]
    );
    assert_eq!(
        told(&mut series, 185.0, 0, 120),
        ["0 online 3/8 10000/20000/90000", "120 online 0/0"],
        "loss by the number of probes, the median of the medians"
    );
    assert_eq!(told(&mut series, 185.0, 119, 120).len(), 2, "a stretch is told again from within");
    assert_eq!(told(&mut series, 185.0, 120, 120).len(), 1);
    assert_eq!(told(&mut series, 185.0, 9999, 120).len(), 0, "from the future");
    good(&mut series, 200.0, 0);
    assert_eq!(told(&mut series, 201.0, 180, 60), ["180 online 0/1 1/1/1"], "no latency is nothing");
    let huge = Duration::from_secs(1 << 40);
    assert_eq!(micros(huge), Micros::MAX);
}

#[test]
fn more_checks_than_are_kept_in_one_minute() {
    let mut series = Series::new(START);
    // At the shortest interval: the first 300 are gone when the minute ends.
    for index in 0..1200_u16 {
        good(&mut series, f64::from(index) * 0.05, if index < 300 { 1000 } else { 5000 + u64::from(index) });
    }
    assert_eq!(told(&mut series, 70.0, 0, 60)[0], "0 checking 0/1200 1000/5749/6199", "but for the median");
}

#[test]
fn bounded_however_long_it_runs() {
    let mut series = Series::new(START);
    assert_eq!((series.results.capacity(), series.minutes.capacity()), (0, 0), "nothing up front");
    series.tell(at(0.0), Online);
    good(&mut series, 1.0, 1000);
    assert!(series.results.capacity() <= 4 && series.minutes.capacity() <= 4, "and little for little");
    for index in 0..40_000_u32 {
        good(&mut series, f64::from(index) * 3.0, 1000);
    }
    assert_eq!((series.results.len(), series.minutes.len()), (RESULTS, usize::from(MINUTES)));
    assert_eq!((series.results.capacity(), series.minutes.capacity()), (RESULTS, usize::from(MINUTES)));
    let bytes = series.results.capacity() * size_of::<CheckResult>() + series.minutes.capacity() * size_of::<Minute>();
    assert_eq!(bytes, 36_000, "of one provider; with 16 it is 576 kB");
    // Asleep for a year, then a clock that stands still.
    let year = 365 * 86400;
    series.tell(at(f64::from(year)), Offline);
    assert_eq!((series.minutes.len(), series.last), (usize::from(MINUTES), year / MINUTE));
    assert_eq!(told(&mut series, f64::from(year + 1), 0, 3600).len(), 25, "a day, and the hour of now");
    series.tell(at(5.0), Online);
    good(&mut series, 5.0, 1000);
    assert_eq!(series.minutes.len(), usize::from(MINUTES), "time that goes back is no reason to fall");
}

#[test]
fn pages() {
    let seconds = |count: u32| (0..count).collect::<Vec<_>>();
    let full = u32::try_from(PAGE).unwrap();
    for (starts, until, want, why) in [
        (vec![], 50, 50, "nothing: all is said"),
        (seconds(50), 50, 50, "all of it fits"),
        (seconds(full), 5000, 5000, "just"),
        (seconds(full + 1), 5000, full, "without the last"),
        ([seconds(full + 1), seconds(full + 1)].concat(), 5000, full / 2, "of several providers"),
        (vec![7; PAGE + 1], 5000, 8, "one second is never torn apart"),
        ([vec![7; PAGE], vec![8, 8, 9]].concat(), 5000, 8, "nor is the next"),
    ] {
        assert_eq!(page(starts, until), want, "{why}");
    }
}

/// What a provider goes through, and when it is looked at.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Tell(ProviderState),
    Check { ok: bool, latency_us: Option<u64>, first: u32, lost: u32 },
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let state = proptest::sample::select(vec![Online, Offline, Checking, NoCarrier, Unresolved, Disabled]);
    let check = (any::<bool>(), proptest::option::of(0..3_000_000_u64), 1..4_u32, 0..4_u32)
        .prop_map(|(ok, latency_us, first, lost)| Step::Check { ok, latency_us, first, lost: lost.min(first) });
    let step = prop_oneof![
        3 => (0..5000_u64).prop_map(Step::Pass),
        1 => (0..400_000_u64).prop_map(Step::Pass),
        2 => state.prop_map(Step::Tell),
        6 => check,
        1 => Just(Step::Look),
    ];
    proptest::collection::vec(step, 0..400)
}

/// When, whether it succeeded, microseconds, first probes, those lost.
type Ended = (Moment, bool, Option<u64>, u32, u32);

/// Everything, kept for ever and looked through from the start each time.
#[derive(Default)]
struct Model {
    checks: Vec<Ended>,
    states: Vec<(Moment, ProviderState)>,
}

impl Model {
    fn minute(&self, number: u32) -> (Vec<ProviderState>, usize, usize, Vec<u64>) {
        let (begin, end) = (at(f64::from(number * 60)), at(f64::from(number * 60 + 60)));
        let before = self.states.iter().rev().find(|(at, _)| *at < begin);
        let during = self.states.iter().filter(|(at, _)| (begin..end).contains(at));
        let states = before.into_iter().chain(during).map(|(_, state)| *state).collect();
        let checks: Vec<_> = self.checks.iter().filter(|it| (begin..end).contains(&it.0)).collect();
        let mut latencies: Vec<u64> = checks.iter().filter_map(|it| it.2).map(|it| it.max(1)).collect();
        latencies.sort();
        let sum = |of: fn(&Ended) -> u32| checks.iter().map(|it| of(it) as usize).sum();
        (states, sum(|it| it.3), sum(|it| it.4), latencies)
    }

    /// Of the minutes from `kept` on.
    fn stretch(&self, kept: u32, start: u32, step: u32) -> Stretch {
        let minutes: Vec<_> = (kept.max(start / 60)..(start + step) / 60).map(|number| self.minute(number)).collect();
        let worst_first = [Offline, NoCarrier, Unresolved, Checking, Online, Disabled];
        let states: Vec<_> = minutes.iter().flat_map(|it| it.0.clone()).collect();
        let middle = |sorted: &[u64]| sorted[(sorted.len() - 1) / 2];
        let mut medians: Vec<u64> = minutes.iter().filter(|it| !it.3.is_empty()).map(|it| middle(&it.3)).collect();
        medians.sort();
        let all = || minutes.iter().flat_map(|it| it.3.iter().copied());
        let micros = |number: u64| Micros::new(u32::try_from(number).unwrap()).unwrap();
        Stretch {
            state: worst_first.into_iter().find(|state| states.contains(state)).unwrap(),
            probes: minutes.iter().map(|it| it.1).sum(),
            lost: minutes.iter().map(|it| it.2).sum(),
            latency: all().min().map(|min| Latency {
                min: micros(min),
                median: micros(middle(&medians)),
                max: micros(all().max().unwrap()),
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn increments_are_the_whole_and_stretches_agree_with_a_list_of_everything(steps in steps()) {
        let (mut series, mut model) = (Series::new(START), Model::default());
        let (mut now, mut next) = (START, 0);
        let mut read: Vec<CheckResult> = vec![];
        for step in steps.into_iter().chain([Step::Look, Step::Pass(1000), Step::Look]) {
            match step {
                Step::Pass(millis) => now = now + Duration::from_millis(millis),
                Step::Tell(state) => {
                    series.tell(now, state);
                    model.states.push((now, state));
                }
                Step::Check { ok, latency_us, first, lost } => {
                    if model.states.is_empty() {
                        model.states.push((now, Checking));
                    }
                    series.record(now, &check(now, ok, latency_us, first, lost));
                    model.checks.push((now, ok, latency_us, first, lost));
                }
                Step::Look => {
                    series.catch_up(now);
                    let until = series.second(now);
                    read.extend(series.results(next, until));
                    next = until;
                }
            }
        }
        prop_assert!(series.minutes.len() <= usize::from(MINUTES));
        let whole: Vec<_> = model.checks.iter().map(|it| (series.second(it.0), it.1, it.2.map(|it| it.max(1)))).collect();
        let read: Vec<_> = read.iter().map(|it| (it.at(), it.is_ok(), it.latency.map(|it| u64::from(it.get())))).collect();
        prop_assert_eq!(read, whole, "nothing lost, nothing twice");
        let Some((first, _)) = model.states.first() else {
            prop_assert_eq!(starts(&series, 0, next, 60), Vec::<u32>::new());
            return Ok(());
        };
        let kept = (series.second(*first) / 60).max((series.second(now) / 60 + 1).saturating_sub(u32::from(MINUTES)));
        for step in [60, 120, 600, 3600] {
            let starts = self::starts(&series, 0, next, step);
            let want: Vec<u32> = (kept * 60 / step..).map(|it| it * step).take_while(|start| *start < next).collect();
            prop_assert_eq!(&starts, &want, "every one, in steps of {}", step);
            for start in starts {
                let want = model.stretch(kept, start, step);
                prop_assert_eq!(series.stretch(start, step), Some(want), "{} from {}", step, start);
            }
        }
    }
}
