"""MNIST's files, and what turns their images into tensors."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn.data import DataLoader
from tinygrad_dnn.datasets import MNIST, FashionMNIST
from tinygrad_dnn.transforms import Compose, Lambda, Normalize, ToTensor

RNG = np.random.RandomState(0)
IMAGES = {"train": RNG.randint(0, 256, (50, 28, 28)).astype(np.uint8), "t10k": np.zeros((3, 28, 28), np.uint8)}
LABELS = {"train": RNG.randint(0, 10, 50).astype(np.uint8), "t10k": np.array([7, 2, 9], np.uint8)}


def idx(array: np.ndarray, kind: int = 0x08) -> bytes:
    """The bytes of an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def put(folder: Path, *, compressed: bool = True, **changed: bytes) -> None:
    """Write the four files, or other bytes under a name given by its first letters."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for name, content in (("images-idx3", IMAGES[part]), ("labels-idx1", LABELS[part])):
            data = changed.get(f"{part}_{name[:6]}", idx(content))
            path = folder / f"{part}-{name}-ubyte{'.gz' * compressed}"
            path.write_bytes(gzip.compress(data, 1) if compressed else data)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("place", ["MNIST/raw", "raw", "."])
def test_mnist_is_found(place: str, compressed: bool, tmp_path: Path) -> None:
    put(tmp_path / place, compressed=compressed)
    train, test = MNIST(tmp_path), MNIST(str(tmp_path), train=False, download=True)
    assert (len(train), len(test)) == (50, 3)
    np.testing.assert_array_equal(train.data.numpy(), IMAGES["train"], strict=True)
    np.testing.assert_array_equal(train.targets.numpy(), LABELS["train"].astype(np.int64), strict=True)
    image, label = test[2]
    np.testing.assert_array_equal(image, IMAGES["t10k"][2], strict=True)
    assert label == 9
    assert type(label) is int


def test_fashion_mnist_has_a_folder_and_classes_of_its_own(tmp_path: Path) -> None:
    put(tmp_path / "FashionMNIST" / "raw")
    data = FashionMNIST(tmp_path)
    assert data.classes[9] == "Ankle boot"
    assert data.class_to_idx["T-shirt/top"] == 0
    assert len(data.classes) == len(MNIST.classes) == 10
    with pytest.raises(RuntimeError, match="Dataset not found"):
        MNIST(tmp_path)


@pytest.mark.parametrize("download", [True, False])
def test_absent_files_are_asked_for(download: bool, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"Dataset not found\. train-images-idx3-ubyte .* nothing is downloaded"):
        MNIST(tmp_path, download=download)
    put(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    assert len(MNIST(tmp_path)) == 50
    with pytest.raises(RuntimeError, match="t10k-labels-idx1-ubyte"):
        MNIST(tmp_path, train=False, download=download)


@pytest.mark.parametrize(
    ("part", "data", "message"),
    [
        ("train_labels", idx(LABELS["train"][:-1]), "50 images, and .* has 49 labels"),
        ("train_labels", idx(LABELS["train"] + 1), "has the label 10; there are 10 classes"),
        ("train_labels", idx(IMAGES["train"]), "uint8 in 3 dimensions; uint8 in 1 was expected"),
        ("train_images", idx(LABELS["train"]), "uint8 in 1 dimensions; uint8 in 3 was expected"),
        ("train_images", idx(IMAGES["train"].astype(">i4"), 0x0C), "int32 in 3 dimensions"),
        ("train_images", idx(IMAGES["train"])[:-1], "damaged file: the header says"),
        ("train_images", idx(IMAGES["train"]) + b"\0", "damaged file: the header says"),
        ("train_images", b"<html>not found</html>", "not an IDX file"),
        ("train_images", b"\0\0\x08\3" + b"\xff" * 12, "damaged file: the header says"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_files_are_refused(part: str, data: bytes, message: str, compressed: bool, tmp_path: Path) -> None:
    put(tmp_path, compressed=compressed, **{part: data})
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path)


def test_transforms_are_applied(tmp_path: Path) -> None:
    put(tmp_path)
    data = MNIST(tmp_path, transform=Compose([ToTensor(), Normalize((0.1307,), (0.3081,))]), target_transform=str)
    image, label = data[7]
    assert image.shape == (1, 28, 28)
    assert image.dtype == tg.float32
    np.testing.assert_allclose(image.numpy()[0], (IMAGES["train"][7] / 255 - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6)
    assert label == str(LABELS["train"][7])


def test_a_loader_makes_batches(tmp_path: Path) -> None:
    put(tmp_path)
    batches = list(DataLoader(MNIST(tmp_path, transform=ToTensor()), batch_size=20))
    assert [tuple(x.shape) for x, _ in batches] == [(20, 1, 28, 28), (20, 1, 28, 28), (10, 1, 28, 28)]
    np.testing.assert_array_equal(
        tg.cat([x for x, _ in batches]).numpy()[:, 0], (IMAGES["train"] / np.float32(255)).astype(np.float32)
    )
    np.testing.assert_array_equal(tg.cat([y for _, y in batches]).numpy(), LABELS["train"])


def test_a_transform_may_write_to_its_image(tmp_path: Path) -> None:
    put(tmp_path)

    def erase(image: np.ndarray) -> np.ndarray:
        image[:] = 0
        return image

    data = MNIST(tmp_path, transform=erase)
    assert not data[0][0].any()
    np.testing.assert_array_equal(data.data.numpy(), IMAGES["train"])


def test_the_text_is_that_of_torchvision(tmp_path: Path) -> None:
    put(tmp_path)
    transform = Compose([ToTensor(), Normalize((0.5,), (0.5,)), Lambda(abs)])
    assert repr(MNIST(tmp_path, train=False, transform=transform)) == (
        "Dataset MNIST\n"
        "    Number of datapoints: 3\n"
        f"    Root location: {tmp_path}\n"
        "    Split: Test\n"
        "    StandardTransform\n"
        "Transform: Compose(\n"
        "               ToTensor()\n"
        "               Normalize(mean=(0.5,), std=(0.5,))\n"
        "               Lambda()\n"
        "           )"
    )
    assert repr(MNIST(tmp_path)).endswith("Split: Train")


# --- transforms -------------------------------------------------------------------------------------------------------


def test_to_tensor_moves_channels_first() -> None:
    image = RNG.randint(0, 256, (4, 5, 3)).astype(np.uint8)
    np.testing.assert_allclose(ToTensor()(image).numpy(), image.transpose(2, 0, 1) / 255, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_])
def test_to_tensor_scales_bytes_alone(dtype: Any) -> None:
    image = np.array([[0, 1], [1, 1]], dtype)
    made = ToTensor()(image)
    np.testing.assert_array_equal(made.numpy(), image[None], strict=True)
    made.fill_(0)
    assert image.any(), "the tensor has memory of its own"


def test_to_tensor_makes_the_default_dtype() -> None:
    tg.set_default_dtype(tg.float64)
    try:
        assert ToTensor()(np.full((1, 1), 51, np.uint8)).item() == 0.2
    finally:
        tg.set_default_dtype(tg.float32)


def test_to_tensor_takes_pictures() -> None:
    class Picture:
        """What Pillow's images offer."""

        def __init__(self, array: np.ndarray) -> None:
            self.__array_interface__ = array.__array_interface__
            self.array = array

    assert ToTensor()(Picture(np.full((2, 3), 255, np.uint8))).tolist() == [[[1.0] * 3] * 2]
    assert ToTensor()(Picture(np.array([[True, False]]))).tolist() == [[[1.0, 0.0]]]


