//! Events, and a connection that breaks.

use super::*;

/// Whether the watcher reports something within a time in which the kernel always has.
async fn notices(watcher: &mut Watcher) -> bool {
    tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await.is_ok()
}

/// A watcher after the devices have come up: the kernel tells of a second carrier change within a second only after it.
async fn calm_watcher(kernel: &Kernel) -> Watcher {
    let mut watcher = kernel.watch().unwrap();
    while tokio::time::timeout(Duration::from_millis(1100), watcher.changed()).await.is_ok() {}
    watcher
}

#[test]
fn what_matters_is_noticed_and_our_own_is_not() {
    with_kernel(|mut kernel| {
        in_runtime(async move {
            let mut watcher = calm_watcher(&kernel).await;
            let own = default_route("wan0", "192.168.1.1", 2);
            for (command, want, why) in [
                ("route add default via 192.168.1.1 metric 7", true, "a default route"),
                ("route add 10.0.0.0/8 via 192.168.1.1 table 99", false, "a table of others"),
                ("route add default via 192.168.1.1 table 7101 proto 102", true, "a table of ours"),
                ("addr add 10.0.0.1/8 dev wan1", true, "an address"),
                ("rule add pref 9 lookup 9", true, "a rule"),
                ("neigh add 192.168.1.1 lladdr 02:00:00:00:00:01 dev wan0", false, "a neighbour"),
            ] {
                ip(command);
                assert_eq!(notices(&mut watcher).await, want, "{why}");
                assert!(!notices(&mut watcher).await, "{why}: one change is told once");
            }
            std::fs::write("/proc/sys/net/ipv4/conf/wan0/rp_filter", "1").unwrap();
            assert!(notices(&mut watcher).await, "a sysctl");
            assert_eq!(kernel.apply(&RouteChange::Write(own.clone())), Outcome::Done);
            assert_eq!(kernel.apply(&RouteChange::Delete(own)), Outcome::Done);
            assert!(!notices(&mut watcher).await, "what we did ourselves");
            ip("link set wan1 down");
            assert!(notices(&mut watcher).await, "a device");
        })
    });
}

#[test]
fn lost_events_are_noticed() {
    with_kernel(|kernel| {
        in_runtime(async move {
            let mut watcher = calm_watcher(&kernel).await;
            let noise = |from: u32| {
                let directory = crate::shell::testing::Directory::new();
                let file = directory.path().join("batch");
                let line = |n: u32| format!("route add 10.{}.{}.0/24 via 192.168.1.1 table 99\n", n / 250, n % 250);
                std::fs::write(&file, (from..from + 3000).map(line).collect::<String>()).unwrap();
                ip(&format!("-batch {}", file.display()));
            };
            // None of these matters, but among those that do not fit one that does may have been.
            noise(0);
            assert!(notices(&mut watcher).await, "an overrun");
            assert!(!notices(&mut watcher).await, "and then quiet");
            ip("route add default via 192.168.1.1 metric 7");
            assert!(notices(&mut watcher).await, "and on");
        })
    });
}

#[test]
fn a_broken_connection_is_opened_again() {
    with_kernel(|mut kernel| {
        in_runtime(async move {
            let mut watcher = calm_watcher(&kernel).await;
            kernel.transport.break_it();
            let error = kernel.snapshot(&[]).unwrap_err().to_string();
            assert!(error.contains("read the devices: the netlink connection broke"), "{error}");
            assert!(kernel.snapshot(&[]).is_ok(), "the next request has a new one");
            let own = default_route("wan0", "192.168.1.1", 2);
            assert_eq!(kernel.apply(&RouteChange::Write(own)), Outcome::Done);
            assert!(!notices(&mut watcher).await, "and the watcher knows its number");
        })
    });
}
