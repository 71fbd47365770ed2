//! Finds the programs that the build and the tests start, and installs those that are missing where that is allowed:
//! as root, or through a sudo that asks no password, on a Debian or Ubuntu. Elsewhere one line says what to install.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use super::Needs;
use super::network::Network;
use super::summary::Row;

/// A program, or a library's headers, that comes with the system's packages.
struct Program {
    what: &'static str,
    /// The Debian package that has it.
    package: &'static str,
    /// The part of the set-up that it is for.
    part: Needs,
    find: fn() -> Option<PathBuf>,
}

const PROGRAMS: [Program; 17] = [
    Program { what: "C++ compiler", package: "g++", part: Needs::Build, find: compiler },
    Program { what: "make", package: "make", part: Needs::Build, find: || on_path("make") },
    Program { what: "cmake", package: "cmake", part: Needs::Build, find: || on_path("cmake") },
    Program { what: "nasm", package: "nasm", part: Needs::Build, find: nasm },
    Program {
        what: "pkg-config",
        package: "pkg-config",
        part: Needs::Build,
        find: || on_path("pkg-config").or_else(|| env::var_os("OPENSSL_DIR").map(PathBuf::from)),
    },
    Program { what: "OpenSSL headers", package: "libssl-dev", part: Needs::Build, find: openssl },
    // OpenSSL's own source is configured by it, with modules that a small Debian leaves out.
    Program { what: "perl", package: "perl", part: Needs::Dist, find: perl },
    Program { what: "python3 venv", package: "python3-venv", part: Needs::Dist, find: venv },
    Program { what: "python3 venv", package: "python3-venv", part: Needs::Lint, find: venv },
    Program { what: "python3", package: "python3", part: Needs::Demo, find: || on_path("python3") },
    Program { what: "ssh", package: "openssh-client", part: Needs::Tests, find: || on_path("ssh") },
    Program { what: "scp", package: "openssh-client", part: Needs::Tests, find: || on_path("scp") },
    Program { what: "sshd", package: "openssh-server", part: Needs::Tests, find: || on_sbin_path("sshd") },
    // Login shells that quote as no other does.
    Program { what: "fish", package: "fish", part: Needs::Tests, find: || on_path("fish") },
    Program { what: "tcsh", package: "tcsh", part: Needs::Tests, find: || on_path("tcsh") },
    Program { what: "zsh", package: "zsh", part: Needs::Tests, find: || on_path("zsh") },
    Program { what: "xmllint", package: "libxml2-utils", part: Needs::Tests, find: || on_path("xmllint") },
];

/// What the hosts of the test EC2 take besides; they are made of namespaces, which only root may.
const HOST_PROGRAMS: [Program; 3] = [
    Program { what: "ip", package: "iproute2", part: Needs::Tests, find: || on_sbin_path("ip") },
    Program { what: "unshare", package: "util-linux", part: Needs::Tests, find: || on_path("unshare") },
    Program { what: "sudo", package: "sudo", part: Needs::Tests, find: || on_path("sudo") },
];

/// What tests of pages take besides. Not every distribution has them as packages (Ubuntu has a snap): where they cannot be had,
/// those tests are skipped with a note, except in CI.
const BROWSER: [Program; 2] = [
    Program { what: "Chromium", package: "chromium", part: Needs::Tests, find: chromium },
    Program {
        what: "chromedriver",
        package: "chromium-driver",
        part: Needs::Tests,
        find: || on_path("chromedriver"),
    },
];

/// What was found and what was not.
pub(crate) struct Programs {
    pub(crate) rows: Vec<Row>,
    pub(crate) missing: Vec<String>,
}

/// Finds what `needs` needs; installs what is missing where it may.
pub(crate) fn ensure(needs: Needs, network: &Network) -> Programs {
    let hosts = if can_be_root() { &HOST_PROGRAMS[..] } else { &[] };
    let needed = || PROGRAMS.iter().chain(hosts).filter(|program| needs.cover(program.part));
    let absent: Vec<&Program> = needed().filter(|program| (program.find)().is_none()).collect();
    let mut packages: Vec<&str> = absent.iter().map(|program| program.package).collect();
    packages.dedup();
    let mut missing = Vec::new();
    if !packages.is_empty()
        && let Err(reason) = install(&packages, network)
    {
        missing.push(format!("missing programs: {reason}"));
    }
    let mut rows = Vec::new();
    for program in needed() {
        let new = absent.iter().any(|absent| absent.what == program.what);
        match (program.find)() {
            Some(path) => rows.push(Row { what: program.what, from: path.display().to_string(), new }),
            None if missing.is_empty() => {
                missing
                    .push(format!("no {} even after the installation of {}", program.what, program.package));
            }
            None => {}
        }
    }
    if needs.cover(Needs::Tests) {
        rows.extend(browser(network));
    }
    Programs { rows, missing }
}

