//! The report and the trend page in a real Chromium: they open without a network, run nothing but their own scripts, and can be
//! used by keyboard, on a phone, in the dark and on paper.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpu_harness::history::{Key, Line, object};
use gpu_harness_tests::browser::Browser;
use gpu_harness_tests::process::within;
use gpu_harness_tests::project::Project;
use gpu_suites::metrics::Value as Metric;
use gpu_suites::outcome::Outcome;
use serde_json::{Value, json};

const HOSTILE: &str = "</script><script>window.owned=1</script><img src=x onerror=\"window.owned=2\">\u{202e}\x1b[2J' onfocus=window.owned=3 {{ 7*7 }}";

/// A run's folder with the events of a run that was told by a node.
struct Told {
    project: Project,
    events: String,
    seq: u64,
}

impl Told {
    fn new(cases: &[&str]) -> Self {
        let mut told = Self { project: Project::new(), events: String::new(), seq: 0 };
        let cases = cases.iter().map(|case| json!({ "id": case, "at": "suites/s.yaml:4" }));
        told.event(json!({ "kind": "run-created", "run": "20261122-214503-7f3a9c01", "harness": "0.1.0", "node": "lab",
            "cases": Vec::from_iter(cases), "commit": "1f9d3c2" }));
        told
    }

    /// An event, a tenth of a second after the one before. What has a case comes from the node.
    fn event(&mut self, mut event: Value) {
        let at = jiff::Timestamp::from_millisecond(1_790_000_000_000 + self.seq.cast_signed() * 100).unwrap();
        event["seq"] = self.seq.into();
        event["at"] = at.to_string().into();
        if event.get("case").is_some() {
            event["from"] = json!({ "node": "lab", "seq": self.seq });
        }
        writeln!(self.events, "{event}").expect("a string takes it");
        self.seq += 1;
    }

    /// The report that `gpu-harness report` makes of it.
    fn report(self) -> (Project, PathBuf) {
        let project = self.project.file("run/events.ndjson", self.events);
        let said = project.gpu_harness(&["report", "run"]);
        assert!(said.stderr.is_empty(), "{said:?}");
        let page = project.path().join("run/report.html");
        (project, page)
    }
}

/// Three cases: one that learned, with GPU samples, a picture and a pipeline's stages; one that failed; one that was never reached.
fn a_run() -> Told {
    let mut told =
        Told::new(&["s::learns", "s::fails", "s::never-reached-because-the-node-went-away-before-it"]);
    told.event(json!({ "kind": "case-started", "case": "s::learns", "attempt": 1 }));
    told.event(
        json!({ "kind": "device", "case": "s::learns", "facts": { "gpu": "NVIDIA L4", "driver": "590.10" } }),
    );
    for step in 1..=200 {
        let loss = 0.7 * f64::exp(-0.03 * f64::from(step));
        told.event(json!({ "kind": "metrics", "case": "s::learns", "step": step, "values": {
            "loss": loss, "resumed/loss": loss * 1.01, "grad_norm": loss * 3.0, "memory_bytes": 1_000_000 + step,
            "gpu/utilisation_percent": 90 + step % 9, "gpu/sm_clock_mhz": 1_900 - step % 40,
            "gpu/temperature_celsius": 50 + step / 20, "gpu/power_watts": 68 + step % 4,
        } }));
    }
    told.event(json!({ "kind": "metrics", "case": "s::learns", "values": { "eval/iou": 0.9942, "images_per_second": 412.0,
        "fetch/utilisation": 0.31, "decode/utilisation": 0.94, "model/utilisation": 0.55, "write/utilisation": 0.04,
        "decode/ceiling_per_second": 430.0, "share_of_ceiling": 0.958, "binding": "decode" } }));
    let range = json!({ "least": 1.0, "mean": 64.5, "most": 99.0 });
    told.event(json!({ "kind": "gpus-watched", "case": "s::learns", "attempt": 1, "broken": [], "gpus": [{ "name": "NVIDIA L4",
        "looks": 90, "utilisation_percent": range, "power_watts": range }] }));
    let picture = json!({ "kind": "artifact", "case": "s::learns", "path": "overlay.png", "bytes": 100,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" });
    told.event(picture);
    told.event(json!({ "kind": "case-finished", "case": "s::learns", "attempt": 1, "outcome": "passed", "seconds": 20.1 }));
    told.event(json!({ "kind": "case-started", "case": "s::fails", "attempt": 1 }));
    for line in 0..120 {
        let text = format!(
            "epoch {line}: the loss does not fall, and this line is long enough to be wider than any phone\n"
        );
        told.event(json!({ "kind": "log", "case": "s::fails", "stream": "stderr", "text": text }));
    }
    told.event(json!({ "kind": "check", "case": "s::fails", "attempt": 1, "finding": { "check": "loss-drop", "verdict": "broke",
        "observed": "loss 0.31 after 200 steps", "wanted": "at most 0.035", "cause": "labels and inputs may be out of step" } }));
    told.event(json!({ "kind": "case-finished", "case": "s::fails", "attempt": 1, "outcome": "failed",
        "reason": "1 of 9 checks did not hold", "seconds": 12.1 }));
    let folder = "run/cases/s.learns/artifacts/overlay.png";
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x, y, 90].map(|side| u8::try_from(side).unwrap())))
        .write_to(&mut picture, image::ImageFormat::Png)
        .unwrap();
    told.project = told.project.file(folder, picture.into_inner());
    told
}

