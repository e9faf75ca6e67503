"""Hidden checks of lab 13. Experiments only: they observe, and no expected answer stands here."""

import numpy as np
import safetensors.torch
import torch

from autograder.experiment import check, close, error_of, exact

ROUNDING = close(1e-4, 1e-5)  # another order of adding up is as right


def normal(rng, *shape, dtype=np.float32):
    return torch.randn(*shape, generator=rng, dtype=torch.float64).numpy().astype(dtype)


def integers(rng, low, high, count):
    """`count` whole numbers from low to high - 1."""
    return torch.randint(low, high, (count,), generator=rng).tolist()


def sparse(rng, rows, cols, density=0.35, dtype=np.float32):
    """A matrix with zeros at random places; no row is empty, and its last entry is not zero."""
    matrix = normal(rng, rows, cols, dtype=dtype)
    keep = torch.rand(rows, cols, generator=rng).numpy() < density
    keep[np.arange(rows), np.arange(rows) % cols] = keep[-1, -1] = True
    return np.where(keep, matrix, 0).astype(dtype)


def with_empty_rows(rng, dtype=np.float32):
    """A matrix whose first, last and two middle rows hold nothing."""
    matrix = sparse(rng, 9, 6, 0.6, dtype)
    matrix[1:8, 2] = normal(rng, 7, dtype=dtype)
    matrix[[0, 3, 4, 8]] = 0
    return matrix


# --- to_csr ----------------------------------------------------------------------------------------------------


def arrays(result):
    """The three arrays; the width of the indices has a check of its own."""
    values, columns, row_starts = result
    return {
        "values": values,
        "columns": columns.astype(np.int64),
        "row_starts": row_starts.astype(np.int64),
    }


@check("to_csr", tolerance=exact, weight=2)
def the_three_arrays(lab, rng):
    """The values row after row, the column of each, and where each row starts, with the end at last."""
    return {f"{r} x {c}": arrays(lab.to_csr(sparse(rng, r, c))) for r, c in ((5, 7), (8, 3), (1, 9), (6, 2))}


@check("to_csr", tolerance=exact)
def rows_without_nonzeros(lab, rng):
    """A row without nonzeros repeats a row start, at the beginning, in the middle and at the end."""
    return {
        "some rows": arrays(lab.to_csr(with_empty_rows(rng))),
        "all rows": arrays(lab.to_csr(np.zeros((3, 4), dtype=np.float32))),
        "no rows": arrays(lab.to_csr(np.zeros((0, 4), dtype=np.float32))),
        "no columns": arrays(lab.to_csr(np.zeros((2, 0), dtype=np.float32))),
    }


@check("to_csr", tolerance=exact)
def what_counts_as_zero(lab, rng):
    """An entry is left out only if it equals zero: a very small one is stored, and so is NaN; -0.0 is not."""
    matrix = sparse(rng, 3, 6)
    matrix[1] = [1e-30, -0.0, np.nan, -1e-12, np.inf, 0.0]
    return arrays(lab.to_csr(matrix))


@check("to_csr", tolerance=exact)
def csr_of_any_matrix(lab, rng):
    """Any floating dtype and memory layout will do; the values keep the dtype, and the matrix is unchanged."""
    double, half = sparse(rng, 4, 5, dtype=np.float64), sparse(rng, 3, 4, dtype=np.float16)
    transposed, wide = np.asfortranarray(sparse(rng, 6, 4)), np.zeros((8, 9), dtype=np.float32)
    strided = wide[::2, ::3]
    strided[:] = sparse(rng, 4, 3)
    return {
        "float64": arrays(lab.to_csr(double)),
        "float16": arrays(lab.to_csr(half)),
        "column by column": arrays(lab.to_csr(transposed)),
        "every second row, every third column": arrays(lab.to_csr(strided)),
        "the matrices afterwards": [double, half, transposed, strided],
    }


