"""Datasets, samplers and loaders: every example once, the same batches by the fast path, and PyTorch's rules."""

import gzip
import struct
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
    read_idx,
    spiral,
)

Pair = namedtuple("Pair", "a b")


def numbered(n: int) -> TensorDataset:
    """n examples that know their index: rows (i, -i) and label i."""
    i = np.arange(n)
    return TensorDataset(np.stack([i, -i], axis=1).astype(np.float32), i)


def seeded(seed: int) -> tg.Generator:
    return tg.Generator().manual_seed(seed)


def same(a: Any, b: Any) -> bool:
    """Whether two batches are equal: structure, dtypes, shapes and numbers."""
    if isinstance(a, tg.Tensor):
        return a.array.dtype == b.array.dtype and a.shape == b.shape and bool((a.array == b.array).all())
    if isinstance(a, dict):
        return type(a) is type(b) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


# --- the loader -------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 40), size=st.integers(1, 45), shuffle=st.booleans(), drop_last=st.booleans())
def test_a_pass_has_every_example_once(n: int, size: int, shuffle: bool, drop_last: bool) -> None:
    loader = DataLoader(numbered(n), size, shuffle, drop_last=drop_last)
    for _ in range(2):
        batches = list(loader)
        seen = [int(i) for _, labels in batches for i in labels.array]
        assert len(batches) == len(loader)
        assert all(len(labels) == size for _, labels in (batches if drop_last else batches[:-1]))
        assert len(set(seen)) == len(seen) == (n - n % size if drop_last else n)
        assert shuffle or seen == list(range(len(seen)))
        assert all((x.array[:, 0] == y.array).all() and (x.array[:, 1] == -y.array).all() for x, y in batches)


def test_shuffling_has_a_new_order_for_every_pass_and_follows_the_seed() -> None:
    def passes(**options: Any) -> list[list[int]]:
        loader = DataLoader(numbered(50), 50, shuffle=True, **options)
        return [next(iter(loader))[1].tolist() for _ in range(3)]

    first = passes(generator=seeded(7))
    assert first == passes(generator=seeded(7))
    assert first != passes(generator=seeded(8))
    assert first[0] != first[1] != first[2]
    tg.manual_seed(7)
    assert passes() == first  # the default generator is one of these


