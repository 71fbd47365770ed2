//! People are told when something changes, and left alone when nothing does. See docs/history.md.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`change`] | what is bad now and was not, or was and is not? |
//! | [`message`] | what is a service told of it? |
//! | [`webhook`] | how does it get there, signed and once? |
//!
//! Whether anybody could be told never changes how a run ends.

pub mod change;
pub mod message;
#[cfg(feature = "webhooks")]
pub mod webhook;

pub use change::Change;
pub use message::Message;

use crate::config::NotifyConfig;
use crate::here::Here;

/// Tells everybody whom the settings name, each by itself.
#[cfg(feature = "webhooks")]
pub async fn tell(everybody: &[NotifyConfig], message: &Message, here: &Here) {
    for one in everybody {
        match webhook::tell(one, message, &here.env).await {
            Ok(()) => here.console.tell(&format!("note: told {} of {}", one.url_env, message.summary())),
            Err(error) => {
                here.console.tell(&format!(
                    "note: {} was not told: {}",
                    one.url_env,
                    crate::text::chain(&error)
                ));
            }
        }
    }
}

/// Says that nobody can be told.
#[cfg(not(feature = "webhooks"))]
#[expect(clippy::unused_async, reason = "with the feature it waits for the service")]
pub async fn tell(everybody: &[NotifyConfig], _: &Message, here: &Here) {
    for one in everybody {
        here.console
            .tell(&format!("note: {} was not told: this build has no feature `webhooks`", one.url_env));
    }
}
