//! Notices for procd's hotplug scripts: in order, none lost while the bus comes or goes, given back when procd does not take them.

use lab::HotplugObject;

use super::*;

fn because(reason: &str) -> Notice {
    Notice { reason: Some(reason.to_owned()), ..switch() }
}

/// The reasons of the notices that came back, in their order.
fn unheard(told: Vec<BusEvent>) -> Vec<String> {
    let environment = told.into_iter().filter_map(|event| match event {
        BusEvent::HotplugUnheard { environment, .. } => Some(environment),
        _ => None,
    });
    environment.map(|variables| variables.into_iter().find(|(name, _)| *name == "REASON").unwrap().1).collect()
}

#[tokio::test]
async fn scripts_are_called_in_order_from_the_first_notice_on() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let procd = HotplugObject::start(&place.socket()).unwrap();
    let mut bus = Bus::new(&place.socket());
    // Before anything is connected.
    for number in 0..40 {
        bus.hotplug(&because(&number.to_string()));
        bus.hotplug(&Notice { action: None, ..switch() });
    }
    let told = drive_until(&mut bus, "40 calls", || procd.calls().len() == 40).await;
    assert_eq!(unheard(told), Vec::<String>::new());
    for (number, call) in procd.calls().iter().enumerate() {
        assert_eq!(
            *call,
            ["ACTION=switch", "FROM=fiber", "TO=lte", &format!("REASON={number}"), "REASON_CODE=no_carrier"]
        );
    }
    assert!(unheard(drive_for(&mut bus, Duration::from_millis(50)).await).is_empty());
}

#[tokio::test]
async fn what_procd_does_not_take_comes_back_and_the_next_is_tried() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    connected(&mut bus).await;
    bus.hotplug(&because("no object"));
    let BusEvent::HotplugUnheard { environment, cause } = bus.next().await else { panic!("it comes back") };
    assert_eq!(environment.first(), Some(&("ACTION", "switch".to_owned())));
    assert!(cause.contains("hotplug.failover"), "{cause}");
    let procd = HotplugObject::start(&place.socket()).unwrap();
    procd.refuse(9);
    bus.hotplug(&because("refused"));
    let BusEvent::HotplugUnheard { cause, .. } = bus.next().await else { panic!("it comes back") };
    assert_eq!(cause, "unknown error");
    procd.refuse(0);
    procd.silent(true);
    bus.hotplug(&because("unanswered"));
    let began = Instant::now();
    let BusEvent::HotplugUnheard { .. } = bus.next().await else { panic!("it comes back") };
    assert!(began.elapsed() >= quick().request - Duration::from_millis(5), "it was waited for");
    procd.silent(false);
    bus.hotplug(&because("accepted"));
    let told = drive_until(&mut bus, "the call", || procd.calls().len() == 2).await;
    assert_eq!(unheard(told), Vec::<String>::new());
    assert!(procd.calls()[1].contains(&"REASON=accepted".to_owned()), "{:?}", procd.calls());
}

#[tokio::test]
async fn without_a_bus_they_come_back_in_order_and_bounded() {
    let place = Place::new();
    let mut bus = Bus::with_timing(&place.socket(), quick());
    for number in 0..100 {
        bus.hotplug(&because(&number.to_string()));
    }
    let mut told = Vec::new();
    while told.len() < 65 {
        told.push(tokio::time::timeout(Duration::from_secs(30), bus.next()).await.expect("65 events"));
    }
    let expected: Vec<_> = (36..100).map(|number| number.to_string()).collect();
    assert_eq!(unheard(told), expected, "the oldest are given up");
    assert!(unheard(drive_for(&mut bus, Duration::from_millis(50)).await).is_empty());
}

#[tokio::test]
async fn a_broker_that_hangs_or_restarts_loses_none() {
    let place = Place::new();
    let broker = Broker::start(&place);
    let procd = HotplugObject::start(&place.socket()).unwrap();
    let mut bus = Bus::with_timing(&place.socket(), quick());
    connected(&mut bus).await;
    broker.hang(true);
    bus.hotplug(&because("hanging"));
    bus.hotplug(&because("still"));
    let mut back = 0;
    let told = drive_to(&mut bus, "both to be given back", |event| {
        back += usize::from(matches!(event, BusEvent::HotplugUnheard { .. }));
        back == 2
    });
    assert_eq!(unheard(told.await), ["hanging", "still"], "for the scripts to be run without procd");
    broker.hang(false);
    drop(broker);
    let mut patient = Bus::with_timing(&place.socket(), Timing { request: Duration::from_secs(30), ..quick() });
    patient.hotplug(&because("restarted"));
    assert!(matches!(patient.next().await, BusEvent::Disconnected(_)));
    let _broker = Broker::start(&place);
    // What is not found is not waited for: procd is back first.
    let back = || {
        Peer::connect(&place.socket()).ask(&OutboundMsg::Lookup { obj_path: "hotplug.failover" }.into_frame(1)).2 == 0
    };
    lab::wait_for(Duration::from_secs(30), "procd to be back", back).unwrap();
    let heard = || procd.calls().iter().any(|call| call.contains(&"REASON=restarted".to_owned()));
    let told = drive_until(&mut patient, "the call after the restart", heard).await;
    assert!(unheard(told).is_empty());
}
