//! What of this process a command goes by: its folder, its environment, and where it says things. It is read once, by the
//! command line, and passed on, so that two runs of one process can each have their own.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::text::streams;

#[derive(Debug, Clone)]
pub struct Here {
    /// The folder that relative names begin at.
    pub folder: PathBuf,
    pub env: Env,
    /// Who hears what is said beside a report.
    pub console: Console,
    is_of_process: bool,
}

impl Here {
    pub fn of_process() -> io::Result<Self> {
        let folder = std::env::current_dir()?;
        Ok(Self { folder, env: Env::of_process(), console: Console::default(), is_of_process: true })
    }

    /// Another folder, environment and listener than this process's.
    pub fn at(folder: impl Into<PathBuf>, env: Env, console: Console) -> Self {
        Self { folder: folder.into(), env, console, is_of_process: false }
    }

    /// Where a name that the user wrote lies. In this process's own folder it stays as it was written: so it is told, too.
    pub fn path(&self, name: &Path) -> PathBuf {
        if self.is_of_process { name.to_owned() } else { self.folder.join(name) }
    }
}

#[derive(Clone, Default)]
pub struct Env(Arc<BTreeMap<String, String>>);

impl Env {
    /// This process's; what is not UTF-8 is none of ours.
    pub fn of_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(utf8).collect()
    }

    /// A variable that is set, and not to nothing.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The user's home: the variable's, else the account's.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from).or_else(|| {
            let account = nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok().flatten();
            account.map(|account| account.dir)
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().collect()))
    }
}

/// The values may be secrets.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Something that is said beside a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// For whoever reads standard output, as it is.
    Out(&'a str),
    /// A line for whoever watches.
    Note(&'a str),
}

#[derive(Clone)]
pub struct Console(Arc<dyn Fn(Message<'_>) + Send + Sync>);

impl Console {
    pub fn to(listener: impl Fn(Message<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub fn say(&self, text: &str) {
        (self.0)(Message::Out(text));
    }

    pub fn tell(&self, line: &str) {
        (self.0)(Message::Note(line));
    }
}

/// This process's standard output and standard error.
impl Default for Console {
    fn default() -> Self {
        Self::to(|said| match said {
            Message::Out(text) => streams::say(text),
            Message::Note(line) => streams::tell(line),
        })
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Voice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_its_own_is_where_its_names_begin_and_no_value_is_shown() {
        let env =
            Env::from_iter([("TOKEN".to_owned(), "hush".to_owned()), ("EMPTY".to_owned(), String::new())]);
        let here = Here::at("/project", env, Console::to(|_| ()));
        assert_eq!(here.path(Path::new("out")), Path::new("/project/out"));
        assert_eq!(here.path(Path::new("/out")), Path::new("/out"));
        assert_eq!((here.env.get("TOKEN").as_deref(), here.env.get("EMPTY")), (Some("hush"), None));
        let shown = format!("{here:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hush"), "{shown}");
        assert_eq!(Here::of_process().unwrap().path(Path::new("out")), Path::new("out"));
    }
}
