"""Lab 13's reference against independent oracles: scipy.sparse, torch.sparse, exact sizes of files, safetensors, brute force."""

import functools
import math
import pickle

import jupytext
import numpy as np
import pytest
import safetensors
import safetensors.torch
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.sparse._semi_structured_conversions import (
    _calculate_meta_reordering_scatter_offsets,
    sparse_semi_structured_from_dense_cutlass,
)

from autograder.labs import find_lab
from labkit.checkpoints import SEEDS, load_checkpoint
from solutions.lab13_sparse_storage import (
    break_even_sparsity,
    csr_matvec,
    pack_two_four,
    save_sparse,
    storage_bytes,
    to_csr,
    unpack_two_four,
)

quick = settings(deadline=None, max_examples=80)
FLOATS = [np.float16, np.float32, np.float64]
WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
beta = pytest.mark.filterwarnings("ignore:Sparse (CSR|BSR|CSC) tensor support is in beta:UserWarning")


@functools.cache
def given_in_the_notebook(name):
    """A function that the notebook hands to the learner, taken from its cell in the lab's source."""
    source = find_lab("lab13").source.read_text(encoding="utf-8")
    cells = jupytext.reads(source, fmt="py:percent").cells
    (cell,) = [cell for cell in cells if cell.cell_type == "code" and f"def {name}(" in cell.source]
    names = {"math": math, "np": np, "torch": torch, "safetensors": safetensors}
    exec(cell.source, names)
    return names[name]


def random_matrix(rows, cols, density, seed=0, dtype=np.float32):
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal((rows, cols)).astype(dtype)
    return np.where(generator.random((rows, cols)) < density, matrix, 0).astype(dtype)


@st.composite
def matrices(draw, dtypes=tuple(FLOATS)):
    """Small matrices with many zeros, -0.0 among them, in any memory layout, also without rows or columns."""
    rows, cols = draw(st.integers(0, 6)), draw(st.integers(0, 7))
    entries = st.sampled_from([0.0, 0.0, 0.0, -0.0, 1.0, -2.0, 0.5, 1e-4, math.inf])
    flat = draw(st.lists(entries, min_size=rows * cols, max_size=rows * cols))
    matrix = np.array(flat, dtype=draw(st.sampled_from(dtypes))).reshape(rows, cols)
    return np.asfortranarray(matrix) if draw(st.booleans()) else matrix


# --- to_csr ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "cols", "density"), [(30, 17, 0.1), (5, 40, 0.5), (12, 9, 1.0), (8, 8, 0.0)]
)
def test_to_csr_gives_scipys_arrays(rows, cols, density, dtype):
    matrix = random_matrix(rows, cols, density, dtype=dtype)
    values, columns, row_starts = to_csr(matrix)
    theirs = scipy.sparse.csr_array(matrix)
    assert np.array_equal(values, theirs.data) and values.dtype == dtype
    assert np.array_equal(columns, theirs.indices) and columns.dtype == np.int32
    assert np.array_equal(row_starts, theirs.indptr) and row_starts.dtype == np.int32


@beta
def test_to_csr_gives_torchs_arrays():
    matrix = random_matrix(9, 14, 0.3)
    values, columns, row_starts = to_csr(matrix)
    theirs = torch.from_numpy(matrix).to_sparse_csr()
    assert values.tolist() == theirs.values().tolist()
    assert columns.tolist() == theirs.col_indices().tolist()
    assert row_starts.tolist() == theirs.crow_indices().tolist()


@quick
@given(matrices())
def test_to_csr_agrees_with_a_loop_and_changes_nothing(matrix):
    before = matrix.copy()
    values, columns, row_starts = to_csr(matrix)
    expected = [
        (row, col, entry)
        for row, line in enumerate(matrix.tolist())
        for col, entry in enumerate(line)
        if entry != 0
    ]
    assert values.tolist() == [entry for _, _, entry in expected]
    assert columns.tolist() == [col for _, col, _ in expected]
    rows = [row for row, _, _ in expected]
    assert row_starts.tolist() == [sum(r < row for r in rows) for row in range(len(matrix) + 1)]
    assert (values.dtype, columns.dtype, row_starts.dtype) == (matrix.dtype, np.int32, np.int32)
    assert np.array_equal(matrix, before)


