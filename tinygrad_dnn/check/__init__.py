"""Gradients proved: `gradcheck` holds them against numerical derivatives, `check_op` an op to all laws."""

from .adapters import OURS, Adapter, GradcheckError, adapter_for, by_hand
from .gradcheck import Finding, Report, chapter_check, gradcheck
from .laws import LAWS, Example, LawError, check_example, check_op, example_of
from .numeric import Estimate, derivative

__all__ = [
    "LAWS", "OURS", "Adapter", "Estimate", "Example", "Finding", "GradcheckError", "LawError", "Report", "adapter_for",
    "by_hand", "chapter_check", "check_example", "check_op", "derivative", "example_of", "gradcheck",
]
