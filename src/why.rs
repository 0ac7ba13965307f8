//! Why the ranking is what it is, in full sentences: who is active, why not the others, and what would have to happen for each to take over.
//!
//! Made by `core::why`; the reply of ubus `why`, printed by `failoverd why`.

use serde_json::Value;

use crate::member::object;
use crate::say;
use crate::sentence::{Part, Sentence};
use crate::settings::LastResort;
use crate::text::duration;

/// The ranking explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The active provider, and for how many seconds it has been.
    pub active: Option<(String, u64)>,
    /// Any provider is reliable.
    pub reliable: bool,
    /// Why that one, for programs.
    pub reason_code: &'static str,
    /// Whether the internet is fine, through whom, and what is wrong if it is not.
    pub sentence: Sentence,
    /// Switches within the last hour.
    pub switches: usize,
    /// Every provider, in the order of the status.
    pub providers: Vec<Explained>,
}

/// One provider of [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Name.
    pub name: String,
    /// `active` (alone or with others), `standby`, `unusable` or `disabled`.
    pub role: &'static str,
    /// Its state, in the word of the status.
    pub state: &'static str,
    /// Why it has its role, for programs.
    pub reason_code: &'static str,
    /// Seconds in its state.
    pub since: u64,
    /// Times it became unreliable within the last hour.
    pub flaps: u32,
    /// How it is, why it is active or not, what would change that.
    pub sentences: Vec<Sentence>,
}

impl Explanation {
    /// The reply of ubus `why`, the sentences written out or in parts.
    pub fn to_json(&self, parts: bool) -> Value {
        let said = |sentence: &Sentence| match parts {
            true => sentence.to_parts(),
            false => Value::from(sentence.to_string()),
        };
        let provider = |it: &Explained| {
            object(&mut [
                ("name", it.name.as_str().into()),
                ("role", it.role.into()),
                ("state", it.state.into()),
                ("reason_code", it.reason_code.into()),
                ("since", it.since.into()),
                ("flaps", it.flaps.into()),
                ("sentences", it.sentences.iter().map(said).collect()),
            ])
        };
        object(&mut [
            ("active", self.active.as_ref().map(|(name, _)| name.as_str()).into()),
            ("active_since", self.active.as_ref().map(|(_, since)| *since).into()),
            ("reliable", self.reliable.into()),
            ("reason_code", self.reason_code.into()),
            ("sentence", said(&self.sentence)),
            ("switches", self.switches.into()),
            ("providers", self.providers.iter().map(provider).collect()),
        ])
    }
}

