"""Lab 13: how do we store what is left? CSR, bytes of five formats, 2:4 packing, and a file of a pruned network.

The chapter that explains it: lecture_notes/lab13_sparse_storage.md; the notebook: labs/lab13_sparse_storage.ipynb.
"""

from collections.abc import Callable

import numpy as np
import safetensors.torch
import torch


def to_csr(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write a matrix in the format CSR (compressed sparse rows).

    Args:
        matrix: NumPy array [rows, cols], any floating dtype, contiguous or not; it is not changed. `rows` and
            `cols` may be 0.

    Returns:
        Three one-dimensional NumPy arrays.
        values [nnz]: the entries that are not zero, row after row, and within a row from left to right; the dtype
            of `matrix`. NaN is not zero and is stored; -0.0 equals zero and is not.
        columns [nnz], int32: the column of each of them.
        row_starts [rows + 1], int32: row r owns `values[row_starts[r] : row_starts[r + 1]]`. So it begins with
            0, ends with nnz, and a row without nonzeros repeats a number.

    Raises:
        ValueError: if `matrix` does not have two dimensions.

    Source: CSR as PyTorch and SciPy store it (`crow_indices`, `indptr`); used for pruned networks by Han, Mao and
    Dally (2016), section 2, arXiv:1510.00149.
    """
    if matrix.ndim != 2:
        raise ValueError(f"a matrix has two dimensions, but this array has {matrix.ndim}")
    rows, columns = np.nonzero(matrix)  # [nnz] each, in row-major order
    counts = np.bincount(rows, minlength=matrix.shape[0])  # [rows]
    row_starts = np.concatenate([[0], np.cumsum(counts)])  # [rows + 1]
    return matrix[rows, columns], columns.astype(np.int32), row_starts.astype(np.int32)


def csr_matvec(values: np.ndarray, columns: np.ndarray, row_starts: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Multiply a CSR matrix by a vector, touching the stored entries only.

    Args:
        values, columns, row_starts: [nnz], [nnz] and [rows + 1], the matrix as `to_csr` returns it; rows >= 0.
            Within a row the columns may come in any order, each at most once. A stored value may be zero, and takes
            part like any other: 0 times an infinite x is NaN. None of them is changed.
        x: NumPy array [cols] of the dtype of `values`; it is not changed.

    Returns:
        NumPy array [rows] of the dtype of `values`: y_r is the sum of values[k] * x[columns[k]] over the entries k of row
        r, and 0 for a row without entries. Any order of adding up will do, and a wider dtype inside too. An entry that
        is not stored plays no part, whatever x is there: infinite and NaN included.

    Raises:
        ValueError: if `x` does not have one dimension, if a column is not below len(x), or if the last row start is
            not the number of values. Nothing else needs checking.
    """
    if x.ndim != 1:
        raise ValueError(f"x must be a vector, but it has {x.ndim} dimensions")
    if len(columns) and columns.max() >= len(x):
        raise ValueError(f"there is an entry in column {columns.max()}, but x has only {len(x)} entries")
    if row_starts[-1] != len(values):
        raise ValueError(f"the rows end at {row_starts[-1]}, but there are {len(values)} values")
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)  # [rows]
    for row, (start, end) in enumerate(zip(row_starts[:-1], row_starts[1:])):
        y[row] = values[start:end] @ x[columns[start:end]]
    return y


