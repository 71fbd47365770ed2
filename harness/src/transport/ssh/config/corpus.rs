//! Configurations of all sorts (fixtures/ssh), each read here and asked of ssh: both have to come to the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Settings, SshOptions};
use crate::here::Env;
use crate::transport::ssh::accounts;
use crate::transport::ssh::address::Address;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures/ssh")
}

/// Each configuration with the addresses that it is asked for, written to a folder for ssh to read.
fn configurations(folder: &Path) -> Vec<(String, PathBuf, Vec<Address>)> {
    let copy = |from: &Path, to: &Path| {
        let text = std::fs::read_to_string(from).unwrap().replace("@HERE@", &folder.display().to_string());
        std::fs::write(to, &text).unwrap();
        text
    };
    std::fs::create_dir(folder.join("include")).unwrap();
    for entry in std::fs::read_dir(corpus().join("include")).unwrap() {
        let path = entry.unwrap().path();
        copy(&path, &folder.join("include").join(path.file_name().unwrap()));
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "conf") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let file = folder.join(&name);
            let text = copy(&path, &file);
            let asked =
                text.lines().next().and_then(|line| line.strip_prefix("# ask: ")).expect("what to ask");
            let addresses =
                asked.split_whitespace().map(|address| Address::parse(&format!("ssh://{address}")).unwrap());
            all.push((name, file, addresses.collect()));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Neither the machine's configuration nor the environment counts, and the home is the one that ssh goes by.
fn options(config: &Path, ssh: Vec<String>) -> SshOptions {
    let own = accounts::own(&Env::default());
    let env = Env::of_process();
    SshOptions { agent: Some("/the/agent".into()), ssh, env, ..SshOptions::below(own.home, config) }
}

fn find(address: &Address, options: &SshOptions) -> Settings {
    Settings::find(address, options)
        .unwrap_or_else(|error| panic!("{} {address:?}: {error}", options.config.display()))
}

#[test]
fn what_is_read_is_what_ssh_itself_takes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file, addresses) in configurations(folder.path()) {
        let ssh = ["ssh", "-F", file.to_str().unwrap()].map(str::to_owned).to_vec();
        for address in addresses {
            let read = find(&address, &options(&file, Vec::new()));
            let mut asked = find(&address, &options(&file, ssh.clone()));
            // Which keys are usual differs from one ssh to the next.
            let is_old = |file: &PathBuf| file.ends_with(".ssh/id_xmss") || file.ends_with(".ssh/id_dsa");
            let is_new = |file: &PathBuf| file.ends_with(".ssh/id_mldsa44_ed25519");
            asked.identities.retain(|file| !is_old(file) && !is_new(file));
            assert_eq!(read, asked, "{name} {address:?}: read (left) and asked (right)");
        }
    }
    assert!(!folder.path().join("never").exists(), "a condition was tried that could change nothing");
}

#[test]
fn what_is_read_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let usual =
        find(&Address::parse("ssh://usual").unwrap(), &options(Path::new("/nonexistent/config"), Vec::new()));
    let (mut said, own) = (String::new(), accounts::own(&Env::default()));
    let uid = rustix::process::getuid().as_raw();
    for (name, file, addresses) in configurations(folder.path()) {
        for address in addresses {
            let settings = find(&address, &options(&file, Vec::new()));
            let user = address.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
            let _ = writeln!(said, "{name} {user}{}: {}", address.host, told(&settings, &usual));
        }
    }
    let said = without_hashes(&said).replace(&format!("{}@", own.name), "ME@");
    let said = said.replace(&own.home.display().to_string(), "HOME");
    insta::assert_snapshot!(said.replace(&format!("-{}-{uid}-", own.name), "-ME-UID-"));
}

/// What of it is not as usual.
fn told(settings: &Settings, usual: &Settings) -> String {
    let files =
        |files: &[PathBuf]| Vec::from_iter(files.iter().map(|file| file.display().to_string())).join(", ");
    let mut told = format!("{}@{} {}", settings.user, settings.host, settings.port);
    let mut add = |name: &str, differs: bool, value: String| {
        if differs {
            let _ = write!(told, "\n  {name} {value}");
        }
    };
    add("way", settings.way != usual.way, format!("{:?}", settings.way));
    add("family", settings.family != usual.family, format!("{:?}", settings.family));
    add("from", settings.bind_address != usual.bind_address, format!("{:?}", settings.bind_address));
    add(
        "interface",
        settings.bind_interface != usual.bind_interface,
        format!("{:?}", settings.bind_interface),
    );
    add(
        "limit",
        settings.connect_timeout != usual.connect_timeout,
        format!("{:?}", settings.connect_timeout),
    );
    add("alias", settings.key_alias != usual.key_alias, format!("{:?}", settings.key_alias));
    add("known hosts", settings.known_hosts != usual.known_hosts, files(&settings.known_hosts));
    add("revoked", settings.revoked != usual.revoked, files(&settings.revoked));
    add("not followed", settings.not_followed != usual.not_followed, settings.not_followed.join(", "));
    add("agent", settings.agent != usual.agent, format!("{:?}", settings.agent));
    add("no keys by", settings.no_keys != usual.no_keys, format!("{:?}", settings.no_keys));
    add("only these", settings.identities_only, String::new());
    add("keys", settings.identities != usual.identities, files(&settings.identities));
    add("certificates", settings.certificates != usual.certificates, files(&settings.certificates));
    told
}

/// The text with each `%C`, which is another on every machine, under one name.
fn without_hashes(said: &str) -> String {
    let is_hash = |word: &&str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hashes = Vec::from_iter(said.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_hash));
    hashes.iter().fold(said.to_owned(), |text, hash| text.replace(hash, "HASH"))
}
