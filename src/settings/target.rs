//! What a test asks, and how: the text of `list target` to a host with port and path, by the test's type.
//!
//! Read by `load` once the type is known; asked by `probe`, put into words by `core::checks`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::option::machine;

/// The host part of a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, resolved through the provider itself.
    Name(String),
    /// The provider's own gateway (`arp`).
    Gateway,
    /// What only a script understands (`exec`); may be empty.
    Text(String),
}

/// What a test asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whom.
    pub host: Host,
    /// At which port, where it is not the type's own.
    pub port: Option<u16>,
    /// Which path (`http`), with its slash; empty elsewhere.
    pub path: String,
}

impl Target {
    /// This host, without port and path.
    pub const fn of(host: Host) -> Self {
        Self { host, port: None, path: String::new() }
    }

    /// The name that must be resolved before it can be asked.
    pub fn name(&self) -> Option<&str> {
        if let Host::Name(name) = &self.host { Some(name) } else { None }
    }
}

impl From<IpAddr> for Target {
    fn from(address: IpAddr) -> Self {
        Self::of(Host::Address(address))
    }
}

/// As one would write it in the file, without what the type adds (`http://`).
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => write!(f, "{address}")?,
            Host::Name(text) | Host::Text(text) => write!(f, "{text}")?,
            Host::Gateway => write!(f, "gateway")?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.path)
    }
}

/// Reads a target of a test of this type (see `TestKind::word`). The error completes a sentence that begins with the option and the text.
pub(super) fn read(kind: &str, text: &str) -> Result<Target, String> {
    match kind {
        _ if text.starts_with("https://") && kind != "exec" => {
            Err("cannot be asked, as failoverd speaks no TLS: use a test of type tcp with port 443".into())
        }
        "tcp" | "dns" => host_and_port(text, ""),
        "http" => {
            let Some(rest) = text.strip_prefix("http://") else {
                return Err("must be like http://host/path".into());
            };
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("has blanks or other characters in its path: write them as %20 and the like".into());
            }
            host_and_port(host, if path.is_empty() { "/" } else { path })
        }
        "exec" => Ok(Target::of(text.parse().map_or_else(|_| Host::Text(text.into()), Host::Address))),
        "arp" => Err("cannot be chosen: a test of type arp asks the provider's gateway".into()),
        _ => host(text).map(Target::of),
    }
}

fn host_and_port(text: &str, path: &str) -> Result<Target, String> {
    let (text, port) = match text.rsplit_once(':') {
        Some((before, _)) if before.contains(':') => (text, None),
        Some((before, port)) => match port.parse::<u16>().ok().filter(|_| port.bytes().all(|it| it.is_ascii_digit())) {
            Some(port) if port > 0 => (before, Some(port)),
            _ => return Err("must have a port between 1 and 65535 behind its colon".into()),
        },
        None => (text, None),
    };
    Ok(Target { host: host(text)?, port, path: path.into() })
}

fn host(text: &str) -> Result<Host, String> {
    if text.parse::<Ipv6Addr>().is_ok() || text.starts_with('[') {
        return Err("is an IPv6 address: IPv6 is not built yet".into());
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return machine(text).map(Host::Address);
    }
    if is_name(text) {
        return Ok(Host::Name(text.trim_end_matches('.').to_ascii_lowercase()));
    }
    Err("must be an IPv4 address or the name of a host".into())
}

/// The name of a host (RFC 952, RFC 1123), or another domain name that can be asked for: labels of 1 to 63 characters, 253 in all.
pub(super) fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (kind, text, want) in [
            ("ping", "1.1.1.1", Ok("1.1.1.1")),
            ("ping", "One.Example.", Ok("one.example")),
            ("ping", "1.1.1.1:80", Err("must be an IPv4 address or the name of a host")),
            ("ping", "1.1.1.1 8.8.8.8", Err("must be an IPv4 address or the name of a host")),
            ("ping", "999.1.1.1", Err("must be an IPv4 address")),
            ("ping", "127.0.0.1", Err("is not the address of another machine")),
            ("ping", "2606:4700::1111", Err("is an IPv6 address: IPv6 is not built yet")),
            ("ping", "-a.example", Err("must be an IPv4 address or the name of a host")),
            ("tcp", "1.1.1.1", Ok("1.1.1.1")),
            ("tcp", "one.example:853", Ok("one.example:853")),
            ("tcp", "one.example:+80", Err("must have a port between 1 and 65535 behind its colon")),
            ("tcp", "one.example:0", Err("must have a port between 1 and 65535 behind its colon")),
            ("tcp", "one.example:https", Err("must have a port between 1 and 65535 behind its colon")),
            ("dns", "9.9.9.9:5353", Ok("9.9.9.9:5353")),
            ("http", "http://one.example", Ok("one.example/")),
            ("http", "http://192.0.2.1:8080/generate_204?a=b", Ok("192.0.2.1:8080/generate_204?a=b")),
            (
                "http",
                "http://one.example/a b",
                Err("has blanks or other characters in its path: write them as %20 and the like"),
            ),
            ("http", "one.example/", Err("must be like http://host/path")),
            (
                "http",
                "https://one.example/",
                Err("cannot be asked, as failoverd speaks no TLS: use a test of type tcp with port 443"),
            ),
            ("http", "http:///", Err("must be an IPv4 address or the name of a host")),
            ("http", "http://[2606:4700::1111]/", Err("is an IPv6 address: IPv6 is not built yet")),
            ("exec", "anything at all", Ok("anything at all")),
            ("arp", "192.168.1.1", Err("cannot be chosen: a test of type arp asks the provider's gateway")),
        ] {
            let read = read(kind, text).map(|target| target.to_string());
            assert_eq!(read, want.map(str::to_owned).map_err(str::to_owned), "{kind} {text}");
        }
    }
}
