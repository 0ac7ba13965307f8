//! What is doubtful around the configuration: shown while it lasts, logged when it is new.

use failoverd::event::Event;
use failoverd::settings::LogLevel;

use super::healthy;
use super::model::{Config, secs};

#[test]
fn advice_is_logged_once_and_shown_until_it_is_heeded() {
    let mut world = healthy(2, Config::count(2), 1);
    let sentences = |names: &[&str]| names.iter().map(|name| format!("{name} is doubtful")).collect::<Vec<_>>();
    for (given, logged, why) in [
        (&["zone", "modem"][..], 2, "two new ones"),
        (&["modem", "zone"], 0, "nothing new"),
        (&["modem", "targets"], 1, "one of them is new"),
        (&[], 0, "all is mended"),
        (&["zone"], 1, "one is back"),
    ] {
        world.told.clear();
        world.feed(Event::Advice(sentences(given)));
        world.pass(secs(1));
        let told = world.told.iter().filter(|(_, notice)| notice.level == LogLevel::Warning);
        assert_eq!(told.count(), logged, "{why}");
        assert_eq!(world.core().status(world.now).warnings, sentences(given), "{why}");
    }
    assert_eq!(world.traffic(), "wan0", "advice moves nothing");
}
