//! Images a second of all programs on the same images, round by round.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::rig::{Model, Rig, figure};
use super::sets::Set;

/// Batch sizes that are tried for gpu-worker, as they are for the scripts.
const BATCHES: [usize; 3] = [8, 16, 32];
/// Actors that are tried for Ray Data.
const ACTORS: [&str; 2] = ["1", "2"];
/// Dollars an hour of a machine with two cores: a c7a.large of EC2, on demand, in us-east-1, as of 2025.
const PRICE: f64 = 0.10264;

/// What was settled before the rounds, each for its program.
struct Settings {
    usual: String,
    tuned: String,
    actors: &'static str,
    batch: usize,
}

/// One round's images a second.
struct Round {
    usual: f64,
    tuned: f64,
    ray: Option<f64>,
    ours: Map<String, Value>,
}

/// Measures a set of images and prints its table.
pub(super) fn compare(rig: &Rig, set: &Set, model: Model) -> Result<()> {
    eprintln!("{}: making {} images", set.name, set.count);
    let bytes = set.make(rig)?;
    let settings = settle(rig, set, model)?;
    println!("{} {}, {:.0} KB each on average\n", set.count, set.about, bytes / 1e3);
    println!("- DataLoader, tuned: {}", settings.tuned);
    println!("- DataLoader, usual: {}", settings.usual);
    println!("- Ray Data: {} of {} actors tried", settings.actors, ACTORS.join(" and "));
    println!("- gpu-worker: batch {}\n", settings.batch);
    println!(
        "| round | Ray Data | DataLoader, usual | DataLoader, tuned | gpu-worker | against Ray Data | against usual | against tuned | lowest ceiling | share of it | share of what the cores can |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut rounds = Vec::new();
    for number in 1..=set.rounds {
        let round = measure(rig, set, model, &settings, number <= set.rounds_of_ray)?;
        println!("| {number} {}", row(&round)?);
        rounds.push(round);
    }
    conclude(&rounds)
}

/// Tries settings for each program on a part of the images.
fn settle(rig: &Rig, set: &Set, model: Model) -> Result<Settings> {
    let part = set.part_name();
    let (images, count) = (Rig::images_at(&part), set.part().to_string());
    eprintln!("{}: trying settings on {count} images", set.name);
    let usual = Value::Object(rig.python("dataloader.py", &["usual", model.dtype])?).to_string();
    let tuned = rig.python(
        "dataloader.py",
        &["tune", model.file, &images, &rig.shards_at("theirs"), model.dtype, &count],
    )?;
    let tuned = tuned.get("settings").context("tuning gives settings")?.to_string();
    let mut actors = Vec::new();
    for number in ACTORS {
        let run =
            rig.python("ray_data.py", &[model.file, &images, &rig.shards_at("ray"), model.dtype, number])?;
        actors.push((figure(&run, "seconds")?, number));
    }
    let mut batches = Vec::new();
    for batch in BATCHES {
        let run = rig.worker(&part, model, &json!({ "batch": batch, "calibrate": "0s" }))?;
        batches.push((figure(&run, "seconds")?, batch));
    }
    let (_, actors) = actors.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).context("actors are tried")?;
    let (_, batch) = batches.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).context("batches are tried")?;
    Ok(Settings { usual, tuned, actors, batch })
}

fn measure(rig: &Rig, set: &Set, model: Model, settings: &Settings, with_ray: bool) -> Result<Round> {
    let images = Rig::images_at(set.name);
    let loader = |settings: &str| -> Result<f64> {
        let run =
            rig.python("dataloader.py", &["run", model.file, &images, &rig.shards_at("theirs"), settings])?;
        figure(&run, "images_per_second")
    };
    let ray = |images: &str| -> Result<f64> {
        let run = rig.python(
            "ray_data.py",
            &[model.file, images, &rig.shards_at("ray"), model.dtype, settings.actors],
        )?;
        figure(&run, "seconds")
    };
    eprintln!("{}: a round", set.name);
    let ray = if with_ray {
        // Without the time that it takes to start, which a longer run would not notice.
        let seconds = ray(&images)? - ray(&Rig::images_at(&set.part_name()))?;
        Some((set.count - set.part()) as f64 / seconds)
    } else {
        None
    };
    let usual = loader(&settings.usual)?;
    let tuned = loader(&settings.tuned)?;
    let ours = rig.worker(set.name, model, &json!({ "batch": settings.batch }))?;
    Ok(Round { usual, tuned, ray, ours })
}

fn row(round: &Round) -> Result<String> {
    let ours = figure(&round.ours, "images_per_second")?;
    let binding = round.ours.get("binding").and_then(Value::as_str).unwrap_or("?");
    let (ray, against_ray) = match round.ray {
        Some(ray) => (format!("{ray:.1}/s"), format!("{:.2}×", ours / ray)),
        None => ("-".into(), "-".into()),
    };
    Ok(format!(
        "| {ray} | {:.1}/s | {:.1}/s | {ours:.1}/s | {against_ray} | {:.2}× | {:.2}× | {binding}, {:.1}/s | {:.0} % | {:.0} % |",
        round.usual,
        round.tuned,
        ours / round.usual,
        ours / round.tuned,
        figure(&round.ours, &format!("{binding}/ceiling_per_second"))?,
        100.0 * figure(&round.ours, "share_of_ceiling")?,
        100.0 * figure(&round.ours, "share_of_cores")?,
    ))
}

fn conclude(rounds: &[Round]) -> Result<()> {
    let ours = rounds.iter().map(|round| figure(&round.ours, "images_per_second"));
    let ours = ours.collect::<Result<Vec<_>>>()?;
    let ratios = |of: &dyn Fn(&Round) -> Option<f64>| {
        let ratios = rounds.iter().zip(&ours).filter_map(|(round, ours)| Some(ours / of(round)?));
        median(ratios.collect()).map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}×"))
    };
    let share = |name: &str| -> Result<f64> {
        let shares = rounds.iter().map(|round| figure(&round.ours, name)).collect::<Result<Vec<_>>>()?;
        Ok(100.0 * median(shares).unwrap_or_default())
    };
    println!(
        "| median | | | | | {} | {} | {} | | {:.0} % | {:.0} % |\n",
        ratios(&|round| round.ray),
        ratios(&|round| Some(round.usual)),
        ratios(&|round| Some(round.tuned)),
        share("share_of_ceiling")?,
        share("share_of_cores")?,
    );
    let rate = median(ours).context("there was a round")?;
    println!(
        "A million images at {rate:.1}/s: 1,000,000 / {rate:.1} / 3,600 = {:.2} h, × ${PRICE} an hour (c7a.large) = ${:.2}\n",
        1e6 / rate / 3600.0,
        1e6 / rate / 3600.0 * PRICE
    );
    Ok(())
}

/// The middle one, or the lower of two.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}
