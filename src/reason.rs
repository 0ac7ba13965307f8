//! Why a check failed or a provider is in its state. Enums travel; the words are made here, once: a code for programs, a sentence for people.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::say;
use crate::sentence::Sentence;
use crate::text::tenths;

/// The reason of a failed check or of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No probe of a test was answered.
    LostProbes {
        /// Probes sent.
        sent: u32,
        /// To this many different targets.
        targets: u32,
        /// What the line received since the first probe was missed.
        received: Received,
    },
    /// Probes of a test were answered by an ICMP error, or wrongly, or could not be sent; the others, if any, were lost.
    Refused {
        /// The error in words: the most telling one.
        cause: Refusal,
        /// Probes that failed like this, or in a similar way.
        refused: u32,
        /// Probes sent.
        sent: u32,
    },
    /// This test failed, and nothing speaks against another one.
    Test {
        /// Its name.
        name: String,
        /// Why.
        cause: Box<Reason>,
    },
    /// The device does not exist.
    NoDevice(String),
    /// The device is administratively down.
    LinkDown(String),
    /// The device has no carrier.
    NoCarrier,
    /// The device has no address, or not the configured one.
    NoAddress(Option<IpAddr>),
    /// No gateway is configured and the device has no default route to learn it from.
    NoGateway,
    /// The kernel's state has not been read yet.
    NotReadYet,
    /// netifd has not told its interfaces (yet): this one is waited for.
    NetifdSilent(String),
    /// netifd has no interface of this name.
    NoInterface(String),
    /// netifd is setting this interface up.
    InterfacePending(String),
    /// This interface is down.
    InterfaceDown {
        /// The interface.
        name: String,
        /// netifd's word for what went wrong.
        error: Option<String>,
    },
    /// Somebody took this interface down by hand, or it is not to be started by itself, or (netifd does not tell which) its protocol handler
    /// has given up: with a wrong PIN, say.
    InterfaceTakenDown {
        /// The interface.
        name: String,
        /// As above; also what went wrong before somebody took it down.
        error: Option<String>,
    },
    /// This interface is up, without a network device.
    InterfaceWithoutDevice(String),
    /// Another provider, earlier in the file, has the device.
    DeviceTaken {
        /// The device.
        device: String,
        /// The provider that has it.
        provider: String,
    },
    /// A packet bound to the device would not go to the gateway.
    Blocked {
        /// The target that was looked up.
        target: IpAddr,
        /// What the kernel answered, or what stands in the way.
        cause: String,
    },
    /// No target of a test could be asked, as their names are not known.
    Unresolvable {
        /// The first of these names.
        name: String,
        /// Why.
        cause: String,
    },
    /// The gateway does not answer: the kernel's neighbour table says so.
    GatewaySilent(IpAddr),
    /// Not checked while a better provider is good.
    ColdStandby,
    /// Degraded: loss in per cent above this limit.
    Loss {
        /// Measured.
        percent: u32,
        /// `max_loss`, or `recover_loss` while it has yet to come back below it.
        limit: u32,
    },
    /// Degraded: latency above this limit.
    Latency {
        /// Measured.
        measured: Duration,
        /// `max_latency` or `recover_latency`.
        limit: Duration,
    },
    /// Degraded: jitter above this limit.
    Jitter {
        /// Measured.
        measured: Duration,
        /// `max_jitter`, or three quarters of it.
        limit: Duration,
    },
    /// More failures within the history than `max_failed`.
    TooManyFailures {
        /// Failed checks in the history.
        failed: u32,
        /// Check results in the history.
        of: u32,
    },
}

/// What a line received while no probe was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Too little to be alive, within this time.
    Little {
        /// Packets.
        packets: u32,
        /// Since the suspicion began.
        within: Duration,
    },
    /// Enough to be alive, so the check waited this long for an answer.
    Enough {
        /// Packets.
        packets: u32,
        /// Since the first unanswered probe.
        waited: Duration,
    },
    /// Could not be counted, so the check waited this long.
    Unknown {
        /// Since the first unanswered probe.
        waited: Duration,
    },
}

/// Why a probe failed without being lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// ICMP destination unreachable.
    Unreachable {
        /// ICMP code (RFC 792, RFC 1812).
        code: u8,
        /// Who said so.
        from: IpAddr,
    },
    /// The operating system would not send it.
    NotSent(String),
    /// Somebody answered in the target's place with a page of his own: another status or body than expected, or a redirect elsewhere.
    Portal {
        /// The status.
        status: u16,
        /// Where the redirect leads to.
        location: Option<String>,
    },
    /// The answer was no good.
    Wrong(Wrong),
    /// The gateway does not answer ARP.
    NoNeighbour(IpAddr),
    /// There is no gateway to ask.
    NoGateway,
    /// A script said no.
    Script {
        /// Its exit status; `None`: ended by a signal.
        status: Option<i32>,
    },
}

