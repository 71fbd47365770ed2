//! Small inputs on which results, or what reached a node, were wrong once: each kind by a name, with the tests that hold
//! the right value. Most kinds are known from reports of other tools.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::test;

/// A kind of input, and what is promised of it.
struct Case {
    name: &'static str,
    promise: &'static str,
    /// A program of tests (nextest's `binary-id`) and a test in it, each.
    tests: &'static [(&'static str, &'static str)],
}

const HARNESS: &str = "gpu-harness";
const INTEGRATION: &str = "gpu-harness-tests::integration";
const WORKER: &str = "gpu-worker::bin/gpu-worker";
const CHECKS: &str = "gpu-suites::checks";
const METRICS: &str = "gpu-suites::metrics";
const PIXELS: &str = "gpu-pixels";
const SUITES: &str = "gpu-suites";
const STORES: &str = "gpu-stores";

const CASES: &[Case] = &[
    Case {
        name: "brought-back-as-it-was",
        promise: "programs, links and empty folders come back from a node as such",
        tests: &[
            (INTEGRATION, "exec_tree::what_comes_back_keeps_its_mode_its_links_and_its_empty_folders"),
            (INTEGRATION, "exec_tree::what_was_to_come_back_and_does_not_is_no_success"),
        ],
    },
    Case {
        name: "cargo-environment",
        promise: "cargo's [env], its variables, linked files and the test itself are there on the node",
        tests: &[(
            INTEGRATION,
            "cargo_targets::what_cargo_says_of_the_environment_and_the_files_holds_there_too",
        )],
    },
    Case {
        name: "cargo-path-with-a-blank",
        promise: "gpu-harness runs a project's tests from a folder whose name has a blank",
        tests: &[(INTEGRATION, "cargo_targets::a_path_with_a_blank_is_one_path")],
    },
    Case {
        name: "cargo-target-of-the-project",
        promise: "tests of a target that .cargo/config.toml names run on the node too",
        tests: &[
            (INTEGRATION, "cargo_targets::a_target_that_the_project_names_runs_on_the_node_as_well"),
            (INTEGRATION, "cargo_targets::a_runner_of_the_users_own_is_not_used_without_a_word"),
        ],
    },
    Case {
        name: "chmod-after-sync",
        promise: "a file is a program on the node by its own mode, whatever was sent before",
        tests: &[(
            INTEGRATION,
            "exec_tree::a_file_is_a_program_by_its_own_mode_whatever_has_the_same_content",
        )],
    },
    Case {
        name: "closed-output",
        promise: "output that is closed, unread or does not fit is no panic, and what could not be said no success",
        tests: &[
            (INTEGRATION, "closed_output::a_reader_that_goes_or_was_never_there_is_no_trouble"),
            (INTEGRATION, "closed_output::what_does_not_fit_is_no_success"),
            (INTEGRATION, "closed_output::a_folder_that_is_no_more_is_an_error_and_no_panic"),
            (INTEGRATION, "exec_streams::a_full_disk_is_no_success_and_the_command_goes_on"),
        ],
    },
    Case {
        name: "dangling-link-is-an-image",
        promise: "a link without a target is a row with an error, not an image less",
        tests: &[
            (INTEGRATION, "pipeline::what_has_a_name_in_the_folder_is_a_row_whatever_it_is"),
            (STORES, "folder::tests::whatever_has_a_name_is_listed_and_what_cannot_be_read_says_what_it_is"),
        ],
    },
    Case {
        name: "dice-loss-is-a-loss",
        promise: "of `val/dice_loss` more is worse: its last known word says so",
        tests: &[
            (INTEGRATION, "right_answers::four_times_the_dice_loss_is_worse_and_a_fifth_of_it_is_not"),
            (SUITES, "regression::direction::tests::a_name_says_which_way_is_better"),
        ],
    },
    Case {
        name: "exec-long-line",
        promise: "a command's output arrives byte for byte, however long a line is",
        tests: &[(INTEGRATION, "exec_streams::output_is_the_commands_own_byte_for_byte")],
    },
    Case {
        name: "exec-reader-that-goes",
        promise: "a command whose reader has gone (`| head -1`) ends soon",
        tests: &[(INTEGRATION, "exec_streams::it_ends_soon_when_its_reader_goes_whether_it_prints_or_not")],
    },
    Case {
        name: "file-written-while-sent",
        promise: "files that change, grow or vanish while they are sent cost no run",
        tests: &[(INTEGRATION, "exec_tree::files_that_are_written_while_they_are_sent_cost_no_run")],
    },
    Case {
        name: "geotiff-pixel-is-point",
        promise: "an image's place is the one that rasterio says, PixelIsPoint or not",
        tests: &[(PIXELS, "geo::tests::the_place_is_the_one_that_rasterio_says")],
    },
    Case {
        name: "geotiff-tiled-or-planar",
        promise: "tiles that reach over the edge, LZW and planes are decoded as GDAL does",
        tests: &[(PIXELS, "corpus::every_image_is_decoded_as_the_references_do_or_refused_by_name")],
    },
    Case {
        name: "image-of-extreme-shape",
        promise: "an image of 1 × 65500 pixels takes no more memory than the case gives to images",
        tests: &[(INTEGRATION, "pixels::an_image_takes_no_more_than_its_share_of_memory_whatever_its_shape")],
    },
    Case {
        name: "jpeg-bytes-between-segments",
        promise: "a JPEG with bytes between its segments is whole, as for libjpeg",
        tests: &[(PIXELS, "corpus::every_image_is_decoded_as_the_references_do_or_refused_by_name")],
    },
    Case {
        name: "jpeg-non-interleaved",
        promise: "a JPEG with a scan for each component has its colours, whatever its sampling",
        tests: &[(PIXELS, "corpus::every_image_is_decoded_as_the_references_do_or_refused_by_name")],
    },
    Case {
        name: "junit-dialects",
        promise: "no test of a JUnit report is lost: nested suites, suites' own errors, control characters, encodings",
        tests: &[
            (INTEGRATION, "exec_reports::control_characters_and_encodings_cost_no_test"),
            (HARNESS, "report::merged::tests::every_dialect_says_how_its_tests_ended"),
            (HARNESS, "report::merged::tests::a_suites_own_error_is_a_test_that_did_not_pass"),
            (HARNESS, "report::merged::tests::a_report_is_read_in_whatever_it_is_written"),
            (HARNESS, "report::merged::tests::characters_that_are_no_xml_cost_no_test"),
        ],
    },
    Case {
        name: "junit-of-the-run-before",
        promise: "a report that this run did not write is none of its own",
        tests: &[(INTEGRATION, "exec_reports::a_report_of_the_run_before_is_none_of_this_one")],
    },
    Case {
        name: "junit-unreadable",
        promise: "a report that is broken off or missing is no pass, and is said",
        tests: &[
            (INTEGRATION, "right_answers::a_junit_report_that_cannot_be_read_or_is_not_there_is_no_pass"),
            (INTEGRATION, "exec_reports::what_is_not_taken_in_is_said_and_is_no_pass"),
        ],
    },
    Case {
        name: "login-shell-of-any-kind",
        promise: "words, files and folders reach a node whatever its login shell makes of quotes",
        tests: &[
            (INTEGRATION, "ssh_shells::words_reach_the_program_whatever_the_login_shell"),
            (INTEGRATION, "ssh_shells::a_run_works_whatever_the_login_shell_and_the_name_of_its_folder"),
        ],
    },
    Case {
        name: "loss-of-nan",
        promise: "a loss that is NaN or infinite fails, however the program spells it",
        tests: &[
            (INTEGRATION, "right_answers::a_loss_that_becomes_no_number_fails_however_it_is_spelled"),
            (METRICS, "what_is_not_finite_is_a_value_however_it_is_spelled"),
        ],
    },
    Case {
        name: "metric-that-vanished",
        promise: "a metric that most nights had and that no longer comes is said",
        tests: &[(INTEGRATION, "right_answers::a_metric_that_vanished_is_said_wherever_one_looks")],
    },
    Case {
        name: "model-that-raises",
        promise: "a model whose forward raises is a failed case, not a bad node",
        tests: &[(INTEGRATION, "pipeline::a_model_that_raises_is_a_failure_in_every_kind_of_case")],
    },
    Case {
        name: "negative-loss-that-rises",
        promise: "a loss below 0 that rose or never moved does not pass `loss-drop`",
        tests: &[(CHECKS, "table::each_check_holds_where_all_is_well_and_says_what_is_not")],
    },
    Case {
        name: "nextest-beside-its-run",
        promise: "what a run writes into the tree disturbs no test that nextest starts meanwhile",
        tests: &[(INTEGRATION, "cargo_targets::what_a_run_writes_meanwhile_disturbs_no_test_of_nextest")],
    },
    Case {
        name: "numbers-at-their-ends",
        promise: "the longest spans and the largest counts are taken or refused, and panic nowhere",
        tests: &[
            (INTEGRATION, "huge_numbers::spans_without_end_are_no_limit_and_odd_ones_are_refused"),
            (INTEGRATION, "huge_numbers::counts_and_amounts_are_taken_at_their_ends"),
            (INTEGRATION, "huge_numbers::files_may_say_as_much_as_they_like"),
        ],
    },
    Case {
        name: "old-git",
        promise: "a working tree is sent with a git of 2020, too",
        tests: &[(INTEGRATION, "exec_tree::an_old_git_will_do_and_none_is_told")],
    },
    Case {
        name: "pipe-in-the-tree",
        promise: "a named pipe or a device is told by name, and waited for by nobody",
        tests: &[
            (INTEGRATION, "exec_tree::links_travel_as_links_and_what_leads_out_stays_and_is_told"),
            (INTEGRATION, "exec_tree::a_pipe_that_a_suite_names_is_refused_at_once"),
            (HARNESS, "files::tree::tests::what_is_no_file_is_told_by_name_and_waited_for_by_nobody"),
        ],
    },
    Case {
        name: "predictions-of-nan",
        promise: "an answer that is NaN is a row with an error, and never holds against a known one",
        tests: &[(
            INTEGRATION,
            "pipeline::an_answer_that_is_no_number_is_a_row_with_an_error_and_never_a_pass",
        )],
    },
    Case {
        name: "s3-archived-object",
        promise: "one archived object is its own row's error, and ends no run",
        tests: &[(
            INTEGRATION,
            "local_s3::what_is_one_objects_trouble_is_its_row_and_what_is_everyones_ends_the_run_by_its_name",
        )],
    },
    Case {
        name: "s3-wrong-region",
        promise: "a bucket of another region is said, with the AWS_REGION to set",
        tests: &[
            (
                INTEGRATION,
                "local_s3::what_is_one_objects_trouble_is_its_row_and_what_is_everyones_ends_the_run_by_its_name",
            ),
            (STORES, "s3::answer::tests::another_region_is_said_by_name_whatever_way_the_store_says_it"),
        ],
    },
    Case {
        name: "ssh-identities-only",
        promise: "of many keys in an agent only the named one is shown where IdentitiesOnly says so",
        tests: &[(
            INTEGRATION,
            "ssh_keys::of_many_keys_in_an_agent_only_the_named_one_is_shown_where_the_user_says_so",
        )],
    },
    Case {
        name: "ssh-match-of-another-host",
        promise: "a Match block about another host changes nothing",
        tests: &[
            (HARNESS, "transport::ssh::config::tests::a_block_about_another_host_changes_nothing"),
            (HARNESS, "transport::ssh::config::corpus::what_is_read_is_what_ssh_itself_takes"),
            (INTEGRATION, "ssh_trust::the_ssh_configuration_is_followed"),
        ],
    },
    Case {
        name: "ssh-quotes",
        promise: "quotes, comments, tokens and variables of ~/.ssh/config mean what they mean to ssh",
        tests: &[
            (
                HARNESS,
                "transport::ssh::config::line::tests::a_line_is_split_at_its_blanks_equals_signs_quotes_and_comments",
            ),
            (HARNESS, "transport::ssh::config::corpus::what_is_read_is_what_ssh_itself_takes"),
        ],
    },
    Case {
        name: "ssh-reconnect-storm",
        promise: "a node that cuts every command is given up, after a few logins",
        tests: &[(INTEGRATION, "ssh_storm::a_node_that_lets_us_in_and_cuts_every_command_is_given_up")],
    },
    Case {
        name: "ssh-shell-that-greets",
        promise: "what ~/.bashrc prints is none of a command's output",
        tests: &[
            (INTEGRATION, "ssh_shells::what_a_login_shell_says_before_is_not_the_commands_output"),
            (INTEGRATION, "ssh_shells::a_run_works_on_a_node_whose_shell_greets"),
        ],
    },
    Case {
        name: "ssh-values-of-no-use",
        promise: "options that are not used may have any value that ssh takes",
        tests: &[
            (
                HARNESS,
                "transport::ssh::config::tests::what_is_not_used_may_be_anything_and_what_is_used_is_told_by_its_line",
            ),
            (HARNESS, "transport::ssh::config::settings::tests::a_time_is_read_as_openssh_reads_it"),
            (HARNESS, "transport::ssh::config::corpus::what_is_read_is_what_ssh_itself_takes"),
        ],
    },
    Case {
        name: "tiff-of-floats",
        promise: "a TIFF of floating-point samples is refused by name, not shown white",
        tests: &[(PIXELS, "corpus::every_image_is_decoded_as_the_references_do_or_refused_by_name")],
    },
    Case {
        name: "train-on-half-a-jpeg",
        promise: "`train` refuses a JPEG that is cut off, as `pipeline` does",
        tests: &[(WORKER, "data::image::tests::half_a_jpeg_is_not_trained_on")],
    },
];

