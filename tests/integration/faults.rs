//! The verdict is proved on seeded faults: each is caught by the check that is named for it, and what is sound passes.

use gpu_faults::catalogue::{CATALOGUE, Program};
use gpu_harness_tests::faults;
use gpu_suites::outcome::Outcome;

/// The faults of a program that are not caught as the catalogue says.
fn escaped(of: Program) -> Vec<String> {
    let judged = faults::every_fault(of, 1);
    assert!(!judged.is_empty(), "{of:?} has faults");
    judged.iter().filter_map(|(entry, judged)| judged.against(entry)).collect()
}

#[test]
fn each_fault_of_training_is_caught_by_the_check_that_is_named_for_it() {
    assert_eq!(escaped(Program::Training), Vec::<String>::new());
}

#[test]
fn each_fault_of_inference_is_caught_by_the_check_that_is_named_for_it() {
    assert_eq!(escaped(Program::Inference), Vec::<String>::new());
}

#[test]
fn five_percent_of_work_are_seen_on_a_machine_whose_speed_moves_by_more() {
    assert_eq!(escaped(Program::Rate), Vec::<String>::new());
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
        let check = &entry.caught_by;
        let row = format!("| `{}` | {} | [{check}](#{check})", entry.name, entry.what);
        assert!(text.contains(&row), "docs/checks.md has no row that begins: {row}");
    }
}
