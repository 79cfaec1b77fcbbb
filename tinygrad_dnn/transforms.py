"""What turns an image into a tensor, by the names of ``torchvision.transforms``.

An image is an array of shape (h, w) or (h, w, channels), such as `datasets.MNIST` gives, or a picture of Pillow's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .engine import Array, Tensor, leaf
from .modes import get_default_dtype

__all__ = ["Compose", "Lambda", "Normalize", "ToTensor"]


class Compose:
    """Transforms one after the other.

    >>> Compose([ToTensor(), Normalize((0.5,), (0.5,))])
    Compose(
        ToTensor()
        Normalize(mean=(0.5,), std=(0.5,))
    )
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {transform}" for transform in self.transforms), ")"])


class ToTensor:
    """An image (h, w) or (h, w, channels) as a tensor (channels, h, w); bytes, 0 to 255, become floats, 0 to 1.

    Numbers of other dtypes are not scaled. Raises TypeError for what is no image, ValueError for other dimensions.

    >>> ToTensor()(np.array([[0, 51], [102, 255]], np.uint8))
    tensor([[[0.0000, 0.2000],
             [0.4000, 1.0000]]])
    """

    def __call__(self, pic: Any) -> Tensor:
        image = pic if isinstance(pic, np.ndarray) else picture(pic)
        if image.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {image.ndim} dimensions.")
        planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        if image.dtype == np.uint8:
            dtype = get_default_dtype()
            return leaf(np.divide(planes, 255, dtype=dtype))
        return leaf(np.array(planes, order="C"))

    def __repr__(self) -> str:
        return "ToTensor()"


def picture(pic: Any) -> Array:
    """The array of a Pillow picture, which has an array's interface."""
    if not hasattr(pic, "__array_interface__"):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    image = np.asarray(pic)
    return image.astype(np.uint8) * 255 if image.dtype == np.bool_ else image  # black and white


class Normalize:
    """Each channel c of a tensor (..., channels, h, w) as ``(x[c] - mean[c]) / std[c]``.

    Parameters
    ----------
    mean, std : sequences of float, one for each channel, or one for all
        No element of ``std`` may be 0.
    inplace : bool, default False
        Write to the tensor that is given.

    Raises TypeError for what is not a tensor of floats, ValueError for a zero in ``std`` or less than 3 dimensions,
    RuntimeError for another number of channels.

    >>> Normalize((0.5,), (0.5,))(tg.tensor([[[0.0, 0.5, 1.0]]]))
    tensor([[[-1.,  0.,  1.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace
        self.columns = [np.asarray(values, np.float64).reshape(-1, 1, 1) for values in (mean, std)]
        if not self.columns[1].all():
            raise ValueError(f"std evaluated to zero, leading to division by zero: std={std}")

    def __call__(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(tensor)}; put ToTensor() before Normalize")
        array = tensor.array
        if array.dtype.kind != "f":
            raise TypeError(f"Input tensor should be a float tensor. Got {array.dtype}.")
        if array.ndim < 3:
            raise ValueError(
                f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = {array.shape}"
            )
        wide = max(map(len, self.columns))
        if wide not in (1, array.shape[-3]):
            raise RuntimeError(
                f"output with shape {list(array.shape)} doesn't match the broadcast shape "
                f"{[*array.shape[:-3], wide, *array.shape[-2:]]}; give one for each channel, or one for all"
            )
        mean, std = (column.astype(array.dtype) for column in self.columns)
        if self.inplace:
            tensor -= leaf(mean)
            tensor /= leaf(std)
            return tensor
        return (tensor - leaf(mean)) / leaf(std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Lambda:
    """A function of your own.

    Raises TypeError for what is no function.

    >>> Lambda(lambda x: x.reshape(-1))(tg.zeros(1, 2, 2)).shape
    (4,)
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"
