//! How lines were, put into the reply of ubus `series`: what came since a moment, so that a page need not ask for all again.

use serde_json::Value;

use super::Core;
use super::status::percent;
use crate::member::object;
use crate::moment::Moment;
use crate::provider::Provider;
use crate::random::Random;
use crate::series::{Latency, Micros, Switch, page};

impl Core {
    /// What came from second `since` of this run on, up to but without the current second: single results, or with a `step` the
    /// stretches of so many seconds. `None`: no such provider.
    pub fn series(&mut self, now: Moment, name: Option<&str>, since: u64, step: u32) -> Option<Value> {
        if name.is_some_and(|name| !self.knows(name)) {
            return None;
        }
        let second = |at: Moment| u32::try_from(at.since(self.started).as_secs()).unwrap_or(u32::MAX);
        let (since, uptime) = (u32::try_from(since).unwrap_or(u32::MAX), second(now));
        let asked = |provider: &Provider| name.is_none_or(|name| provider.settings.name == name);
        let mut starts = Vec::new();
        for provider in self.providers.iter_mut().filter(|it| asked(it)) {
            provider.series.catch_up(now);
            provider.series.starts(since, uptime, step, &mut starts);
        }
        let next = page(starts, uptime);
        let providers = self.providers.iter().filter(|it| asked(it));
        let within = |switch: &&Switch| (since..next).contains(&second(switch.at));
        let switches = self.switch_log.iter().filter(within).map(|it| switch_entry(it, second(it.at)));
        Some(object(&mut [
            ("run", self.run.into()),
            ("uptime", uptime.into()),
            ("next", next.into()),
            ("step", step.into()),
            ("providers", providers.map(|it| provider_entries(it, since, next, step)).collect()),
            ("switches", if name.is_none() { switches.collect() } else { Value::Null }),
        ]))
    }
}

/// A number that tells one run of the daemon from another: positive, and INT32 on ubus.
pub(super) fn run(seed: u64) -> u32 {
    // Not the number itself: probes' cookies come from it.
    u32::try_from(Random::new(!seed).next() >> 33).unwrap_or_default().max(1)
}

fn provider_entries(provider: &Provider, since: u32, next: u32, step: u32) -> Value {
    let series = &provider.series;
    let mut entries: Vec<Value> = vec![];
    if step == 0 {
        for result in series.results(since, next) {
            let latency = result.latency.map(|latency| milliseconds(latency, 100.0));
            entries.push(entry(result.at(), u8::from(result.is_ok()).into(), &[latency]));
        }
    } else {
        let mut starts = Vec::new();
        series.starts(since, next, step, &mut starts);
        for start in starts {
            let Some(stretch) = series.stretch(start, step) else { continue };
            let loss = percent(stretch.lost, stretch.probes);
            let latency = |of: fn(Latency) -> Micros| stretch.latency.map(|it| milliseconds(of(it), 10.0));
            let numbers = [Some(loss), latency(|it| it.min), latency(|it| it.median), latency(|it| it.max)];
            entries.push(entry(start, stretch.state.word().into(), &numbers));
        }
    }
    object(&mut [("name", provider.settings.name.as_str().into()), ("entries", entries.into())])
}

fn entry(at: u32, kind: Value, numbers: &[Option<f64>]) -> Value {
    let mut entry = vec![at.into(), kind];
    for number in numbers.iter().flatten() {
        entry.push((*number).into());
    }
    entry.into()
}

fn switch_entry(switch: &Switch, at: u32) -> Value {
    object(&mut [
        ("at", at.into()),
        ("from", switch.from.as_deref().into()),
        ("to", switch.to.as_deref().into()),
        ("reason_code", switch.reason_code.into()),
        ("reason", switch.reason.to_string().into()),
        ("parts", switch.reason.to_parts()),
    ])
}

