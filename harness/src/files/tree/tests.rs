//! Trees of every kind, as the real git lists them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use gpu_suites::spec::InputPath;

use super::caches::{CACHE_SIGNATURE, CACHE_TAG};
use super::{List, Tree};

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]);
    let done = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// A working tree with these files, the first ones known to git.
fn tree(known: &[&str], new: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q"]);
    for (names, is_known) in [(known, true), (new, false)] {
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
            if is_known {
                git(folder.path(), &["add", "-f", name]);
            }
        }
    }
    folder
}

fn read(folder: &Path) -> (Vec<String>, BTreeMap<String, String>, Vec<String>) {
    let List { files, links, left_out } = List::read(folder, &[]).unwrap();
    let links = links.into_iter().map(|(name, target)| (name.0, target)).collect();
    (files.into_keys().map(|name| name.0).collect(), links, left_out)
}

#[test]
fn a_tree_is_what_git_does_not_ignore_new_files_included_and_deleted_ones_not() {
    let folder = tree(&["a.py", "gone.py"], &["b.log", "build/x", "src/ne w.py"]);
    let at = folder.path();
    fs::write(at.join(".gitignore"), "*.log\nbuild/\n").unwrap();
    fs::remove_file(at.join("gone.py")).unwrap();
    let tree = Tree::read(at, &[]).unwrap();
    let names = Vec::from_iter(tree.files.keys().map(|name| name.0.as_str()));
    assert_eq!(names, [".gitignore", "a.py", "src/ne w.py"]);
    assert!(tree.left_out.is_empty(), "{:?}", tree.left_out);
    let below = Tree::read(&at.join("src"), &[]).unwrap();
    assert_eq!(Vec::from_iter(below.files.keys().map(|name| name.0.as_str())), ["ne w.py"]);
}

#[test]
fn a_link_goes_as_a_link_where_what_it_leads_to_goes_and_else_is_told() {
    let folder = tree(&["data/n.txt", "sub/own.txt", "secret", ".gitignore"], &["ignored.bin"]);
    let at = folder.path();
    fs::write(at.join(".gitignore"), "ignored.bin\n").unwrap();
    for (link, target) in [
        ("to-folder", "data"),
        ("to-file", "data/n.txt"),
        ("sub/up", "../data/n.txt"),
        ("sub/chain", "up"),
        ("absolute", &at.join("data").display().to_string()),
        ("loop", "loop"),
        ("dangling", "nothing"),
        ("out", "/etc/passwd"),
        ("zero", "/dev/zero"),
        ("config", ".git/config"),
        ("ignored", "ignored.bin"),
    ] {
        symlink(target, at.join(link)).unwrap();
    }
    let (files, links, left_out) = read(at);
    assert_eq!(files, [".gitignore", "data/n.txt", "secret", "sub/own.txt"]);
    let wanted = [
        ("absolute", "data"),
        ("sub/chain", "../data/n.txt"),
        ("sub/up", "../data/n.txt"),
        ("to-file", "data/n.txt"),
        ("to-folder", "data"),
    ];
    assert_eq!(links, wanted.map(|(name, to)| (name.to_owned(), to.to_owned())).into());
    let mut left_out = left_out;
    left_out.sort_unstable();
    let wanted = [
        "config: a link into git's own folder",
        "dangling: a link to what is not there",
        "ignored: a link to what is not sent",
        "loop: a link that leads back to itself",
        "out: a link that leads out of the project",
        "zero: a link that leads out of the project",
    ];
    assert_eq!(left_out, wanted);
    // From a folder within, what lies beside it is copied, and what holds it is not.
    symlink("..", at.join("sub/all")).unwrap();
    symlink("../data", at.join("sub/data")).unwrap();
    let (files, links, left_out) = read(&at.join("sub"));
    assert_eq!(files, ["chain", "data/n.txt", "own.txt", "up"].map(str::to_owned));
    assert!(
        links.is_empty() && left_out == ["all: a link to a folder that holds this one"],
        "{links:?} {left_out:?}"
    );
}

