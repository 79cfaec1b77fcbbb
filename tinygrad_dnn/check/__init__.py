"""Gradients proved: `gradcheck` holds them against numerical derivatives whose error is known."""

from .adapters import OURS, Adapter, GradcheckError, adapter_for, by_hand
from .gradcheck import Finding, Report, chapter_check, gradcheck
from .numeric import Estimate, derivative

__all__ = [
    "OURS", "Adapter", "Estimate", "Finding", "GradcheckError", "Report", "adapter_for", "by_hand", "chapter_check",
    "derivative", "gradcheck",
]
