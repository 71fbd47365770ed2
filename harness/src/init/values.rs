//! What only the user knows: the values that stand in quotes at the top of a CI file.

use gpu_suites::exit::Exit;

use crate::text::Explain;

/// Why a value cannot stand in a CI file.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} cannot be the value of {variable}: only letters, digits and any of `:/_.@+=,#%-` can stand in it"
)]
pub struct ValueError {
    variable: &'static str,
    text: String,
}

impl Explain for ValueError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// A value that needs no escape, in YAML or in a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    pub fn new(variable: &'static str, text: &str) -> Result<Self, ValueError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ":/_.@+=,#%-".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err(ValueError { variable, text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// The values of a CI file; one that is not given is what the file has already, else an example to replace.
#[derive(Debug, Clone, Default)]
pub struct Values {
    given: [Option<Value>; 5],
}

/// Variable, placeholder in the text, and the example that stands where nothing is known.
const VARIABLES: [(&str, &str, &str); 5] = [
    ("GPU_HARNESS_NODE", "@NODE@", "cloud"),
    ("AWS_ROLE_ARN", "@ROLE@", "arn:aws:iam::111122223333:role/gpu-harness"),
    ("AWS_REGION", "@REGION@", "us-east-1"),
    ("GPU_HARNESS_WHEEL", "@WHEEL@", WHEEL),
    // With Python, its venv and the certificates that TLS takes; pinned to one system.
    ("image", "@IMAGE@", "python:3.12-slim-bookworm"),
];

/// What a release's wheel is called, and how pip is told its sum.
const WHEEL: &str = concat!(
    "https://git.example.com/gpu-harness/releases/v",
    env!("CARGO_PKG_VERSION"),
    "/gpu_harness-",
    env!("CARGO_PKG_VERSION"),
    "-py3-none-manylinux_2_17_x86_64.whl#sha256=SUM"
);

impl Values {
    /// The values of flags.
    pub fn new(
        node: Option<&str>,
        role: Option<&str>,
        region: Option<&str>,
        wheel: Option<&str>,
        image: Option<&str>,
    ) -> Result<Self, ValueError> {
        let mut given = [const { None }; 5];
        for (slot, (text, (variable, ..))) in
            given.iter_mut().zip([node, role, region, wheel, image].iter().zip(VARIABLES))
        {
            *slot = text.map(|text| Value::new(variable, text)).transpose()?;
        }
        Ok(Self { given })
    }

    /// These, and where one is missing, the one that `block` has.
    #[must_use]
    pub fn or_those_of(mut self, block: &str) -> Self {
        for (slot, (variable, ..)) in self.given.iter_mut().zip(VARIABLES) {
            if slot.is_none() {
                *slot = quoted(block, variable).and_then(|text| Value::new(variable, text).ok());
            }
        }
        self
    }

    /// The variables that still hold an example.
    pub fn missing(&self) -> Vec<&'static str> {
        let is_example =
            |slot: &Option<Value>, example: &str| slot.as_ref().is_none_or(|value| value.0 == example);
        let pairs = self.given.iter().zip(VARIABLES);
        // The examples of the node, the region and the image may well be meant.
        Vec::from_iter(
            pairs
                .filter(|(slot, (variable, _, example))| {
                    ["AWS_ROLE_ARN", "GPU_HARNESS_WHEEL"].contains(variable) && is_example(slot, example)
                })
                .map(|(_, (variable, ..))| variable),
        )
    }

    pub(super) fn fill(&self, text: &str) -> String {
        self.given.iter().zip(VARIABLES).fold(text.to_owned(), |text, (slot, (_, placeholder, example))| {
            text.replace(placeholder, slot.as_ref().map_or(example, |value| &value.0))
        })
    }
}

/// The value of `VARIABLE="value"` or `VARIABLE: "value"`.
fn quoted<'a>(block: &'a str, variable: &str) -> Option<&'a str> {
    [format!("{variable}=\""), format!("{variable}: \"")].iter().find_map(|start| {
        let rest = &block[block.find(start.as_str())? + start.len()..];
        rest.split_once('"').map(|(value, _)| value)
    })
}
