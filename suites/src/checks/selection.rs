//! Which checks a case runs.

use crate::spec::{Case, CheckName, Checks};

/// The checks of a case in the order in which they are judged, those left out by `skip-checks` included.
///
/// A case of the built-in worker runs every check of its kind; `exit-status` is for commands, `time-budget` needs a figure,
/// and whether a case has rows, or golden values of its own, only its suite knows. A `command` case runs `exit-status`, `finite` and
/// those that it names.
pub fn selected(case: &Case) -> Vec<CheckName> {
    let runs = |check: &CheckName| {
        let by_default = match check {
            CheckName::ExitStatus => case.command.is_some(),
            CheckName::Finite => true,
            CheckName::Steps | CheckName::Rows | CheckName::Varied | CheckName::TimeBudget => false,
            CheckName::ValidWindows | CheckName::Rate => case.throughput.is_some(),
            CheckName::Golden => case.train.as_ref().is_some_and(|train| train.golden.is_some()),
            CheckName::Shards => case.pipeline.is_some(),
            CheckName::Predictions => {
                case.pipeline.as_ref().is_some_and(|pipeline| pipeline.golden.is_some())
            }
            _ => case.train.is_some(),
        };
        by_default || is_named(&case.checks, *check)
    };
    CheckName::ALL.into_iter().filter(runs).collect()
}

/// Whether the suite file names the check under `checks`.
pub(crate) fn is_named(checks: &Checks, check: CheckName) -> bool {
    match check {
        CheckName::ExitStatus => checks.exit_status.is_some(),
        CheckName::Finite => checks.finite.is_some(),
        CheckName::InitialLoss => checks.initial_loss.is_some(),
        CheckName::SameBatch => checks.same_batch.is_some(),
        CheckName::Gradients => checks.gradients.is_some(),
        CheckName::LossDrop => checks.loss_drop.is_some(),
        CheckName::Metric => checks.metric.is_some(),
        CheckName::GradNormDrop => checks.grad_norm_drop.is_some(),
        CheckName::ZeroedImage => checks.zeroed_image.is_some(),
        CheckName::Deterministic => checks.deterministic.is_some(),
        CheckName::MixedPrecision => checks.mixed_precision.is_some(),
        CheckName::ResumeParity => checks.resume_parity.is_some(),
        CheckName::MemoryFlat => checks.memory_flat.is_some(),
        CheckName::ExportParity => checks.export_parity.is_some(),
        CheckName::Steps => checks.steps.is_some(),
        CheckName::Rows => checks.rows.is_some(),
        CheckName::Golden => checks.golden.is_some(),
        CheckName::Varied => checks.varied.is_some(),
        CheckName::ValidWindows => checks.valid_windows.is_some(),
        CheckName::Rate => checks.rate.is_some(),
        CheckName::Shards => checks.shards.is_some(),
        CheckName::Predictions => checks.predictions.is_some(),
        CheckName::TimeBudget => checks.time_budget.is_some(),
    }
}
