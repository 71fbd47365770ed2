//! The curves of a run for its plots: every metric by step and time, spikes kept, in the same memory whatever the run's length.
//!
//! A curve that becomes too long keeps, of every few points, the least and the greatest, each where it was: real points, so
//! that a single bad step of a million can be seen. All curves of a run share one budget; where it is used up, all of them
//! become coarser.

use std::collections::{BTreeMap, HashMap};

use gpu_suites::event::Event;
use gpu_suites::id::CaseId;
use gpu_suites::metrics::Value;
use jiff::Timestamp;

use super::case::seconds_between;
use super::pace::Pace;
use crate::text::limits::NAME;

const LONGEST: usize = 1_024;
/// However many curves there are, this many points of each are kept.
const SHORTEST: usize = 16;
/// Points of all curves together.
const BUDGET: usize = 60_000;
/// Curves of one case, and of all.
const OF_CASE: usize = 128;
const OF_ALL: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Its step; one without counts as the next.
    pub step: u64,
    pub seconds: f64,
    pub value: f64,
}

/// One metric of the latest attempt of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
    /// Values that became two points: 1 as long as each value is a point of its own.
    group: u64,
    begun: Option<Group>,
    /// Values that came, finite or not.
    pub count: u64,
    /// Values that were NaN or infinite.
    pub non_finite: u64,
    /// The step of the first of them.
    pub first_non_finite: Option<u64>,
    last: Option<Point>,
}

/// Values that are not points yet.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    values: u64,
    least: Point,
    most: Point,
}

impl Group {
    fn points(self) -> impl Iterator<Item = Point> {
        let (first, second) =
            if self.least.step <= self.most.step { (self.least, self.most) } else { (self.most, self.least) };
        std::iter::once(first).chain((first != second).then_some(second))
    }

    fn of(points: &[Point]) -> Option<Self> {
        let by_value = |one: &&Point, other: &&Point| one.value.total_cmp(&other.value);
        let (least, most) = (points.iter().min_by(by_value)?, points.iter().max_by(by_value)?);
        Some(Self { values: 0, least: *least, most: *most })
    }
}

impl Curve {
    fn new() -> Self {
        Self {
            points: Vec::new(),
            group: 1,
            begun: None,
            count: 0,
            non_finite: 0,
            first_non_finite: None,
            last: None,
        }
    }

    fn push(&mut self, step: Option<u64>, seconds: f64, value: f64) {
        let step = step.unwrap_or(self.count);
        self.count += 1;
        if !value.is_finite() {
            self.non_finite += 1;
            self.first_non_finite.get_or_insert(step);
            return;
        }
        let point = Point { step, seconds, value };
        self.last = Some(point);
        if self.group == 1 {
            self.points.push(point);
            return;
        }
        let group = self.begun.get_or_insert(Group { values: 0, least: point, most: point });
        group.values += 1;
        if value < group.least.value {
            group.least = point;
        }
        if value > group.most.value {
            group.most = point;
        }
        if group.values == self.group {
            self.points.extend(group.points());
            self.begun = None;
        }
    }

    /// Leaves half of the points: of each four the least and the greatest.
    fn halve(&mut self) {
        let fours = self.points.chunks(4).filter_map(Group::of);
        self.points = fours.flat_map(Group::points).collect();
        self.group = if self.group == 1 { 4 } else { self.group * 2 };
    }

    /// The points, by the order in which they came, with the last value at the end.
    pub fn points(&self) -> Vec<Point> {
        let mut points = self.points.clone();
        points.extend(self.begun.into_iter().flat_map(Group::points));
        points.extend(self.last.filter(|last| points.last() != Some(last)));
        points
    }

    pub fn last(&self) -> Option<Point> {
        self.last
    }

    pub fn is_thinned(&self) -> bool {
        self.group > 1
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OfCase {
    began: Option<Timestamp>,
    curves: BTreeMap<String, Curve>,
    /// How fast its steps came.
    pub pace: Pace,
}

impl OfCase {
    /// Each curve by its metric.
    pub fn curves(&self) -> impl Iterator<Item = (&str, &Curve)> {
        self.curves.iter().map(|(name, curve)| (name.as_str(), curve))
    }

    pub fn get(&self, metric: &str) -> Option<&Curve> {
        self.curves.get(metric)
    }
}

#[derive(Debug, Clone)]
pub struct Curves {
    cases: HashMap<CaseId, OfCase>,
    longest: usize,
    points: usize,
    drawn: usize,
}

impl Default for Curves {
    fn default() -> Self {
        Self { cases: HashMap::new(), longest: LONGEST, points: 0, drawn: 0 }
    }
}

impl Curves {
    /// Takes in an event of a case that the run has.
    pub(super) fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::CaseStarted(event) => {
                self.forget(&event.case);
                let case = self.cases.entry(event.case.clone()).or_default();
                *case = OfCase { began: Some(at), ..OfCase::default() };
            }
            Event::Metrics(event) => {
                let case = self.cases.entry(event.case.clone()).or_default();
                let seconds = seconds_between(*case.began.get_or_insert(at), at);
                if let Some(step) = event.step {
                    case.pace.push(seconds, step);
                }
                for (name, value) in &event.values {
                    let Value::Number(value) = value else { continue };
                    let is_room = case.curves.len() < OF_CASE && self.drawn < OF_ALL && name.len() <= NAME;
                    if !case.curves.contains_key(name) {
                        if !is_room {
                            continue;
                        }
                        case.curves.insert(name.clone(), Curve::new());
                        self.drawn += 1;
                    }
                    let Some(curve) = case.curves.get_mut(name) else { continue };
                    let before = curve.points.len();
                    curve.push(event.step, seconds, *value);
                    self.points += curve.points.len() - before;
                    if curve.points.len() > self.longest {
                        let before = curve.points.len();
                        curve.halve();
                        self.points -= before - curve.points.len();
                    }
                }
                self.keep_within();
            }
            _ => {}
        }
    }

