//! How the world carries out what the core wants: on the kernel at once, on the lines after their round trip.

use std::net::IpAddr;
use std::time::Duration;

use failoverd::event::{Action, Event, Neighbour, ProbeToken, ProviderId, Resolved, Stranded};
use failoverd::icmp::Icmp;
use failoverd::kernel::{IfIndex, LookupQuestion, Outcome, RouteChange};
use failoverd::netifd::Interface;
use failoverd::question::Question;
use failoverd::reason::Refusal;
use failoverd::settings::Recover;

use super::{KERNEL_TIME, Line, NFT_TIME, Pending, World, ip, ms, netifd};

impl World {
    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::Probe { provider, device, token, question: Question::Exec { environment, .. }, timeout } => {
                self.run_script(provider, device, token, environment, timeout);
            }
            Action::Probe { provider, device, token, question, .. } => self.probe(provider, device, token, &question),
            Action::Resolve { provider, device, name, servers, timeout } => {
                self.asked.push((self.now, provider, name.clone()));
                self.resolve(provider, device, name, &servers, timeout);
            }
            Action::Recover { interface, how } => self.recover(&interface, &how),
            Action::WatchReceived { provider, device, .. } => {
                self.watched.insert(provider, (self.now, device, 0));
            }
            Action::CountReceived { provider, device, .. } => {
                let packets = self.watched.get(&provider).map(|&(since, device, answers)| {
                    let line = self.line_of(device);
                    let received = line.map_or(0, |line| line.received(self.now.since(since)));
                    u32::try_from(received + answers).unwrap()
                });
                let gateway = self.line_of(device).map_or(Neighbour::Unknown, |line| line.gateway);
                self.later(Duration::from_micros(50), Pending::Event(Event::Received { provider, packets, gateway }));
            }
            Action::StopWatching(provider) => {
                self.watched.remove(&provider);
            }
            Action::Change { sequence, changes, lookups } => self.change(sequence, changes, lookups),
            Action::Save(state) => self.state = state,
            Action::Notice(notice) => self.told.push((self.now, notice)),
            Action::Stopped => self.stopped = true,
            Action::ReadInterfaces => {
                self.netifd.asked.push(self.now);
                self.read_interfaces_now();
            }
            Action::CloseProber(provider) => {
                self.closed += 1;
                // Nor are names asked for any more.
                let of_it = |event: &Pending| matches!(event, Pending::Event(Event::Resolved { provider: of, .. }) if *of == provider);
                self.queue.retain(|_, event| !of_it(event));
            }
            Action::ForgetConnections(Stranded::Addresses { addresses, inside }) => {
                self.inside = inside;
                let early = addresses.iter().find(|it| self.first.contains(it));
                assert_eq!(early, None, "forgotten while a slot of its provider is first");
                self.forgotten.extend(addresses.into_iter().map(|address| (self.now, address)));
            }
            Action::ForgetConnections(marked) => self.forgotten_marks.push((self.now, marked)),
            Action::Filter(text) => {
                let others = self.queue.values().any(|it| matches!(it, Pending::Filter(_)));
                assert!(!others, "one at a time");
                self.filters.push((self.now, text.clone()));
                self.later(NFT_TIME, Pending::Filter(text));
            }
        }
    }

    fn change(&mut self, sequence: u64, changes: Vec<RouteChange>, lookups: Vec<LookupQuestion>) {
        if self.core.is_none() {
            return;
        }
        assert_eq!(sequence, self.sequence + 1, "sequences grow by one");
        (self.sequence, self.lookups) = (sequence, lookups);
        self.requests.push(self.now);
        let mut applied = vec![];
        for change in &changes {
            if self.crash_after == Some(0) {
                self.crash_after = None;
                self.crash();
                return;
            }
            self.crash_after = self.crash_after.map(|left| left - 1);
            let before = self.kernel.clone();
            let chance = self.random.next() % 100;
            let refused = self.faults.no_rules && matches!(change, RouteChange::AddRule(_));
            let outcome = if refused || chance < self.faults.refuse {
                Outcome::Refused("Device or resource busy (16)".into())
            } else if chance < self.faults.refuse + self.faults.ineffective {
                Outcome::Done
            } else {
                self.kernel.apply(change)
            };
            self.hits += usize::from(matches!(outcome, Outcome::DeletedOther(_)));
            if let Some(observer) = &mut self.observer {
                observer(&before, change, &self.kernel);
            }
            applied.push((change.clone(), outcome));
        }
        if let Some(rival) = self.rival.as_mut().filter(|_| !changes.is_empty()) {
            rival(&mut self.kernel);
        }
        if !changes.is_empty() {
            self.changes.push((self.now, changes));
        }
        if self.random.next() % 100 >= self.faults.lose {
            let event = self.kernel_event(applied);
            self.later(KERNEL_TIME, Pending::Event(event));
        }
    }

    /// As the kernel does it: a table that is made anew has a handle that none has had.
    pub(super) fn load_filter(&mut self, text: &str) {
        let there = self.kernel.filter.is_some();
        let outcome = match self.faults.nft {
            Some(cause) => Err(cause.to_owned()),
            None if !there && !text.starts_with("add table") => Err("nft: No such file or directory".to_owned()),
            None => {
                if !there {
                    self.chains.clear();
                }
                let anew = u64::try_from(self.filters.len()).unwrap();
                self.kernel.filter.get_or_insert(anew);
                text.lines().for_each(|line| self.load_line(line));
                Ok(())
            }
        };
        self.feed(Event::Filtered(outcome));
    }

    fn load_line(&mut self, line: &str) {
        match line.splitn(6, ' ').collect::<Vec<_>>()[..] {
            ["add", "table", "inet", "failover"] | ["add", "chain", "inet", "failover", ..] => {}
            ["delete", "table", "inet", "failover"] => self.kernel.filter = None,
            ["flush", "table", "inet", "failover"] => self.chains.clear(),
            ["flush", "chain", "inet", "failover", name] => drop(self.chains.remove(name)),
            ["add", "rule", "inet", "failover", name, body] => {
                self.chains.entry(name.to_owned()).or_default().push(body.to_owned());
            }
            _ => panic!("nobody has taught the model {line}"),
        }
    }

    /// netifd acknowledges everything. Between `down` and `up` it tells that the interface was taken down.
    fn recover(&mut self, interface: &str, how: &Recover) {
        self.recovered.push((self.now, format!("{} {interface}", how.word())));
        let whole = self.netifd.interfaces.iter().find(|it| it.name == interface).cloned();
        if let Some(whole) = whole.filter(|_| *how == Recover::Restart) {
            *self.interface(interface) = Interface { autostart: false, ..netifd::down(&whole) };
            self.later(ms(1), Pending::Interfaces);
            self.later(self.netifd.restart, Pending::Up(whole));
        }
    }

    fn line_of(&self, device: IfIndex) -> Option<&Line> {
        self.lines.get(&self.kernel.by_index(device)?.name)
    }

    /// A script says what the line lets it find out, or is killed.
    fn run_script(
        &mut self,
        provider: ProviderId,
        device: IfIndex,
        token: ProbeToken,
        environment: Vec<(&'static str, String)>,
        timeout: Duration,
    ) {
        self.scripts.push((self.now, environment));
        let Some(line) = self.line_of(device).cloned() else { return };
        let at = self.now + line.rtt;
        let refused = |status| Event::ProbeRefused { provider, token, cause: Refusal::Script { status } };
        match line.script.filter(|_| line.rtt < timeout) {
            Some(0) => self.later(line.rtt, Pending::Event(Event::Answered { provider, token, at })),
            Some(status) => self.later(line.rtt, Pending::Event(refused(Some(status)))),
            None => self.later(timeout, Pending::Event(refused(None))),
        }
    }

    fn probe(&mut self, provider: ProviderId, device: IfIndex, token: ProbeToken, question: &Question) {
        self.probes += 1;
        let target = match question {
            Question::Ping { target, .. } | Question::Arp { gateway: target } => *target,
            Question::Tcp { server } | Question::Dns { server, .. } | Question::Http { server, .. } => server.ip(),
            Question::Exec { .. } => unreachable!("run, not sent"),
        };
        let answer = match self.kernel.look_up(LookupQuestion { device, target }) {
            Ok(answer) => answer,
            Err(cause) => {
                let event = Event::ProbeRefused { provider, token, cause: Refusal::NotSent(cause) };
                return self.later(Duration::from_micros(20), Pending::Event(event));
            }
        };
        let link = self.kernel.by_index(device).unwrap();
        self.sent.push((self.now, link.name.clone(), target, question.bytes()));
        let Some(line) = self.lines.get(&link.name).filter(|_| link.carrier).cloned() else { return };
        let word = match question {
            Question::Ping { .. } => "ping",
            Question::Tcp { .. } => "tcp",
            Question::Dns { .. } => "dns",
            Question::Http { .. } => "http",
            Question::Arp { .. } | Question::Exec { .. } => "",
        };
        if line.dead.contains(&target) || line.blocked.contains(&word) {
            return;
        }
        if answer.gateway.is_none() && !link.point_to_point && !line.answers_everything {
            return;
        }
        let Some(after) = line.answer_after(&mut self.random) else { return };
        let source = if line.wrong_source { ip(6, 6, 6, 6) } else { target };
        let cookie = token.cookie ^ u64::from(line.wrong_cookie);
        let message = if line.unreachable {
            Icmp::Unreachable { code: 1, id: token.id, sequence: token.sequence, target }
        } else {
            Icmp::EchoReply { id: token.id, sequence: token.sequence, cookie }
        };
        let at = self.now + after;
        let event = match question {
            Question::Ping { .. } => Event::Icmp { provider, source, message, at },
            Question::Http { .. } if line.page.is_some() => {
                Event::ProbeRefused { provider, token, cause: line.page.unwrap() }
            }
            _ => Event::Answered { provider, token, at },
        };
        // A page comes in several packets.
        let packets = if word == "http" { 6 } else { 1 };
        self.later(after, Pending::Answer { device, packets, event });
    }

    /// Each server has its timeout; the first one that says something ends it.
    fn resolve(&mut self, provider: ProviderId, device: IfIndex, name: String, servers: &[IpAddr], timeout: Duration) {
        let line = self.line_of(device).cloned();
        let answer = line.filter(|line| !line.mute_servers).and_then(|line| {
            let after = line.answer_after(&mut self.random)?;
            Some((after, line.names.get(&name).cloned()))
        });
        let (after, outcome) = match answer {
            Some((after, Some(addresses))) => (after, Ok(Resolved { addresses, ttl: Duration::from_secs(60) })),
            Some((after, None)) => (after, Err("there is no such name".to_owned())),
            None => {
                let count = u32::try_from(servers.len()).unwrap();
                (timeout * count, Err(format!("no answer from {}", servers[0])))
            }
        };
        self.later(after, Pending::Event(Event::Resolved { provider, name, outcome }));
    }

    /// A packet arrives, unless the line was cut while it was on its way.
    pub(super) fn arrive(&mut self, device: IfIndex, packets: u64, event: Event) {
        let alive = self.line_of(device).is_some_and(|line| !line.silent);
        if alive && self.kernel.by_index(device).is_some_and(|link| link.up && link.carrier) {
            let counting = self.watched.values_mut().filter(|(_, watched, _)| *watched == device);
            counting.for_each(|(.., answers)| *answers += packets);
            self.feed(event);
        }
    }
}