@pytest.mark.parametrize(("pic", "error"), [("a.png", TypeError), ([[1]], TypeError), (np.zeros(3), ValueError)])
def test_to_tensor_refuses_what_is_no_image(pic: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="pic should be"):
        ToTensor()(pic)


def test_normalize_by_channel() -> None:
    x = tg.arange(12).float().reshape(3, 2, 2)
    mean, std = [1.0, 2.0, 3.0], [1.0, 2.0, 4.0]
    expected = (x.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    before = x.clone()
    np.testing.assert_allclose(Normalize(mean, std)(x).numpy(), expected)
    assert tg.equal(x, before)
    assert Normalize(mean, std, inplace=True)(x) is x
    np.testing.assert_allclose(x.numpy(), expected)
    assert Normalize(mean, std)(x.double()).dtype == tg.float64
    w = tg.ones(3, 2, 2, requires_grad=True)
    Normalize(mean, std)(w).sum().backward()
    assert w.grad[:, 0, 0].tolist() == [1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((1, 2, 2)), TypeError, "Tensor Image"),
        (tg.zeros(1, 2, 2, dtype=tg.uint8), TypeError, "float tensor"),
        (tg.zeros(2, 2), ValueError, "size"),
    ],
)
def test_normalize_refuses(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Normalize((0.5,), (0.5,))(x)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("mean", [(0.5, 0.5, 0.5), (0.5,)])
def test_one_channel_does_not_become_three(mean: tuple[float, ...], inplace: bool) -> None:
    x = tg.zeros(2, 1, 4, 4)
    with pytest.raises(RuntimeError, match=r"\[2, 1, 4, 4\] doesn't match the broadcast shape \[2, 3, 4, 4\]"):
        Normalize(mean, (0.5, 0.25, 0.5), inplace)(x)
    assert not x.any()


def test_normalize_refuses_to_divide_by_zero() -> None:
    with pytest.raises(ValueError, match="std evaluated to zero"):
        Normalize((0.5, 0.5), (0.5, 0.0))


def test_lambda_wants_a_function() -> None:
    assert Lambda(lambda x: x + 1)(1) == 2
    with pytest.raises(TypeError, match="should be callable"):
        Lambda(3)
