//! Answers and verdicts on them, in tables; whole, in pieces and cut off.

use super::*;

/// The verdict on an answer in which `|` stands for the end of a line.
fn verdict(status: &[u16], expect: Option<&str>, answer: &str) -> Result<(), Refusal> {
    let mut exchange = Exchange::new("www.example.org:8080".into(), status.to_vec(), expect.map(str::to_owned));
    let bytes = answer.replace('|', "\r\n").into_bytes();
    exchange.take(&bytes).unwrap_or_else(|| Err(exchange.closed()))
}

fn portal(status: u16, location: &str) -> Refusal {
    Refusal::Portal { status, location: (!location.is_empty()).then(|| location.to_owned()) }
}

fn wrong(status: u16) -> Refusal {
    Refusal::Wrong(Wrong::Status(status))
}

#[test]
fn requests() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        request("a.example:8080", "/x?y", false),
        format!(
            "HEAD /x?y HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: failoverd/{version}\r\nConnection: close\r\n\r\n"
        )
    );
    assert!(request("a.example", "/", true).starts_with("GET / HTTP/1.1\r\n"));
}

#[test]
fn heads() {
    let garbage = || Err(Refusal::Wrong(Wrong::Garbage));
    for (answer, want, why) in [
        ("HTTP/1.1 204 No Content||", Ok(()), "as expected"),
        ("HTTP/1.0 200 OK|Server: x||", Ok(()), "an older server"),
        ("HTTP/1.1 200\n\n", Ok(()), "no reason, bare line ends"),
        ("HTTP/1.1 100 Continue||HTTP/1.1 103 Hints|a: b||HTTP/1.1 200 OK||", Ok(()), "something preliminary first"),
        ("HTTP/1.1 200 OK|bad header|: worse||", Ok(()), "fields that are none"),
        (
            "HTTP/1.1 302 Found|location: http://login.hotel.example/start?mac=1||",
            Err(portal(302, "http://login.hotel.example/start")),
            "sent on; the query is nobody's business",
        ),
        (
            "HTTP/1.1 307 x|Location: https://10.1.0.1:8443||",
            Err(portal(307, "https://10.1.0.1:8443")),
            "sent on to an address",
        ),
        (
            "HTTP/1.1 301 x|Location: //cdn.example/||",
            Err(portal(301, "http://cdn.example/")),
            "sent on with the same scheme",
        ),
        (
            "HTTP/1.1 303 x|Location: http://user:secret@portal.example/||",
            Err(portal(303, "http://portal.example/")),
            "no credentials",
        ),
        (
            "HTTP/1.1 302 x|Location: http://portal.example/<script>alert(1)||",
            Err(portal(302, "http://portal.example/")),
            "no mischief",
        ),
        ("HTTP/1.1 301 x|Location: https://www.example.org/||", Err(wrong(301)), "the same host, with TLS"),
        (
            "HTTP/1.1 301 x|Location: http://WWW.Example.org.:80/a||",
            Err(wrong(301)),
            "the same host, written otherwise",
        ),
        (
            "HTTP/1.1 302 x|Location: /login?back=http://www.example.org//||",
            Err(wrong(302)),
            "the same host, as none is named",
        ),
        ("HTTP/1.1 302 x|Location: /a//b.example/||", Err(wrong(302)), "a path with two slashes"),
        ("HTTP/1.1 302 x|Location: http:///x||", Err(wrong(302)), "a host without a name"),
        ("HTTP/1.1 302 x||", Err(wrong(302)), "sent on to nowhere"),
        ("HTTP/1.1 203 x||", Err(portal(203, "")), "somebody else's page"),
        ("HTTP/1.1 511 Network Authentication Required||", Err(portal(511, "")), "it says so itself"),
        ("HTTP/1.1 404 Not Found|Location: http://elsewhere.example||", Err(wrong(404)), "not found"),
        ("HTTP/1.1 503 x||", Err(wrong(503)), "a server in trouble"),
        ("HTTP/1.1 101 Switching||", Err(Refusal::Wrong(Wrong::Closed)), "preliminary, and nothing follows"),
        ("", Err(Refusal::Wrong(Wrong::Closed)), "nothing"),
        ("HTTP/1.1 200 OK|Server:", Err(Refusal::Wrong(Wrong::Closed)), "half a head"),
        ("SSH-2.0-dropbear|", garbage(), "another protocol, which need not end"),
        ("\x15\x03\x01", garbage(), "TLS"),
        ("HTTP/1.1 2x0 OK||", garbage(), "no status"),
        ("HTTP/1.x 200 OK||", garbage(), "no version"),
        ("HTTP/2.0 200 OK||", garbage(), "another version"),
    ] {
        assert_eq!(verdict(&[200, 204], None, answer), want, "{why}");
    }
    assert_eq!(verdict(&[302], None, "HTTP/1.1 302 x|Location: http://elsewhere.example/||"), Ok(()), "expected");
    let long = format!("HTTP/1.1 302 x|Location: http://{}.example/||", "a".repeat(200));
    let Err(Refusal::Portal { location: Some(location), .. }) = verdict(&[200], None, &long) else { panic!() };
    assert_eq!(location.len(), LOCATION);
    let endless = format!("HTTP/1.1 200 OK|{}", "a: b|".repeat(2000));
    assert_eq!(verdict(&[200], None, &endless), garbage(), "a head without an end");
    let many = format!("HTTP/1.1 200 OK|{}|", "a: b|".repeat(FIELDS + 1));
    assert_eq!(verdict(&[200], None, &many), garbage(), "too many fields");
}

