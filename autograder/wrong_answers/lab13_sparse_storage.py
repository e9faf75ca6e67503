"""Lab 13's bank. An answer uses only what the notebook's first cell imports: torch, numpy as np, safetensors.torch, io."""

import io

import numpy as np
import safetensors.torch
import torch

from autograder.wrong_answers import right, wrong

# --- to_csr ----------------------------------------------------------------------------------------------------


@wrong("to_csr", "Your columns or row starts are no arrays of int32 (NumPy's own choice is int64).")
def csr_int64_indices(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return matrix[rows, columns], columns, starts


@wrong("to_csr", "You went through the matrix column after column: these are the arrays of CSC, not of CSR.")
def csr_by_columns(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    columns, rows = np.nonzero(matrix.T)
    starts = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=matrix.shape[1]))])
    return matrix[rows, columns], rows.astype(np.int32), starts.astype(np.int32)


@wrong("to_csr", "Your row_starts holds how many nonzeros each row has, not where each row begins.")
def csr_counts(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    counts = np.bincount(rows, minlength=matrix.shape[0])
    return matrix[rows, columns], columns.astype(np.int32), counts.astype(np.int32)


@wrong(
    "to_csr",
    "Your row_starts holds where each row ends; the 0 in front, where the first row begins, is missing.",
)
def csr_without_the_zero(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    ends = np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))
    return matrix[rows, columns], columns.astype(np.int32), ends.astype(np.int32)


