//! HTTP/1.1 as an `http` test speaks it (RFC 9110, 9112): one request, and what comes back, judged without trust.
//!
//! The shell's askers send what [`request`] builds and hand what they read to [`Exchange::take`] until it has a verdict.

use crate::reason::{Refusal, Wrong};

/// The longest head that is read.
const HEAD: usize = 8 * 1024;
/// How much of the body is looked at.
const BODY: usize = 64 * 1024;
/// The most fields of a head.
const FIELDS: usize = 64;
/// The longest line that tells a chunk's size, with its extensions.
const CHUNK_LINE: usize = 256;
/// How much is told of where a redirect leads to.
const LOCATION: usize = 100;

/// A request: for the page itself, or for its head alone.
pub fn request(host: &str, path: &str, page: bool) -> String {
    let method = if page { "GET" } else { "HEAD" };
    let version = env!("CARGO_PKG_VERSION");
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: failoverd/{version}\r\nConnection: close\r\n\r\n")
}

/// One request's answer, as far as it has come.
#[derive(Clone, Debug)]
pub struct Exchange {
    host: String,
    status: Vec<u16>,
    expect: String,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Head(Vec<u8>),
    Body(Body),
}

/// A body that is searched as it comes.
#[derive(Clone, Debug)]
struct Body {
    status: u16,
    chunked: bool,
    /// What is missing of it, or of its present chunk; `None`: it ends with the connection.
    left: Option<u64>,
    /// The beginning of a line that tells a chunk's size.
    line: Vec<u8>,
    /// The end of what was searched: the text may have begun in it.
    tail: Vec<u8>,
    seen: usize,
}

impl Exchange {
    /// Expects an answer of `host` with one of these statuses and a body that contains `expect`; without that, no body.
    pub fn new(host: String, status: Vec<u16>, expect: Option<String>) -> Self {
        Self { host, status, expect: expect.unwrap_or_default(), phase: Phase::Head(vec![]) }
    }

    /// Takes what came in. The verdict, once there is one.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Result<(), Refusal>> {
        let head = match &mut self.phase {
            Phase::Body(body) => return body.take(bytes, self.expect.as_bytes()),
            Phase::Head(head) => head,
        };
        let mut searched = head.len().saturating_sub(2);
        head.extend_from_slice(bytes);
        loop {
            if !head.iter().zip(b"HTTP/1.").all(|(byte, wanted)| byte == wanted) {
                return Some(garbage());
            }
            let Some(end) = end_of_head(head, searched) else {
                return (head.len() >= HEAD).then(garbage);
            };
            let mut fields = [httparse::EMPTY_HEADER; FIELDS];
            let mut response = httparse::Response::new(&mut fields);
            // Portals are not written with care: a field that is none does not make the whole answer worthless.
            let parsed = httparse::ParserConfig::default()
                .ignore_invalid_headers_in_responses(true)
                .parse_response(&mut response, head.get(..end)?);
            let (Ok(httparse::Status::Complete(_)), true) = (parsed, end <= HEAD) else {
                return Some(garbage());
            };
            let status = response.code.unwrap_or_default();
            // Something preliminary: the answer follows.
            if (100..200).contains(&status) && !self.status.contains(&status) {
                head.drain(..end);
                searched = 0;
                continue;
            }
            let field = |name: &str| {
                response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
            };
            if !self.status.contains(&status) {
                let location = field("location").and_then(|location| elsewhere(location, &self.host));
                return Some(Err(unexpected(status, location)));
            }
            if self.expect.is_empty() {
                return Some(Ok(()));
            }
            let bodiless = matches!(status, 204 | 304);
            // A body that nobody asked to have encoded comes as it is, or in chunks (RFC 9112, section 6.1).
            let chunked = !bodiless && field("transfer-encoding").is_some();
            let left = match field("content-length") {
                _ if chunked || bodiless => Some(0),
                length => length.and_then(|value| str::from_utf8(value).ok()?.parse().ok()),
            };
            let mut body = Body { status, chunked, left, line: vec![], tail: vec![], seen: 0 };
            let verdict = body.take(head.get(end..)?, self.expect.as_bytes());
            self.phase = Phase::Body(body);
            return verdict;
        }
    }

    /// The connection was closed, and there was no verdict yet.
    pub fn closed(&self) -> Refusal {
        match &self.phase {
            Phase::Body(body) if body.left.is_none() => body.another_page(),
            _ => Refusal::Wrong(Wrong::Closed),
        }
    }
}