#[test]
fn bodies() {
    let other = || Err(portal(200, ""));
    for (answer, want, why) in [
        ("HTTP/1.1 200 OK||all is fine", Ok(()), "until the end"),
        ("HTTP/1.1 200 OK|Content-Length: 11||all is fine", Ok(()), "of a known length"),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||7|all is |4;x=y|fine|0||", Ok(()), "in chunks"),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: Chunked||9|all is fi|3|xne|0||",
            other(),
            "in chunks, with a letter between",
        ),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||1|f|1|i|1|n|1|e|0||", Ok(()), "across chunks"),
        ("HTTP/1.1 200 OK|Content-Length: 5||login", other(), "a portal"),
        ("HTTP/1.1 200 OK|Content-Length: 5||loginfine", other(), "what is behind the body does not count"),
        ("HTTP/1.1 200 OK||login", other(), "a portal that closes"),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|login|0||", other(), "a portal in chunks"),
        ("HTTP/1.1 200 OK|Content-Length: 0||", other(), "no body"),
        ("HTTP/1.1 204 No Content||fine", Err(portal(204, "")), "a status that has no body"),
        ("HTTP/1.1 200 OK|Content-Length: 50||login", Err(Refusal::Wrong(Wrong::Closed)), "closed amidst"),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|log", Err(Refusal::Wrong(Wrong::Closed)), "closed in a chunk"),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||x|", Err(Refusal::Wrong(Wrong::Garbage)), "no size"),
        ("HTTP/1.1 404 Not Found||fine", Err(wrong(404)), "the status comes first"),
    ] {
        assert_eq!(verdict(&[200, 204], Some("fine"), answer), want, "{why}");
    }
    let long = format!("HTTP/1.1 200 OK||{}", "no ".repeat(BODY / 3 + 1));
    assert_eq!(verdict(&[200], Some("fine"), &long), other(), "enough was looked at");
    let endless = format!("HTTP/1.1 200 OK|Transfer-Encoding: chunked||{}", "0".repeat(CHUNK_LINE + 1));
    assert_eq!(verdict(&[200], Some("fine"), &endless), Err(Refusal::Wrong(Wrong::Garbage)), "a size without an end");
}

#[test]
fn however_it_is_cut_the_verdict_is_the_same() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n2\r\nye\r\n1;a\r\ns\r\n0\r\n\r\n",
        "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno no yes",
        "HTTP/1.1 302 x\r\nLocation: http://portal.example/\r\n\r\n",
        "HTTP/1.1 200 OK\n\nyyesno",
    ] {
        for cut in 0..=60 {
            exercise(&[&[cut], answer.as_bytes()].concat());
        }
    }
}
