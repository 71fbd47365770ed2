//! How a node is given the files that it lacks.

use std::collections::{BTreeMap, BTreeSet};

use gpu_suites::event::{Upload, Warning};
use gpu_suites::id::Sha256;
use tokio::time::Instant;

use super::{Session, SessionError, limits};
use crate::session::amended;

impl Session<'_> {
    /// The node is given what it lacks: its time to start the run begins when it has that.
    pub(super) fn supplies(&mut self) {
        (self.alarms.overdue, self.start_by) = (None, None);
    }

    pub(super) async fn upload(&mut self, wanted: &[Sha256]) -> Result<(), SessionError> {
        let wanted: BTreeSet<&Sha256> = wanted.iter().collect();
        let distinct: BTreeMap<&Sha256, u64> =
            self.blobs.iter().map(|blob| (&blob.sha256, blob.bytes)).collect();
        let bytes =
            distinct.iter().filter(|(sha256, _)| wanted.contains(*sha256)).map(|(_, bytes)| bytes).sum();
        let sent = distinct.keys().filter(|sha256| wanted.contains(*sha256)).count();
        let present = distinct.len() - sent;
        // Every file that has such a content: where one of them is written meanwhile, another may have it still.
        let missing = self.blobs.iter().filter(|blob| wanted.contains(&blob.sha256)).cloned().collect();
        let begun = Instant::now();
        let limit = limits::sending(bytes, self.plan.lease);
        let changed =
            self.within_limit("take files", limit, async |remote| remote.send(missing).await).await?;
        let seconds = begun.elapsed().as_secs_f64();
        self.recorder.keep(Upload { sent, present, bytes, seconds }.into());
        if let Some(message) = amended::told(&changed) {
            amended::amend(self.plan.to_mut(), &changed).map_err(|path| SessionError::Changed { path })?;
            self.recorder.keep(Warning { case: None, message }.into());
        }
        Ok(())
    }
}
