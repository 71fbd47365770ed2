//! What a node is told at its birth: when to end, which host key to show, and whose key to let in.
//!
//! The end comes first. The first part is a boothook, which cloud-init runs before everything else it does, so that a
//! node whose further user data is never carried out ends all the same. It tries three ways in turn, because at that
//! moment little of the system is up: see `arm.sh`.
//!
//! It arms two ends. The time to live stands, whatever happens. The lease comes before it unless somebody puts it off: at
//! first it leaves the node the time that booting may take, and from the end of the boot (`booted.sh`) what the settings
//! say. So a node that nobody comes for ends, whatever became of whoever asked for it.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::keys::NodeKeys;

/// EC2 takes no more than this before base64.
pub const MOST: usize = 16 * 1024;

/// Where the node's lease lies.
pub const LEASE: &str = "/run/gpu-harness/lease";
/// A node that has booted is waited for no shorter than this: a login takes its time.
const LOGIN: Duration = Duration::from_secs(30);

/// The boothook; `MINUTES` stands for the time to live, `BOOT_SECONDS` for the lease that it begins with.
const ARM: &str = include_str!("arm.sh");
/// What is run last of all; `LEASE_SECONDS` stands for the lease from then on.
const BOOTED: &str = include_str!("booted.sh");
/// No line of the parts can be this one.
const BOUNDARY: &str = "==gpu-harness-9c2f6e1ab7==";

/// A node's user data. It holds the node's private host key: it is overwritten when dropped, and not shown.
pub struct UserData {
    text: Zeroizing<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// From its boot on, whatever happens.
    pub ttl: Duration,
    /// From its boot on, where nobody logs in.
    pub boot: Duration,
    /// From the end of its boot on, where nobody logs in.
    pub lease: Duration,
}

impl UserData {
    /// What a node is to know that may live for so long.
    pub fn new(life: Life, keys: &NodeKeys) -> Self {
        let seconds = |time: Duration| time.as_secs().max(1).to_string();
        let arm = ARM.replace("MINUTES", &minutes(life.ttl).to_string());
        let arm = arm.replace("BOOT_SECONDS", &seconds(life.boot));
        let booted = BOOTED.replace("LEASE_SECONDS", &seconds(life.lease.max(LOGIN)));
        let config = Zeroizing::new(cloud_config(keys));
        let part = |kind: &str, body: &str| {
            let head =
                format!("--{BOUNDARY}\nContent-Type: {kind}; charset=\"us-ascii\"\nMIME-Version: 1.0\n\n");
            Zeroizing::new(head + body)
        };
        let boothook = part("text/cloud-boothook", &arm);
        let config = part("text/cloud-config", &config);
        let booted = part("text/x-shellscript", &booted);
        let head = format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n");
        let mut text = Zeroizing::new(String::with_capacity(MOST));
        for piece in [head.as_str(), &boothook, "\n", &config, "\n", &booted, "\n--", BOUNDARY, "--\n"] {
            text.push_str(piece);
        }
        Self { text }
    }

    /// As the API takes it.
    pub fn base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.text.as_bytes()))
    }

    /// As the node reads it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({} bytes)", self.text.len())
    }
}

/// Whole minutes, up: never none.
fn minutes(ttl: Duration) -> u64 {
    ttl.as_secs().div_ceil(60).max(1)
}

