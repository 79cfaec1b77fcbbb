"""Examples and batches of them: datasets, samplers, the loader; the spiral of article C and MNIST's file format.

A dataset maps an index to an example, a sampler decides the order, and a `DataLoader` collates examples to batches.
Where the examples are rows of tensors, a batch is one `take` a tensor: no Python loop over rows.
"""

import gzip
import math
import operator
import os
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import numpy as np

from .engine import Array, Tensor, as_array, leaf, tensor
from .ops.random import Generator, stream
from .ops.shape import stack

__all__ = [
    "BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "IDXFormatError", "IterableDataset", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler",
    "default_collate", "random_split", "read_idx", "spiral",
]

Example = TypeVar("Example", covariant=True)
Order: TypeAlias = range | Array  # the indices of one pass over a dataset


def positive_int(name: str, value: Any) -> int:
    """``value``, checked to be an integer above 0; True is not one."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value!r}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """``value``, checked to be a bool."""
    if not isinstance(value, bool | np.bool):
        raise TypeError(f"{name} should be a boolean value, but got {name}={value!r}")
    return bool(value)


# --- datasets ---------------------------------------------------------------------------------------------------------


@runtime_checkable
class Examples(Protocol):
    """What a loader needs of a dataset; a list has it too."""

    def __getitem__(self, index: Any, /) -> Any: ...

    def __len__(self) -> int: ...


class Dataset(Generic[Example]):
    """A map from an index to an example; a subclass defines ``__getitem__`` and ``__len__``.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> list(DataLoader(Squares(), batch_size=3))
    [[tensor([0, 1, 2]), tensor([0, 1, 4])]]
    """

    def __getitem__(self, index: Any) -> Example:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __add__(self, other: Examples) -> "ConcatDataset":
        return ConcatDataset([cast(Examples, self), other])


class IterableDataset(Dataset[Example]):
    """A dataset that can only be iterated over, such as a stream; a subclass defines ``__iter__``."""

    def __iter__(self) -> Iterator[Example]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Example i is row i of every tensor, ``(t[i] for t in tensors)``.

    Parameters
    ----------
    *tensors : Tensor or array of shape (n, ...)
        Arrays keep their memory and dtype.

    Raises ValueError if the lengths differ or a tensor has no dimensions.

    >>> data = TensorDataset(tg.tensor([[1.0], [2.0], [3.0]]), tg.tensor([0, 1, 0]))
    >>> data[1:]
    (tensor([[2.],
            [3.]]), tensor([1, 0]))
    """

    def __init__(self, *tensors: Any) -> None:
        made = tuple(t if isinstance(t, Tensor) else leaf(as_array(t)) for t in tensors)
        if not made:
            raise ValueError("TensorDataset needs at least one tensor, as in TensorDataset(x, y)")
        shapes = [t.array.shape for t in made]
        if any(shape == () for shape in shapes):
            raise ValueError(f"Dimension specified as 0 but tensor has no dimensions: the shapes are {shapes}")
        if len({shape[0] for shape in shapes}) > 1:
            raise ValueError(
                f"Size mismatch between tensors: the lengths are {', '.join(str(shape[0]) for shape in shapes)}; "
                "every tensor needs one row an example"
            )
        self.tensors = made

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The examples at ``index``: an integer, a slice, or a list, array or tensor of integers."""
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0].array)

    def __repr__(self) -> str:
        kinds = ", ".join(f"{t.array.shape[1:]} {t.array.dtype}" for t in self.tensors)
        return f"TensorDataset({len(self)} examples of {kinds})"


class Subset(Dataset[Any]):
    """The examples of ``dataset`` at ``indices``.

    >>> Subset([10, 20, 30], [2, 0])[0]
    30
    """

    def __init__(self, dataset: Examples, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            return self.dataset[int(self.indices[int(index)])]
        return self.dataset[as_order(self.indices)[index.array if isinstance(index, Tensor) else index].tolist()]

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


class ConcatDataset(Dataset[Any]):
    """Datasets one after the other.

    >>> both = ConcatDataset([[10, 20], [30]])
    >>> len(both), both[2], both[-3]
    (3, 30, 10)
    """

    def __init__(self, datasets: Iterable[Examples]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable; give at least one dataset")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise ValueError("ConcatDataset does not support IterableDataset: it has no indices")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        position = operator.index(index)
        if not -n <= position < n:
            raise IndexError(f"index {index} is out of range for a dataset of {n} examples")
        position %= n
        k = bisect_right(self.cumulative_sizes, position)
        return self.datasets[k][position - self.cumulative_sizes[k - 1] if k else position]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __repr__(self) -> str:
        return f"ConcatDataset({self.datasets!r})"


def random_split(dataset: Examples, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Divide a dataset at random into parts that do not overlap.

    Parameters
    ----------
    dataset : dataset of n examples
    lengths : sequence of int or float
        Lengths that sum to n; or fractions that sum to 1, of which each part has ``floor(n fraction)`` examples and
        the first parts one of the rest each.
    generator : Generator, optional
        Makes the split reproducible.

    Raises ValueError for lengths or fractions that are negative or have another sum.

    >>> [len(part) for part in random_split(range(10), [0.7, 0.3])]
    [7, 3]
    """
    n = len(dataset)
    if not len(lengths) or any(length < 0 for length in lengths):
        raise ValueError(f"lengths should be numbers of at least 0, but got {list(lengths)}")
    if all(isinstance(length, int | np.integer) for length in lengths):
        sizes = [int(length) for length in lengths]
    elif math.isclose(math.fsum(lengths), 1.0):
        sizes = [math.floor(n * fraction) for fraction in lengths]
        for k in range(n - sum(sizes)):
            sizes[k % len(sizes)] += 1
    else:
        sizes = []
    if sum(sizes) != n or not sizes:
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! {list(lengths)} sums to "
            f"{math.fsum(lengths):g}; give lengths that sum to {n}, or fractions that sum to 1"
        )
    order = stream(generator).permutation(n).tolist()
    return [Subset(dataset, order[stop - size : stop]) for size, stop in zip(sizes, accumulate(sizes), strict=True)]


