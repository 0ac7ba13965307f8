//! How a provider's line behaves: what becomes of a probe sent into it, and how many packets it receives meanwhile.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use failoverd::event::Neighbour;
use failoverd::random::Random;
use failoverd::reason::Refusal;

use super::ms;

/// One line. Everything may be changed while the world runs.
#[derive(Clone, Debug)]
pub struct Line {
    /// Round trip.
    pub rtt: Duration,
    /// Up to this much is added at random.
    pub jitter: Duration,
    /// Per cent of the upstream packets that are lost.
    pub loss: u64,
    /// Nothing passes, in either direction, and nobody tells.
    pub silent: bool,
    /// Packets per second that come in besides our answers.
    pub traffic: u64,
    /// Answers come from somebody else.
    pub wrong_source: bool,
    /// Answers carry another cookie.
    pub wrong_cookie: bool,
    /// Answers are ICMP errors: host unreachable.
    pub unreachable: bool,
    /// The modem answers ARP, and pings, for every address in the world.
    pub answers_everything: bool,
    /// Probes to these are lost.
    pub dead: Vec<IpAddr>,
    /// Probes of these types are lost.
    pub blocked: Vec<&'static str>,
    /// What becomes of a probe by HTTP, where it is not as it should.
    pub page: Option<Refusal>,
    /// What DNS servers say that are asked through it, for a minute; a name that is not here does not exist.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// They say nothing.
    pub mute_servers: bool,
    /// What the kernel's neighbour table says of the gateway.
    pub gateway: Neighbour,
    /// A script that asks by this line ends so after the round trip; `None`: it hangs until it is killed.
    pub script: Option<i32>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            rtt: ms(20),
            jitter: ms(2),
            loss: 0,
            silent: false,
            traffic: 0,
            wrong_source: false,
            wrong_cookie: false,
            unreachable: false,
            answers_everything: false,
            dead: vec![],
            blocked: vec![],
            page: None,
            names: BTreeMap::new(),
            mute_servers: false,
            gateway: Neighbour::Unknown,
            script: Some(0),
        }
    }
}

impl Line {
    /// The time until the answer to a probe sent now; `None`: it is lost.
    pub fn answer_after(&self, random: &mut Random) -> Option<Duration> {
        let lost = self.silent || random.next() % 100 < self.loss;
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap().max(1);
        let added = Duration::from_nanos(random.next() % jitter);
        (!lost).then(|| self.rtt + added)
    }

    /// Packets received in `time`.
    pub fn received(&self, time: Duration) -> u64 {
        if self.silent { 0 } else { u64::try_from(u128::from(self.traffic) * time.as_millis() / 1000).unwrap() }
    }
}