/// What is wrong about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Not what the protocol allows.
    Garbage,
    /// Another HTTP status than expected.
    Status(u16),
    /// No address in the DNS answer is the expected one.
    Address(IpAddr),
    /// The connection was closed before there was an answer.
    Closed,
    /// The port is closed.
    PortClosed,
}

impl Refusal {
    /// How much it tells about the line: a portal is the line's own doing, that a probe could not be sent is not.
    pub const fn telling(&self) -> u8 {
        match self {
            Self::Portal { .. } => 3,
            Self::Wrong(_) => 2,
            Self::Unreachable { .. } | Self::NoNeighbour(_) | Self::NoGateway | Self::Script { .. } => 1,
            Self::NotSent(_) => 0,
        }
    }

    /// Whether an answer came, a wrong one.
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Portal { .. } | Self::Wrong(_))
    }

    /// In words.
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::Unreachable { code, from } => {
                let from = from.to_string();
                match code {
                    0 => say!("{0} says network unreachable", from),
                    1 => say!("{0} says host unreachable", from),
                    2 => say!("{0} says protocol unreachable", from),
                    9 | 10 | 13 => say!("{0} says administratively prohibited", from),
                    _ => say!("{0} says destination unreachable", from),
                }
            }
            Self::NotSent(cause) => say!("cannot send: {0}", cause),
            Self::Portal { location: Some(location), .. } => say!("captive portal: sent on to {0}", location),
            Self::Portal { status, location: None } => {
                say!("captive portal: another page came, with status {0}", u32::from(*status))
            }
            Self::Wrong(Wrong::Garbage) => say!("the answer is not valid"),
            Self::Wrong(Wrong::Status(status)) => say!("answered with status {0}", u32::from(*status)),
            Self::Wrong(Wrong::Address(address)) => {
                say!("the answer does not have the address {0}", address.to_string())
            }
            Self::Wrong(Wrong::Closed) => say!("closed without an answer"),
            Self::Wrong(Wrong::PortClosed) => say!("the port is closed"),
            Self::NoNeighbour(gateway) => say!("the gateway {0} does not answer ARP", gateway.to_string()),
            Self::NoGateway => say!("there is no gateway that could be asked"),
            Self::Script { status: Some(status) } => say!("the script ended with status {0}", status.unsigned_abs()),
            Self::Script { status: None } => say!("the script was killed"),
        }
    }

    /// See [`Reason::code`].
    const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::NotSent(_) => "refused",
            Self::Portal { .. } => "captive_portal",
            Self::Wrong(_) => "wrong_answer",
            Self::NoNeighbour(_) | Self::NoGateway => "gateway_silent",
            Self::Script { .. } => "script_failed",
        }
    }
}

impl Reason {
    /// How much it tells about the line, as the reason of a failed test.
    pub fn telling(&self) -> u8 {
        match self {
            Self::Refused { cause, .. } => cause.telling(),
            Self::Unresolvable { .. } | Self::GatewaySilent(_) => 1,
            _ => 0,
        }
    }

