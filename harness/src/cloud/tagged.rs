//! Something that the cloud keeps under our tags, and whether its time is over.
//!
//! The reaper knows nothing of a run but what stands here: it has to find what a harness left that was killed before
//! it wrote anything down. So the tags alone say whose a thing is and when it ends, and a thing whose tags cannot be
//! read is told to a person and left alone.

use std::collections::HashMap;
use std::time::Duration;

use gpu_suites::event::ResourceKind;
use jiff::Timestamp;
use serde::Serialize;

use super::tags;

/// How long past its expiry a thing is left to those that end it without us: the cloud, the node, the run itself.
pub const GRACE: Duration = Duration::from_secs(60);

/// A thing with our tags in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaggedResource {
    pub resource: ResourceKind,
    pub id: String,
    pub region: String,
    /// The cloud's word for its state; `exists` where a kind has none.
    pub state: String,
    /// Whether that state is one that ends it: it costs nothing and makes nothing any more.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Why it cannot be ended now, where that is so: it is ending, or in use.
    #[serde(skip)]
    pub waits: Option<String>,
    #[serde(flatten)]
    pub owner: Owner,
    /// When it was made, by the cloud's clock; `None` where the cloud does not say.
    pub made_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Owner {
    pub run: String,
    pub node: Option<String>,
    pub owner: Option<String>,
    pub pipeline: Option<String>,
    /// When its time is over; `None` where the tag is missing or no time.
    pub expires_at: Option<Timestamp>,
}

/// What is told of an instance besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Instance {
    pub instance_type: String,
    pub zone: String,
    /// `spot` or `on-demand`.
    pub market: String,
}

impl Owner {
    /// Reads our tags; `None` where they do not name a run: then the thing is not ours.
    pub fn of(tags: &HashMap<String, String>) -> Option<Self> {
        let text = |name: &str| tags.get(name).filter(|value| !value.is_empty()).cloned();
        Some(Self {
            run: text(tags::RUN)?,
            node: text(tags::NODE),
            owner: text(tags::OWNER),
            pipeline: text(tags::PIPELINE),
            expires_at: tags.get(tags::EXPIRES_AT).and_then(|value| value.trim().parse().ok()),
        })
    }
}

/// Which things are asked for besides those whose time is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReapFilter {
    /// Everything of this run, whatever its expiry.
    pub run: Option<String>,
    /// Everything that is at least this old, whatever its expiry, and nothing that is younger.
    pub older_than: Option<Duration>,
    /// Only what this owner has made; `None`: everybody's.
    pub owner: Option<String>,
}

