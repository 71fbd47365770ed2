//! `gpu-harness init`: writes a CI file into the user's repository.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gpu_suites::exit::Exit;

use super::failure::Failure;
use crate::init::{Change, Ci, Values, change};
use crate::text::streams::say;

/// Flags of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Run it in the repository's root. It may be run again at any time: only what stands between the marker comments is
renewed, and the values in it are kept. A file without the markers is not touched: the text to paste is printed.

Examples:
  gpu-harness init github --role arn:aws:iam::444455556666:role/gpu-harness --region us-east-1
  gpu-harness init bitbucket --print

Exit codes: 0 written, printed or up to date, 1 a file without markers is there: paste the text, 2 usage or file error.")]
pub(super) struct Init {
    /// The CI system
    ci: Ci,
    /// The node of gpu-harness.yaml that CI runs on
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The AWS role that CI assumes
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// The AWS region
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The wheel of a release that CI installs, with the sum that pip holds it to
    #[arg(long, value_name = "URL#sha256=SUM")]
    wheel: Option<String>,
    /// The image that the step runs in, on Bitbucket and GitLab; one with gpu-harness on PATH takes no wheel
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Print the text, and write nothing
    #[arg(long)]
    print: bool,
}

impl Init {
    pub(super) fn execute(self) -> Result<Exit, Failure> {
        let flags = [&self.node, &self.role, &self.region, &self.wheel, &self.image].map(Option::as_deref);
        let values = Values::new(flags[0], flags[1], flags[2], flags[3], flags[4])?;
        if self.print {
            say(&self.ci.text(&values));
            return Ok(Exit::AllPassed);
        }
        let path = Path::new(self.ci.path());
        let (change, values) = change(self.ci, read(path)?.as_deref(), &values);
        match change {
            Change::New(text) => {
                write(path, &text)?;
                say(&format!("wrote {}\n", path.display()));
            }
            Change::Renew(text) => {
                write(path, &text)?;
                say(&format!("renewed gpu-harness's part of {}\n", path.display()));
            }
            Change::UpToDate => say(&format!("{} is up to date\n", path.display())),
            Change::Theirs(text) => {
                say(&text);
                crate::text::streams::tell(&format!(
                    "{} is yours (it does not have gpu-harness's marker comments once each, in order) and was not \
                     touched.\nTo do: take the text above; {}",
                    path.display(),
                    self.ci.place()
                ));
                return Ok(Exit::CheckFailed);
            }
        }
        let missing = values.missing();
        if !missing.is_empty() {
            say(&format!("set in it: {}\n", missing.join(", ")));
        }
        if !Path::new("gpu-harness.yaml").exists() {
            say(&format!("{EXAMPLE}\n"));
        }
        Ok(Exit::AllPassed)
    }
}

/// What a project without settings is offered.
const EXAMPLE: &str = "\
there is no gpu-harness.yaml here, which defines the node; one to start with:

nodes:
  cloud:
    provider: ec2
    types: [g6.xlarge, g5.xlarge]
    max-cost: 0.50   # US dollars a run
";

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format_args!("failed to read {}: {error}", path.display()))),
    }
}

/// Through a file beside it, so that a write that breaks off leaves the old text.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::write(path, &error);
    // A link stays a link: what it points at is written.
    let target: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let fresh = target.with_extension("yml.gpu-harness-new");
    std::fs::write(&fresh, text).map_err(failed)?;
    std::fs::rename(&fresh, &target).map_err(failed)
}
