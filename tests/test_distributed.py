"""Several processes do what one does on the joined batch; one that dies ends them all. Skipped where no MPI is."""

import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from running import environment, mpiexec, run

import tinygrad_dnn as tg
from tinygrad_dnn import compat, distributed as dist, nn

START = """
import gc, os, signal, sys
import numpy as np
import pytest
import tinygrad_dnn as tg
from tinygrad_dnn import nn, distributed as dist
from tinygrad_dnn.distributed import DistributedDataParallel, DistributedSampler, ReduceOp

dist.init_process_group()
rank, size = dist.get_rank(), dist.get_world_size()
rng = np.random.default_rng(rank)
"""


def together(script: str, *arguments: object, processes: int = 2) -> "subprocess.CompletedProcess[str]":
    """Run a script in several processes."""
    command = [*mpiexec(processes), sys.executable, "-W", "error", "-c", START + textwrap.dedent(script)]
    return subprocess.run(
        [*command, *map(str, arguments)],
        env=environment() | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def passes(script: str, *arguments: object, processes: int = 2) -> None:
    done = together(textwrap.dedent(script) + "\ndist.destroy_process_group()", *arguments, processes=processes)
    assert done.returncode == 0, done.stderr


# --- the sampler ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3), st.booleans(), st.booleans())
def test_the_samplers_of_all_processes_deal_out_one_order(
    n: int, replicas: int, seed: int, shuffle: bool, drop: bool
) -> None:
    samplers = [dist.DistributedSampler(range(n), replicas, r, shuffle, seed, drop) for r in range(replicas)]
    dealt = [list(s) for s in samplers]
    share = n // replicas if drop else -(-n // replicas)
    assert {len(part) for part in dealt} == {share} == {len(s) for s in samplers}
    joined = [index for indices in zip(*dealt, strict=True) for index in indices]
    order = joined[:n]
    assert len(set(order)) == len(order), "no index twice before all have been there"
    assert joined[n:] == (order * replicas)[: max(0, len(joined) - n)], "then they come again in the same order"
    if not shuffle:
        assert order == list(range(n))[: len(joined)]


def test_an_epoch_has_an_order_of_its_own() -> None:
    sampler = dist.DistributedSampler(range(20), 2, 1, seed=3)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(sampler) == list(dist.DistributedSampler(range(20), 2, 1, seed=4))


def test_a_rank_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Invalid rank 2, rank should be in the interval \[0, 1\]"):
        dist.DistributedSampler(range(4), 2, 2)


# --- without a group --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        dist.get_rank, dist.get_world_size, dist.barrier, dist.destroy_process_group,
        lambda: dist.all_reduce(tg.ones(1)), lambda: dist.broadcast(tg.ones(1)),
        lambda: dist.save([], "x"), lambda: dist.DistributedSampler([1]),
        lambda: dist.DistributedDataParallel(nn.Linear(1, 1)),
    ],
)  # fmt: skip
def test_what_needs_the_group_says_so(call: object) -> None:
    hooks = list(tg.engine.after_backward)
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        call()
    assert hooks == tg.engine.after_backward


def test_without_mpi4py_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match="pip install 'tinygrad_dnn"):
        dist.init_process_group()


def test_pytorch_scripts_find_the_names() -> None:
    with compat.install("mini"):
        import mini.distributed
        from mini.nn.parallel import DistributedDataParallel
        from mini.utils.data.distributed import DistributedSampler

        assert mini.distributed.all_reduce is dist.all_reduce
    assert DistributedDataParallel is dist.DistributedDataParallel
    assert DistributedSampler is dist.DistributedSampler


# --- collectives ------------------------------------------------------------------------------------------------------


def test_collectives() -> None:
    passes("""
        dtypes = [np.float16, np.float32, np.float64, np.int64, np.int8, np.uint8]
        for dtype in dtypes:
            for op, want in {"SUM": 6, "PRODUCT": 6, "MIN": 1, "MAX": 3}.items():
                for shape in ((), (3,), (2, 3), (0,)):
                    t = tg.tensor(np.full(shape, rank + 1, dtype))
                    dist.all_reduce(t, ReduceOp[op])
                    assert t.dtype == dtype and t.shape == shape and (t.array == want).all()
        t = tg.tensor([[1.0, 2.0], [3.0, 5.0 + 3 * rank]]).T
        dist.all_reduce(t[1:], ReduceOp.AVG)
        assert t.tolist() == [[1, 3], [2, 8]]
        with pytest.raises(RuntimeError, match="Unsupported data type bool"):
            dist.all_reduce(tg.tensor([True]))
        with pytest.raises(RuntimeError, match="Unsupported data type int64"):
            dist.all_reduce(tg.tensor([1]), ReduceOp.AVG)

        for dtype in [*dtypes, np.bool_]:
            for shape in ((), (2, 3), (0,)):
                whole = tg.tensor(np.full(shape, rank == 1, dtype)).T
                dist.broadcast(whole, src=1)
                assert (whole.array == 1).all()
        with pytest.raises(ValueError, match="src=3, but ranks are 0 to 2"):
            dist.broadcast(whole, src=3)

        w = tg.tensor([1.0, 2.0], requires_grad=True)
        y = w * w
        dist.broadcast(w)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
        with pytest.raises(ValueError, match="twice"):
            dist.init_process_group()
    """, processes=3)