/// A trend page of forty nights: a regression, a drift, a change of driver.
fn trends(project: &Project) -> PathBuf {
    fs::create_dir_all(project.path().join("history")).unwrap();
    for night in 0..40_i32 {
        let noise = f64::from([3, -4, 1, 6, -2, 0, -5, 4][usize::try_from(night % 8).unwrap()]) / 10.0;
        let line = |metric: &str, values: &[f64]| Line {
            run: format!("20261101-000000-{night:08x}").as_str().into(),
            at: jiff::Timestamp::from_second(1_790_000_000 + i64::from(night) * 86_400).unwrap(),
            suite: "nightly".into(),
            case: "unet".into(),
            metric: Some(metric.into()),
            value: Some(Metric::Number(values[0])),
            measured: values.iter().skip(1).map(|_| Metric::Number(values[0])).collect(),
            key: Key {
                device: Some("NVIDIA L4".into()),
                driver: Some(if night < 20 { "580.95" } else { "590.10" }.into()),
                ..Key::default()
            },
            commit: Some(format!("c{night:06x}")),
            outcome: Outcome::Passed,
            flaky: false,
            healthy: true,
            unhealthy: None,
        };
        let last = if night == 39 { [90.0; 4] } else { [100.0 + noise; 4] };
        let same = Key { device: Some("NVIDIA L4".into()), driver: Some("590.10".into()), ..Key::default() };
        let lines = [
            Line { key: same.clone(), ..line("bf16/items_per_second", &last) },
            Line { key: same, ..line("latency_p50_ms", &[10.0 + 0.01 * f64::from(night) + noise / 100.0]) },
            line("fp32/items_per_second", &[50.0 + noise]),
        ];
        let run = lines[0].run.clone();
        fs::write(project.path().join("history").join(object::name(&run)), object::write(&run, &lines))
            .unwrap();
    }
    let said = project.gpu_harness(&["history", "--history", "history", "--html", "trend"]);
    assert_eq!(said.code(), 0, "{said:?}");
    project.path().join("trend/index.html")
}

/// Nothing is on the console, nothing was asked for but the page itself, and no foreign script has run.
fn is_quiet(browser: &Browser, page: &Path) {
    assert_eq!(browser.console(), Vec::<String>::new(), "{}", page.display());
    for asked in browser.requests() {
        let is_own = asked.starts_with("file://") && asked.split('#').next().unwrap().contains(".html");
        assert!(is_own || asked.starts_with("data:"), "{asked} was asked for");
    }
    assert_eq!(browser.run("return window.owned === undefined"), true, "a foreign script ran");
}

/// Opens every part of a page, and draws every plot.
const OPEN_ALL: &str = "document.querySelectorAll('details').forEach(part => part.open = true);
    document.querySelectorAll('[data-plot]').forEach(plot => plot.scrollIntoView()); scrollTo(0, 0)";

/// Whether every plot is drawn; they are when they are first seen.
const DRAWN: &str = "const plots = [...document.querySelectorAll('[data-plot]')];
    const next = plots.find(plot => !plot.querySelector('canvas'));
    if (next) next.scrollIntoView();
    return plots.length > 0 && !next";

#[test]
fn both_pages_open_quietly_draw_their_plots_and_ask_for_nothing() {
    let Some(browser) = Browser::start() else { return };
    let (project, report) = a_run().report();
    let trend = trends(&project);
    for page in [&report, &trend] {
        browser.open(page);
        browser.run(OPEN_ALL);
        browser.wait(DRAWN);
        is_quiet(&browser, page);
    }
    assert_eq!(browser.run("return document.querySelector('h1').textContent"), "1 metric regressed");
    browser.open(&report);
    assert_eq!(browser.run("return document.querySelector('h1').textContent"), "Cut off");
    let gpu = browser.run("return document.querySelector('#case-0 .gpu').textContent");
    assert!(gpu.as_str().unwrap().contains("64.5 W (1 to 99)"), "{gpu}");
    // The policy is what keeps it quiet: it refuses what a script would try.
    browser.run(
        "const image = new Image(); image.src = 'https://example.com/x.png'; document.body.append(image)",
    );
    let mut refused = String::new();
    within(Duration::from_secs(60), "it is refused", || {
        refused += &browser.console().join("\n");
        refused.contains("Content Security Policy")
    });
    assert!(refused.contains("img-src"), "{refused}");
}

