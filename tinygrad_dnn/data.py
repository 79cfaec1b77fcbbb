"""Examples and batches of them: datasets, samplers, the loader; the spiral of article C and MNIST's file format.

A dataset maps an index to an example, a sampler decides the order, and a `DataLoader` collates examples to batches.
Where the examples are rows of tensors, a batch is one ``take`` a tensor: no Python loop over rows.
"""

import gzip
import math
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence, Sized
from copy import copy, deepcopy
from itertools import accumulate, islice
from pathlib import Path
from types import GenericAlias
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from .engine import Array, Tensor, as_array, leaf, tensor
from .ops.random import Generator, stream
from .ops.shape import stack

__all__ = [
    "BatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler",
    "default_collate", "default_convert", "get_worker_info", "random_split", "read_idx", "spiral",
]

Example = TypeVar("Example", covariant=True)


def positive_int(name: str, value: Any) -> int:
    """``value``, checked to be an integer above 0; True is not one."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value!r}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """``value``, checked to be a bool."""
    if not isinstance(value, bool | np.bool):
        raise ValueError(f"{name} should be a boolean value, but got {name}={value!r}")
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

    def __add__(self, other: Any) -> "Dataset[Any]":
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Example]):
    """Examples one after the other, such as lines of a file; a subclass defines ``__iter__``, and may ``__len__``.

    >>> class Countdown(IterableDataset):
    ...     def __iter__(self):
    ...         return iter([3, 2, 1])
    >>> list(DataLoader(Countdown(), batch_size=2))
    [tensor([3, 2]), tensor([1])]
    """

    def __iter__(self) -> Iterator[Example]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")

    def __add__(self, other: Any) -> "ChainDataset":
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[Any]):
    """The examples of several iterable datasets, one dataset after the other. Raises TypeError for another one.

    >>> class Letters(IterableDataset):
    ...     def __iter__(self):
    ...         return iter("ab")
    >>> list(ChainDataset([Letters(), Letters()]))
    ['a', 'b', 'a', 'b']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            check_iterable(dataset)
            yield from dataset

    def __len__(self) -> int:
        for dataset in self.datasets:
            check_iterable(dataset)
        return sum(map(len, self.datasets))


