//! The kernel's own neighbour table, in namespaces, with gateways that answer or do not.

use std::time::Instant;

use super::*;
use crate::shell::testing::{Namespace, in_runtime, index, ip};

/// For what takes a moment on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(20);
const PROVIDER: ProviderId = ProviderId(1);

/// `wan` at 192.168.1.2, and behind it a machine at 192.168.1.1.
fn wire() -> (Namespace, Namespace) {
    let (here, there) = (Namespace::new(), Namespace::new());
    let path = there.path();
    here.run(move || {
        ip("link add wan index 100 type veth peer name far index 200");
        ip(&format!("link set far netns {path}"));
        ip("addr add 192.168.1.2/24 dev wan");
        ip("link set wan up");
        // A gateway that is gone is known to be within two seconds, not three.
        ip("ntable change name arp_cache dev wan retrans 600");
    });
    there.run(|| {
        ip("addr add 192.168.1.1/24 dev far");
        ip("link set far up");
    });
    (here, there)
}

/// The gateway answers no ARP any more, or again.
fn silent(there: &Namespace, silent: bool) {
    there.run(move || drop(ip(&format!("link set far arp {}", if silent { "off" } else { "on" }))));
}

fn gateway() -> IpAddr {
    "192.168.1.1".parse().unwrap()
}

fn token(sequence: u16) -> ProbeToken {
    ProbeToken { id: 7, sequence, cookie: 1 }
}

fn ask(neighbours: &mut Neighbours, sequence: u16, timeout: Duration) -> Result<(), Refusal> {
    neighbours.ask(PROVIDER, index("wan"), token(sequence), gateway(), timeout)
}

/// `sequence answered` or `sequence cause`; nothing if there is nothing within the time.
async fn told(neighbours: &mut Neighbours, time: Duration) -> Option<String> {
    Some(match tokio::time::timeout(time, neighbours.next()).await.ok()? {
        Event::Answered { token, .. } => format!("{} answered", token.sequence),
        Event::ProbeRefused { token, cause, .. } => format!("{} {}", token.sequence, cause.sentence()),
        other => panic!("{other:?}"),
    })
}

async fn until(why: &str, mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "{why}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn each_question_is_asked_anew() {
    let (here, there) = wire();
    here.run(|| {
        in_runtime(async {
            let mut neighbours = Neighbours::default();
            assert_eq!(neighbours.state(index("wan"), gateway()), Neighbour::Unknown, "never asked");
            for state in ["", "reachable", "stale", "delay", "probe"] {
                if !state.is_empty() {
                    ip(&format!("neigh change 192.168.1.1 dev wan nud {state}"));
                }
                ask(&mut neighbours, 1, PATIENCE).unwrap();
                let told = told(&mut neighbours, PATIENCE).await;
                assert_eq!(told.as_deref(), Some("1 answered"), "'{state}' before");
                assert_eq!(neighbours.state(index("wan"), gateway()), Neighbour::Reachable);
            }
            assert!(neighbours.gateways.is_empty());
            assert_eq!(told(&mut neighbours, Duration::from_millis(20)).await, None);
            assert!(neighbours.notices.is_none(), "nothing is listened to while nothing is asked");
        });
    });
    drop(there);
}

