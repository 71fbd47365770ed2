//! The reaper: ends what is past its expiry, by tags alone, and is safe beside live runs and other reapers.
//!
//! It looks, marks what is due, reads each thing's tags again right before it ends it, and looks again until nothing
//! is left: a thing whose expiry was moved in between lives. Its only clock is the cloud's own, so a machine whose
//! clock is wrong reaps nothing that it should not.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::error::CloudError;
use super::kind::Goes;
use super::provider::{EndState, Provider};
use super::reap_actions::{ReapAction, ReapActions, ReapResult, Refused};
use super::tagged::{ReapFilter, TaggedResource, Verdict, judge};

#[derive(Debug, Clone, Default)]
pub struct Order {
    /// What, besides what is past its expiry.
    pub wanted: ReapFilter,
    /// Look and judge only.
    pub dry_run: bool,
    /// How long to go on until the cloud says that everything is gone.
    pub patience: Duration,
    /// For how long yet there may be things of the run that is meant which EC2 does not show: it made them just now.
    pub young_for: Duration,
}

/// How long the command goes on: an instance takes a minute or two to end, and its security group waits for it.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How many things are ended at a time: more, and EC2 throttles the account.
const AT_ONCE: usize = 8;
/// Between looks, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Ends everything of this owner in one region that is past its expiry and needs no one's leave. For a run to call while its node
/// boots: what it cannot end is left for the next.
pub async fn reap_expired(
    cloud: &dyn Provider,
    owner: &str,
    patience: Duration,
) -> Result<Vec<ReapAction>, CloudError> {
    let wanted = ReapFilter { owner: Some(owner.to_owned()), ..ReapFilter::default() };
    reap(cloud, &Order { wanted, patience, ..Order::default() }).await
}

/// Ends what `order` says in one region, and tells what was found and what became of it.
pub async fn reap(cloud: &dyn Provider, order: &Order) -> Result<Vec<ReapAction>, CloudError> {
    let until = Instant::now() + order.patience;
    let mut actions = ReapActions::new(cloud.kinds());
    let mut pause = PAUSE.0;
    actions.look(cloud.inventory().await?, cloud.now(), &order.wanted);
    if order.dry_run {
        actions.would_end();
        return Ok(actions.into_vec());
    }
    let young_for = SignedDuration::try_from(order.young_for).unwrap_or_default();
    let known_at = cloud.now().saturating_add(young_for).unwrap_or(Timestamp::MAX);
    let is_over = |actions: &ReapActions| !actions.is_worth_another_try() && cloud.now() >= known_at;
    while !is_over(&actions) {
        for kind in cloud.kinds() {
            let due = actions.due(kind.resource);
            let done = stream::iter(due.into_iter().map(|found| {
                let waits = waits(&actions, kind.goes, &found);
                async move {
                    let did = match waits {
                        Some(why) => Some(ReapResult::Left(Refused { why, may_pass: true })),
                        None => end(cloud, &found, &order.wanted).await,
                    };
                    (found, did)
                }
            }));
            let done: Vec<_> = done.buffer_unordered(AT_ONCE).collect().await;
            for (found, did) in done {
                if let Some(did) = did {
                    actions.did(&found, did);
                }
            }
        }
        // What was asked for a moment ago is seldom gone at once, and what cannot pass is not waited for.
        if is_over(&actions) || Instant::now() >= until {
            break;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
        match cloud.inventory().await {
            Ok(found) => actions.look(found, cloud.now(), &order.wanted),
            Err(error) if Instant::now() >= until || !error.is_transient() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(actions.into_vec())
}

/// Why a thing cannot go yet; asking would only be refused.
fn waits(actions: &ReapActions, goes: Goes, found: &TaggedResource) -> Option<String> {
    let in_use = || "an instance of its run is still there".to_owned();
    let is_used = goes == Goes::Unused && actions.has_instance(&found.owner.run);
    found.waits.clone().or_else(|| is_used.then(in_use))
}

/// Looks at the tags again, and ends the thing; `None` where only the next look can tell what became of it.
async fn end(cloud: &dyn Provider, found: &TaggedResource, wanted: &ReapFilter) -> Option<ReapResult> {
    let ended = async {
        // What has no tags of ours any more is gone, or is not ours any more.
        let Some(owner) = cloud.owner_now(&found.id).await? else { return Ok(None) };
        let now = TaggedResource { owner, ..found.clone() };
        if !judge(&now, cloud.now(), wanted).is_due() {
            return Ok(Some(ReapResult::Spared));
        }
        match cloud.end(found.resource, &found.id).await?.state {
            EndState::Gone(_) | EndState::Deleted => Ok(Some(ReapResult::Ended)),
            EndState::Asked | EndState::NotShown => Ok(None),
            EndState::Waits(why) => Ok(Some(ReapResult::Left(Refused { why, may_pass: true }))),
            EndState::Refused(error) => Err(error),
        }
    };
    match ended.await {
        Ok(did) => did,
        Err(error) if error.is_not_found() => None,
        Err(error) => {
            // A missing permission does not come by waiting; what is in use now may be free in a moment.
            let may_pass = error.is_transient() || error.is_busy();
            Some(ReapResult::Left(Refused { may_pass, why: crate::text::chain(&error) }))
        }
    }
}

/// Whether anything is left that should be gone.
pub fn is_clean(actions: &[ReapAction]) -> bool {
    !actions.iter().any(ReapAction::is_left)
}

/// The things whose expiry cannot be read: nobody but a person ends them.
pub fn unreadable(actions: &[ReapAction]) -> impl Iterator<Item = &ReapAction> {
    actions.iter().filter(|action| action.verdict == Verdict::Unreadable)
}

/// The things that would be ended, were they not another's.
pub fn anothers(actions: &[ReapAction]) -> impl Iterator<Item = &ReapAction> {
    actions.iter().filter(|action| action.verdict == Verdict::Anothers)
}
