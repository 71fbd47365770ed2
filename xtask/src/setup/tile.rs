//! Puts the aerial tile into the cache: the real one out of a wheel, or a drawn one that says that it is drawn.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use gpu_wheels::fetch::{self, Order};
use gpu_wheels::wheel::Wheel;
use serde_json::{Value, json};

use super::cache::{Cache, Staging};
use super::network::{Network, sha256_of};
use super::progress::Progress;
use super::summary::Row;

#[path = "../../../fixtures/tile.rs"]
mod drawn;

const IMAGE: &str = "image.png";
const BOXES: &str = "boxes.csv";
const PROVENANCE: &str = "provenance.json";

/// The wheel that has the real tile.
const DEEPFOREST: Wheel = Wheel {
    project: "deepforest",
    file: "deepforest-2.1.0-py3-none-any.whl",
    bytes: 20_639_595,
    record_at: 20_633_123,
    record: "9a659bf32bb6494e27d8c04667ef0ea437f71cdf5b1f4d3a938c37b155e4052d",
};

/// The real tile's files: name in the wheel, name in the cache, sha256.
const REAL: [(&str, &str, &str); 2] = [
    (
        "deepforest/data/OSBS_029.png",
        IMAGE,
        "d9477c6a00e4902c7bee487d4c5582c3b8b9a2f77f3908a29628b816b291e6ee",
    ),
    (
        "deepforest/data/OSBS_029.csv",
        BOXES,
        "83ecd1fb6339eb0997c5a543300295fdd6e0d23c943f50429eb82d149905adba",
    ),
];

/// The seed of the synthetic tile.
const SEED: u64 = 29;

/// Which tile is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The real one, where it can be had.
    Real(Again),
    /// The drawn one: somebody asked for it.
    Synthetic,
}

/// Whether a drawn tile is reason to try for the real one again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// No: a demo without a network should not wait for one each time.
    Never,
    WhenSynthetic,
}

/// What a tile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Real,
    Synthetic,
}

impl Source {
    /// Its name in provenance.json.
    const fn name(self) -> &'static str {
        match self {
            Self::Real => "neon-osbs-029",
            Self::Synthetic => "synthetic",
        }
    }
}

/// Makes the cache hold a tile.
pub(crate) fn ensure(cache: &Cache, network: &Network, wanted: Wanted) -> Result<Row> {
    let place = cache.tile();
    match (present(&place), wanted) {
        (Some((Source::Real, detail)), Wanted::Real(_)) => {
            return Ok(Row::present("tile", format!("{} ({detail})", Source::Real.name())));
        }
        (Some((Source::Synthetic, detail)), wanted)
            if wanted != Wanted::Real(Again::WhenSynthetic) || network.is_off() =>
        {
            return Ok(Row::present("tile", format!("{} ({detail})", Source::Synthetic.name())));
        }
        _ => {}
    }
    let why_drawn = match wanted {
        Wanted::Synthetic => "drawn because --synthetic-tile asked for it".to_owned(),
        Wanted::Real(_) => match take(network, &place) {
            Ok(detail) => return Ok(Row::fresh("tile", format!("{} ({detail})", Source::Real.name()))),
            Err(error) => {
                let why = format!("drawn because the real one cannot be had: {error:#}");
                eprintln!("note: tile: {why}");
                why
            }
        },
    };
    draw(&place, &why_drawn).with_context(|| format!("failed to draw the tile into {}", place.display()))?;
    Ok(Row::fresh("tile", format!("{} ({why_drawn})", Source::Synthetic.name())))
}

/// The tile that is there, if its files are the ones that its provenance tells of.
fn present(place: &Path) -> Option<(Source, String)> {
    let note: Value = serde_json::from_str(&fs::read_to_string(place.join(PROVENANCE)).ok()?).ok()?;
    let source =
        [Source::Real, Source::Synthetic].into_iter().find(|source| note["source"] == source.name())?;
    let intact = [IMAGE, BOXES].iter().all(|file| {
        sha256_of(&place.join(file)).is_ok_and(|found| note["sha256"][file].as_str() == Some(&found))
    });
    intact.then(|| (source, note["detail"].as_str().unwrap_or_default().to_owned()))
}

