"""The chapter's digits network trained by several processes, each on its part of every batch, and by one alone.

    mpiexec -n 2 python examples/digits_distributed.py [--epochs 10] [--batch-size 64] [--pictures FOLDER]

In float64 all losses and parameters are equal to those of a single process on the joined batches, but for rounding: the
script trains both and prints how far they are apart. Process 0 saves the parameters and a picture of the loss.
"""

import argparse
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
from digits import RATE, Digits, automatic, he_weights, load, predict

import tinygrad_dnn as tg
from tinygrad_dnn import distributed as dist, nn, plot
from tinygrad_dnn.data import DataLoader, TensorDataset
from tinygrad_dnn.distributed import DistributedDataParallel, DistributedSampler


def epoch_of(model: nn.Module, optimizer: tg.optim.Optimizer, batches: Iterable[list[tg.Tensor]]) -> tg.Tensor:
    """One step a batch; returns the mean of the losses."""
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return tg.stack(losses).mean()


def together(model: nn.Module, data: TensorDataset, epochs: int, batch_size: int) -> list[float]:
    """Train by all processes; returns the loss of each epoch."""
    sampler = DistributedSampler(data)
    batches = DataLoader(data, batch_size // dist.get_world_size(), sampler=sampler)
    copy = DistributedDataParallel(model)
    optimizer = tg.optim.SGD(copy.parameters(), lr=RATE, momentum=0.9)
    costs = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        loss = epoch_of(copy, optimizer, batches)
        dist.all_reduce(loss, dist.ReduceOp.AVG)
        costs.append(loss.item())
    return costs


def alone(model: nn.Module, data: TensorDataset, epochs: int, batch_size: int, processes: int) -> list[float]:
    """Train on the batches that so many processes have together; returns the loss of each epoch."""
    samplers = [DistributedSampler(data, processes, rank) for rank in range(processes)]
    optimizer = tg.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    costs = []
    for epoch in range(epochs):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        joined = list(chain.from_iterable(zip(*samplers, strict=True)))
        costs.append(epoch_of(model, optimizer, DataLoader(data, batch_size, sampler=joined)).item())
    return costs


def report(model: nn.Sequential, data: Digits, costs: list[float], options: argparse.Namespace, processes: int) -> None:
    """Train alone too, and print and save what came of both."""
    single = automatic(he_weights(0))
    wanted = alone(single, TensorDataset(data.x, data.y), options.epochs, options.batch_size, processes)
    pairs = zip(model.parameters(), single.parameters(), strict=True)
    apart = max(float(abs(a.array - b.array).max() / abs(b.array).max()) for a, b in pairs)
    for epoch, (cost, one) in enumerate(zip(costs, wanted, strict=True), 1):
        print(f"epoch {epoch:3d}   loss {cost:.6f} by {processes}, {one:.6f} by one")
    print(f"accuracy   test {np.mean(predict(model, data.x_test) == data.y_test):.2%}")
    print(f"parameters differ by {apart:.1e}, losses by {np.max(np.abs(np.subtract(costs, wanted))):.1e}")
    path = options.pictures / "digits_distributed.png"
    curves = {f"loss by {processes} processes": costs, "loss by one": wanted}
    plot.learning_curves(curves, path=path, title="Digits: several processes and one", unit="epoch")
    print("picture   ", path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training images (default 10)")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a step of all processes (default 64)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for what is saved (default: here)")
    options = parser.parse_args()

    dist.init_process_group()
    processes = dist.get_world_size()
    if options.batch_size % processes:
        parser.error(f"--batch-size must be a multiple of {processes}, the number of processes")
    options.pictures.mkdir(parents=True, exist_ok=True)
    data = load()
    model = automatic(he_weights(dist.get_rank()))  # all begin with those of process 0
    costs = together(model, TensorDataset(data.x, data.y), options.epochs, options.batch_size)
    dist.save(model.state_dict(), options.pictures / "digits_distributed.npz")
    if dist.get_rank() == 0:
        report(model, data, costs, options, processes)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
