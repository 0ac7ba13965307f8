//! The kernel's connection table as other programs see it and fill it: entries made by hand, and all of them listed by
//! tuple. Used by tests through `lab.router()`; nothing in here knows failoverd.

use std::net::{Ipv4Addr, SocketAddrV4};

use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::error::{During, Result};
use crate::message::{Reply, Request, attributes};
use crate::namespace::Namespace;
use crate::netlink::Netlink;

/// One direction of a connection. Ports of ICMP are its type, code and id, and of no interest here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    /// From.
    pub source: SocketAddrV4,
    /// To.
    pub destination: SocketAddrV4,
}

/// A connection as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// IPPROTO_UDP, IPPROTO_TCP, ...
    pub protocol: u8,
    /// As its first packet came in.
    pub original: Tuple,
    /// As its answers come in.
    pub reply: Tuple,
    /// Conntrack zone; 0 is none.
    pub zone: u16,
    /// Its mark.
    pub mark: u32,
}

impl Connection {
    /// A UDP flow whose source address has been rewritten to `outside`.
    #[must_use]
    pub fn translated(source: SocketAddrV4, destination: SocketAddrV4, outside: Ipv4Addr) -> Connection {
        let outside = SocketAddrV4::new(outside, source.port());
        let reply = Tuple { source: destination, destination: outside };
        Connection {
            protocol: libc::IPPROTO_UDP as u8,
            original: Tuple { source, destination },
            reply,
            zone: 0,
            mark: 0,
        }
    }
}

/// The connection table of one namespace.
pub struct ConnectionTable {
    netlink: Netlink,
}

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;

impl ConnectionTable {
    /// That of the calling thread's namespace.
    pub fn open() -> Result<ConnectionTable> {
        Netlink::open_protocol(NETLINK_NETFILTER).map(|netlink| ConnectionTable { netlink })
    }

    /// That of `namespace`.
    pub fn open_in(namespace: &Namespace) -> Result<ConnectionTable> {
        namespace.run(ConnectionTable::open)
    }

    /// Adds an entry that stays for an hour.
    pub fn add(&mut self, connection: &Connection) -> Result<()> {
        self.write(connection, 0)
    }

    /// Adds one that has seen an answer.
    pub fn add_answered(&mut self, connection: &Connection) -> Result<()> {
        // IPS_CONFIRMED, without which the kernel refuses, and IPS_SEEN_REPLY.
        self.write(connection, 8 | 2)
    }

    fn write(&mut self, connection: &Connection, status: u32) -> Result<()> {
        let Connection { protocol, original, reply, zone, mark } = connection;
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(SUBSYSTEM, flags)
            .raw(&HEADER)
            .nested(1 | NESTED, |tuple| write_tuple(tuple, original, *protocol))
            .nested(2 | NESTED, |tuple| write_tuple(tuple, reply, *protocol))
            .attribute(7, &3600_u32.to_be_bytes());
        if i32::from(*protocol) == libc::IPPROTO_TCP {
            // CTA_PROTOINFO, CTA_PROTOINFO_TCP, its state: established.
            request = request.nested(4 | NESTED, |info| info.nested(1 | NESTED, |tcp| tcp.attribute(1, &[3])));
        }
        if status != 0 {
            request = request.attribute(3, &status.to_be_bytes());
        }
        if *zone != 0 {
            request = request.attribute(18, &zone.to_be_bytes());
        }
        if *mark != 0 {
            request = request.attribute(8, &mark.to_be_bytes());
        }
        self.netlink.change(request).during(format!("add {connection:?} to the connection table"))
    }

    /// All IPv4 entries, sorted.
    pub fn list(&mut self) -> Result<Vec<Connection>> {
        let request = Request::new(GET, libc::NLM_F_DUMP).raw(&HEADER);
        let replies = self.netlink.dump(request).during("read the connection table")?;
        let mut found: Vec<Connection> = replies.iter().filter_map(read).collect();
        found.sort();
        Ok(found)
    }
}

/// struct nfgenmsg.
const HEADER: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];
const NESTED: u16 = 0x8000;

fn write_tuple(request: Request, tuple: &Tuple, protocol: u8) -> Request {
    let Tuple { source, destination } = tuple;
    request
        .nested(1 | NESTED, |ip| ip.attribute(1, &source.ip().octets()).attribute(2, &destination.ip().octets()))
        .nested(2 | NESTED, |ports| {
            let ports = ports.attribute(1, &[protocol]);
            ports.attribute(2, &source.port().to_be_bytes()).attribute(3, &destination.port().to_be_bytes())
        })
}

fn read(reply: &Reply) -> Option<Connection> {
    let parts = reply.attributes(4);
    let part = |wanted: u16| parts.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
    let (protocol, original) = read_tuple(part(1)?)?;
    let (_, reply) = read_tuple(part(2)?)?;
    let zone = part(18).and_then(|value| value.try_into().ok()).map_or(0, u16::from_be_bytes);
    let mark = part(8).and_then(|value| value.try_into().ok()).map_or(0, u32::from_be_bytes);
    Some(Connection { protocol, original, reply, zone, mark })
}

fn read_tuple(bytes: &[u8]) -> Option<(u8, Tuple)> {
    let parts = attributes(bytes);
    let within = |part: u16, wanted: u16| -> Option<&[u8]> {
        let (_, inner) = parts.iter().find(|(kind, _)| *kind == part)?;
        attributes(inner).into_iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    };
    let address = |which| Some(Ipv4Addr::from(<[u8; 4]>::try_from(within(1, which)?).ok()?));
    let port = |which| within(2, which).and_then(|value| value.try_into().ok()).map_or(0, u16::from_be_bytes);
    let tuple =
        Tuple { source: SocketAddrV4::new(address(1)?, port(2)), destination: SocketAddrV4::new(address(2)?, port(3)) };
    Some((*within(2, 1)?.first()?, tuple))
}
