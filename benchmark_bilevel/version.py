"""The version, readable wherever the package's folder is found from."""

__version__ = "0.1.0"
