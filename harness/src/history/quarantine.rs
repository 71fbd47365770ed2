//! Which cases are in quarantine today, and which entries have run out.

use gpu_suites::event::{Quarantined, Warning};
use jiff::civil::Date;

use crate::config::{Config, FILE_NAME};
use crate::report::RunState;

/// What the settings say of the run's cases on a day.
pub fn of_run(config: &Config, state: &RunState, today: Date) -> (Vec<Quarantined>, Vec<Warning>) {
    let entries = config.quarantine.iter().filter(|entry| state.case(&entry.case).is_some());
    let (holds, over): (Vec<_>, Vec<_>) = entries.partition(|entry| today <= entry.until);
    let quarantined = holds.into_iter().map(|entry| Quarantined {
        case: entry.case.clone(),
        reason: entry.reason.clone(),
        until: entry.until,
    });
    let warnings = over.into_iter().map(|entry| {
        let file = config.path.as_deref().map_or(FILE_NAME.into(), |path| path.display().to_string());
        let line = entry.line.map(|line| format!(":{line}")).unwrap_or_default();
        let message = format!(
            "{file}{line}: the quarantine ended on {} and no longer holds (\"{}\"); mend the case, or give a new date",
            entry.until, entry.reason
        );
        Warning { case: Some(entry.case.clone()), message }
    });
    (quarantined.collect(), warnings.collect())
}
