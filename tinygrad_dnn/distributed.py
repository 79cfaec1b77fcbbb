"""Data-parallel training on several processes and machines, through MPI, by the names of ``torch.distributed``.

    mpiexec -n 4 python train.py

starts ``train.py`` four times. Each process has the whole model and a part of every batch; gradients are averaged after
``backward()``, by one all-reduce, so that all processes take the step that one would take on the joined batch:

>>> def train(model, dataset):  # in every process
...     dist = tg.distributed
...     dist.init_process_group()
...     sampler = dist.DistributedSampler(dataset)
...     model = dist.DistributedDataParallel(model)
...     optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
...     for epoch in range(10):
...         sampler.set_epoch(epoch)
...         for x, y in tg.data.DataLoader(dataset, batch_size=32, sampler=sampler):
...             optimizer.zero_grad()
...             nn.functional.cross_entropy(model(x), y).backward()
...             optimizer.step()
...         dist.save(model.module.state_dict(), "model.npz")

Processes of one machine share its cores: with n of them per machine, let each have its share of BLAS threads, as in
``OPENBLAS_NUM_THREADS=1 mpiexec -n 4 ...`` on four cores.

**A process that dies** takes the job with it, since the others would wait for it forever: an exception that nobody
catches calls ``MPI_Abort``, so does a process that leaves by ``sys.exit`` while the others work on, and of one that was
killed mpiexec learns by itself. What `save` had written stays whole.

**On many nodes** a step of n processes takes ``t(b) + a(n) + 2 (n-1)/n S / B``. Forward and backward of b examples in
each, t(b), do not depend on n. S is the size of the gradients in bytes: a process has to send ``2 (n-1)/n S`` of them,
less than 2 S however many there are, over the slowest link, of bandwidth B. The latency a(n) grows as log2(n). So
efficiency tends to ``t / (t + a + 2 S / B)``: examples per process and bandwidth decide it, hardly the number of
processes. ``benchmarks/distributed.py`` measures all of these. What does not go on is the joined batch of n b examples:
the learning rate has to follow, and beyond some size more examples in a step no longer mean fewer steps.
"""

import atexit
import math
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from importlib.util import find_spec
from itertools import zip_longest
from types import TracebackType
from typing import Any

import numpy as np

from .data import Examples, Sampler, flag, positive_int
from .engine import Array, Tensor, after_backward, array_of, in_place, leaf, recording, touch
from .io import File, save as save_file
from .nn import Module
from .ops.random import Generator
from .optim.bucket import cut

__all__ = [
    "DistributedDataParallel", "DistributedSampler", "ReduceOp", "all_reduce", "barrier", "broadcast",
    "destroy_process_group", "get_rank", "get_world_size", "init_process_group", "is_available", "is_initialized",
    "save",
]

# --- the processes ----------------------------------------------------------------------------------------------------

PATIENCE = 5.0  # seconds that a process waits for the others when it exits

_group: Any = None  # MPI's communicator, between init_process_group and destroy_process_group


def is_available() -> bool:
    """Whether mpi4py is installed."""
    return find_spec("mpi4py") is not None


def is_initialized() -> bool:
    """Whether this process has joined the others.

    >>> is_initialized()
    False
    """
    return _group is not None


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
) -> None:
    """Join the processes that mpiexec has started; one that was started alone is a group of one.

    From here on an exception that nobody catches ends all processes. Those that are done go on to
    `destroy_process_group`, where they wait for the others; one that exits without it waits for seconds only.

    Parameters
    ----------
    backend, init_method, timeout
        Accepted for PyTorch scripts: it is always MPI, which knows the processes.
    world_size, rank : int, optional
        What mpiexec should have given.

    Raises ImportError without mpi4py, ValueError if the group is there already or has another size or order.

    >>> init_process_group()  # doctest: +SKIP
    """
    global _group
    if _group is not None:
        raise ValueError("trying to initialize the default process group twice!")
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            f"{error}: pip install 'tinygrad_dnn[distributed]' and, where no MPI is, pip install mpich"
        ) from error
    found = MPI.COMM_WORLD
    for name, wanted, given in (("world_size", world_size, found.size), ("rank", rank, found.rank)):
        if wanted not in (-1, given):
            raise ValueError(f"{name}={wanted}, but mpiexec gave {given}; leave it out, and start with mpiexec -n")
    _group = found
    sys.excepthook = failed
    atexit.register(left)


def destroy_process_group() -> None:
    """Leave the group, when all its processes have come here."""
    global _group
    group().Barrier()
    _group = None
    sys.excepthook = sys.__excepthook__
    atexit.unregister(left)


def failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an exception that nobody caught, and end all processes: the others would wait for this one forever."""
    sys.__excepthook__(kind, error, trace)
    end_job("has failed")


def left() -> None:
    """End all processes if this one exits and the others do not follow: they may be waiting for it."""
    everybody, deadline = group().Ibarrier(), time.monotonic() + PATIENCE
    while not everybody.Test():
        if time.monotonic() > deadline:
            end_job("has left without destroy_process_group()")
        time.sleep(0.01)


def end_job(reason: str) -> None:
    """End all processes, unless this is the only one."""
    if get_world_size() > 1:
        print(f"rank {get_rank()} of {get_world_size()} {reason}, which ends the job", file=sys.stderr, flush=True)
        time.sleep(0.3)  # mpiexec drops what it has not passed on when the job ends
        group().Abort(1)


def group() -> Any:
    """The communicator."""
    if _group is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )
    return _group


def get_rank() -> int:
    """The number of this process, from 0. Raises ValueError before `init_process_group`, as all that follows."""
    rank: int = group().rank
    return rank


def get_world_size() -> int:
    """The number of processes."""
    size: int = group().size
    return size


# --- collectives: every process has to call them, in the same order ---------------------------------------------------


class ReduceOp(Enum):
    """How `all_reduce` puts the elements of all processes together."""

    SUM = "SUM"
    AVG = "AVG"
    PRODUCT = "PROD"
    MIN = "MIN"
    MAX = "MAX"


def barrier() -> None:
    """Wait until all processes have come here."""
    group().Barrier()


def broadcast(tensor: Tensor, src: int = 0) -> None:
    """Copy the tensor of process ``src`` into those of all others, in place; shapes and dtypes are the same.

    Raises ValueError if there is no process ``src``.

    >>> broadcast(model.weight, src=0)  # doctest: +SKIP
    """
    if not 0 <= src < get_world_size():
        raise ValueError(f"src={src}, but ranks are 0 to {get_world_size() - 1}")
    in_place(broadcast_array, [array_of(tensor)], src)
    touch(tensor)


def broadcast_array(arrays: list[Array], src: int) -> None:
    """``arrays[0]`` of process ``src`` to all, as bytes: MPI does not know all of NumPy's dtypes."""
    (array,) = arrays
    sent = np.ascontiguousarray(array)
    group().Bcast(sent.reshape(-1).view(np.uint8), root=src)
    np.copyto(array, sent.reshape(array.shape))


def all_reduce(tensor: Tensor, op: ReduceOp = ReduceOp.SUM) -> None:
    """Put the tensors of all processes together, element by element; all have the result, in place.

    Parameters
    ----------
    tensor : Tensor
        Of the same shape and dtype everywhere. Not recorded for gradients.
    op : ReduceOp, default ReduceOp.SUM
        AVG for floating point only.

    Raises RuntimeError for a dtype that cannot be reduced.

    >>> all_reduce(loss, ReduceOp.AVG)  # doctest: +SKIP
    """
    group()
    kinds = "f" if op is ReduceOp.AVG else "iuf"
    if tensor.dtype.kind not in kinds:
        raise RuntimeError(f"Unsupported data type {tensor.dtype} for {op}; convert the tensor first, with .float()")
    in_place(reduce_array, [array_of(tensor)], op)
    touch(tensor)


def reduce_array(arrays: list[Array], op: ReduceOp) -> None:
    """``arrays[0]`` of all processes put together, in place."""
    from mpi4py import MPI

    (array,) = arrays
    # MPI does not know float16
    both = np.ascontiguousarray(array, np.float32 if array.dtype == np.float16 else array.dtype)
    group().Allreduce(MPI.IN_PLACE, both, MPI.SUM if op is ReduceOp.AVG else getattr(MPI, op.value))
    if op is ReduceOp.AVG:
        both /= get_world_size()
    np.copyto(array, both.reshape(array.shape), casting="same_kind")


def save(obj: Any, f: File) -> None:
    """`tinygrad_dnn.save` by process 0 alone; the file is there when any process goes on.

    Raises in every process if process 0 cannot write it: its own error there, RuntimeError in the others.

    >>> save(model.module.state_dict(), "model.npz")  # doctest: +SKIP
    """
    failure: Exception | None = None
    if get_rank() == 0:
        try:
            save_file(obj, f)
        except Exception as error:
            failure = error
    told = group().bcast(failure and f"{type(failure).__name__}: {failure}")
    if failure is not None:
        raise failure
    if told is not None:
        raise RuntimeError(f"process 0 could not save: {told}")


# --- training ---------------------------------------------------------------------------------------------------------