#[test]
fn no_text_of_a_node_becomes_a_script_and_none_turns_the_page_around() {
    let Some(browser) = Browser::start() else { return };
    let case = format!("s::{HOSTILE}");
    let mut told = Told::new(&[&case]);
    told.event(
        json!({ "kind": "hello", "protocol": 2, "agent": HOSTILE, "host": HOSTILE, "libtorch": HOSTILE }),
    );
    told.event(json!({ "kind": "case-started", "case": case, "attempt": 1 }));
    told.event(json!({ "kind": "device", "case": case, "facts": { HOSTILE: HOSTILE } }));
    for step in 0..20 {
        let name = format!("{HOSTILE}/loss");
        let rate = format!("{HOSTILE}_per_second");
        told.event(json!({ "kind": "metrics", "case": case, "step": step, "values": { name: 1.0 / f64::from(step + 1), rate: step,
            "fact": HOSTILE, "__proto__": step, "constructor": step } }));
    }
    for stream in ["stdout", "stderr"] {
        told.event(json!({ "kind": "log", "case": case, "stream": stream, "text": format!("{HOSTILE}\nfind me {HOSTILE}\n") }));
    }
    told.event(
        json!({ "kind": "artifact", "case": case, "path": format!("javascript:{HOSTILE}"), "bytes": 1,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }),
    );
    told.event(json!({ "kind": "warning", "case": case, "message": HOSTILE }));
    told.event(json!({ "kind": "check", "case": case, "attempt": 1, "finding": { "check": "metric", "subject": HOSTILE,
        "verdict": "broke", "observed": HOSTILE, "wanted": HOSTILE, "cause": HOSTILE } }));
    told.event(json!({ "kind": "case-finished", "case": case, "attempt": 1, "outcome": "failed", "reason": HOSTILE, "seconds": 1.0 }));
    let (_project, report) = told.report();
    browser.open(&report);
    browser.run(OPEN_ALL);
    browser.wait(DRAWN);
    // The search puts what it finds on the page again, and a plot the names of its series.
    browser.run("const field = document.getElementById('search'); field.value = 'find me'; field.dispatchEvent(new Event('input'))");
    browser.wait("return document.querySelectorAll('mark').length === 2");
    is_quiet(&browser, &report);
    let text = browser.run("return document.body.textContent");
    let text = text.as_str().unwrap();
    assert!(text.contains("<script>window.owned=1</script>"), "it is shown as what it is");
    assert!(!text.contains(['\u{202e}', '\x1b']), "what steers text is gone");
    assert_eq!(browser.run("return document.querySelectorAll('script').length"), 5);
    assert_eq!(
        browser
            .run("return document.querySelectorAll('[onfocus], [onerror], a[href^=\"javascript\"]').length"),
        0
    );
}

#[test]
fn everything_works_by_keyboard() {
    let Some(browser) = Browser::start() else { return };
    let (_project, report) = a_run().report();
    browser.open(&report);
    let tab = "\u{e004}";
    let enter = "\u{e007}";
    browser.keys(tab);
    assert_eq!(
        browser.run("return document.activeElement.className"),
        "skip",
        "the way past the header comes first"
    );
    browser.keys(tab);
    assert_eq!(browser.run("return document.activeElement.id"), "search");
    browser.keys("epoch 11");
    browser.wait("return document.querySelector('mark') !== null && !document.querySelectorAll('tr[data-case]')[1].hidden");
    assert_eq!(browser.run("return document.querySelectorAll('tr[data-case]:not([hidden])').length"), 1);
    browser.keys("\u{e00c}");
    assert_eq!(browser.run("return document.querySelectorAll('tr[data-case]:not([hidden])').length"), 3);
    browser.keys(tab);
    assert_eq!(browser.run("return document.activeElement.id"), "theme");
    let seen = "const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' && style.outlineWidth !== '0px'";
    assert_eq!(browser.run(seen), true, "where one is can be seen");
    let before = browser.run("return getComputedStyle(document.body).backgroundColor");
    browser.keys(enter);
    assert_ne!(browser.run("return getComputedStyle(document.body).backgroundColor"), before);

    // Filters, and from the table into a case.
    browser.run("document.querySelector('.filter [data-outcome=\"failed\"]').focus()");
    browser.keys(" ");
    assert_eq!(browser.run("return document.querySelectorAll('tr[data-case]:not([hidden])').length"), 1);
    browser.run("document.querySelector('.filter [data-outcome=\"\"]').focus()");
    browser.keys(" ");
    browser.run("document.querySelectorAll('details.case')[0].open = false; document.querySelector('a[href=\"#case-0\"]').focus()");
    browser.keys(enter);
    browser.wait("return document.querySelector('#case-0').open && document.activeElement === document.querySelector('#case-0 > summary')");
    browser.keys(enter);
    browser.wait("return !document.querySelector('#case-0').open");
    browser.keys(enter);

    // A plot is read by the arrow keys, aloud too.
    browser.run("document.querySelector('#case-0 [data-plot]').scrollIntoView()");
    browser.wait("return document.querySelector('#case-0 [data-plot] canvas') !== null");
    browser.run("document.querySelector('#case-0 [data-plot]').focus()");
    browser.keys("\u{e011}\u{e014}");
    browser.wait("return document.querySelector('#case-0 .readout .at').textContent === 'step 2'");
    let said = browser.run("return document.getElementById('said').textContent");
    assert!(said.as_str().unwrap().starts_with("step 2: loss 0.65"), "{said}");
    is_quiet(&browser, &report);
}

