"""Images a second of Ray Data: read_images, a resizing map, an actor pool with the model, write_parquet.

What `cargo xtask bench pipeline` holds gpu-worker's pipeline against: the same server, images, TorchScript model, resizing
and rows. Written as Ray's guides "Working with images" and "End-to-end: offline batch inference" have it.

    python bench/ray_data.py MODEL.pt IMAGES OUT DTYPE ACTORS    # prints one line of JSON
    python bench/ray_data.py versions

IMAGES and OUT are BUCKET/PREFIX, DTYPE is fp32 or bf16; the server is $AWS_ENDPOINT_URL_S3. ACTORS share the cores. The clock
runs over the whole execution, in which Ray starts its actors, too: the difference of two runs leaves that out.
"""

import json
import os
import sys
import time

os.environ.setdefault("GOMP_SPINCOUNT", "3000")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy
import ray
import torch
from pyarrow import fs
from torch.nn import functional as F

SIZE = 224
BATCH = 32
TOP = 5
CORES = len(os.sched_getaffinity(0))
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL_S3")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255.0
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255.0


def preprocess(row: dict) -> dict:
    image = torch.from_numpy(row["image"]).permute(2, 0, 1).unsqueeze(0)
    row["image"] = F.interpolate(image, size=(SIZE, SIZE), mode="bilinear", antialias=True)[0].numpy()
    return row


class Predictor:
    def __init__(self, model: str, dtype: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.dtype = DTYPES[dtype]
        network = torch.jit.load(model).eval().to(self.dtype).to(memory_format=torch.channels_last)
        self.network = torch.jit.optimize_for_inference(network)

    def __call__(self, batch: dict) -> dict:
        with torch.inference_mode():
            images = torch.from_numpy(numpy.ascontiguousarray(batch["image"])).contiguous(memory_format=torch.channels_last)
            input = ((images.float() - MEAN) / DEVIATION).to(self.dtype)
            top = self.network(input).float().softmax(1).topk(TOP)
        return {"key": batch["path"], "scores": top.values.numpy(), "classes": top.indices.int().numpy()}


def main() -> None:
    if sys.argv[1:] == ["versions"]:
        print(json.dumps({"versions": f"ray {ray.__version__}"}))
        return
    model, images, out, dtype, actors = *sys.argv[1:5], int(sys.argv[5])
    scheme, _, host = (ENDPOINT or "https://").partition("://")
    files = fs.S3FileSystem(endpoint_override=host or None, scheme=scheme)
    ray.init(num_cpus=CORES, include_dashboard=False, logging_level="warning", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = (
        ray.data.read_images(images, filesystem=files, mode="RGB", include_paths=True)
        .map(preprocess)
        .map_batches(
            Predictor,
            fn_constructor_args=(os.path.abspath(model), dtype, max(1, CORES // (actors + 1))),
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=actors),
            # One core is left to reading and decoding: a task of these wants a whole one, and would wait for ever.
            num_cpus=max(1, CORES - 1) / actors,
        )
    )
    begun = time.monotonic()
    # A bucket has no folders.
    dataset.write_parquet(out, filesystem=files, try_create_dir=False)
    seconds = time.monotonic() - begun
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