    /// For programs: a word that stays the same, whatever becomes of the sentence.
    pub fn code(&self) -> &'static str {
        match self {
            Self::LostProbes { .. } => "lost_probes",
            Self::Refused { cause, .. } => cause.code(),
            Self::Test { cause, .. } => cause.code(),
            Self::NoDevice(_) => "no_device",
            Self::LinkDown(_) => "link_down",
            Self::NoCarrier => "no_carrier",
            Self::NoAddress(_) => "no_address",
            Self::NoGateway => "no_gateway",
            Self::NotReadYet => "not_read_yet",
            Self::NetifdSilent(_) => "netifd_silent",
            Self::NoInterface(_) => "no_interface",
            Self::InterfacePending(_) => "interface_pending",
            Self::InterfaceDown { .. } => "interface_down",
            Self::InterfaceTakenDown { .. } => "interface_taken_down",
            Self::InterfaceWithoutDevice(_) => "interface_without_device",
            Self::DeviceTaken { .. } => "device_taken",
            Self::Blocked { .. } => "blocked",
            Self::TooManyFailures { .. } => "too_many_failures",
            Self::Unresolvable { .. } => "unresolvable",
            Self::GatewaySilent(_) => "gateway_silent",
            Self::ColdStandby => "cold_standby",
            Self::Loss { .. } => "loss",
            Self::Latency { .. } => "latency",
            Self::Jitter { .. } => "jitter",
        }
    }

    /// For people.
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::LostProbes { sent, targets, received } => {
                let lost = match targets {
                    1 => say!("lost {0} of {0} probes to 1 target", *sent),
                    _ => say!("lost {0} of {0} probes to {1} targets", *sent, *targets),
                };
                match *received {
                    Received::Little { packets: 0, within } => {
                        say!("{0}, nothing received for {1}", lost, seconds(within))
                    }
                    Received::Little { packets, within } => {
                        say!("{0}, {1} packets received in {2}", lost, packets, seconds(within))
                    }
                    Received::Enough { packets, waited } => {
                        say!("{0} within {1} on a line that received {2} packets", lost, seconds(waited), packets)
                    }
                    Received::Unknown { waited } => say!("{0} within {1}", lost, seconds(waited)),
                }
            }
            Self::Refused { cause, refused, sent } => {
                say!("{0} ({1} of {2} probes)", cause.sentence(), *refused, *sent)
            }
            Self::Test { name, cause } => say!("test {0} failed: {1}", name, cause.sentence()),
            Self::NoDevice(name) => say!("no device {0}", name),
            Self::LinkDown(name) => say!("device {0} is down", name),
            Self::NoCarrier => say!("no carrier"),
            Self::NoAddress(None) => say!("no IPv4 address"),
            Self::NoAddress(Some(address)) => {
                say!("the device does not have the configured address {0}", address.to_string())
            }
            Self::NoGateway => {
                say!("no gateway: set 'option gateway', or let netifd or the device's own default route tell it")
            }
            Self::NotReadYet => say!("the kernel's state has not been read yet"),
            Self::NetifdSilent(name) => {
                say!("interface {0}: netifd has not answered yet; is ubus running, and may failoverd ask it?", name)
            }
            Self::NoInterface(name) => {
                say!("netifd has no interface {0}: 'ubus call network.interface dump' shows all", name)
            }
            Self::InterfacePending(name) => say!("interface {0} is being set up", name),
            Self::InterfaceDown { name, error: Some(error) } => say!("interface {0} is down: {1}", name, error),
            Self::InterfaceDown { name, error: None } => {
                say!("interface {0} is down: 'ifstatus {0}' may tell why", name)
            }
            Self::InterfaceTakenDown { name, error: Some(error) } => {
                say!("interface {0} is down ({1}) and not started by itself: 'ifup {0}' brings it up", name, error)
            }
            Self::InterfaceTakenDown { name, error: None } => {
                say!("interface {0} was taken down, or is not started by itself: 'ifup {0}' brings it up", name)
            }
            Self::InterfaceWithoutDevice(name) => say!("interface {0} has no network device", name),
            Self::DeviceTaken { device, provider } => say!("device {0} is provider {1}'s already", device, provider),
            Self::Blocked { target, cause } => {
                say!("no way to {0} through the device: {1}", target.to_string(), cause)
            }
            Self::Unresolvable { name, cause } => say!("the name {0} cannot be resolved: {1}", name, cause),
            Self::GatewaySilent(gateway) => say!("the gateway {0} does not answer ARP", gateway.to_string()),
            Self::ColdStandby => say!("not checked while a better provider is good (cold standby)"),
            Self::Loss { percent, limit } => say!("loss {0}% above {1}%", *percent, *limit),
            Self::Latency { measured, limit } => say!("latency {0} above {1}", millis(*measured), millis(*limit)),
            Self::Jitter { measured, limit } => say!("jitter {0} above {1}", millis(*measured), millis(*limit)),
            Self::TooManyFailures { failed, of } => say!("{0} of the last {1} checks failed", *failed, *of),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence().fmt(f)
    }
}

/// `0.6 s`.
fn seconds(duration: Duration) -> String {
    format!("{} s", tenths(duration))
}

