//! What becomes of connections when their provider dies: those of a tier, marked datagrams behind NAT, established TCP; and how
//! long a large set of rules takes to load.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Kind, LabConfig, LabError, Nat, Result, Stream};

use crate::Effort;
use crate::outage::{next_check, phases, repeat, row, shipped};
use crate::report::{Row, Unit};
use crate::subject::{SHIPPED_INTERVAL, Settings, Subject, run};

/// Connections are marked as soon as anybody wants replies to leave where the question came in.
const MARKED: Settings = &[("inbound", "1")];
const PATIENCE: Duration = Duration::from_secs(20);

/// Silent loss of one member after the other of a tier that many flows share.
pub(crate) fn tiers(binary: &Path, effort: Effort) -> Vec<Row> {
    const WHAT: &str = "silent loss in a tier: all of its flows moved";
    match members_cut(binary, effort) {
        Ok((outages, lost)) => vec![
            Row::of_durations(WHAT, Unit::Seconds, &outages).median_at_most(1.2),
            Row::new("meanwhile datagrams of the others lost", Unit::Count, lost).each_at_most(0.0),
        ],
        Err(error) => vec![Row::failed(WHAT, error)],
    }
}

/// The longest outage of any flow through each member that is cut, and what the flows of all others lose during that.
fn members_cut(binary: &Path, effort: Effort) -> Result<(Vec<Duration>, Vec<f64>)> {
    let cuts: u8 = if effort.full { 12 } else { 6 };
    let config = LabConfig { providers: cuts + 1, nat: Nat::Masquerade, seed: effort.seed, ..LabConfig::default() };
    let lab = lab::Lab::new(config)?;
    let _broker = lab.broker()?;
    let start = Instant::now();
    let text = lab.uci(&[]).replace("\toption device", "\toption priority '1'\n\toption device");
    let daemon = run(binary, &lab, &text)?;
    for provider in lab.providers() {
        daemon.wait_for_line(&format!("{} online", provider.device()), start, PATIENCE)?;
    }
    wait_for_marks(&lab)?;
    let servers = (0..40).map(|last| Ipv4Addr::new(93, 184, 216, last));
    let flows = servers.map(|it| lab.client().stream_to(it, Duration::from_millis(20)));
    let flows: Vec<Stream> = flows.collect::<Result<_>>()?;
    let (mut outages, mut lost) = (Vec::new(), Vec::new());
    for (number, phase) in (0..cuts).zip(phases(cuts, effort.seed)) {
        std::thread::sleep(Duration::from_millis(500));
        let provider = lab.provider(number)?;
        let (cut, others): (Vec<&Stream>, Vec<&Stream>) =
            flows.iter().partition(|flow| flow.current_provider() == Some(number));
        let check = next_check(provider, Kind::Ping)?;
        std::thread::sleep((check + SHIPPED_INTERVAL.mul_f64(phase)).saturating_duration_since(Instant::now()));
        let start = Instant::now();
        provider.silent(true);
        let moved = || cut.iter().all(|flow| flow.current_provider().is_some_and(|now| now != number));
        lab::wait_for(PATIENCE, "all flows to move", moved)?;
        std::thread::sleep(Duration::from_millis(200));
        // The last ones may still be on their way.
        let end = Instant::now() - Duration::from_millis(50);
        outages.extend(cut.iter().map(|flow| flow.outage_between(start, end)).max());
        lost.push(others.iter().map(|flow| flow.lost_between(start, end)).sum::<usize>() as f64);
    }
    Ok((outages, lost))
}

fn wait_for_marks(lab: &lab::Lab) -> Result<()> {
    let marked =
        || lab.router().nft_tables().is_ok_and(|all| all.iter().any(|it| it.starts_with("table inet failover ")));
    lab::wait_for(PATIENCE, "the table of marks", marked).map(drop)
}

