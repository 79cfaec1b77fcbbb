"""The ops: each one block of kernel, docstring and derivative rules."""

from .creation import *
from .elementwise import *
from .fused import *
from .index import *
from .linalg import *
from .random import *
from .reduce import *
from .shape import *