@check("to_csr", tolerance=exact)
def types_of_the_indices(lab, rng):
    """Columns and row starts are arrays of int32, also where there is nothing to store."""
    some, none = lab.to_csr(sparse(rng, 4, 6)), lab.to_csr(np.zeros((2, 3), dtype=np.float32))
    return {
        "some": [str(array.dtype) for array in some[1:]],
        "none": [str(array.dtype) for array in none[1:]],
    }


@check("to_csr", tolerance=exact)
def to_csr_refuses(lab, rng):
    """An array that is no matrix raises ValueError; a matrix does not."""
    shapes = {"vector": (4,), "three dimensions": (2, 3, 4), "matrix": (3, 4)}
    return {name: error_of(lambda s=shape: lab.to_csr(normal(rng, *s))) for name, shape in shapes.items()}


# --- csr_matvec ------------------------------------------------------------------------------------------------


def product(lab, *arguments):
    """The product in float64; its own dtype has a check."""
    return lab.csr_matvec(*arguments).astype(np.float64)


def csr(matrix):
    """A matrix as CSR arrays."""
    rows, columns = np.nonzero(matrix)
    starts = np.searchsorted(rows, np.arange(matrix.shape[0] + 1))
    return matrix[rows, columns], columns.astype(np.int32), starts.astype(np.int32)


@check("csr_matvec", tolerance=ROUNDING, weight=2)
def the_product(lab, rng):
    """Each row's sum of stored values times the entries of x at their columns."""
    return {
        f"{r} x {c}": product(lab, *csr(sparse(rng, r, c, 0.5)), normal(rng, c)) for r, c in ((6, 6), (4, 9), (9, 4))
    }  # fmt: skip


@check("csr_matvec", tolerance=ROUNDING)
def products_of_empty_rows(lab, rng):
    """A row without entries gives 0, at the beginning, in the middle and at the end."""
    nothing = np.zeros((3, 4), dtype=np.float32)
    return {
        "some rows": product(lab, *csr(with_empty_rows(rng)), normal(rng, 6)),
        "all rows": product(lab, *csr(nothing), normal(rng, 4)),
        "no rows": product(lab, *csr(nothing[:0]), normal(rng, 4)),
    }


@check("csr_matvec", tolerance=ROUNDING)
def only_what_is_stored(lab, rng):
    """An entry that is not stored plays no part, and a row's product stays in its row, infinite or not."""
    matrix = sparse(rng, 6, 8, 0.5)
    matrix[0, 1], matrix[2, 1] = 0.5, 2.0
    matrix[[1, 3, 4, 5], 1], matrix[:, 4], matrix[:, 6], matrix[:, 0] = 0, 0, 0, 1.5
    x = normal(rng, 8)
    x[[1, 4, 6]] = np.inf, np.inf, np.nan  # rows 0 and 2 read the first of them, and none the others
    return product(lab, *csr(matrix), x)


@check("csr_matvec", tolerance=ROUNDING)
def columns_in_any_order(lab, rng):
    """Within a row the columns may come in any order, and a stored value may be zero."""
    values, columns, starts = csr(sparse(rng, 5, 9, 0.6))
    for start, end in zip(starts[:-1], starts[1:]):
        order = start + torch.randperm(int(end - start), generator=rng).numpy()
        values[start:end], columns[start:end] = values[order], columns[order]
    values[:2] = 0
    return product(lab, values, columns, starts, normal(rng, 9))


@check("csr_matvec", tolerance=ROUNDING)
def matvec_of_any_arrays(lab, rng):
    """The result has the dtype of the values, x may have any memory layout, and the arguments are unchanged."""
    single, double = csr(sparse(rng, 4, 6)), csr(sparse(rng, 4, 6, dtype=np.float64))
    x, wide = normal(rng, 12)[::2], normal(rng, 6, dtype=np.float64)
    return {
        "float32, every second entry": lab.csr_matvec(*single, x),
        "float64": lab.csr_matvec(*double, wide),
        "the arguments afterwards": [list(single), list(double), x, wide],
    }


