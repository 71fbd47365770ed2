//! What the reaper does with each thing, over several looks at the cloud.
//!
//! A thing is ended when a later look finds it in a final state, or does not find it although it is old enough to be known
//! everywhere in the cloud, or when the call that deletes it was carried out. So it makes no difference who ended it, and two
//! reapers at once get the same answer; a thing that was made minutes ago and is not found may only not be known yet.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use gpu_suites::event::ResourceKind;
use jiff::Timestamp;
use serde::Serialize;

use super::consistency::CONSISTENT;
use super::kind::Kind;
use super::tagged::{ReapFilter, TaggedResource, Verdict, age, judge};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReapAction {
    #[serde(flatten)]
    pub found: TaggedResource,
    /// What was to become of it when it was first seen.
    pub verdict: Verdict,
    pub did: ReapResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReapResult {
    /// Nothing: it lives, or its tags cannot be read.
    Nothing,
    /// It would have been ended.
    WouldEnd,
    /// It is no more, by the cloud's own account.
    Ended,
    /// Its expiry was moved after it was looked at: it lives.
    Spared,
    /// It is still there, and why.
    Left(Refused),
}

/// Why a thing is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The cloud's words, or what it waits for.
    pub why: String,
    /// Whether the same call may do better later.
    pub may_pass: bool,
}

/// Every thing that was seen, in the order in which things have to go.
#[derive(Debug)]
pub struct ReapActions {
    /// What makes other things stands before them, what is used by others after them.
    kinds: &'static [Kind],
    actions: BTreeMap<Place, ReapAction>,
}

/// Where a thing stands: by its kind, then by its id.
type Place = (usize, String);

impl ReapActions {
    /// Of things of these kinds, in this order.
    pub fn new(kinds: &'static [Kind]) -> Self {
        Self { kinds, actions: BTreeMap::new() }
    }

    fn place(&self, found: &TaggedResource) -> Place {
        let place = self.kinds.iter().position(|kind| kind.resource == found.resource);
        (place.unwrap_or(self.kinds.len()), found.id.clone())
    }

    /// Takes in a look at the cloud, and judges what it shows.
    pub fn look(&mut self, found: Vec<TaggedResource>, now: Timestamp, wanted: &ReapFilter) {
        let seen: HashSet<_> = found.iter().map(|found| self.place(found)).collect();
        let ended: HashSet<String> = self.ended_instances();
        for (_, action) in
            self.actions.iter_mut().filter(|(place, action)| action.is_due() && !seen.contains(*place))
        {
            // A volume goes with its instance.
            let went_with =
                action.found.resource == ResourceKind::VOLUME && ended.contains(&action.found.owner.run);
            if went_with || is_old(action, now) {
                action.did = ReapResult::Ended;
                "gone".clone_into(&mut action.found.state);
            } else {
                let why =
                    "the cloud does not show it, which proves nothing of a thing that was made minutes ago";
                action.did = ReapResult::Left(Refused { why: why.to_owned(), may_pass: true });
            }
        }
        for mut found in found {
            let place = self.place(&found);
            let action = self.actions.entry(place);
            // What is dated by others of its run keeps its date when they are gone.
            if let Entry::Occupied(known) = &action {
                found.made_at = found.made_at.or(known.get().found.made_at);
            }
            let verdict = judge(&found, now, wanted);
            match action {
                Entry::Vacant(_) if verdict == Verdict::Final => {}
                Entry::Vacant(free) => {
                    free.insert(ReapAction { found, verdict, did: ReapResult::Nothing });
                }
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    match verdict {
                        Verdict::Final if known.verdict.is_due() => known.did = ReapResult::Ended,
                        Verdict::Live | Verdict::Anothers if known.is_due() => known.did = ReapResult::Spared,
                        Verdict::Expired | Verdict::Asked => known.verdict = verdict,
                        _ => {}
                    }
                    known.found = found;
                }
            }
        }
    }

    /// The runs whose instances have all ended, where they had any.
    fn ended_instances(&self) -> HashSet<String> {
        let instances =
            self.actions.values().filter(|action| action.found.resource == ResourceKind::INSTANCE);
        let runs = instances.map(|action| action.found.owner.run.clone());
        runs.filter(|run| !self.has_instance(run)).collect()
    }

    /// The things that are to be ended and are still there, of one kind.
    pub fn due(&self, kind: ResourceKind) -> Vec<TaggedResource> {
        let due = self.actions.values().filter(|action| action.is_due() && action.found.resource == kind);
        due.map(|action| action.found.clone()).collect()
    }

    /// Whether an instance of this run is still there.
    pub fn has_instance(&self, run: &str) -> bool {
        self.actions.values().any(|action| {
            action.found.resource == ResourceKind::INSTANCE
                && action.found.owner.run == run
                && !action.found.is_final
                && action.did != ReapResult::Ended
        })
    }

    pub fn did(&mut self, found: &TaggedResource, did: ReapResult) {
        let place = self.place(found);
        if let Some(action) = self.actions.get_mut(&place) {
            action.did = did;
        }
    }

    /// Marks everything that is due as what would have been ended.
    pub fn would_end(&mut self) {
        for action in self.actions.values_mut().filter(|action| action.is_due()) {
            action.did = ReapResult::WouldEnd;
        }
    }

    /// Whether another try can do anything.
    pub fn is_worth_another_try(&self) -> bool {
        self.actions.values().any(|action| match &action.did {
            ReapResult::Left(refused) => refused.may_pass,
            _ => action.is_due(),
        })
    }

    pub fn into_vec(self) -> Vec<ReapAction> {
        self.actions.into_values().collect()
    }
}

