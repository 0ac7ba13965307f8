//! As much of HTTP/1.1 as a browser and chromedriver need: a request read by the bridge, a request sent by the browser's client.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Names in lower case, and values.
type Headers = Vec<(String, String)>;

/// What a browser asks for.
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) cookie: String,
    pub(crate) body: Vec<u8>,
}

/// What it gets.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    /// Further header lines, each with its line end.
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next request of a connection; `None` when the browser has closed it.
    pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
        let Some((first, headers)) = head(reader)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(ErrorKind::InvalidData.into());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (decode(path), query.to_owned());
        let body = body(reader, &headers)?;
        Ok(Some(Request { method: method.to_owned(), path, query, cookie: header(&headers, "cookie"), body }))
    }

    /// A value of the query.
    pub(crate) fn argument(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| Some(decode(pair.strip_prefix(name)?.strip_prefix('=')?)))
    }

    /// A cookie's value.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookie.split("; ").find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Response {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Response {
        Response { status, kind, headers: String::new(), body: body.into() }
    }

    pub(crate) fn write(&self, stream: &mut TcpStream) -> Result<()> {
        let Response { status, kind, headers, body } = self;
        let mut bytes = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{headers}\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        stream.write_all(&bytes)
    }
}

/// Sends a request with a JSON body and reads the answer's status and body.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    json: Option<&str>,
    limit: Duration,
) -> Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if let Some(json) = json {
        _ = write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    } else {
        request.push_str("\r\n");
    }
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = head(&mut reader)?.ok_or(ErrorKind::UnexpectedEof)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    Ok((status, body(&mut reader, &headers)?))
}

/// The first line and the header lines.
fn head(reader: &mut impl BufRead) -> Result<Option<(String, Headers)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some((first.trim_end().to_owned(), headers)));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn header(headers: &[(String, String)], name: &str) -> String {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn body(reader: &mut impl Read, headers: &[(String, String)]) -> Result<Vec<u8>> {
    let length = header(headers, "content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// `%41` to `A`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let coded = (first == b'%').then(|| std::str::from_utf8(tail.get(..2)?).ok()).flatten();
        match coded.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
