//! What comes back with a case besides the content of its files: which are programs, links, empty folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use gpu_suites::event::Event;
use gpu_suites::id::CaseId;
use gpu_suites::link::leads_to;

use crate::files::results;

/// More is not kept: a node brings fewer files.
const MOST: usize = 20_000;

/// What the events tell of the files of the latest attempt of each case.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    programs: BTreeSet<(CaseId, String)>,
    /// Where each link leads; none for an empty folder.
    places: BTreeMap<(CaseId, String), Option<String>>,
}

impl Brought {
    /// Takes one more event in.
    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::CaseStarted(event) => {
                self.programs.retain(|(case, _)| *case != event.case);
                self.places.retain(|(case, _), _| *case != event.case);
            }
            Event::Artifact(event) if event.executable && self.programs.len() < MOST => {
                self.programs.insert((event.case.clone(), event.path.clone()));
            }
            Event::ArtifactPlace(event) if self.places.len() < MOST => {
                self.places.insert((event.case.clone(), event.path.clone()), event.link.clone());
            }
            _ => {}
        }
    }

    /// Makes what is in a run's folder what it was on the node, of this case or of all; gives what cannot be, in a sentence
    /// each.
    pub(crate) fn restore(&mut self, run_dir: &Path, of: Option<&CaseId>) -> Vec<String> {
        let is_of = |case: &CaseId| of.is_none_or(|of| of == case);
        let mut told = Vec::new();
        let (programs, others): (BTreeSet<_>, _) =
            std::mem::take(&mut self.programs).into_iter().partition(|(case, _)| is_of(case));
        self.programs = others;
        for (case, path) in programs {
            let made = find(run_dir, &case, &path).and_then(|at| make_program(&at));
            told.extend(made.err().map(|error| format!("{path} of {case} is no program here: {error}")));
        }
        let (places, others): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.places).into_iter().partition(|((case, _), _)| is_of(case));
        self.places = others;
        let (links, folders): (Vec<_>, Vec<_>) = places.iter().partition(|(_, link)| link.is_some());
        for ((case, path), link) in folders.into_iter().chain(links) {
            let made = find(run_dir, case, path).and_then(|at| match link {
                Some(target) => make_link(&at, Path::new(path), Path::new(target)),
                None => fs::create_dir_all(at),
            });
            told.extend(made.err().map(|error| format!("{path} of {case} could not be made here: {error}")));
        }
        told
    }
}

/// Where an artifact lies. No link is followed on the way: a node says what they are.
fn find(run_dir: &Path, case: &CaseId, path: &str) -> io::Result<PathBuf> {
    let odd = || io::Error::new(io::ErrorKind::InvalidInput, "it leaves the case's folder");
    let at = results::artifact(run_dir, case, path).ok_or_else(odd)?;
    let above = Path::new(path).components().count();
    for parent in at.ancestors().skip(1).take(above) {
        if fs::symlink_metadata(parent).is_ok_and(|data| data.is_symlink()) {
            return Err(odd());
        }
    }
    Ok(at)
}

fn make_program(at: &Path) -> io::Result<()> {
    let data = fs::symlink_metadata(at)?;
    if !data.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mode = data.permissions().mode();
    // Who may read it may run it.
    fs::set_permissions(at, fs::Permissions::from_mode(mode | ((mode & 0o444) >> 2)))
}

fn make_link(at: &Path, path: &Path, target: &Path) -> io::Result<()> {
    let elsewhere = || io::Error::new(io::ErrorKind::InvalidInput, "it is a link that leads elsewhere");
    leads_to(path, target).ok_or_else(elsewhere)?;
    fs::create_dir_all(at.parent().ok_or_else(elsewhere)?)?;
    match symlink(target, at) {
        // An attempt before made it as well.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::read_link(at) {
            Ok(there) if there == target => Ok(()),
            _ => Err(error),
        },
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use gpu_suites::event::{Artifact, ArtifactPlace};
    use gpu_suites::id::Sha256;

    use super::*;

    fn place(path: &str, link: Option<&str>) -> Event {
        ArtifactPlace { case: "s::c".into(), path: path.into(), link: link.map(str::to_owned) }.into()
    }

    #[test]
    fn programs_links_and_empty_folders_are_what_they_were_and_nothing_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = folder.path().join("cases/s.c/artifacts");
        fs::create_dir_all(artifacts.join("out/deep/er")).unwrap();
        fs::write(artifacts.join("out/tool"), "#!/bin/sh").unwrap();
        let mut brought = Brought::default();
        let (case, sha256) = (CaseId::from("s::c"), Sha256("0".repeat(64)));
        let tool = Artifact { case, path: "out/tool".into(), bytes: 9, sha256, executable: true };
        brought.take(&tool.into());
        for (path, link) in [
            ("out/empty", None),
            ("out/alias", Some("tool")),
            ("out/stolen", Some("/etc/passwd")),
            ("out/up", Some("../../x")),
            ("out/deep/er/root", Some("../../..")),
            ("../x", None),
            // By its name it stays below, by where its folder leads it does not.
            ("out/deep/er/root/l", Some("../../../../x")),
        ] {
            brought.take(&place(path, link));
        }
        let told = brought.restore(folder.path(), Some(&"s::c".into()));
        let mode = |path: &str| fs::symlink_metadata(artifacts.join(path)).unwrap().permissions().mode();
        assert_eq!(mode("out/tool") & 0o100, 0o100);
        assert!(artifacts.join("out/empty").is_dir());
        assert_eq!(fs::read_link(artifacts.join("out/alias")).unwrap(), Path::new("tool"));
        for (named, path) in told.iter().zip(["../x", "out/deep/er/root/l", "out/stolen", "out/up"]) {
            assert!(named.starts_with(path), "{told:?}");
        }
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(brought.restore(folder.path(), None).is_empty(), "it is done once");
    }
}