@check("csr_matvec", tolerance=exact)
def csr_matvec_refuses(lab, rng):
    """An x that is no vector or too short, and rows that do not end at the last value, raise ValueError; good input does not."""
    values, columns, starts = csr(sparse(rng, 4, 6))
    x = normal(rng, 6)
    cases = {
        "x is a matrix": (values, columns, starts, normal(rng, 6, 2)),
        "x is too short": (values, columns, starts, x[:5]),
        "rows end too early": (values, columns, np.minimum(starts, len(values) - 1), x),
        "good": (values, columns, starts, x),
    }
    return {name: error_of(lambda c=case: lab.csr_matvec(*c)) for name, case in cases.items()}


# --- storage_bytes ---------------------------------------------------------------------------------------------


def layers(rng):
    """Shapes and numbers of nonzeros, not more than half: rows and columns differ, and columns divide by four."""
    rows, cols = integers(rng, 3, 15, 3), integers(rng, 31, 60, 3)
    return [((2 * r, 4 * c), 8 * n) for r, c, n in zip(rows, cols, integers(rng, 3, 30, 3))]


def whole(size):
    """A whole number as an int; the type of the result has a check of its own."""
    return int(size) if size == int(size) else size


def sizes(lab, rng, storage):
    """The bytes of a format for some layers and widths that fill whole bytes."""
    cases = {(shape, count): lab.storage_bytes(shape, count, storage) for shape, count in layers(rng)}
    for value_bits, index_bits in ((16, 32), (32, 64), (8, 16)):
        shape, count = layers(rng)[0]
        size = lab.storage_bytes(shape, count, storage, value_bits, index_bits)
        cases[shape, count, value_bits, index_bits] = size
    return {str(case): whole(size) for case, size in cases.items()}


@check("storage_bytes", tolerance=exact)
def bytes_of_dense(lab, rng):
    """Dense storage holds every entry, zero or not."""
    return sizes(lab, rng, "dense")


@check("storage_bytes", tolerance=exact)
def bytes_of_coo(lab, rng):
    """COO holds a value, a row and a column for each nonzero."""
    return sizes(lab, rng, "coo")


@check("storage_bytes", tolerance=exact)
def bytes_of_csr(lab, rng):
    """CSR holds a value and a column for each nonzero, and rows + 1 row starts."""
    return sizes(lab, rng, "csr")


@check("storage_bytes", tolerance=exact)
def bytes_of_a_bitmask(lab, rng):
    """A bitmask holds the values of the nonzeros and one bit for every entry."""
    return sizes(lab, rng, "bitmask")


@check("storage_bytes", tolerance=exact)
def bytes_of_two_four(lab, rng):
    """2:4 holds half of the entries and two bits for each of these, however many are zero."""
    return sizes(lab, rng, "2:4")


@check("storage_bytes", tolerance=exact)
def whole_bytes(lab, rng):
    """Each array is rounded up to whole bytes on its own."""
    shapes = (((3, 4), 5), ((5, 12), 27), ((1, 4), 1))
    return {
        f"{storage}, {shape}, {count}, {v} and {i} bits": whole(
            lab.storage_bytes(shape, count, storage, v, i)
        )
        for shape, count in shapes
        for storage in ("dense", "coo", "csr", "bitmask", "2:4")
        for v, i in ((4, 5), (3, 11), (1, 1))
        if storage != "2:4" or count <= shape[0] * shape[1] // 2
    }