@wrong("to_csr", "Your row_starts has one number for each row; the end of the last row is missing.")
def csr_without_the_end(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])[:-1]
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@wrong("to_csr", "You store the row of every nonzero: that is COO; CSR stores where each row begins.")
def csr_is_coo(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    return matrix[rows, columns], columns.astype(np.int32), rows.astype(np.int32)


@wrong("to_csr", "Rows without nonzeros are left out of row_starts, so it is too short.")
def csr_skips_empty_rows(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    counts = np.bincount(rows, minlength=matrix.shape[0])
    starts = np.concatenate([[0], np.cumsum(counts[counts > 0])])
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@wrong(
    "to_csr",
    "The rows behind the last nonzero are missing from row_starts: bincount stops at the largest row it meets.",
)
def csr_forgets_the_last_rows(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows))])
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@wrong(
    "to_csr",
    "You left out entries that are only small: an entry is zero if it equals 0, and not if it is close to it.",
)
def csr_drops_small_entries(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(~np.isclose(matrix, 0))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@wrong("to_csr", "You asked for entries above 0 in magnitude: NaN is above nothing, so it was left out.")
def csr_drops_nan(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(np.abs(matrix) > 0)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@wrong("to_csr", "Only entries above 0 are stored: the negative ones are missing.")
def csr_drops_negative_entries(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix > 0)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@wrong("to_csr", "Your values are always of one dtype (float32), whatever the matrix holds.")
def csr_always_float32(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    rows, columns = np.nonzero(matrix)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return matrix[rows, columns].astype(np.float32), columns.astype(np.int32), starts.astype(np.int32)


@wrong(
    "to_csr",
    "You read the entries in memory order: a matrix that is stored column by column is read wrongly.",
)
def csr_in_memory_order(matrix):
    if matrix.ndim != 2:
        raise ValueError("matrix")
    flat = matrix.ravel(order="K")
    places = np.flatnonzero(flat)
    rows, columns = np.divmod(places, max(1, matrix.shape[1]))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return flat[places], columns.astype(np.int32), starts.astype(np.int32)


@wrong("to_csr", "An array that is no matrix is not refused with ValueError.")
def csr_unchecked(matrix):
    rows, columns = np.nonzero(
        np.atleast_2d(matrix).reshape(-1, matrix.shape[-1]) if matrix.size else np.zeros(matrix.shape)
    )
    matrix = matrix.reshape(-1, matrix.shape[-1]) if matrix.size else matrix
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@right("to_csr")
def csr_by_loops(matrix):
    if len(matrix.shape) != 2:
        raise ValueError("to_csr needs a matrix")
    values, columns, starts = [], [], [0]
    for row in matrix:
        for column, value in enumerate(row):
            if value != 0:
                values.append(value)
                columns.append(column)
        starts.append(len(values))
    return np.array(values, matrix.dtype), np.array(columns, np.int32), np.array(starts, np.int32)


@right("to_csr")
def csr_by_a_mask(matrix):
    if matrix.ndim != 2:
        raise ValueError("to_csr needs a matrix")
    stored = matrix != 0
    columns = np.broadcast_to(np.arange(matrix.shape[1], dtype=np.int32), matrix.shape)[stored]
    starts = np.zeros(matrix.shape[0] + 1, dtype=np.int32)
    starts[1:] = stored.sum(axis=1).cumsum()
    return matrix[stored], columns, starts


@right("to_csr")
def csr_by_torch(matrix):
    if matrix.ndim != 2:
        raise ValueError("to_csr needs a matrix")
    places = (torch.from_numpy(np.ascontiguousarray(matrix)) != 0).nonzero().numpy()
    starts = np.searchsorted(places[:, 0], np.arange(matrix.shape[0] + 1))
    return matrix[places[:, 0], places[:, 1]], places[:, 1].astype("int32"), starts.astype("int32")


# --- csr_matvec ------------------------------------------------------------------------------------------------


@wrong(
    "csr_matvec",
    "You summed with np.add.reduceat, which gives an empty row the next row's first product, or breaks at the end.",
)
def matvec_by_reduceat(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    return np.add.reduceat(values * x[columns], row_starts[:-1])


@wrong(
    "csr_matvec",
    "An empty row gets the next row's first product: np.add.reduceat does not give 0 for nothing.",
)
def matvec_by_reduceat_padded(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    products = np.append(values * x[columns], np.zeros(1, values.dtype))
    if len(row_starts) == 1:
        return np.zeros(0, values.dtype)
    return np.add.reduceat(products, row_starts[:-1])


@wrong("csr_matvec", "You multiply each value by the entry of x at its row; x has one entry for each column.")
def matvec_x_by_row(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    for row in range(len(y)):
        y[row] = (values[row_starts[row] : row_starts[row + 1]] * x[row % len(x)]).sum()
    return y


@wrong("csr_matvec", "You multiply by the transpose: each value is added to the entry of y at its column.")
def matvec_transposed(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    y = np.zeros(len(x), dtype=values.dtype)
    rows = np.repeat(np.arange(len(row_starts) - 1), np.diff(row_starts))
    np.add.at(y, columns, values * x[rows % len(x)])
    return y


@wrong("csr_matvec", "You take the first entries of x for each row: the columns are not used.")
def matvec_without_columns(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    for row, (start, end) in enumerate(zip(row_starts[:-1], row_starts[1:])):
        y[row] = values[start:end] @ x[: end - start]
    return y


@wrong("csr_matvec", "You multiply values[k] by x[k]: the columns are not used.")
def matvec_x_by_number(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    for row, (start, end) in enumerate(zip(row_starts[:-1], row_starts[1:])):
        y[row] = values[start:end] @ x[start:end]
    return y


@wrong(
    "csr_matvec",
    "The last row is never computed: row_starts has one number more than there are rows, and you left out two.",
)
def matvec_without_the_last_row(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    for row in range(len(row_starts) - 2):
        part = slice(row_starts[row], row_starts[row + 1])
        y[row] = values[part] @ x[columns[part]]
    return y


@wrong("csr_matvec", "The last entry of each row is left out: a slice ends before its second number already.")
def matvec_ends_too_early(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    for row in range(len(y)):
        part = slice(row_starts[row], max(row_starts[row], row_starts[row + 1] - 1))
        y[row] = values[part] @ x[columns[part]]
    return y


@wrong("csr_matvec", "You add up through all the rows and never begin again at 0.")
def matvec_running_sum(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    sums = np.concatenate([[0], np.cumsum(values * x[columns])]).astype(values.dtype)
    return sums[row_starts[1:]]


@wrong(
    "csr_matvec",
    "You take differences of one running sum: an infinite product in one row spoils all the rows after it.",
)
def matvec_differences(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    with np.errstate(invalid="ignore"):
        sums = np.concatenate([[0], np.cumsum((values * x[columns]).astype(np.float64))])
        return np.diff(sums[row_starts]).astype(values.dtype)


@wrong(
    "csr_matvec", "You rebuilt the dense matrix first: its zeros times an infinite or undefined x are NaN."
)
def matvec_through_dense(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    dense = np.zeros((len(row_starts) - 1, len(x)), dtype=values.dtype)
    rows = np.repeat(np.arange(len(row_starts) - 1), np.diff(row_starts))
    dense[rows, columns] = values
    with np.errstate(invalid="ignore"):
        return (dense * x).sum(axis=1)


@wrong("csr_matvec", "Your result is always float64, whatever the values are.")
def matvec_float64(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    y = np.zeros(len(row_starts) - 1)
    for row, (start, end) in enumerate(zip(row_starts[:-1], row_starts[1:])):
        y[row] = values[start:end] @ x[columns[start:end]]
    return y


@wrong("csr_matvec", "You multiplied the stored values in place: after your call the matrix is another one.")
def matvec_in_place(values, columns, row_starts, x):
    if x.ndim != 1 or (len(columns) and columns.max() >= len(x)) or row_starts[-1] != len(values):
        raise ValueError("arguments")
    values *= x[columns]
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    for row, (start, end) in enumerate(zip(row_starts[:-1], row_starts[1:])):
        y[row] = values[start:end].sum()
    return y


@wrong(
    "csr_matvec", "Arguments that do not fit together are accepted, or end in another error than ValueError."
)
def matvec_unchecked(values, columns, row_starts, x):
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    for row, (start, end) in enumerate(zip(row_starts[:-1], row_starts[1:])):
        y[row] = values[start:end] @ x[columns[start:end]]
    return y


@right("csr_matvec")
def matvec_by_bincount(values, columns, row_starts, x):
    if x.ndim != 1 or row_starts[-1] != len(values) or np.any(columns >= len(x)):
        raise ValueError("the arguments do not fit together")
    rows = np.repeat(np.arange(len(row_starts) - 1), np.diff(row_starts))
    products = values.astype(np.float64) * x[columns]
    return np.bincount(rows, weights=products, minlength=len(row_starts) - 1).astype(values.dtype)


@right("csr_matvec")
def matvec_add_at(values, columns, row_starts, x):
    if len(x.shape) != 1 or len(values) != row_starts[-1] or max(columns, default=-1) >= x.shape[0]:
        raise ValueError("the arguments do not fit together")
    y = np.zeros(len(row_starts) - 1, dtype=values.dtype)
    np.add.at(y, np.repeat(np.arange(len(y)), np.diff(row_starts)), values * x[columns])
    return y


@right("csr_matvec")
def matvec_plain_python(values, columns, row_starts, x):
    if x.ndim != 1 or row_starts[-1] != len(values) or any(column >= len(x) for column in columns):
        raise ValueError("the arguments do not fit together")
    sums = []
    for row in range(len(row_starts) - 1):
        total = 0.0
        for entry in range(row_starts[row], row_starts[row + 1]):
            total += float(values[entry]) * float(x[columns[entry]])
        sums.append(total)
    return np.array(sums, dtype=values.dtype)


# --- storage_bytes ---------------------------------------------------------------------------------------------


@wrong("storage_bytes", "For COO you count one index for each nonzero; it has a row and a column.")
def bytes_coo_one_index(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "For CSR you count one row start for each row: the end of the last row is missing.")
def bytes_csr_without_the_end(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, rows * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "For CSR you count a start for each column: that is CSC.")
def bytes_csr_is_csc(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (cols + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong(
    "storage_bytes", "For CSR you count no row starts: without them nobody knows which row an entry is in."
)
def bytes_csr_no_starts(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "Your bitmask takes a whole byte for each entry, as a boolean array in memory does.")
def bytes_mask_of_bytes(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, 8 * n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "Your bitmask has a bit for each nonzero only; a zero needs its bit too.")
def bytes_mask_of_nonzeros(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, nonzeros],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "For 2:4 you count the nonzeros; the format stores two of every four, zero or not.")
def bytes_two_four_nonzeros(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [nonzeros * value_bits, 2 * nonzeros],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "For 2:4 you count 2 bits for each group of four; each of its two values has 2 bits.")
def bytes_two_four_two_bits(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n // 4 * 2],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "For dense storage you count the nonzeros only; it holds the zeros as well.")
def bytes_dense_nonzeros(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [nonzeros * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@wrong("storage_bytes", "You returned bits; eight of them are a byte.")
def bytes_are_bits(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(arrays[storage])


@wrong("storage_bytes", "You rounded bits down to whole bytes: the last bits have no place.")
def bytes_rounded_down(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(bits // 8 for bits in arrays[storage])


@wrong(
    "storage_bytes",
    "You added up the bits of all the arrays and rounded once; each array begins at a whole byte.",
)
def bytes_rounded_once(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return -(-sum(arrays[storage]) // 8)


@wrong("storage_bytes", "You returned a float: bytes are counted in whole numbers.")
def bytes_as_float(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(float(np.ceil(bits / 8)) for bits in arrays[storage])


@wrong(
    "storage_bytes",
    "Values and indices always take 32 bits in your sum: the widths that were asked for are not used.",
)
def bytes_fixed_widths(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    if not 0 <= nonzeros <= n or value_bits < 1 or index_bits < 1:
        raise ValueError("arguments")
    if (
        storage == "2:4"
        and (cols % 4 or nonzeros > n // 2)
        or storage not in ("dense", "coo", "csr", "bitmask", "2:4")
    ):
        raise ValueError("arguments")
    return {
        "dense": 4 * n, "coo": 12 * nonzeros, "csr": 8 * nonzeros + 4 * (rows + 1),
        "bitmask": 4 * nonzeros + (n + 7) // 8, "2:4": 2 * n + (n + 7) // 8,
    }[storage]  # fmt: skip


@wrong("storage_bytes", "What cannot be stored, or no such format, is not refused with ValueError.")
def bytes_unchecked(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    n = rows * cols
    arrays = {
        "dense": [n * value_bits],
        "coo": [nonzeros * value_bits, nonzeros * index_bits, nonzeros * index_bits],
        "csr": [nonzeros * value_bits, nonzeros * index_bits, (rows + 1) * index_bits],
        "bitmask": [nonzeros * value_bits, n],
        "2:4": [n // 2 * value_bits, n],
    }
    return sum(-(-bits // 8) for bits in arrays[storage])


@right("storage_bytes")
def bytes_by_branches(shape, nonzeros, storage, value_bits=32, index_bits=32):
    n = shape[0] * shape[1]
    if nonzeros < 0 or nonzeros > n or min(value_bits, index_bits) < 1:
        raise ValueError("impossible count or width")

    def whole(bits):
        return bits // 8 + (bits % 8 > 0)

    if storage == "dense":
        return whole(n * value_bits)
    if storage == "2:4":
        if shape[1] % 4 or 2 * nonzeros > n:
            raise ValueError("not 2:4")
        return whole(n // 2 * value_bits) + whole(n)
    values, indices = whole(nonzeros * value_bits), whole(nonzeros * index_bits)
    if storage == "coo":
        return values + 2 * indices
    if storage == "csr":
        return values + indices + whole((shape[0] + 1) * index_bits)
    if storage == "bitmask":
        return values + whole(n)
    raise ValueError("no such format")


@right("storage_bytes")
def bytes_by_numpy(shape, nonzeros, storage, value_bits=32, index_bits=32):
    rows, cols = shape
    if storage not in {"dense", "coo", "csr", "bitmask", "2:4"} or value_bits < 1 or index_bits < 1:
        raise ValueError("storage or widths")
    if nonzeros < 0 or nonzeros > rows * cols:
        raise ValueError("nonzeros")
    if storage == "2:4" and (cols % 4 != 0 or nonzeros > rows * cols / 2):
        raise ValueError("2:4")
    v, i, n = value_bits, index_bits, rows * cols
    counts_and_widths = {
        "dense": [(n, v)], "coo": [(nonzeros, v), (nonzeros, i), (nonzeros, i)],
        "csr": [(nonzeros, v), (nonzeros, i), (rows + 1, i)], "bitmask": [(nonzeros, v), (n, 1)],
        "2:4": [(n // 2, v), (n // 2, 2)],
    }[storage]  # fmt: skip
    return int(
        sum(len(np.packbits(np.zeros(count * width, dtype=bool))) for count, width in counts_and_widths)
    )


# --- break_even_sparsity ---------------------------------------------------------------------------------------


@wrong("break_even_sparsity", "You stop where the format is as large as dense storage: equal is not fewer.")
def break_even_at_equal(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = -1, entries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) <= dense_bytes else (low, middle - 1)
    return None if low < 0 else (entries - low) / entries


@wrong(
    "break_even_sparsity", "You returned the density, the share of nonzeros: sparsity is the share of zeros."
)
def break_even_density(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = -1, entries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) < dense_bytes else (low, middle - 1)
    return None if low < 0 else low / entries


@wrong(
    "break_even_sparsity", "You tried the numbers of nonzeros one after the other: that takes too many calls."
)
def break_even_one_by_one(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    for nonzeros in range(entries, -1, -1):
        if bytes_of(nonzeros) < dense_bytes:
            return (entries - nonzeros) / entries
    return None


@wrong(
    "break_even_sparsity",
    "You are one nonzero off: you return the last sparsity at which the format does not pay yet.",
)
def break_even_one_off(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = -1, entries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) < dense_bytes else (low, middle - 1)
    return None if low < 0 else max(0, entries - low - 1) / entries


@wrong(
    "break_even_sparsity",
    "Where the format never pays you return 1.0, as if it paid once everything is zero.",
)
def break_even_never_is_one(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = 0, entries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) < dense_bytes else (low, middle - 1)
    return (entries - low) / entries


@wrong(
    "break_even_sparsity",
    "Without nonzeros you never look: a format that pays only for zeros alone is taken for one that never pays.",
)
def break_even_forgets_zero(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = 0, entries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) < dense_bytes else (low, middle - 1)
    return None if low == 0 else (entries - low) / entries


@wrong(
    "break_even_sparsity",
    "A format that pays without any zero gets a sparsity above 0: the full matrix is never tried.",
)
def break_even_forgets_full(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = -1, entries - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) < dense_bytes else (low, middle - 1)
    return None if low < 0 else (entries - low) / entries


@wrong("break_even_sparsity", "You returned percent, not a fraction.")
def break_even_percent(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = -1, entries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) < dense_bytes else (low, middle - 1)
    return None if low < 0 else 100 * (entries - low) / entries


@wrong(
    "break_even_sparsity", "You drew a straight line through two sizes; the size may grow in steps or bend."
)
def break_even_line(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    empty, full = bytes_of(0), bytes_of(entries)
    if full < dense_bytes:
        return 0.0
    if empty >= dense_bytes:
        return None
    crossing = -(-(dense_bytes - empty) * entries // (full - empty))  # the first number that is not fewer
    return (entries - (crossing - 1)) / entries


@wrong(
    "break_even_sparsity",
    "You tried a few fixed sparsities (whole percents): the answer lies between two of them.",
)
def break_even_whole_percents(bytes_of, entries, dense_bytes):
    if entries < 1:
        raise ValueError("entries")
    low, high = -1, 100
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if bytes_of(round(middle / 100 * entries)) < dense_bytes else (low, middle - 1)
        )
    return None if low < 0 else (100 - low) / 100


@wrong("break_even_sparsity", "A matrix without entries is not refused with ValueError.")
def break_even_unchecked(bytes_of, entries, dense_bytes):
    if entries < 1:
        return None
    low, high = -1, entries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_of(middle) < dense_bytes else (low, middle - 1)
    return None if low < 0 else (entries - low) / entries


@right("break_even_sparsity")
def break_even_by_bisect(bytes_of, entries, dense_bytes):
    import bisect

    if entries < 1:
        raise ValueError("a matrix has entries")
    first = bisect.bisect_left(range(entries + 1), True, key=lambda k: bytes_of(k) >= dense_bytes)
    return None if first == 0 else 1 - (first - 1) / entries


@right("break_even_sparsity")
def break_even_by_zeros(bytes_of, entries, dense_bytes):
    if not entries >= 1:
        raise ValueError("a matrix has entries")
    if bytes_of(0) >= dense_bytes:
        return None
    if bytes_of(entries) < dense_bytes:
        return 0.0
    too_few, enough = 0, entries  # zeros
    while enough - too_few > 1:
        zeros = (too_few + enough) // 2
        if bytes_of(entries - zeros) < dense_bytes:
            enough = zeros
        else:
            too_few = zeros
    return enough / entries


# --- pack_two_four ---------------------------------------------------------------------------------------------


@wrong("pack_two_four", "The first group of a byte lies in its high four bits; it belongs into the low ones.")
def pack_high_first(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[1::2] + 16 * codes[0::2]


@wrong(
    "pack_two_four",
    "Within a group the two places are exchanged: the lower one belongs into the low two bits.",
)
def pack_places_exchanged(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 1] + 4 * places[:, 0], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong("pack_two_four", "Each place takes a whole byte in your answer, four times too many bits.")
def pack_whole_bytes(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    return values, places.astype(np.uint8).reshape(-1)


@wrong("pack_two_four", "Each group takes a whole byte in your answer; two groups fit into one.")
def pack_a_byte_for_each_group(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    return values, (places[:, 0] + 4 * places[:, 1]).astype(np.uint8)


@wrong(
    "pack_two_four",
    "Your four bits are a mask of the group, one bit for each place; the format stores two place numbers.",
)
def pack_a_mask(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append((2**places).sum(axis=1), [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong(
    "pack_two_four",
    "Where a group has fewer than two nonzeros, you add the highest free places, not the lowest.",
)
def pack_highest_free(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(3 - np.argsort((groups == 0)[:, ::-1], axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong("pack_two_four", "Where a group has fewer than two nonzeros, you store the same place twice.")
def pack_a_place_twice(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    stored = groups != 0
    first, last = stored.argmax(axis=1), 3 - stored[:, ::-1].argmax(axis=1)
    places = np.stack([first, np.where(stored.any(axis=1), last, 0)], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong(
    "pack_two_four",
    "You take the nonzeros one after the other: a group with fewer than two takes values of the next group.",
)
def pack_only_nonzeros(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places, values = np.nonzero(groups)[1], groups[groups != 0]
    missing = 2 * len(groups) - len(places)
    places, values = np.append(places, [0] * missing), np.append(values, np.zeros(missing, values.dtype))
    places = places.reshape(-1, 2).astype(np.uint8)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values.reshape(weight.shape[0], weight.shape[1] // 2), codes[0::2] + 16 * codes[1::2]


@wrong("pack_two_four", "The two values of a group are in the order of their size, not of their places.")
def pack_by_size(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.argsort(-np.abs(groups), axis=1, kind="stable")[:, :2]
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong(
    "pack_two_four",
    "It breaks, or loses a group, where the number of groups is odd and the last byte is half full.",
)
def pack_even_only(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = (places[:, 0] + 4 * places[:, 1]).astype(np.uint8)[: len(groups) // 2 * 2]
    return values, codes[0::2] + 16 * codes[1::2]


@wrong(
    "pack_two_four", "Your bytes begin anew with each row; the groups are numbered through the whole matrix."
)
def pack_row_by_row(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(weight.shape[0], weight.shape[1] // 4, 4)
    places = np.sort(np.argsort(groups == 0, axis=2, kind="stable")[:, :, :2], axis=2)
    values = np.take_along_axis(groups, places, axis=2).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.zeros((weight.shape[0], (groups.shape[1] + 1) // 2 * 2), dtype=np.uint8)
    codes[:, : groups.shape[1]] = places[:, :, 0] + 4 * places[:, :, 1]
    return values, (codes[:, 0::2] + 16 * codes[:, 1::2]).reshape(-1)


@wrong("pack_two_four", "Your values are one long row; they have a row for each row of the weight.")
def pack_flat_values(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(-1)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong("pack_two_four", "Your values are always of one dtype (float32), whatever the weight holds.")
def pack_always_float32(weight):
    if weight.ndim != 2 or weight.shape[1] % 4 or ((weight.reshape(-1, 4) != 0).sum(1) > 2).any():
        raise ValueError("weight")
    groups = weight.astype(np.float32).reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong(
    "pack_two_four",
    "A group with more than two nonzeros is packed all the same: what does not fit is lost without a word.",
)
def pack_loses_the_third(weight):
    if weight.ndim != 2 or weight.shape[1] % 4:
        raise ValueError("weight")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@wrong(
    "pack_two_four",
    "You look at every window of four columns; the groups are columns 0 to 3, 4 to 7, and so on.",
)
def pack_sliding_groups(weight):
    if weight.ndim != 2 or weight.shape[1] % 4:
        raise ValueError("weight")
    for start in range(weight.shape[1] - 3):
        if ((weight[:, start : start + 4] != 0).sum(axis=1) > 2).any():
            raise ValueError("too many")
    groups = weight.reshape(-1, 4)
    places = np.sort(np.argsort(groups == 0, axis=1, kind="stable")[:, :2], axis=1)
    values = np.take_along_axis(groups, places, axis=1).reshape(weight.shape[0], weight.shape[1] // 2)
    codes = np.append(places[:, 0] + 4 * places[:, 1], [0] * (len(groups) % 2)).astype(np.uint8)
    return values, codes[0::2] + 16 * codes[1::2]


@right("pack_two_four")
def pack_by_loops(weight):
    if len(weight.shape) != 2 or weight.shape[1] % 4 != 0:
        raise ValueError("groups of four do not fit")
    values, codes = [], []
    for row in weight:
        for start in range(0, len(row), 4):
            group = row[start : start + 4]
            places = [place for place in range(4) if group[place] != 0]
            if len(places) > 2:
                raise ValueError("more than two nonzeros")
            for place in range(4):
                if len(places) < 2 and place not in places:
                    places.append(place)
            places = sorted(places)
            values += [group[place] for place in places]
            codes.append(places[0] | places[1] << 2)
    if len(codes) % 2:
        codes.append(0)
    positions = [codes[i] | codes[i + 1] << 4 for i in range(0, len(codes), 2)]
    values = np.array(values, dtype=weight.dtype).reshape(weight.shape[0], weight.shape[1] // 2)
    return values, np.array(positions, dtype=np.uint8)


@right("pack_two_four")
def pack_by_table(weight):
    if weight.ndim != 2 or weight.shape[1] % 4:
        raise ValueError("groups of four do not fit")
    groups = weight.reshape(-1, 4)
    which = (groups != 0) @ np.array([1, 2, 4, 8])
    table = {0: (0, 1), 1: (0, 1), 2: (0, 1), 4: (0, 2), 8: (0, 3), 3: (0, 1), 5: (0, 2), 9: (0, 3), 6: (1, 2), 10: (1, 3),
             12: (2, 3)}  # fmt: skip
    if any(pattern not in table for pattern in which.tolist()):
        raise ValueError("more than two nonzeros")
    places = np.array([table[pattern] for pattern in which.tolist()], dtype=np.int64).reshape(-1, 2)
    values = groups[np.arange(len(groups))[:, None], places].reshape(len(weight), weight.shape[1] // 2)
    values = values + 0  # makes -0.0 at an added place 0.0, which is as right
    bits = np.unpackbits(places.astype(np.uint8)[:, :, None], axis=2, bitorder="little")[:, :, :2]
    return values, np.packbits(bits.reshape(-1), bitorder="little")


# --- unpack_two_four -------------------------------------------------------------------------------------------


@wrong("unpack_two_four", "You read the high four bits of a byte as the first group; it is in the low ones.")
def unpack_high_first(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.stack([positions // 16, positions % 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.reshape(-1, 2), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong(
    "unpack_two_four", "You exchanged the two places of a group: the low two bits belong to the first value."
)
def unpack_places_exchanged(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes // 4, codes % 4], axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.reshape(-1, 2), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong(
    "unpack_two_four",
    "You put the two places in order first, so a first value with the higher place changes sides.",
)
def unpack_sorts(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.sort(np.stack([codes % 4, codes // 4], axis=1), axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.reshape(-1, 2), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong(
    "unpack_two_four",
    "You read the four bits of a group as a mask, one bit for each place; they are two place numbers.",
)
def unpack_as_mask(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    for group, code, pair in zip(groups, codes.tolist(), values.reshape(-1, 2)):
        places = [place for place in range(4) if code >> place & 1][:2]
        group[places] = pair[: len(places)]
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong(
    "unpack_two_four",
    "You read only the low half of each byte: every second group is missing or at wrong places.",
)
def unpack_low_half_only(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.repeat(positions % 16, 2)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.reshape(-1, 2), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong(
    "unpack_two_four",
    "It breaks where the number of groups is odd: the last byte holds one group, and you take two out of it.",
)
def unpack_even_only(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    if len(codes) != values.size // 2:
        raise IndexError("groups and codes differ")
    np.put_along_axis(groups, places, values.reshape(-1, 2), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong(
    "unpack_two_four",
    "The groups of a row are mixed: a group's four places lie in / 4 columns apart; they are neighbours.",
)
def unpack_interleaved(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    rows, half = values.shape
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.reshape(-1, 2), axis=1)
    return groups.reshape(rows, half // 2, 4).transpose(0, 2, 1).reshape(rows, 2 * half)


@wrong(
    "unpack_two_four",
    "You take the first half of a row for first values and the second half for second values; pairs are neighbours.",
)
def unpack_halves(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    rows, half = values.shape
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    pairs = values.reshape(rows, 2, half // 2).transpose(0, 2, 1).reshape(-1, 2)
    np.put_along_axis(groups, places, pairs, axis=1)
    return groups.reshape(rows, 2 * half)


@wrong("unpack_two_four", "Your result is always float32, whatever the values are.")
def unpack_float32(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=np.float32)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.reshape(-1, 2).astype(np.float32), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong(
    "unpack_two_four",
    "You read the values in memory order: values that are stored column by column are read wrongly.",
)
def unpack_in_memory_order(values, positions):
    if values.ndim != 2 or values.shape[1] % 2 or len(positions) != (values.size // 2 + 1) // 2:
        raise ValueError("arguments")
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.ravel(order="K").reshape(-1, 2), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@wrong("unpack_two_four", "Values and positions that do not fit together are not refused with ValueError.")
def unpack_unchecked(values, positions):
    values = np.atleast_2d(values)
    if values.shape[1] % 2:
        return np.zeros((values.shape[0], 2 * values.shape[1]), dtype=values.dtype)
    positions = np.resize(positions, (values.size // 2 + 1) // 2).astype(np.uint8)
    codes = np.stack([positions % 16, positions // 16], axis=1).reshape(-1)[: values.size // 2]
    groups = np.zeros((len(codes), 4), dtype=values.dtype)
    places = np.stack([codes % 4, codes // 4], axis=1).astype(np.int64)
    np.put_along_axis(groups, places, values.reshape(-1, 2), axis=1)
    return groups.reshape(values.shape[0], 2 * values.shape[1])


@right("unpack_two_four")
def unpack_by_loops(values, positions):
    if len(values.shape) != 2 or values.shape[1] % 2 != 0:
        raise ValueError("values do not come in pairs")
    rows, half = values.shape
    if 2 * len(positions) not in (rows * half // 2, rows * half // 2 + 1):
        raise ValueError("wrong number of positions")
    weight = np.zeros((rows, 2 * half), dtype=values.dtype)
    for number in range(rows * half // 2):
        row, group = divmod(number, half // 2)
        code = int(positions[number // 2]) >> (4 * (number % 2)) & 15
        weight[row, 4 * group + (code & 3)] = values[row, 2 * group]
        weight[row, 4 * group + (code >> 2)] = values[row, 2 * group + 1]
    return weight


@right("unpack_two_four")
def unpack_by_bits(values, positions):
    if values.ndim != 2 or values.shape[1] % 2:
        raise ValueError("values do not come in pairs")
    count = values.size  # places of two bits
    if len(positions) != -(-count // 4):
        raise ValueError("wrong number of positions")
    bits = np.unpackbits(positions, bitorder="little")[: 2 * count].reshape(-1, 2)
    places = bits[:, 0] + 2 * bits[:, 1].astype(np.int64)
    flat = np.zeros(2 * count, dtype=values.dtype)
    flat[4 * (np.arange(count) // 2) + places] = values.reshape(-1)
    return flat.reshape(values.shape[0], 2 * values.shape[1])


# --- save_sparse -----------------------------------------------------------------------------------------------


@wrong(
    "save_sparse",
    "You left out every entry that equals 0: -0.0 equals 0 too, and it comes back with another sign.",
)
def save_drops_minus_zero(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = flat != 0
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong(
    "save_sparse",
    "You asked for entries above 0 in magnitude: NaN is above nothing, and -0.0 is not either, so both are lost.",
)
def save_drops_nan(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = flat.abs() > 0
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong("save_sparse", "Entries that are only very small are left out: they come back as 0.")
def save_drops_tiny(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = ~(flat.double().abs() < 1e-30) | torch.signbit(flat) & (flat == 0)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong("save_sparse", "In your mask the first entry is the lowest bit of a byte; it is the highest.")
def save_bits_reversed(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy(), bitorder="little"))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong("save_sparse", "Your mask takes a whole byte for each entry; eight entries fit into one.")
def save_mask_of_bytes(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = keep.to(torch.uint8)
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong("save_sparse", "Your mask is the other way round: a 1 stands for an entry that is left out.")
def save_mask_inverted(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(~keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong(
    "save_sparse",
    "You packed the mask row by row, so each row begins at a new byte; the whole tensor is one run of bits.",
)
def save_mask_row_by_row(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        whole = tensor.detach().cpu()
        keep = (whole != 0) | torch.signbit(whole)
        rows = keep.numpy().reshape(1, -1) if whole.dim() < 2 or not whole.numel() else keep.numpy()
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(rows, axis=-1).reshape(-1))
        stored[name + ".values"] = whole[keep].reshape(-1)
    return safetensors.torch.save(stored)


@wrong("save_sparse", "Your values hold every entry, zero or not: nothing is saved.")
def save_all_values(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat.clone()
    return safetensors.torch.save(stored)


@wrong("save_sparse", "You stored the numbers of the kept entries in the place of the bitmask.")
def save_indices(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = keep.nonzero().flatten().to(torch.int32)
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong("save_sparse", "All values are stored as float32: other dtypes do not come back as they were.")
def save_as_float32(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep].float()
    return safetensors.torch.save(stored)


@wrong("save_sparse", "Your file does not hold the shapes, so nobody can rebuild the tensors.")
def save_without_shapes(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong(
    "save_sparse",
    "You pickled the tensors (torch.save): that is no safetensors file, and loading a pickle can run code.",
)
def save_pickled(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    file = io.BytesIO()
    torch.save(stored, file)
    return file.getvalue()


@wrong("save_sparse", "You saved the tensors as they are, dense: the zeros are all in the file.")
def save_dense(weights):
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    )


@wrong(
    "save_sparse",
    "You read the entries in memory order: a transposed tensor, or a part of one, is stored wrongly.",
)
def save_in_memory_order(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        flat = tensor.detach().cpu().as_strided((tensor.numel(),), (1,))
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong(
    "save_sparse", "You took the tensors out of the dictionary that you were given: afterwards it is empty."
)
def save_empties_the_dictionary(weights):
    stored = {}
    for name in list(weights):
        if weights[name].is_complex() or weights[name].dtype == torch.bool:
            raise ValueError(name)
        tensor = weights.pop(name)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong(
    "save_sparse",
    "It breaks for a tensor without dimensions (a single number), which networks with BatchNorm have.",
)
def save_needs_dimensions(weights):
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(name)
        rows = len(tensor)
        flat = tensor.detach().cpu().reshape(-1)
        keep = (flat != 0) | torch.signbit(flat)
        stored[name + ".shape"] = torch.tensor([rows, *tensor.shape[1:]], dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@wrong("save_sparse", "A complex or boolean tensor is not refused with ValueError.")
def save_unchecked(weights):
    stored = {}
    for name, tensor in weights.items():
        flat = tensor.detach().cpu().reshape(-1)
        keep = (
            flat != 0 if flat.is_complex() or flat.dtype == torch.bool else (flat != 0) | torch.signbit(flat)
        )
        stored[name + ".shape"] = torch.tensor(tensor.shape, dtype=torch.int64)
        stored[name + ".mask"] = torch.from_numpy(np.packbits(keep.numpy()))
        stored[name + ".values"] = flat[keep]
    return safetensors.torch.save(stored)


@right("save_sparse")
def save_by_bits(weights):
    stored, whole = {}, {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    for name, tensor in weights.items():
        if tensor.dtype == torch.bool or tensor.dtype.is_complex:
            raise ValueError(f"{name} cannot be saved")
        flat = tensor.detach().cpu().contiguous().flatten()
        places = flat.view(whole[flat.element_size()]).nonzero().flatten()
        mask = np.zeros(flat.numel(), dtype=np.uint8)
        mask[places.numpy()] = 1
        stored[f"{name}.shape"] = torch.tensor(list(tensor.shape)).long()
        stored[f"{name}.mask"] = torch.from_numpy(np.packbits(mask))
        stored[f"{name}.values"] = flat[places]
    return safetensors.torch.save(stored)


@right("save_sparse")
def save_by_powers_of_two(weights):
    stored = {}
    powers = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1])
    for name, tensor in weights.items():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(f"{name} cannot be saved")
        entries = tensor.detach().cpu().flatten()
        lost = (entries == 0) & ~torch.signbit(entries)
        padded = torch.zeros(-(-len(entries) // 8) * 8, dtype=torch.int64)
        padded[: len(entries)] = (~lost).long()
        stored |= {
            f"{name}.values": torch.masked_select(entries, ~lost),
            f"{name}.mask": (padded.reshape(-1, 8) * powers).sum(dim=1).to(torch.uint8),
            f"{name}.shape": torch.tensor([*tensor.shape], dtype=torch.int64),
        }
    return safetensors.torch.save(stored)