class Mapped(Dataset):
    """The examples of another dataset, by a ``__getitem__`` of its own: never on the fast path."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)


@given(
    n=st.integers(1, 12),
    size=st.integers(1, 5),
    picks=st.lists(st.lists(st.integers(-4, 3), min_size=4, max_size=6), max_size=2),
    dtypes=st.lists(st.sampled_from(["f4", "f8", "i8", "u1", "?"]), min_size=1, max_size=3),
    seed=st.integers(0, 9),
)
def test_the_fast_path_makes_the_batches_of_the_generic_one(
    n: int, size: int, picks: list[list[int]], dtypes: list[str], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(max(n, 4),), (max(n, 4), 2), (max(n, 4), 2, 3)]
    arrays = [rng.integers(0, 2, shape).astype(dtype) for shape, dtype in zip(shapes, dtypes, strict=False)]
    dataset: Any = TensorDataset(*arrays)
    for indices in picks:
        dataset = Subset(dataset, indices)
    fast = list(DataLoader(dataset, size, shuffle=True, generator=seeded(seed)))
    slow = list(DataLoader(Mapped(dataset), size, shuffle=True, generator=seeded(seed)))
    assert len(fast) == len(slow)
    assert all(map(same, fast, slow))


def test_what_the_fast_path_may_not_skip() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(2 * t for t in super().__getitem__(index))

    (batch,) = DataLoader(Doubled(np.arange(3)), 3)
    assert batch[0].tolist() == [0, 2, 4]
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    ((rows,),) = DataLoader(TensorDataset(x), 2)
    (rows * rows).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert list(DataLoader(numbered(3), 2, collate_fn=len)) == [2, 1]


def test_a_batch_is_a_copy() -> None:
    dataset = numbered(4)
    for x, _ in DataLoader(dataset, 4):
        x.fill_(9)
    assert dataset[3][0].tolist() == [3, -3]


@pytest.mark.parametrize("sampler", [[2, 0], range(2, 0, -1), np.array([1, 1, 1]), tg.tensor([3, 2])])
def test_any_iterable_of_indices_is_a_sampler(sampler: Any) -> None:
    loader = DataLoader(numbered(4), 2, sampler=sampler)
    assert [int(i) for _, y in loader for i in y.array] == [int(i) for i in sampler]
    assert len(loader) == (len(sampler) + 1) // 2


def test_a_sampler_without_end_is_read_batch_by_batch() -> None:
    class Endless(Sampler):
        def __iter__(self) -> Any:
            while True:
                yield 1

    loader = DataLoader(numbered(2), 3, sampler=Endless())
    assert next(iter(loader))[1].tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="has no len"):
        len(loader)


def test_batches_may_be_given() -> None:
    batches = [[3, 0], [1]]
    loader = DataLoader(numbered(4), batch_sampler=batches)
    assert loader.batch_sampler is batches
    assert loader.batch_size is None
    assert len(loader) == 2
    for kind in (list, tuple, iter, np.array, tg.tensor):
        loader = DataLoader(numbered(4), batch_sampler=map(kind, batches))
        assert [y.tolist() for _, y in loader] == batches
    own = DataLoader(numbered(4), 3).batch_sampler
    assert list(own) == [[0, 1, 2], [3]]
    state = DataLoader(numbered(4), batch_sampler=BatchSampler(RandomSampler(range(4), generator=seeded(0)), 2, False))
    before, order = state.state_dict(), [y.tolist() for _, y in state]
    state.load_state_dict(before)
    assert [y.tolist() for _, y in state] == order


def test_without_a_batch_size_there_are_examples() -> None:
    data = [(np.ones(2), "a", 3), {"k": np.float32(2)}, Pair(np.zeros(1), None)]
    loader = DataLoader(data, batch_size=None)
    assert loader.batch_sampler is None
    assert len(loader) == 3
    first, second, third = loader
    assert (first[0].tolist(), first[1:]) == ([1, 1], ["a", 3])
    assert second["k"].dtype == tg.float32
    assert type(third) is Pair
    assert third.a.shape == (1,)
    assert list(DataLoader(range(3), batch_size=None, collate_fn=lambda i: i * 10, shuffle=False)) == [0, 10, 20]


def test_arguments_of_a_loader_are_pytorchs() -> None:
    given = (numbered(4), 2, False, None, None, 2, None, True, True, 5, print, "spawn", seeded(0))
    loader: DataLoader[Any] = DataLoader(*given, prefetch_factor=2, persistent_workers=True, in_order=True)
    assert (loader.num_workers, loader.pin_memory, loader.drop_last, loader.timeout) == (2, True, True, 5)
    assert (loader.worker_init_fn, loader.multiprocessing_context, loader.generator) == given[-3:]
    assert len(list(loader)) == 2


def test_loading_from_a_list_and_what_a_loader_shows() -> None:
    loader = DataLoader([(0.5, 1), (1.5, 0), (2.5, 1)], 2, num_workers=2, pin_memory=True)
    x, y = next(iter(loader))
    assert (x.tolist(), y.tolist()) == ([0.5, 1.5], [1, 0])
    assert (loader.batch_size, loader.num_workers, len(loader.dataset)) == (2, 2, 3)
    assert repr(loader) == "DataLoader(list of 3, batch_size=2, sampler=SequentialSampler, drop_last=False)"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"batch_size": True}, ValueError, "batch_size should be a positive integer value"),
        ({"batch_size": 2.0}, ValueError, "batch_size should be a positive integer value"),
        ({"shuffle": range(2)}, ValueError, "shuffle should be a boolean value"),
        ({"drop_last": 3}, ValueError, "drop_last should be a boolean value, but got drop_last=3"),
        ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
        ({"collate_fn": "stack"}, TypeError, "collate_fn should be callable"),
        ({"shuffle": True, "sampler": [0]}, ValueError, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler option is mutually exclusive with"),
        ({"batch_size": None, "drop_last": True}, ValueError, "batch_size=None option disables auto-batching"),
    ],
)
def test_loader_refuses(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        DataLoader(numbered(3), **options)


def test_loader_refuses_what_is_not_a_dataset_and_an_empty_one_to_shuffle() -> None:
    with pytest.raises(TypeError, match="__getitem__ and __len__; generator does not"):
        DataLoader(i for i in range(3))
    with pytest.raises(ValueError, match="num_samples should be a positive integer value, but got num_samples=0"):
        DataLoader(numbered(0), shuffle=True)
    assert list(DataLoader(numbered(0))) == []


class Stream(IterableDataset[int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n if get_worker_info() is None else 0))


class SizedStream(Stream):
    def __len__(self) -> int:
        return self.n


@pytest.mark.parametrize("drop_last", [False, True])
@given(n=st.integers(0, 9), size=st.integers(1, 5))
def test_examples_of_a_stream_come_in_their_order(n: int, size: int, drop_last: bool) -> None:
    loader = DataLoader(SizedStream(n), batch_size=size, drop_last=drop_last)
    expected = [list(range(k, min(k + size, n))) for k in range(0, n, size)]
    assert [b.tolist() for b in loader] == [b for b in expected if len(b) == size or not drop_last]
    assert len(list(loader)) == len(loader)  # anew for every pass
    assert list(DataLoader(Stream(n), None)) == list(range(n))


def test_streams_one_after_the_other() -> None:
    chain = Stream(2) + SizedStream(1)
    assert list(chain) == [0, 1, 0]
    assert len(ChainDataset([SizedStream(3), SizedStream(2)])) == 5
    assert repr(DataLoader(Stream(2))).startswith("DataLoader(Stream, batch_size=1")
    for sized in (chain, DataLoader(Stream(2))):
        with pytest.raises(TypeError, match=r"has no len\(\)"):
            len(sized)
    with pytest.raises(TypeError, match="ChainDataset only supports IterableDataset"):
        list(ChainDataset([[1]]))
    with pytest.raises(TypeError, match="ConcatDataset does not support IterableDataset"):
        ConcatDataset([[1], Stream(1)])
    with pytest.raises(NotImplementedError, match="must define __iter__"):
        iter(IterableDataset())


@pytest.mark.parametrize("name", ["shuffle", "sampler", "batch_sampler"])
def test_the_order_of_a_stream_is_its_own(name: str) -> None:
    given: Any = True if name == "shuffle" else [[0]]
    with pytest.raises(ValueError, match=f"DataLoader with IterableDataset: expected unspecified {name} option"):
        DataLoader(Stream(2), **{name: given})


# --- collating --------------------------------------------------------------------------------------------------------

COLLATED = [  # pinned from torch 2.13: a batch, what becomes of it, the dtype
    ([1, 2], [1, 2], "int64"),
    ([1.5, 2], [1.5, 2.0], "float64"),
    ([1, 2.5], [1.0, 2.5], "float32"),
    ([True, False], [True, False], "bool"),
    ([np.float32(1), np.float32(2)], [1.0, 2.0], "float32"),
    ([np.float64(1)], [1.0], "float64"),
    ([np.int32(3)], [3], "int32"),
    ([np.bool_(True)], [True], "bool"),
    ([np.zeros(2, np.float16), np.ones(2, np.float16)], [[0, 0], [1, 1]], "float16"),
    ([np.array(3), np.array(4)], [3, 4], "int64"),
]


@pytest.mark.parametrize(("batch", "values", "dtype"), COLLATED)
def test_numbers_are_collated_as_torch_does(batch: Any, values: Any, dtype: str) -> None:
    made = default_collate(batch)
    assert (made.tolist(), made.array.dtype) == (values, dtype)


def test_structures_are_collated_as_torch_does() -> None:
    i, f = tg.tensor([1, 3]), tg.tensor([2.0, 4.0], dtype=tg.float64)
    assert same(default_collate([(1, 2.0), (3, 4.0)]), [i, f])
    assert same(default_collate([[1, 2.0], [3, 4.0]]), [i, f])
    assert same(default_collate([Pair(1, 2.0), Pair(3, 4.0)]), Pair(i, f))
    assert same(default_collate([{"k": 1, "l": [2.0]}, {"k": 3, "l": [4.0]}]), {"k": i, "l": [f]})
    assert same(default_collate([((1, 2.0), "a"), ((3, 4.0), "b")]), [[i, f], ("a", "b")])
    assert default_collate([b"x", b"y"]) == [b"x", b"y"]
    assert same(default_collate([tg.tensor([1]), tg.tensor([3])]), tg.tensor([[1], [3]]))


def test_a_mapping_is_collated_to_its_class() -> None:
    made = default_collate([OrderedDict(a=1, b=2.0), OrderedDict(a=3, b=4.0)])
    assert type(made) is OrderedDict
    assert {key: t.tolist() for key, t in made.items()} == {"a": [1, 3], "b": [2.0, 4.0]}
    fixed = default_collate([MappingProxyType({"a": 1})])
    assert type(fixed) is dict
    assert fixed["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("batch", "kind", "message"),
    [
        ([None], TypeError, "batch must contain tensors, numpy arrays, numbers, dicts or lists; found NoneType"),
        ([np.array(["a"])], TypeError, "found ndarray"),
        ([[1], [1, 2]], RuntimeError, "each element in list of batch should be of equal size"),
        ([np.zeros(2), np.zeros(3)], RuntimeError, r"stack expects each tensor to be equal size, but got \[2\] at"),
        ([tg.zeros(2), tg.zeros(3)], RuntimeError, r"and \[3\] at entry 1"),
        ([{"a": 1}, {"b": 1}], KeyError, "a"),
    ],
)
def test_collating_refuses(batch: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        default_collate(batch)


# --- datasets ---------------------------------------------------------------------------------------------------------


def test_tensor_dataset() -> None:
    x = np.arange(6.0).reshape(3, 2)
    dataset = TensorDataset(x, tg.tensor([0, 1, 0]))
    assert len(dataset) == len(list(dataset)) == 3
    assert [t.tolist() for t in dataset[1]] == [[2.0, 3.0], 1]
    for index in (slice(1, 3), [1, 2], np.array([1, 2]), tg.tensor([1, 2])):
        assert [t.tolist() for t in dataset[index]] == [[[2.0, 3.0], [4.0, 5.0]], [1, 0]]
    x[0, 0] = 9
    assert dataset[0][0].tolist() == [9.0, 1.0]


@pytest.mark.parametrize("tensors", [(), (np.zeros((3, 2)), np.zeros(2)), (np.zeros(()),), (np.zeros(3), 1.0)])
def test_tensor_dataset_refuses(tensors: Any) -> None:
    with pytest.raises(ValueError, match=r"Size mismatch between tensors|at least one tensor"):
        TensorDataset(*tensors)


def test_subset_and_a_dataset_without_getitem() -> None:
    inner = Subset(numbered(10), range(0, 10, 2))
    outer = Subset(inner, [4, 1])
    assert [int(y) for _, y in outer] == [8, 2]
    assert outer[[1, 0]][1].tolist() == [2, 8]
    assert len(outer) == 2
    with pytest.raises(NotImplementedError, match="Nothing must define __getitem__"):
        type("Nothing", (Dataset,), {})()[0]
    with pytest.raises(NotImplementedError, match="must define __iter__"):
        iter(Sampler())


@pytest.mark.parametrize("mask", [[False, True], np.array([False, True]), tg.tensor([False, True])])
def test_a_subset_takes_positions_and_no_mask(mask: Any) -> None:
    with pytest.raises(IndexError, match=r"not a mask; give np.flatnonzero\(mask\)"):
        Subset(numbered(2), mask)
    assert len(Subset(numbered(2), [])) == 0


@given(st.data())
def test_random_split_covers_without_overlap(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(lambda a: sum(a) != 1))
    n = sum(lengths)
    parts = random_split(range(n), lengths, seeded(0))
    assert [len(p) for p in parts] == lengths
    assert sorted(i for p in parts for i in p) == list(range(n))
    assert [list(p) for p in parts] == [list(p) for p in random_split(range(n), lengths, seeded(0))]


@pytest.mark.parametrize(
    ("n", "lengths", "sizes"),  # pinned from torch 2.13
    [
        (10, [0.7, 0.3], [7, 3]),
        (10, [0.33, 0.33, 0.34], [4, 3, 3]),
        (7, [0.5, 0.25, 0.25], [4, 2, 1]),
        (3, [0.1] * 10, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
        (10, [1, 0], [10, 0]),
        (1, [0.5, 0.5], [1, 0]),
        (1437, [0.8, 0.1, 0.1], [1150, 144, 143]),
        (100, [0.29, 0.71], [29, 71]),
    ],
)
def test_random_split_by_fractions_follows_torch(n: int, lengths: list[float], sizes: list[int]) -> None:
    parts = random_split(range(n), lengths)
    assert [len(p) for p in parts] == sizes
    assert sorted(i for p in parts for i in p) == list(range(n))


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.6], [-1, 11], [5.5, 4.5], [0.5, 10], [1.5, -0.5], [], [np.nan]])
def test_random_split_refuses(lengths: list[float]) -> None:
    before = tg.initial_seed(), tg.rand(1).item()
    tg.manual_seed(0)
    with pytest.raises(ValueError, match="Sum of input lengths does not equal the length of the input dataset!"):
        random_split(range(10), lengths)
    assert (tg.initial_seed(), tg.rand(1).item()) == before  # nothing was drawn


# --- samplers ---------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 20), wanted=st.integers(1, 50), seed=st.integers(0, 99))
def test_random_sampler_goes_round_before_it_repeats(n: int, wanted: int, seed: int) -> None:
    sampler = RandomSampler(range(n), num_samples=wanted, generator=seeded(seed))
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == wanted
    for start in range(0, wanted, n):
        part = drawn[start : start + n]
        assert len(set(part)) == len(part)
        assert set(part) <= set(range(n))


def test_random_sampler_with_replacement_repeats() -> None:
    drawn = list(RandomSampler(range(50), replacement=True))
    assert len(drawn) == 50 > len(set(drawn))
    assert set(drawn) <= set(range(50))


def test_sequential_and_subset_samplers() -> None:
    assert list(SequentialSampler("abcd")) == [0, 1, 2, 3]
    sampler = SubsetRandomSampler(range(10, 60), seeded(1))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(10, 60))
    assert first != second
    assert first == list(SubsetRandomSampler(range(10, 60), seeded(1)))


def test_weighted_sampler_draws_in_proportion() -> None:
    n = 4000
    drawn = np.array(list(WeightedRandomSampler([1e300, 3e300, 0.0, 4e300], n)))
    share = np.bincount(drawn, minlength=4) / n
    np.testing.assert_allclose(share, [1 / 8, 3 / 8, 0, 1 / 2], atol=4 * 0.5 / np.sqrt(n))
    assert sorted(WeightedRandomSampler(tg.tensor([1.0, 0.0, 5.0]), 2, replacement=False)) == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], 1), r"weights should be a 1d sequence but given weights have shape \(1, 1\)"),
        (([1.0, -1.0], 1), "weights should be finite, at least 0, and not all 0"),
        (([1.0, np.inf], 1), "weights should be finite"),
        (([0.0], 1), "not all 0"),
        (([1.0], 0), "num_samples should be a positive integer value"),
        (([1.0], 1, 2), "replacement should be a boolean value"),
        (([1.0, 0.0], 2, False), r"cannot sample n_sample > prob_dist.size\(-1\) samples without replacement"),
    ],
)
def test_weighted_sampler_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightedRandomSampler(*arguments)


# --- the spiral and MNIST's files -------------------------------------------------------------------------------------


def test_spiral_is_the_recipe_bit_for_bit() -> None:
    r = np.random.RandomState(42)
    x, y = [], []
    for j in (0, 1):
        angle = np.linspace(4 * j, 4 * (j + 1), 100) + 0.2 * r.randn(100)
        radius = np.linspace(0, 1, 100)
        x.append(np.c_[radius * np.sin(angle), radius * np.cos(angle)])
        y.append(np.full(100, j))
    passed = np.random.RandomState(42)
    for made in (spiral(), spiral(seed=passed)):
        np.testing.assert_array_equal(made[0], np.concatenate(x))
        np.testing.assert_array_equal(made[1], np.concatenate(y))
    assert passed.randn() == r.randn()  # the article draws the weights from here
    assert (made[0].dtype, made[1].dtype) == (np.float64, np.int64)


def test_spiral_numbers() -> None:
    x, y = spiral()
    np.testing.assert_allclose(
        x[[1, 50, 99, 100, 150, 199]].ravel(),
        [
            0.00012879630940773265, 0.01010018893741058, 0.4397350562168533, -0.2484131497842477,
            -0.7253136674044844, -0.688418538300834, -0.0, -0.0,
            -0.10670725802588195, 0.4936492416041659, 0.9965925642814317, 0.08248188176175594,
        ],
        rtol=1e-12,
    )
    assert y[[0, 99, 100, 199]].tolist() == [0, 0, 1, 1]
    three, labels = spiral(points=5, arms=3, noise=0.0, seed=1)
    np.testing.assert_allclose(np.hypot(*three.T), np.tile(np.linspace(0, 1, 5), 3), atol=1e-15)
    assert labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5


@pytest.mark.parametrize("options", [{"points": 0}, {"arms": 1.5}, {"noise": -1}, {"noise": np.inf}, {"noise": np.nan}])
def test_spiral_refuses(options: dict[str, Any]) -> None:
    passed = np.random.RandomState(0)
    with pytest.raises(ValueError, match=next(iter(options))):
        spiral(seed=passed, **options)
    assert passed.randn() == np.random.RandomState(0).randn()


def idx_bytes(array: np.ndarray, code: int) -> bytes:
    """A file of MNIST's format, written by hand."""
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
def test_read_idx_round_trip(tmp_path: Path, code: int, dtype: str, pack: Any) -> None:
    path = tmp_path / "idx"
    for shape in [(3,), (2, 3, 4), (0, 5)]:
        array = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
        path.write_bytes(pack(idx_bytes(array, code)))
        read = read_idx(path)
        np.testing.assert_array_equal(read, array)
        assert (read.dtype, read.shape, read.flags.writeable) == (np.dtype(dtype), shape, True)


