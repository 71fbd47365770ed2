//! Who started the run, and where a person can look at it: for the tags of everything that is made.

use crate::here::Env;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// `user@machine`, or the repository whose pipeline this is.
    pub owner: String,
    pub pipeline: Option<String>,
}

/// The longest value of a tag in EC2.
const MOST: usize = 256;

impl Who {
    /// From the environment that a command was given in, and this machine's name.
    pub fn find(env: &Env) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self::of(&|name| env.get(name), &host)
    }

    fn of(env: &dyn Fn(&str) -> Option<String>, host: &str) -> Self {
        let bitbucket = || {
            let (repository, build) = (env("BITBUCKET_REPO_FULL_NAME")?, env("BITBUCKET_BUILD_NUMBER")?);
            let url = format!("https://bitbucket.org/{repository}/pipelines/results/{build}");
            Some((format!("bitbucket:{repository}"), Some(url)))
        };
        let github = || {
            let (repository, run) = (env("GITHUB_REPOSITORY")?, env("GITHUB_RUN_ID")?);
            let server = env("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
            Some((format!("github:{repository}"), Some(format!("{server}/{repository}/actions/runs/{run}"))))
        };
        let gitlab = || Some((format!("gitlab:{}", env("CI_PROJECT_PATH")?), env("CI_JOB_URL")));
        let person = || {
            let user = env("USER").or_else(|| env("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
            (format!("{user}@{host}"), env("BUILD_URL"))
        };
        let (owner, pipeline) = bitbucket().or_else(github).or_else(gitlab).unwrap_or_else(person);
        Self { owner: value(&owner), pipeline: pipeline.map(|url| value(&url)) }
    }
}

/// What EC2 takes for the value of a tag: letters, digits, spaces and `+-=._:/@`, 256 at most.
fn value(text: &str) -> String {
    let tame = |c: char| if c.is_alphanumeric() || " +-=._:/@".contains(c) { c } else { '_' };
    text.chars().map(tame).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(set: &[(&str, &str)]) -> Who {
        Who::of(&|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()), "laptop")
    }

    #[test]
    fn each_ci_system_is_known_by_its_own_variables() {
        let bitbucket = who(&[("BITBUCKET_REPO_FULL_NAME", "acme/trees"), ("BITBUCKET_BUILD_NUMBER", "41")]);
        assert_eq!(bitbucket.owner, "bitbucket:acme/trees");
        assert_eq!(bitbucket.pipeline.unwrap(), "https://bitbucket.org/acme/trees/pipelines/results/41");
        let github = who(&[("GITHUB_REPOSITORY", "acme/trees"), ("GITHUB_RUN_ID", "7"), ("USER", "runner")]);
        assert_eq!(github.pipeline.unwrap(), "https://github.com/acme/trees/actions/runs/7");
        assert_eq!(who(&[("USER", "ada")]), Who { owner: "ada@laptop".into(), pipeline: None });
    }

    #[test]
    fn a_tag_holds_only_what_ec2_takes() {
        let name = who(&[("USER", &"é<b>'".repeat(100))]).owner;
        assert!(name.starts_with("é_b__é_b__") && name.chars().count() == MOST, "{name}");
    }
}