def check_iterable(dataset: Any) -> None:
    """Refuse a dataset of a chain that has indices."""
    if not isinstance(dataset, IterableDataset):
        raise TypeError(f"ChainDataset only supports IterableDataset, got {type(dataset).__name__}; use ConcatDataset")


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
        lengths = {t.array.shape[:1] for t in made}
        if len(lengths) > 1 or lengths == {()}:
            raise ValueError(
                f"Size mismatch between tensors: the shapes are {', '.join(str(t.array.shape) for t in made)}; "
                "every tensor needs one row for each example"
            )
        self.tensors = made

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The examples at ``index``: an integer, a slice, or a list, array or tensor of integers."""
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0].array)


class Subset(Dataset[Any]):
    """The examples of ``dataset`` at ``indices``. Raises IndexError for a mask.

    >>> Subset([10, 20, 30], [2, 0])[0]
    30
    """

    def __init__(self, dataset: Examples, indices: Sequence[int]) -> None:
        if np.asarray(next(iter(indices), 0)).dtype == bool:
            raise IndexError("Subset takes the positions of examples, not a mask; give np.flatnonzero(mask)")
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[Any]):
    """The examples of several datasets, one dataset after the other.

    Raises ValueError if there are none, TypeError for one without indices.

    >>> ConcatDataset([[1, 2], [3]])[-1]
    3
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError("ConcatDataset does not support IterableDataset; use ChainDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index: Any) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"index {index} is out of range for {n} examples")
        index %= n
        k = bisect_right(self.cumulative_sizes, index)
        return self.datasets[k][index - (self.cumulative_sizes[k - 1] if k else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


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
    if math.isclose(math.fsum(lengths), 1.0):
        sizes = [math.floor(n * fraction) for fraction in lengths]
        for k in range(n - sum(sizes)):
            sizes[k % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths if float(length).is_integer()]
    if sum(sizes) != n or len(sizes) < len(lengths) or any(length < 0 for length in lengths):
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! Got {list(lengths)}; "
            f"give lengths of at least 0 that sum to {n}, or fractions that sum to 1"
        )
    order = stream(generator).permutation(n).tolist()
    return [Subset(dataset, order[stop - size : stop]) for size, stop in zip(sizes, accumulate(sizes), strict=True)]


# --- samplers ---------------------------------------------------------------------------------------------------------


class Sampler(Generic[Example]):
    """An order of indices; a subclass defines ``__iter__`` and, for ``len(loader)``, ``__len__``.

    >>> class Backwards(Sampler):
    ...     def __init__(self, data):
    ...         self.data = data
    ...     def __iter__(self):
    ...         return reversed(range(len(self.data)))
    >>> list(DataLoader("abc", sampler=Backwards("abc"), batch_size=3))
    [['c', 'b', 'a']]
    """

    def __iter__(self) -> Iterator[Example]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")


class SequentialSampler(Sampler[int]):
    """The indices 0 to n - 1, in order.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Examples) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
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
        self.num_samples = positive_int("num_samples", len(data_source) if num_samples is None else num_samples)
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        n, wanted, rng = len(self.data_source), self.num_samples, stream(self.generator)
        if self.replacement:
            return iter(rng.integers(n, size=wanted).tolist())
        order = np.concatenate([rng.permutation(n) for _ in range(math.ceil(wanted / n))])
        return iter(order[:wanted].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` indices of another sampler; with ``drop_last`` an incomplete one at the end is left out.

    >>> list(BatchSampler(SequentialSampler("abcde"), 2, False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        positive_int("batch_size", batch_size)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        n: int = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class SubsetRandomSampler(Sampler[int]):
    """The given indices, in random order.

    >>> sorted(SubsetRandomSampler([5, 7]))
    [5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in stream(self.generator).permutation(len(self.indices)))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
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

    Raises ValueError for weights or numbers that cannot be drawn from.

    >>> list(WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.weights = as_array(weights, np.float64, copy=True)
        self.num_samples = positive_int("num_samples", num_samples)
        self.replacement = flag("replacement", replacement)
        self.generator = generator
        if self.weights.ndim != 1:
            raise ValueError(f"weights should be a 1d sequence but given weights have shape {self.weights.shape}")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()):
            raise ValueError("weights should be finite, at least 0, and not all 0")
        drawable = np.count_nonzero(self.weights)
        if not self.replacement and self.num_samples > drawable:
            raise ValueError(
                "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
                f"{self.num_samples} wanted, {drawable} weights are above 0"
            )

    def __iter__(self) -> Iterator[int]:
        p = self.weights / self.weights.max()  # so that the sum cannot overflow
        drawn = stream(self.generator).choice(len(p), self.num_samples, self.replacement, p / p.sum())
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


# --- the loader -------------------------------------------------------------------------------------------------------


def get_worker_info() -> None:
    """None: everything is loaded in this process, and a dataset yields all of its examples.

    >>> get_worker_info() is None
    True
    """


def default_collate(batch: Sequence[Any]) -> Any:
    """Examples as one batch, by PyTorch's rules.

    Tensors, arrays and NumPy numbers are stacked along a new first dimension; ints become int64, floats float64 and
    bools bool tensors; strings stay as they are; tuples and lists are collated position by position, to a list, and
    dicts key by key, to their class.

    Raises TypeError for anything else, RuntimeError for shapes or lengths that differ.

    >>> default_collate([(1, [2.0]), (3, [4.0])])
    [tensor([1, 3]), [tensor([2., 4.], dtype=float64)]]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stacked(batch)
    if isinstance(first, np.ndarray | np.generic) and first.dtype.kind in "biufc":
        return stacked([leaf(np.asarray(a)) for a in batch])
    if isinstance(first, float):
        return tensor(batch, dtype=np.float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return like(first, {key: default_collate([example[key] for example in batch]) for key in first})
    if isinstance(first, tuple | list):
        if any(len(example) != len(first) for example in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first).__name__}: convert it in __getitem__, or pass collate_fn"
    )


def default_convert(data: Any) -> Any:
    """An example with its arrays and NumPy numbers as tensors: what a loader does if it makes no batches.

    >>> default_convert((np.ones(2), "a"))
    [tensor([1., 1.], dtype=float64), 'a']
    """
    if isinstance(data, np.ndarray | np.generic) and data.dtype.kind in "biufc":
        return leaf(np.asarray(data))
    if isinstance(data, Mapping):
        return like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple | list):
        parts = [default_convert(part) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    return data


def like(mapping: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    """``values`` under the keys of ``mapping``, in a mapping of its class if that can be changed."""
    if not isinstance(mapping, MutableMapping):
        return values
    made = copy(mapping)
    made.update(values)
    return made


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """The tensors along a new first dimension."""
    if any(t.requires_grad or t.array.shape != parts[0].array.shape for t in parts):
        return stack(parts)  # records, or says which shape differs
    return leaf(np.stack([t.array for t in parts]))  # an op a tensor would take ten times as long


def rows_of(dataset: Any) -> tuple[list[Array], Array] | None:
    """The arrays whose rows the examples are, and the row of each example; None if they are not mere rows."""
    source = dataset
    while type(source) is Subset:
        source = source.dataset
    # a subclass may have another __getitem__, and rows of a tensor that requires grad have to be recorded
    if type(source) is not TensorDataset or any(t.requires_grad for t in source.tensors):
        return None
    rows = np.arange(len(dataset))
    while dataset is not source:
        rows = np.asarray(dataset.indices, dtype=np.intp)[rows]
        dataset = dataset.dataset
    return [t.array for t in source.tensors], rows


class DataLoader:
    """Batches of a dataset, anew each time it is iterated over.

    Parameters
    ----------
    dataset : dataset, or any object with ``__getitem__`` and ``__len__``
        An `IterableDataset` decides on the order itself.
    batch_size : int > 0 or None, default 1
        Examples in a batch; the last may have fewer. None gives the examples themselves.
    shuffle : bool, default False
        A new random order for every pass.
    sampler : iterable of indices, optional
        The order, instead of ``shuffle``.
    batch_sampler : iterable of lists of indices, optional
        The batches, instead of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
    num_workers : int >= 0, default 0
        Accepted for PyTorch scripts, like ``pin_memory``, ``timeout``, ``worker_init_fn``, ``multiprocessing_context``
        and all after ``generator``: everything is loaded in this process, which for arrays in memory is the fastest.
    collate_fn : callable, optional
        Makes a batch of a list of examples; if not given `default_collate`, or `default_convert` of one example.
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

    __class_getitem__: Any = classmethod(GenericAlias)  # for hints such as DataLoader[Any]

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if isinstance(dataset, IterableDataset):
            for name, given in {"shuffle": shuffle, "sampler": sampler, "batch_sampler": batch_sampler}.items():
                if given not in (None, False):
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={given}"
                    )
            sampler = dataset  # what it yields are the examples themselves
        elif not isinstance(dataset, Examples):
            raise TypeError(f"dataset must define __getitem__ and __len__; {type(dataset).__name__} does not")
        if not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(
                f"num_workers option should be non-negative, but got num_workers={num_workers!r}; "
                "use num_workers=0 to disable multiprocessing"
            )
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"collate_fn should be callable, but got {collate_fn!r}")
        shuffle = flag("shuffle", False if shuffle is None else shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle; leave one of them out")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last; "
                    "leave them out"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.dataset = dataset
        self.batch_size = None if batch_size is None else positive_int("batch_size", batch_size)
        self.sampler: Any = sampler
        self.num_workers, self.pin_memory, self.timeout = num_workers, pin_memory, timeout
        self.worker_init_fn, self.multiprocessing_context = worker_init_fn, multiprocessing_context
        self.drop_last = flag("drop_last", drop_last)
        self.generator = generator
        self._batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_convert if self.batch_sampler is None else default_collate)

    def __iter__(self) -> Iterator[Any]:
        batches = self.batch_sampler
        if isinstance(self.dataset, IterableDataset):
            yield from map(self.collate_fn, self.dataset if batches is None else batches)
            return
        if batches is None:
            for i in self.sampler:
                yield self.collate_fn(self.dataset[i])
            return
        found = rows_of(self.dataset) if self.collate_fn is default_collate else None
        if found is None:
            for indices in batches:
                yield self.collate_fn([self.dataset[i] for i in indices])
            return
        arrays, rows = found
        for indices in batches:
            # a tuple would be an index of several dimensions, and a tensor of one element a number
            taken = rows[indices if isinstance(indices, list | np.ndarray) else list(indices)]
            yield [leaf(a.take(taken, axis=0)) for a in arrays]

    @property
    def batch_sampler(self) -> Any:
        """What gives the indices of each batch; None if there are no batches."""
        if self._batch_sampler is not None or self.batch_size is None:
            return self._batch_sampler
        return BatchSampler(self.sampler, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        """The number of batches; TypeError if the sampler, or an iterable dataset, has no length."""
        batches = self.batch_sampler
        return len(self.sampler if batches is None else batches)

    def state_dict(self) -> dict[str, Any]:
        """Where the random numbers of the next pass begin: the streams of the loader, its sampler and its dataset.

        What has no generator of its own draws from the default one, whose state is `get_rng_state`.

        >>> loader = DataLoader(range(9), batch_size=9, shuffle=True, generator=tg.Generator())
        >>> state = loader.state_dict()
        >>> first = list(loader)
        >>> loader.load_state_dict(state)
        >>> tg.equal(list(loader)[0], first[0])
        True
        """
        return {path: deepcopy(rng.bit_generator.state) for path, rng in streams(self)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`; ValueError, and nothing changed, for that of a loader with other generators."""
        held = dict(streams(self))
        if held.keys() != state_dict.keys():
            differ = sorted(map(str, held.keys() ^ state_dict.keys()))
            raise ValueError(f"state_dict is that of another DataLoader: compare {', '.join(differ)}")
        for path, rng in held.items():
            rng.bit_generator.state = state_dict[path]

    def __repr__(self) -> str:
        count = f" of {len(self.dataset)}" if isinstance(self.dataset, Sized) else ""
        shown = f"{type(self.dataset).__name__}{count}, batch_size={self.batch_size}"
        return f"DataLoader({shown}, sampler={type(self.sampler).__name__}, drop_last={self.drop_last})"


def streams(owner: Any, path: str = "") -> Iterator[tuple[str, np.random.Generator]]:
    """The generators among the attributes of a loader, sampler or dataset, and of those it holds, by path."""
    for name, value in vars(owner).items():
        if isinstance(value, Generator):
            yield path + name, value.numpy
        elif isinstance(value, np.random.Generator):
            yield path + name, value
        elif isinstance(value, Dataset | Sampler):
            yield from streams(value, f"{path}{name}.")


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

    Raises ValueError for arguments out of range.

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


IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
DEFLATE_RATIO = 1032  # the most that deflate can compress by: 258 bytes in 2 bits


def read_idx(path: str | os.PathLike[str]) -> Array:
    """The array in a file of MNIST's IDX format, plain or compressed by gzip.

    Parameters
    ----------
    path : path
        Such as ``train-images-idx3-ubyte.gz``; images are (n, 28, 28) uint8, labels (n,) uint8.

    Raises ValueError for a file of another format, and for one that is damaged, too short or too long. What the header
    promises is held against the size of the file before memory is taken.

    Source: http://yann.lecun.com/exdb/mnist, "The IDX file format": two zero bytes, a type, the number of dimensions,
    the size of each in 4 bytes, big-endian, and the elements in C order.
    """
    path = Path(path)
    with path.open("rb") as start:
        compressed = start.read(2) == b"\x1f\x8b"
    room = path.stat().st_size * (DEFLATE_RATIO if compressed else 1)
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:
                raise ValueError(f"{path}: not an IDX file: it starts with the bytes {magic.hex(' ') or '(none)'}")
            dtype, dimensions = np.dtype(IDX_DTYPES[magic[2]]), magic[3]
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            expected = math.prod(shape) * dtype.itemsize
            data = file.read(expected + 1) if expected <= room else b""
    except (EOFError, gzip.BadGzipFile, struct.error, zlib.error) as error:
        raise ValueError(f"{path}: damaged file: {error}") from error
    if len(data) != expected:
        raise ValueError(f"{path}: damaged file: the header says {shape}, but not so many bytes follow")
    return np.ndarray(shape, dtype, data).astype(dtype.newbyteorder("="))
