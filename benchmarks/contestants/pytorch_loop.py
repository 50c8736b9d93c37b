"""A plain PyTorch loop: VGG19 with the same weights, channels last, all cores."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contestants.vgg19_weights import read_kernels
from PIL import Image
from stopwatch import Stopwatch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
BLOCK5_CONV2 = 30  # its place in the sequence: 5 + 5 + 9 + 9 layers of the first four blocks, block5_conv1 and its ReLU
BGR_MEAN = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
CORES = len(os.sched_getaffinity(0))


def vgg19(weights: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    kernels = iter(read_kernels(weights))
    channels = 3
    for width, repeats in BLOCKS:
        for _ in range(repeats):
            convolution = nn.Conv2d(channels, width, 3, padding=1)
            kernel, bias = map(torch.from_numpy, next(kernels))
            convolution.load_state_dict({"weight": kernel.permute(3, 2, 0, 1), "bias": bias})
            layers += [convolution, nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def pooled_head() -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1))


def published_head(size: list[int]) -> nn.Sequential:
    features = 512 * (size[0] // 32) * (size[1] // 32)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(features, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1)
    )


class Photographs(Dataset):
    """Decodes images to uint8 tensors (3, height, width)."""

    def __init__(self, paths: list[Path], size: list[int]) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        with Image.open(self.paths[row]) as image:
            pixels = image.convert("RGB").resize(self.size[::-1], Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


def read(paths: list[Path], size: list[int]) -> Iterator[torch.Tensor]:
    """Decode in processes of their own, while the network computes."""
    for batch in DataLoader(Photographs(paths, size), batch_size=32, num_workers=CORES):
        yield batch.contiguous(memory_format=torch.channels_last)


def read_folder(folder: str, size: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Read one folder a class into memory."""
    paths = sorted(Path(folder).glob("*/*"))
    classes = sorted({path.parent for path in paths})
    labels = torch.tensor([[float(classes.index(path.parent))] for path in paths])
    return torch.cat(list(read(paths, size))), labels


def centre(images: torch.Tensor) -> torch.Tensor:
    return images.flip(1).float() - BGR_MEAN


def rescale(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 255


class Network:
    """A frozen base under a part that learns."""

    def __init__(self, scale: Any, base: nn.Module, learning: nn.Module, precision: str) -> None:
        self.scale, self.learning, self.dtype = scale, learning, getattr(torch, precision)
        self.base = base.to(self.dtype).requires_grad_(False)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Give the logits (n, 1) of raw images."""
        with torch.no_grad():
            features = self.base(self.scale(images).to(self.dtype))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            return self.learning(features).float()


def train_network(
    network: Network, optimizer: torch.optim.Optimizer, train: Any, valid: Any, batch_size: int, epochs: int
) -> Iterator[float]:
    """Train, and give the validation loss after each epoch."""
    loss_of = nn.BCEWithLogitsLoss()
    images, labels = train
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(batch_size):
            optimizer.zero_grad()
            loss_of(network(images[rows]), labels[rows]).backward()
            optimizer.step()
        with torch.inference_mode():
            logits = torch.cat([network(batch) for batch in valid[0].split(batch_size)])
            yield float(loss_of(logits, valid[1]))


def frozen(
    train: str, valid: str, weights: str, size: list[int], epochs: int, run_epochs: int, precision: str
) -> dict[str, Any]:
    """Train the pooled head through the frozen base."""
    torch.set_num_threads(CORES)
    watch = Stopwatch()
    network = Network(centre, vgg19(weights), pooled_head(), precision)
    optimizer = torch.optim.Adam(network.learning.parameters(), lr=1e-3)
    data = read_folder(train, size), read_folder(valid, size)
    for _ in train_network(network, optimizer, *data, batch_size=32, epochs=run_epochs):
        watch.lap()
    return watch.training(epochs)


def fine_tune(
    train: str, valid: str, weights: str, size: list[int], epochs: int, run_epochs: int, precision: str
) -> dict[str, Any]:
    """Train as published: from block5_conv2 on."""
    torch.set_num_threads(CORES)
    watch = Stopwatch()
    layers = vgg19(weights)
    learning = nn.Sequential(layers[BLOCK5_CONV2:], published_head(size))
    network = Network(rescale, layers[:BLOCK5_CONV2], learning, precision)
    # Decay and epsilon of Keras's RMSprop.
    optimizer = torch.optim.RMSprop(learning.parameters(), lr=1e-4, alpha=0.9, eps=1e-7)
    data = read_folder(train, size), read_folder(valid, size)
    for _ in train_network(network, optimizer, *data, batch_size=16, epochs=run_epochs):
        watch.lap()
    return watch.training(epochs)


def score(folder: str, weights: str, size: list[int], precision: str) -> dict[str, Any]:
    """Score the images of a folder."""
    torch.set_num_threads(CORES)
    network = Network(centre, vgg19(weights), pooled_head(), precision)
    with torch.inference_mode():
        network(torch.zeros(32, 3, *size).contiguous(memory_format=torch.channels_last))
        watch = Stopwatch()
        torch.cat([torch.sigmoid(network(images)) for images in read(sorted(Path(folder).iterdir()), size)]).numpy()
        return {"value": watch.seconds()}