/// Why a provider is active, or why it is not although it is reliable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Active: there is no other.
    Only {
        /// And it works.
        reliable: bool,
    },
    /// Active: somebody wants it.
    Pinned {
        /// By ubus or the command line; else by the configuration.
        runtime: bool,
    },
    /// Active: nothing is known yet.
    Proving,
    /// Active: the best there is.
    Best {
        /// Its priority.
        priority: u32,
    },
    /// Active, until this better one may take over.
    StaysFor(&'a str),
    /// The same, among degraded ones.
    StaysDegraded(&'a str),
    /// Active, and this better one takes over only if somebody says so.
    StaysByHand(&'a str),
    /// Active, and this one is as good.
    StaysEqual(&'a str),
    /// Active, as this one, though preferred, is degraded.
    InsteadOf(&'a str),
    /// Active, but not reliable; nor is any other.
    LastResort(LastResort),
    /// Active, but not proven: a cold standby that is needed now.
    Spare,
    /// This one is pinned.
    PinnedElsewhere(&'a str),
    /// Another one is preferred.
    Behind {
        /// That one.
        other: &'a str,
        /// Its priority.
        priority: u32,
        /// The provider's own.
        own: u32,
    },
    /// Another one is as good, and was there first.
    Equal {
        /// That one.
        other: &'a str,
        /// The priority of both.
        priority: u32,
    },
    /// It has not been reliable, or what `what` says, for long enough.
    Waits {
        /// For what it waits.
        what: Wait,
        /// Seconds it has been so.
        so: u64,
        /// Seconds it must be.
        of: u64,
    },
    /// It is degraded, and the active one is not.
    Degraded,
    /// `option failback 'manual'`.
    Manual,
}

/// What must last for a failback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The provider is reliable.
    Reliable,
    /// It is not degraded any more.
    Good,
    /// Nor is any other good.
    AllDegraded,
}

impl Standing<'_> {
    /// For programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Only { reliable: true } | Self::Best { .. } | Self::InsteadOf(_) => "best",
            Self::Only { reliable: false } | Self::LastResort(_) => "last_resort",
            Self::Pinned { .. } => "pinned",
            Self::Proving => "starting",
            Self::Spare => "cold_standby",
            Self::StaysFor(_) | Self::StaysDegraded(_) | Self::StaysByHand(_) | Self::StaysEqual(_) => "stays",
            Self::PinnedElsewhere(_) => "pinned_elsewhere",
            Self::Behind { .. } => "lower_priority",
            Self::Equal { .. } => "equal_priority",
            Self::Waits { .. } => "failback_wait",
            Self::Manual => "manual_failback",
            Self::Degraded => "degraded",
        }
    }

    /// For people.
    pub fn sentence(&self) -> Sentence {
        match *self {
            Self::Only { .. } => say!("It is the only provider: there is nothing to choose."),
            Self::Pinned { runtime: true } => say!("It is active because it is pinned; 'failoverd unpin' ends that."),
            Self::Pinned { runtime: false } => say!("It is active because the configuration pins it ('option pin')."),
            Self::Proving => say!("It is used until the first checks have ended."),
            Self::Best { priority } => {
                say!("It is active because no reliable provider is preferred to it (priority {0}).", priority)
            }
            Self::StaysFor(other) => say!("It is active until {0} has been reliable for long enough.", other),
            Self::StaysDegraded(other) => {
                say!("It is active until all have been degraded for long enough; {0} is preferred among those.", other)
            }
            Self::InsteadOf(other) => say!("It is active because {0}, though preferred, is degraded.", other),
            Self::StaysByHand(other) => {
                say!(
                    "It is active because {0}, though preferred, takes over only by hand ('option failback' is manual).",
                    other
                )
            }
            Self::StaysEqual(other) => {
                say!("It is active because {0} has the same priority, which is no reason to move traffic.", other)
            }
            Self::LastResort(LastResort::Keep) => {
                say!(
                    "It is used without proof because no provider is reliable, and 'option last_resort' keeps the active one."
                )
            }
            Self::LastResort(LastResort::First) => {
                say!(
                    "It is used without proof because no provider is reliable, and 'option last_resort' takes the first one."
                )
            }
            Self::Spare => {
                say!("It was on cold standby, and is used before it has proved itself, as the better ones are gone.")
            }
            Self::PinnedElsewhere(other) => say!("It is not active because {0} is pinned.", other),
            Self::Behind { other, priority, own } => {
                say!("It is not active because {0} is preferred: priority {1} comes before {2}.", other, priority, own)
            }
            Self::Equal { other, priority } => {
                say!("It is not active because {0} works and has the same priority, {1}.", other, priority)
            }
            Self::Waits { what, so, of } => {
                let (so, of) = (duration(so), duration(of));
                match what {
                    Wait::Reliable => {
                        say!("It is not active because it has been reliable for only {0} of {1}.", so, of)
                    }
                    Wait::Good => say!("It is not active because it has been good again for only {0} of {1}.", so, of),
                    Wait::AllDegraded => {
                        say!("It is not active because all have been degraded for only {0} of {1}.", so, of)
                    }
                }
            }
            Self::Degraded => say!("It is not active because it is degraded."),
            Self::Manual => say!("It is not active because failback is manual ('option failback')."),
        }
    }
}

/// What would have to happen for a provider to take over, or for another one to take over from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takeover<'a> {
    /// Of the active one: this one is next.
    Next(&'a str),
    /// Of one that shares traffic: these go on.
    Others(Part),
    /// Of the active one: no other is reliable.
    NoNext,
    /// Of a pinned one.
    Never,
    /// Of one that is used without proof.
    AnyReliable,
    /// In so many seconds.
    In(u64),
    /// When it has been reliable for so many seconds.
    ReliableFor(u64),
    /// When it is reliable.
    Reliable,
    /// When it has not been degraded for so many seconds.
    GoodFor(u64),
    /// It shares the active one's traffic in so many seconds.
    JoinsIn(u64),
    /// When it has been reliable for so many seconds.
    JoinsReliableFor(u64),
    /// When it has not been degraded for so many seconds.
    JoinsGoodFor(u64),
    /// When what its state says is mended.
    Mended,
    /// When these fail.
    IfFail(Vec<&'a str>),
    /// When somebody pins it, or the active one fails.
    ByHand {
        /// It.
        name: &'a str,
        /// The active one.
        active: &'a str,
    },
    /// When somebody pins it, or the pinned one has no link any more.
    InsteadOfPin {
        /// It.
        name: &'a str,
        /// The pinned one.
        pinned: &'a str,
    },
    /// When it, or failover itself, is enabled in this section.
    Enabled(&'a str),
}

impl Takeover<'_> {
    /// For people.
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::Next(next) => say!("If it fails, {0} takes over.", *next),
            Self::Others(names) => say!("If it fails, its share goes to {0}.", names.clone()),
            Self::NoNext => say!("If it fails, no other provider is reliable now."),
            Self::Never => say!("If it fails, traffic stays on it all the same."),
            Self::AnyReliable => say!("The first provider to become reliable takes over."),
            Self::In(0) => say!("It takes over now."),
            Self::In(seconds) => say!("It takes over in {0} if it stays reliable.", duration(*seconds)),
            Self::ReliableFor(0) | Self::Reliable => say!("It takes over as soon as it is reliable."),
            Self::ReliableFor(seconds) => say!("It takes over when it has been reliable for {0}.", duration(*seconds)),
            Self::GoodFor(0) => say!("It takes over as soon as it is good."),
            Self::GoodFor(seconds) => say!("It takes over when it has been good for {0}.", duration(*seconds)),
            Self::JoinsIn(seconds) => {
                say!("It shares the traffic in {0} if it stays reliable.", duration(*seconds))
            }
            Self::JoinsReliableFor(0) => say!("It shares the traffic as soon as it is reliable."),
            Self::JoinsReliableFor(seconds) => {
                say!("It shares the traffic when it has been reliable for {0}.", duration(*seconds))
            }
            Self::JoinsGoodFor(seconds) => {
                say!("It shares the traffic when it has been good for {0}.", duration(*seconds))
            }
            Self::Mended => say!("It takes over as soon as that is mended."),
            Self::IfFail(all) => match all.as_slice() {
                [one] => say!("It takes over only if {0} fails.", *one),
                all => say!("It takes over only if all of these fail: {0}.", all.join(", ")),
            },
            Self::ByHand { name, active } => {
                say!("It takes over only by hand ('failoverd pin {0}'), or if {1} fails.", *name, *active)
            }
            Self::InsteadOfPin { name, pinned } => {
                say!("It can take over only by hand ('failoverd pin {0}'), or if {1} loses its link.", *name, *pinned)
            }
            Self::Enabled(section) => say!("It takes part when failover.{0}.enabled is set to 1.", *section),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentence::and;
    use serde_json::json;

    #[test]
    fn why_a_provider_is_where_it_is() {
        for (standing, code, want) in [
            (Standing::Only { reliable: true }, "best", "It is the only provider: there is nothing to choose."),
            (Standing::Only { reliable: false }, "last_resort", "It is the only provider: there is nothing to choose."),
            (
                Standing::Pinned { runtime: true },
                "pinned",
                "It is active because it is pinned; 'failoverd unpin' ends that.",
            ),
            (
                Standing::Pinned { runtime: false },
                "pinned",
                "It is active because the configuration pins it ('option pin').",
            ),
            (Standing::Proving, "starting", "It is used until the first checks have ended."),
            (
                Standing::Best { priority: 1 },
                "best",
                "It is active because no reliable provider is preferred to it (priority 1).",
            ),
            (Standing::StaysFor("fiber"), "stays", "It is active until fiber has been reliable for long enough."),
            (
                Standing::StaysByHand("fiber"),
                "stays",
                "It is active because fiber, though preferred, takes over only by hand ('option failback' is manual).",
            ),
            (
                Standing::StaysEqual("fiber"),
                "stays",
                "It is active because fiber has the same priority, which is no reason to move traffic.",
            ),
            (
                Standing::LastResort(LastResort::Keep),
                "last_resort",
                "It is used without proof because no provider is reliable, and 'option last_resort' keeps the active one.",
            ),
            (
                Standing::LastResort(LastResort::First),
                "last_resort",
                "It is used without proof because no provider is reliable, and 'option last_resort' takes the first one.",
            ),
            (
                Standing::Spare,
                "cold_standby",
                "It was on cold standby, and is used before it has proved itself, as the better ones are gone.",
            ),
            (Standing::PinnedElsewhere("dsl"), "pinned_elsewhere", "It is not active because dsl is pinned."),
            (
                Standing::Behind { other: "fiber", priority: 1, own: 2 },
                "lower_priority",
                "It is not active because fiber is preferred: priority 1 comes before 2.",
            ),
            (
                Standing::Equal { other: "fiber", priority: 1 },
                "equal_priority",
                "It is not active because fiber works and has the same priority, 1.",
            ),
            (
                Standing::Waits { what: Wait::Reliable, so: 20, of: 120 },
                "failback_wait",
                "It is not active because it has been reliable for only 20s of 2m.",
            ),
            (
                Standing::Waits { what: Wait::Good, so: 20, of: 120 },
                "failback_wait",
                "It is not active because it has been good again for only 20s of 2m.",
            ),
            (
                Standing::Waits { what: Wait::AllDegraded, so: 20, of: 120 },
                "failback_wait",
                "It is not active because all have been degraded for only 20s of 2m.",
            ),
            (Standing::Degraded, "degraded", "It is not active because it is degraded."),
            (Standing::InsteadOf("fiber"), "best", "It is active because fiber, though preferred, is degraded."),
            (
                Standing::StaysDegraded("fiber"),
                "stays",
                "It is active until all have been degraded for long enough; fiber is preferred among those.",
            ),
            (Standing::Manual, "manual_failback", "It is not active because failback is manual ('option failback')."),
        ] {
            assert_eq!((standing.code(), standing.sentence().to_string().as_str()), (code, want));
        }
    }

    #[test]
    fn what_would_have_to_happen() {
        for (takeover, want) in [
            (Takeover::Next("lte"), "If it fails, lte takes over."),
            (Takeover::NoNext, "If it fails, no other provider is reliable now."),
            (Takeover::Never, "If it fails, traffic stays on it all the same."),
            (Takeover::AnyReliable, "The first provider to become reliable takes over."),
            (Takeover::In(0), "It takes over now."),
            (Takeover::In(40), "It takes over in 40s if it stays reliable."),
            (Takeover::ReliableFor(0), "It takes over as soon as it is reliable."),
            (Takeover::ReliableFor(90), "It takes over when it has been reliable for 1m 30s."),
            (Takeover::Reliable, "It takes over as soon as it is reliable."),
            (Takeover::GoodFor(0), "It takes over as soon as it is good."),
            (Takeover::GoodFor(90), "It takes over when it has been good for 1m 30s."),
            (Takeover::JoinsIn(40), "It shares the traffic in 40s if it stays reliable."),
            (Takeover::JoinsReliableFor(0), "It shares the traffic as soon as it is reliable."),
            (Takeover::JoinsReliableFor(90), "It shares the traffic when it has been reliable for 1m 30s."),
            (Takeover::JoinsGoodFor(90), "It shares the traffic when it has been good for 1m 30s."),
            (Takeover::Others(and(&["dsl", "lte"])), "If it fails, its share goes to dsl and lte."),
            (Takeover::Mended, "It takes over as soon as that is mended."),
            (Takeover::IfFail(vec!["fiber"]), "It takes over only if fiber fails."),
            (Takeover::IfFail(vec!["fiber", "dsl"]), "It takes over only if all of these fail: fiber, dsl."),
            (
                Takeover::ByHand { name: "fiber", active: "lte" },
                "It takes over only by hand ('failoverd pin fiber'), or if lte fails.",
            ),
            (
                Takeover::InsteadOfPin { name: "fiber", pinned: "lte" },
                "It can take over only by hand ('failoverd pin fiber'), or if lte loses its link.",
            ),
            (Takeover::Enabled("lte"), "It takes part when failover.lte.enabled is set to 1."),
        ] {
            assert_eq!(takeover.sentence().to_string(), want);
        }
    }

    #[test]
    fn as_ubus_tells_it() {
        let lte = Explained {
            name: "lte".into(),
            role: "standby",
            state: "online",
            reason_code: "lower_priority",
            since: 300,
            flaps: 1,
            sentences: vec![Takeover::IfFail(vec!["fiber"]).sentence()],
        };
        let explanation = Explanation {
            active: Some(("fiber".into(), 60)),
            reliable: true,
            reason_code: "best",
            sentence: say!("Online through {0} for {1}.", "fiber", "1m"),
            switches: 2,
            providers: vec![lte],
        };
        let told = |sentence: Value, sentences: Value| {
            json!({
                "active": "fiber", "active_since": 60, "reliable": true, "reason_code": "best", "sentence": sentence, "switches": 2,
                "providers": [{"name": "lte", "role": "standby", "state": "online", "reason_code": "lower_priority", "since": 300,
                    "flaps": 1, "sentences": sentences}],
            })
        };
        let written = told(json!("Online through fiber for 1m."), json!(["It takes over only if fiber fails."]));
        assert_eq!(explanation.to_json(false), written);
        let parts = told(
            json!(["Online through {0} for {1}.", "fiber", "1m"]),
            json!([["It takes over only if {0} fails.", "fiber"]]),
        );
        assert_eq!(explanation.to_json(true), parts);
        let none = Explanation { active: None, providers: vec![], ..explanation };
        assert_eq!(none.to_json(false).get("active"), None, "absent rather than null");
    }
}