fn cloud_config(keys: &NodeKeys) -> String {
    let indented = String::from_iter(keys.host.private_pem().lines().map(|line| format!("    {line}\n")));
    format!(
        "#cloud-config\n\
         ssh_deletekeys: true\n\
         ssh_keys:\n  ed25519_private: |\n{indented}  ed25519_public: {}\n\
         ssh_authorized_keys:\n  - {}\n",
        keys.host.public_line(),
        keys.client.public_line(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::process::{Command, Output};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn life(ttl: Duration) -> Life {
        Life { ttl, boot: 480 * SECOND, lease: 120 * SECOND }
    }

    /// The parts: the type of each, and its body.
    fn parts(text: &str) -> Vec<(&str, &str)> {
        let (_, rest) = text.split_once(&format!("--{BOUNDARY}\n")).unwrap();
        let (rest, _) = rest.rsplit_once(&format!("\n--{BOUNDARY}--\n")).unwrap();
        let part = |part| {
            let (head, body): (&str, &str) = str::split_once(part, "\n\n").unwrap();
            (head.lines().next().unwrap(), body)
        };
        rest.split(&format!("\n--{BOUNDARY}\n")).map(part).collect()
    }

    #[test]
    fn a_node_learns_first_when_to_end_and_then_its_host_key_and_whom_to_let_in() {
        let keys = NodeKeys::new().unwrap();
        let data = UserData::new(life(3600 * SECOND), &keys);
        let [(first, arm), (second, config), (third, booted)] = parts(data.text())[..] else {
            panic!("{data:?}")
        };
        assert_eq!(first, "Content-Type: text/cloud-boothook; charset=\"us-ascii\"");
        assert_eq!(second, "Content-Type: text/cloud-config; charset=\"us-ascii\"");
        assert_eq!(third, "Content-Type: text/x-shellscript; charset=\"us-ascii\"");
        for line in ["#!/bin/sh\n", "\nminutes=60\n", "\nboot=480\n"] {
            assert!(arm.contains(line), "{arm}");
        }
        assert!(booted.contains("+ 120))\n"), "{booted}");
        let config: serde_json::Value = serde_yaml::from_str(config).unwrap();
        assert_eq!(
            config,
            serde_json::json!({
                "ssh_deletekeys": true,
                "ssh_keys": {
                    "ed25519_private": keys.host.private_pem(),
                    "ed25519_public": keys.host.public_line(),
                },
                "ssh_authorized_keys": [keys.client.public_line()],
            })
        );
    }

    #[test]
    fn user_data_holds_no_key_of_ours_and_is_far_below_what_ec2_takes() {
        let keys = NodeKeys::new().unwrap();
        let data =
            UserData::new(Life { ttl: Duration::MAX, boot: Duration::MAX, lease: Duration::MAX }, &keys);
        let secret = keys.client.private_pem().lines().nth(2).unwrap();
        assert!(!data.text().contains(secret));
        assert!(data.text().is_ascii() && data.text().len() < MOST / 2, "{data:?}");
        assert_eq!(STANDARD.decode(data.base64().as_bytes()).unwrap(), data.text().as_bytes());
        let shown = format!("{data:?} {keys:?}");
        assert!(!shown.contains("PRIVATE") && !shown.contains(secret), "{shown}");
    }

    #[test]
    fn a_time_to_live_is_rounded_up_to_minutes_and_is_never_none() {
        for (seconds, expected) in [(0, 1), (1, 1), (60, 1), (61, 2), (3600, 60)] {
            assert_eq!(minutes(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    /// A machine on which the boothook finds only what it is given.
    struct Machine {
        root: tempfile::TempDir,
    }

    impl Machine {
        /// With these programs: each notes how it was called, and carries out the lines.
        fn with(programs: &[(&str, &str)]) -> Self {
            let machine = Self { root: tempfile::tempdir().unwrap() };
            let path = |below: &str| machine.root.path().join(below);
            for folder in ["bin", "run/systemd", "run/dbus", "proc"] {
                fs::create_dir_all(path(folder)).unwrap();
            }
            machine.has_run_for(1000);
            for tool in ["sh", "setsid", "timeout", "mkdir"] {
                let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
                symlink(found.iter().find(|file| file.exists()).unwrap(), path("bin").join(tool)).unwrap();
            }
            for (name, lines) in programs.iter().chain(&[("sleep", "exec /bin/sleep 0.3")]) {
                let calls = path("calls");
                let text = format!("#!/bin/sh\necho {name} \"$@\" >>{}\n{lines}\n", calls.display());
                let file = path("bin").join(name);
                fs::write(&file, text).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
            machine
        }

        /// Carries a script out that knows this machine's folder only.
        fn does(&self, shell: &str, script: &str) -> Output {
            let root = self.root.path().display();
            let script = script
                .replace("PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin", &format!("PATH={root}/bin"))
                .replace("MINUTES", "45")
                .replace("BOOT_SECONDS", "480")
                .replace("LEASE_SECONDS", "120")
                .replace("/run/", &format!("{root}/run/"))
                .replace("/proc/", &format!("{root}/proc/"));
            let output = Command::new(shell).arg("-euc").arg(script).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            output
        }

        fn boots(&self, shell: &str) -> Output {
            self.does(shell, ARM)
        }

        fn has_run_for(&self, seconds: u64) {
            fs::write(self.root.path().join("proc/uptime"), format!("{seconds}.25 7.00\n")).unwrap();
        }

        fn lease(&self) -> std::path::PathBuf {
            self.root.path().join("run/gpu-harness/lease")
        }

        fn until(&self) -> String {
            fs::read_to_string(self.lease()).unwrap()
        }

        /// Waits until what it has called is as wanted; at most 10 s.
        fn comes_to(&self, wanted: impl Fn(&str) -> bool) {
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while !wanted(&self.calls()) {
                assert!(std::time::Instant::now() < deadline, "{}", self.calls());
                std::thread::sleep(Duration::from_millis(20));
            }
        }

        fn marker(&self) -> String {
            fs::read_to_string(self.root.path().join("run/gpu-harness-armed")).unwrap()
        }

        fn calls(&self) -> String {
            fs::read_to_string(self.root.path().join("calls")).unwrap_or_default()
        }

        fn has_systemd(self) -> Self {
            fs::create_dir(self.root.path().join("run/systemd/system")).unwrap();
            self
        }
    }

    /// The word of the boothook: the way that worked, minutes from the boot to the end, and what watches the lease.
    fn armed(way: &str) -> String {
        format!("{way} 45 {}\n", if way == "systemd-run" { way } else { "sh" })
    }

    #[test]
    fn the_first_way_is_a_timer_that_waits_for_nothing() {
        let machine = Machine::with(&[("systemd-run", ""), ("shutdown", "")]).has_systemd();
        machine.boots("dash");
        assert_eq!(machine.marker(), armed("systemd-run"));
        let calls = machine.calls().replace(&machine.root.path().display().to_string(), "");
        insta::assert_snapshot!(calls, @r"
        systemd-run --quiet --no-block --unit=gpu-harness-ttl --on-active=2700s --timer-property=DefaultDependencies=no --timer-property=AccuracySec=1s systemctl --no-block poweroff
        systemd-run --quiet --no-block --unit=gpu-harness-lease --property=DefaultDependencies=no --property=Restart=always --property=OOMScoreAdjust=-1000 /bin/sh /run/gpu-harness/watch 1480
        ");
    }

    #[test]
    fn the_second_way_is_shutdown_whether_it_returns_or_stays() {
        for stays in ["", "exec /bin/sleep 2"] {
            let machine = Machine::with(&[("systemd-run", "exit 1"), ("shutdown", stays)]);
            machine.boots("dash");
            assert_eq!(machine.marker(), armed("shutdown"), "{stays}");
            assert!(machine.calls().contains("shutdown -P +45\n"), "{}", machine.calls());
        }
    }

    #[test]
    fn a_shutdown_that_would_end_the_machine_at_once_is_not_called() {
        let machine = Machine::with(&[("systemd-run", "exit 1"), ("shutdown", "")]).has_systemd();
        machine.boots("dash");
        assert_eq!(machine.marker(), armed("sleep"));
        assert!(!machine.calls().contains("shutdown -P +"), "{}", machine.calls());

        // With its login manager in reach it only notes the time.
        let machine = Machine::with(&[("systemd-run", "exit 1"), ("shutdown", "")]).has_systemd();
        let _bus = UnixListener::bind(machine.root.path().join("run/dbus/system_bus_socket")).unwrap();
        machine.boots("dash");
        assert_eq!(machine.marker(), armed("shutdown"));
    }

    #[test]
    fn the_last_way_is_to_wait_and_then_to_power_off_by_what_there_is() {
        for (programs, last) in [
            (&[("shutdown", "case $2 in +*) exit 1;; esac")][..], "shutdown -P now"),
            (&[("shutdown", "exit 1"), ("poweroff", "")], "poweroff"),
            (&[("poweroff", "[ \"$1\" = -f ]")], "poweroff -f"),
        ] {
            let machine = Machine::with(programs);
            machine.boots("dash");
            assert_eq!(machine.marker(), armed("sleep"), "{last}");
            let ends = |calls: &str| calls.replace("sleep 1\n", "").ends_with(&format!("{last}\n"));
            machine.comes_to(|calls| ends(calls) && calls.contains("sleep 2700\n"));
        }
    }

    #[test]
    fn a_machine_ends_by_its_lease_unless_somebody_puts_that_off() {
        let machine = Machine::with(&[("shutdown", "")]);
        machine.boots("dash");
        assert_eq!(machine.until(), "0000001480\n", "the time that booting may take");
        let mode = fs::metadata(machine.lease()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666, "whoever logs in may put it off");
        let has_ended = |calls: &str| calls.contains("shutdown -P now");
        let looks = |calls: &str| calls.matches("sleep 1\n").count();
        let looks_twice = || {
            let seen = looks(&machine.calls());
            machine.comes_to(|calls| looks(calls) >= seen + 2);
        };
        // Put off; and what is no time changes nothing.
        fs::write(machine.lease(), "0000002000\n").unwrap();
        looks_twice();
        for nonsense in ["", "soon\n", "-1\n", "99999999999999999999\n"] {
            fs::write(machine.lease(), nonsense).unwrap();
            machine.has_run_for(1999);
            looks_twice();
            assert!(!has_ended(&machine.calls()), "{nonsense:?}: {}", machine.calls());
        }
        machine.has_run_for(2000);
        machine.comes_to(has_ended);
    }

    #[test]
    fn the_lease_is_short_from_the_end_of_the_boot_on_unless_somebody_has_come() {
        let machine = Machine::with(&[("shutdown", "")]);
        machine.does("dash", BOOTED);
        assert!(!machine.lease().exists(), "where nothing was armed there is nothing to bring forward");
        machine.boots("dash");
        machine.has_run_for(1060);
        machine.does("dash", BOOTED);
        assert_eq!(machine.until(), "0000001180\n");
        // Somebody has come, or the boot has taken long.
        for (said, up) in [("0000001500\n", 1060), ("0000001480\n", 1400)] {
            fs::write(machine.lease(), said).unwrap();
            machine.has_run_for(up);
            machine.does("dash", BOOTED);
            assert_eq!(machine.until(), said);
        }
    }

    #[test]
    fn what_the_node_runs_is_plain_sh() {
        for (shell, script) in [("sh", ARM), ("dash", ARM), ("sh", BOOTED), ("dash", BOOTED)] {
            let output = Command::new(shell).args(["-n", "-c", script]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
        }
    }
}