#[test]
fn what_is_no_file_is_told_by_name_and_waited_for_by_nobody() {
    let folder = tree(&["was-a-file", "data/n.txt"], &[]);
    let at = folder.path();
    fs::remove_file(at.join("was-a-file")).unwrap();
    let made = Command::new("mkfifo").arg(at.join("was-a-file")).status().unwrap();
    assert!(made.success());
    symlink("was-a-file", at.join(".env")).unwrap();
    fs::write(at.join(std::ffi::OsStr::from_bytes(b"no\xfftext")), "").unwrap();
    fs::write(at.join("new\nline"), "").unwrap();
    let tree = Tree::read(at, &[]).unwrap();
    let names = Vec::from_iter(tree.files.keys().map(|name| name.0.as_str()));
    assert_eq!(names, ["data/n.txt", "new\nline"]);
    let mut left_out = tree.left_out;
    left_out.sort_unstable();
    let wanted =
        [".env: a link to a named pipe", "no\u{fffd}text: its name is not UTF-8", "was-a-file: a named pipe"];
    assert_eq!(left_out, wanted);
}

#[test]
fn what_this_project_and_other_tools_made_for_themselves_stays() {
    let folder = tree(
        &["a.py", "gpu-harness-runs/r/events.ndjson"],
        &["gpu-harness-runs/r2/junit.xml", "runs/r/x", "target/debug/big", "vendor/tagged/x"],
    );
    let at = folder.path();
    for cache in ["target", "vendor/tagged"] {
        fs::write(at.join(cache).join(CACHE_TAG), [CACHE_SIGNATURE, b"\n"].concat()).unwrap();
    }
    git(at, &["add", "vendor"]);
    let list = List::read(at, &[at.join("runs"), at.to_owned(), at.join("not-there")]).unwrap();
    let names = Vec::from_iter(list.files.keys().map(|name| name.0.as_str()));
    assert_eq!(
        names,
        ["a.py", "vendor/tagged/CACHEDIR.TAG", "vendor/tagged/x"],
        "what git knows is no cache"
    );
    assert_eq!(list.left_out, ["target/: a cache (CACHEDIR.TAG)"]);
}

#[test]
fn submodules_and_repositories_within_go_with_their_files() {
    let other = tree(&["lib.py"], &[]);
    git(other.path(), &["commit", "-qm", "x"]);
    let folder = tree(&["a.py"], &["nested/n.py"]);
    let at = folder.path();
    let from = other.path().display().to_string();
    git(at, &["submodule", "--quiet", "add", &from, "sub"]);
    git(&at.join("nested"), &["init", "-q"]);
    fs::write(at.join("sub/new.py"), "").unwrap();
    let (files, _, left_out) = read(at);
    assert_eq!(files, [".gitmodules", "a.py", "nested/n.py", "sub/lib.py", "sub/new.py"]);
    assert!(left_out.is_empty(), "{left_out:?}");
    git(at, &["submodule", "--quiet", "deinit", "-f", "sub"]);
    assert_eq!(read(at).2, ["sub: a submodule that is not checked out"]);
}

#[test]
fn a_file_whose_folder_became_a_link_goes_where_the_link_leads() {
    let folder = tree(&["data/n.txt", "old/n.txt"], &[]);
    let at = folder.path();
    fs::remove_dir_all(at.join("old")).unwrap();
    symlink("data", at.join("old")).unwrap();
    let (files, links, left_out) = read(at);
    assert_eq!((files, left_out.len()), (vec!["data/n.txt".to_owned()], 0));
    assert_eq!(links["old"], "data");
}

#[test]
fn worktrees_sparse_checkouts_conflicts_and_unchanged_files_are_listed_as_they_are() {
    let folder = tree(&["a/x", "b/y", "both"], &[]);
    let at = folder.path();
    git(at, &["commit", "-qm", "x"]);
    git(at, &["update-index", "--assume-unchanged", "both"]);
    fs::write(at.join("both"), "another").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let worktree = elsewhere.path().join("wt");
    git(at, &["worktree", "add", "-q", "--detach", &worktree.display().to_string()]);
    git(&worktree, &["sparse-checkout", "set", "a"]);
    assert_eq!(read(&worktree).0, ["a/x", "both"]);
    let blob = Tree::read(at, &[]).unwrap().files[&InputPath("both".into())].clone();
    assert_eq!(blob.bytes, "another".len() as u64, "what is there is sent, whatever git was told");
    assert!(List::read(&at.join(".git"), &[]).unwrap_err().to_string().contains("work tree"));
}

#[test]
fn a_folder_that_is_no_working_tree_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tree::read(folder.path(), &[]).unwrap_err().to_string();
    assert!(error.contains("--sync sends a git working tree"), "{error}");
}