def test_process_0_saves_and_all_know_if_it_cannot(tmp_path: Path) -> None:
    passes("""
        dist.save(tg.tensor([rank + 1.0]), sys.argv[1] + "/x.npz")
        assert tg.load(sys.argv[1] + "/x.npz").tolist() == [1.0]
        with pytest.raises(RuntimeError if rank else FileNotFoundError, match="No such file or directory"):
            dist.save(tg.ones(1), sys.argv[1] + "/nowhere/x.npz")
    """, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


# --- training ---------------------------------------------------------------------------------------------------------


def test_steps_are_those_of_one_process_on_the_joined_batch() -> None:
    passes("""
        def network(seed):
            tg.manual_seed(seed)
            return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3).float(), nn.Linear(3, 4)).double()

        class Counted:
            calls, sent = 0, 0
            def __getattr__(self, name):
                return getattr(world, name)
            def Allreduce(self, how, array, *op):
                Counted.calls, Counted.sent = Counted.calls + 1, Counted.sent + array.nbytes
                world.Allreduce(how, array, *op)

        world, dist._group = dist._group, Counted()
        x, y = (tg.tensor(a) for a in (np.random.default_rng(9).normal(size=(5, size * 4, 6)),
                                       np.random.default_rng(8).integers(4, size=(5, size * 4))))
        model, single = DistributedDataParallel(network(rank)), network(0)

        def step_of(model, clip, compiled):
            optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
            def step(x, y):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
            return tg.compile(step) if compiled else step

        def same():
            for a, b in zip(model.parameters(), single.parameters()):
                assert abs(a.array - b.array).max() < 1e-13

        for compiled in (False, True):
            ours, alone = step_of(model, 0.1, compiled), step_of(single, 0.1, False)
            Counted.calls = Counted.sent = 0
            for k in range(5):
                ours(x[k, rank::size], y[k, rank::size])
                alone(x[k], y[k])
                same()
            assert Counted.calls == 5, "one all-reduce a step"
            n = sum(p.numel() for p in single.parameters())
            assert Counted.sent <= 5 * 8 * (n + 8), "of the gradients and a count for each"
        for p in model.parameters():
            assert len(set(world.allgather(p.array.tobytes()))) == 1, "the same bits in all"

        # gradients of two batches added up, and averaged once
        model.zero_grad(), single.zero_grad()
        Counted.calls = 0
        with model.no_sync():
            nn.functional.cross_entropy(model(x[0, rank::size]), y[0, rank::size]).backward()
        nn.functional.cross_entropy(model(x[1, rank::size]), y[1, rank::size]).backward()
        for k in range(2):
            nn.functional.cross_entropy(single(x[k]), y[k]).backward()
        assert Counted.calls == 1
        for a, b in zip(model.parameters(), single.parameters()):
            assert abs(a.grad.array - b.grad.array).max() < 1e-15
        tg.ones(1, requires_grad=True).sum().backward()
        single(x[0]).sum().backward()
        assert Counted.calls == 1, "a backward of others is not its business"
        del model, ours, a, p
        gc.collect()  # a compiled step is a cycle
        assert tg.engine.after_backward == []
    """, processes=3)


def test_what_some_do_not_use_what_nobody_uses_and_what_is_frozen() -> None:
    passes("""
        class Parts(nn.Module):
            def __init__(self):
                self.both, self.one, self.none, self.frozen = (nn.Parameter(tg.ones(2)) for _ in range(4))
                self.half = nn.Parameter(tg.ones(2, dtype=tg.float16))
                self.frozen.requires_grad_(False)
                self.mean = nn.Buffer(tg.zeros(1))
                self.steps = nn.Buffer(tg.tensor(0))
            def forward(self, x):
                y = (self.both * x + self.frozen + self.half).sum()
                return y + (self.one * x).sum() if rank else y

        model = DistributedDataParallel(Parts())
        model.module.mean.fill_(rank)
        for k in (1, 2):
            model(tg.tensor([1.0 + rank, 4.0])).backward()
            assert model.module.both.grad.tolist() == [1.5 * k, 4.0 * k]
            assert model.module.one.grad.tolist() == [1.0 * k, 2.0 * k]
        assert model.module.half.grad.tolist() == [2, 2] and model.module.half.grad.dtype == tg.float16
        assert model.module.none.grad is None and model.module.frozen.grad is None
        assert model.module.mean.item() == 0.5 and model.module.steps.item() == 0
        model.zero_grad()
        model(tg.tensor([1.0 + rank, 4.0])).backward()
        assert model.module.one.grad.tolist() == [1.0, 2.0], "nothing is left from the step before"
        with pytest.raises(RuntimeError, match="create_graph"):
            (model(tg.tensor([1.0, 2.0])) ** 2).backward(create_graph=True)
        with pytest.raises(RuntimeError, match=r"same model across all ranks.*0 has weight \\(1, 2\\).*1 has weight"):
            DistributedDataParallel(nn.Linear(2 + rank, 1))
        with pytest.raises(RuntimeError, match=r"same model across all ranks.*0 has None, rank 1 has bias"):
            DistributedDataParallel(nn.Linear(2, 1, bias=bool(rank)))
    """)


def test_fit_trains_by_all_processes() -> None:
    passes("""
        x = tg.tensor(np.random.default_rng(5).normal(size=(20, 3)))
        y = x @ tg.tensor([[1.0], [2.0], [3.0]], dtype=tg.float64)
        tg.manual_seed(0)
        model, single = DistributedDataParallel(nn.Linear(3, 1).double()), nn.Linear(3, 1).double()
        single.load_state_dict(model.module.state_dict())
        data = tg.data.TensorDataset(x, y)
        loader = tg.data.DataLoader(data, 5, sampler=DistributedSampler(data, shuffle=False))
        tg.fit(model, nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1), loader, 5, progress=False)
        whole = tg.data.DataLoader(data, 10)
        tg.fit(single, nn.MSELoss(), tg.optim.SGD(single.parameters(), lr=0.1), whole, 5, progress=False)
        assert abs(model.module.weight.array - single.weight.array).max() < 1e-14
    """)


def test_digits_distributed(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the example needs scikit-learn")
    printed = run("digits_distributed.py", tmp_path, "--epochs", "2", processes=2)
    assert len(re.findall(r"^epoch +\d+   loss (\S+) by 2, \1 by one$", printed, re.MULTILINE)) == 2
    parameters, losses = map(float, re.findall(r"by (\d\.\de[-+]\d+)", printed))
    assert 0 < parameters < 1e-12
    assert losses < 1e-12
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz", ".png"}


# --- the end of a process ---------------------------------------------------------------------------------------------

TRAINING = """
    model = DistributedDataParallel(nn.Linear(300, 300))
    optimizer = tg.optim.SGD(model.parameters(), lr=0.01)
    for k in range(10**6):
        model(tg.ones(1, 300)).mean().backward()
        optimizer.step()
        dist.save({"step": k, "model": model.module.state_dict()}, sys.argv[1] + "/checkpoint.npz")
        if k == 20 and rank == 1:
            DEATH
"""


@pytest.mark.parametrize(
    ("death", "message"),
    [
        ("raise KeyError('lost')", "KeyError: 'lost'\nrank 1 of 2 has failed, which ends the job"),
        ("sys.exit(3)", "rank 1 of 2 has left without destroy_process_group(), which ends the job"),
        ("signal.setitimer(signal.ITIMER_REAL, rng.uniform(0, 0.05))", ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", ""),
    ],
    ids=["exception", "exit", "alarm", "kill"],
)
def test_a_process_that_dies_ends_the_job_and_the_checkpoint_is_whole(
    tmp_path: Path, death: str, message: str
) -> None:
    start = time.monotonic()
    done = together(TRAINING.replace("DEATH", death), tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert time.monotonic() - start < 20, "5 seconds of patience, and what starting Python takes on a busy machine"
    checkpoint = tg.load(tmp_path / "checkpoint.npz")
    assert checkpoint["step"] >= 20
    assert checkpoint["model"]["weight"].shape == (300, 300)


def test_processes_that_leave_together_need_not_say_so() -> None:
    assert together("pass").returncode == 0
