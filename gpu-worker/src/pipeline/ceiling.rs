//! What each stage can do on its own, on this node, with these images: measured before the run.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::fetch::Fetch;
use super::halt::Halt;
use super::meter::Meter;
use super::picture::Form;
use super::rate;
use crate::error::Result;

/// Images that are kept for the stages after the first, and the most that they take.
const SAMPLES: usize = 64;
const SAMPLE_BYTES: usize = 64 << 20;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    pub(super) items: f64,
    pub(super) bytes: f64,
}

/// Fetches inputs of the first shards again and again; gives the rate, and some of the images.
pub(super) fn of_fetch(fetch: &Fetch<'_>, inputs: &[usize], time: Duration) -> (Rate, Vec<Vec<u8>>) {
    let meter = Meter::default();
    let kept = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..fetch.job.wanted.clients.get() {
            scope.spawn(|| {
                while begun.elapsed() < time && !inputs.is_empty() && !fetch.halt.is_set() {
                    let input = inputs[next.fetch_add(1, Ordering::Relaxed) % inputs.len()];
                    // One that cannot be read is the run's to report.
                    let Ok(bytes) = fetch.job.images.get(&fetch.plan.inputs[input]) else {
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    meter.count(1, bytes.len());
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() < SAMPLES && kept.iter().map(Vec::len).sum::<usize>() < SAMPLE_BYTES {
                        kept.push(bytes);
                    }
                }
            });
        }
    });
    let time = begun.elapsed();
    let kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    (Rate { items: rate(meter.items() as f64, time), bytes: rate(meter.bytes() as f64, time) }, kept)
}

/// Decodes and resizes these images again and again.
pub(super) fn of_decode(
    form: Form,
    images: &[Vec<u8>],
    threads: usize,
    time: Duration,
    budget: &Budget,
    halt: &Halt,
) -> Result<Rate> {
    let meter = Meter::default();
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let ended = std::thread::scope(|scope| {
        let threads = Vec::from_iter((0..threads).map(|_| {
            scope.spawn(|| -> Result<()> {
                while begun.elapsed() < time && !images.is_empty() {
                    let bytes = &images[next.fetch_add(1, Ordering::Relaxed) % images.len()];
                    if form.picture(bytes, budget, halt)?.is_none() {
                        break;
                    }
                    meter.count(1, bytes.len());
                }
                Ok(())
            })
        }));
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Err(super::PipelineError::Thread.into())))
    });
    ended?;
    let time = begun.elapsed();
    Ok(Rate { items: rate(meter.items() as f64, time), bytes: rate(meter.bytes() as f64, time) })
}
