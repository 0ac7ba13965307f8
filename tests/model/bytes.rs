//! Bytes to sequences of core events: what a fuzzer mutates. Used by `tests/core_events.rs` and by the fuzz target of that name.

use failoverd::core::Core;
use failoverd::event::{Action, Event, Neighbour, ProbeToken, ProviderId, Resolved, State};
use failoverd::icmp::Icmp;
use failoverd::kernel::{Outcome, RouteChange};
use failoverd::moment::Moment;
use failoverd::reason::Refusal;
use failoverd::settings::{Host, Limits, Recover, Required, Settings, Target, TestKind, TestSettings};

use super::config::TARGETS;
use super::fib::How;
use super::world::World;
use super::{Config, Kernel, ip, ms};

/// A name among the targets.
const NAME: &str = "one.example";

/// The bytes not yet used; an empty input is all zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
}

/// Plays `data` against a core. Nothing may panic, and the core must not ask to be woken in the past for ever.
pub fn play(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::with_interfaces(3, &[(0, 0), (1, 0)], 1);
    let flags = input.next();
    let settings = settings(flags);
    let mut now = Moment::from_nanos(1_000_000_000);
    let mut core = Core::new(now, settings, State::default(), u64::from(input.next()));
    let mut tokens: Vec<ProbeToken> = vec![];
    let mut sequence = 0;
    let mut lookups = vec![];
    let mut asked: Vec<String> = vec![];
    let mut lists: Vec<Vec<RouteChange>> = vec![];
    let mut stale = world.kernel.snapshot(&[]);

    while !input.0.is_empty() {
        let event = match input.next() % 21 {
            0 | 1 => Event::Wakeup,
            2..=4 => {
                let changes = lists.pop().unwrap_or_default();
                let kernel = &mut world.kernel;
                let applied = changes.into_iter().map(|change| {
                    let outcome = match input.next() % 8 {
                        0 => Outcome::Refused("Operation not permitted (1)".into()),
                        1 => Outcome::Done,
                        _ => kernel.apply(&change),
                    };
                    (change, outcome)
                });
                let applied = applied.collect();
                Event::Kernel { snapshot: world.kernel.snapshot(&lookups), after: sequence, applied }
            }
            5 => Event::Kernel { snapshot: stale.clone(), after: u64::from(input.next()), applied: vec![] },
            6 | 7 => {
                let token = tokens.get(usize::from(input.next())).copied();
                let token = token.unwrap_or(ProbeToken { id: 1, sequence: 1, cookie: 1 });
                let source = TARGETS[usize::from(input.next() % 4)];
                let message = Icmp::EchoReply { id: token.id, sequence: token.sequence, cookie: token.cookie };
                let at = now.before(ms(u64::from(input.next())));
                Event::Icmp { provider: ProviderId(input.next() % 5), source, message, at }
            }
            8 => {
                let token = tokens.get(usize::from(input.next())).copied();
                let token = token.unwrap_or(ProbeToken { id: 1, sequence: 1, cookie: 1 });
                match input.next() % 2 {
                    0 => Event::ProbeRefused {
                        provider: ProviderId(input.next() % 5),
                        token,
                        cause: Refusal::NotSent("no".into()),
                    },
                    _ => {
                        let (id, sequence, target) = (token.id, token.sequence, TARGETS[usize::from(input.next() % 4)]);
                        let message = Icmp::Unreachable { code: input.next(), id, sequence, target };
                        let provider = ProviderId(input.next() % 5);
                        Event::Icmp { provider, source: ip(10, 0, 0, 1), message, at: now }
                    }
                }
            }
            9 => {
                let packets = Some(u32::from(input.next())).filter(|it| *it != 255);
                let provider = input.next();
                let gateway = match provider / 5 % 4 {
                    0 => Neighbour::Unknown,
                    1 => Neighbour::Failed,
                    2 => Neighbour::Asked(ms(u64::from(provider) * 10)),
                    _ => Neighbour::Reachable,
                };
                Event::Received { provider: ProviderId(provider % 5), packets, gateway }
            }
            10 => Event::Reload(Box::new(self::settings(input.next()))),
            11 => match input.next() % 4 {
                0 => Event::Pin("b".into()),
                1 => Event::Pin("nobody".into()),
                2 => Event::Unpin,
                _ => Event::ConfigError(vec!["bad".into()]),
            },
            12 => Event::CheckNow((input.next() % 2 == 0).then(|| "a".into())),
            13 => {
                stale = world.kernel.snapshot(&lookups);
                disturb(&mut world.kernel, input.next());
                Event::Kernel { snapshot: world.kernel.snapshot(&lookups), after: sequence, applied: vec![] }
            }
            14 => {
                now = now + ms(u64::from(input.next()) * 40);
                Event::Wakeup
            }
            16 => {
                let what = input.next();
                disturb_interfaces(&mut world.netifd.interfaces, what);
                Event::Interfaces(world.netifd.interfaces.clone())
            }
            18 => Event::Reload(Box::new(with_everything(self::settings(input.next()), input.next()))),
            19 => {
                let word = input.next();
                let name = asked.get(usize::from(word % 4)).cloned().unwrap_or_else(|| NAME.into());
                let outcome = match word / 4 % 4 {
                    0 => Err("there is no such name".to_owned()),
                    1 => Ok(Resolved { addresses: vec![], ttl: ms(0) }),
                    _ => {
                        Ok(Resolved { addresses: vec![ip(9, 9, 9, word), ip(127, 0, 0, 1)], ttl: ms(u64::from(word)) })
                    }
                };
                Event::Resolved { provider: ProviderId(word / 16 % 5), name, outcome }
            }
            20 => {
                let token = tokens.get(usize::from(input.next())).copied();
                let token = token.unwrap_or(ProbeToken { id: 1, sequence: 1, cookie: 1 });
                let word = input.next();
                let provider = ProviderId(word % 5);
                match word / 5 % 4 {
                    0 => Event::ProbeRefused { provider, token, cause: Refusal::Script { status: Some(1) } },
                    1 => {
                        Event::ProbeRefused { provider, token, cause: Refusal::Portal { status: 200, location: None } }
                    }
                    _ => Event::Answered { provider, token, at: now },
                }
            }
            15 => {
                let word = input.next();
                world.kernel.filter = Some(u64::from(word / 4 % 4)).filter(|it| *it > 0);
                match word % 4 {
                    0 => Event::Filtered(Err("nft: no".into())),
                    1 => Event::Filtered(Ok(())),
                    _ => Event::Kernel { snapshot: world.kernel.snapshot(&lookups), after: sequence, applied: vec![] },
                }
            }
            17 => Event::Interfaces((0..u32::from(input.next() % 4)).map(super::netifd::interface).collect()),
            _ if input.next() == 7 => Event::Stop,
            _ => {
                now = core.next_wakeup().map_or(now, |at| at.max(now));
                Event::Wakeup
            }
        };
        let mut actions = core.handle(now, event);
        for _ in 0..20 {
            for action in actions {
                match action {
                    Action::Probe { token, .. } => tokens.insert(0, token),
                    Action::Resolve { name, servers, .. } => {
                        assert!(!servers.is_empty());
                        asked.insert(0, name);
                    }
                    Action::Change { sequence: number, changes, lookups: questions } => {
                        assert!(number > sequence, "sequences grow");
                        (sequence, lookups) = (number, questions);
                        lists.push(changes);
                    }
                    Action::Stopped => return,
                    _ => {}
                }
            }
            if core.next_wakeup().is_none_or(|at| at > now) {
                break;
            }
            actions = core.handle(now, Event::Wakeup);
        }
        assert!(
            core.next_wakeup().is_none_or(|at| at > now),
            "wants to be woken in the past: {:?}",
            core.next_wakeup()
        );
        tokens.truncate(256);
        asked.truncate(4);
        let _ = core.status(now);
        let _ = core.why(now).to_json(true);
        let _ = core.series(now, None, now.as_nanos() % 1000, 60 * (now.as_nanos() % 3) as u32);
    }
}

