use gpu_suites::metrics::Value;
use gpu_suites::outcome::Outcome;
use jiff::Timestamp;

use super::super::{Key, Line, show};
use super::*;
use crate::config::Config;

/// A night of a metric, driver and value.
fn line(night: i64, metric: &str, driver: &str, value: f64) -> Line {
    Line {
        run: format!("20261101-000000-{night:08x}").as_str().into(),
        at: Timestamp::from_second(1_790_000_000 + night * 86_400).unwrap(),
        suite: "nightly".into(),
        case: "unet".into(),
        metric: Some(metric.into()),
        value: Some(Value::Number(value)),
        measured: vec![],
        key: Key { device: Some("NVIDIA L4".into()), driver: Some(driver.into()), ..Key::default() },
        commit: Some(format!("c{night:06x}")),
        outcome: Outcome::Passed,
        flaky: false,
        healthy: true,
        unhealthy: None,
    }
}

fn noise(night: i64) -> f64 {
    [0.3, -0.4, 0.1, 0.6, -0.2, 0.0, -0.5, 0.4][usize::try_from(night % 8).unwrap()]
}

/// Series that stand in every way, and one whose driver changed.
fn history() -> History {
    let mut lines = Vec::new();
    for night in 0..40_i64 {
        let last = night == 39;
        lines.push(line(night, "fine/items_per_second", "590", 100.0 + noise(night)));
        lines.push(line(
            night,
            "slower/items_per_second",
            "590",
            if last { 90.0 } else { 100.0 + noise(night) },
        ));
        lines.push(line(
            night,
            "drift/latency_p50_ms",
            "590",
            10.0 + 0.01 * night as f64 + noise(night) / 100.0,
        ));
        lines.push(line(night, "forms", "590", 3.0));
        let driver = if night < 25 { "580" } else { "590" };
        lines.push(line(night, "moved/items_per_second", driver, 100.0 + noise(night)));
        if night > 33 {
            lines.push(line(night, "young/items_per_second", "590", 100.0));
        }
    }
    for line in lines.iter_mut().filter(|line| line.value == Some(Value::Number(90.0))) {
        line.measured = vec![Value::Number(90.0); 3];
    }
    History { lines, skipped: vec![], runs: 40 }
}

fn page(history: &History) -> String {
    let judge = Judge::of(&Config::default()).unwrap();
    let entries = show::entries(history, None, &judge);
    html(&"history".parse().unwrap(), history, &entries, &judge).unwrap()
}

#[test]
fn the_worst_comes_first_and_every_standing_is_told() {
    let page = page(&history());
    assert!(page.contains("1 metric regressed"), "{page}");
    let rows =
        Vec::from_iter(page.split("<tr data-series=").skip(1).map(|row| row.split("</tr>").next().unwrap()));
    let told = Vec::from_iter(rows.iter().map(|row| {
        let status = row.split("data-status=\"").nth(1).unwrap().split('"').next().unwrap();
        let metric = row.split("data-label=\"Metric\">").nth(1).unwrap().split('<').next().unwrap();
        format!("{status} {}", metric.replace("&#x2f;", "/"))
    }));
    insta::assert_snapshot!(told.join("\n"), @r"
    regressed slower/items_per_second
    drifting drift/latency_p50_ms
    insufficient-data young/items_per_second
    fine fine/items_per_second
    fine moved/items_per_second
    not-judged forms
    superseded moved/items_per_second
    ");
}

#[test]
fn changes_are_told_with_commit_gpu_and_driver() {
    let page = page(&history());
    assert!(page.contains("measured on something else from here on: driver 580 → 590"), "{page}");
    let drift = page.split("the level changed by").nth(1).unwrap();
    assert!(drift.contains("(NVIDIA L4, driver 590)"), "{drift}");
    assert!(page.contains(", commit c0000"), "{page}");
}

#[test]
fn the_page_has_the_rules_own_band() {
    let judge = Judge::of(&Config::default()).unwrap();
    let history = history();
    let entries = show::entries(&history, None, &judge);
    let entry = entries.iter().find(|entry| entry.metric == "slower/items_per_second").unwrap();
    let against = *entry.verdict.as_ref().unwrap().against().unwrap();
    let page = page(&history);
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    // The worst series is the first.
    let plot = &data["plots"]["0"];
    assert_eq!(plot["median"][39], crate::page::plotted(against.median));
    assert_eq!(plot["low"][39], crate::page::plotted(against.bound));
    assert_eq!(plot["low"][5], serde_json::Value::Null, "too few nights have no band");
    assert_eq!(plot["at"].as_array().unwrap().len(), 40);
}

#[test]
fn hostile_names_are_text() {
    let hostile = "</script><script>alert(1)</script>\u{202e}";
    let mut history = history();
    for line in &mut history.lines {
        (line.suite, line.case) = (hostile.into(), hostile.into());
        (line.metric, line.commit) = (Some(format!("{hostile}/loss")), Some(hostile.into()));
        line.key.device = Some(hostile.into());
    }
    let page = page(&history);
    assert_eq!(page.matches("<script").count(), 5);
    assert!(!page.contains("<script>alert") && !page.contains('\u{202e}'));
}
