//! The life of a node as a state machine: from what was observed and what is wanted follows what to do next.
//!
//! planned → requested → booting → reachable → healthy → running → draining → terminating → gone, or lost. The
//! decision is a pure function, so that every step of it is tested without a cloud; `provision` carries it out.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It is being made.
    Pending,
    /// It runs, and is paid for.
    Running,
    /// It is ending, or stopped: it will not run again.
    Ending,
    /// It is no more.
    Terminated,
}

/// What the node itself shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// Its ssh port does not answer.
    None,
    /// Something answers on its ssh port.
    PortOpen,
    /// Something answers with a host key that is not the one that the node was given.
    Stranger,
    /// It is who it should be, and lets us in.
    LoggedIn,
    /// Its GPU was looked at and found good.
    Healthy,
    /// Its GPU was looked at and found bad, or it cannot run the agent.
    Unfit,
}

/// All that is known at one moment of a node that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    pub instance: Option<InstanceState>,
    pub contact: Contact,
    pub age: Duration,
    /// For how long a stranger has answered.
    pub stranger_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look again at what the cloud has done.
    AwaitInstance,
    /// Try its ssh port again.
    AwaitPort,
    LogIn,
    /// Bring the agent and look at the GPU.
    Examine,
    Run,
    /// Give it back and have another.
    Replace(Unfit),
}

/// Why a node is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It could not be reached in the time that booting may take.
    HungBoot,
    /// The machine at its address has another host key: its user data never ran, or it is another machine.
    Stranger,
    /// Its GPU is not what was asked for, or not well.
    Unhealthy,
    /// It ended while it booted.
    Ended,
}

/// How long a machine may show a host key of its own making before cloud-init puts ours in its place.
pub const STRANGER_PATIENCE: Duration = Duration::from_secs(60);

/// What follows on the way to a node that is to run cases.
pub fn next(seen: &Observed, boot_timeout: Duration) -> Action {
    let hung = seen.age >= boot_timeout;
    match (seen.instance, seen.contact) {
        (Some(InstanceState::Ending | InstanceState::Terminated), _) => Action::Replace(Unfit::Ended),
        (_, Contact::Healthy) => Action::Run,
        (_, Contact::Unfit) => Action::Replace(Unfit::Unhealthy),
        (_, Contact::Stranger) if seen.stranger_for >= STRANGER_PATIENCE => Action::Replace(Unfit::Stranger),
        // Also one that lets us in: it may hang after that, in a driver or a disk.
        _ if hung => Action::Replace(Unfit::HungBoot),
        (_, Contact::LoggedIn) => Action::Examine,
        (None | Some(InstanceState::Pending), _) => Action::AwaitInstance,
        (Some(InstanceState::Running), Contact::None) => Action::AwaitPort,
        (Some(InstanceState::Running), Contact::PortOpen | Contact::Stranger) => Action::LogIn,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: Duration = Duration::from_secs(480);

    fn seen(instance: Option<InstanceState>, contact: Contact, age: u64) -> Observed {
        Observed { instance, contact, age: Duration::from_secs(age), stranger_for: Duration::ZERO }
    }

    #[test]
    fn a_node_is_led_from_the_wish_to_the_first_case() {
        use InstanceState::{Pending, Running};
        let steps = [
            (seen(None, Contact::None, 3), Action::AwaitInstance),
            (seen(Some(Pending), Contact::None, 10), Action::AwaitInstance),
            (seen(Some(Running), Contact::None, 20), Action::AwaitPort),
            (seen(Some(Running), Contact::PortOpen, 30), Action::LogIn),
            (seen(Some(Running), Contact::Stranger, 31), Action::LogIn),
            (seen(Some(Running), Contact::LoggedIn, 32), Action::Examine),
            (seen(Some(Running), Contact::Healthy, 35), Action::Run),
        ];
        for (observed, action) in steps {
            assert_eq!(next(&observed, BOOT), action, "{observed:?}");
        }
    }

    #[test]
    fn a_node_that_is_no_good_is_replaced_and_it_is_said_why() {
        use InstanceState::{Ending, Running, Terminated};
        let old_stranger =
            Observed { stranger_for: STRANGER_PATIENCE, ..seen(Some(Running), Contact::Stranger, 90) };
        let cases = [
            (seen(Some(Running), Contact::None, 480), Unfit::HungBoot),
            (seen(None, Contact::None, 480), Unfit::HungBoot),
            (seen(Some(Running), Contact::LoggedIn, 480), Unfit::HungBoot),
            (old_stranger, Unfit::Stranger),
            (seen(Some(Running), Contact::Unfit, 40), Unfit::Unhealthy),
            (seen(Some(Ending), Contact::None, 40), Unfit::Ended),
            (seen(Some(Terminated), Contact::Healthy, 40), Unfit::Ended),
        ];
        for (observed, why) in cases {
            assert_eq!(next(&observed, BOOT), Action::Replace(why), "{observed:?}");
        }
        // Late, but well.
        let late = seen(Some(Running), Contact::Healthy, 481);
        assert_eq!(next(&late, BOOT), Action::Run);
    }

    fn any_instance() -> impl Strategy<Value = Option<InstanceState>> {
        use InstanceState::{Ending, Pending, Running, Terminated};
        prop::option::of(prop::sample::select(vec![Pending, Running, Ending, Terminated]))
    }

    fn any_contact() -> impl Strategy<Value = Contact> {
        use Contact::{Healthy, LoggedIn, None, PortOpen, Stranger, Unfit};
        prop::sample::select(vec![None, PortOpen, Stranger, LoggedIn, Healthy, Unfit])
    }

    fn anything() -> impl Strategy<Value = Observed> {
        (any_instance(), any_contact(), 0..2000u64, 0..200u64).prop_map(
            |(instance, contact, age, stranger)| {
                let (age, stranger_for) = (Duration::from_secs(age), Duration::from_secs(stranger));
                Observed { instance, contact, age, stranger_for }
            },
        )
    }

    proptest! {
        #[test]
        fn no_node_is_waited_for_longer_than_booting_may_take(observed in anything()) {
            if observed.age >= BOOT {
                let action = next(&observed, BOOT);
                let waits = matches!(
                    action,
                    Action::AwaitInstance | Action::AwaitPort | Action::LogIn | Action::Examine
                );
                prop_assert!(!waits);
            }
        }
    }
}