/// `12 ms`.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{} ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_sentences() {
        let little = |packets| Received::Little { packets, within: Duration::from_millis(550) };
        let unreachable = |code| Refusal::Unreachable { code, from: IpAddr::from([192, 168, 1, 1]) };
        for (reason, code, want) in [
            (
                Reason::LostProbes { sent: 9, targets: 4, received: little(0) },
                "lost_probes",
                "lost 9 of 9 probes to 4 targets, nothing received for 0.6 s",
            ),
            (
                Reason::LostProbes { sent: 1, targets: 1, received: little(3) },
                "lost_probes",
                "lost 1 of 1 probes to 1 target, 3 packets received in 0.6 s",
            ),
            (
                Reason::LostProbes {
                    sent: 9,
                    targets: 4,
                    received: Received::Enough { packets: 80, waited: Duration::from_secs(2) },
                },
                "lost_probes",
                "lost 9 of 9 probes to 4 targets within 2.0 s on a line that received 80 packets",
            ),
            (
                Reason::LostProbes {
                    sent: 9,
                    targets: 2,
                    received: Received::Unknown { waited: Duration::from_secs(2) },
                },
                "lost_probes",
                "lost 9 of 9 probes to 2 targets within 2.0 s",
            ),
            (
                Reason::Refused { cause: unreachable(1), refused: 9, sent: 9 },
                "refused",
                "192.168.1.1 says host unreachable (9 of 9 probes)",
            ),
            (
                Reason::Refused { cause: unreachable(13), refused: 1, sent: 1 },
                "refused",
                "192.168.1.1 says administratively prohibited (1 of 1 probes)",
            ),
            (
                Reason::Refused { cause: Refusal::NotSent("no buffer".into()), refused: 1, sent: 1 },
                "refused",
                "cannot send: no buffer (1 of 1 probes)",
            ),
            (
                Reason::Test {
                    name: "web".into(),
                    cause: Box::new(Reason::Refused {
                        cause: Refusal::Portal { status: 302, location: Some("http://login.example/".into()) },
                        refused: 3,
                        sent: 9,
                    }),
                },
                "captive_portal",
                "test web failed: captive portal: sent on to http://login.example/ (3 of 9 probes)",
            ),
            (Reason::NoDevice("wwan0".into()), "no_device", "no device wwan0"),
            (Reason::LinkDown("wwan0".into()), "link_down", "device wwan0 is down"),
            (Reason::NoCarrier, "no_carrier", "no carrier"),
            (Reason::NoAddress(None), "no_address", "no IPv4 address"),
            (
                Reason::NoAddress(Some(IpAddr::from([192, 0, 2, 1]))),
                "no_address",
                "the device does not have the configured address 192.0.2.1",
            ),
            (
                Reason::NoGateway,
                "no_gateway",
                "no gateway: set 'option gateway', or let netifd or the device's own default route tell it",
            ),
            (Reason::NotReadYet, "not_read_yet", "the kernel's state has not been read yet"),
            (
                Reason::NoInterface("wan".into()),
                "no_interface",
                "netifd has no interface wan: 'ubus call network.interface dump' shows all",
            ),
            (Reason::InterfacePending("wan".into()), "interface_pending", "interface wan is being set up"),
            (
                Reason::InterfaceDown { name: "lte".into(), error: Some("NO_DEVICE".into()) },
                "interface_down",
                "interface lte is down: NO_DEVICE",
            ),
            (
                Reason::InterfaceTakenDown { name: "lte".into(), error: Some("PIN_FAILED".into()) },
                "interface_taken_down",
                "interface lte is down (PIN_FAILED) and not started by itself: 'ifup lte' brings it up",
            ),
            (
                Reason::InterfaceDown { name: "wan".into(), error: None },
                "interface_down",
                "interface wan is down: 'ifstatus wan' may tell why",
            ),
            (
                Reason::InterfaceWithoutDevice("wan".into()),
                "interface_without_device",
                "interface wan has no network device",
            ),
            (
                Reason::Blocked { target: IpAddr::from([1, 1, 1, 1]), cause: "somebody's route".into() },
                "blocked",
                "no way to 1.1.1.1 through the device: somebody's route",
            ),
            (Reason::TooManyFailures { failed: 3, of: 20 }, "too_many_failures", "3 of the last 20 checks failed"),
            (
                Reason::NetifdSilent("wan".into()),
                "netifd_silent",
                "interface wan: netifd has not answered yet; is ubus running, and may failoverd ask it?",
            ),
            (
                Reason::InterfaceTakenDown { name: "wan".into(), error: None },
                "interface_taken_down",
                "interface wan was taken down, or is not started by itself: 'ifup wan' brings it up",
            ),
            (
                Reason::DeviceTaken { device: "eth1".into(), provider: "fiber".into() },
                "device_taken",
                "device eth1 is provider fiber's already",
            ),
        ] {
            assert_eq!((reason.code(), reason.to_string().as_str()), (code, want));
        }
    }
}
