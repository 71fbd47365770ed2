//! The verdict is proved on seeded faults: each is caught by the check that is named for it, and what is sound passes.

use gpu_faults::catalogue::{CATALOGUE, Program};
use gpu_harness_tests::faults;
use gpu_suites::outcome::Outcome;

#[test]
fn each_fault_is_caught_by_the_check_that_is_named_for_it() {
    let wrong = faults::every_fault(1);
    let wrong = Vec::from_iter(wrong.iter().filter_map(|(entry, judged)| judged.against(entry)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_sound_versions_pass_with_any_seed() {
    for program in Program::ALL {
        for (seed, judged) in faults::sound(program, 0..5).iter().enumerate() {
            assert_eq!(judged.outcome, Outcome::Passed, "{program:?} with seed {seed}: {}", judged.reason);
        }
    }
}

#[test]
fn the_documents_have_a_row_for_each_fault() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("checks.md");
    let text = std::fs::read_to_string(path).expect("docs/checks.md");
    assert!(CATALOGUE.len() >= 25);
    for entry in CATALOGUE {
        let check = entry.caught_by;
        let row = format!("| `{}` | {} | [{check}](#{check})", entry.name, entry.what);
        assert!(text.contains(&row), "docs/checks.md has no row that begins: {row}");
    }
}
