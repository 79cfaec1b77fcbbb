"""Gradients proved: `gradcheck` holds them against numerical derivatives whose error is known."""

from .adapters import OURS, Adapter, by_hand
from .gradcheck import Finding, GradcheckError, Report, chapter_check, gradcheck
from .numeric import Estimate, derivative

__all__ = [
    "OURS", "Adapter", "Estimate", "Finding", "GradcheckError", "Report", "by_hand", "chapter_check", "derivative",
    "gradcheck",
]
