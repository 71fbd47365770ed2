"""Images to run on, out of one aerial tile: what `cargo xtask bench pipeline` puts into the bucket.

    python bench/images.py TILE FOLDER COUNT WIDTH HEIGHT

WIDTH and HEIGHT are pixels, or a span of them (96-400) of which each image draws its own. Each image is put together of crops of the tile at its own resolution, each turned or mirrored by chance, so that a
JPEG of it has as many bytes to the pixel as the aerial image itself; scaling the tile up would make them smooth, and
quick to decode. Quality 90, as Pillow writes it (4:2:0). The same arguments give the same images; what is there stays.
"""

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

CROP = 256


def make(tile: Image.Image, path: Path, sides: list, seed: int) -> None:
    if path.exists():
        return
    chance = random.Random(seed)
    width, height = (chance.randint(least, most) for least, most in sides)
    image = Image.new("RGB", (width, height))
    for y in range(0, height, CROP):
        for x in range(0, width, CROP):
            left, top = (chance.randrange(side - CROP + 1) for side in tile.size)
            crop = tile.crop((left, top, left + CROP, top + CROP))
            image.paste(crop.transpose(chance.choice(list(Image.Transpose))), (x, y))
    partial = path.with_suffix(".part")
    image.save(partial, "JPEG", quality=90)
    partial.rename(path)


def main() -> None:
    tile, folder, count = Image.open(sys.argv[1]).convert("RGB"), Path(sys.argv[2]), int(sys.argv[3])
    spans = [[int(side) for side in word.split("-")] for word in sys.argv[4:6]]
    sides = [(min(span), max(span)) for span in spans]
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        paths = [folder / f"{index:06}.jpg" for index in range(count)]
        list(pool.map(lambda index: make(tile, paths[index], sides, index), range(count)))
    print(json.dumps({"mean_bytes": sum(path.stat().st_size for path in paths) / count}))


if __name__ == "__main__":
    main()
