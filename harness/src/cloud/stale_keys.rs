//! The keys of kept nodes that are no more: a key that opens nothing is only a thing to lose.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::error::CloudError;
use super::kept;
use super::life::InstanceState;
use super::provider::Region;

/// A cloud forgets a terminated instance after an hour. One that no region knows may be in a region that was not asked;
/// after this long it is no more, wherever it was.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Removes the keys in `cache` whose instances have ended; the instances.
pub async fn forget(cache: &Path, clouds: &[Region]) -> Result<Vec<String>, CloudError> {
    let held = kept::instances(cache);
    if held.is_empty() {
        return Ok(held);
    }
    let (mut living, mut ended) = (HashSet::new(), HashSet::new());
    for cloud in clouds {
        for seen in cloud.observe(&held).await? {
            let known = if seen.state == InstanceState::Terminated { &mut ended } else { &mut living };
            known.insert(seen.id);
        }
    }
    let is_stale =
        |id: &String| ended.contains(id) || !living.contains(id) && is_old(&cache.join("kept").join(id));
    let stale = held.into_iter().filter(is_stale);
    // What cannot be removed is tried again by the next.
    Ok(stale.filter(|id| kept::forget(cache, id).is_ok()).collect())
}

fn is_old(folder: &Path) -> bool {
    let changed = fs::metadata(folder).and_then(|folder| folder.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > FORGOTTEN))
}
