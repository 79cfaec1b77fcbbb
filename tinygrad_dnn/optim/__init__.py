"""Optimizers and learning-rate schedules: ``optimizer = tg.optim.Adam(model.parameters())``."""

from . import lr_scheduler, swa_utils
from .adaptive import Adadelta, Adamax, NAdam, RAdam, Rprop
from .algorithms import ASGD, SGD, Adagrad, Adam, AdamW, RMSprop
from .lbfgs import LBFGS
from .optimizer import Optimizer

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop",
    "Rprop", "lr_scheduler", "swa_utils",
]
