"""A step as a program of NumPy calls: recorded once, readable, and run in memory that is kept."""

from .compiled import Compiled, Program, compile

__all__ = ["Compiled", "Program", "compile"]
