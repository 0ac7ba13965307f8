//! The daemon ends and starts again while its providers are netifd's interfaces; new ones join it.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use lab::LabConfig;

use super::{Home, interface, lowered};
use crate::world::{SECOND, SOON};

#[test]
fn a_restart_is_never_without_a_default_route_whatever_becomes_of_ubus() {
    let home = Home::alone(LabConfig { identical: false, ..LabConfig::default() });
    let stream = home.world.lab.stream().unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    let begin = Instant::now();
    home.world.never_without("restarts", || {
        for hung in [false, true] {
            for killed in [false, true] {
                let daemon = home.world.start();
                home.world.wait_slots(&[(2, 0), (3, 1)]);
                home.world.broker.hang(hung);
                if killed {
                    drop(daemon.kill().unwrap())
                } else {
                    home.world.stop(&daemon)
                }
                // With a ubus that hangs: by what the run before knew.
                let daemon = home.world.start();
                home.world.wait_slots(&[(2, 0), (3, 1)]);
                home.wait_leads(0, &interface(&home.world, 0));
                home.world.broker.hang(false);
                home.world.wait_status("the object", |status| status["active"] == "wan0");
                home.world.stop(&daemon);
            }
        }
    });
    let end = Instant::now();
    assert_eq!(stream.stop(SECOND).lost_between(begin, end), 0);
    assert_eq!(home.world.defaults().len(), 1, "netifd's is back, alone");
}

#[test]
fn a_new_interface_in_the_configuration_joins_without_moving_traffic() {
    let home = Home::new(LabConfig { identical: false, providers: 3, ..LabConfig::default() });
    let all = home.uci(&[]);
    home.world.configure(all.split("\nconfig provider 'wan1'").next().unwrap());
    let before = home.world.view();
    let daemon = home.world.start();
    assert!(home.ours(0).iter().all(|it| !it.contains(" table 254 ")), "with one provider it only watches");
    let stream = home.world.lab.stream().unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    let begin = Instant::now();
    // As `uci commit` does: a new file in place of the old one, that everybody may read.
    let new = home.world.lab.write_file("failover.new", &all).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::rename(&new, home.world.config()).unwrap();
    daemon.signal(libc::SIGHUP).unwrap();
    home.world.wait_line(&daemon, "wan2 online");
    home.world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
    // One that netifd does not know yet, and learns of later.
    home.down(2, lowered(&interface(&home.world, 2), true, false));
    home.world.wait_state(2, "disabled");
    home.up(2, interface(&home.world, 2));
    home.wait_leads(2, &interface(&home.world, 2));
    let end = Instant::now();
    let timeline = stream.stop(SECOND);
    assert_eq!(timeline.lost_between(begin, end), 0);
    assert_eq!(home.world.status()["switches"], 0);
    assert_eq!(home.world.lab.active_provider().unwrap(), Some(0));
    home.world.stop(&daemon);
    home.assert_put_back(2, &before);
}
