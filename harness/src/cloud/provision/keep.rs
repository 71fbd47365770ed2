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
    pub async fn keep(&mut self, mut ready: ProvisionedNode, keep: Duration) {
        let until =
            ready.cloud.now().saturating_add(signed(keep)).unwrap_or(Timestamp::MAX).min(ready.expires_at);
        match keep_on(&mut ready, &self.order.settings, keep, &self.order.env).await {
            Ok(command) => {
                let (node, instance) = (self.order.node.name.clone(), ready.instance.id.clone());
                self.tell(Kept { node, instance, until, command });
                self.books.take(&ready.ledger);
            }
            Err(why) => {
                let message = format!("{} is not kept but given back: {why}", ready.instance.id);
                self.tell(Warning { case: None, message });
                self.give_back(&ready);
            }
        }
    }
}

/// Arms the node's new end and keeps its key: the command that gets in.
async fn keep_on(
    ready: &mut ProvisionedNode,
    settings: &CloudSettings,
    keep: Duration,
    env: &Env,
) -> Result<String, String> {
    let minutes = keep.as_secs().div_ceil(60).max(1);
    ready.remote.shut_down_in(minutes).await.map_err(|error| chain(&error))?;
    // The lease is over a little later than that.
    ready.leave(settings, Duration::from_secs(minutes.saturating_add(1).saturating_mul(60))).await?;
    let cache = cache::folder(env).ok_or("there is no cache folder to keep its key in")?;
    let door = kept::Door {
        instance: &ready.instance.id,
        user: &settings.user,
        host: ready.instance.address.as_deref().unwrap_or_default(),
        port: settings.port,
        client_key: ready.keys.client.private_pem(),
        host_key: ready.keys.host.public_line(),
    };
    kept::keep(&cache, &door).map_err(|error| chain(&error))
}