@quick
@given(matrices())
def test_the_reader_of_the_notebook_undoes_to_csr(matrix):
    from_csr = given_in_the_notebook("from_csr")
    rebuilt = from_csr(*to_csr(matrix), matrix.shape[1])
    assert np.array_equal(rebuilt, matrix) and rebuilt.dtype == matrix.dtype


def test_to_csr_stores_nan_and_tiny_entries_but_not_minus_zero():
    values, columns, _ = to_csr(np.array([[math.nan, -0.0, 1e-300, 0.0]]))
    assert columns.tolist() == [0, 2] and math.isnan(values[0])


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
def test_to_csr_refuses_what_is_no_matrix(shape):
    with pytest.raises(ValueError, match="two dimensions"):
        to_csr(np.ones(shape))


# --- csr_matvec ------------------------------------------------------------------------------------------------


@quick
@given(matrices(dtypes=(np.float32, np.float64)), st.integers(0, 1000))
def test_csr_matvec_agrees_with_scipy_and_with_the_dense_product(matrix, seed):
    matrix = np.nan_to_num(matrix, posinf=3.0)
    x = np.random.default_rng(seed).standard_normal(matrix.shape[1]).astype(matrix.dtype)
    y = csr_matvec(*to_csr(matrix), x)
    assert y.dtype == matrix.dtype and y.shape == (len(matrix),)
    assert y == pytest.approx(matrix @ x, rel=1e-4, abs=1e-5)
    assert y == pytest.approx(scipy.sparse.csr_array(matrix) @ x, rel=1e-4, abs=1e-5)


@beta
@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
def test_csr_matvec_agrees_with_torch_sparse(density):
    matrix = random_matrix(60, 45, density)
    x = np.random.default_rng(1).standard_normal(45).astype(np.float32)
    theirs = torch.from_numpy(matrix).to_sparse_csr() @ torch.from_numpy(x)
    assert csr_matvec(*to_csr(matrix), x) == pytest.approx(theirs.numpy(), rel=1e-4, abs=1e-5)


def test_csr_matvec_touches_the_stored_entries_only():
    matrix = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    x = np.array([math.inf, math.nan, 5.0])
    assert csr_matvec(*to_csr(matrix), x).tolist() == [math.inf, 5.0, 0.0]
    with np.errstate(invalid="ignore"):
        assert np.isnan(matrix @ x).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones((3, 1))}, "must be a vector"),
        ({"x": np.ones(2)}, "column 2"),
        ({"row_starts": np.array([0, 1, 1])}, "2 values"),
    ],
)
def test_csr_matvec_refuses(change, message):
    arguments = {
        "values": np.ones(2), "columns": np.array([0, 2]), "row_starts": np.array([0, 1, 2]), "x": np.ones(3),
    }  # fmt: skip
    assert csr_matvec(**arguments).tolist() == [1, 1]
    with pytest.raises(ValueError, match=message):
        csr_matvec(**arguments | change)


# --- storage_bytes ---------------------------------------------------------------------------------------------


def arrays_of(matrix, storage, index):
    """The arrays of a format, by scipy, NumPy and `pack_two_four`."""
    if storage == "dense":
        return [matrix]
    if storage == "coo":
        coo = scipy.sparse.coo_array(matrix.astype(np.float64))  # SciPy has no float16
        return [coo.data.astype(matrix.dtype), *(axis.astype(index) for axis in coo.coords)]
    if storage == "csr":
        csr = scipy.sparse.csr_array(matrix.astype(np.float64))
        return [csr.data.astype(matrix.dtype), csr.indices.astype(index), csr.indptr.astype(index)]
    if storage == "bitmask":
        return [matrix[matrix != 0], np.packbits(matrix != 0)]
    return list(pack_two_four(matrix))


def half_of_each_four(matrix):
    groups = matrix.reshape(-1, 4).copy()
    np.put_along_axis(groups, np.argsort(np.abs(groups), axis=1)[:, :2], 0, axis=1)
    return groups.reshape(matrix.shape)


