//! The files that the cases need: found, looked at and hashed here, before any node costs money.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use gpu_suites::beneath::{self, BeneathError};
use gpu_suites::load::{Diagnostic, Loaded};
use gpu_suites::picture::Picture;
use gpu_suites::spec::InputPath;

use crate::files::cache;
use crate::files::content::Blob;
use crate::here::Env;

/// How a file of golden losses comes to be.
const NEW_GOLDEN: &str = "write {} to it; after a run, `gpu-harness golden` adds the run's losses";

/// What a file has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Any,
    Image,
    TorchScript,
}

/// The inputs of a run, each read once.
#[derive(Debug)]
pub struct Inputs {
    /// Where `cache:` files lie.
    cache: Option<PathBuf>,
    read: BTreeMap<PathBuf, Blob>,
}

impl Form {
    /// What the file has to be that this key of a case names.
    fn of(key: &str) -> Self {
        match key.rsplit('.').next() {
            Some("image") => Self::Image,
            Some("torchscript") => Self::TorchScript,
            _ => Self::Any,
        }
    }
}

impl Inputs {
    /// None yet; the environment says where the cache folder is.
    pub fn new(env: &Env) -> Self {
        Self { cache: cache::folder(env), read: BTreeMap::new() }
    }

    /// The content of every file of the case at `index`; every file that will not do gives a diagnostic.
    pub fn of_case(
        &mut self,
        loaded: &Loaded,
        index: usize,
    ) -> Result<BTreeMap<InputPath, Blob>, Vec<Diagnostic>> {
        let mut found = BTreeMap::new();
        let mut wrong = Vec::new();
        for (key, input) in loaded.suite.cases[index].work.inputs() {
            match self.read(loaded, input, Form::of(&key)) {
                Ok(blob) => {
                    found.insert(input.clone(), blob);
                }
                Err((message, hint)) => {
                    let hint = if key == "train.golden" { Some(NEW_GOLDEN.to_owned()) } else { hint };
                    wrong.push(loaded.diagnostic(&format!("cases[{index}].{key}"), message, hint));
                }
            }
        }
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    fn read(
        &mut self,
        loaded: &Loaded,
        input: &InputPath,
        form: Form,
    ) -> Result<Blob, (String, Option<String>)> {
        let path = locate(loaded, input, self.cache.as_deref())?.real(input)?;
        if let Some(blob) = self.read.get(&path) {
            return Ok(blob.clone());
        }
        let blob = Blob::at(&path).map_err(|error| unreadable(&path, input, &error))?;
        match form {
            Form::Any => {}
            Form::Image => check_image(&path)?,
            Form::TorchScript => check_torchscript(&path)?,
        }
        self.read.insert(path, blob.clone());
        Ok(blob)
    }
}

/// A place that an input names, and the folder that it must not lead out of.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    within: PathBuf,
}

impl Place {
    /// Where the file lies, behind all links.
    fn real(&self, input: &InputPath) -> Result<PathBuf, (String, Option<String>)> {
        beneath::find(&self.within, &self.path).map_err(|error| match error {
            BeneathError::Io(error) => unreadable(&self.path, input, &error),
            error => {
                let hint = "put the file itself into the project: what lies elsewhere goes to no node";
                (format!("{} is not read: {error}", self.path.display()), Some(hint.to_owned()))
            }
        })
    }
}

impl Place {
    /// Where the file is to be written, which need not be there yet: `None` where that is not the project's.
    pub(crate) fn to_write(&self) -> Option<PathBuf> {
        match beneath::find(&self.within, &self.path) {
            Ok(real) => Some(real),
            Err(BeneathError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere is replaced, not followed.
                let folder = self.path.parent()?;
                let there = folder.ancestors().find(|above| above.exists())?;
                let real = beneath::find(&self.within, there).ok()?;
                Some(real.join(self.path.strip_prefix(there).ok()?))
            }
            Err(_) => None,
        }
    }
}

/// Where a file lies here.
pub(crate) fn locate(
    loaded: &Loaded,
    input: &InputPath,
    cache_folder: Option<&Path>,
) -> Result<Place, (String, Option<String>)> {
    let Some(below) = input.in_cache() else {
        return Ok(Place { path: loaded.root.join(&input.0), within: loaded.project.clone() });
    };
    let cache_folder = cache_folder.ok_or_else(|| {
        ("there is no cache folder".to_owned(), Some(format!("set {} to a folder", cache::VARIABLE)))
    })?;
    let within = cache_folder.join(cache::DATA);
    Ok(Place { path: within.join(below), within })
}

fn unreadable(path: &Path, input: &InputPath, error: &io::Error) -> (String, Option<String>) {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound if input.in_cache().is_some() => (
            format!("no such file: {shown}"),
            Some("`cargo xtask setup` fetches what `cache:` files name".into()),
        ),
        io::ErrorKind::NotFound => (
            format!("no such file: {shown}"),
            Some("paths are relative to the suite's root; see docs/suites.md".into()),
        ),
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => (
            format!("{shown} is a symbolic link that leads back to itself"),
            Some("name the file itself".into()),
        ),
        _ => (format!("cannot read {shown}: {error}"), None),
    }
}

fn check_image(path: &Path) -> Result<(), (String, Option<String>)> {
    let shown = path.display();
    let hint = Some("PNG, JPEG, TIFF and WebP are read".to_owned());
    let (start, _) = ends_of(path).map_err(|error| (format!("cannot read {shown}: {error}"), None))?;
    // What is in it is the worker's to say, whose decoders read more kinds than any here.
    if Picture::of(&start).is_some() {
        return Ok(());
    }
    Err((format!("{shown} is not an image: it begins like no format that is read"), hint))
}

/// A TorchScript archive is a ZIP file that holds code and `constants.pkl`; a checkpoint of weights alone has neither.
fn check_torchscript(path: &Path) -> Result<(), (String, Option<String>)> {
    let shown = path.display();
    let hint = Some("make one with `torch.jit.script(model).save(path)` in Python".to_owned());
    let (start, end) = ends_of(path).map_err(|error| (format!("cannot read {shown}: {error}"), None))?;
    if !start.starts_with(b"PK\x03\x04") {
        return Err((format!("{shown} is not a TorchScript file: it is no ZIP archive"), hint));
    }
    let holds = |name: &[u8]| end.windows(name.len()).any(|window| window == name);
    if holds(b"constants.pkl") {
        return Ok(());
    }
    Err((format!("{shown} is not a TorchScript file: it holds weights, but no code"), hint))
}

/// The first bytes, and the last MiB, where a ZIP archive has its list of files.
fn ends_of(path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut file = beneath::open(path)?;
    let mut start = Vec::new();
    file.by_ref().take(16).read_to_end(&mut start)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(1 << 20)))?;
    let mut end = Vec::new();
    file.take(1 << 20).read_to_end(&mut end)?;
    Ok((start, end))
}

/// More than anybody writes there.
const LONGEST_PROVENANCE: u64 = 1 << 20;

/// What is known of where a file comes from: the `detail` of a `provenance.json` beside it.
pub fn provenance(path: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Provenance {
        source: String,
        detail: String,
    }
    let mut text = String::new();
    let beside = beneath::open(&path.with_file_name("provenance.json")).ok()?;
    beside.take(LONGEST_PROVENANCE).read_to_string(&mut text).ok()?;
    let Provenance { source, detail } = serde_json::from_str(&text).ok()?;
    Some(format!("{source}: {detail}"))
}
