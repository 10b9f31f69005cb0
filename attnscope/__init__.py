"""See what every attention head attends to, and prove that no token sees the future."""

__version__ = "0.1.0"
