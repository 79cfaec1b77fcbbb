"""Trains with everything that has a state, and writes what came of it: ``resumed.py FOLDER EPOCHS RESULT``."""

import random
import sys

import numpy as np

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.data import Dataset


class Noisy(Dataset):
    """Points that are disturbed each time by numbers of three streams."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        x = np.array([index % 5, index % 3, 1, 0], np.float32) + self.rng.random(4, np.float32)
        return x + np.float32(np.random.random() + random.random()), index % 3


def main(folder: str, epochs: str, result: str) -> None:
    """Go on from the checkpoint in the folder, if there is one."""
    tg.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    data = tg.data.DataLoader(Noisy(), 8, shuffle=True, generator=tg.Generator().manual_seed(1))
    options = {
        "callbacks": [tg.EarlyStopping("loss", patience=1000, restore_best_weights=True)],
        "scheduler": tg.optim.lr_scheduler.StepLR(optimizer, 2, 0.95),
        "validation_data": (np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0])),
    }
    print("begins", flush=True)
    history = tg.fit(model, nn.CrossEntropyLoss(), optimizer, data, int(epochs), checkpoint=folder, **options)
    tg.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history.figures}, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
