//! What follows from the list of checks in [`super`]: their names, their parameters in suite files, which of them a case
//! runs, and with what.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::dtype::Dtype;
use crate::id::CheckName;
use crate::unit::Span;
use crate::violations::Violations;

use super::{CHECKS, Checks, Fold};

/// What a check may know of its case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CaseFacts<'a> {
    pub(crate) timeout: Span,
    /// The metric that says how well the task of its training is done.
    pub(crate) task_metric: Option<&'static str>,
    /// What it measures the throughput of.
    pub(crate) sweep: Option<Sweep<'a>>,
}

/// The points at which throughput is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sweep<'a> {
    pub(crate) dtypes: &'a [Dtype],
    /// `None`: the case looks for the best batch size itself.
    pub(crate) batches: Option<&'a [NonZeroU32]>,
}

/// A check, as a suite file names it with its parameters.
pub(crate) trait Check: Sized {
    /// The parameters with which it runs in a case whose suite does not name it, and whose kind does not ask for it
    /// (`checks` in the files of `spec/kinds/`). `None`: there it does not run.
    fn by_default(_case: CaseFacts<'_>) -> Option<Self> {
        None
    }

    /// Tells which of its parameters cannot be meant in this case.
    fn rules(&self, _case: CaseFacts<'_>, _violations: &mut Violations<'_>) {}

    /// The check at work.
    fn start(self, case: CaseFacts<'_>) -> Box<dyn Fold>;
}

/// A check of the list.
pub(crate) struct Listed {
    pub(super) name: CheckName,
    pub(super) runs: fn(&Checks) -> bool,
    pub(super) rules: fn(&Checks, CaseFacts<'_>, &mut Violations<'_>),
    pub(super) start: fn(Checks, CaseFacts<'_>) -> Option<Box<dyn Fold>>,
}

macro_rules! checks {
    ($($name:literal => $module:ident :: $Check:ident,)*) => {
        $(
            pub use $module::$Check;

            impl $Check {
                /// Its name.
                pub const NAME: CheckName = CheckName::of($name);
            }
        )*

        /// The checks of a case with their parameters. A check that is absent has its defaults in a case of its kind,
        /// and is not run in a `command` case.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Checks {
            $(
                #[serde(rename = $name, skip_serializing_if = "Option::is_none")]
                pub $module: Option<$Check>,
            )*
        }

        impl Checks {
            /// Those that run in a case, with the parameters that its suite, its kind or the check itself gives them.
            pub(crate) fn with_defaults(self, kind: Self, case: CaseFacts<'_>) -> Self {
                Self { $($module: self.$module.or(kind.$module).or_else(|| $Check::by_default(case)),)* }
            }
        }

        /// Every check, in the order in which they are judged and reported.
        pub(crate) static CHECKS: [registry::Listed; [$($name),*].len()] = [$(registry::Listed {
            name: $Check::NAME,
            runs: |checks| checks.$module.is_some(),
            rules: |checks, case, violations| {
                if let Some(check) = &checks.$module {
                    check.rules(case, &mut violations.below($name));
                }
            },
            start: |checks, case| Some(checks.$module?.start(case)),
        }),*];
    };
}
pub(super) use checks;

/// The name of every check, in the order in which they are judged and reported.
pub fn names() -> impl Iterator<Item = &'static CheckName> {
    CHECKS.iter().map(|check| &check.name)
}

impl Checks {
    /// The names of those that are there, in the order in which they are judged.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static CheckName> {
        CHECKS.iter().filter(|check| (check.runs)(self)).map(|check| &check.name)
    }

    /// Tells which parameters cannot be meant.
    pub(crate) fn rules(&self, case: CaseFacts<'_>, violations: &mut Violations<'_>) {
        for check in &CHECKS {
            (check.rules)(self, case, violations);
        }
    }

    /// Those that are there at work, without the ones that are left out.
    pub(crate) fn started(
        &self,
        case: CaseFacts<'_>,
        is_left_out: impl Fn(&CheckName) -> bool,
    ) -> Vec<(CheckName, Box<dyn Fold>)> {
        let active = CHECKS.iter().filter(|check| !is_left_out(&check.name));
        let start = |check: &Listed| Some((check.name.clone(), (check.start)(self.clone(), case)?));
        active.filter_map(start).collect()
    }
}

/// The name of a check where somebody wrote it by hand: then only one of ours can be meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Known(pub(crate) CheckName);

/// A name that is none of ours, in serde's words.
#[derive(Debug)]
pub(crate) struct NotKnown(String);

impl fmt::Display for NotKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Vec::from_iter(names().map(|name| format!("`{name}`")));
        write!(f, "unknown variant `{}`, expected one of {}", self.0, known.join(", "))
    }
}

impl TryFrom<String> for Known {
    type Error = NotKnown;

    fn try_from(text: String) -> Result<Self, NotKnown> {
        names().find(|name| name.as_str() == text).cloned().map(Self).ok_or(NotKnown(text))
    }
}

/// A list of checks that a suite file names.
pub(crate) fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CheckName>, D::Error> {
    Ok(Vec::<Known>::deserialize(deserializer)?.into_iter().map(|known| known.0).collect())
}

/// Checks that a suite file names, each with a reason.
pub(crate) fn known_with_reasons<'de, D>(deserializer: D) -> Result<BTreeMap<CheckName, String>, D::Error>
where
    D: Deserializer<'de>,
{
    let reasons = BTreeMap::<Known, String>::deserialize(deserializer)?;
    Ok(reasons.into_iter().map(|(known, reason)| (known.0, reason)).collect())
}

impl JsonSchema for CheckName {
    fn schema_name() -> Cow<'static, str> {
        "CheckName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "The checks by name.", "enum": Vec::from_iter(names()) })
    }
}
