//! What a real netifd said (`tests/netifd/*.jsonl`), told through the broker: as it was, twice, and with one or the other word lost.

use std::path::PathBuf;

use failoverd::netifd::interfaces;
use lab::{Netifd, Step};

use super::*;

fn recordings() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netifd");
    let mut all: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() >= 9, "{all:?}");
    all
}

/// Drives the connection until exactly this is read.
async fn read_until_it_is(bus: &mut Bus, wanted: &[Interface], what: &str) {
    let seen = async {
        loop {
            if matches!(bus.next().await, BusEvent::Interfaces(told) if told == wanted) {
                return;
            }
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(30), seen).await;
    within.unwrap_or_else(|_| panic!("{what}: not read in time: {wanted:?}"));
}

/// Tells `step` as often as `times` says.
fn tell(netifd: &Netifd, step: &Step, times: impl Fn(&Step) -> usize) -> bool {
    (0..times(step)).for_each(|_| netifd.play(step));
    times(step) > 0
}

/// What was told is read after each thing that happened; what was not told, once the core asks.
async fn replay(recording: &Path, times: impl Fn(&Step) -> usize) {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let netifd = Netifd::start(&place.socket()).unwrap();
    let mut bus = Bus::with_timing(&place.socket(), quick());
    bus.read_interfaces();
    read_until_it_is(&mut bus, &[], "no interface yet").await;
    let end = Step::Comment(String::new());
    let (mut shown, mut told, mut what) = (None::<Vec<Interface>>, false, String::new());
    for step in Step::read(recording).unwrap().iter().chain([&end]) {
        match step {
            Step::Comment(comment) => {
                if let Some(wanted) = shown.take() {
                    if !told {
                        bus.read_interfaces();
                    }
                    read_until_it_is(&mut bus, &wanted, &format!("{}: {what}", recording.display())).await;
                }
                (told, what) = (false, comment.clone());
            }
            Step::Dump(dump) => {
                shown = Some(interfaces(dump));
                told = false;
                netifd.play(step);
            }
            Step::Notify(..) | Step::Event(_) => told |= tell(&netifd, step, &times),
        }
    }
}

#[tokio::test]
async fn what_a_real_netifd_said_is_understood() {
    for recording in recordings() {
        replay(&recording, |_| 1).await;
    }
}

#[tokio::test]
async fn words_that_come_twice_or_get_lost_change_nothing() {
    for recording in recordings() {
        replay(&recording, |_| 2).await;
        replay(&recording, |step| usize::from(matches!(step, Step::Notify(..)))).await;
        replay(&recording, |step| usize::from(matches!(step, Step::Event(_)))).await;
        replay(&recording, |_| 0).await;
    }
}
