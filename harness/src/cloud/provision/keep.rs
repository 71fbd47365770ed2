//! How a node is left to whoever wants to look at it.

use std::time::Duration;

use gpu_suites::event::{Kept, Warning};
use jiff::Timestamp;

use super::{Provision, signed};
use crate::cloud::provisioned::ProvisionedNode;
use crate::cloud::{CloudSettings, kept};
use crate::files::cache;
use crate::here::Env;
use crate::text::chain;

impl Provision {
    /// Lets the node live on, for so long at most, and tells how to get in. One that cannot be told when to end is
    /// given back.
    pub async fn keep(&mut self, mut had: ProvisionedNode, keep: Duration) {
        let until =
            had.cloud.now().saturating_add(signed(keep)).unwrap_or(Timestamp::MAX).min(had.expires_at);
        match keep_on(&mut had, &self.order.settings, keep, &self.order.env).await {
            Ok(command) => {
                let (node, instance) = (self.order.node.name.clone(), had.instance.id.clone());
                self.tell(Kept { node, instance, until, command });
                self.books.take(&had.ledger);
            }
            Err(why) => {
                let message = format!("{} is not kept but given back: {why}", had.instance.id);
                self.tell(Warning { case: None, message });
                self.give_back(&had);
            }
        }
    }
}

/// Arms the node's new end and keeps its key: the command that gets in.
async fn keep_on(
    had: &mut ProvisionedNode,
    settings: &CloudSettings,
    keep: Duration,
    env: &Env,
) -> Result<String, String> {
    let minutes = keep.as_secs().div_ceil(60).max(1);
    had.remote.shut_down_in(minutes).await.map_err(|error| chain(&error))?;
    // The lease is over a little later than that.
    had.leave(settings, Duration::from_secs(minutes.saturating_add(1).saturating_mul(60))).await?;
    let cache = cache::folder(env).ok_or("there is no cache folder to keep its key in")?;
    let door = kept::Door {
        instance: &had.instance.id,
        user: &settings.user,
        host: had.instance.address.as_deref().unwrap_or_default(),
        port: settings.port,
        client_key: had.keys.client.private_pem(),
        host_key: had.keys.host.public_line(),
    };
    kept::keep(&cache, &door).map_err(|error| chain(&error))
}
