"""One weight in every format that PyTorch multiplies, with random valid zeros; what a machine lacks is named.

A product is `stored @ x`: the weight is [rows, cols], x is [cols, batch]. PyTorch's sparse formats are in beta or
prototype stage, and no machine has all of them for all dtypes: `store` and the product raise, and `reason` says why
in one line.

Shapes: rows are the outputs of a linear layer, cols its inputs.
"""

import math
import warnings

import torch
from torch.sparse import to_sparse_semi_structured

DENSE_WITH_ZEROS, REMOVED, CSR, BSR, TWO_FOUR = FORMATS = (
    "dense with zeros",  # the control: zeros that nobody skips
    "channels removed",  # rows taken out, what is left is dense
    "CSR",
    "BSR",
    "2:4",
)
BLOCK = 16  # edge of BSR's blocks: PyTorch's GPU kernels want a power of two, 16 or more
TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 2e-2}  # relative to the largest output


def random_mask(
    layout: str, rows: int, cols: int, sparsity: float, generator: torch.Generator
) -> torch.Tensor:
    """Draw a random mask of the kind that a format can use.

    Args:
        layout: one of FORMATS. CSR and "dense with zeros": single weights go; "channels removed": whole rows; BSR:
            blocks of BLOCK by BLOCK; 2:4: two of every four consecutive columns.
        sparsity: fraction to remove, of weights, rows or blocks, rounded to a whole number of them. 2:4 has 0.5.
        generator: decides the positions, and on which device the mask is made.

    Returns:
        Boolean [rows, cols], True = keep.

    Raises:
        ValueError: there is no such format, or the shape or the sparsity is not possible in it.
    """
    if layout == TWO_FOUR:
        if sparsity != 0.5 or cols % 4:
            raise ValueError(
                f"2:4 has sparsity 0.5 and needs a multiple of 4 columns, not {sparsity} and {cols}"
            )
        order = torch.rand(rows, cols // 4, 4, generator=generator, device=generator.device).argsort(dim=2)
        return (order < 2).flatten(1)  # two places of each group have the ranks 0 and 1
    edges = {DENSE_WITH_ZEROS: (1, 1), CSR: (1, 1), BSR: (BLOCK, BLOCK), REMOVED: (1, cols)}
    if layout not in edges:
        raise ValueError(f"There is no format {layout!r}: choose one of {', '.join(FORMATS)}.")
    high, wide = edges[layout]
    if rows % high or cols % wide:
        raise ValueError(f"blocks of {high} by {wide} do not divide a weight of {rows} by {cols}")
    groups = (rows // high) * (cols // wide)
    keep = torch.ones(groups, dtype=torch.bool, device=generator.device)
    order = torch.randperm(groups, generator=generator, device=generator.device)
    keep[order[: round(sparsity * groups)]] = False
    return keep.view(rows // high, cols // wide).repeat_interleave(high, 0).repeat_interleave(wide, 1)


def store(weight: torch.Tensor, layout: str) -> torch.Tensor:
    """Convert a masked weight into a format; whatever PyTorch raises where it cannot comes through.

    Sparse indices have 32 bits: that is what the vendors' libraries want, and with 64 bits, PyTorch's default, MKL's
    products would convert them in every call.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "beta" and "prototype": see the top of this module
        if layout == REMOVED:
            return weight[weight.any(dim=1)]
        if layout == CSR:
            csr = weight.to_sparse_csr()
            indices = csr.crow_indices().int(), csr.col_indices().int()
            return torch.sparse_csr_tensor(*indices, csr.values(), size=weight.shape)
        if layout == BSR:
            bsr = weight.to_sparse_bsr((BLOCK, BLOCK))
            indices = bsr.crow_indices().int(), bsr.col_indices().int()
            return torch.sparse_bsr_tensor(*indices, bsr.values(), size=weight.shape)
        if layout == TWO_FOUR:
            return to_sparse_semi_structured(weight)
    return weight.clone()


def another(stored: torch.Tensor, weight: torch.Tensor, layout: str) -> torch.Tensor:
    """The stored form of a masked weight once more, in memory of its own."""
    if layout == TWO_FOUR:  # its tensors can be cloned only from PyTorch 2.12 on
        return store(weight, layout)
    return stored.clone()


def expected(weight: torch.Tensor, x: torch.Tensor, layout: str) -> torch.Tensor:
    """The product in float32 and dense, of the rows that the format keeps: what a fast product is compared with."""
    rows = weight[weight.any(dim=1)] if layout == REMOVED else weight
    return rows.float() @ x.float()


def relative_error(result: torch.Tensor, reference: torch.Tensor) -> float:
    """The largest difference, in units of the largest output; infinite where the shapes differ or a NaN came out."""
    if result.shape != reference.shape:
        return math.inf
    error = (result.float() - reference).abs().max() / reference.abs().max().clamp_min(1e-30)
    return math.inf if error.isnan() else error.item()


def stored_bytes(stored: torch.Tensor) -> int:
    """Bytes of the arrays that a product has to read, indices included."""
    if stored.layout in (torch.sparse_csr, torch.sparse_bsr):
        return sum(part.nbytes for part in (stored.values(), stored.crow_indices(), stored.col_indices()))
    packed = [getattr(stored, name, None) for name in ("packed", "meta")]  # of a 2:4 tensor
    return sum(part.nbytes for part in packed if part is not None) or stored.nbytes


def reason(error: Exception) -> str:
    """Why something was not possible here, in one line."""
    first = next(iter(str(error).strip().splitlines()), "no message")
    return f"{type(error).__name__}: {first}"[:300]
