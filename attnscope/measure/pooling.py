"""Matrices of query x key tokens as grids small enough to keep."""

from __future__ import annotations

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

EXACT_UP_TO = 1024
"""Tokens up to which a mask or a head's weights are kept cell by cell."""
CELLS = 512
"""Above that, the largest number of cells along one side."""


def pool_size(tokens: int) -> int:
    """Tokens along one side of a cell; 1 means exact."""
    return 1 if tokens <= EXACT_UP_TO else -(-tokens // CELLS)


def worst(cells: UInt8[Tensor, "query key"], pool: int) -> UInt8[Tensor, "row column"]:
    """Bitwise OR over squares of pool x pool cells: no single cell is averaged away."""
    squares = _squares(cells, pool)
    pooled = torch.zeros_like(squares[:, 0, :, 0])
    for bit in (1, 2, 4, 8):
        pooled |= (squares & bit).amax(dim=(1, 3))
    return pooled


def sums(matrix: Shaped[Tensor, "query key"], pool: int) -> Shaped[Tensor, "row column"]:
    """Sums over squares of pool x pool cells."""
    return _squares(matrix, pool).sum(dim=(1, 3))


def _squares(matrix: Tensor, pool: int) -> Tensor:
    """Shape (row, pool, column, pool), padded with zeros at the end."""
    rows, columns = (-(-size // pool) for size in matrix.shape)
    padded = matrix.new_zeros(rows * pool, columns * pool)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    return padded.reshape(rows, pool, columns, pool)
