//! What else went on on the machine while a window was measured: the CPU's side.

use std::time::Duration;

use serde::Serialize;

/// Time that the hypervisor may give to other guests.
const STOLEN: f64 = 0.02;

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moment {
    /// CPU time of the whole machine, in seconds: all of it, and what was not idle.
    all: f64,
    busy: f64,
    /// Of it, taken by the hypervisor.
    stolen: f64,
    /// CPU time of this process.
    own: f64,
    /// Time that this process's control group was made to wait by its CPU quota.
    held_back: f64,
}

/// What went on between two moments, as shares of all CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Load {
    pub(super) others: f64,
    pub(super) stolen: f64,
    pub(super) own: f64,
    /// Seconds that a CPU quota held this process back.
    pub(super) held_back_seconds: f64,
}

impl Moment {
    /// Now; nothing where the system does not say.
    pub(super) fn now() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let Machine { all, busy, stolen } = Machine::read(&stat)?;
        let held_back = std::fs::read_to_string("/sys/fs/cgroup/cpu.stat").map_or(0.0, |text| quota(&text));
        Some(Self { all, busy, stolen, own: own_seconds(), held_back })
    }

    /// What went on since.
    pub(super) fn until(&self, later: &Self) -> Option<Load> {
        let all = later.all - self.all;
        if all <= 0.0 {
            return None;
        }
        let own = (later.own - self.own).max(0.0);
        let stolen = (later.stolen - self.stolen).max(0.0);
        let others = (later.busy - self.busy - own).max(0.0);
        let share = |seconds: f64| seconds / all;
        Some(Load {
            others: share(others),
            stolen: share(stolen),
            own: share(own),
            held_back_seconds: later.held_back - self.held_back,
        })
    }
}

impl Load {
    /// The rules that do not hold, where the suite allows others this share.
    pub(super) fn broken(&self, others: f64) -> Vec<String> {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let mut broken = Vec::new();
        if self.others > others {
            let (took, may) = (percent(self.others), percent(others));
            broken.push(format!("other processes took {took} of the CPU time (at most {may})"));
        }
        // A suite that puts up with other processes puts up with other guests.
        if self.stolen > STOLEN.max(others) {
            let (took, may) = (percent(self.stolen), percent(STOLEN.max(others)));
            broken.push(format!("the hypervisor took {took} of the CPU time (at most {may})"));
        }
        if self.held_back_seconds > 0.0 {
            broken.push(format!("a CPU quota held it back for {:.2} s", self.held_back_seconds));
        }
        broken
    }
}

/// Seconds of all processors together since the machine's start.
struct Machine {
    all: f64,
    busy: f64,
    stolen: f64,
}

impl Machine {
    /// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal, guest twice, in ticks.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks = line.split_whitespace().map(str::parse::<f64>).collect::<Result<Vec<_>, _>>().ok()?;
        // SAFETY: asks for a constant of the system.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        // Guests' time is part of user's and nice's already.
        let all = ticks.iter().take(8).sum::<f64>();
        let (idle, waiting, stolen) = (*ticks.get(3)?, *ticks.get(4)?, *ticks.get(7)?);
        let busy = (all - idle - waiting - stolen) / per_second;
        Some(Self { all: all / per_second, busy, stolen: stolen / per_second })
    }
}

/// Seconds of `throttled_usec` in a control group's `cpu.stat`.
fn quota(text: &str) -> f64 {
    let micros =
        text.lines().find_map(|line| line.strip_prefix("throttled_usec ")?.trim().parse::<u64>().ok());
    micros.map_or(0.0, |micros| Duration::from_micros(micros).as_secs_f64())
}

fn own_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the system fills the structure, which may be all zeros.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Load = Load { others: 0.02, stolen: 0.01, own: 0.9, held_back_seconds: 0.0 };

    #[test]
    fn what_others_take_is_told_apart_from_what_the_model_takes() {
        let before = Moment { all: 100.0, busy: 50.0, stolen: 1.0, own: 10.0, held_back: 0.0 };
        let after = Moment { all: 120.0, busy: 69.0, stolen: 2.0, own: 26.0, held_back: 0.0 };
        let load = before.until(&after).unwrap();
        assert_eq!((load.others, load.stolen, load.own), (0.15, 0.05, 0.8));
        assert!(before.until(&before).is_none());
    }

    #[test]
    fn a_window_with_company_is_not_valid() {
        assert!(QUIET.broken(0.1).is_empty());
        let broken = |load: Load, others: f64| load.broken(others).join("; ");
        assert!(broken(Load { others: 0.15, ..QUIET }, 0.1).contains("other processes took 15 %"));
        assert!(broken(Load { others: 0.15, ..QUIET }, 0.2).is_empty());
        assert!(broken(Load { stolen: 0.05, ..QUIET }, 0.01).contains("hypervisor took 5 %"));
        assert!(broken(Load { held_back_seconds: 0.5, ..QUIET }, 1.0).contains("quota"));
    }

    #[test]
    fn the_systems_own_words_are_read() {
        let stat = "cpu  100 0 50 800 40 0 0 10 5 0\ncpu0 1 2 3\n";
        let Machine { all, busy, stolen } = Machine::read(stat).unwrap();
        assert_eq!((all, busy, stolen), (10.0, 1.5, 0.1));
        assert!(Machine::read("intr 1 2 3").is_none());
        assert!((quota("nr_periods 2\nthrottled_usec 1500000\n") - 1.5).abs() < 1e-9);
        let (one, two) = (Moment::now().unwrap(), Moment::now().unwrap());
        assert!(two.own >= one.own && one.own > 0.0);
    }
}
