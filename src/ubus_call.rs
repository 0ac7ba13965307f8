//! What can be asked of the ubus object `failover`: the methods, their arguments, and the answers that are only a number.
//!
//! Fed by the shell's connection with the bytes of a call; the event loop gets a typed [`Call`].

use std::fmt;
use std::net::Ipv4Addr;

use ubus::blobmsg::BlobType;
use ubus::{BlobBuilder, BlobIter, BlobRef, BlobValue};

use crate::settings::protocol_number;
use crate::ubus_value::text;

/// The name of our object on ubus, and of our event.
pub const OBJECT: &str = "failover";

/// A call of one of our methods, with its arguments in their types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `status`: everything, or of one provider alone.
    Status {
        /// The provider.
        provider: Option<String>,
    },
    /// `history`: a provider's last checks.
    History {
        /// The provider.
        provider: String,
        /// At most that many.
        limit: Option<u32>,
    },
    /// `check`: check now.
    Check {
        /// The provider; `None`: all.
        provider: Option<String>,
    },
    /// `pin`: use this provider whatever the checks say.
    Pin {
        /// The provider.
        provider: String,
    },
    /// `unpin`.
    Unpin,
    /// `reload`: read the configuration again.
    Reload,
    /// `why`: the ranking explained, or one provider's place in it.
    Why {
        /// The provider; `None`: all.
        provider: Option<String>,
        /// Sentences in parts, for a page that translates them, instead of written out.
        parts: bool,
    },
    /// `series`: how lines were, since a moment.
    Series {
        /// The provider; `None`: all.
        provider: Option<String>,
        /// Seconds since the daemon's start: what came from then on.
        since: u64,
        /// Seconds, a multiple of 60 up to 3600: that much time in one entry; 0: single results.
        step: u32,
    },
    /// `schema`: every option with what it takes.
    Schema,
    /// `validate`: what `failoverd validate` says of a configuration.
    Validate {
        /// The text of the file.
        config: String,
    },
    /// `draft`: what `failoverd init` would write.
    Draft,
    /// `connections`: how many there are through each provider.
    Connections,
    /// `route`: which rule, which provider and which route of the kernel a packet would get.
    Route(Packet),
}

/// A packet that is asked about, the first of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from; an address of the router itself: from there.
    pub source: Ipv4Addr,
    /// Where it goes.
    pub destination: Ipv4Addr,
    /// Number of the IP protocol; `None`: any that no rule asks for.
    pub protocol: Option<u8>,
    /// Destination port.
    pub port: Option<u16>,
}

const SOURCE: (&str, BlobType) = ("source", BlobType::String);
const DESTINATION: (&str, BlobType) = ("destination", BlobType::String);
const PROTOCOL: (&str, BlobType) = ("protocol", BlobType::String);
const PORT: (&str, BlobType) = ("port", BlobType::Int32);
const PROVIDER: (&str, BlobType) = ("provider", BlobType::String);
const LIMIT: (&str, BlobType) = ("limit", BlobType::Int32);
const PARTS: (&str, BlobType) = ("parts", BlobType::Int8);
const SINCE: (&str, BlobType) = ("since", BlobType::Int32);
const STEP: (&str, BlobType) = ("step", BlobType::Int32);
const CONFIG: (&str, BlobType) = ("config", BlobType::String);

/// Every method with its arguments, as `ubus -v list` shows them.
const METHODS: &[(&str, &[(&str, BlobType)])] = &[
    ("status", &[PROVIDER]),
    ("history", &[PROVIDER, LIMIT]),
    ("check", &[PROVIDER]),
    ("pin", &[PROVIDER]),
    ("unpin", &[]),
    ("reload", &[]),
    ("why", &[PROVIDER, PARTS]),
    ("series", &[PROVIDER, SINCE, STEP]),
    ("schema", &[]),
    ("validate", &[CONFIG]),
    ("draft", &[]),
    ("connections", &[]),
    ("route", &[SOURCE, DESTINATION, PROTOCOL, PORT]),
];

/// The methods in the form that goes into ADD_OBJECT.
pub fn signature() -> Vec<u8> {
    let mut builder = BlobBuilder::new();
    for (method, arguments) in METHODS {
        builder.open_table(Some(method));
        for (name, kind) in *arguments {
            builder.put_i32(Some(name), *kind as i32);
        }
        builder.close_table();
    }
    builder.finish()
}