/// What a configuration may have beside what [`settings`] chooses: kinds of tests, names, limits, sleep.
fn with_everything(mut settings: Settings, what: u8) -> Settings {
    settings.inbound = what & 4 != 0;
    let internet = settings.tests[0].clone();
    let name = |name: &str| Target::of(Host::Name(name.into()));
    let test = |name: &str, kind, targets| TestSettings { name: name.into(), kind, targets };
    settings.tests.extend([
        test("names", TestKind::Tcp, vec![name(NAME), name("two.example")]),
        test("mixed", TestKind::Http { status: vec![204], expect: None }, vec![name(NAME), ip(9, 9, 9, 9).into()]),
        test("arp", TestKind::Arp, vec![Target::of(Host::Gateway)]),
        test("exec", TestKind::Exec { script: "/bin/true".into() }, vec![Target::of(Host::Text(String::new()))]),
    ]);
    for (place, provider) in (0..).zip(&mut settings.providers) {
        let what = what.rotate_right(place);
        provider.tests = match what & 7 {
            0 => vec![internet.name.clone()],
            1 => vec!["names".into()],
            2 => vec!["arp".into()],
            3 => vec!["exec".into()],
            4 => vec!["exec".into(), "names".into()],
            5 => vec!["arp".into(), "mixed".into(), internet.name.clone()],
            _ => settings.tests.iter().map(|it| it.name.clone()).collect(),
        };
        provider.metered = what & 8 != 0;
        provider.cold_standby = what & 16 != 0;
        let check = &mut provider.check;
        check.required = if what & 32 == 0 { Required::All } else { Required::Count(1) };
        check.resolvers = if what & 3 == 0 { vec![] } else { vec![ip(192, 0, 2, 53)] };
        check.quality_window = 20;
        check.loss = (what & 64 == 0).then_some(Limits { max: 20, recover: 10 });
        check.latency = (what & 96 == 0).then_some(Limits { max: ms(50), recover: ms(40) });
        check.recover_after = ms(10_000);
        check.recover = match what >> 6 {
            0 => None,
            1 => Some(Recover::Renew),
            2 => Some(Recover::Restart),
            _ => Some(Recover::Exec("/bin/true".into())),
        };
    }
    settings
}