#[test]
fn a_gateway_that_is_gone_is_asked_with_each_question_then_given_up_and_found_again() {
    let (here, there) = wire();
    let (go, gone) = std::sync::mpsc::channel::<bool>();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let helper = std::thread::spawn(move || {
        for silence in gone {
            silent(&there, silence);
            done.send(()).unwrap();
        }
    });
    here.run(move || {
        let gateway_is = |silent| {
            go.send(silent).unwrap();
            is_done.recv().unwrap();
        };
        in_runtime(async {
            let mut neighbours = Neighbours::default();
            let wan = index("wan");
            ask(&mut neighbours, 1, PATIENCE).unwrap();
            assert_eq!(told(&mut neighbours, PATIENCE).await.as_deref(), Some("1 answered"));
            gateway_is(true);
            ask(&mut neighbours, 2, Duration::from_millis(50)).unwrap();
            assert_eq!(told(&mut neighbours, Duration::from_millis(100)).await, None, "silence is silence");
            let Neighbour::Asked(short) = neighbours.state(wan, gateway()) else { panic!("not asked") };
            assert!(short >= Duration::from_millis(50), "{short:?}");
            // Each question makes the kernel begin anew, until it has been pressed for long enough.
            let sent = || solicitations("wan");
            let before = sent();
            for number in 3..8 {
                ask(&mut neighbours, number, PATIENCE).unwrap();
                until("it is not asked again", || sent() >= before + u64::from(number) - 2).await;
            }
            tokio::time::sleep(INSISTENCE).await;
            let Neighbour::Asked(long) = neighbours.state(wan, gateway()) else { panic!("not asked") };
            assert!(long >= INSISTENCE, "asked anew, and yet for so long: {long:?}");
            ask(&mut neighbours, 8, PATIENCE).unwrap();
            let mut refused = vec![];
            for _ in 3..9 {
                refused.push(told(&mut neighbours, PATIENCE).await.unwrap());
            }
            assert_eq!(refused[5], "8 the gateway 192.168.1.1 does not answer ARP");
            assert_eq!(neighbours.state(wan, gateway()), Neighbour::Failed);
            // It is asked as one that nobody knows, by all.
            gateway_is(false);
            ask(&mut neighbours, 9, PATIENCE).unwrap();
            assert_eq!(told(&mut neighbours, PATIENCE).await.as_deref(), Some("9 answered"));
        });
    });
    helper.join().unwrap();
}

/// ARP packets sent: everything that `wan` sends, as nothing else is sent there.
fn solicitations(device: &str) -> u64 {
    let shown = ip(&format!("-s -j link show {device}"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
}

#[test]
fn what_is_fixed_stays_as_it_is() {
    let (here, _there) = wire();
    here.run(|| {
        in_runtime(async {
            let mut neighbours = Neighbours::default();
            ip("neigh replace 192.168.1.1 lladdr 02:00:00:00:00:09 dev wan nud permanent");
            let refused = ask(&mut neighbours, 1, PATIENCE).unwrap_err().sentence().to_string();
            assert!(refused.contains("the kernel asks no neighbour there"), "{refused}");
            assert!(ip("neigh show 192.168.1.1 dev wan").contains("PERMANENT"));
            ip("link add none type veth peer name other");
            ip("link set other up");
            ip("link set none arp off up");
            ip("addr add 10.0.0.1/24 dev none");
            let peer = "10.0.0.2".parse().unwrap();
            let refused = neighbours.ask(PROVIDER, index("none"), token(1), peer, PATIENCE).unwrap_err();
            assert!(refused.sentence().to_string().contains("the kernel asks no neighbour there"), "{refused:?}");
            let refused = neighbours.ask(PROVIDER, IfIndex(999), token(1), gateway(), PATIENCE).unwrap_err();
            assert!(refused.sentence().to_string().contains("No such device"), "{refused:?}");
            assert_eq!(neighbours.state(index("wan"), gateway()), Neighbour::Unknown);
        });
    });
}

#[test]
fn others_neighbours_and_a_flood_of_them_change_nothing() {
    let (here, there) = wire();
    here.run(|| {
        in_runtime(async {
            let mut neighbours = Neighbours::default();
            ip("link add lan type bridge");
            ip("link set lan up");
            ask(&mut neighbours, 1, PATIENCE).unwrap();
            assert_eq!(told(&mut neighbours, PATIENCE).await.as_deref(), Some("1 answered"));
            // So many notices that some are lost, the answer's among them.
            let batch: String = (0..8000)
                .map(|number| {
                    format!("neigh replace 10.0.{}.{} lladdr 02:00:00:00:00:07 dev lan\n", number / 250, number % 250)
                })
                .collect();
            let file = crate::shell::testing::Directory::new();
            let path = file.path().join("batch");
            std::fs::write(&path, batch).unwrap();
            ask(&mut neighbours, 2, PATIENCE).unwrap();
            ip(&format!("-force -batch {}", path.display()));
            assert_eq!(told(&mut neighbours, PATIENCE).await.as_deref(), Some("2 answered"));
        });
    });
    drop(there);
}

#[test]
fn a_closed_provider_is_told_nothing() {
    let (here, _there) = wire();
    here.run(|| {
        in_runtime(async {
            let mut neighbours = Neighbours::default();
            ask(&mut neighbours, 1, PATIENCE).unwrap();
            neighbours.close(PROVIDER);
            assert_eq!(told(&mut neighbours, Duration::from_millis(100)).await, None);
        });
    });
}