impl Body {
    fn take(&mut self, mut bytes: &[u8], expect: &[u8]) -> Option<Result<(), Refusal>> {
        self.seen += bytes.len();
        loop {
            if self.left == Some(0) {
                if !self.chunked {
                    return Some(Err(self.another_page()));
                }
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let (line, rest) = bytes.split_at_checked(end.map_or(bytes.len(), |end| end + 1))?;
                self.line.extend_from_slice(line);
                bytes = rest;
                if self.line.len() > CHUNK_LINE {
                    return Some(garbage());
                }
                if end.is_none() {
                    break;
                }
                let line = std::mem::take(&mut self.line);
                let text = str::from_utf8(&line).unwrap_or("?").trim();
                // The line behind a chunk's data is empty.
                if !text.is_empty() {
                    let size = text.split(';').next().unwrap_or_default().trim_end();
                    match u64::from_str_radix(size, 16) {
                        Ok(0) => return Some(Err(self.another_page())),
                        Ok(size) => self.left = Some(size),
                        Err(_) => return Some(garbage()),
                    }
                }
                continue;
            }
            let size = self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX).min(bytes.len());
            let (data, rest) = bytes.split_at_checked(size)?;
            bytes = rest;
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
            }
            self.tail.extend_from_slice(data);
            if self.tail.windows(expect.len().max(1)).any(|part| part == expect) {
                return Some(Ok(()));
            }
            self.tail.drain(..(self.tail.len() + 1).saturating_sub(expect.len()));
            if bytes.is_empty() && self.left != Some(0) {
                break;
            }
        }
        (self.seen >= BODY).then(|| Err(self.another_page()))
    }

    const fn another_page(&self) -> Refusal {
        Refusal::Portal { status: self.status, location: None }
    }
}

const fn garbage() -> Result<(), Refusal> {
    Err(Refusal::Wrong(Wrong::Garbage))
}

/// What an unexpected status means. A portal sends on to its own page, shows it at once, or says what it is (511, RFC 6585).
fn unexpected(status: u16, elsewhere: Option<String>) -> Refusal {
    match (status, elsewhere) {
        (300..=399, Some(location)) => Refusal::Portal { status, location: Some(location) },
        (200..=299 | 511, _) => Refusal::Portal { status, location: None },
        _ => Refusal::Wrong(Wrong::Status(status)),
    }
}

/// Behind the empty line that ends a head, looked for from `from`.
fn end_of_head(head: &[u8], from: usize) -> Option<usize> {
    (from..head.len()).find_map(|at| match head.get(at..)? {
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        [b'\n', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}

/// Where a redirect leads to, if not to `host`. It reaches logs and pages, so only its plain beginning is told: without credentials and
/// query, which tell about the one who was redirected, up to the first character that a URL does not have.
fn elsewhere(location: &[u8], host: &str) -> Option<String> {
    let plain = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-._~%:/@[]".contains(byte);
    let length = location.iter().take_while(plain).count();
    let (scheme, rest) = match str::from_utf8(location.get(..length)?).ok()?.split_once("//")? {
        // On with the same scheme.
        ("", rest) => ("http:", rest),
        (scheme, rest) => (scheme, rest),
    };
    // Behind a path, `//` is part of it.
    if scheme.contains('/') || !scheme.ends_with(':') {
        return None;
    }
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let name = without_port(authority);
    if name.is_empty() || name.eq_ignore_ascii_case(without_port(host)) {
        return None;
    }
    let mut told = format!("{scheme}//{authority}{path}");
    told.truncate(LOCATION);
    Some(told)
}

/// The host of a URL, as it is compared.
fn without_port(authority: &str) -> &str {
    let host = authority.trim_end_matches(|char: char| char.is_ascii_digit()).strip_suffix(':');
    host.unwrap_or(authority).trim_end_matches('.')
}

/// Takes any bytes as an answer, in pieces and in one, for fuzzing: the verdict must be the same. The first byte says where it is cut.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    for expect in [None, Some("yes".to_owned())] {
        let whole = Exchange::new("www.example.org".to_owned(), vec![200, 204], expect);
        let mut pieces = whole.clone();
        let verdict =
            |mut exchange: Exchange, bytes: &[u8]| exchange.take(bytes).unwrap_or_else(|| Err(exchange.closed()));
        let in_pieces = bytes.chunks(usize::from(cut) + 1).find_map(|piece| pieces.take(piece));
        let in_pieces = in_pieces.unwrap_or_else(|| Err(pieces.closed()));
        // Up to where the first verdict may come from less than all: what is behind the limits is not read in one go either.
        if bytes.len() < HEAD {
            assert_eq!(in_pieces, verdict(whole, bytes));
        }
        if let Err(Refusal::Portal { location: Some(location), .. }) = &in_pieces {
            assert!(location.len() <= LOCATION && location.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}

#[cfg(test)]
mod tests;
