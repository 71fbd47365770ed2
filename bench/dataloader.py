"""Images a second of PyTorch's own way: a DataLoader that reads S3, TorchScript, Parquet to S3 by pyarrow.

What `cargo xtask bench pipeline` holds gpu-worker's pipeline against: the same server, images, model, resizing and rows.

    python bench/dataloader.py tune MODEL.pt IMAGES OUT DTYPE COUNT    # tries settings on COUNT images, prints the best as JSON
    python bench/dataloader.py usual DTYPE | versions            # prints the settings of most scripts, or the versions
    python bench/dataloader.py run MODEL.pt IMAGES OUT SETTINGS [COUNT]
    python bench/dataloader.py decode FOLDER                     # decode and resize in one thread, by Pillow and torchvision

IMAGES and OUT are BUCKET/PREFIX, DTYPE is fp32 or bf16; the server is $AWS_ENDPOINT_URL_S3. The clock runs from the first
image that is asked for to the last shard that is written; loading and warming up the model, and listing the images, are not
counted.
"""

import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import numpy
import pyarrow
import torch
import torchvision
from PIL import Image
from pyarrow import fs, parquet
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

SIZE = 224
TOP = 5
ROWS_PER_SHARD = 500
# Requests of a worker at a time.
REQUESTS = 8
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255.0
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255.0
CORES = len(os.sched_getaffinity(0))
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL_S3")

