//! Whatever the interfaces are called and whatever netifd says of them, the text is a configuration without a warning.

use failoverd::draft::merge;
use failoverd::init::{Facts, draft};
use failoverd::neighbours::Neighbours;
use failoverd::netifd::{DefaultRoute, Interface};
use failoverd::settings;
use proptest::prelude::*;

fn interface() -> impl Strategy<Value = Interface> {
    let name = prop_oneof![
        "[a-c][-._']?[a-c]?(_4)?",
        "[a-z0-9_]{1,12}",
        "\\PC{0,8}",
        Just("it's \"wan\"\n\\".to_owned()),
        Just(String::new()),
    ];
    let proto = prop_oneof![
        Just("dhcp"),
        Just("static"),
        Just("pppoe"),
        Just("qmi"),
        Just("wireguard"),
        Just("none"),
        Just("odd"),
        Just("")
    ];
    let device = proptest::option::of(prop_oneof!["eth[0-9]{1,2}(\\.[0-9])?", Just("wwan0".to_owned()), "\\PC{0,6}"]);
    let route = proptest::option::of(prop_oneof![
        Just(DefaultRoute::Direct),
        Just(DefaultRoute::Via("192.168.1.1".parse().unwrap())),
    ]);
    (name, proto, device, route, any::<bool>(), any::<bool>()).prop_map(
        |(name, proto, device, default_route, up, autostart)| Interface {
            name,
            proto: proto.to_owned(),
            lower_device: device.clone(),
            device,
            default_route,
            up,
            autostart,
            ..Interface::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_text_is_always_a_configuration(
        interfaces in proptest::collection::vec(interface(), 0..90),
        firewall in proptest::option::of(Just("config zone\noption name wan\noption network 'a b c a-b a.b'\noption masq 1\n")),
        default_devices in proptest::collection::vec("eth[0-9]", 0..3),
    ) {
        let neighbours = Neighbours::parse(None, None, firewall.map(|text| ("firewall", text.as_bytes())));
        let facts = Facts {
            interfaces: Some(&interfaces),
            neighbours: Some(&neighbours),
            default_devices: &default_devices,
        };
        if let Ok(draft) = draft(facts) {
            let loaded = settings::parse("failover", draft.text().as_bytes());
            let loaded = loaded.unwrap_or_else(|problems| panic!("{problems:?}\n{}", draft.text()));
            prop_assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            prop_assert_eq!(loaded.settings.providers.len(), draft.providers.len());
            // Written twice it is the same.
            let once = merge("failover", b"", &draft, false).unwrap();
            let again = merge("failover", &once.text, &draft, true).unwrap();
            prop_assert_eq!(once, again);
            let lines = draft.decisions.iter().chain(&draft.left_out);
            prop_assert!(lines.clone().all(|line| !line.contains('\n')), "{:?}", lines.collect::<Vec<_>>());
        }
    }
}