impl ReapFilter {
    /// Whether a thing is another's, and so is not to be touched. One that does not say whose it is is nobody's who asks.
    pub fn is_anothers(&self, found: &TaggedResource) -> bool {
        self.owner.is_some() && found.owner.owner != self.owner
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is no more.
    Final,
    /// Its time is not over, or it was not asked for.
    Live,
    Expired,
    /// It is to go before its time, because the user says so.
    Asked,
    /// Its tags do not say when its time is over.
    Unreadable,
    /// It would be ended, and is another's.
    Anothers,
}

impl Verdict {
    pub fn is_due(self) -> bool {
        matches!(self, Self::Expired | Self::Asked)
    }
}

/// What is to become of `found` at `now`, which has to be the cloud's own time.
pub fn judge(found: &TaggedResource, now: Timestamp, wanted: &ReapFilter) -> Verdict {
    let verdict = regardless_of_owner(found, now, wanted);
    if verdict.is_due() && wanted.is_anothers(found) { Verdict::Anothers } else { verdict }
}

fn regardless_of_owner(found: &TaggedResource, now: Timestamp, wanted: &ReapFilter) -> Verdict {
    if found.is_final {
        return Verdict::Final;
    }
    if let Some(run) = &wanted.run {
        return if *run == found.owner.run { Verdict::Asked } else { Verdict::Live };
    }
    let Some(expires_at) = found.owner.expires_at else { return Verdict::Unreadable };
    if let Some(older_than) = wanted.older_than {
        // What has no age is left: it goes by its expiry, without --older-than.
        return if age(found, now).is_some_and(|age| age >= older_than) {
            Verdict::Asked
        } else {
            Verdict::Live
        };
    }
    if elapsed(expires_at, now).is_some_and(|over| over > GRACE) { Verdict::Expired } else { Verdict::Live }
}

/// How old a thing is, where the cloud says when it was made.
pub fn age(found: &TaggedResource, now: Timestamp) -> Option<Duration> {
    elapsed(found.made_at?, now)
}

/// From `then` to `now`; `None` where `then` is yet to come.
fn elapsed(then: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(then.duration_until(now)).ok()
}

/// Gives what the cloud does not date (security groups) the date of the youngest thing of its run, so that nothing is
/// taken for older than it is.
pub fn date(found: &mut [TaggedResource]) {
    let mut youngest: HashMap<String, Timestamp> = HashMap::new();
    for thing in found.iter().filter(|thing| !thing.is_final) {
        if let Some(made_at) = thing.made_at {
            let seen = youngest.entry(thing.owner.run.clone()).or_insert(made_at);
            *seen = made_at.max(*seen);
        }
    }
    for thing in found.iter_mut().filter(|thing| thing.made_at.is_none()) {
        thing.made_at = youngest.get(&thing.owner.run).copied();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(expires_at: Option<&str>, made_at: Option<&str>) -> TaggedResource {
        TaggedResource {
            resource: ResourceKind::INSTANCE,
            id: "i-1".into(),
            region: "us-east-1".into(),
            state: "running".into(),
            is_final: false,
            waits: None,
            owner: Owner {
                run: "run-1".into(),
                expires_at: expires_at.map(|at| at.parse().unwrap()),
                ..Owner::default()
            },
            made_at: made_at.map(|at| at.parse().unwrap()),
            instance: None,
        }
    }

    fn verdict(found: &TaggedResource, now: &str, wanted: &ReapFilter) -> Verdict {
        judge(found, now.parse().unwrap(), wanted)
    }

    #[test]
    fn a_thing_is_expired_a_minute_past_its_expiry_and_no_second_sooner() {
        let found = thing(Some("2026-11-23T10:00:00Z"), None);
        for (now, wanted) in [
            ("2026-11-23T08:00:00Z", Verdict::Live),
            ("2026-11-23T10:00:01Z", Verdict::Live),
            ("2026-11-23T10:01:00Z", Verdict::Live),
            ("2026-11-23T10:01:01Z", Verdict::Expired),
            ("2027-11-23T10:00:00Z", Verdict::Expired),
        ] {
            assert_eq!(verdict(&found, now, &ReapFilter::default()), wanted, "{now}");
        }
        let gone = TaggedResource { is_final: true, ..found };
        assert_eq!(verdict(&gone, "2027-11-23T10:00:00Z", &ReapFilter::default()), Verdict::Final);
    }

    #[test]
    fn older_than_reaps_what_is_older_and_nothing_that_is_younger_also_when_it_is_expired() {
        let wanted = ReapFilter { older_than: Some(Duration::from_secs(3600)), ..ReapFilter::default() };
        let (later, past) = (Some("2026-11-23T12:00:00Z"), Some("2026-11-23T09:00:00Z"));
        for (expires_at, made_at, expected) in [
            (later, Some("2026-11-23T08:59:59Z"), Verdict::Asked),
            (later, Some("2026-11-23T09:00:01Z"), Verdict::Live),
            (past, Some("2026-11-23T09:30:00Z"), Verdict::Live),
            (past, Some("2026-11-23T10:30:00Z"), Verdict::Live),
            (past, None, Verdict::Live),
            (None, Some("2026-11-20T00:00:00Z"), Verdict::Unreadable),
        ] {
            let found = thing(expires_at, made_at);
            assert_eq!(verdict(&found, "2026-11-23T10:00:00Z", &wanted), expected, "{found:?}");
        }
    }

    #[test]
    fn a_run_that_is_named_goes_at_once_and_alone_and_unreadable_tags_go_only_so() {
        let named = |run: &str| ReapFilter { run: Some(run.into()), ..ReapFilter::default() };
        let (live, unreadable) = (thing(Some("2027-01-01T00:00:00Z"), None), thing(None, None));
        let now = "2026-11-23T10:00:00Z";
        assert_eq!(verdict(&live, now, &named("run-1")), Verdict::Asked);
        assert_eq!(verdict(&live, now, &named("run-2")), Verdict::Live);
        assert_eq!(verdict(&unreadable, now, &ReapFilter::default()), Verdict::Unreadable);
        assert_eq!(verdict(&unreadable, now, &named("run-1")), Verdict::Asked);
    }

    #[test]
    fn what_is_anothers_is_never_due_however_it_is_asked_for() {
        let mine = Some("github:acme/trees".to_owned());
        let past = Some("2026-11-23T09:00:00Z");
        for wanted in [
            ReapFilter { owner: mine.clone(), ..ReapFilter::default() },
            ReapFilter { owner: mine.clone(), run: Some("run-1".into()), ..ReapFilter::default() },
            ReapFilter { owner: mine.clone(), older_than: Some(Duration::ZERO), ..ReapFilter::default() },
        ] {
            for (owner, is_due) in [(mine.clone(), true), (Some("ada@laptop".into()), false), (None, false)] {
                let mut found = thing(past, past);
                found.owner.owner = owner;
                let verdict = verdict(&found, "2026-11-23T10:00:00Z", &wanted);
                assert_eq!((verdict.is_due(), verdict == Verdict::Anothers), (is_due, !is_due), "{found:?}");
                let everybodys = ReapFilter { owner: None, ..wanted.clone() };
                assert!(judge(&found, "2026-11-23T10:00:00Z".parse().unwrap(), &everybodys).is_due());
            }
        }
    }

    #[test]
    fn tags_that_name_no_run_are_not_ours_and_a_bad_expiry_is_none() {
        let read = |tags: &[(&str, &str)]| {
            Owner::of(&tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(read(&[("Name", "web")]), None);
        assert_eq!(read(&[(tags::RUN, "")]), None);
        for bad in ["", "tomorrow", "1700000000", "2026-11-23", "2026-11-23T10:00:00"] {
            let owner = read(&[(tags::RUN, "r"), (tags::EXPIRES_AT, bad)]).unwrap();
            assert_eq!(owner.expires_at, None, "{bad}");
        }
        let good = read(&[(tags::RUN, "r"), (tags::EXPIRES_AT, "2026-11-23T10:00:00Z")]).unwrap();
        assert_eq!(good.expires_at, Some("2026-11-23T10:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_the_cloud_does_not_date_is_as_young_as_the_youngest_of_its_run() {
        let undated = |run: &str| {
            let mut group = thing(None, None);
            group.owner.run = run.into();
            group
        };
        let mut ended = thing(None, Some("2026-11-23T12:00:00Z"));
        ended.is_final = true;
        let mut all = [
            thing(None, Some("2026-11-23T08:00:00Z")),
            thing(None, Some("2026-11-23T09:00:00Z")),
            ended,
            undated("run-1"),
            undated("run-2"),
        ];
        date(&mut all);
        assert_eq!(all[3].made_at, Some("2026-11-23T09:00:00Z".parse().unwrap()));
        assert_eq!(all[4].made_at, None);
    }
}
