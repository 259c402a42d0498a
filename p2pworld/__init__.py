"""The pure part of the city: everything that decides, and nothing that acts."""

__all__ = ["__version__"]

__version__ = "0.1.0"