# --- samplers ---------------------------------------------------------------------------------------------------------


class Sampler(Generic[Example]):
    """An order of indices, or of lists of indices; a subclass defines ``__iter__`` and, for ``len(loader)``, a length.

    The argument is PyTorch's, and is not used.
    """

    def __init__(self, data_source: Any = None) -> None: ...

    def __iter__(self) -> Iterator[Example]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")


class DrawnSampler(Sampler[int]):
    """A sampler that draws all indices of a pass at once."""

    def draw(self) -> Order:
        """The indices of a new pass."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        order = self.draw()
        return iter(order if isinstance(order, range) else order.tolist())


class SequentialSampler(DrawnSampler):
    """The indices 0 to n - 1, in order.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Examples) -> None:
        self.data_source = data_source

    def draw(self) -> Order:
        return range(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(DrawnSampler):
    """Indices in random order: every one once, or drawn with replacement.

    Parameters
    ----------
    data_source : dataset of n examples, n > 0
    replacement : bool, default False
        Draw every index from all n.
    num_samples : int > 0, default n
        How many to draw; without replacement one permutation after another.
    generator : Generator, optional
        Makes the order reproducible.

    >>> sorted(RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Examples,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = flag("replacement", replacement)
        self.generator = generator
        if num_samples is None and len(data_source) == 0:
            raise ValueError(
                "num_samples should be a positive integer value, but got num_samples=0: the dataset is empty"
            )
        self.given = None if num_samples is None else positive_int("num_samples", num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices a pass has."""
        return len(self.data_source) if self.given is None else self.given

    def draw(self) -> Order:
        n, wanted, rng = len(self.data_source), self.num_samples, stream(self.generator)
        if self.replacement:
            return rng.integers(n, size=wanted)
        return np.concatenate([rng.permutation(n) for _ in range(math.ceil(wanted / n))])[:wanted]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(DrawnSampler):
    """Some indices, in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def draw(self) -> Order:
        return stream(self.generator).permutation(as_order(self.indices))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(DrawnSampler):
    """Indices 0 to n - 1 drawn with given weights: the remedy for classes of unequal size.

    Parameters
    ----------
    weights : sequence of n floats >= 0
        They need not sum to 1, but must not all be 0.
    num_samples : int > 0
        How many to draw.
    replacement : bool, default True
        If False no index is drawn twice, and there must be that many weights above 0.
    generator : Generator, optional
        Makes the order reproducible.

    >>> list(WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.num_samples = positive_int("num_samples", num_samples)
        self.replacement = flag("replacement", replacement)
        self.generator = generator
        self.weights = np.array(as_array(weights), dtype=np.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {self.weights.shape}"
            )
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()):
            raise ValueError("weights should be finite, at least 0, and not all 0")
        drawable = np.count_nonzero(self.weights)
        if not self.replacement and self.num_samples > drawable:
            raise ValueError(
                f"cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
                f"{self.num_samples} wanted, {drawable} weights are above 0"
            )

    def draw(self) -> Order:
        p = self.weights / self.weights.max()  # so that the sum cannot overflow
        return stream(self.generator).choice(len(p), self.num_samples, self.replacement, p / p.sum())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of up to ``batch_size`` successive indices of a sampler.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = positive_int("batch_size", batch_size)
        self.drop_last = flag("drop_last", drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        return chunks(self.sampler, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        n = len(cast(Examples, self.sampler))
        return n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)


def chunks(items: Iterable[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Lists of ``size`` successive items; the last may be shorter, or is dropped then."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        if drop_last and len(chunk) < size:
            return
        yield chunk


def as_order(indices: Sequence[int]) -> Array:
    """Indices as an array."""
    if isinstance(indices, range):
        return np.arange(indices.start, indices.stop, indices.step)
    return np.asarray(indices, dtype=np.intp)


# --- the loader -------------------------------------------------------------------------------------------------------


def default_collate(batch: Sequence[Any]) -> Any:
    """Examples as one batch, by PyTorch's rules.

    Tensors, arrays and NumPy numbers are stacked along a new first dimension; ints become int64, floats float64 and
    bools bool tensors; strings stay a list; tuples, lists and dicts are collated position by position and key by key.

    Raises TypeError for anything else, RuntimeError for shapes or lengths that differ.

    >>> default_collate([(1, [2.0]), (3, [4.0])])
    [tensor([1, 3]), [tensor([2., 4.], dtype=float64)]]
    """
    if not len(batch):
        raise ValueError("default_collate: the batch is empty; a batch needs at least one example")
    first = batch[0]
    if isinstance(first, Tensor):
        if any(t.requires_grad for t in batch):
            return stack(batch)
        return stacked([t.array for t in batch])
    if isinstance(first, np.ndarray | np.generic) and first.dtype.kind in "biufc":
        return stacked([np.asarray(a) for a in batch])
    if isinstance(first, float):
        return tensor(batch, dtype=np.float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([example[key] for example in batch]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(example) != len(first) for example in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first).__name__}: convert it in __getitem__, or pass collate_fn"
    )


def stacked(parts: list[Array]) -> Tensor:
    """Arrays along a new first dimension."""
    for k, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(parts[0].shape)} at entry 0 "
                f"and {list(part.shape)} at entry {k}; make them equal in __getitem__, or pass collate_fn"
            )
    return leaf(np.stack(parts))


def rows_of(dataset: Any) -> tuple[list[Array], Array | None] | None:
    """The arrays whose rows the examples are, and which rows if not all; None if they are not mere rows."""
    rows = None
    while type(dataset) is Subset:
        own = as_order(dataset.indices)
        rows = own if rows is None else own[rows]
        dataset = dataset.dataset
    # a subclass may have another __getitem__; and rows of a tensor that requires grad have to be recorded
    if type(dataset) is not TensorDataset or any(t.requires_grad for t in dataset.tensors):
        return None
    return [t.array for t in dataset.tensors], rows


class DataLoader:
    """Batches of a dataset, anew each time it is iterated over.

    Parameters
    ----------
    dataset : dataset, or any object with ``__getitem__`` and ``__len__``, or IterableDataset
    batch_size : int > 0, default 1
        Examples in a batch; the last may have fewer.
    shuffle : bool, default False
        A new random order for every pass.
    sampler : iterable of int, optional
        The order, instead of ``shuffle``.
    batch_sampler : iterable of lists of int, optional
        The batches, instead of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
    num_workers : int >= 0, default 0
        Accepted for PyTorch scripts, like the arguments that have no effect here either: everything is loaded in this
        process, which for arrays in memory is the fastest.
    collate_fn : callable, optional
        Makes a batch of a list of examples; `default_collate` if not given.
    drop_last : bool, default False
        Leave out a last batch that is not full.
    generator : Generator, optional
        Makes the order reproducible.

    A batch of tuples is a list. It holds copies: changing it in place leaves the dataset as it is.
    Raises ValueError or TypeError for arguments out of range or that exclude each other.

    >>> data = TensorDataset(tg.arange(5), tg.arange(5) ** 2)
    >>> for x, y in DataLoader(data, batch_size=2):
    ...     print(x, y)
    tensor([0, 1]) tensor([0, 1])
    tensor([2, 3]) tensor([4, 9])
    tensor([4]) tensor([16])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        streams = isinstance(dataset, IterableDataset)
        if not streams and not isinstance(dataset, Examples):
            raise TypeError(
                f"dataset must define __getitem__ and __len__, or be an IterableDataset; got {type(dataset).__name__}"
            )
        if not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(
                f"num_workers option should be non-negative, but got {num_workers!r}; "
                "use num_workers=0 to disable multiprocessing."
            )
        shuffle = flag("shuffle", False if shuffle is None else shuffle)
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"collate_fn should be callable, but got {collate_fn!r}")
        if streams and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader with IterableDataset: expected unspecified shuffle, sampler and batch_sampler options; "
                "the dataset alone decides the order"
            )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.collate_fn = collate_fn or default_collate
        self.generator = generator
        self.drop_last = flag("drop_last", drop_last)
        self.batch_size = None if batch_sampler is not None else positive_int("batch_size", batch_size)
        if sampler is None and batch_sampler is None and not streams:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.sampler = sampler
        if sampler is not None and self.batch_size is not None:
            batch_sampler = BatchSampler(sampler, self.batch_size, self.drop_last)
        self.batch_sampler = batch_sampler

    def __iter__(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            examples = chunks(self.dataset, cast(int, self.batch_size), self.drop_last)
            return (self.collate_fn(batch) for batch in examples)
        found = rows_of(self.dataset) if self.collate_fn is default_collate else None
        if found is None:
            return (self.collate_fn([self.dataset[i] for i in batch]) for batch in self.batch_sampler)
        arrays, rows = found
        return ([leaf(a.take(batch, axis=0)) for a in arrays] for batch in self.row_batches(rows))

    def row_batches(self, rows: Array | None) -> Iterator[Array]:
        """The numbers of the rows of each batch; ``rows`` are those of the examples, None for all of them."""
        if type(self.batch_sampler) is BatchSampler:
            sampler, size = self.batch_sampler.sampler, self.batch_sampler.batch_size
            if isinstance(sampler, DrawnSampler) and type(sampler).__iter__ is DrawnSampler.__iter__:
                drawn = sampler.draw()
                order = as_order(drawn) if isinstance(drawn, range) else drawn
                order = order if rows is None else rows[order]
                stop = len(order) - len(order) % size if self.batch_sampler.drop_last else len(order)
                return (order[k : k + size] for k in range(0, stop, size))
        batches = (as_order(batch) for batch in cast(Iterable[Sequence[int]], self.batch_sampler))
        return batches if rows is None else (rows[batch] for batch in batches)

    def __len__(self) -> int:
        """The number of batches; TypeError if the dataset, or the sampler, has no length."""
        if self.batch_sampler is not None:
            return len(cast(Examples, self.batch_sampler))
        n = len(self.dataset)
        size = cast(int, self.batch_size)
        return n // size if self.drop_last else math.ceil(n / size)

    def __repr__(self) -> str:
        if self.batch_size is None:
            return f"DataLoader({self.dataset!r}, batch_sampler={self.batch_sampler!r})"
        order = "" if self.sampler is None else f", sampler={type(self.sampler).__name__}"
        last = ", drop_last=True" if self.drop_last else ""
        return f"DataLoader({self.dataset!r}, batch_size={self.batch_size}{order}{last})"


# --- data -------------------------------------------------------------------------------------------------------------


def spiral(
    points: int = 100, arms: int = 2, noise: float = 0.2, seed: int | np.random.RandomState = 42
) -> tuple[Array, Array]:
    """Article C's spiral: arm j has angle = linspace(4j, 4(j + 1)) + noise N(0, 1), r = linspace(0, 1) and the points
    (r sin angle, r cos angle).

    Parameters
    ----------
    points : int > 0, default 100
        Points in an arm.
    arms : int > 0, default 2
        Arms, one class each.
    noise : float >= 0, default 0.2
        Standard deviation of the angle, in radians.
    seed : int or RandomState, default 42
        NumPy's legacy seed; or its stream, which the article goes on to draw the weights from.

    Returns
    -------
    x : float64 array (arms * points, 2), one arm after the other
    y : int64 array (arms * points,), the number of the arm

    >>> x, y = spiral()
    >>> x.shape, y.shape, x[99].round(4)
    ((200, 2), (200,), array([-0.7253, -0.6884]))
    """
    points, arms = positive_int("points", points), positive_int("arms", arms)
    if not (noise >= 0 and math.isfinite(noise)):
        raise ValueError(f"noise should be a finite number of at least 0, but got noise={noise!r}")
    rng = seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(seed)
    radius = np.linspace(0, 1, points)
    placed = []
    for j in range(arms):
        angle = np.linspace(4 * j, 4 * (j + 1), points) + noise * rng.randn(points)
        placed.append(np.column_stack([radius * np.sin(angle), radius * np.cos(angle)]))
    return np.concatenate(placed), np.repeat(np.arange(arms), points)


class IDXFormatError(ValueError):
    """A file that is not what MNIST's IDX format says."""


IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
DEFLATE_RATIO = 1032  # the most that deflate can compress by: 258 bytes in 2 bits
MOST_DIMENSIONS = 32


def read_idx(path: str | os.PathLike[str], max_bytes: int = 2**31) -> Array:
    """The array in a file of MNIST's IDX format, plain or compressed by gzip.

    Parameters
    ----------
    path : path
        Such as ``train-images-idx3-ubyte.gz``; images are (n, 28, 28) uint8, labels (n,) uint8.
    max_bytes : int, default 2 GiB
        The largest array to read. What the header promises is held against this and against the size of the file
        before memory is taken.

    Raises IDXFormatError, a ValueError, for a file of another format, and one that is damaged, too short or too long.

    Source: http://yann.lecun.com/exdb/mnist, "The IDX file format": two zero bytes, a type, the number of dimensions,
    the size of each in 4 bytes, big-endian, and the elements in C order.
    """
    path = Path(path)
    stored = path.stat().st_size
    with path.open("rb") as start:
        compressed = start.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            dtype, shape = idx_header(path, file.read(4), file)
            expected = math.prod(shape) * dtype.itemsize
            largest = math.prod(max(n, 1) for n in shape) * dtype.itemsize  # a size of 0 must not hide huge ones
            if expected > stored * (DEFLATE_RATIO if compressed else 1) or largest > max_bytes:
                raise IDXFormatError(
                    f"{path}: the header says {expected} bytes of shape {shape}, more than the file can hold "
                    f"({stored} bytes) or than max_bytes={max_bytes}"
                )
            data = file.read(expected + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IDXFormatError(f"{path}: damaged gzip file: {error}") from error
    if len(data) != expected:
        found = "more" if len(data) > expected else f"{len(data)}"
        raise IDXFormatError(f"{path}: the header says {expected} bytes of shape {shape}, but there are {found}")
    return np.ndarray(shape, dtype, data).astype(dtype.newbyteorder("="))


def idx_header(path: Path, magic: bytes, file: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Element type and shape."""
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES or not 1 <= magic[3] <= MOST_DIMENSIONS:
        raise IDXFormatError(f"{path}: not an IDX file: it starts with the bytes {magic.hex(' ') or 'of nothing'}")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise IDXFormatError(f"{path}: the file ends within its header")
    return np.dtype(IDX_DTYPES[magic[2]]), tuple(np.frombuffer(sizes, ">u4").tolist())
