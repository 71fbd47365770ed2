//! Which links go as links, which as what they lead to, and which stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gpu_suites::link::{leads_to, text_to};
use gpu_suites::spec::InputPath;

use super::TreeError;
use super::git::is_listed;
use super::walk::Walk;
use crate::files::content;

/// How deep links may lead from one folder of the project to another.
const MOST_LINKED: usize = 4;

/// A link that was met; whether it goes is known when all files are.
pub(super) struct Met {
    pub(super) name: String,
    pub(super) at: PathBuf,
    pub(super) linked: usize,
}

impl Walk {
    /// Decides of each link that was met.
    pub(super) fn links(&mut self) -> Result<(), TreeError> {
        while !self.links.is_empty() {
            let mut rest = Vec::new();
            for met in std::mem::take(&mut self.links) {
                if let Some(met) = self.link(met)? {
                    rest.push(met);
                }
            }
            // Those that lead to another link go once that one does.
            let before = rest.len();
            let mut stuck = Vec::new();
            for met in rest {
                if let Some(text) = self.text_of(&met) {
                    self.list.links.insert(InputPath(met.name), text);
                } else {
                    stuck.push(met);
                }
            }
            if stuck.len() == before {
                for met in stuck {
                    self.leave(&met.name, "a link to what is not sent");
                }
            } else {
                self.links.extend(stuck);
            }
        }
        Ok(())
    }

    /// Takes a link in, or leaves it out; one that leads to what may still be taken in comes back.
    fn link(&mut self, met: Met) -> Result<Option<Met>, TreeError> {
        if let Some(text) = self.text_of(&met) {
            self.list.links.insert(InputPath(met.name), text);
            return Ok(None);
        }
        let real = match met.at.canonicalize() {
            Ok(real) => real,
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "a link to what is not there".to_owned(),
                    _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                        "a link that leads back to itself".to_owned()
                    }
                    _ => format!("a link that cannot be followed: {error}"),
                };
                self.leave(&met.name, &why);
                return Ok(None);
            }
        };
        let Ok(within) = real.strip_prefix(&self.project) else {
            self.leave(&met.name, "a link that leads out of the project");
            return Ok(None);
        };
        if within.components().any(|part| part.as_os_str() == ".git") {
            self.leave(&met.name, "a link into git's own folder");
            return Ok(None);
        }
        let kind = fs::metadata(&real).map(|data| data.file_type());
        match kind {
            Ok(kind) if !kind.is_file() && !kind.is_dir() => {
                self.leave(&met.name, &format!("a link to {}", content::kind_name(kind)));
                Ok(None)
            }
            _ if real.starts_with(&self.root) => Ok(Some(met)),
            _ if self.root.starts_with(&real) => {
                self.leave(&met.name, "a link to a folder that holds this one");
                Ok(None)
            }
            _ if met.linked == MOST_LINKED => {
                self.leave(&met.name, "links lead on from folder to folder");
                Ok(None)
            }
            // Elsewhere in the project: what git knows of it goes in the link's place.
            Ok(kind) if kind.is_dir() => {
                self.folder(&real, &format!("{}/", met.name), met.linked + 1)?;
                Ok(None)
            }
            _ if is_listed(&real)? => {
                self.list.files.insert(InputPath(met.name), real);
                Ok(None)
            }
            _ => {
                self.leave(&met.name, "a link to what git ignores");
                Ok(None)
            }
        }
    }

    /// The text that a link has on the node, where what it leads to goes as well: its own, unless that names a place here.
    fn text_of(&self, met: &Met) -> Option<String> {
        let (name, target) = (Path::new(&met.name), fs::read_link(&met.at).ok()?);
        if target.is_relative() && leads_to(name, &target).is_some_and(|to| self.list.has(&to)) {
            return target.to_str().map(str::to_owned);
        }
        let real = met.at.canonicalize().ok()?;
        let to = real.strip_prefix(&self.root).ok().filter(|to| self.list.has(to))?;
        text_to(name, to).to_str().map(str::to_owned)
    }
}
