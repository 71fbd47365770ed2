//! The tags that everything made for a run carries, from the call that makes it on.

use std::collections::BTreeMap;

use gpu_suites::id::{NodeName, RunId};
use jiff::Timestamp;

use super::tags::{EXPIRES_AT, LAUNCH, NODE, OWNER, PIPELINE, RUN};
use super::who::Who;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    pub run: RunId,
    pub node: NodeName,
    pub who: Who,
}

impl Labels {
    /// The tags of a thing that is to be gone by `expires_at`, the user's own included. `launch`: the name of the call that
    /// it came of.
    pub fn tags(
        &self,
        expires_at: Timestamp,
        launch: Option<&str>,
        users: &BTreeMap<String, String>,
    ) -> Vec<(String, String)> {
        // Whole seconds: what a person reads in the console.
        let expires_at = expires_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let ours = [
            ("Name", Some(format!("gpu-harness {}", self.node))),
            (RUN, Some(self.run.to_string())),
            (NODE, Some(self.node.to_string())),
            (OWNER, Some(self.who.owner.clone())),
            (PIPELINE, self.who.pipeline.clone()),
            (LAUNCH, launch.map(str::to_owned)),
            (EXPIRES_AT, Some(expires_at)),
        ];
        let mut all: BTreeMap<&str, String> =
            ours.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        all.extend(users.iter().map(|(name, value)| (name.as_str(), value.clone())));
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_says_whose_it_is_and_when_it_ends_and_carries_the_users_tags() {
        let who = Who { owner: "me@laptop".into(), pipeline: None };
        let labels = Labels { run: RunId("r-1".into()), node: NodeName("cloud".into()), who };
        let users = BTreeMap::from([("team".into(), "vision".into()), ("Name".into(), "mine".into())]);
        let tags = labels.tags("2026-11-23T10:00:00.123Z".parse().unwrap(), Some("token"), &users);
        let texts = Vec::from_iter(tags.iter().map(|(name, value)| format!("{name}={value}")));
        let wanted = [
            "Name=mine",
            "gpu-harness:expires-at=2026-11-23T10:00:00Z",
            "gpu-harness:launch=token",
            "gpu-harness:node=cloud",
            "gpu-harness:owner=me@laptop",
            "gpu-harness:run=r-1",
            "team=vision",
        ];
        assert_eq!(texts, wanted);
    }
}