impl Call {
    /// Reads a call. Arguments that the method does not know are ignored (uhttpd adds `ubus_rpc_session` to every call).
    pub fn parse(method: &str, arguments: &[u8]) -> Result<Self, UbusStatus> {
        let known = METHODS.iter().find(|(name, _)| *name == method).ok_or(UbusStatus::MethodNotFound)?;
        // A JSON null is an argument left out; of two with one name the first counts.
        let mut given: Vec<(&str, BlobRef<'_>)> = Vec::new();
        let mut entries = BlobIter::new(arguments);
        while let Some(entry) = entries.try_next().map_err(|_| UbusStatus::InvalidArgument)? {
            let name = known.1.iter().map(|(name, _)| *name).find(|name| entry.name == Some(name));
            if let Some(name) =
                name.filter(|name| entry.ty != BlobType::Unspec && !given.iter().any(|it| it.0 == *name))
            {
                given.push((name, entry));
            }
        }
        let get = |wanted: (&str, BlobType)| given.iter().find(|(name, _)| *name == wanted.0).map(|(_, entry)| entry);
        let provider = get(PROVIDER).map(string).transpose()?;
        let required = |text: Option<String>| text.ok_or(UbusStatus::InvalidArgument);
        let small = |wanted| match get(wanted).map(number).transpose()?.map(u32::try_from) {
            Some(Err(_)) => Err(UbusStatus::InvalidArgument),
            number => Ok(number.and_then(Result::ok)),
        };
        match method {
            "status" => Ok(Self::Status { provider }),
            "history" => Ok(Self::History { provider: required(provider)?, limit: small(LIMIT)? }),
            "check" => Ok(Self::Check { provider }),
            "pin" => Ok(Self::Pin { provider: required(provider)? }),
            "unpin" => Ok(Self::Unpin),
            "reload" => Ok(Self::Reload),
            "why" => Ok(Self::Why { provider, parts: small(PARTS)?.is_some_and(|parts| parts != 0) }),
            "series" => {
                let since = get(SINCE).map(number).transpose()?.unwrap_or_default();
                let step = small(STEP)?.unwrap_or_default();
                let whole_minutes = step % 60 == 0 && step <= 3600;
                whole_minutes.then_some(Self::Series { provider, since, step }).ok_or(UbusStatus::InvalidArgument)
            }
            "schema" => Ok(Self::Schema),
            "validate" => Ok(Self::Validate { config: required(get(CONFIG).map(string).transpose()?)? }),
            "draft" => Ok(Self::Draft),
            "connections" => Ok(Self::Connections),
            "route" => {
                let address = |wanted| {
                    let text = required(get(wanted).map(string).transpose()?)?;
                    text.parse().map_err(|_| UbusStatus::InvalidArgument)
                };
                let protocol = get(PROTOCOL).map(string).transpose()?;
                let protocol = protocol.map(|text| protocol_number(&text).ok_or(UbusStatus::InvalidArgument));
                let port = small(PORT)?.map(|port| u16::try_from(port).map_err(|_| UbusStatus::InvalidArgument));
                Ok(Self::Route(Packet {
                    source: address(SOURCE)?,
                    destination: address(DESTINATION)?,
                    protocol: protocol.transpose()?,
                    port: port.transpose()?,
                }))
            }
            _ => Err(UbusStatus::MethodNotFound),
        }
    }
}

fn string(entry: &BlobRef<'_>) -> Result<String, UbusStatus> {
    match entry.ty {
        BlobType::String => Ok(text(entry.payload)),
        _ => Err(UbusStatus::InvalidArgument),
    }
}

fn number(entry: &BlobRef<'_>) -> Result<u64, UbusStatus> {
    let number = match entry.value().map_err(|_| UbusStatus::InvalidArgument)? {
        BlobValue::Int8(number) => number.into(),
        BlobValue::Int16(number) => number.into(),
        BlobValue::Int32(number) => number.into(),
        BlobValue::Int64(number) => number,
        _ => return Err(UbusStatus::InvalidArgument),
    };
    u64::try_from(number).map_err(|_| UbusStatus::InvalidArgument)
}

/// ubus' status codes (`UBUS_STATUS_*`), the ones without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UbusStatus {
    /// 1
    InvalidCommand,
    /// 2
    InvalidArgument,
    /// 3
    MethodNotFound,
    /// 4
    NotFound,
    /// 5
    NoData,
    /// 6
    PermissionDenied,
    /// 7
    Timeout,
    /// 8
    NotSupported,
    /// 9
    UnknownError,
    /// Any other.
    Other(i32),
}