class DistributedDataParallel(Module):
    """A model whose gradients every ``backward()`` averages over all processes, by one all-reduce of a flat buffer.

    Parameters
    ----------
    module : Module
        The model, the same in every process; its state becomes that of process 0.
    device_ids, output_device, find_unused_parameters
        Accepted for PyTorch scripts. Parameters that some processes do not use count as 0 there; those that none uses
        have no gradient.

    The average is the gradient of the joined batch if the loss is a mean and the parts have the same size, which
    `DistributedSampler` sees to; parameters then stay the same in all processes, bit for bit. Floating-point buffers,
    such as running means, are averaged along with the gradients. The random state is each process's own.

    Raises RuntimeError if the models differ in the names, shapes or dtypes of their state; and in ``backward()`` with
    ``create_graph``.

    >>> model = DistributedDataParallel(nn.Linear(64, 10))  # doctest: +SKIP
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, find_unused_parameters: bool = False
    ) -> None:
        self.module = module
        self.synchronized = True
        self.flat = np.empty(0)  # where gradients are put side by side
        check_same(module)
        for t in module.state_dict().values():
            broadcast(t)
        average = weakref.WeakMethod(self.average)

        def hook(found: Mapping[int, Any]) -> None:
            method: Callable[[Mapping[int, Any]], None] | None = average()
            if method is not None:
                method(found)

        after_backward.append(hook)
        weakref.finalize(self, after_backward.remove, hook)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are only added up here; the first ``backward()`` after it averages the sums."""
        before, self.synchronized = self.synchronized, False
        try:
            yield
        finally:
            self.synchronized = before

    def average(self, found: Mapping[int, Any]) -> None:
        """Average the gradients, if the tensors ``found``, by number, are parameters of this model."""
        params = [p for p in self.module.parameters() if p.requires_grad]
        if not self.synchronized or get_world_size() == 1 or all(p.serial not in found for p in params):
            return
        if any(p.grad is not None and p.grad.requires_grad for p in params):
            raise RuntimeError("DistributedDataParallel does not average gradients that create_graph=True recorded")
        absent = [p for p in params if p.grad is None]
        if absent and recording() is not None:
            raise RuntimeError("a parameter without a gradient cannot be averaged in a compiled step; freeze it")
        buffers = [b for b in self.module.buffers() if b.array.dtype.kind == "f"]
        averaged = [*(p.grad for p in params), *buffers]
        given = [t for t in averaged if t is not None]
        shapes = [t.array for t in (*params, *buffers)]
        in_place(self.average_arrays, list(map(array_of, given)), shapes, [t is not None for t in averaged])
        touch(*given)
        if absent:
            counts = self.flat[-len(shapes) :]
            for p, total, count in zip(params, cut(self.flat, shapes), counts, strict=False):
                if p.grad is None and count:
                    p.grad = leaf((total / get_world_size()).astype(p.array.dtype))

    def average_arrays(self, arrays: list[Array], shapes: list[Array], given: list[bool]) -> None:
        """Average ``arrays`` in place: those of all ``shapes`` that are ``given``.

        The flat buffer has a part for every shape, and then how many processes gave it.
        """
        from mpi4py import MPI

        size = sum(a.size for a in shapes) + len(shapes)
        if self.flat.size != size:
            self.flat = np.empty(size, np.result_type(np.float32, *(a.dtype for a in shapes)))
        if not all(given):
            self.flat.fill(0)
        self.flat[-len(shapes) :] = given
        parts = [part for part, there in zip(cut(self.flat, shapes), given, strict=True) if there]
        for part, array in zip(parts, arrays, strict=True):
            part[...] = array
        group().Allreduce(MPI.IN_PLACE, self.flat)
        for part, array in zip(parts, arrays, strict=True):
            np.divide(part, get_world_size(), out=array, casting="same_kind")


def check_same(module: Module) -> None:
    """Raise RuntimeError, in all processes, unless the state of the module has the same form in all."""
    form = [f"{name} {tuple(t.shape)} {t.dtype}" for name, t in module.state_dict().items()]
    first, *others = group().allgather(form)
    for rank, other in enumerate(others, 1):
        differ = next(((a, b) for a, b in zip_longest(first, other) if a != b), None)
        if differ is not None:
            raise RuntimeError(
                f"DDP expects same model across all ranks, but rank 0 has {differ[0]}, rank {rank} has {differ[1]}; "
                "make the model from the same arguments in every process"
            )


class DistributedSampler(Sampler[int]):
    """The indices of this process: every ``num_replicas``-th of the common order, from the ``rank``-th on.

    Parameters
    ----------
    dataset : dataset of n examples
    num_replicas, rank : int, default those of the group
        How many processes share the dataset, and which this one is.
    shuffle : bool, default True
        A random order, the same in all processes, for each epoch that `set_epoch` sets.
    seed : int, default 0
        Of the random order, the same in all processes.
    drop_last : bool, default False
        All processes have equally many indices: the last ones are left out, or else the first ones come again.

    Raises ValueError for a rank that is not in 0 to num_replicas - 1.

    >>> [list(DistributedSampler(range(5), num_replicas=2, rank=r, shuffle=False)) for r in range(2)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Examples,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.num_replicas = positive_int("num_replicas", get_world_size() if num_replicas is None else num_replicas)
        self.rank = get_rank() if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {self.num_replicas - 1}]; "
                "leave both out, and they are those of this process"
            )
        self.dataset, self.seed, self.epoch = dataset, seed, 0
        self.shuffle, self.drop_last = flag("shuffle", shuffle), flag("drop_last", drop_last)
        n = len(dataset)
        self.num_samples = n // self.num_replicas if drop_last else math.ceil(n / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        stream = Generator().manual_seed(self.seed + self.epoch).numpy
        order = stream.permutation(n) if self.shuffle else np.arange(n)
        # resize repeats the order as often as it takes
        return iter(np.resize(order, self.total_size)[self.rank :: self.num_replicas].tolist())

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Shuffle anew: without it every epoch has the same order."""
        self.epoch = epoch
