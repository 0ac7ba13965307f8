//! Notices as notifications and events.

use super::*;

#[tokio::test]
async fn notices_reach_subscribers_and_listeners() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    let mut peer = Peer::connect(&place.socket());
    let (peer, subscription, events) = with_client(&mut bus, move || {
        let target = peer.lookup();
        let (subscription, events) = (peer.nameless(), peer.nameless());
        assert_eq!(peer.ask(&ubus_frame::subscription(subscription, target, 4)).2, 0);
        assert_eq!(peer.ask(&ubus_frame::event_registration(events, "failover", 5)).2, 0);
        (peer, subscription, events)
    })
    .await;
    assert_ne!(subscription, events);
    bus.notify(&switch());
    bus.notify(&Notice { action: None, ..switch() });
    bus.notify(&Notice { action: Some(NoticeAction::ConfigError), from: None, to: None, ..switch() });
    let seen = with_client(&mut bus, move || {
        let mut peer = peer;
        [(); 4].map(|()| peer.invoked())
    })
    .await;
    let moved = json!({ "action": "switch", "from": "fiber", "to": "lte", "reason": "no carrier", "reason_code": "no_carrier" });
    let refused = json!({ "action": "config_error", "reason": "no carrier", "reason_code": "no_carrier" });
    let expected = [
        ("switch".to_owned(), moved.clone()),
        ("failover".to_owned(), moved),
        ("config_error".to_owned(), refused.clone()),
        ("failover".to_owned(), refused),
    ];
    assert_eq!(seen, expected, "a notice without action is for the log alone");
}
