//! The kinds of questions that the internet behind a provider answers, and what can be wrong with the answers to one
//! kind. Set by tests through `provider.rs`; obeyed by `internet.rs`.

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// ICMP echo.
    Ping,
    /// A TCP connection, to any port but those of HTTP.
    Tcp,
    /// A DNS query over UDP.
    Dns,
    /// An HTTP request, with its connection: see [`HTTP_PORTS`].
    Http,
}

/// Where HTTP is spoken; all other ports take connections and say nothing.
pub const HTTP_PORTS: [u16; 2] = [80, 8080];

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Ping, Kind::Tcp, Kind::Dns, Kind::Http];

    /// Of a connection to this port.
    pub(crate) fn of_port(port: u16) -> Kind {
        if HTTP_PORTS.contains(&port) { Kind::Http } else { Kind::Tcp }
    }
}

/// What is wrong with the answers to all questions of one kind. What makes no sense for a kind leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// They are swallowed.
    Silent,
    /// TCP and HTTP: RST. DNS: port unreachable, said by the target itself. Ping: host unreachable, by the gateway.
    Refused,
    /// ICMP communication administratively prohibited, by the gateway. Not for pings.
    Prohibited,
    /// TCP: a checksum that does not fit. DNS: the right id, followed by nonsense. HTTP: nonsense in place of a status.
    /// Ping: other data.
    Garbage,
    /// DNS: another id. TCP and HTTP: the acknowledgement of something else. Ping: another identifier.
    WrongId,
    /// From an address that was not asked.
    WrongSource,
    /// HTTP: sent on to a host where one has to log in. DNS: the address of that host, whatever was asked for.
    Portal,
    /// HTTP: the page where one has to log in, with status 200. DNS: as [`Fault::Portal`].
    LoginPage,
    /// TCP: the connection comes about, and that is all. HTTP too. DNS: nothing.
    AcceptAndSayNothing,
    /// TCP and HTTP: the connection comes about and is closed at once. DNS: an empty datagram.
    CloseAtOnce,
}

/// Of every kind but pings, which have `Answers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Of TCP connections.
    pub tcp: Fault,
    /// Of DNS.
    pub dns: Fault,
    /// Of HTTP.
    pub http: Fault,
}

impl Faults {
    /// Of a connection to this port.
    pub(crate) fn of_port(&self, port: u16) -> Fault {
        if Kind::of_port(port) == Kind::Http { self.http } else { self.tcp }
    }
}