# What most scripts have: the client and the decoder that everybody has installed, a worker for each core.
USUAL = {
    "client": "boto3",
    "decoder": "pillow",
    "workers": CORES,
    "threads": CORES,
    "batch": 32,
    "layout": "channels_last",
    "rewrite": "freeze",
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# What else is tried, one after the other; what is faster stays.
TRIED = (
    ("decoder", ["torchvision"]),
    ("client", ["obstore"]),
    ("rewrite", ["optimize_for_inference"]),
    ("batch", [8, 16]),
    ("layout", ["contiguous"]),
    ("threads", sorted({1, CORES} - {CORES})),
    ("workers", sorted({max(1, CORES // 2), CORES + 1} - {CORES})),
)


def boto3_get(bucket: str):
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(max_pool_connections=REQUESTS))
    return lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read()


def obstore_get(bucket: str):
    import obstore
    from obstore.store import S3Store

    plain = {"allow_http": True} if ENDPOINT and ENDPOINT.startswith("http:") else {}
    store = S3Store(bucket, endpoint=ENDPOINT, client_options=plain, virtual_hosted_style_request=False)
    return lambda key: obstore.get(store, key).bytes().to_bytes()


def pillow_decode(encoded: bytes) -> torch.Tensor:
    return torch.from_numpy(numpy.array(Image.open(io.BytesIO(encoded)).convert("RGB"))).permute(2, 0, 1)


def torchvision_decode(encoded: bytes) -> torch.Tensor:
    data = torch.frombuffer(bytearray(encoded), dtype=torch.uint8)
    return torchvision.io.decode_image(data, mode=torchvision.io.ImageReadMode.RGB)


CLIENTS = {"boto3": boto3_get, "obstore": obstore_get}
DECODERS = {"pillow": pillow_decode, "torchvision": torchvision_decode}


def resized(image: torch.Tensor) -> torch.Tensor:
    """What torchvision's Resize(antialias=True) does to a tensor of bytes."""
    return F.interpolate(image.unsqueeze(0), size=(SIZE, SIZE), mode="bilinear", antialias=True)[0]


class Images(Dataset):
    def __init__(self, bucket: str, keys: list, settings: dict) -> None:
        self.bucket, self.keys, self.settings = bucket, keys, settings
        self.get = None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitems__(self, indices: list) -> list:
        """A whole batch: its requests are on their way together, and decoding leaves the interpreter to others."""
        if self.get is None:  # In the worker: neither a client nor a pool survives a fork.
            torch.set_num_threads(1)
            self.get = CLIENTS[self.settings["client"]](self.bucket)
            self.pool = ThreadPoolExecutor(REQUESTS)
        decode = DECODERS[self.settings["decoder"]]
        return list(self.pool.map(lambda index: resized(decode(self.get(self.keys[index]))), indices))


def listed(images: str, count: int | None) -> tuple:
    import boto3

    bucket, _, prefix = images.partition("/")
    pages = boto3.client("s3", endpoint_url=ENDPOINT).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return bucket, keys[:count]


class Shards:
    """Rows to Parquet on S3, so many a file."""

    def __init__(self, out: str) -> None:
        scheme, _, host = (ENDPOINT or "https://").partition("://")
        self.files = fs.S3FileSystem(endpoint_override=host or None, scheme=scheme)
        self.out, self.written = out, 0
        self.keys, self.scores, self.classes = [], [], []

    def add(self, keys: list, scores: torch.Tensor, classes: torch.Tensor) -> None:
        self.keys += keys
        self.scores += list(scores.numpy())
        self.classes += list(classes.int().numpy())
        if len(self.keys) >= ROWS_PER_SHARD:
            self.write()

    def write(self) -> None:
        if not self.keys:
            return
        table = pyarrow.table({"key": self.keys, "scores": self.scores, "classes": self.classes})
        parquet.write_table(table, f"{self.out}/part-{self.written:05}.parquet", filesystem=self.files, compression="zstd")
        self.written += 1
        self.keys, self.scores, self.classes = [], [], []


def load(model: str, settings: dict) -> torch.jit.ScriptModule:
    network = torch.jit.load(model).eval().to(DTYPES[settings["dtype"]])
    if settings["layout"] == "channels_last":
        network = network.to(memory_format=torch.channels_last)
    return getattr(torch.jit, settings["rewrite"])(network)


def run(model: str, images: str, out: str, settings: dict, count: int | None = None) -> dict:
    torch.set_num_threads(settings["threads"])
    layout = torch.channels_last if settings["layout"] == "channels_last" else torch.contiguous_format
    dtype = DTYPES[settings["dtype"]]
    network = load(model, settings)
    bucket, keys = listed(images, count)
    shards = Shards(out)
    loader = DataLoader(
        Images(bucket, keys, settings),
        batch_size=settings["batch"],
        num_workers=settings["workers"],
        prefetch_factor=2,
    )
    with torch.inference_mode():
        for _ in range(3):
            network(torch.randn(settings["batch"], 3, SIZE, SIZE).to(dtype).contiguous(memory_format=layout))
        begun, done = time.monotonic(), 0
        for batch in loader:
            batch = batch.contiguous(memory_format=layout)
            input = ((batch.float() - MEAN) / DEVIATION).to(dtype)
            top = network(input).float().softmax(1).topk(TOP)
            shards.add(keys[done : done + len(batch)], top.values, top.indices)
            done += len(batch)
        shards.write()
        seconds = time.monotonic() - begun
    return {"images_per_second": done / seconds, "images": done, "settings": settings}


def versions() -> str:
    packages = ("torch", "torchvision", "pillow", "pyarrow", "boto3", "obstore")
    return ", ".join(f"{package} {metadata.version(package)}" for package in packages)


def tune(model: str, images: str, out: str, dtype: str, count: str) -> dict:
    """Each setting after the other, each try in a process of its own."""
    tried = []

    def rate(settings: dict) -> float:
        words = [sys.executable, __file__, "run", model, images, out, json.dumps(settings), count]
        said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
        rate = json.loads(said.splitlines()[-1])["images_per_second"]
        tried.append({**settings, "images_per_second": rate})
        print(f"{rate:.1f}/s {json.dumps(settings)}", file=sys.stderr, flush=True)
        return rate

    best = {**USUAL, "dtype": dtype}
    fastest = rate(best)
    for name, values in TRIED:
        for value in values:
            other = {**best, name: value}
            speed = rate(other)
            if speed > fastest:
                best, fastest = other, speed
    return {"settings": best, "tried": tried}


def decode(folder: Path) -> dict:
    torch.set_num_threads(1)
    encoded = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:64]]

    def whole_pillow(image: bytes) -> None:
        Image.open(io.BytesIO(image)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)

    def rate(work) -> float:
        for image in encoded[:8]:
            work(image)
        count, begun = 0, time.monotonic()
        while time.monotonic() - begun < 3.0:
            work(encoded[count % len(encoded)])
            count += 1
        return count / (time.monotonic() - begun)

    return {"pillow": rate(whole_pillow), "torchvision": rate(lambda image: resized(torchvision_decode(image)))}


def main() -> None:
    match sys.argv[1:]:
        case ["versions"]:
            print(json.dumps({"versions": versions()}))
        case ["usual", dtype]:
            print(json.dumps({**USUAL, "dtype": dtype}))
        case ["tune", model, images, out, dtype, count]:
            print(json.dumps(tune(model, images, out, dtype, count)))
        case ["run", model, images, out, settings, *count]:
            print(json.dumps(run(model, images, out, json.loads(settings), *map(int, count))))
        case ["decode", folder]:
            print(json.dumps(decode(Path(folder))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
