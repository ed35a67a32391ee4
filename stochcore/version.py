"""The version, from the installed metadata's one source: pyproject.toml."""

from importlib.metadata import version

__version__ = version("stochcore")
