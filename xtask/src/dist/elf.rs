//! What a program asks of the machine that it starts on: shared libraries, and the versions of their symbols. One symbol that is
//! newer than the machine's library, and the loader refuses the whole program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// What a program may ask for.
pub(crate) struct Allowed {
    /// The families of symbol versions with the newest of each. What is in no family here is refused.
    pub(crate) newest: &'static [(&'static str, &'static [u32])],
    /// The shared libraries.
    pub(crate) libraries: &'static [&'static str],
}

/// What a program asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    libraries: BTreeSet<String>,
    /// Each version with the symbols that want it. A version may be wanted without any symbol.
    versions: BTreeMap<String, BTreeSet<String>>,
    /// Folders of the machine that built it, in which the loader would look first.
    search_paths: BTreeSet<String>,
}

impl Asked {
    /// Reads them off a program.
    pub(crate) fn of(program: &Path) -> Result<Self> {
        let mut readelf = Command::new("readelf");
        readelf.args(["--wide", "--dynamic", "--dyn-syms", "--version-info"]).arg(program).env("LC_ALL", "C");
        let output = readelf.output().context("failed to start readelf (of binutils)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "readelf failed for {}: {}", program.display(), said.trim());
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads what readelf prints.
    fn parse(text: &str) -> Self {
        let mut asked = Self::default();
        for line in text.lines() {
            let in_brackets = || Some(line.split_once('[')?.1.trim_end_matches(']').to_owned());
            if line.contains("(NEEDED)") {
                asked.libraries.extend(in_brackets());
            } else if line.contains("(RUNPATH)") || line.contains("(RPATH)") {
                asked.search_paths.extend(in_brackets());
            } else if let Some((_, rest)) = line.split_once(" Name: ")
                && rest.contains(" Flags: ")
                && let Some(version) = rest.split_whitespace().next()
            {
                asked.versions.entry(version.to_owned()).or_default();
            } else if let Some((_, symbol)) = line.split_once(" UND ")
                && let Some((name, version)) = symbol.split_once('@')
                && let Some(version) = version.split_whitespace().next()
            {
                asked.versions.entry(version.to_owned()).or_default().insert(name.trim().to_owned());
            }
        }
        asked
    }

    /// Fails with all that is not allowed, by name.
    pub(crate) fn check(&self, program: &str, allowed: &Allowed) -> Result<()> {
        let mut wrong = String::new();
        for library in self.libraries.iter().filter(|library| !allowed.libraries.contains(&library.as_str()))
        {
            let _ = write!(wrong, "\n  - it needs the library {library}");
        }
        for path in &self.search_paths {
            let _ = write!(wrong, "\n  - it looks for libraries in {path}, a folder of this machine");
        }
        for (version, symbols) in self.versions.iter().filter(|(version, _)| !allows(allowed, version)) {
            let symbols = if symbols.is_empty() {
                "by no symbol".to_owned()
            } else {
                Vec::from_iter(symbols.iter().map(String::as_str)).join(", ")
            };
            let _ = write!(wrong, "\n  - it needs {version}: {symbols}");
        }
        if !wrong.is_empty() {
            bail!("{program} would not start everywhere:{wrong}");
        }
        Ok(())
    }

    /// The newest version that it wants of a family: `2.17` of `GLIBC`.
    pub(crate) fn newest(&self, family: &str) -> Option<String> {
        let of_family = self.versions.keys().filter_map(|version| parts(version));
        let newest = of_family.filter(|(name, _)| *name == family).map(|(_, number)| number).max()?;
        Some(newest.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
    }
}

fn allows(allowed: &Allowed, version: &str) -> bool {
    parts(version).is_some_and(|(family, number)| {
        allowed.newest.iter().any(|(name, newest)| *name == family && number.as_slice() <= *newest)
    })
}

/// `GLIBC_2.17` in its parts; `None` for a version without a number, such as `GLIBC_PRIVATE`, which promises nothing.
fn parts(version: &str) -> Option<(&str, Vec<u32>)> {
    let (family, number) = version.rsplit_once('_')?;
    let number = number.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>().ok()?;
    Some((family, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READELF: &str = "
Dynamic section at offset 0x1 contains 2 entries:
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [libssl.so.3]
 0x000000000000001d (RUNPATH)            Library runpath: [/home/me/libtorch/lib]
Symbol table '.dynsym' contains 4 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND memcpy@GLIBC_2.14 (3)
     2: 0000000000000000     0 FUNC    WEAK   DEFAULT  UND __gmon_start__
     3: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND _dl_find_object@GLIBC_2.35 (4)
     4: 0000000000001139     5 FUNC    GLOBAL DEFAULT   14 main
Version needs section '.gnu.version_r' contains 1 entry:
 Addr: 0x1  Offset: 0x1  Link: 6 (.dynstr)
  000000: Version: 1  File: libc.so.6  Cnt: 3
  0x0010:   Name: GLIBC_2.14  Flags: none  Version: 3
  0x0020:   Name: GLIBC_2.35  Flags: none  Version: 4
  0x0030:   Name: GLIBC_ABI_DT_RELR  Flags: none  Version: 5
";

    #[test]
    fn what_a_machine_may_lack_is_told_by_name() {
        let asked = Asked::parse(READELF);
        let allowed = Allowed { newest: &[("GLIBC", &[2, 17])], libraries: &["libc.so.6"] };
        let error = asked.check("gpu-x", &allowed).unwrap_err().to_string();
        assert_eq!(
            error,
            "gpu-x would not start everywhere:\n  - it needs the library libssl.so.3\n  \
             - it looks for libraries in /home/me/libtorch/lib, a folder of this machine\n  \
             - it needs GLIBC_2.35: _dl_find_object\n  - it needs GLIBC_ABI_DT_RELR: by no symbol"
        );
        assert_eq!(asked.newest("GLIBC").as_deref(), Some("2.35"));
    }

    #[test]
    fn versions_are_numbers_and_not_text() {
        let allowed = Allowed { newest: &[("GLIBC", &[2, 17]), ("GLIBCXX", &[3, 4, 29])], libraries: &[] };
        for (version, wanted) in [
            ("GLIBC_2.2.5", true),
            ("GLIBC_2.17", true),
            ("GLIBC_2.18", false),
            ("GLIBC_2.4", true),
            ("GLIBC_PRIVATE", false),
            ("GLIBCXX_3.4.9", true),
            ("GLIBCXX_3.4.30", false),
            ("CXXABI_1.3", false),
        ] {
            assert_eq!(allows(&allowed, version), wanted, "{version}");
        }
    }
}
