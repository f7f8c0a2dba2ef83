"""The base package that students build on, and the place where their own modules appear.

`tinytorch.datasets`, `tinytorch.random` and the rest are installed. `tinytorch.core.tensor` and its nineteen siblings
are what the student writes: the overlay finds them in the workspace. Importing this package imports nothing heavy.
"""
from tinytorch import _overlay

__version__ = "0.1.0"

_overlay.bind()
