//! Why a check failed or a provider is in its state. Enums travel; the words are made here, once.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

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
    /// Every probe of a test was answered by an ICMP error, or could not be sent.
    Refused {
        /// The error in words.
        cause: Refusal,
        /// Probes sent.
        sent: u32,
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
    InterfaceDown(String),
    /// Somebody took this interface down by hand, or it is not to be started by itself.
    InterfaceTakenDown(String),
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
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { code, from } => {
                let what = match code {
                    0 => "network unreachable",
                    1 => "host unreachable",
                    2 => "protocol unreachable",
                    9 | 10 | 13 => "administratively prohibited",
                    _ => "destination unreachable",
                };
                write!(f, "{from} says {what}")
            }
            Self::NotSent(cause) => write!(f, "cannot send: {cause}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostProbes { sent, targets, received } => {
                write!(
                    f,
                    "lost {sent} of {sent} probes to {targets} {}",
                    if *targets == 1 { "target" } else { "targets" }
                )?;
                match received {
                    Received::Little { packets: 0, within } => write!(f, ", nothing received for {}", seconds(*within)),
                    Received::Little { packets, within } => {
                        write!(f, ", {packets} packets received in {}", seconds(*within))
                    }
                    Received::Enough { packets, waited } => {
                        write!(f, " within {} on a line that received {packets} packets", seconds(*waited))
                    }
                    Received::Unknown { waited } => write!(f, " within {}", seconds(*waited)),
                }
            }
            Self::Refused { cause, sent } => write!(f, "{cause} ({sent} of {sent} probes)"),
            Self::NoDevice(name) => write!(f, "no device {name}"),
            Self::LinkDown(name) => write!(f, "device {name} is down"),
            Self::NoCarrier => write!(f, "no carrier"),
            Self::NoAddress(None) => write!(f, "no IPv4 address"),
            Self::NoAddress(Some(address)) => write!(f, "the device does not have the configured address {address}"),
            Self::NoGateway => {
                write!(f, "no gateway: set 'option gateway', or let netifd or the device's own default route tell it")
            }
            Self::NotReadYet => write!(f, "the kernel's state has not been read yet"),
            Self::NetifdSilent(name) => {
                write!(f, "interface {name}: netifd has not answered yet; is ubus running, and may failoverd ask it?")
            }
            Self::NoInterface(name) => {
                write!(f, "netifd has no interface {name}: 'ubus call network.interface dump' shows all")
            }
            Self::InterfacePending(name) => write!(f, "interface {name} is being set up"),
            Self::InterfaceDown(name) => write!(f, "interface {name} is down: 'ifstatus {name}' may tell why"),
            Self::InterfaceTakenDown(name) => {
                write!(f, "interface {name} was taken down, or is not started by itself: 'ifup {name}' brings it up")
            }
            Self::InterfaceWithoutDevice(name) => write!(f, "interface {name} has no network device"),
            Self::DeviceTaken { device, provider } => write!(f, "device {device} is provider {provider}'s already"),
            Self::Blocked { target, cause } => write!(f, "no way to {target} through the device: {cause}"),
            Self::TooManyFailures { failed, of } => write!(f, "{failed} of the last {of} checks failed"),
        }
    }
}

/// `0.6 s`.
fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        let little = |packets| Received::Little { packets, within: Duration::from_millis(550) };
        for (reason, want) in [
            (
                Reason::LostProbes { sent: 9, targets: 4, received: little(0) },
                "lost 9 of 9 probes to 4 targets, nothing received for 0.6 s",
            ),
            (
                Reason::LostProbes { sent: 1, targets: 1, received: little(3) },
                "lost 1 of 1 probes to 1 target, 3 packets received in 0.6 s",
            ),
            (
                Reason::LostProbes {
                    sent: 9,
                    targets: 4,
                    received: Received::Enough { packets: 80, waited: Duration::from_secs(2) },
                },
                "lost 9 of 9 probes to 4 targets within 2.0 s on a line that received 80 packets",
            ),
            (
                Reason::Refused {
                    cause: Refusal::Unreachable { code: 1, from: IpAddr::from([192, 168, 1, 1]) },
                    sent: 9,
                },
                "192.168.1.1 says host unreachable (9 of 9 probes)",
            ),
            (Reason::NoCarrier, "no carrier"),
            (
                Reason::NetifdSilent("wan".into()),
                "interface wan: netifd has not answered yet; is ubus running, and may failoverd ask it?",
            ),
            (
                Reason::InterfaceTakenDown("wan".into()),
                "interface wan was taken down, or is not started by itself: 'ifup wan' brings it up",
            ),
            (
                Reason::DeviceTaken { device: "eth1".into(), provider: "fiber".into() },
                "device eth1 is provider fiber's already",
            ),
        ] {
            assert_eq!(reason.to_string(), want);
        }
    }
}
