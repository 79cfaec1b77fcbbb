"""MNIST and Fashion-MNIST from the files they are distributed as, by the names of ``torchvision.datasets``.

The four files of each are read where torchvision keeps them, in ``root/MNIST/raw``, or in ``root`` itself, compressed
or not. Nothing is downloaded.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .data import Dataset, read_idx
from .engine import Array, Tensor, leaf

__all__ = ["MNIST", "FashionMNIST"]


class MNIST(Dataset[Any]):
    """Handwritten digits: 60,000 images of 28 x 28 pixels to train on, 10,000 to test on.

    Parameters
    ----------
    root : path
        The folder that has the files, or has them in ``MNIST/raw``: ``train-images-idx3-ubyte``,
        ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, each with or without
        ``.gz``.
    train : bool, default True
        The images to train on, or those to test on.
    transform, target_transform : callable, optional
        Applied to the image, and to the label, of an example.
    download : bool, default False
        Accepted for PyTorch scripts: files that are absent are asked for, not downloaded.

    Attributes
    ----------
    data : uint8 tensor (n, 28, 28)
    targets : int64 tensor (n,)

    Example i is the pair of an image, a uint8 array (28, 28) before the transform, and a label, an int.

    Raises RuntimeError if files are absent, ValueError if one is damaged or does not fit the other.

    >>> MNIST.classes[7]
    '7 - seven'
    """

    classes: ClassVar[list[str]] = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight",
        "9 - nine",
    ]  # fmt: skip

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        self.root = os.fspath(root)
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        prefix = "train" if train else "t10k"
        images, labels = self._found(f"{prefix}-images-idx3-ubyte"), self._found(f"{prefix}-labels-idx1-ubyte")
        pixels, numbers = read_idx(images), read_idx(labels)
        check(images, pixels, 3)
        check(labels, numbers, 1)
        if len(pixels) != len(numbers):
            raise ValueError(f"{images} has {len(pixels)} images, and {labels} has {len(numbers)} labels")
        if numbers.max(initial=0) >= len(self.classes):
            raise ValueError(f"{labels} has the label {numbers.max()}; there are {len(self.classes)} classes")
        self.data: Tensor = leaf(pixels)
        self.targets: Tensor = leaf(numbers.astype(np.int64))

    def _found(self, name: str) -> Path:
        """The path of a file."""
        raw = Path(self.root, type(self).__name__, "raw")
        for folder in (raw, Path(self.root, "raw"), Path(self.root)):
            for path in (folder / name, folder / f"{name}.gz"):
                if path.is_file():
                    return path
        raise RuntimeError(
            f"Dataset not found. {name} or {name}.gz is neither in {raw} nor in {self.root}; nothing is downloaded: "
            f"put the {type(self).__name__} files there, {{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte.gz"
        )

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of every class."""
        return {name: i for i, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = self.data.array[index].copy()  # a transform may write to it
        label: Any = int(self.targets.array[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __len__(self) -> int:
        return len(self.data.array)

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        lines += [f"    Root location: {self.root}", f"    Split: {'Train' if self.train else 'Test'}"]
        if self.transform is not None or self.target_transform is not None:
            lines.append("    StandardTransform")
        for name, transform in (("Transform", self.transform), ("Target transform", self.target_transform)):
            if transform is not None:
                lines.append(f"{name}: {transform}".replace("\n", "\n" + " " * (len(name) + 2)))
        return "\n".join(lines)


class FashionMNIST(MNIST):
    """Pictures of clothes in the format of `MNIST`, in ``root/FashionMNIST/raw`` or in ``root``.

    >>> FashionMNIST.classes[9]
    'Ankle boot'
    """

    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip


def check(path: Path, array: Array, dimensions: int) -> None:
    """Refuse an array that is not of bytes, or of other dimensions."""
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise ValueError(
            f"{path}: an IDX file of {array.dtype} in {array.ndim} dimensions; uint8 in {dimensions} was expected"
        )
