//! `gpu-harness reap`.

use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use gpu_suites::exit::Exit;
use gpu_suites::unit::Span;
use jiff::{SignedDuration, Timestamp};

use super::failure::Failure;
use super::table::Table;
use super::{project, runtime, say};
use crate::cloud::consistency::CONSISTENT;
use crate::cloud::error::CloudError;
use crate::cloud::provider::Region;
use crate::cloud::reap::{Order, PATIENCE, anothers, is_clean, reap, unreadable};
use crate::cloud::reap_actions::{ReapAction, ReapResult};
use crate::cloud::tagged::{ReapFilter, Verdict};
use crate::cloud::who::Who;
use crate::cloud::{hand_on, providers, stale_keys};
use crate::files::cache;
use crate::files::run_dir::DEFAULT_PARENT;
use crate::report;
use crate::text::clean::log_line;

/// Flags of `reap`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Whatever a run makes in EC2 carries a tag with the time at which it ends. reap finds what is more than a minute past it,
by the API's own clock, and ends it: instances, fleets, spot requests, volumes, launch templates, security groups. It
never touches a live run, needs no file of any run, and may run many times at once. Every run does the same for its own
region while its node boots; a scheduled job that reaps is for accounts in which no runs come.

Things whose tags do not say when they end are told and left; --run ends them too. What another owner has made (the tag
gpu-harness:owner: a repository in CI, user@machine elsewhere) is told and left, unless --owner or --all-owners asks for it.

Examples:
  gpu-harness reap                          what is past its expiry, in the regions of gpu-harness.yaml
  gpu-harness reap --dry-run --region us-east-1
  gpu-harness reap --run 20261123-100000-1a2b3c4d     all of one run, at once
  gpu-harness reap --older-than 12h --yes   everything that is older, also before its expiry
  gpu-harness reap --all-owners             for an account that is nobody else's

Exit codes: 0 nothing is left that should be gone, 2 usage error, 3 something is left (with --dry-run: was found).")]
pub(super) struct Reap {
    /// Look in the regions of this node of gpu-harness.yaml [default: of all that a cloud makes]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Look in this region; may be given several times
    #[arg(long = "region", value_name = "REGION", conflicts_with = "node")]
    regions: Vec<String>,
    /// End everything that is at least this old, also before its expiry, and nothing that is younger
    #[arg(long, value_name = "D", conflicts_with = "run")]
    older_than: Option<Span>,
    /// End everything of this run, whatever its expiry
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// End what this owner has made [default: whoever would own a run that is started here]
    #[arg(long, value_name = "OWNER", conflicts_with = "all_owners")]
    owner: Option<String>,
    /// End whatever is due, whoever made it
    #[arg(long)]
    all_owners: bool,
    /// Say what would be ended, and end nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before --older-than ends what has time left
    #[arg(short, long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Reap {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let config = project()?;
        let runtime = runtime()?;
        let exit = runtime.block_on(async {
            let regions = providers::everywhere(&self.regions, self.node.as_deref(), &config).await?;
            self.in_regions(&regions).await
        });
        runtime.shutdown_background();
        exit
    }

    async fn in_regions(&self, clouds: &[Region]) -> Result<Exit, Failure> {
        let env = super::here()?.env;
        let owner = || self.owner.clone().unwrap_or_else(|| Who::find(&env).owner);
        let wanted = ReapFilter {
            run: self.run.clone(),
            older_than: self.older_than.map(|older_than| older_than.0),
            owner: (!self.all_owners).then(owner),
        };
        let young_for = self.run.as_deref().map(young_for).unwrap_or_default();
        if !young_for.is_zero() && !self.dry_run {
            let whole = Duration::from_secs(young_for.as_secs());
            crate::text::streams::tell(&format!(
                "the run ended without proof that everything is given back, and the cloud may not show all of it yet: \
                 looking for {}",
                Span(whole)
            ));
        }
        let order = |dry_run| Order { wanted: wanted.clone(), dry_run, patience: PATIENCE, young_for };
        if self.older_than.is_some() && !self.yes && !self.dry_run {
            let marked = each(clouds, &order(true)).await?;
            if !confirmed(&marked)? {
                return Ok(Exit::AllPassed);
            }
        }
        let actions = each(clouds, &order(self.dry_run)).await?;
        if !self.dry_run
            && let Some(cache) = cache::folder(&env)
        {
            stale_keys::forget(&cache, clouds).await?;
            hand_on::forget_gone(&cache, clouds).await?;
        }
        if self.json {
            say(&format!("{:#}\n", json(&actions)));
        } else {
            say(&text(&actions));
        }
        // A run that was named was meant, whoever's it is.
        let is_anothers = self.run.is_some() && anothers(&actions).next().is_some();
        Ok(if is_clean(&actions) && !is_anothers { Exit::AllPassed } else { Exit::Infrastructure })
    }
}

/// For how long the cloud may not show yet what this run has made. Its record, where it is here, tells when it made the last
/// of it, and whether all of that is proven to be gone already.
fn young_for(run: &str) -> Duration {
    let folder = Path::new(DEFAULT_PARENT).join(run);
    let changed = fs::metadata(folder.join("events.ndjson")).and_then(|events| events.modified());
    let Some(changed) = changed.ok().filter(|_| !run.contains('/')) else { return Duration::ZERO };
    let is_settled =
        report::read(&folder).is_ok_and(|state| state.closed.is_some() && !state.receipt.may_cost());
    let known = if is_settled { SignedDuration::ZERO } else { CONSISTENT };
    Duration::try_from(known).unwrap_or_default().saturating_sub(changed.elapsed().unwrap_or_default())
}

