//! A real Chromium without a window, driven by its own chromedriver over the protocol that the W3C calls `WebDriver`.
//!
//! The protocol is JSON over HTTP, and these tests need a dozen of its calls: a client of its own is shorter than the glue to a
//! library, and brings no dependency.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    runtime: Runtime,
    profile: TempDir,
}

/// Where Debian and Ubuntu put the two programs; others have them on PATH.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl Browser {
    /// Starts it; `None`, with a note, where it could not be installed: without root nobody can. CI has root.
    pub fn start() -> Option<Self> {
        let found = on_path("chromedriver").zip(CHROMIUM.into_iter().find_map(on_path));
        let Some((driver, chromium)) = found else {
            let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
            assert!(!in_ci, "chromium or chromedriver is not installed; `cargo xtask setup` does it");
            eprintln!(
                "skipped: chromium or chromedriver is not installed, and `cargo xtask setup` could not do it without root"
            );
            return None;
        };
        let mut command = Command::new(driver);
        let mut driver =
            command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let port = line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse::<u16>();
            port.ok()
        });
        // Whatever it says from here on must not fill its pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().expect("a temporary folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let session = format!("http://127.0.0.1:{}/session", port.expect("its port"));
        let mut browser = Self { driver, session, client, runtime, profile };
        let profile = format!("--user-data-dir={}", browser.profile.path().display());
        let opened = browser.call(
            "",
            &json!({ "capabilities": { "alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
                "goog:chromeOptions": { "binary": chromium, "args": [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-dev-shm-usage", "--force-device-scale-factor=1", "--lang=en-US", profile,
                ] },
            } } }),
        );
        let id = opened["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    /// A call of the protocol; what it answers.
    fn call(&self, what: &str, body: &Value) -> Value {
        let url = format!("{}{what}", self.session);
        let answer = self.runtime.block_on(async {
            let request =
                self.client.post(&url).header("content-type", "application/json").body(body.to_string());
            request.send().await.expect("chromedriver answers").text().await.expect("a text")
        });
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{what}: {answer:#}");
        answer["value"].clone()
    }

    /// A command of Chromium's own.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.call("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    pub fn open(&self, page: &Path) {
        self.open_at(page, "");
    }

    /// Opens a file at a part of it, `#case-1`.
    pub fn open_at(&self, page: &Path, part: &str) {
        let page = page.canonicalize().expect("the page exists");
        self.call("/url", &json!({ "url": format!("file://{}{part}", page.display()) }));
    }

    /// Runs a script's body on the page; what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.call("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script's body returns true.
    pub fn wait(&self, script: &str) {
        let begun = std::time::Instant::now();
        while self.run(script) != Value::Bool(true) {
            assert!(begun.elapsed().as_secs() < 10, "not within ten seconds: {script}");
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    }

    /// How large the page is on its screen.
    pub fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the system says of colours, and on what the page stands: `screen` or `print`.
    pub fn media(&self, scheme: &str, medium: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "media": medium, "features": features }));
    }

    /// Presses keys, one after another; `\u{e004}` is Tab, as `WebDriver` has it.
    pub fn keys(&self, keys: &str) {
        let press = |key: char| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions = Vec::from_iter(keys.chars().flat_map(press));
        self.call(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        );
    }

    /// What the console was told since it was last asked: errors, and what the page's policy refused.
    pub fn console(&self) -> Vec<String> {
        let entries = self.call("/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().expect("a list").iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Every address that a file's page has asked for since it was last asked.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.call("/se/log", &json!({ "type": "performance" }));
        let asked = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let url = message["params"]["request"]["url"].as_str()?;
            // The browser's own first page asks for its own parts.
            let is_from_file = message["params"]["documentURL"].as_str()?.starts_with("file://");
            let is_request = message["method"] == "Network.requestWillBeSent";
            (is_request && is_from_file).then(|| url.to_owned())
        };
        entries.as_array().expect("a list").iter().filter_map(asked).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium goes with its session.
        let url = self.session.clone();
        let _ = self.runtime.block_on(self.client.delete(url).send());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