@pytest.mark.parametrize("storage", ["dense", "coo", "csr", "bitmask", "2:4"])
@pytest.mark.parametrize("index", [np.int16, np.int32, np.int64])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "density"), [((7, 12), 0.4), ((3, 4), 0.5), ((1, 20), 0.0), ((5, 4), 1.0)])
def test_storage_bytes_are_the_bytes_of_the_files(tmp_path, storage, index, dtype, shape, density):
    matrix = random_matrix(*shape, density, dtype=dtype)
    matrix = half_of_each_four(matrix) if storage == "2:4" else matrix
    for number, array in enumerate(arrays_of(matrix, storage, index)):
        array.tofile(tmp_path / f"{number}.bin")
    on_disk = sum(path.stat().st_size for path in tmp_path.iterdir())
    widths = (8 * np.dtype(dtype).itemsize, 8 * np.dtype(index).itemsize)
    assert storage_bytes(shape, int((matrix != 0).sum()), storage, *widths) == on_disk


@quick
@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 40), st.integers(1, 40), st.data())
def test_storage_bytes_rounds_each_array_up(rows, cols, value_bits, index_bits, data):
    nonzeros = data.draw(st.integers(0, rows * cols))
    n = rows * cols
    counts = {
        "dense": [(n, value_bits)],
        "coo": [(nonzeros, value_bits), (nonzeros, index_bits), (nonzeros, index_bits)],
        "csr": [(nonzeros, value_bits), (nonzeros, index_bits), (rows + 1, index_bits)],
        "bitmask": [(nonzeros, value_bits), (n, 1)],
    }
    if cols % 4 == 0 and 2 * nonzeros <= n:
        counts["2:4"] = [(n // 2, value_bits), (n // 2, 2)]
    for storage, arrays in counts.items():
        size = storage_bytes((rows, cols), nonzeros, storage, value_bits, index_bits)
        assert type(size) is int
        assert size == sum(math.ceil(count * width / 8) for count, width in arrays)


def test_storage_bytes_by_hand():
    assert storage_bytes((2, 4), 3, "dense") == 32
    assert storage_bytes((2, 4), 3, "coo") == 12 + 12 + 12
    assert storage_bytes((2, 4), 3, "csr") == 12 + 12 + 12
    assert storage_bytes((2, 4), 3, "bitmask") == 12 + 1
    assert storage_bytes((2, 4), 3, "2:4") == 16 + 1
    assert storage_bytes((64, 64), 0, "2:4", value_bits=16) * 16 == 9 * storage_bytes(
        (64, 64), 0, "dense", 16
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 8), 3, "csc"), "no format"),
        (((4, 8), 33, "csr"), "cannot be nonzero"),
        (((4, 8), -1, "coo"), "cannot be nonzero"),
        (((4, 8), 3, "dense", 0), "at least 1 bit"),
        (((4, 8), 3, "csr", 32, 0), "at least 1 bit"),
        (((4, 6), 3, "2:4"), "do not fit"),
        (((4, 8), 17, "2:4"), "do not fit"),
    ],
)
def test_storage_bytes_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        storage_bytes(*arguments)


# --- break_even_sparsity ---------------------------------------------------------------------------------------


@quick
@given(st.lists(st.integers(0, 40), min_size=2, max_size=40), st.integers(0, 45))
def test_break_even_sparsity_agrees_with_trying_every_number_of_nonzeros(sizes, dense_bytes):
    sizes, calls = sorted(sizes), []
    entries = len(sizes) - 1

    def bytes_of(nonzeros):
        calls.append(nonzeros)
        return sizes[nonzeros]

    found = break_even_sparsity(bytes_of, entries, dense_bytes)
    paying = [k for k in range(entries + 1) if sizes[k] < dense_bytes]
    assert found == (min((entries - k) / entries for k in paying) if paying else None)
    assert len(calls) <= 60 and all(type(k) is int for k in calls)


def test_break_even_sparsity_needs_few_calls_for_very_many_entries():
    calls = []
    found = break_even_sparsity(lambda k: calls.append(k) or 8 * k, 10**12, 4 * 10**12)
    assert found == pytest.approx(0.5) and len(calls) <= 60


@pytest.mark.parametrize(("value_bits", "index_bits"), [(32, 32), (32, 64), (16, 32), (8, 16)])
def test_break_even_sparsity_is_near_the_formula_that_forgets_what_is_fixed(value_bits, index_bits):
    shape, n = (1000, 1024), 1000 * 1024
    each = {
        "coo": 2 * index_bits / (value_bits + 2 * index_bits),
        "csr": index_bits / (value_bits + index_bits),
        "bitmask": 1 / value_bits,
    }
    for storage, formula in each.items():
        found = break_even_sparsity(
            lambda k, s=storage: storage_bytes(shape, k, s, value_bits, index_bits), n, n * value_bits // 8
        )
        assert formula <= found <= formula + 0.003