@check("storage_bytes", tolerance=exact)
def nothing_and_everything_stored(lab, rng):
    """No nonzeros, no zeros, and a matrix without entries have a size too; the result is an int."""
    (rows, cols), _ = layers(rng)[0]
    n = rows * cols
    names = ("dense", "coo", "csr", "bitmask")
    return {
        "no nonzeros": {name: lab.storage_bytes((rows, cols), 0, name) for name in (*names, "2:4")},
        "half": lab.storage_bytes((rows, cols), n // 2, "2:4"),
        "no zeros": {name: lab.storage_bytes((rows, cols), n, name) for name in names},
        "no rows": {name: lab.storage_bytes((0, cols), 0, name) for name in (*names, "2:4")},
        "no columns": {name: lab.storage_bytes((rows, 0), 0, name) for name in (*names, "2:4")},
    }


@check("storage_bytes", tolerance=exact)
def storage_bytes_refuses(lab, rng):
    """An unknown format, an impossible count or width, or what does not fit 2:4 raises ValueError; good input does not."""
    cases = {
        "unknown": ((4, 8), 3, "csc"), "too many": ((4, 8), 33, "csr"), "negative": ((4, 8), -1, "coo"),
        "no value bits": ((4, 8), 3, "dense", 0), "no index bits": ((4, 8), 3, "csr", 32, 0),
        "2:4, six columns": ((4, 6), 3, "2:4"), "2:4, more than half": ((4, 8), 17, "2:4"),
        "good": ((4, 6), 24, "csr"), "good, 2:4": ((4, 8), 16, "2:4"),
    }  # fmt: skip
    return {name: error_of(lambda c=case: lab.storage_bytes(*c)) for name, case in cases.items()}


# --- break_even_sparsity ---------------------------------------------------------------------------------------


@check("break_even_sparsity", tolerance=close(1e-9, 1e-12), weight=2)
def where_a_line_crosses(lab, rng):
    """The smallest sparsity at which the format takes fewer bytes than dense storage."""
    found = {}
    for n, each, fixed in zip(integers(rng, 400, 3000, 4), (8, 12, 6, 4), integers(rng, 2, 100, 4)):
        fixed = 2 * fixed + 1  # odd: never exactly as many bytes as dense storage
        found[f"{n} entries, {each} bytes each and {fixed}"] = lab.break_even_sparsity(
            lambda k, each=each, fixed=fixed: each * k + fixed, n, 4 * n
        )
    return found


@check("break_even_sparsity", tolerance=close(1e-9, 1e-12))
def equal_is_not_fewer(lab, rng):
    """Where the format takes as many bytes as dense storage, it has not begun to pay."""
    n = integers(rng, 60, 400, 1)[0]
    return {
        "exactly equal": lab.break_even_sparsity(lambda k: 8 * k, 2 * n, 8 * n),
        "equal on a step": lab.break_even_sparsity(lambda k: 64 * (k // 16), 32 * n, 64 * n),
        "equal from no zero on": lab.break_even_sparsity(lambda k: 4 * k, n, 4 * n),
    }


@check("break_even_sparsity", tolerance=close(1e-9, 1e-12))
def a_size_that_is_no_line(lab, rng):
    """The size may grow in steps, or faster at the end: it is asked for, not assumed."""
    n = 2 * integers(rng, 250, 1000, 1)[0] + 1
    return {
        "steps": lab.break_even_sparsity(lambda k: 512 * ((12 * k + 511) // 512), n, 4 * n),
        "square": lab.break_even_sparsity(lambda k: 2 * (k * k // 100 + k) + 1, n, 4 * n),
        "a jump": lab.break_even_sparsity(lambda k: 5 if k < n // 3 else 9 * n, n, 4 * n),
    }


@check("break_even_sparsity", tolerance=close(1e-9, 1e-12))
def never_and_always(lab, rng):
    """None where the format never pays, 0.0 where it pays without a zero, 1.0 where it pays for zeros only."""
    n = integers(rng, 120, 300, 1)[0]
    return {
        "never": lab.break_even_sparsity(lambda k: 4 * n + 1 + k, n, 4 * n),
        "always": lab.break_even_sparsity(lambda k: 2 * k, n, 4 * n),
        "only without nonzeros": lab.break_even_sparsity(lambda k: 5 * n * k, n, 4 * n),
        "one entry, never": lab.break_even_sparsity(lambda k: 5 + k, 1, 4),
        "one entry, always": lab.break_even_sparsity(lambda k: k, 1, 4),
    }


@check("break_even_sparsity", tolerance=close(1e-9, 1e-12))
def few_calls(lab, rng):
    """The size is asked for at most 60 times, only with ints from 0 to the number of entries."""
    n, calls = 200_000 + integers(rng, 0, 50_000, 1)[0], []

    def bytes_of(nonzeros):
        calls.append(nonzeros)
        return 8 * nonzeros + 77

    found = lab.break_even_sparsity(bytes_of, n, 4 * n)
    proper = all(isinstance(k, (int, np.integer)) and 0 <= k <= n for k in calls)
    return {"found": found, "at most 60 calls": len(calls) <= 60, "ints from 0 to n": proper}


@check("break_even_sparsity", tolerance=exact)
def break_even_sparsity_refuses(lab, rng):
    """A matrix without entries raises ValueError; one with entries does not."""
    cases = {"no entries": 0, "fewer": -3, "good": 8}
    return {
        name: error_of(lambda n=n: lab.break_even_sparsity(lambda k: 8 * k, n, 32))
        for name, n in cases.items()
    }


# --- pack_two_four ---------------------------------------------------------------------------------------------

PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def two_four(rng, rows, cols, dtype=np.float32):
    """A matrix with exactly two nonzeros in every group; the first six groups show all the patterns."""
    groups = np.zeros((rows * cols // 4, 4), dtype=dtype)
    which = [*range(6), *integers(rng, 0, 6, len(groups))][: len(groups)]
    for group, pair in zip(groups, which):
        group[list(PAIRS[pair])] = normal(rng, 2, dtype=dtype)
    return groups.reshape(rows, cols)


def thinner(rng, rows, cols, dtype=np.float32):
    """A matrix whose groups have two, one or no nonzeros, the one at each of the four places."""
    groups = two_four(rng, rows, cols, dtype).reshape(-1, 4)
    for place in range(4):
        groups[place] = 0
        groups[place, place] = 1 + place
    groups[4] = 0
    return groups.reshape(rows, cols)


@check("pack_two_four", tolerance=exact, weight=2)
def two_of_each_four(lab, rng):
    """Two values and two 2-bit positions for each group, in order, two groups in a byte."""
    return {f"{r} x {c}": lab.pack_two_four(two_four(rng, r, c)) for r, c in ((4, 16), (8, 8), (2, 12))}


@check("pack_two_four", tolerance=exact)
def fewer_than_two_nonzeros(lab, rng):
    """A group with one nonzero or none stores two places all the same: the lowest free ones are added."""
    return lab.pack_two_four(thinner(rng, 3, 8 * 4))


@check("pack_two_four", tolerance=exact)
def an_odd_number_of_groups(lab, rng):
    """With an odd number of groups the high half of the last byte is 0; groups of two rows may share a byte."""
    return {
        f"{r} x {c}": lab.pack_two_four(two_four(rng, r, c)) for r, c in ((1, 28), (9, 4), (3, 12), (1, 4))
    }


@check("pack_two_four", tolerance=exact)
def pack_any_matrix(lab, rng):
    """Any floating dtype and memory layout will do, NaN is a nonzero, and the weight is unchanged."""
    double, half = two_four(rng, 4, 8, np.float64), two_four(rng, 2, 16, np.float16)
    transposed = np.asfortranarray(two_four(rng, 6, 8))
    special = np.array([[0, np.nan, 0, np.inf, -0.0, 3, 0, -0.0]], dtype=np.float32)
    weights = {"float64": double, "float16": half, "column by column": transposed, "special": special}
    packed = {name: lab.pack_two_four(weight) for name, weight in weights.items()}
    for name, shape in (("no rows", (0, 8)), ("no columns", (3, 0))):
        packed[name] = lab.pack_two_four(np.zeros(shape, dtype=np.float32))
    return {"packed": packed, "the weights afterwards": weights}


@check("pack_two_four", tolerance=exact)
def pack_two_four_refuses(lab, rng):
    """Three nonzeros in a group, columns that do not divide by four, or no matrix raises ValueError; good input does not."""
    three = two_four(rng, 2, 8)
    three[1, 4:] = 1, 0, 2, 3
    across = np.array([[0, 0, 1, 2, 3, 4, 0, 0]], dtype=np.float32)  # four in a row, two in each group
    cases = {"three in a group": three, "six columns": np.zeros((2, 6)), "vector": np.zeros(8),
             "three dimensions": np.zeros((2, 2, 4)), "good": across}  # fmt: skip
    return {name: error_of(lambda w=weight: lab.pack_two_four(w)) for name, weight in cases.items()}


# --- unpack_two_four -------------------------------------------------------------------------------------------


def packed(rng, rows, half, pairs=PAIRS, last=0, dtype=np.float32):
    """Values and positions; `last` stands in the high bits of the last byte if the number of groups is odd."""
    count = rows * half // 2
    which = [*range(len(pairs)), *integers(rng, 0, len(pairs), count)][:count]
    codes = [pairs[pair][0] + 4 * pairs[pair][1] for pair in which]
    codes += [last] * (count % 2)
    positions = np.array([low + 16 * high for low, high in zip(codes[0::2], codes[1::2])], dtype=np.uint8)
    return normal(rng, rows, half, dtype=dtype), positions


@check("unpack_two_four", tolerance=exact, weight=2)
def values_at_their_places(lab, rng):
    """Each value returns to its place in its group, and all else is zero."""
    return {f"{r} x {h}": lab.unpack_two_four(*packed(rng, r, h)) for r, h in ((4, 8), (8, 4), (2, 6))}


@check("unpack_two_four", tolerance=exact)
def unpack_an_odd_number(lab, rng):
    """With an odd number of groups the high half of the last byte means nothing."""
    return {
        f"{r} x {h}": lab.unpack_two_four(*packed(rng, r, h, last=9)) for r, h in ((1, 14), (9, 2), (1, 2))
    }


@check("unpack_two_four", tolerance=exact)
def places_in_either_order(lab, rng):
    """The first place belongs to the first value, also where it is the higher one."""
    backwards = tuple((q, p) for p, q in PAIRS)
    return lab.unpack_two_four(*packed(rng, 4, 6, backwards))


@check("unpack_two_four", tolerance=exact)
def unpack_any_values(lab, rng):
    """The result has the dtype of the values, whatever their memory layout, and the arguments are unchanged."""
    double, half = packed(rng, 3, 8, dtype=np.float64), packed(rng, 4, 4, dtype=np.float16)
    values, positions = packed(rng, 6, 4)
    special = values.copy()
    special[0, :3] = np.nan, np.inf, 0
    cases = {"float64": double, "float16": half, "column by column": (np.asfortranarray(values), positions),
             "special": (special, positions), "no rows": (values[:0], positions[:0]),
             "no columns": (values[:, :0], positions[:0])}  # fmt: skip
    rebuilt = {name: lab.unpack_two_four(*case) for name, case in cases.items()}
    return {
        "rebuilt": rebuilt,
        "the arguments afterwards": {name: list(case) for name, case in cases.items()},
    }


@check("unpack_two_four", tolerance=exact)
def unpack_two_four_refuses(lab, rng):
    """Values that are no matrix or do not come in pairs, and a wrong number of bytes, raise ValueError; good input does not."""
    values, positions = packed(rng, 3, 8)
    cases = {
        "too few bytes": (values, positions[:-1]), "too many bytes": (values, np.append(positions, positions[:1])),
        "odd": (np.zeros((4, 3)), positions[:3]), "vector": (values[0], positions[:2]), "good": (values, positions),
    }  # fmt: skip
    return {name: error_of(lambda c=case: lab.unpack_two_four(*c)) for name, case in cases.items()}


# --- save_sparse -----------------------------------------------------------------------------------------------

WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(tensor):
    """A tensor's own bits, as whole numbers of the same width: they tell -0.0 from 0.0 and one NaN from another."""
    return tensor.view(WHOLE[tensor.element_size()]) if tensor.is_floating_point() else tensor


def pruned(rng, *shape, density=0.4, dtype=torch.float32):
    """A weight with zeros at random places; its first entry is not zero."""
    weight = torch.randn(shape, generator=rng)
    weight[torch.rand(shape, generator=rng) >= density] = 0  # a product with a mask would leave -0.0
    weight.view(-1)[:1] = 0.75
    return weight.to(dtype)


def special(dtype):
    """Zeros of both signs, infinite and undefined entries, and the smallest number above zero."""
    tiny = torch.finfo(dtype).smallest_normal
    values = [0.0, -0.0, float("nan"), tiny, 0.0, float("inf"), -tiny, -0.0, -float("inf"), 2.0, 0.0]
    return torch.tensor(values, dtype=dtype)


def saved(lab, weights):
    """What stands in the file, {key: tensor}, its keys in alphabetical order."""
    return dict(sorted(safetensors.torch.load(lab.save_sparse(weights)).items()))


@check("save_sparse", tolerance=exact, weight=2)
def what_is_in_the_file(lab, rng):
    """A safetensors file with shape, mask and values of each tensor, and nothing else."""
    return saved(
        lab, {"fc.weight": pruned(rng, 6, 8), "fc.bias": pruned(rng, 6), "conv": pruned(rng, 2, 3, 3, 4)}
    )


@check("save_sparse", tolerance=exact)
def masks_of_any_length(lab, rng):
    """Eight entries fill a byte, the first one its highest bit; bits that are left over are 0."""
    file = saved(lab, {str(n): pruned(rng, n) for n in (1, 2, 7, 8, 9, 15, 16, 17, 30)})
    return {key: tensor for key, tensor in file.items() if key.endswith(".mask")}


@check("save_sparse", tolerance=exact, weight=2)
def nothing_is_lost(lab, rng):
    """Every entry whose bits are not all zero is stored as it was: -0.0, NaN, infinite and very small ones too."""
    dtypes = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    file = saved(lab, {str(dtype): special(dtype) for dtype in dtypes})
    return {key: bits(tensor) for key, tensor in file.items() if not key.endswith(".shape")}


@check("save_sparse", tolerance=exact)
def each_dtype_is_kept(lab, rng):
    """The values have the dtype of the tensor, floating or integer."""
    floats = {
        str(dtype): pruned(rng, 3, 5, dtype=dtype) for dtype in (torch.float64, torch.float16, torch.bfloat16)
    }
    whole = {str(dtype): (10 * pruned(rng, 9)).to(dtype) for dtype in (torch.int64, torch.int32, torch.int8)}
    return saved(lab, floats | whole | {"uint8": (10 * pruned(rng, 9)).abs().to(torch.uint8)})


@check("save_sparse", tolerance=exact)
def tensors_of_any_shape(lab, rng):
    """Any shape and memory layout will do: a single number, no entries, transposed; and the tensors are unchanged."""
    weights = {
        "number": torch.tensor(7), "zero": torch.tensor(0.0), "empty": torch.zeros(0, 3),
        "transposed": pruned(rng, 4, 6).t(), "every second": pruned(rng, 4, 9)[:, ::2],
        "parameter": torch.nn.Parameter(pruned(rng, 5, 3)), "all zero": torch.zeros(4, 3),
    }  # fmt: skip
    names = list(weights)
    return {
        "file": saved(lab, weights), "no tensors": saved(lab, {}), "names afterwards": list(weights) == names,
        "the tensors afterwards": weights,
    }  # fmt: skip


@check("save_sparse", tolerance=exact)
def save_sparse_refuses(lab, rng):
    """A complex or boolean tensor raises ValueError; good ones do not."""
    good = pruned(rng, 3, 4)
    cases = {"complex": good.to(torch.complex64), "boolean": good != 0, "good": good}
    return {name: error_of(lambda t=t: lab.save_sparse({"a": good, "b": t})) for name, t in cases.items()}
