//! An interface that stays offline is set up again, by netifd, and only as often as it should be.

use std::time::{Duration, Instant};

use lab::{LabConfig, wait_for};
use serde_json::Value;

use super::{Home, interface, lowered};
use crate::world::{SECOND, SOON, stays};

/// The shortest that there is.
const AFTER: Duration = Duration::from_secs(10);

#[test]
fn a_line_that_stays_offline_is_taken_down_and_up_again() {
    let home = Home::new(LabConfig { identical: false, ..LabConfig::default() });
    home.world.configure(&home.uci(&[("recover", "restart"), ("recover_after", "10")]));
    let daemon = home.world.start();
    home.world.wait_slots(&[(2, 0), (3, 1)]);
    home.world.wait_state(1, "online");
    home.world.provider(1).silent(true);
    let status = home.world.wait_state(1, "offline");
    let offline = Instant::now();
    assert_eq!((&status["recovery"]["action"], &status["recovery"]["times"]), (&"restart".into(), &0.into()));
    wait_for(AFTER + SOON, "down and up", || home.netifd.calls().len() == 2).unwrap();
    assert!(offline.elapsed() > AFTER - SECOND, "after {:?}", offline.elapsed());
    assert_eq!(home.netifd.calls(), ["down wan1", "up wan1"]);
    stays(3 * SECOND, "nobody takes it for an ifdown", || {
        home.netifd.calls().len() == 2 && home.world.status_of(1)["state"] != "disabled"
    });
    let status = home.world.status_of(1);
    assert_eq!((&status["recovery"]["times"], &status["flaps"]), (&1.into(), &1.into()), "{status:#}");
    assert!(status["recovery"]["next_in"].as_u64().is_some_and(|next| (10..20).contains(&next)), "{status:#}");
    let said = daemon.stderr().into_iter().filter(|line| line.text.contains("wan1 stays offline: interface wan1 is"));
    assert_eq!(said.count(), 1);
    home.world.provider(1).silent(false);
    let status = home.world.wait_state(1, "online");
    assert_eq!(status["recovery"], Value::Null);
    // What a person takes down stays down.
    home.down(1, lowered(&interface(&home.world, 1), true, false));
    home.world.wait_state(1, "disabled");
    stays(AFTER + 2 * SECOND, "it stays down", || home.netifd.calls().len() == 2);
    home.world.stop(&daemon);
}
