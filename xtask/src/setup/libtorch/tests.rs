use std::cell::RefCell;

use super::*;

/// Ways whose results are set, and which note that they were asked.
struct Told {
    python: Result<PathBuf, String>,
    wheels: Result<(), String>,
    asked: RefCell<Vec<&'static str>>,
}

impl Told {
    fn nothing() -> Self {
        let no = || "no".to_owned();
        Self { python: Err(no()), wheels: Err(no()), asked: RefCell::default() }
    }
}

impl Ways for Told {
    fn python(&self) -> Result<PathBuf, String> {
        self.asked.borrow_mut().push("python");
        self.python.clone()
    }

    fn wheels(&self, into: &Path) -> Result<(), String> {
        self.asked.borrow_mut().push("wheels");
        self.wheels.clone().inspect(|()| fill(into, "2.11.0+cpu"))
    }
}

/// Makes a folder look like a libtorch.
fn fill(folder: &Path, version: &str) {
    for file in ["lib/libtorch.so", "lib/libtorch_cpu.so", "lib/libc10.so", HEADER] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::write(folder.join("build-version"), version).unwrap();
}

#[test]
fn libtorch_is_looked_for_from_the_cheapest_place_to_the_dearest() {
    let folder = tempfile::tempdir().unwrap();
    let [named, python] = ["named", "python"].map(|name| folder.path().join(name));
    fill(&named, "2.11.0+cu130");
    fill(&python, "2.11.0+cu130");
    let works = || Told { python: Ok(python.clone()), wheels: Ok(()), ..Told::nothing() };
    let no = || "no".to_owned();
    for (case, variable, ways, asked) in [
        ("variable", Some(named.clone().into()), works(), vec![]),
        ("python", None, works(), vec!["python"]),
        ("wheels", None, Told { python: Err(no()), ..works() }, vec!["python", "wheels"]),
    ] {
        let place = folder.path().join(case).join(VERSION);
        let found = find_or_get(variable, &place, &ways).expect(case);
        assert_eq!(*ways.asked.borrow(), asked, "{case}");
        assert_eq!(found.new, case != "variable", "{case}");
        assert_eq!(check(&found.path), Ok(()), "{case}");
        // What was got once is used from then on, and nobody is asked again.
        let later = Told::nothing();
        if case != "variable" {
            assert_eq!(find_or_get(None, &place, &later).expect(case), Libtorch { new: false, ..found });
            assert!(later.asked.borrow().is_empty(), "{case}");
        }
    }
}

#[test]
fn a_libtorch_of_another_version_is_never_used() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cache").join(VERSION);
    for wrong in ["2.10.0+cpu", "2.11.1", "2.11.0a0+git1234", "2.1"] {
        let old = folder.path().join(wrong);
        fill(&old, wrong);
        let ways = Told { python: Ok(old.clone()), ..Told::nothing() };
        let error = find_or_get(Some(old.into()), &place, &ways).expect_err(wrong).to_string();
        assert!(error.contains(&format!("is libtorch {wrong}, 2.11.0 is needed")), "{error}");
    }
    assert!(!place.exists());
}

#[test]
fn a_link_to_a_python_that_is_gone_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cache").join(VERSION);
    let python = folder.path().join("venv");
    fill(&python, "2.11.0+cu130");
    let ways = Told { python: Ok(python.clone()), ..Told::nothing() };
    find_or_get(None, &place, &ways).expect("linked");
    assert_eq!(fs::read_link(&place).unwrap(), python);
    fs::remove_dir_all(&python).unwrap();
    let found = find_or_get(None, &place, &Told { wheels: Ok(()), ..Told::nothing() }).expect("got anew");
    assert!(found.new && !place.is_symlink());
}

#[test]
fn a_python_package_tells_its_version_without_build_version() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("version.py"), "from x import y\n__version__ = '2.11.0+cu130'\n").unwrap();
    assert_eq!(version_of(folder.path()).as_deref(), Some("2.11.0+cu130"));
}
