//! What a suite breaks of the rules beyond its types, and where.

use crate::metrics::MAX_NAME;
use crate::unit::Share;

/// A rule that does not hold.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The value, e.g. `cases[2].train.data.image`.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: String,
    /// Another value that it contradicts, and what that is.
    pub(crate) also: Option<(String, String)>,
}

/// Takes in what is wrong with a value of a suite, and below it.
pub(crate) struct Violations<'a> {
    at: String,
    violations: &'a mut Vec<Violation>,
}

impl<'a> Violations<'a> {
    /// What is found at `at`, e.g. `cases[2]`, goes to `violations`.
    pub(crate) fn new(at: String, violations: &'a mut Vec<Violation>) -> Self {
        Self { at, violations }
    }

    fn path(&self, key: &str) -> String {
        let at = &self.at;
        if at.is_empty() || key.is_empty() || key.starts_with('[') {
            format!("{at}{key}")
        } else {
            format!("{at}.{key}")
        }
    }

    /// The value that a key or an index, `[2]`, leads to from here.
    pub(crate) fn below(&mut self, key: impl AsRef<str>) -> Violations<'_> {
        Violations { at: self.path(key.as_ref()), violations: self.violations }
    }

    /// Something wrong with what a key leads to from here; without one, with the value itself.
    pub(crate) fn add(&mut self, key: impl AsRef<str>, message: impl Into<String>, hint: impl Into<String>) {
        let (path, message, hint) = (self.path(key.as_ref()), message.into(), hint.into());
        self.violations.push(Violation { path, message, hint, also: None });
    }

    /// Something wrong with a value that has to do with another one, at `path` of the whole file.
    pub(crate) fn add_against(
        &mut self,
        key: &str,
        message: impl Into<String>,
        hint: &str,
        also: (String, String),
    ) {
        self.add(key, message, hint);
        if let Some(last) = self.violations.last_mut() {
            last.also = Some(also);
        }
    }

    /// A share of something that it is a part of is 100 % at most.
    pub(crate) fn share(&mut self, key: &str, share: Option<Share>) {
        if let Some(share) = share.filter(|share| share.0 > 1.0) {
            let hint =
                meant(share).unwrap_or_else(|| "write a share of at most 100%, e.g. 5% or 0.05".into());
            self.add(key, format!("a share of {share}: it is a part of the whole"), hint);
        }
    }

    /// A tolerance is a number from 0 on.
    pub(crate) fn tolerance(&mut self, key: &str, within: f64) {
        if !(within.is_finite() && within >= 0.0) {
            self.add(key, "a tolerance that is below 0 or not finite", "write e.g. 1e-4");
        }
    }

    /// A figure is a number.
    pub(crate) fn finite(&mut self, key: &str, figure: Option<f64>) {
        if figure.is_some_and(|figure| !figure.is_finite()) {
            self.add(key, "a figure that is not finite", "write a number");
        }
    }

    /// Key `name` is a metric's.
    pub(crate) fn metric_name(&mut self, name: &str) {
        if name.is_empty() || name.len() > MAX_NAME || name == "step" || name.starts_with('@') {
            let hint = format!("use 1 to {MAX_NAME} bytes, not `step`, and no `@` in front");
            self.add("name", format!("`{name}` cannot be a metric"), hint);
        }
    }

    /// Something is listed once.
    pub(crate) fn once<T: PartialEq>(&mut self, list: &[T], shown: impl Fn(&T) -> String) {
        for (index, item) in list.iter().enumerate().filter(|(index, item)| list[..*index].contains(item)) {
            self.add(format!("[{index}]"), format!("{} is listed twice", shown(item)), "keep one of them");
        }
    }
}

/// What somebody may have meant who wrote a share as a plain number above one.
pub(crate) fn meant(share: Share) -> Option<String> {
    (share.0 > 1.0 && share.0 <= 100.0).then(|| format!("did you mean `{}`?", Share(share.0 / 100.0)))
}
