"""Mutants that no attempt shows, and why each may live: what else holds the promise, or what is merely slower.

A name that no longer exists fails a test; one that is caught after all is named by the run, to be taken out here.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ARGUED"]

ARGUED: Final[dict[str, str]] = {}