    /// A new attempt begins anew.
    fn forget(&mut self, case: &CaseId) {
        if let Some(old) = self.cases.get(case) {
            self.drawn -= old.curves.len();
            self.points -= old.curves.values().map(|curve| curve.points.len()).sum::<usize>();
        }
    }

    fn keep_within(&mut self) {
        while self.points > BUDGET && self.longest > SHORTEST {
            self.longest /= 2;
            for curve in self.cases.values_mut().flat_map(|case| case.curves.values_mut()) {
                while curve.points.len() > self.longest {
                    let before = curve.points.len();
                    curve.halve();
                    self.points -= before - curve.points.len();
                }
            }
        }
    }

    /// The curves of a case; nothing where it measured nothing.
    pub fn of(&self, case: &CaseId) -> Option<&OfCase> {
        self.cases.get(case)
    }
}

#[cfg(test)]
mod tests {
    use gpu_suites::event::{CaseStarted, Metrics};

    use super::*;

    fn metrics(case: &str, step: u64, name: &str, value: f64) -> Event {
        let values = BTreeMap::from([(name.to_owned(), Value::Number(value))]);
        Metrics { case: case.into(), step: Some(step), values }.into()
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn one_bad_step_of_a_million_is_still_there() {
        let mut curves = Curves::default();
        curves.apply(at(0), &CaseStarted { case: "s::c".into(), attempt: 1 }.into());
        for step in 0..1_000_000_u64 {
            let value = if step == 777_777 { 50.0 } else { 1.0 / (step + 1) as f64 };
            curves.apply(at(step.cast_signed()), &metrics("s::c", step, "loss", value));
        }
        let curve = curves.of(&"s::c".into()).unwrap().get("loss").unwrap();
        let points = curve.points();
        assert!(points.len() <= LONGEST + 3 && points.len() > LONGEST / 3, "{}", points.len());
        assert!(curve.is_thinned() && curve.count == 1_000_000);
        let spike = points.iter().find(|point| point.step == 777_777).unwrap();
        assert_eq!((Some(spike.value), Some(spike.seconds)), (Some(50.0), Some(777.777)));
        assert_eq!(points[0], Point { step: 0, seconds: 0.0, value: 1.0 });
        assert_eq!(points.last().unwrap().step, 999_999, "the last value is shown");
        assert!(points.windows(2).all(|pair| pair[0].step < pair[1].step), "in order");
    }

    #[test]
    fn many_long_curves_share_one_budget() {
        let mut curves = Curves::default();
        for step in 0..2_000 {
            for case in 0..200 {
                curves.apply(at(0), &metrics(&format!("s::{case}"), step, "loss", step as f64));
            }
        }
        let kept = (0..200).map(|case| {
            let case = format!("s::{case}");
            curves.of(&case.as_str().into()).unwrap().get("loss").unwrap().points.len()
        });
        let kept = Vec::from_iter(kept);
        assert!(kept.iter().sum::<usize>() <= BUDGET + 200, "{kept:?}");
        assert_eq!(kept.iter().sum::<usize>(), curves.points, "the count is right");
        assert!(kept.iter().all(|points| *points > 50), "{kept:?}");
    }

    #[test]
    fn a_new_attempt_begins_with_no_curve() {
        let mut curves = Curves::default();
        curves.apply(at(0), &metrics("s::c", 1, "loss", f64::NAN));
        curves.apply(at(0), &metrics("s::c", 2, "loss", 1.0));
        let curve = curves.of(&"s::c".into()).unwrap().get("loss").unwrap().clone();
        assert_eq!((curve.non_finite, curve.first_non_finite, curve.points().len()), (1, Some(1), 1));
        curves.apply(at(5_000), &CaseStarted { case: "s::c".into(), attempt: 2 }.into());
        assert_eq!(curves.of(&"s::c".into()).unwrap().curves().count(), 0);
        assert_eq!((curves.points, curves.drawn), (0, 0));
    }
}