@pytest.mark.parametrize("entries", [0, -1])
def test_break_even_sparsity_refuses(entries):
    with pytest.raises(ValueError, match="at least one entry"):
        break_even_sparsity(lambda k: k, entries, 4)


# --- pack_two_four, unpack_two_four ----------------------------------------------------------------------------

PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


@st.composite
def two_four(draw, dtypes=tuple(FLOATS)):
    """Matrices with at most two nonzeros in each group, in any memory layout."""
    rows, groups = draw(st.integers(0, 5)), draw(st.integers(0, 4))
    weight = np.zeros((rows * groups, 4), dtype=draw(st.sampled_from(dtypes)))
    for group in weight:
        places = draw(st.sampled_from([(), (0,), (1,), (2,), (3,), *PAIRS]))
        group[list(places)] = [draw(st.sampled_from([1.0, -2.0, 0.5, math.inf])) for _ in places]
    weight = weight.reshape(rows, 4 * groups)
    return np.asfortranarray(weight) if draw(st.booleans()) else weight


@quick
@given(two_four())
def test_packing_and_unpacking_give_the_matrix_back(weight):
    before = weight.copy()
    values, positions = pack_two_four(weight)
    assert values.shape == (weight.shape[0], weight.shape[1] // 2) and values.dtype == weight.dtype
    assert positions.dtype == np.uint8 and positions.shape == ((weight.size // 4 + 1) // 2,)
    rebuilt = unpack_two_four(values, positions)
    assert np.array_equal(rebuilt, weight) and rebuilt.dtype == weight.dtype
    assert np.array_equal(weight, before)


@quick
@given(two_four())
def test_the_bits_of_a_packing_read_one_by_one(weight):
    values, positions = pack_two_four(weight)
    bits = "".join(f"{byte:08b}"[::-1] for byte in positions)  # the lowest bit first
    for number, group in enumerate(weight.reshape(-1, 4)):
        low, high = (int(bits[4 * number + 2 * i : 4 * number + 2 * i + 2][::-1], 2) for i in (0, 1))
        assert low < high
        places = [place for place in range(4) if group[place] != 0]
        free = [place for place in range(4) if group[place] == 0]
        assert [low, high] == sorted(places + free[: 2 - len(places)])
        assert values.reshape(-1, 2)[number].tolist() == [group[low], group[high]]
    assert set(bits[4 * (weight.size // 4) :]) <= {"0"}


def test_packing_agrees_with_torchs_where_every_group_has_two_nonzeros():
    """PyTorch's converter for CUTLASS, with its own order of the 16-bit words taken back."""
    rows, cols = 64, 96
    weight = half_of_each_four(random_matrix(rows, cols, 1.0, dtype=np.float16))
    values, positions = pack_two_four(weight)
    theirs, meta = sparse_semi_structured_from_dense_cutlass(torch.from_numpy(weight))
    offsets = _calculate_meta_reordering_scatter_offsets(rows, cols // 16, torch.int16, "cpu")
    words = meta.reshape(-1)[offsets].numpy()  # four groups in a word, the first one lowest
    assert np.array_equal(values, theirs.numpy())
    assert np.array_equal(positions, words.view(np.uint8))


def test_packing_by_hand():
    weight = np.array([[0.0, 0.0, 7.0, 0.0, 1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 4.0]])
    values, positions = pack_two_four(weight)
    assert values.tolist() == [[0, 7, 1, 2], [0, 0, 3, 4]]
    assert positions.tolist() == [(0 + 4 * 2) + 16 * (0 + 4 * 1), (0 + 4 * 1) + 16 * (1 + 4 * 3)]


def test_unpacking_follows_the_places_in_either_order_and_ignores_what_is_left_over():
    weight = unpack_two_four(np.array([[5.0, 6.0]]), np.array([0b1111_0011], dtype=np.uint8))
    assert weight.tolist() == [[6, 0, 0, 5]]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(8), "do not divide"),
        (np.zeros((2, 6)), "do not divide"),
        (np.zeros((2, 2, 4)), "do not divide"),
        (np.array([[1.0, 2.0, 0.0, 3.0]]), "more than two"),
        (np.array([[0.0, -1.0, math.nan, 3.0]]), "more than two"),
    ],
)
def test_pack_two_four_refuses(weight, message):
    with pytest.raises(ValueError, match=message):
        pack_two_four(weight)


@pytest.mark.parametrize(
    ("shape", "count", "message"),
    [
        ((8,), 2, "in pairs"),
        ((2, 3), 1, "in pairs"),
        ((3, 4), 2, "6 groups need 3"),
        ((3, 4), 4, "6 groups need 3"),
    ],
)
def test_unpack_two_four_refuses(shape, count, message):
    with pytest.raises(ValueError, match=message):
        unpack_two_four(np.zeros(shape), np.zeros(count, dtype=np.uint8))


# --- save_sparse -----------------------------------------------------------------------------------------------


def bits(tensor):
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(WHOLE[flat.element_size()]).tolist()


def read_by_loop(file):
    """The tensors of a file, read bit by bit."""
    stored = safetensors.torch.load(file)
    tensors = {}
    for key in stored:
        if key.endswith(".shape"):
            name = key.removesuffix(".shape")
            shape, mask, values = (stored[f"{name}.{part}"] for part in ("shape", "mask", "values"))
            tensor, place = torch.zeros(math.prod(shape.tolist()), dtype=values.dtype), 0
            for entry in range(len(tensor)):
                if mask[entry // 8] >> (7 - entry % 8) & 1:
                    tensor[entry] = values[place]
                    place += 1
            assert place == len(values)
            tensors[name] = tensor.reshape(shape.tolist())
    return tensors


@st.composite
def states(draw):
    """A few tensors of any shape, dtype and layout, with zeros of both signs, NaN and infinities."""
    weights = {}
    for name in draw(st.lists(st.sampled_from(["a", "b.weight", "c.mask", "d"]), unique=True)):
        dtype = draw(
            st.sampled_from(
                [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.uint8]
            )
        )
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        special = [0.0, 0.0, -0.0, 1.0, -3.0, math.nan, math.inf, 1e-40, 2.0**-24]
        entries = st.sampled_from(special if dtype.is_floating_point else [0.0, 0.0, 1.0, 7.0])
        flat = draw(st.lists(entries, min_size=math.prod(shape), max_size=math.prod(shape)))
        tensor = torch.tensor(flat, dtype=torch.float64).to(dtype).reshape(shape)
        weights[name] = tensor.permute(draw(st.permutations(range(len(shape)))))
    return weights


@quick
@given(states())
def test_a_saved_network_comes_back_bit_by_bit(weights):
    load_sparse = given_in_the_notebook("load_sparse")
    before = {name: bits(tensor) for name, tensor in weights.items()}
    file = save_sparse(weights)
    for loaded in (load_sparse(file), read_by_loop(file)):
        assert loaded.keys() == weights.keys()
        for name, tensor in weights.items():
            assert (loaded[name].dtype, loaded[name].shape) == (tensor.dtype, tensor.shape)
            assert bits(loaded[name]) == before[name]
    assert {name: bits(tensor) for name, tensor in weights.items()} == before


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_checkpoints_come_back_bit_by_bit(kind, seed):
    state = load_checkpoint(kind, seed).state_dict()
    loaded = given_in_the_notebook("load_sparse")(save_sparse(state))
    assert loaded.keys() == state.keys()
    assert all(
        bits(loaded[name]) == bits(tensor) and loaded[name].shape == tensor.shape
        for name, tensor in state.items()
    )


def test_the_file_holds_a_bit_for_each_entry_and_the_stored_values_only():
    weight = torch.zeros(1000)
    weight[::10] = 1.5
    weight[1] = -0.0
    stored = safetensors.torch.load(save_sparse({"w": weight}))
    assert {key: (tensor.dtype, tensor.numel()) for key, tensor in stored.items()} == {
        "w.shape": (torch.int64, 1), "w.mask": (torch.uint8, 125), "w.values": (torch.float32, 101),
    }  # fmt: skip


def test_nothing_is_pickled():
    file = save_sparse({"w": torch.ones(3)})
    with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError)):
        pickle.loads(file)
    length = int.from_bytes(
        file[:8], "little"
    )  # a safetensors file: the length of the header, the header, the numbers
    assert file[8:9] == b"{" and len(file) == 8 + length + 8 + 1 + 12


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool])
def test_save_sparse_refuses(dtype):
    with pytest.raises(ValueError, match="only floating and integer"):
        save_sparse({"good": torch.ones(2), "w": torch.ones(2).to(dtype)})