/// Marked UDP with both kinds of NAT and the same addresses on all lines; TCP.
pub(crate) fn moving(binary: &Path, effort: Effort) -> Vec<Row> {
    let labs = if effort.full { 3 } else { 2 };
    let mut rows: Vec<Row> = [("masquerade", Nat::Masquerade), ("snat", Nat::Snat)]
        .map(|(name, nat)| {
            let mut series = shipped(effort);
            (series.lab.nat, series.settings) = (nat, MARKED);
            let what = format!("silent loss, marked UDP, {name}, same addresses");
            row(what, repeat(binary, &series, labs, effort), Unit::Seconds, 1.3)
        })
        .into();
    for (name, settings) in [("by address", &[][..]), ("marked", MARKED)] {
        let what = format!("silent loss, established TCP, {name}: reset");
        rows.push(row(what, resets(binary, settings, effort), Unit::Seconds, 2.0));
    }
    rows
}

/// From the cut to the news of it, of a connection that sends all the time.
fn resets(binary: &Path, settings: Settings, effort: Effort) -> Result<Vec<Duration>> {
    let cuts: u8 = if effort.full { 10 } else { 5 };
    let config = LabConfig {
        providers: cuts + 1,
        identical: false,
        nat: Nat::Masquerade,
        peers: true,
        seed: effort.seed,
        ..LabConfig::default()
    };
    let subject = Subject::start(binary, config, settings)?;
    if !settings.is_empty() {
        wait_for_marks(&subject.lab)?;
    }
    let mut times = Vec::new();
    for (number, phase) in (0..cuts).zip(phases(cuts, effort.seed)) {
        let transfer = subject.lab.client().transfer()?;
        if transfer.progress().provider != number {
            return Err(LabError::new("measure a reset", "the new connection went through another provider"));
        }
        transfer.wait_until_it_goes_on(PATIENCE)?;
        let provider = subject.lab.provider(number)?;
        let check = next_check(provider, Kind::Ping)?;
        std::thread::sleep((check + SHIPPED_INTERVAL.mul_f64(phase)).saturating_duration_since(Instant::now()));
        let start = Instant::now();
        provider.silent(true);
        times.push(transfer.wait_for_its_end(PATIENCE)?.0 - start);
    }
    Ok(times)
}

/// From the order to read a configuration of a thousand rules with ten addresses each until the kernel has them.
pub(crate) fn rules(binary: &Path, effort: Effort) -> Vec<Row> {
    const WHAT: &str = "1000 rules with 10000 addresses: loaded";
    match loaded(binary, effort) {
        Ok(times) => vec![Row::of_durations(WHAT, Unit::Seconds, &times).each_at_most(1.0)],
        Err(error) => vec![Row::failed(WHAT, error)],
    }
}

fn loaded(binary: &Path, effort: Effort) -> Result<Vec<Duration>> {
    let subject = Subject::start(binary, LabConfig { seed: effort.seed, ..LabConfig::default() }, MARKED)?;
    wait_for_marks(&subject.lab)?;
    let router = subject.lab.router();
    let mut times = Vec::new();
    for round in 0..if effort.full { 20 } else { 5 } {
        let rule = |number: u32| {
            let [.., high, low] = number.to_be_bytes();
            let addresses = (11..21).map(|first| format!("\tlist dest '{first}.{round}.{high}.{low}'\n"));
            format!("\nconfig rule\n{}\tlist use 'wan1'\n", addresses.collect::<String>())
        };
        let text = subject.lab.uci(MARKED) + &(0..1000).map(rule).collect::<String>();
        subject.lab.write_file("failover", &text)?;
        let before = router.nft_generation()?;
        let start = Instant::now();
        subject.daemon.signal(libc::SIGHUP)?;
        lab::wait_for(PATIENCE, "the rules", || router.nft_generation().is_ok_and(|now| now != before))?;
        times.push(start.elapsed());
        // The status and all that comes of a new configuration.
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(times)
}
