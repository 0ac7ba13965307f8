//! The targets of one test: whose turn it is, who is suspect and asked last, and what each has made of its last probes.
//!
//! Kept by `probe`, which is told by `core::targets` who is suspect and tells it who has answered, and who has not while others have.

use std::net::IpAddr;

use super::Step;
use super::pace::Pace;
use crate::moment::Moment;
use crate::reason::{Reason, Refusal};
use crate::settings::{Host, Target};

/// The targets of one test, and whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    spots: Vec<Spot>,
    /// Whose turn it is: among those in good standing, and among the suspect ones.
    turns: [usize; 2],
    /// The test failed in the last check: then nobody is left out.
    pub(super) failing: bool,
    /// Each answer may take its time, as a script's does: one probe at a time, each waited for until `timeout`, and each target once. How
    /// long it takes says nothing of the line.
    pub(super) patient: bool,
    /// How fast they answer.
    pub(super) pace: Pace,
}

/// One target.
#[derive(Clone, Debug)]
struct Spot {
    place: Place,
    suspect: bool,
    /// How often it was asked: each time at its next address.
    asked: usize,
    open: Option<Open>,
    refusal: Option<Refusal>,
}

/// Where a target is asked.
#[derive(Clone, Debug)]
enum Place {
    /// There.
    Address(IpAddr),
    /// At one of its addresses after the other; left out while there are none.
    Name {
        name: String,
        addresses: Vec<IpAddr>,
        /// Why there are none.
        cause: String,
    },
    /// Without an address.
    Nowhere,
}

/// A probe that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Open {
    sent: Moment,
    /// From then on it is missed.
    due: Moment,
}

impl Targets {
    /// These, beginning with any one of them.
    pub(super) fn new(targets: &[Target], random: u64) -> Self {
        let start = usize::try_from(random >> 33).unwrap_or(0);
        let spot = |target: &Target| Spot {
            place: match &target.host {
                Host::Address(address) => Place::Address(*address),
                Host::Name(name) => Place::Name { name: name.clone(), addresses: vec![], cause: String::new() },
                Host::Gateway | Host::Text(_) => Place::Nowhere,
            },
            suspect: false,
            asked: start,
            open: None,
            refusal: None,
        };
        Self {
            spots: targets.iter().map(spot).collect(),
            turns: [start; 2],
            failing: false,
            patient: targets.iter().any(|target| matches!(target.host, Host::Text(_))),
            pace: Pace::default(),
        }
    }

    /// Whether answers come from beyond the gateway, and say how long the way there is.
    pub(super) fn asks_beyond(&self) -> bool {
        self.spots.iter().any(|spot| !matches!(spot.place, Place::Nowhere))
    }