/// All regions at once: an instance takes a minute or two to end, wherever it is.
async fn each(clouds: &[Region], order: &Order) -> Result<Vec<ReapAction>, CloudError> {
    Ok(try_join_all(clouds.iter().map(|cloud| reap(&**cloud, order))).await?.concat())
}

fn confirmed(marked: &[ReapAction]) -> Result<bool, Failure> {
    let due = Vec::from_iter(marked.iter().filter(|action| action.is_left()).cloned());
    if due.is_empty() {
        say("nothing is that old\n");
        return Ok(false);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format_args!(
            "--older-than ends what has time left ({} things now), and nobody is here to be asked; say --yes, or \
             --dry-run to see them",
            due.len()
        )));
    }
    say(&format!("{}\nend these? [y/N] ", text(&due)));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::of_this_machine("read the answer", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn json(actions: &[ReapAction]) -> serde_json::Value {
    let count = |is: &dyn Fn(&ReapAction) -> bool| actions.iter().filter(|action| is(action)).count();
    serde_json::json!({
        "clean": is_clean(actions),
        "ended": count(&|action| action.did == ReapResult::Ended),
        "left": count(&ReapAction::is_left),
        "unreadable": unreadable(actions).count(),
        "anothers": anothers(actions).count(),
        "things": actions,
    })
}

fn text(actions: &[ReapAction]) -> String {
    if actions.is_empty() {
        return "nothing of gpu-harness was found\n".to_owned();
    }
    let mut table = Table::new(["resource", "id", "region", "run", "state", "expires", "what"]);
    for action in actions {
        let found = &action.found;
        table.row([
            found.resource.to_string(),
            found.id.clone(),
            found.region.clone(),
            found.owner.run.clone(),
            found.state.clone(),
            found.owner.expires_at.map(stamp).unwrap_or_default(),
            what(action),
        ]);
    }
    let mut text = table.text();
    if unreadable(actions).next().is_some() {
        text.push_str(
            "\nThe tags of some do not say when they end, so nothing ends them: look, and end them with \
             `gpu-harness reap --run RUN`.\n",
        );
    }
    if anothers(actions).next().is_some() {
        let owner = anothers(actions).find_map(|action| action.found.owner.owner.as_deref());
        let by_name = owner.map(|owner| format!("--owner '{}', or ", log_line(owner))).unwrap_or_default();
        text.push_str("\nWhat others have made is left. To end theirs, too: `gpu-harness reap` with ");
        text.push_str(&by_name);
        text.push_str("--all-owners.\n");
    }
    text
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn what(action: &ReapAction) -> String {
    match (&action.did, action.verdict) {
        (ReapResult::Nothing, Verdict::Unreadable) => "left: its expiry cannot be read".to_owned(),
        (ReapResult::Nothing, Verdict::Anothers) => {
            let owner = action.found.owner.owner.as_deref().map(log_line);
            format!("left: made by {}", owner.unwrap_or_else(|| "an unknown owner".to_owned()))
        }
        (ReapResult::Nothing, Verdict::Expired | Verdict::Asked) => "not gone yet".to_owned(),
        (ReapResult::Nothing, _) => "lives".to_owned(),
        (ReapResult::WouldEnd, _) => "would be ended".to_owned(),
        (ReapResult::Ended, _) => "ended".to_owned(),
        (ReapResult::Spared, _) => "lives: its expiry was moved".to_owned(),
        (ReapResult::Left(refused), _) => format!("not gone: {}", refused.why),
    }
}

#[cfg(test)]
mod tests {
    use gpu_suites::event::ResourceKind;

    use super::*;
    use crate::cloud::reap_actions::Refused;
    use crate::cloud::tagged::{Owner, TaggedResource};

    fn action(resource: ResourceKind, id: &str, verdict: Verdict, did: ReapResult) -> ReapAction {
        let expires_at = (verdict != Verdict::Unreadable).then(|| "2026-11-23T10:00:00.5Z".parse().unwrap());
        ReapAction {
            found: TaggedResource {
                resource,
                id: id.into(),
                region: "us-east-1".into(),
                state: "running".into(),
                is_final: false,
                waits: None,
                owner: Owner { run: "20261123-100000-1a2b3c4d".into(), expires_at, ..Owner::default() },
                made_at: None,
                instance: None,
            },
            verdict,
            did,
        }
    }

    #[test]
    fn what_was_found_and_what_became_of_it_is_told_in_a_table_and_as_json() {
        let refused = Refused { why: "not allowed".into(), may_pass: false };
        let mut theirs = action(ResourceKind::of("fleet"), "fleet-1", Verdict::Anothers, ReapResult::Nothing);
        theirs.found.owner.owner = Some("ada@laptop".into());
        let actions = [
            action(ResourceKind::INSTANCE, "i-1", Verdict::Expired, ReapResult::Ended),
            action(ResourceKind::INSTANCE, "i-2", Verdict::Live, ReapResult::Nothing),
            action(ResourceKind::VOLUME, "vol-1", Verdict::Unreadable, ReapResult::Nothing),
            theirs,
            action(ResourceKind::of("security-group"), "sg-1", Verdict::Asked, ReapResult::Left(refused)),
        ];
        insta::assert_snapshot!(text(&actions));
        insta::assert_json_snapshot!(json(&actions[4..]));
        assert!(!is_clean(&actions) && is_clean(&actions[..4]));
    }
}
