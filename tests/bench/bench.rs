//! `cargo bench-lab`: how fast failoverd is and what it costs, measured on real kernel routing in the lab.
//!
//! Five minutes by default, longer and with more samples with `--full`. Speed is measured here and not asserted: the
//! exit code is 0 whatever the numbers are, and 1 only if something could not be measured.
//!
//! * `subject.rs` is what is measured: the release build in a lab.
//! * `outage.rs`, `netifd.rs`, `failback.rs`, `unrest.rs`, `traffic.rs`, `cadence.rs`, `cost.rs` measure; `report.rs` prints.
// A bench is made of clocks and sleeps; what clippy.toml forbids is forbidden to the library.
#![allow(clippy::disallowed_methods)]

mod cadence;
mod cost;
mod failback;
mod netifd;
mod outage;
mod report;
mod subject;
mod traffic;
mod unrest;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use report::Row;

const HELP: &str = "\
Usage: cargo bench-lab [--full] [--seed NUMBER] [--binary FILE] [PART...]

  --full         about half an hour instead of five minutes: more samples, whole three minutes of loss
  --seed NUMBER  of the random moments, and of all luck in the lab
  --binary FILE  measure this failoverd; without it, it is built in release

Parts: outage kinds foreign netifd failback unrest tiers moving rules cadence many cost growth start size; without any: all of them.
";

/// How much is done.
#[derive(Clone, Copy)]
struct Effort {
    full: bool,
    /// Of the random moments, and of all luck in the lab.
    seed: u64,
}

/// A part of the bench by name.
type Part = (&'static str, fn(&Path, Effort) -> Vec<Row>);

/// In the order of the table. What is sensitive to the machine's load comes alone; what only waits comes together.
const PARTS: [Part; 15] = [
    ("outage", outage::outages),
    ("kinds", outage::kinds),
    ("foreign", |binary, effort| vec![outage::foreign(binary, effort)]),
    ("netifd", |binary, effort| vec![netifd::following(binary, effort)]),
    ("failback", failback::failbacks),
    ("unrest", unrest::switches),
    ("tiers", traffic::tiers),
    ("moving", traffic::moving),
    ("rules", traffic::rules),
    ("cadence", cadence::cadence),
    ("many", cadence::many),
    ("cost", cost::running),
    ("growth", |binary, effort| vec![cost::growth(binary, effort)]),
    ("start", |binary, effort| vec![cost::start_up(binary, effort)]),
    ("size", |binary, _| vec![cost::size(binary)]),
];

fn main() -> ExitCode {
    let mut effort = Effort { full: false, seed: 1 };
    let mut wanted = Vec::new();
    let mut given = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => effort.full = true,
            "--seed" => match arguments.next().and_then(|number| number.parse().ok()) {
                Some(seed) => effort.seed = seed,
                None => return usage("--seed takes a number"),
            },
            "--binary" => match arguments.next() {
                Some(file) => given = Some(PathBuf::from(file)),
                None => return usage("--binary takes a file"),
            },
            "--help" | "-h" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            part if PARTS.iter().any(|(name, _)| *name == part) => wanted.push(part.to_owned()),
            other => return usage(&format!("unknown argument '{other}'")),
        }
    }
    let binary = match lab::enter().and_then(|()| given.map_or_else(subject::build, Ok)) {
        Ok(binary) => binary,
        Err(error) => {
            eprintln!("bench-lab: {error}");
            return ExitCode::FAILURE;
        }
    };
    let start = Instant::now();
    let mut rows = Vec::new();
    for (name, measure) in PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|it| it == name)) {
        eprintln!("{:4} s: {name}", start.elapsed().as_secs());
        rows.extend(measure(&binary, effort));
    }
    print!("{}", report::table(&rows));
    if rows.iter().all(Row::is_measured) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(complaint: &str) -> ExitCode {
    eprint!("bench-lab: {complaint}\n{HELP}");
    ExitCode::from(2)
}