def storage_bytes(
    shape: tuple[int, int], nonzeros: int, storage: str, value_bits: int = 32, index_bits: int = 32
) -> int:
    """Compute how many bytes a matrix takes in a storage format.

    Args:
        shape: (rows, cols), each >= 0.
        nonzeros: how many entries are not zero.
        storage: which arrays are stored. Let n = rows * cols.
            "dense": n values.
            "coo": `nonzeros` values, as many row numbers, and as many column numbers (two arrays of indices).
            "csr": `nonzeros` values, `nonzeros` columns, and rows + 1 row starts.
            "bitmask": `nonzeros` values, and n single bits.
            "2:4": n / 2 values, zero or not (so fewer nonzeros take as many bytes), and n / 2 positions of 2 bits each.
        value_bits: bits of one value, >= 1.
        index_bits: bits of one row number, column number or row start, >= 1. It plays no part in the other formats.

    Returns:
        Bytes of all the arrays together, an int. Each array begins at a whole byte, so its bits are rounded up to
        whole bytes before the arrays are added. Names, shapes and headers are not counted.

    Raises:
        ValueError: if there is no such format; if `nonzeros` is negative or above n; if value_bits or index_bits
            is below 1; or, for "2:4", if cols is not a multiple of 4 or `nonzeros` is above n / 2.

    Source: the count "2a + n + 1" for CSR in Han, Mao and Dally (2016), section 2, arXiv:1510.00149; the pattern
    2:4 and its 2-bit positions in Mishra et al. (2021), arXiv:2104.08378.
    """
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n:
        raise ValueError(f"{nonzeros} of {n} entries cannot be nonzero")
    if value_bits < 1 or index_bits < 1:
        raise ValueError(f"widths must be at least 1 bit, but they are {value_bits} and {index_bits}")
    if storage == "2:4" and (cols % 4 != 0 or nonzeros > n // 2):
        raise ValueError(f"{nonzeros} nonzeros in {rows} x {cols} do not fit the pattern 2:4")
    arrays = {  # the bits of each array
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n // 2 * 2],
    }
    if storage not in arrays:
        raise ValueError(f"there is no format {storage!r}: choose one of {', '.join(arrays)}")
    return sum((bits + 7) // 8 for bits in arrays[storage])


def break_even_sparsity(bytes_of: Callable[[int], int], entries: int, dense_bytes: int) -> float | None:
    """Find the smallest sparsity at which a format takes fewer bytes than dense storage.

    Args:
        bytes_of: `bytes_of(nonzeros)` returns the bytes of the format for 0 to `entries` nonzeros, by a formula or by
            writing a file. It never falls when `nonzeros` grows, but it may stay equal. It may be slow: call it at
            most 60 times (halving needs 40 at most), and only with ints from 0 to `entries`.
        entries: the number of entries of the matrix, n, from 1 to 10^12.
        dense_bytes: the bytes of dense storage.

    Returns:
        The smallest (n - nonzeros) / n, a float, for which bytes_of(nonzeros) < dense_bytes. Equal is not fewer. It is
        0.0 if that holds already without any zero, and None if it holds for no number of nonzeros, not even 0.

    Raises:
        ValueError: if `entries` is below 1.
    """
    if entries < 1:
        raise ValueError(f"there must be at least one entry, but there are {entries}")
    low, high = -1, entries  # fewer bytes at `low` (or low = -1: nowhere), not fewer above `high`
    while low < high:
        middle = (low + high + 1) // 2
        if bytes_of(middle) < dense_bytes:
            low = middle
        else:
            high = middle - 1
    return None if low < 0 else (entries - low) / entries


def pack_two_four(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pack a matrix that has at most two nonzeros in every four consecutive columns (2:4).

    Args:
        weight: NumPy array [rows, cols], any floating dtype, contiguous or not; it is not changed. cols is a
            multiple of 4, and both may be 0. The groups are columns 0 to 3, 4 to 7, and so on, of each row. -0.0 equals
            zero, and NaN does not.

    Returns:
        values: NumPy array [rows, cols / 2] of the dtype of `weight`, two for each group.
        positions: NumPy array of uint8, one-dimensional, with ceil(G / 2) bytes for the G = rows * cols / 4 groups.

        Each group stores exactly two of its four places, p < q, each a number from 0 to 3, and the two values that
        stand there. These are the places of its nonzeros; where a group has only one nonzero, or none, the lowest
        places that are still free are added. So a group (0, 0, 7, 0) stores the places 0 and 2 and the values 0 and
        7, and a group of zeros stores the places 0 and 1. At an added place 0.0 and -0.0 are both right; any other -0.0
        is not stored, and unpacking makes it 0.0.

        A group takes four bits, the code p + 4 q. The groups are numbered row after row, from left to right; byte b
        holds the code of group 2b in its low four bits and that of group 2b + 1 in its high four bits:
        code(2b) + 16 code(2b + 1). If G is odd, the high four bits of the last byte are 0.

    Raises:
        ValueError: if `weight` does not have two dimensions, if cols is not a multiple of 4, or if a group has more
            than two nonzeros.

    Source: Mishra et al. (2021), arXiv:2104.08378; the code p + 4 q as in PyTorch's converter for CUTLASS (which
    chooses other places where there are fewer than two nonzeros, and another order of the groups).
    """
    if weight.ndim != 2 or weight.shape[1] % 4 != 0:
        raise ValueError(f"groups of four columns do not divide an array of shape {list(weight.shape)}")
    rows, cols = weight.shape
    groups = weight.reshape(-1, 4)  # G, 4
    zero = groups == 0
    if ((~zero).sum(axis=1) > 2).any():
        raise ValueError("a group of four columns has more than two nonzeros: the pattern is not 2:4")
    places = np.argsort(zero, axis=1, kind="stable")[
        :, :2
    ]  # G, 2: nonzeros first, then the lowest free places
    places = np.sort(places, axis=1)  # p < q
    values = np.take_along_axis(groups, places, axis=1).reshape(rows, cols // 2)
    codes = np.zeros(len(groups) + len(groups) % 2, dtype=np.uint8)  # even number of groups
    codes[: len(groups)] = places[:, 0] + 4 * places[:, 1]
    return values, codes[0::2] + 16 * codes[1::2]


def unpack_two_four(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Rebuild the matrix from its 2:4 packing: the inverse of `pack_two_four`.

    Args:
        values: NumPy array [rows, half], any floating dtype, contiguous or not; half is even, and both may be 0. A
            group of four columns owns two neighbours of a row: values 0 and 1, 2 and 3, and so on.
        positions: NumPy array of uint8, one-dimensional, ceil(G / 2) bytes for G = rows * half / 2 groups. Byte b
            holds the code of group 2b in its low four bits and that of group 2b + 1 in its high four bits; the groups
            are numbered row after row. A code is p + 4 q, where p and q, from 0 to 3 and different, are the places of
            the group's first and second value. If G is odd, the high four bits of the last byte mean nothing. Neither
            array is changed.

    Returns:
        A new NumPy array [rows, 2 * half] of the dtype of `values`: each value at its place, 0 at all other places.

    Raises:
        ValueError: if `values` does not have two dimensions, if half is odd, or if `positions` does not have
            ceil(G / 2) bytes. Nothing else needs checking.
    """
    if values.ndim != 2 or values.shape[1] % 2 != 0:
        raise ValueError(f"values of shape {list(values.shape)} do not come in pairs, row by row")
    rows, half = values.shape
    count = rows * half // 2  # G
    if len(positions) != (count + 1) // 2:
        raise ValueError(f"{count} groups need {(count + 1) // 2} bytes, but there are {len(positions)}")
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[:count]  # G
    places = np.stack([codes % 4, codes // 4], axis=1)  # G, 2
    groups = np.zeros((count, 4), dtype=values.dtype)
    np.put_along_axis(groups, places.astype(np.int64), values.reshape(count, 2), axis=1)
    return groups.reshape(rows, 2 * half)


def save_sparse(weights: dict[str, torch.Tensor]) -> bytes:
    """Write the tensors of a pruned network as a safetensors file that holds a bitmask and the stored entries.

    Args:
        weights: {name: tensor}, as from `model.state_dict()`; may be empty. Any shape (also [] and with a 0 in it),
            float16, bfloat16, float32, float64, uint8, int8, int16, int32 or int64, on any device, contiguous or not,
            with or without requires_grad; none is changed.

    Returns:
        The bytes of a safetensors file. Its keys are, for each name N, and no others:
        "N.shape": int64 [dimensions of the tensor], its shape.
        "N.mask": uint8 [ceil(n / 8)], one bit for each of the n entries in row-major order, 1 = stored. Entry 0 is the
            highest bit of byte 0 (value 128), entry 7 its lowest, entry 8 the highest bit of byte 1; unused bits are
            0. That is the default order of `np.packbits`.
        "N.values": the dtype of the tensor, one-dimensional: the stored entries in row-major order, bit by bit as
            they were.

        An entry is left out if, and only if, its bits are all zero, since the reader begins with a tensor of zeros. So
        NaN is stored, and so is -0.0, although it equals 0.

    Raises:
        ValueError: if a tensor is complex or boolean. Nothing else needs checking.

    Source: the file format, https://huggingface.co/docs/safetensors. It holds numbers, and no pickled objects that
    could run code.
    """
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(f"{name} is {tensor.dtype}: only floating and integer tensors can be saved")
        flat = tensor.detach().cpu().reshape(-1)  # n
        keep = (flat != 0) | torch.signbit(flat)  # n; the sign tells -0.0 from 0.0
        stored[f"{name}.shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[f"{name}.mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[f"{name}.values"] = flat[keep]
    return safetensors.torch.save(stored)