/// A configuration of a byte.
fn settings(flags: u8) -> Settings {
    Config::count(u32::from(flags & 3))
        .with(|settings| {
            settings.takeover = flags & 4 == 0;
            settings.source_rules = flags & 8 != 0;
            settings.enabled = flags & 16 == 0;
            settings.pin = (flags & 32 != 0).then(|| "a".into());
            settings.start_metric.0 = if flags & 64 == 0 { 2 } else { 10 };
            if flags & 128 != 0 {
                settings.providers.reverse();
                settings.providers.iter_mut().for_each(|it| it.gateway = failoverd::settings::GatewaySetting::Learnt);
                // All but the first: a mix.
                for (index, provider) in settings.providers.iter_mut().enumerate().skip(usize::from(flags & 1)) {
                    provider.source = failoverd::settings::UplinkSource::Interface(format!("isp{index}"));
                }
            }
        })
        .0
}

/// What netifd may say of one interface, of a byte: any device, any state, and gone and back.
fn disturb_interfaces(interfaces: &mut Vec<failoverd::netifd::Interface>, what: u8) {
    use failoverd::netifd::{DefaultRoute, Interface};
    let whole = super::netifd::interface(u32::from(what % 3));
    interfaces.retain(|it| it.name != whole.name);
    interfaces.extend(match what / 3 % 10 {
        0 => None,
        1 => Some(super::netifd::pending(&whole)),
        2 => Some(super::netifd::down(&whole)),
        3 => Some(Interface { autostart: false, ..super::netifd::down(&whole) }),
        4 => Some(Interface { device: Some(format!("wan{}", what / 30 % 4)), ..whole }),
        5 => Some(Interface { default_route: Some(DefaultRoute::Direct), ..whole }),
        6 => Some(Interface { default_route: Some(DefaultRoute::Via(ip(10, 0, 0, what))), ..whole }),
        7 => Some(Interface { lower_device: Some(format!("wan{}", what / 30 % 4)), default_route: None, ..whole }),
        8 => Some(Interface { device: None, ..whole }),
        _ => Some(whole),
    });
}

/// What other programs and cables do, of a byte.
fn disturb(kernel: &mut Kernel, what: u8) {
    let name = format!("wan{}", what % 3);
    if !kernel.links.iter().any(|link| link.name == name) {
        kernel.add_link(50 + u32::from(what), &name);
        return;
    }
    let index = kernel.link(&name).index;
    let address = super::config::address(u32::from(what % 3));
    match what / 3 % 10 {
        0 => kernel.set_carrier(&name, false),
        1 => kernel.set_carrier(&name, true),
        2 => kernel.set_up(&name, false),
        3 => kernel.set_up(&name, true),
        4 => kernel.remove_address(&name, address),
        5 => kernel.add_address(&name, address, 24),
        6 => kernel.remove_link(&name),
        7 => kernel.fib.routes.retain(|route| route.device != Some(index)),
        how => {
            let gateway = super::config::gateway(u32::from(what % 3));
            let route = kernel.default_route(&name, Some(gateway), u32::from(what / 30), 3 + what % 2);
            let _ = kernel.add_route(route, if how == 8 { How::Replace } else { How::Append });
        }
    }
}
