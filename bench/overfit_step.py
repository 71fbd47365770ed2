"""Seconds per overfit step in Python's eager torch: what `gpu-worker --bench-steps` is held against.

The same U-Net on the same image, with the same memory layout, the same deterministic algorithms and the same
measurements in each step (loss, gradient norm, hash of the batch, resident memory, one JSON line) as gpu-worker's;
prints one line of JSON. Needs torch 2.11.0, numpy and Pillow.

    python bench/overfit_step.py --image image.png --boxes boxes.csv --size 160 --width 16 --steps 60 --threads 2
"""

import argparse
import csv
import hashlib
import json
import math
import os
import statistics
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
# As gpu-worker: threads that wait spin only briefly, or a busy machine slows both down tenfold.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

DEPTH = 3
WARM_UP = 10
PAGE = os.sysconf("SC_PAGE_SIZE")


class Double(nn.Module):
    """Convolution, BatchNorm, ReLU, twice."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        x = F.relu_(self.norm1(self.conv1(x)))
        return F.relu_(self.norm2(self.conv2(x)))


class UNet(nn.Module):
    """gpu-worker/src/model/unet.rs, layer for layer."""

    def __init__(self, width):
        super().__init__()
        channels = [width << level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(Double(i, o) for i, o in zip([3, *channels], channels))
        self.wider = nn.ModuleList(
            nn.ConvTranspose2d(channels[level + 1], channels[level], 2, 2) for level in reversed(range(DEPTH))
        )
        self.up = nn.ModuleList(Double(2 * channels[level], channels[level]) for level in reversed(range(DEPTH)))
        self.head = nn.Conv2d(width, 1, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.1)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        levels = []
        for index, double in enumerate(self.down):
            levels.append(double(F.max_pool2d(levels[-1], 2) if index else x))
        x = levels.pop()
        for wider, double in zip(self.wider, self.up):
            x = double(torch.cat([levels.pop(), wider(x)], 1))
        return self.head(x)


def read_batch(image_path, boxes_path, size):
    """The normalised image and the mask of an ellipse in each box."""
    image = Image.open(image_path).convert("RGB")
    width, height = image.size
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    pixels = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    mask = np.zeros((size, size), np.float32)
    y, x = np.mgrid[0:size, 0:size] + 0.5
    with open(boxes_path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            left, top, right, bottom = (float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            dx = (x - (left + right) / 2 * size / width) / ((right - left) / 2 * size / width)
            dy = (y - (top + bottom) / 2 * size / height) / ((bottom - top) / 2 * size / height)
            mask[dx * dx + dy * dy <= 1] = 1
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()), torch.from_numpy(mask[None, None])


def batch_hash(*tensors):
    """As gpu-worker: sixteen hex digits of the SHA-256 over the bytes that are fed."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().numpy())
    return digest.hexdigest()[:16]


def memory(device):
    """Resident bytes of the process, or what tensors hold on the GPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--boxes", required=True)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--adam", choices=["default", "foreach", "fused"], default="default")
    options = parser.parse_args()

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    device = torch.device(options.device)
    image, target = (t.to(device) for t in read_batch(options.image, options.boxes, options.size))
    model = UNet(options.width).to(device)
    if device.type == "cpu":
        model, image = model.to(memory_format=torch.channels_last), image.to(memory_format=torch.channels_last)
    rate, steps = 0.01, WARM_UP + options.steps
    adam = torch.optim.Adam(model.parameters(), lr=rate, **({} if options.adam == "default" else {options.adam: True}))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    parameters = list(model.parameters())

    seconds = []
    with open(os.devnull, "w", encoding="utf-8") as metrics:
        for step in range(1, steps + 1):
            start = time.perf_counter()
            adam.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(image), target)
            loss.backward()
            norm = torch.nn.utils.get_total_norm([p.grad for p in parameters]).item()
            value = loss.item()
            adam.step()
            schedule.step()
            line = {"step": step, "loss": value, "grad_norm": norm}
            line |= {"batch_hash": batch_hash(image, target), "memory_bytes": memory(device)}
            print(json.dumps(line), file=metrics, flush=True)
            if step > WARM_UP:
                seconds.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "steps": options.steps,
                "threads": torch.get_num_threads(),
                "device": device.type,
                "libtorch": torch.__version__,
                "adam": options.adam,
                "seconds_per_step": {
                    "median": statistics.median(seconds),
                    "mean": statistics.fmean(seconds),
                    "fastest": min(seconds),
                },
            }
        )
    )


if __name__ == "__main__":
    main()
