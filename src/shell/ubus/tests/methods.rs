//! Calls of our methods: their arguments, their answers, and too many of them.

use super::*;

#[tokio::test]
async fn every_method_can_be_called() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    for (method, arguments, seen) in [
        ("status", json!({}), "Status { provider: None }"),
        ("status", json!({ "provider": "lte" }), r#"Status { provider: Some("lte") }"#),
        ("history", json!({ "provider": "lte", "limit": 5 }), r#"History { provider: "lte", limit: Some(5) }"#),
        ("check", json!({ "ubus_rpc_session": "0000" }), "Check { provider: None }"),
        ("pin", json!({ "provider": "lte" }), r#"Pin { provider: "lte" }"#),
        ("reload", json!({}), "Reload"),
    ] {
        let answer = ask(&mut bus, &place, method, arguments).await.unwrap();
        assert_eq!(answer, json!({ "call": seen, "latency_ms": 12.5, "since": 3, "ok": true }));
    }
    assert_eq!(ask(&mut bus, &place, "unpin", json!({})).await.unwrap(), json!({}), "success and nothing more");
}

#[tokio::test]
async fn wrong_calls_are_answered_with_their_status() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    for (method, arguments, expected) in [
        ("status", json!({ "provider": 5 }), UbusStatus::InvalidArgument),
        ("pin", json!({}), UbusStatus::InvalidArgument),
        ("history", json!({ "provider": "lte", "limit": "all" }), UbusStatus::InvalidArgument),
        ("stop", json!({}), UbusStatus::MethodNotFound),
        ("status", json!({ "provider": "nobody" }), UbusStatus::NotFound),
    ] {
        match ask(&mut bus, &place, method, arguments.clone()).await {
            Err(CallError::Status(status)) => assert_eq!(status, expected, "{method} {arguments}"),
            other => panic!("{method} {arguments}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_callers_with_one_number_get_their_own_answers_late_and_in_any_order() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    let caller = |name: &'static str, place: &Place| {
        let socket = place.socket();
        std::thread::spawn(move || {
            let mut peer = Peer::connect(&socket);
            let object = peer.lookup();
            let args = BlobMsgTable::build(|table| table.put_str(Some("provider"), name));
            peer.ask(&OutboundMsg::Invoke { obj_id: object, method: "check", args: &args }.into_frame(77))
        })
    };
    let callers = [caller("first", &place), caller("second", &place)];
    let mut open = Vec::new();
    while open.len() < 2 {
        if let BusEvent::Request(request) = bus.next().await {
            open.push(request);
        }
    }
    assert_eq!(open[0].reply_to.sequence, open[1].reply_to.sequence);
    for request in open.into_iter().rev() {
        let Call::Check { provider } = request.call else { panic!("{:?}", request.call) };
        bus.reply(request.reply_to, Ok(json!({ "provider": provider })));
    }
    let answers = with_client(&mut bus, move || callers.map(|caller| caller.join().unwrap())).await;
    for ((_, data, status), name) in answers.into_iter().zip(["first", "second"]) {
        assert_eq!((Value::Object(data), status), (json!({ "provider": name }), 0));
    }
}

#[tokio::test]
async fn a_call_that_the_event_loop_forgets_is_answered_for_it() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::with_timing(&place.socket(), quick());
    connected(&mut bus).await;
    let socket = place.socket();
    let arguments = Map::new();
    let forgetful = async {
        loop {
            drop(bus.next().await);
        }
    };
    let answer = tokio::select! {
        answer = call(&socket, OBJECT, "status", &arguments, Duration::from_secs(10)) => answer,
        () = forgetful => unreachable!(),
    };
    assert!(matches!(answer, Err(CallError::Status(UbusStatus::Timeout))), "{answer:?}");
    assert!(bus.link.unwrap().pending.is_empty());
}

#[tokio::test]
async fn a_flood_of_calls_is_bounded() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    let thread = {
        let mut peer = Peer::connect(&place.socket());
        std::thread::spawn(move || {
            let object = peer.lookup();
            let args = BlobMsgTable::empty();
            for sequence in 0..200 {
                peer.send(&OutboundMsg::Invoke { obj_id: object, method: "status", args: &args }.into_frame(sequence));
            }
            (0..200).map(|_| peer.answer().2).filter(|status| *status == 9).count()
        })
    };
    let mut open = Vec::new();
    let mut patience = Duration::from_secs(30);
    while let Ok(event) = tokio::time::timeout(patience, bus.next()).await {
        if let BusEvent::Request(request) = event {
            open.push(request);
        }
        if open.len() >= MAX_PENDING {
            patience = Duration::from_millis(500);
        }
    }
    assert_eq!(open.len(), MAX_PENDING);
    for request in open {
        bus.reply(request.reply_to, Ok(Value::Null));
    }
    assert_eq!(with_client(&mut bus, || thread.join().unwrap()).await, 200 - MAX_PENDING);
}

#[tokio::test]
async fn a_caller_learns_why_there_is_no_answer() {
    let place = Place::new();
    let nothing = Map::new();
    let ask = async |timeout| call(&place.socket(), OBJECT, "status", &nothing, Duration::from_millis(timeout)).await;
    assert!(matches!(ask(500).await, Err(CallError::NoBroker { .. })));
    let broker = Broker::start(&place);
    assert!(matches!(ask(500).await, Err(CallError::NoObject(_))));
    broker.hang(true);
    assert!(matches!(ask(100).await, Err(CallError::Timeout(_))));
}

#[tokio::test]
async fn being_dropped_while_waiting_loses_nothing() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    let socket = place.socket();
    let caller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut answers = 0;
        while answers < 50 {
            answers += usize::from(call(&socket, OBJECT, "status", &Map::new(), Duration::from_secs(10)).await.is_ok());
        }
    });
    while !caller.is_finished() {
        // As in an event loop where something else is always ready soon.
        let Ok(event) = tokio::time::timeout(Duration::from_micros(300), bus.next()).await else { continue };
        if let BusEvent::Request(request) = event {
            bus.reply(request.reply_to, Ok(json!({ "large": "x".repeat(100_000) })));
        }
    }
    caller.await.unwrap();
}

#[tokio::test]
async fn a_large_answer_is_whole_whatever_else_is_asked() {
    let place = Place::new();
    let _broker = Broker::start(&place);
    let mut bus = Bus::new(&place.socket());
    connected(&mut bus).await;
    for (kilobytes, calls, why) in [(300, 1, "more than is queued"), (200, 5, "several pages at once"), (1, 60, "many")]
    {
        let socket = place.socket();
        let client = move || {
            let mut peer = Peer::connect(&socket);
            let object = peer.lookup();
            let args = BlobMsgTable::empty();
            for sequence in 0..calls {
                peer.send(&OutboundMsg::Invoke { obj_id: object, method: "series", args: &args }.into_frame(sequence));
            }
            (0..calls)
                .map(|_| peer.answer())
                .map(|(_, table, status)| (table["text"].as_str().unwrap().len(), status))
                .collect::<Vec<_>>()
        };
        let (done, mut result) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || done.send(client()));
        let answers = loop {
            tokio::select! {
                answers = &mut result => break answers.unwrap(),
                event = bus.next() => if let BusEvent::Request(request) = event {
                    bus.reply(request.reply_to, Ok(json!({ "text": "x".repeat(kilobytes * 1024) })));
                }
            }
        };
        assert!(answers.iter().all(|it| *it == (kilobytes * 1024, 0)), "{why}: {answers:?}");
    }
}