#[test]
fn a_phone_never_scrolls_sideways() {
    let Some(browser) = Browser::start() else { return };
    let (project, report) = a_run().report();
    let trend = trends(&project);
    for page in [&report, &trend] {
        browser.size(390, 844);
        browser.open(page);
        browser.run(OPEN_ALL);
        browser.wait(DRAWN);
        let width = browser.run("return document.documentElement.scrollWidth");
        assert!(width.as_u64().unwrap() <= 390, "{} is {width} wide", page.display());
        let small = browser.run(
            "return [...document.querySelectorAll('body *')].filter(one => one.childNodes.length && [...one.childNodes].some(
            node => node.nodeType === 3 && node.textContent.trim()) && parseFloat(getComputedStyle(one).fontSize) < 12).length",
        );
        assert_eq!(small, 0, "no text is too small to read");
        is_quiet(&browser, page);
    }
}

/// The least contrast of any text with what is behind it, and whose it is.
const CONTRAST: &str = "
    const channel = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const parse = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = one => {
        for (let at = one; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    let worst = [99, ''];
    for (const one of document.querySelectorAll('body *')) {
        const style = getComputedStyle(one);
        const has = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!has || !one.getClientRects().length || style.visibility === 'hidden' || one.matches('script, style, .unseen')) continue;
        const opacity = parseFloat(style.opacity);
        const back = behind(one);
        const ink = parse(style.color).slice(0, 3).map((value, place) => value * opacity + back[place] * (1 - opacity));
        const [high, low] = [light(ink), light(back)].sort((a, b) => b - a);
        const ratio = (high + 0.05) / (low + 0.05);
        if (ratio < worst[0]) worst = [ratio, one.tagName + '.' + one.className + ' ' + one.textContent.slice(0, 40)];
    }
    return worst";

#[test]
fn light_and_dark_follow_the_system_and_every_text_stands_out() {
    let Some(browser) = Browser::start() else { return };
    let (project, report) = a_run().report();
    let trend = trends(&project);
    for page in [&report, &trend] {
        let mut papers = Vec::new();
        for scheme in ["light", "dark"] {
            browser.media(scheme, "screen");
            browser.open(page);
            browser.run(OPEN_ALL);
            browser.wait(DRAWN);
            let worst = browser.run(CONTRAST);
            assert!(worst[0].as_f64().unwrap() >= 4.5, "{scheme}: {worst}");
            papers.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
        }
        assert_ne!(papers[0], papers[1]);
        is_quiet(&browser, page);
    }
}

#[test]
fn on_paper_everything_is_there_in_black_on_white() {
    let Some(browser) = Browser::start() else { return };
    let (_project, report) = a_run().report();
    browser.media("dark", "screen");
    browser.open(&report);
    browser.wait("return document.querySelector('[data-plot] canvas') !== null || (document.querySelector('[data-plot]').scrollIntoView(), false)");
    browser.run("document.querySelectorAll('details.case').forEach(part => part.open = false);
        addEventListener('beforeprint', () => { window.open_on_paper = document.querySelectorAll('details.case[open]').length; })");
    let pdf = browser.devtools("Page.printToPDF", &json!({ "printBackground": true }));
    assert!(pdf["data"].as_str().unwrap().len() > 20_000, "there is something on the paper");
    assert_eq!(browser.run("return window.open_on_paper"), 3, "every case is open on paper");
    browser.media("dark", "print");
    assert_eq!(browser.run("return getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('.bar')).display"), "none");
    let worst = browser.run(CONTRAST);
    assert!(worst[0].as_f64().unwrap() >= 4.5, "{worst}");
    is_quiet(&browser, &report);
}