impl UbusStatus {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        match self {
            Self::InvalidCommand => 1,
            Self::InvalidArgument => 2,
            Self::MethodNotFound => 3,
            Self::NotFound => 4,
            Self::NoData => 5,
            Self::PermissionDenied => 6,
            Self::Timeout => 7,
            Self::NotSupported => 8,
            Self::UnknownError => 9,
            Self::Other(code) => code,
        }
    }

    /// What a number on the wire means; 0 is success.
    pub const fn from_code(code: i32) -> Result<(), Self> {
        Err(match code {
            0 => return Ok(()),
            1 => Self::InvalidCommand,
            2 => Self::InvalidArgument,
            3 => Self::MethodNotFound,
            4 => Self::NotFound,
            5 => Self::NoData,
            6 => Self::PermissionDenied,
            7 => Self::Timeout,
            8 => Self::NotSupported,
            9 => Self::UnknownError,
            code => Self::Other(code),
        })
    }
}

impl fmt::Display for UbusStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidCommand => "invalid command",
            Self::InvalidArgument => "invalid argument",
            Self::MethodNotFound => "method not found",
            Self::NotFound => "not found",
            Self::NoData => "no data",
            Self::PermissionDenied => "permission denied",
            Self::Timeout => "timed out",
            Self::NotSupported => "not supported",
            Self::UnknownError => "unknown error",
            Self::Other(code) => return write!(f, "ubus error {code}"),
        })
    }
}