/// The real tile, out of its wheel.
fn take(network: &Network, place: &Path) -> Result<String> {
    let source = network.wheels()?;
    let staging = Staging::beside(place).context("failed to make the tile's folder")?;
    let place =
        |name: &str| REAL.iter().find(|(there, ..)| *there == name).map(|(_, here, _)| (*here).into());
    let order = Order { wheel: &DEEPFOREST, place: &place };
    Progress::of("the tile", |tell| fetch::fetch(&[order], staging.path(), &source, tell))?;
    for (there, here, wanted) in REAL {
        let found =
            sha256_of(&staging.path().join(here)).with_context(|| format!("failed to read {here}"))?;
        anyhow::ensure!(found == wanted, "{there} has the sha256 {found}, wanted is {wanted}");
    }
    let detail =
        format!("NEON aerial image OSBS_029 out of the wheel of {} on PyPI, MIT", DEEPFOREST.label());
    commit(staging, Source::Real, &detail).context("failed to put the tile into its place")?;
    Ok(detail)
}

fn draw(place: &Path, why: &str) -> io::Result<()> {
    let tile = drawn::draw(SEED);
    let staging = Staging::beside(place)?;
    fs::write(staging.path().join(IMAGE), png(&tile)?)?;
    fs::write(staging.path().join(BOXES), tile.boxes_csv())?;
    commit(staging, Source::Synthetic, why)
}

fn png(tile: &drawn::Tile) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, drawn::SIDE, drawn::SIDE);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&tile.rgb)?;
    Ok(bytes)
}

/// Writes the provenance last, then puts the folder in its place.
fn commit(staging: Staging, source: Source, detail: &str) -> io::Result<()> {
    let mut digests = serde_json::Map::new();
    for file in [IMAGE, BOXES] {
        digests.insert(file.to_owned(), sha256_of(&staging.path().join(file))?.into());
    }
    let note = json!({"source": source.name(), "detail": detail, "sha256": digests});
    fs::write(staging.path().join(PROVENANCE), format!("{note:#}\n"))?;
    staging.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_synthetic_tile_is_the_same_on_every_machine() {
        let tile = drawn::draw(SEED);
        assert_eq!(tile.rgb.len(), 3 * (drawn::SIDE as usize).pow(2));
        assert_eq!(hex::encode(&Sha256::digest(&tile.rgb)[..8]), "ac6481d5465e6c16");
        assert_eq!(hex::encode(&Sha256::digest(tile.boxes_csv())[..8]), "d6ba099a3d3aae5a");
        assert_ne!(drawn::draw(SEED + 1).rgb, tile.rgb);
    }

    #[test]
    fn the_synthetic_tile_has_many_crowns_that_look_unlike_the_ground() {
        let tile = drawn::draw(SEED);
        assert!(tile.crowns.len() > 40, "{} crowns", tile.crowns.len());
        let green = |x: u32, y: u32| {
            let at = ((y * drawn::SIDE + x) * 3) as usize;
            i32::from(tile.rgb[at + 1]) - i32::from(tile.rgb[at])
        };
        for crown in &tile.crowns {
            assert!(crown.xmin < crown.xmax && crown.xmax <= drawn::SIDE, "{crown:?}");
            assert!(crown.ymin < crown.ymax && crown.ymax <= drawn::SIDE, "{crown:?}");
            let middle = green(crown.xmin.midpoint(crown.xmax), crown.ymin.midpoint(crown.ymax));
            assert!(middle > 3, "{crown:?}: green exceeds red by {middle}");
        }
    }

    #[test]
    fn a_drawn_tile_says_so_and_a_damaged_one_is_drawn_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open_at(folder.path().to_owned()).unwrap();
        let place = cache.tile();
        let row = ensure(&cache, &Network::Off, Wanted::Real(Again::Never)).expect("drawn");
        assert!(row.new && row.from.contains("--offline"), "{row:?}");
        let (source, detail) = present(&place).expect("there");
        assert_eq!(source, Source::Synthetic);
        assert!(detail.contains("the real one cannot be had"), "{detail}");
        assert!(!ensure(&cache, &Network::Off, Wanted::Real(Again::Never)).expect("there").new);
        fs::write(place.join(BOXES), "image_path\n").unwrap();
        assert!(ensure(&cache, &Network::Off, Wanted::Synthetic).expect("drawn again").new);
        assert!(present(&place).is_some());
    }
}
