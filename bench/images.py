"""Images to run on, out of one aerial tile: what `cargo xtask bench pipeline` puts into the bucket.

    python bench/images.py TILE FOLDER COUNT WIDTH HEIGHT

Each image is put together of crops of the tile at its own resolution, each turned or mirrored by chance, so that a
JPEG of it has as many bytes to the pixel as the aerial image itself; scaling the tile up would make them smooth, and
quick to decode. Quality 90, as Pillow writes it (4:2:0). The same arguments give the same images; what is there stays.
"""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

CROP = 256


def make(tile: Image.Image, path: Path, width: int, height: int, seed: int) -> None:
    if path.exists():
        return
    chance = random.Random(seed)
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
    tile, folder, count, width, height = Image.open(sys.argv[1]).convert("RGB"), Path(sys.argv[2]), *map(int, sys.argv[3:])
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        paths = [folder / f"{index:06}.jpg" for index in range(count)]
        list(pool.map(lambda index: make(tile, paths[index], width, height, index), range(count)))
    print(sum(path.stat().st_size for path in paths) / count)


if __name__ == "__main__":
    main()
