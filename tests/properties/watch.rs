//! The watcher of every single change: promise 1 (a default route at every moment) and promise 3 (others' things stay theirs).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use failoverd::kernel::{Metric, Route, RouteChange};
use failoverd::takeover::{is_foreign, original_metric};

use super::model::{Kernel, World};

/// Set before a stop: then main may be left without a default route if nobody but us had one.
pub type Ending = Rc<Cell<bool>>;

/// Watches `world` from now on.
pub fn watch(world: &mut World) -> Ending {
    let ending = Ending::default();
    let flag = ending.clone();
    world.observer = Some(Box::new(move |before, change, after| check(before, change, after, flag.get())));
    ending
}

/// One change, before and after.
pub fn check(before: &Kernel, change: &RouteChange, after: &Kernel, ending: bool) {
    let had = before.defaults().next().is_some();
    let lost = had && after.defaults().next().is_none();
    let ours_alone = before.defaults().all(Route::is_ours);
    assert!(!lost || (ending && ours_alone), "no default route after {change:?}\nbefore: {:#?}", list(before));

    let bystanders = |kernel: &Kernel| -> Vec<Route> {
        kernel.fib.routes.iter().filter(|it| !it.is_ours() && !it.is_main_default()).cloned().collect()
    };
    assert_eq!(bystanders(before), bystanders(after), "another program's route was hit by {change:?}");
    let rules = |kernel: &Kernel| -> Vec<_> { kernel.rules.iter().filter(|it| it.protocol != 102).cloned().collect() };
    assert_eq!(rules(before), rules(after), "another program's rule was hit by {change:?}");

    // Wherever takeover has put it, somebody's default route is there, unless a newer one has taken its place.
    let (old, new) = (theirs(before), theirs(after));
    for route in &old {
        let replaced = new.iter().any(|it| it.1 == route.1);
        assert!(new.contains(route) || replaced, "lost {route:?} by {change:?}\nbefore: {:#?}", list(before));
    }
    for route in &new {
        assert!(old.contains(route), "made up {route:?} by {change:?}");
    }
}

/// Others' default routes, at the metrics that their owners gave them.
fn theirs(kernel: &Kernel) -> BTreeSet<(String, Metric)> {
    let owner = |route: &Route| {
        let metric = original_metric(route.metric).map_or(route.metric, |(_, metric)| metric);
        (format!("{:?}", Route { metric, ..route.clone() }), metric)
    };
    kernel.defaults().filter(|route| is_foreign(route)).map(owner).collect()
}

/// Default routes in words.
pub fn list(kernel: &Kernel) -> Vec<String> {
    let line = |it: &Route| {
        format!("{:?} {:?} metric {} proto {} table {}", it.device, it.gateway, it.metric.0, it.protocol, it.table.0)
    };
    kernel.fib.routes.iter().filter(|it| it.destination.prefix == 0).map(line).collect()
}
