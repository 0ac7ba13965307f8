//! Looks at the router's default route all the time and counts the moments in which there is none. Its oracle is the
//! kernel's own route look-up, not a list somebody has to read. Started by `lab.watch_default_route()`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::STREAM_SERVER;
use crate::error::{During, Result};
use crate::line::lock;
use crate::namespace::Namespace;
use crate::netlink::Netlink;
use crate::router::look_up;

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct DefaultRouteReport {
    /// How often the kernel was asked.
    pub polls: u64,
    /// How often it had no route.
    pub missing: u64,
    /// The longest time between two polls with a route that had one without in between.
    pub longest_missing: Duration,
    /// The longest time between two polls: shorter gaps could have been overlooked.
    pub longest_pause: Duration,
    /// Every change of the output device, as interface index; at most 10,000 are kept.
    pub changes: Vec<(Instant, Option<u32>)>,
    /// The look-up that failed for another reason, if one did; the watcher has stopped then.
    pub failure: Option<String>,
}

/// A running watcher; ends when dropped.
pub struct DefaultRouteWatcher {
    report: Arc<Mutex<DefaultRouteReport>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl DefaultRouteWatcher {
    /// Starts watching in `namespace`, with `pause` between polls; zero keeps one CPU busy.
    pub fn start(namespace: &Namespace, pause: Duration) -> Result<DefaultRouteWatcher> {
        let mut netlink = Netlink::open_in(namespace)?;
        let report = Arc::new(Mutex::new(DefaultRouteReport::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stop_flag) = (Arc::clone(&report), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("default route watcher".to_owned())
            .spawn(move || watch(&mut netlink, &shared, &stop_flag, pause))
            .during("start the default route watcher")?;
        Ok(DefaultRouteWatcher { report, stop, thread: Some(thread) })
    }

    /// What was seen until now.
    #[must_use]
    pub fn report(&self) -> DefaultRouteReport {
        lock(&self.report).clone()
    }

    /// Stops and says what was seen.
    #[must_use]
    pub fn stop(mut self) -> DefaultRouteReport {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Drop for DefaultRouteWatcher {
    fn drop(&mut self) {
        self.end();
    }
}

fn watch(netlink: &mut Netlink, report: &Mutex<DefaultRouteReport>, stop: &AtomicBool, pause: Duration) {
    let mut last_poll: Option<Instant> = None;
    let mut last_present: Option<Instant> = None;
    let mut last_device: Option<Option<u32>> = None;
    while !stop.load(Ordering::Acquire) {
        let found = look_up(netlink, STREAM_SERVER);
        let now = Instant::now();
        let mut report = lock(report);
        let device = match found {
            Ok(device) => device,
            Err(error) => {
                report.failure = Some(error.to_string());
                return;
            }
        };
        report.polls += 1;
        if let Some(last) = last_poll.replace(now) {
            report.longest_pause = report.longest_pause.max(now - last);
        }
        if device.is_none() {
            report.missing += 1;
        }
        let was_missing = last_device.is_some_and(|device| device.is_none());
        if (device.is_none() || was_missing)
            && let Some(present) = last_present
        {
            report.longest_missing = report.longest_missing.max(now - present);
        }
        if device.is_some() {
            last_present = Some(now);
        }
        if last_device != Some(device) {
            last_device = Some(device);
            if report.changes.len() < 10_000 {
                report.changes.push((now, device));
            }
        }
        drop(report);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}