/// Does with any bytes everything that is done with what ubusd sends; it must not panic. For fuzzing and the replay of its corpus.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    let mut frames = crate::ubus_frame::FrameReader::default();
    // A first byte of the input splits the rest in two, as a socket would.
    let Some((split, stream)) = bytes.split_first() else { return };
    let (head, tail) = stream.split_at_checked(usize::from(*split)).unwrap_or((stream, &[]));
    for part in [head, tail] {
        frames.push(part);
        while let Ok(Some(frame)) = frames.next_frame() {
            let _ = ubus::msg::InboundMsg::parse(&frame);
            let _ = crate::ubus_frame::vanished(&frame);
        }
    }
    for (method, _) in METHODS {
        let _ = Call::parse(method, stream);
    }
    if let Ok(value) = crate::ubus_value::decode(stream) {
        let _ = crate::ubus_value::encode(&value);
        let _ = crate::netifd::interfaces(&value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ubus::BlobMsgTable;

    fn parse(method: &str, fill: impl FnOnce(&mut BlobBuilder)) -> Result<Call, UbusStatus> {
        Call::parse(method, BlobMsgTable::build(fill).contents())
    }

    fn packet(a: &mut BlobBuilder, source: &str, protocol: &str, port: i32) {
        a.put_str(Some("source"), source);
        a.put_str(Some("destination"), "203.0.113.7");
        a.put_str(Some("protocol"), protocol);
        a.put_i32(Some("port"), port);
    }

    #[test]
    fn a_packet_is_read_with_what_is_known_of_it() {
        let address = |text: &str| text.parse().unwrap();
        let whole = |protocol, port| Packet {
            source: address("10.0.0.7"),
            destination: address("203.0.113.7"),
            protocol,
            port,
        };
        for (protocol, number) in [("tcp", 6), ("17", 17)] {
            let call = parse("route", |a| packet(a, "10.0.0.7", protocol, 443));
            assert_eq!(call, Ok(Call::Route(whole(Some(number), Some(443)))), "{protocol}");
        }
        let bare = parse("route", |a| {
            a.put_str(Some("source"), "10.0.0.7");
            a.put_str(Some("destination"), "203.0.113.7");
        });
        assert_eq!(bare, Ok(Call::Route(whole(None, None))));
    }

    #[test]
    fn arguments_are_read_in_their_types() {
        let lte = || Some("lte".to_owned());
        assert_eq!(parse("status", |_| ()), Ok(Call::Status { provider: None }));
        assert_eq!(parse("status", |a| a.put_str(Some("provider"), "lte")), Ok(Call::Status { provider: lte() }));
        assert_eq!(parse("check", |a| a.put_null(Some("provider"))), Ok(Call::Check { provider: None }));
        assert_eq!(parse("unpin", |a| a.put_i32(Some("provider"), 1)), Ok(Call::Unpin), "not an argument of unpin");
        assert_eq!(parse("reload", |a| a.put_str(Some("ubus_rpc_session"), "00")), Ok(Call::Reload));
        let both = parse("pin", |a| {
            a.put_str(Some("provider"), "lte");
            a.put_str(Some("provider"), "dsl");
        });
        assert_eq!(both, Ok(Call::Pin { provider: "lte".into() }), "the first counts, as in C");
        assert_eq!(parse("why", |a| a.put_bool(Some("parts"), true)), Ok(Call::Why { provider: None, parts: true }));
        assert_eq!(
            parse("series", |a| a.put_i64(Some("since"), 1 << 40)),
            Ok(Call::Series { provider: None, since: 1 << 40, step: 0 })
        );
        for fill in [
            (|a: &mut BlobBuilder| a.put_i32(Some("limit"), 1)) as fn(&mut BlobBuilder),
            |a| a.put_i64(Some("limit"), 1),
            |a| a.put_bool(Some("limit"), true),
        ] {
            let call = parse("history", |a| {
                a.put_str(Some("provider"), "lte");
                fill(a);
            });
            assert_eq!(call, Ok(Call::History { provider: "lte".into(), limit: Some(1) }), "integers of any width");
        }
    }

    #[test]
    fn wrong_calls_get_the_code_that_says_why() {
        use UbusStatus::{InvalidArgument, MethodNotFound};
        type Fill = fn(&mut BlobBuilder);
        for (method, fill, status, why) in [
            ("stop", (|_| ()) as Fill, MethodNotFound, "no such method"),
            ("", |_| (), MethodNotFound, "nor an empty one"),
            ("pin", |_| (), InvalidArgument, "provider is missing"),
            ("history", |a| a.put_i32(Some("limit"), 1), InvalidArgument, "provider is missing"),
            ("pin", |a| a.put_i32(Some("provider"), 1), InvalidArgument, "a number is no name"),
            ("status", |a| a.put_bool(Some("provider"), true), InvalidArgument, "nor a boolean"),
            ("pin", |a| a.put_null(Some("provider")), InvalidArgument, "null is missing"),
            (
                "history",
                |a| {
                    a.put_str(Some("provider"), "lte");
                    a.put_i32(Some("limit"), -1);
                },
                InvalidArgument,
                "negative",
            ),
            (
                "history",
                |a| {
                    a.put_str(Some("provider"), "lte");
                    a.put_str(Some("limit"), "5");
                },
                InvalidArgument,
                "text is no number",
            ),
            ("series", |a| a.put_i32(Some("step"), 90), InvalidArgument, "no whole minutes"),
            ("series", |a| a.put_i32(Some("step"), 3660), InvalidArgument, "more than an hour"),
            ("route", |a| a.put_str(Some("source"), "10.0.0.7"), InvalidArgument, "no destination"),
            ("route", |a| packet(a, "::1", "17", 53), InvalidArgument, "an address of IPv6"),
            ("route", |a| packet(a, "10.0.0.7", "256", 53), InvalidArgument, "no number of a protocol"),
            ("route", |a| packet(a, "10.0.0.7", "tcp", 65_536), InvalidArgument, "no port"),
        ] {
            assert_eq!(parse(method, fill), Err(status), "{method}: {why}");
        }
        assert_eq!(Call::parse("status", &[1, 2, 3]), Err(InvalidArgument), "bytes that are no table");
    }

    #[test]
    fn every_method_of_the_signature_can_be_called() {
        let signature = signature();
        let methods: Vec<_> = BlobIter::new(&signature).filter_map(|entry| entry.name).collect();
        let all = "status history check pin unpin reload why series schema validate draft connections route";
        assert_eq!(methods, all.split(' ').collect::<Vec<_>>());
        for method in methods {
            let call = parse(method, |a| {
                a.put_str(Some("provider"), "lte");
                a.put_str(Some("config"), "");
                a.put_str(Some("source"), "10.0.0.7");
                a.put_str(Some("destination"), "203.0.113.7");
            });
            assert!(call.is_ok(), "{method}");
        }
        // history {provider: string, limit: int32}
        let history = BlobIter::new(&signature).nth(1).unwrap();
        let arguments: Vec<_> = BlobIter::new(history.payload).map(|a| (a.name, a.as_i32())).collect();
        assert_eq!(arguments, [(Some("provider"), Some(3)), (Some("limit"), Some(5))]);
    }

    #[test]
    fn codes_survive_the_wire() {
        for code in -1..20 {
            let back = UbusStatus::from_code(code).map_or_else(UbusStatus::code, |()| 0);
            assert_eq!(back, code);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_call_or_a_code(
            method in "status|history|check|pin|unpin|reload|why|series|schema|validate|draft|connections|route|.{0,8}",
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            let _ = Call::parse(&method, &bytes);
        }
    }
}