/// Finds or installs the browser; where that cannot be, its rows say so and nothing is missing.
fn browser(network: &Network) -> Vec<Row> {
    let absent = Vec::from_iter(BROWSER.iter().filter(|program| (program.find)().is_none()));
    let packages = Vec::from_iter(absent.iter().map(|program| program.package));
    let installed = if packages.is_empty() { Ok(()) } else { install(&packages, network) };
    let why = installed.err().unwrap_or_else(|| "not found after its installation".to_owned());
    let row = |program: &Program| {
        let new = absent.iter().any(|absent| absent.what == program.what);
        match (program.find)() {
            Some(path) => Row { what: program.what, from: path.display().to_string(), new },
            None => Row::present(program.what, format!("left out, and with it the tests of pages: {why}")),
        }
    };
    BROWSER.iter().map(row).collect()
}

/// How commands are run as root here.
enum Root {
    Already,
    Sudo,
}

/// Installs Debian packages, or tells the command that would.
fn install(packages: &[&str], network: &Network) -> Result<(), String> {
    let list = packages.join(" ");
    if on_path("apt-get").is_none() {
        return Err(format!("install what Debian calls: {list}"));
    }
    let by_hand = format!("install them with `sudo apt-get install {list}`");
    if network.is_off() {
        return Err(format!("{by_hand} (nothing is installed: --offline)"));
    }
    let root = root().ok_or_else(|| by_hand.clone())?;
    eprintln!("installing {list} with apt-get");
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    // Lists of packages may be missing, or so old that what they name is gone.
    let installed = apt(&root, &install).or_else(|_| {
        apt(&root, &["update"])?;
        apt(&root, &install)
    });
    installed.map_err(|error| format!("apt-get failed ({error}); {by_hand}"))
}

/// Whether this user is root, or becomes it without a password.
pub(crate) fn can_be_root() -> bool {
    root().is_some()
}

fn root() -> Option<Root> {
    if geteuid().is_root() {
        return Some(Root::Already);
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    sudo.is_ok_and(|status| status.success()).then_some(Root::Sudo)
}

/// Runs apt-get; on failure, the last line that it said.
fn apt(root: &Root, arguments: &[&str]) -> Result<(), String> {
    let mut words: Vec<&OsStr> = match root {
        Root::Already => vec![],
        Root::Sudo => vec!["sudo".as_ref(), "-n".as_ref()],
    };
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"].map(OsStr::new));
    words.extend(arguments.iter().map(OsStr::new));
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it said nothing").to_owned())
}

/// $CXX, or what the `cc` crate would start.
fn compiler() -> Option<PathBuf> {
    match env::var_os("CXX") {
        // It may be a command with words after the program: `ccache g++`.
        Some(set) => on_path(set.to_str()?.split_whitespace().next()?),
        None => on_path("c++").or_else(|| on_path("g++")),
    }
}

/// The assembler of libjpeg-turbo's fast paths on x86; elsewhere they are C.
fn nasm() -> Option<PathBuf> {
    on_path("nasm").or_else(|| cfg!(not(target_arch = "x86_64")).then(|| PathBuf::from("not needed here")))
}

/// What openssl-sys looks for: `$OPENSSL_DIR`, or the headers of the system.
fn openssl() -> Option<PathBuf> {
    if let Some(set) = env::var_os("OPENSSL_DIR") {
        return existing(Path::new(&set).join("include/openssl/ssl.h"));
    }
    existing("/usr/include/openssl/ssl.h").or_else(|| existing("/usr/local/include/openssl/ssl.h"))
}

/// By any of its names: what a distribution calls it, and the builds of its makers.
fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].into_iter().find_map(on_path)
}

fn perl() -> Option<PathBuf> {
    let modules = ["-MFindBin", "-MIPC::Cmd", "-MFile::Compare", "-MTime::Piece", "-e1"];
    let has = Command::new("perl").args(modules).stderr(Stdio::null()).status();
    on_path("perl").filter(|_| has.is_ok_and(|status| status.success()))
}

/// Python's own module for environments; Debian has it apart, and without it the folder is made half.
fn venv() -> Option<PathBuf> {
    let ensured =
        Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
    on_path("python3").filter(|_| ensured.is_ok_and(|status| status.success()))
}

/// The folder is not on everybody's PATH.
fn on_sbin_path(program: &str) -> Option<PathBuf> {
    on_path(program).or_else(|| existing(Path::new("/usr/sbin").join(program)))
}

fn existing(path: impl Into<PathBuf>) -> Option<PathBuf> {
    Some(path.into()).filter(|path| path.exists())
}

fn on_path(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).map(|folder| folder.join(program.as_ref())).find(|path| path.is_file())
}
