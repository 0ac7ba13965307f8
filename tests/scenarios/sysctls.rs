//! rp_filter and ignore_routes_with_linkdown: changed where they must be, noted before, and put back.

use failoverd::event::Event;
use failoverd::kernel::Sysctl;

use super::model::{Config, World, secs};

#[test]
fn rp_filter() {
    for (all, device, want, why) in [
        (0, 0, 0, "off"),
        (0, 1, 0, "strict for the device: off"),
        (0, 2, 2, "loose already"),
        (1, 0, 2, "strict for all: loose for the device"),
        (1, 1, 2, "strict for all: loose for the device"),
        (1, 2, 2, "loose already, the greater one counts"),
        (2, 0, 0, "loose for all"),
        (2, 1, 1, "loose for all, the greater one counts"),
        (2, 2, 2, "loose"),
    ] {
        let mut world = World::with_defaults(2, &[(0, 0)], 1);
        world.kernel.all_rp_filter = all;
        world.kernel.set_sysctl("wan1", Sysctl::RpFilter, device);
        let initial = world.kernel.clone();
        world.start(Config::count(2).0);
        world.pass(secs(1));
        assert_eq!(world.kernel.link("wan1").rp_filter, want, "all {all}, device {device}: {why}");
        assert_eq!(world.kernel.link("wan1").ignore_linkdown, 1);
        let noted = world.state.sysctls.iter().find(|it| it.device == "wan1" && it.key == Sysctl::RpFilter);
        assert_eq!(noted.map(|it| it.value), (want != device).then_some(device), "all {all}, device {device}");
        world.crash();
        world.start(Config::count(2).0);
        world.pass(secs(1));
        world.feed(Event::Stop);
        world.pass(secs(1));
        assert_eq!(world.kernel, initial, "all {all}, device {device}: put back, across a crash too");
    }
}
