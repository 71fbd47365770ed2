"""Images a second of PyTorch's own way: a tuned DataLoader, the same TorchScript model, rows to Parquet by pyarrow.

What `cargo xtask bench pipeline` holds gpu-worker's pipeline against: the same images, model, resizing and batch size.

    python bench/dataloader.py model MODEL.pt                 # makes the model: ResNet-18 with fixed-seed weights
    python bench/dataloader.py run MODEL.pt IMAGES OUT        # prints one line of JSON
    python bench/dataloader.py decode IMAGES                  # decode and resize in one thread, by Pillow

Needs torch 2.11.0, numpy and Pillow; with pyarrow it writes Parquet, without it a .npz file, and says which.
"""

import io
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "3000")

import numpy
import PIL
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

SIZE = 224
BATCH = 32
TOP = 5
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255.0
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255.0
CORES = len(os.sched_getaffinity(0))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.down(x))


def resnet18() -> nn.Module:
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


class Images(Dataset):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = numpy.array(Image.open(self.folder / self.keys[index]).convert("RGB"))
        image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
        return F.interpolate(image, size=(SIZE, SIZE), mode="bilinear", antialias=True)[0]


def write(out: Path, keys: list, scores: list, classes: list) -> str:
    out.mkdir(parents=True, exist_ok=True)
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        numpy.savez(out / "rows.npz", keys=numpy.array(keys), scores=numpy.concatenate(scores), classes=numpy.concatenate(classes))
        return "numpy, since there is no pyarrow here"
    table = pyarrow.table({"key": keys, "scores": list(numpy.concatenate(scores)), "classes": list(numpy.concatenate(classes))})
    parquet.write_table(table, out / "rows.parquet", compression="zstd")
    return f"pyarrow {pyarrow.__version__}"


def run(model: str, folder: Path, out: Path) -> dict:
    torch.set_num_threads(CORES)
    network = torch.jit.load(model).eval().to(memory_format=torch.channels_last)
    images = Images(folder)
    loader = DataLoader(images, batch_size=BATCH, num_workers=CORES, prefetch_factor=2)
    scores, classes = [], []
    with torch.inference_mode():
        for _ in range(3):
            network(torch.randn(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last))
        begun = time.monotonic()
        for batch in loader:
            batch = batch.to(memory_format=torch.channels_last)
            top = network((batch.float() - MEAN) / DEVIATION).softmax(1).topk(TOP)
            scores.append(top.values.numpy())
            classes.append(top.indices.int().numpy())
        writer = write(out, images.keys, scores, classes)
        seconds = time.monotonic() - begun
    return {"images_per_second": len(images) / seconds, "writer": writer, "torch": torch.__version__}


def decode(folder: Path) -> dict:
    torch.set_num_threads(1)
    encoded = [path.read_bytes() for path in sorted(folder.rglob("*.*"))[:64]]
    count, begun = 0, time.monotonic()
    while time.monotonic() - begun < 3.0:
        for image in encoded:
            Image.open(io.BytesIO(image)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        count += len(encoded)
    return {"images_per_second": count / (time.monotonic() - begun), "pillow": PIL.__version__}


def main() -> None:
    match sys.argv[1:]:
        case ["model", path]:
            torch.manual_seed(20261123)
            torch.jit.script(resnet18().eval()).save(path)
        case ["run", model, images, out]:
            print(json.dumps(run(model, Path(images), Path(out))))
        case ["decode", images]:
            print(json.dumps(decode(Path(images))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