/// Whether a thing is so old that all of the cloud knows it. What it does not date is, when it is past its expiry.
fn is_old(action: &ReapAction, now: Timestamp) -> bool {
    let known = Duration::try_from(CONSISTENT).unwrap_or_default();
    age(&action.found, now).map_or(action.verdict == Verdict::Expired, |age| age >= known)
}

impl ReapAction {
    /// Whether it is to be ended and is not yet.
    fn is_due(&self) -> bool {
        self.verdict.is_due() && matches!(self.did, ReapResult::Nothing | ReapResult::Left(_))
    }

    /// Whether it is still there although its time is over.
    pub fn is_left(&self) -> bool {
        matches!(self.did, ReapResult::WouldEnd) || self.is_due()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Goes;
    use super::super::tagged::Owner;
    use super::*;

    const NOW: &str = "2026-11-23T10:00:00Z";
    const PAST: &str = "2026-11-23T09:00:00Z";
    const LATER: &str = "2026-11-23T11:00:00Z";

    const FLEET: ResourceKind = ResourceKind::of("fleet");
    const GROUP: ResourceKind = ResourceKind::of("security-group");
    const KINDS: [Kind; 4] = [
        Kind { resource: FLEET, goes: Goes::First },
        Kind { resource: ResourceKind::INSTANCE, goes: Goes::Itself },
        Kind { resource: ResourceKind::VOLUME, goes: Goes::Last },
        Kind { resource: GROUP, goes: Goes::Unused },
    ];

    fn thing(resource: ResourceKind, id: &str, expires_at: &str) -> TaggedResource {
        TaggedResource {
            resource,
            id: id.into(),
            region: "us-east-1".into(),
            state: "there".into(),
            is_final: false,
            waits: None,
            owner: Owner { run: "r".into(), expires_at: expires_at.parse().ok(), ..Owner::default() },
            made_at: None,
            instance: None,
        }
    }

    fn look(actions: &mut ReapActions, found: &[TaggedResource]) {
        actions.look(found.to_vec(), NOW.parse().unwrap(), &ReapFilter::default());
    }

    fn told(actions: ReapActions) -> Vec<(String, ReapResult)> {
        actions.into_vec().into_iter().map(|action| (action.found.id, action.did)).collect()
    }

    #[test]
    fn what_makes_things_goes_before_them_and_what_they_use_after_them() {
        let mut actions = ReapActions::new(&KINDS);
        let kinds = [GROUP, ResourceKind::VOLUME, ResourceKind::INSTANCE, FLEET];
        look(&mut actions, &kinds.map(|kind| thing(kind, "x", PAST)));
        let order = actions.into_vec().into_iter().map(|action| action.found.resource);
        assert_eq!(Vec::from_iter(order), KINDS.map(|kind| kind.resource));
    }

    #[test]
    fn a_thing_is_ended_when_the_cloud_says_so_and_not_when_we_asked_for_it() {
        let mut actions = ReapActions::new(&KINDS);
        let (gone, last) = (
            thing(ResourceKind::VOLUME, "gone", PAST),
            TaggedResource { is_final: true, ..thing(ResourceKind::INSTANCE, "final", PAST) },
        );
        look(&mut actions, &[gone, TaggedResource { is_final: false, ..last.clone() }]);
        assert!(actions.has_instance("r") && actions.is_worth_another_try());
        look(&mut actions, &[last]);
        assert!(!actions.has_instance("r") && !actions.is_worth_another_try());
        assert_eq!(told(actions), [("final".into(), ReapResult::Ended), ("gone".into(), ReapResult::Ended)]);
    }

    #[test]
    fn a_young_thing_that_is_not_found_again_is_not_called_ended_and_an_old_one_is() {
        let wanted = ReapFilter { run: Some("r".into()), ..ReapFilter::default() };
        for (made_at, ended) in [("2026-11-23T09:56:00Z", false), ("2026-11-23T09:50:00Z", true)] {
            let young = TaggedResource {
                made_at: made_at.parse().ok(),
                ..thing(ResourceKind::INSTANCE, "i-1", LATER)
            };
            let group = thing(GROUP, "sg-1", LATER);
            let mut actions = ReapActions::new(&KINDS);
            actions.look(vec![young, group], NOW.parse().unwrap(), &wanted);
            actions.look(Vec::new(), NOW.parse().unwrap(), &wanted);
            assert_eq!(actions.due(ResourceKind::INSTANCE).is_empty(), ended, "{made_at}");
            assert!(actions.is_worth_another_try() && actions.into_vec().iter().any(ReapAction::is_left));
        }
    }

    #[test]
    fn what_was_moved_between_two_looks_is_spared_and_what_is_final_at_first_is_not_told() {
        let mut actions = ReapActions::new(&KINDS);
        look(&mut actions, &[thing(ResourceKind::INSTANCE, "moved", PAST)]);
        let over = TaggedResource { is_final: true, ..thing(ResourceKind::INSTANCE, "over", PAST) };
        look(&mut actions, &[thing(ResourceKind::INSTANCE, "moved", LATER), over]);
        assert!(actions.due(ResourceKind::INSTANCE).is_empty());
        assert_eq!(told(actions), [("moved".into(), ReapResult::Spared)]);
    }

    #[test]
    fn what_was_dated_by_an_instance_that_is_gone_keeps_its_date() {
        let wanted = ReapFilter { older_than: Some(Duration::from_secs(60)), ..ReapFilter::default() };
        let dated = TaggedResource { made_at: PAST.parse().ok(), ..thing(GROUP, "sg", LATER) };
        let mut actions = ReapActions::new(&KINDS);
        actions.look(vec![dated.clone()], NOW.parse().unwrap(), &wanted);
        actions.look(vec![TaggedResource { made_at: None, ..dated }], NOW.parse().unwrap(), &wanted);
        assert_eq!(actions.due(GROUP).len(), 1);
    }

    #[test]
    fn a_refusal_that_cannot_pass_is_not_tried_again_and_is_left() {
        let mut actions = ReapActions::new(&KINDS);
        let group = thing(GROUP, "sg", PAST);
        look(&mut actions, std::slice::from_ref(&group));
        actions.did(&group, ReapResult::Left(Refused { why: "in use".into(), may_pass: true }));
        assert!(actions.is_worth_another_try());
        actions.did(&group, ReapResult::Left(Refused { why: "not allowed".into(), may_pass: false }));
        assert!(!actions.is_worth_another_try());
        assert!(actions.into_vec()[0].is_left());
    }
}