/// Rounded to so many parts of a millisecond.
fn milliseconds(latency: Micros, parts: f64) -> f64 {
    (f64::from(latency.get()) * parts / 1000.0).round() / parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::State;
    use crate::provider::ProviderState;
    use crate::reliability::Check;
    use crate::say;
    use serde_json::json;
    use std::time::Duration;

    const START: Moment = Moment::from_nanos(5_500_000_000);

    fn at(seconds: u64) -> Moment {
        START + Duration::from_secs(seconds)
    }

    fn core(providers: usize) -> Core {
        let section = |index| format!("config provider 'provider{index}'\n\toption device 'wan{index}'\n");
        let file: String = (0..providers).map(section).collect();
        let settings = crate::settings::parse("failover", file.as_bytes()).unwrap().settings;
        Core::new(START, settings, State::default(), 7)
    }

    /// More than a day.
    const LONG: u64 = 86_730;

    /// A check a second, each with a latency, and all the switches that are kept.
    fn full(providers: usize) -> Core {
        let mut core = core(providers);
        for provider in &mut core.providers {
            provider.series.tell(START, ProviderState::NoCarrier);
            for second in 0..LONG {
                let latency = Some(Duration::from_micros(12_340 + second % 100));
                let check = Check { at: at(second), failure: None, latency, sent: 1, first: 3, first_lost: 1 };
                provider.series.record(at(second), &check);
            }
        }
        core.switch_log = (0..100)
            .map(|index| Switch {
                at: at(index * 800),
                from: Some("provider1".into()),
                to: Some("provider2".into()),
                reason_code: "lost_probes",
                reason: say!("{0}: lost {1} of {1} probes to {2} targets", "provider1", 9_u32, 4_u32),
            })
            .collect();
        core
    }

    /// Reads to the end as a page does: the replies.
    fn read_all(core: &mut Core, now: Moment, step: u32) -> Vec<Value> {
        let mut replies: Vec<Value> = vec![];
        loop {
            let since = replies.last().map_or(0, |it| it["next"].as_u64().unwrap());
            let reply = core.series(now, None, since, step).unwrap();
            assert!(reply["next"].as_u64() > Some(since), "each gets on");
            let done = reply["next"] == reply["uptime"];
            replies.push(reply);
            if done {
                return replies;
            }
        }
    }

    #[test]
    fn full_rings_come_in_pages_that_ubus_carries() {
        let mut core = full(16);
        for (step, pages, first, why) in [
            (0, 7, LONG - 900, "no more than two providers' results in one"),
            (60, 10, 360, "a day of minutes would be 2.4 MB at once"),
            (600, 1, 0, "the time line of a day fits"),
            (3600, 1, 0, "and a coarser one"),
        ] {
            let replies = read_all(&mut core, at(LONG), step);
            assert_eq!(replies.len(), pages, "{step}: {why}");
            for reply in &replies {
                let bytes = crate::ubus_value::encode(reply.as_object().unwrap()).unwrap().contents().len();
                assert!(bytes < 280_000, "{step}: {bytes}");
            }
            let all = |list: &str, of: &dyn Fn(&Value) -> Vec<Value>| -> Vec<Value> {
                replies.iter().flat_map(|reply| of(&reply[list])).collect()
            };
            for index in 0..16 {
                let of = all("providers", &|it| it[index]["entries"].as_array().unwrap().clone());
                let times: Vec<u64> = of.iter().map(|entry| entry[0].as_u64().unwrap()).collect();
                let want: Vec<u64> = (first..LONG).step_by(step.max(1) as usize).collect();
                assert!(times == want, "{step}: each once, in order: {} instead of {}", times.len(), want.len());
            }
            assert_eq!(all("switches", &|it| it.as_array().unwrap().clone()).len(), 100, "{step}");
        }
    }

    #[test]
    fn the_reply() {
        let mut core = core(2);
        let series = &mut core.providers[0].series;
        series.tell(START, ProviderState::Online);
        let check = |latency, first_lost| Check { at: START, failure: None, latency, sent: 3, first: 3, first_lost };
        series.record(at(2), &check(Some(Duration::from_micros(12_346)), 1));
        series.record(at(3), &check(None, 3));
        let failure = Some(crate::reason::Reason::NoCarrier);
        series.record(at(4), &Check { failure, ..check(None, 3) });
        core.switch_log = [3, 4]
            .map(|second| Switch {
                at: at(second),
                from: None,
                to: Some("provider0".into()),
                reason_code: "best",
                reason: say!("{0}: {1}", "provider0", say!("no carrier")),
            })
            .into();
        let run = core.run;
        let mut ask = |now, name, since, step| core.series(at(now), name, since, step);
        assert_eq!(
            ask(4, None, 0, 0).unwrap(),
            json!({
                "run": run, "uptime": 4, "next": 4, "step": 0,
                "providers": [
                    { "name": "provider0", "entries": [[2, 1, 12.35], [3, 1]] },
                    { "name": "provider1", "entries": [] },
                ],
                "switches": [{
                    "at": 3, "to": "provider0", "reason_code": "best", "reason": "provider0: no carrier",
                    "parts": ["{0}: {1}", "provider0", ["no carrier"]],
                }],
            }),
            "without the current second"
        );
        assert_eq!(
            ask(70, Some("provider0"), 4, 60).unwrap(),
            json!({
                "run": run, "uptime": 70, "next": 70, "step": 60,
                "providers": [{
                    "name": "provider0",
                    "entries": [[0, "online", 77.8, 12.3, 12.3, 12.3], [60, "online", 0.0]],
                }],
            }),
            "one provider, without switches"
        );
        assert_eq!(ask(70, Some("provider2"), 0, 0), None);
        let late = ask(70, None, u64::MAX, 0).unwrap();
        assert_eq!((&late["next"], &late["switches"]), (&70.into(), &json!([])), "of another run");
    }

    #[test]
    fn a_run_is_a_positive_int32_of_its_own() {
        let runs: std::collections::BTreeSet<u32> = (0..1000).map(run).collect();
        assert_eq!(runs.len(), 1000);
        assert!(runs.iter().all(|run| *run > 0 && i32::try_from(*run).is_ok()));
    }
}
