"""What only a person can mend, told in one sentence. Imports nothing, so that the command line starts fast."""

from __future__ import annotations

__all__ = ["ConfigError"]


class ConfigError(Exception):
    """The configuration, or what it names, cannot be used; the message is one sentence that says what to do."""
