"""NumPy again: its draws on one thread, which is all they can take, its matrix products on as many as ours."""

from peers_numpy import gradient

__all__ = ["gradient"]
