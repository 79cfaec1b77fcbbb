"""Modules, layers, losses and their functional forms."""

from . import functional, init, utils
from .layers import *
from .losses import *
from .module import Buffer, Module, Parameter
from .summary import Summary, summary
