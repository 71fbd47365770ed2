//! Pages that are one file: `report.html` and the trend page. They open anywhere, load nothing, and run nothing but the
//! scripts that this program was built with.
//!
//! What is shown comes from nodes and is not trusted. Three things hold, each enough on its own:
//!
//! 1. Every text goes through [`clean`] and the template engine's escaping, by the formatter that every value of a template
//!    passes: no template can forget it. Data for scripts is JSON without a `<`.
//! 2. The scripts put texts on the page as texts only; the page's policy lets a browser refuse anything else.
//! 3. The policy allows the page's own scripts and styles, by their hashes, and pictures that are part of the file; it
//!    forbids every request.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Output, State, Value, context, escape_formatter};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

use crate::text::clean;

const BASE: &str = include_str!("base.html");
const PLOT_LIBRARY: &str = include_str!("../../vendor/uplot/uPlot.iife.min.js");
const PLOT_STYLE: &str = include_str!("../../vendor/uplot/uPlot.min.css");
const STYLE: &str = include_str!("style.css");
const THEME: &str = include_str!("theme.js");
const PLOTS: &str = include_str!("plots.js");

/// Why a page could not be made: a mistake in its template.
#[derive(Debug, thiserror::Error)]
#[error("failed to fill in the page; this is a mistake in gpu-harness")]
pub struct PageError(#[from] minijinja::Error);

#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The template, which fills the blocks of `base.html`.
    pub template: &'static str,
    pub script: &'static str,
}

impl Kind {
    /// The page with these contents, and `data` for its script.
    pub fn page(self, view: &impl Serialize, data: &impl Serialize) -> Result<String, PageError> {
        let styles = [PLOT_STYLE, STYLE];
        let scripts = [THEME, PLOT_LIBRARY, PLOTS, self.script];
        let mut engine = Environment::new();
        engine.set_auto_escape_callback(|_| AutoEscape::Html);
        engine.set_formatter(cleaned);
        engine.add_template("base.html", BASE)?;
        engine.add_template("page.html", self.template)?;
        let own =
            |texts: &[&str]| Vec::from_iter(texts.iter().map(|text| Value::from_safe_string((*text).into())));
        let page = engine.get_template("page.html")?.render(context! {
            policy => policy(&styles, &scripts),
            styles => own(&styles),
            scripts => own(&scripts),
            data => Value::from_safe_string(script_data(data)),
            view => Value::from(Serde(view)),
            version => env!("CARGO_PKG_VERSION"),
        })?;
        Ok(page)
    }
}

/// Every value of a template: without what could steer a browser's text, and escaped.
fn cleaned(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if value.kind() == ValueKind::String && !value.is_safe() => {
            escape_formatter(out, state, &Value::from(clean::text(text).as_ref()))
        }
        _ => escape_formatter(out, state, value),
    }
}

/// What the browser may load and run: this page's own.
fn policy(styles: &[&str], scripts: &[&str]) -> String {
    let hashes = |texts: &[&str]| {
        let hash =
            |text: &&str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())));
        Vec::from_iter(texts.iter().map(hash)).join(" ")
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hashes(scripts),
        hashes(styles)
    )
}

/// JSON that stands in a `<script>`: nothing in it ends the element, whatever its texts say.
fn script_data(data: &impl Serialize) -> String {
    let mut json = serde_json::to_value(data).unwrap_or_default();
    clean_texts(&mut json);
    let json = json.to_string();
    let mut safe = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            // Outside of texts JSON has none of these, and in them an escape is the same character.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(safe, "\\u{:04x}", u32::from(char));
            }
            _ => safe.push(char),
        }
    }
    safe
}

fn clean_texts(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::String(text) => {
            if let std::borrow::Cow::Owned(clean) = clean::text(text) {
                *text = clean;
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(clean_texts),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(clean_texts),
        _ => {}
    }
}

/// A number as a plot needs it: six digits, so that a page of many points stays small.
pub fn plotted(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() { value } else { format!("{value:.5e}").parse().unwrap_or(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        template: "{% extends \"base.html\" %}{% block title %}{{ view.title }}{% endblock %}{% block body %}<a title=\"{{ view.title }}\">{{ view.title }}</a>{% endblock %}",
        script: "0;",
    };

    #[test]
    fn no_text_leaves_its_place() {
        let hostile = "</script></title><script>alert(1)</script>\" onclick='x' <img src=x onerror=y> \u{202e}\x1b[2J&amp;\u{0}";
        let view = serde_json::json!({ "title": hostile });
        let page = KIND.page(&view, &view).unwrap();
        assert_eq!(page.matches("<script").count(), 5, "four of its own, and the data");
        assert_eq!(page.matches("</script>").count(), 5);
        assert!(!page.contains("<img") && !page.contains("alert(1)</script>"), "{page}");
        assert!(!page.contains(['\u{202e}', '\x1b', '\0']), "{page}");
        assert!(page.contains("&lt;U+202E&gt;"), "what turns text around is spelled out");
        let data = page.split("<script type=\"application/json\" id=\"data\">").nth(1).unwrap();
        let data: serde_json::Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
        assert!(data["title"].as_str().unwrap().starts_with("</script></title><script>"), "{data}");
    }

    #[test]
    fn the_policy_names_what_stands_on_the_page_and_nothing_else() {
        let page = KIND.page(&serde_json::json!({}), &serde_json::json!({})).unwrap();
        for text in [PLOT_STYLE, STYLE, THEME, PLOT_LIBRARY, PLOTS, KIND.script] {
            assert!(!text.contains("</s") && !text.contains('\r') && !text.contains("<!--"));
            let hash = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
            let html = page.replace("&#x2f;", "/").replace("&#x27;", "'");
            assert!(html.contains(&format!("'sha256-{hash}'")));
            assert!(page.contains(&format!(">{text}</")), "the text stands there as it was hashed");
        }
        assert!(!page.contains("unsafe-"));
    }

    #[test]
    fn the_plot_library_is_the_one_that_its_readme_names() {
        let readme = include_str!("../../vendor/uplot/README.md");
        for text in [PLOT_LIBRARY, PLOT_STYLE] {
            assert!(readme.contains(&hex::encode(Sha256::digest(text.as_bytes()))));
        }
        let version = readme.lines().find_map(|line| line.strip_prefix("| version | ")).unwrap();
        assert!(PLOT_LIBRARY.contains(&format!("(v{})", version.trim_end_matches(" |"))));
    }

    #[test]
    fn six_digits_are_left_of_a_number() {
        let plotted = [0.123_456_789, 1_234_567.0, 0.0].map(|value| plotted(value).to_string());
        assert_eq!(plotted, ["0.123457", "1234570", "0"]);
    }
}