GOOD = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3), 0x08)
ZIPPED = gzip.compress(GOOD)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"not an IDX file: it starts with the bytes \(none\)"),
        (b"\x89PNG....", "not an IDX file: it starts with the bytes 89 50 4e 47"),
        (b"\0\0\x0a\1" + bytes(8), "not an IDX file"),
        (GOOD[:3], "not an IDX file"),
        (GOOD[:7], "damaged"),
        (GOOD[:-1], r"the header says \(2, 3\)"),
        (GOOD + b"\0", r"the header says \(2, 3\)"),
        (GOOD[:4] + b"\xff" * 8 + bytes(6), "the header says"),
        (ZIPPED[:-9], "damaged file"),
        (ZIPPED[:-8] + bytes(8), "damaged file"),
        (ZIPPED[:12] + b"\xff\xff" + ZIPPED[14:], "damaged file"),
        (gzip.compress(GOOD[:-1]), "the header says"),
        (gzip.compress(GOOD[:4] + b"\x7f" * 8), "the header says"),
        (gzip.compress(b""), "not an IDX file"),
    ],
)
def test_read_idx_refuses_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "idx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path)


@pytest.mark.parametrize("content", [GOOD, ZIPPED], ids=["plain", "gzip"])
def test_read_idx_never_accepts_a_cut_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "idx"
    for n in range(len(content)):
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match="idx: "):
            read_idx(path)