/// Passes the tests of the cases that are named, or of all; a case without a test is an error.
pub(crate) fn run(names: &[String]) -> Result<ExitCode> {
    let chosen = chosen(names)?;
    let filter = filter(&chosen);
    let ready = test::prepare()?;
    let listed = test::nextest(&ready, "list", &filter)?.args(["--message-format", "json"]).output();
    let listed = listed.context("failed to start `cargo nextest list`")?;
    if !listed.status.success() {
        bail!(
            "`cargo nextest list` failed ({}):\n{}",
            listed.status,
            String::from_utf8_lossy(&listed.stderr)
        );
    }
    let listed =
        serde_json::from_slice(&listed.stdout).context("failed to read what `cargo nextest list` says")?;
    let lost = lost(&chosen, &listed);
    if !lost.is_empty() {
        bail!("these cases name tests that are not there; mend xtask/src/cases.rs:\n{}", lost.join("\n"));
    }
    // All that went wrong at once, as in CI.
    let passed = test::nextest(&ready, "run", &filter)?.arg("--no-fail-fast").status();
    if !passed.context("failed to start `cargo nextest run`")?.success() {
        bail!("what these cases promise does not hold; above stands which tests failed");
    }
    for case in &chosen {
        println!("held: {:28} {}", case.name, case.promise);
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    if let Some(unknown) = names.iter().find(|name| CASES.iter().all(|case| case.name != **name)) {
        let known = Vec::from_iter(CASES.iter().map(|case| format!("  {:28} {}", case.name, case.promise)));
        bail!("there is no case named {unknown:?}; there are:\n{}", known.join("\n"));
    }
    let is_chosen = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(CASES.iter().filter(is_chosen).collect())
}

fn filter(cases: &[&Case]) -> String {
    let tests = cases.iter().flat_map(|case| case.tests);
    let exactly = tests.map(|(program, test)| format!("(binary_id(={program}) & test(={test}))"));
    Vec::from_iter(exactly).join(" | ")
}

/// The tests of `cases` that nextest would not run.
fn lost(cases: &[&Case], listed: &Value) -> Vec<String> {
    let is_run = |program: &str, test: &str| {
        let found = &listed["rust-suites"][program]["testcases"][test];
        found["filter-match"]["status"] == "matches" && found["ignored"] == false
    };
    let named = cases.iter().flat_map(|case| case.tests.iter().map(move |test| (case.name, test)));
    let lost = named.filter(|(_, (program, test))| !is_run(program, test));
    lost.map(|(name, (program, test))| format!("  {name}: {program} {test}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Where the sources of a program of tests lie.
    fn sources(program: &str) -> &'static str {
        match program {
            HARNESS => "harness/src",
            INTEGRATION => "tests/integration",
            WORKER => "gpu-worker/src",
            CHECKS => "suites/tests/checks",
            METRICS => "suites/tests/metrics",
            PIXELS => "pixels/src",
            SUITES => "suites/src",
            STORES => "stores/src",
            other => panic!("nobody has said where the sources of {other} are"),
        }
    }

    /// Whether a test is written in the file that its modules name, or in the one around them.
    fn is_written(program: &str, test: &str) -> bool {
        let (modules, name) = test.rsplit_once("::").unwrap_or(("", test));
        let around = modules.rsplit_once("::").map_or("", |(around, _)| around);
        [modules, around].iter().any(|modules| {
            let place = crate::cargo::root().join(sources(program)).join(modules.replace("::", "/"));
            let files = [place.with_extension("rs"), place.join("mod.rs"), place.join("main.rs")];
            let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
            texts.into_iter().any(|text| text.contains(&format!("fn {name}(")))
        })
    }

    #[test]
    fn every_case_has_tests_that_are_written_where_it_says() {
        for case in CASES {
            assert!(!case.tests.is_empty(), "{}", case.name);
            for (program, test) in case.tests {
                assert!(is_written(program, test), "{}: {program} {test}", case.name);
            }
        }
        assert!(!is_written(STORES, "folder::tests::whatever_has_no_name"));
    }

    #[test]
    fn cases_are_in_the_order_of_their_names_none_twice() {
        assert!(CASES.is_sorted_by(|one, next| one.name < next.name));
    }

    #[test]
    fn a_test_that_is_not_there_or_not_run_is_told_with_its_case() {
        let [case, ..] = CASES else { panic!("there are some") };
        let [(program, test), ..] = case.tests else { panic!("it has some") };
        let listed = |status: &str, ignored: bool| {
            let found = json!({ "ignored": ignored, "filter-match": { "status": status } });
            json!({ "rust-suites": { *program: { "testcases": { *test: found } } } })
        };
        let told = |listed: &Value| lost(&[case], listed).iter().any(|line| line.contains(test));
        assert!(!told(&listed("matches", false)));
        assert!(told(&listed("mismatch", false)) && told(&listed("matches", true)) && told(&json!({})));
    }

    #[test]
    fn a_name_that_is_no_case_says_which_there_are() {
        assert_eq!(chosen(&[]).unwrap().len(), CASES.len());
        assert_eq!(chosen(&["old-git".to_owned()]).unwrap().len(), 1);
        let said = chosen(&["old-gut".to_owned()]).err().expect("there is none").to_string();
        assert!(said.contains("old-gut") && said.contains("  old-git "), "{said}");
    }
}