    /// Every address that a probe may go to.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.spots.iter().flat_map(|spot| spot.place.addresses()).copied()
    }

    /// The addresses of a target.
    pub(super) fn addresses_at(&self, target: usize) -> &[IpAddr] {
        self.spots.get(target).map(|spot| spot.place.addresses()).unwrap_or_default()
    }

    /// The addresses of a name; `None`: no target has it.
    pub(super) fn addresses_of(&self, name: &str) -> Option<&[IpAddr]> {
        self.spots.iter().find(|spot| spot.place.is_named(name)).map(|spot| spot.place.addresses())
    }

    /// A name's addresses from now on, or why it has none.
    pub(super) fn resolved(&mut self, named: &str, outcome: &Result<Vec<IpAddr>, String>) {
        for spot in self.spots.iter_mut().filter(|spot| spot.place.is_named(named)) {
            if let Place::Name { addresses, cause, .. } = &mut spot.place {
                match outcome {
                    Ok(told) => addresses.clone_from(told),
                    Err(why) => (*addresses, *cause) = (vec![], why.clone()),
                }
            }
        }
    }

    /// Whether any of them can be asked now.
    pub(super) fn can_ask(&self) -> bool {
        (0..self.spots.len()).any(|target| self.place(target).is_some())
    }

    /// Why none of them can be asked.
    pub(super) fn unresolvable(&self) -> Reason {
        let named = self.spots.iter().find_map(|spot| match &spot.place {
            Place::Name { name, cause, .. } => Some((name, cause)),
            Place::Address(_) | Place::Nowhere => None,
        });
        named.map_or(Reason::NotReadYet, |(name, cause)| Reason::Unresolvable {
            name: name.clone(),
            cause: cause.clone(),
        })
    }

    /// How many there are beside the first.
    pub(super) fn others(&self) -> u32 {
        u32::try_from(self.spots.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// How many are suspect; none while the test fails.
    pub(super) fn suspects(&self) -> u32 {
        let count = self.spots.iter().filter(|spot| spot.suspect && !self.failing).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub(super) fn set_suspect(&mut self, target: usize, suspect: bool) {
        if let Some(spot) = self.spots.get_mut(target) {
            spot.suspect = suspect;
        }
    }

    /// Why this one's last probe failed, where somebody said so; until it answers.
    pub(super) fn refusal(&self, target: usize) -> Option<&Refusal> {
        self.spots.get(target)?.refusal.as_ref()
    }

    /// Whom to ask next, and where; `suspect`: it is their turn. Where there is none of the one sort, it is one of the other.
    pub(super) fn next(&mut self, suspect: bool) -> Option<(usize, Option<IpAddr>)> {
        let at = if self.failing {
            self.find(0, |_| true)
        } else {
            let of = |wanted: bool| self.find(usize::from(wanted), |spot| spot.suspect == wanted);
            of(suspect).or_else(|| of(!suspect))
        }?;
        let spot = self.spots.get(at)?;
        let turn = usize::from(spot.suspect && !self.failing);
        if let Some(turn) = self.turns.get_mut(turn) {
            *turn = at + 1;
        }
        Some((at, self.place(at)?))
    }

    /// Where this one is asked now; `None`: it cannot be.
    pub(super) fn place(&self, target: usize) -> Option<Option<IpAddr>> {
        let spot = self.spots.get(target)?;
        match &spot.place {
            Place::Nowhere => Some(None),
            place => {
                let all = place.addresses();
                Some(Some(*all.get(spot.asked.checked_rem(all.len())?)?))
            }
        }
    }

    /// The next one of this sort that can be asked.
    fn find(&self, turn: usize, wanted: impl Fn(&Spot) -> bool) -> Option<usize> {
        let (count, turn) = (self.spots.len(), self.turns.get(turn)?);
        let after = |step: usize| turn.wrapping_add(step).checked_rem(count);
        (0..count).filter_map(after).find(|at| self.spots.get(*at).is_some_and(&wanted) && self.place(*at).is_some())
    }

    /// It is asked now; after `due` an answer of another one says that this one is missed.
    pub(super) fn sent(&mut self, target: usize, sent: Moment, due: Moment) {
        let Some(spot) = self.spots.get_mut(target) else { return };
        spot.asked = spot.asked.wrapping_add(1);
        if !matches!(spot.place, Place::Nowhere) {
            spot.open.get_or_insert(Open { sent, due });
        }
    }

    /// It has answered, at last, what it was asked then: so those that were asked no later have had their time.
    pub(super) fn answered(&mut self, test: usize, target: usize, sent: Moment, at: Moment, out: &mut Vec<Step>) {
        for (place, spot) in self.spots.iter_mut().enumerate() {
            if place == target {
                spot.refusal = None;
            } else if spot.open.is_none_or(|open| open.sent > sent || open.due > at) {
                continue;
            }
            spot.open = None;
            out.push(Step::Heard { test, target: place, answered: place == target });
        }
    }

    /// It said no, or could not be asked: the latter is not its fault.
    pub(super) fn refused(&mut self, target: usize, now: Moment, cause: &Refusal) {
        let Some(spot) = self.spots.get_mut(target) else { return };
        spot.refusal = Some(cause.clone());
        spot.open = spot.open.filter(|_| !matches!(cause, Refusal::NotSent(_))).map(|open| Open { due: now, ..open });
    }

    /// The test is over in this check, `succeeded` if that is known; what is still open will not be known.
    pub(super) fn over(&mut self, succeeded: Option<bool>) {
        self.failing = succeeded.map_or(self.failing, |it| !it);
        self.spots.iter_mut().for_each(|spot| spot.open = None);
    }
}

impl Place {
    fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Address(address) => std::slice::from_ref(address),
            Self::Name { addresses, .. } => addresses,
            Self::Nowhere => &[],
        }
    }

    fn is_named(&self, wanted: &str) -> bool {
        matches!(self, Self::Name { name, .. } if name == wanted)
    }
}
