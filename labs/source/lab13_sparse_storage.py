# %% [markdown] tags=["lab"] question="How do we store what is left?" minutes=120 prerequisite="lab04_prune_finetune"
# # Lab 13 · Sparse storage
#
# **The question: how do we store what is left?**
#
# Lab 4 ended with a warning: a network full of zeros takes as many bytes and as much time as before. To gain something
# we must leave the zeros out, and then say where the other weights are. In this lab you build the formats that do this,
# bit by bit. You predict the bytes of each by a formula, and compare with real files. Then you measure whether a
# smaller matrix is a faster one.
#
# | you build | it answers |
# |---|---|
# | `to_csr`, `csr_matvec` | How does one store only the nonzeros, and multiply without the zeros? |
# | `storage_bytes`, `break_even_sparsity` | How many bytes does a format take, and from which sparsity on does it pay? |
# | `pack_two_four`, `unpack_two_four` | What does a GPU store of a 2:4 matrix? |
# | `save_sparse` | How do we write a pruned network into a file without loss? |
#
# **Before you begin.** You have done Lab 4 (prune and fine-tune). The lecture note of this lab
# (`lecture_notes/lab13_sparse_storage.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for
# several minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Han et al. (2016), [arXiv:1510.00149](https://arxiv.org/abs/1510.00149): pruned networks stored in CSR,
# and in fewer bits. Mishra et al. (2021), [arXiv:2104.08378](https://arxiv.org/abs/2104.08378): the pattern 2:4. Gale
# et al. (2020), [arXiv:2006.10901](https://arxiv.org/abs/2006.10901): sparse products that make networks faster.
#
# **The words.** *Sparsity* is the fraction that is zero. *nnz* is the number of nonzeros. A *format* says which arrays
# are stored in place of the matrix. An *index* is a stored row, column or start; its width is the number of its bits.
# *Break-even* is the sparsity at which a format begins to pay. A matrix is *2:4* if every four consecutive columns of a
# row hold at most two nonzeros (Lab 2). A matrix has `rows` outputs and `cols` inputs. CSR and 2:4 are written in NumPy,
# since there you see every array; networks stay in PyTorch.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
import io
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import safetensors.torch
import torch
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.datasets import load_fashion_mnist
from labkit.models import prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.timing import compare, measure, speedup
from labkit.training import accuracy, train

use_style()

# %% [markdown]
# ## What the experiments use
#
# The trained MLP in its three copies (three *seeds*). Its first layer, `fc1`, has 300 rows and 784 columns, and is the
# matrix that we store. In Part 4 the whole network goes into a file.
#
# Three functions of earlier labs are given: `magnitude_mask` and `global_masks` of Lab 3, and `nm_mask` of Lab 2.

# %% tags=["given"]
from solutions.lab03_magnitude import magnitude_mask

# %% tags=["given"]
from solutions.lab03_magnitude import global_masks

# %% tags=["given"]
from solutions.lab02_granularity import nm_mask

# %% tags=["experiment"]
torch.set_num_threads(1)  # Part 5 shows why
networks = [load_checkpoint("mlp", seed) for seed in SEEDS]
layers = [model.fc1.weight.detach() for model in networks]
SHAPE = tuple(layers[0].shape)
ENTRIES = SHAPE[0] * SHAPE[1]


def pruned_matrix(seed, sparsity):
    """`fc1` of one seed as a NumPy array, its smallest weights set to zero."""
    return layers[seed].masked_fill(~magnitude_mask(layers[seed], sparsity), 0).numpy()


def spread(values, unit="", digits=1):
    """Mean and standard deviation over the seeds, as text."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}{unit}"


print(f"fc1: {SHAPE[0]} x {SHAPE[1]} = {ENTRIES:,} weights, {layers[0].numpy().nbytes:,} bytes")

# %% [markdown]
# ## Part 1 · Compressed sparse rows
#
# Write down the nonzeros row after row, and for each one its column. The row need not be written for each nonzero: it
# is enough to know where each row begins. With $v$ = `values`, $c$ = `columns` and $p$ = `row_starts`:
#
# $$p_0 = 0, \qquad p_{r+1} = p_r + \text{(number of nonzeros in row } r), \qquad
# W_{r,\,c_k} = v_k \ \text{ for } k = p_r, \dots, p_{r+1} - 1 .$$
#
# *By hand.*
#
# ```text
#     5 0 0 2        values      5 2 7 1
# W = 0 0 0 0        columns     0 3 1 2
#     0 7 1 0        row_starts  0 2 2 4
# ```
#
# Row 0 owns the entries 0 and 1, row 1 owns none (2 to 2), and row 2 owns the entries 2 and 3. The next cell reads the
# format; it is given. Read it before you write the other direction.

# %%
# Given. Leave this cell as it is.
def from_csr(values, columns, row_starts, cols):
    """Rebuild the matrix [rows, cols] from its CSR arrays."""
    matrix = np.zeros((len(row_starts) - 1, cols), dtype=values.dtype)
    for r in range(len(matrix)):
        own = slice(row_starts[r], row_starts[r + 1])  # the entries of row r
        matrix[r, columns[own]] = values[own]
    return matrix


# %% [markdown]
# ### Exercise to_csr
#
# Write the three arrays of a matrix, so that `from_csr` gives it back. The symbols are those above, and the matrix $W$
# is `matrix`.
#
# <details><summary>Hint</summary>
#
# `np.nonzero` returns the row numbers and the column numbers of the nonzeros, in row-major order. Two tools turn row
# numbers into row starts: `np.bincount` with `minlength`, and `np.cumsum`.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab13_sparse_storage import to_csr

# %% tags=["visible-check"]
matrix = np.array([[5.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0], [0.0, 7.0, 1.0, 0.0]], dtype=np.float32)
result = to_csr(matrix)
assert isinstance(result, tuple) and len(result) == 3, (
    f"You returned {result!r}: return three arrays, values, columns and row_starts. (None? Then did you forget `return`?)"
)
assert all(isinstance(array, np.ndarray) for array in result), "All three must be NumPy arrays."
values, columns, row_starts = (array.tolist() for array in result)
assert values == [5, 2, 7, 1], (
    f"Your values are {values}; row after row they are 5, 2, 7, 1.\n"
    "Is it 5, 7, 1, 2? Then you went column after column."
)
assert columns == [0, 3, 1, 2], f"Your columns are {columns}; the 5 stands in column 0, the 2 in 3, the 7 in 1, the 1 in 2."
assert row_starts == [0, 2, 2, 4], (
    f"Your row_starts are {row_starts}; the rows begin at 0, 2 and 2, and the last one ends at 4.\n"
    "Is it 2, 0, 2? Then these are the lengths of the rows, not yet added up.\n"
    "Is it 2, 2, 4 or 0, 2, 2? Then the beginning or the end is missing.\n"
    "Is it 0, 2, 4? Then the empty row is missing. Is it 0, 0, 2, 2? Then you store the row of each nonzero."
)
assert to_csr(np.zeros((2, 3), dtype=np.float32))[2].tolist() == [0, 0, 0], (
    "A matrix of two rows without nonzeros has the row starts 0, 0, 0. Does bincount know how many rows there are?"
)
assert [array.dtype for array in result] == [np.float32, np.int32, np.int32], (
    f"Your arrays are {[str(array.dtype) for array in result]}: values like the matrix, columns and row_starts int32."
)
assert np.array_equal(from_csr(*result, 4), matrix), "from_csr does not give the matrix back."
try:
    to_csr(np.ones(3))
except ValueError:
    pass
else:
    raise AssertionError("A vector is no matrix, and raised no ValueError.")
print("to_csr: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: the rows of a real layer
#
# PyTorch has the format too: `to_sparse_csr`. So compare. PyTorch warns, once, that its CSR is in beta. We know; the
# cell switches off this one warning and no other.
#
# Then look at the rows. Cut 90% of `fc1` by magnitude, and cut 90% of an equal matrix at random. How many nonzeros does
# each row own? And each column? (A column belongs to a pixel.) Guess before you run it.

# %% tags=["experiment"]
warnings.filterwarnings("ignore", message="Sparse (CSR|BSR) tensor support is in beta state", category=UserWarning)

for seed in SEEDS:
    matrix = pruned_matrix(seed, 0.9)
    theirs = torch.from_numpy(matrix).to_sparse_csr()
    values, columns, row_starts = to_csr(matrix)
    same = [values.tolist() == theirs.values().tolist(), columns.tolist() == theirs.col_indices().tolist(),
            row_starts.tolist() == theirs.crow_indices().tolist()]
    print(f"seed {seed}: {len(values):,} nonzeros; equal to PyTorch's values, columns, row starts: {same}")
print(f"width of the indices: yours {8 * columns.itemsize} bits, PyTorch's {8 * theirs.col_indices().element_size()} bits")

generator = torch.Generator().manual_seed(0)
uneven = {"magnitude": [], "random": []}  # [seeds]: masks of nonzeros
for seed in SEEDS:
    uneven["magnitude"].append(pruned_matrix(seed, 0.9) != 0)
    uneven["random"].append(magnitude_mask(torch.rand(SHAPE, generator=generator), 0.9).numpy())

fig, axes = plt.subplots(1, 2, figsize=(10, 4))
for name, colour in (("magnitude", "blue"), ("random", "orange")):
    for ax, axis in ((axes[0], 1), (axes[1], 0)):
        counts = np.sort([kept.sum(axis=axis) for kept in uneven[name]], axis=1)[:, ::-1]  # [seeds, rows or columns]
        places = np.unique(np.linspace(0, counts.shape[1] - 1, 25).astype(int))
        curve(ax, places + 1, counts[:, places], label=name, colour=colour)
label_axes(axes[0], x="row", x_unit="rank, the fullest first", y="nonzeros", y_unit="weights", title="rows of fc1 at 90%")
label_axes(axes[1], x="column", x_unit="rank, the fullest first", y="nonzeros", y_unit="weights", title="columns of fc1 at 90%")
for ax in axes:
    ax.set_ylim(bottom=0)
    ax.legend()
show(fig, alt="Nonzeros of each row, left, and of each column, right, in falling order. The curves of a random mask are nearly "
     "flat. Those of the magnitude mask fall steeply: some rows and columns hold many weights, others few or none.")

row_counts = {name: [kept.sum(axis=1) for kept in masks] for name, masks in uneven.items()}
for name, counts in row_counts.items():
    print(f"{name:9}: fullest row {spread([c.max() for c in counts], digits=0)}, "
          f"emptiest row {spread([c.min() for c in counts], digits=0)}, mean {np.mean(counts):.1f}")

# %% [markdown]
# **What we saw.** Your arrays are PyTorch's arrays, number for number. One thing differs: PyTorch takes 64 bits for an
# index unless you ask for less. Keep this in mind for Part 2.
#
# The rows of the trained layer are far from equal, and so are its columns. A random mask would give nearly equal rows,
# and many experiments on speed use random masks (ours in Part 5 too, but for the one on `fc1`). A real pruned layer is
# less regular: a row with many nonzeros means more multiply-adds than a row with few, and a pattern that allows two of
# every four (Part 3) does not fit everywhere.
#
# ### Exercise csr_matvec
#
# Multiply without the zeros:
#
# $$y_r = \sum_{k = p_r}^{p_{r+1} - 1} v_k\, x_{c_k} .$$
#
# The symbols are those of the last exercise; $x$ is `x` and $y$ is what you return. The number of multiply-adds is nnz,
# whatever the size of the matrix.
#
# *By hand.* With the matrix above and $x = (1, 2, 3, 4)$: $y_0 = 5 \cdot 1 + 2 \cdot 4 = 13$, $y_1 = 0$ (an empty sum),
# $y_2 = 7 \cdot 2 + 1 \cdot 3 = 17$.
#
# <details><summary>Hint</summary>
#
# A loop over the rows is fine. Indexing with an array, as in `x[columns]`, picks one entry of `x` for each stored
# value. If you want to do without the loop, mind the empty rows: `np.add.reduceat` does not do what you would like.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab13_sparse_storage import csr_matvec

# %% tags=["visible-check"]
csr = (np.array([5.0, 2.0, 7.0, 1.0]), np.array([0, 3, 1, 2], dtype=np.int32), np.array([0, 2, 2, 4], dtype=np.int32))
result = csr_matvec(*csr, np.array([1.0, 2.0, 3.0, 4.0]))
assert isinstance(result, np.ndarray) and result.shape == (3,), (
    f"You returned {result!r}: return an array with one number for each row, here three."
)
assert result.tolist() == [13.0, 0.0, 17.0], (
    f"You returned {result.tolist()}, and 13, 0, 17 is right.\n"
    "Is the middle one not 0? Then the empty row is not empty in your sum (np.add.reduceat takes the next product).\n"
    "Is it 13, 13, 30? Then the sum goes on from row to row. Is it 5, 0, 14? Then the last entry of each row is missing.\n"
    "Is it 9, 0, 9? Then you took the first entries of x, not those at the columns.\n"
    "Is it 9, 0, 25? Then you took x[k] for values[k], not the entry at columns[k]."
)
result = csr_matvec(*csr, np.array([1.0, 2.0, 3.0, float("inf")]))
assert result.tolist() == [float("inf"), 0.0, 17.0], (
    f"With an infinite last entry of x you returned {result.tolist()}; only row 0 reads it: inf, 0, 17.\n"
    "Is there a NaN? Then zero times infinity was computed: entries that are not stored play no part."
)
assert csr_matvec(csr[0].astype(np.float32), *csr[1:], np.ones(4, dtype=np.float32)).dtype == np.float32, (
    "For values of float32 the result should be float32."
)
try:
    csr_matvec(*csr, np.ones(3))
except ValueError:
    pass
else:
    raise AssertionError("There is an entry in column 3, and an x with three entries raised no ValueError.")
print("csr_matvec: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: one tenth of the work
#
# At 90% sparsity your product needs a tenth of the multiply-adds. First check that all three ways compute the same
# numbers. Then compare the times: yours, PyTorch's product with the same CSR arrays, and PyTorch's dense product. One
# image, one thread.

# %% tags=["experiment"]
matrix = pruned_matrix(0, 0.9)
own = to_csr(matrix)
MKL = torch.backends.mkl.is_available()  # without it PyTorch has no product of a sparse matrix and a vector
x = load_fashion_mnist("validation")[0][0].flatten()
theirs = torch.sparse_csr_tensor(*(torch.from_numpy(own[i]) for i in (2, 1, 0)), size=SHAPE, check_invariants=True)
dense = torch.from_numpy(matrix)
with_numpy = x.numpy()
x = x if MKL else x[:, None]
gap = max(np.abs(csr_matvec(*own, with_numpy) - (other @ x).flatten().numpy()).max() for other in (theirs, dense))
print(f"largest difference between the three results: {gap:.1e}")
products = compare({
    "dense, PyTorch": lambda: dense @ x, "CSR, PyTorch": lambda: theirs @ x, "CSR, your csr_matvec": lambda: csr_matvec(*own, with_numpy)
}, calls=20, repeats=15, warmup=2)
for name, timing in products.items():
    print(f"{name:22} {1e3 * timing.median:8.4f} ms, {timing.median / products['dense, PyTorch'].median:6.2f} times dense")

# %% [markdown]
# **What we saw.** The results are equal up to rounding, so the format is right. The time is another matter. A loop in
# Python costs far more than the multiply-adds that it saves. (Did you find a way without a loop? Then you are closer.)
# And PyTorch's compiled CSR code is not ten times faster than dense either: compare its factor with the tenth of the
# work. So two questions must be kept apart: how many bytes, which a formula answers, and how long, which only a clock
# answers. First the bytes.
#
# ## Part 2 · Bytes
#
# ### Exercise storage_bytes
#
# Let $n$ be rows · cols, $z$ = `nonzeros`, $b_v$ = `value_bits` and $b_i$ = `index_bits`. Each format is a list of
# arrays. COO (coordinates) stores the row and the column of each nonzero:
#
# | format | values | positions |
# |---|---|---|
# | dense | $n\, b_v$ | none |
# | COO | $z\, b_v$ | $z\, b_i$ for the rows, and $z\, b_i$ for the columns |
# | CSR | $z\, b_v$ | $z\, b_i$ for the columns, and $(\text{rows} + 1)\, b_i$ for the starts |
# | bitmask | $z\, b_v$ | $n$: one bit for each entry, 1 = stored |
# | 2:4 | $\frac{n}{2}\, b_v$ | $n$: for each of the $\frac{n}{2}$ values its place in the group of four, 2 bits |
#
# All in bits. An array begins at a whole byte, so each array is rounded up on its own: $\lceil \text{bits} / 8 \rceil$.
# The format 2:4 stores two of every four entries, even if they are zero.
#
# *By hand.* The matrix above has 3 · 4 entries and 4 nonzeros. With 32 bits for all: dense 48 bytes; COO $16 + 16 + 16
# = 48$; CSR $16 + 16 + 16 = 48$; bitmask $16 + \lceil 12/8 \rceil = 18$; 2:4 $24 + \lceil 12/8 \rceil = 26$.
#
# <details><summary>Hint</summary>
#
# Write a list of bit counts for each format, one entry for each array, and let one line round and add them. For whole
# numbers rounding up is possible without a float: think of adding 7 first.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab13_sparse_storage import storage_bytes

# %% tags=["visible-check"]
for storage, expected, parts in (
    ("dense", 48, "12 values of 4 bytes"),
    ("coo", 48, "4 values, 4 rows and 4 columns of 4 bytes"),
    ("csr", 48, "4 values, 4 columns and 3 + 1 row starts of 4 bytes"),
    ("bitmask", 18, "4 values of 4 bytes, and 12 bits, which fill 2 bytes"),
    ("2:4", 26, "6 values of 4 bytes, and 6 positions of 2 bits, which fill 2 bytes"),
):
    result = storage_bytes((3, 4), 4, storage)
    assert result == expected, f"A 3 x 4 matrix with 4 nonzeros takes {expected} bytes as {storage}: {parts}. You returned {result!r}."
result = storage_bytes((3, 4), 4, "coo", value_bits=16, index_bits=64)
assert result == 72, f"COO with values of 16 and indices of 64 bits: 8 + 32 + 32 = 72 bytes. You returned {result!r}."
result = storage_bytes((1, 4), 1, "bitmask", value_bits=4)
assert result == 2 and isinstance(result, int), (
    f"One value of 4 bits and a mask of 4 bits are two arrays, so two bytes, as an int. You returned {result!r}.\n"
    "Is it 1? Then you rounded once, at the end."
)
for arguments in (((3, 4), 13, "csr"), ((3, 4), 4, "csc"), ((3, 6), 4, "2:4")):
    try:
        storage_bytes(*arguments)
    except ValueError:
        pass
    else:
        raise AssertionError(f"storage_bytes{arguments} cannot be right, and raised no ValueError.")
print("storage_bytes: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: the formula against files on disk
#
# Store the pruned `fc1` for real: each array of a format goes into a file, as raw bytes (`tofile`), and the operating
# system says how large the files are. If the formula is right, not one byte may differ.
#
# Two more curves, for honesty. *CSR, 64 bits* is what PyTorch makes by itself. And *zlib* is the compressor of zip
# files, applied to the dense array: it knows nothing about matrices.

# %% tags=["experiment"]
WIDTHS = {  # name: (format, bits of an index); the order is that of the legend
    "COO, 64 bits": ("coo", 64), "CSR, 64 bits": ("csr", 64), "CSR, 32 bits": ("csr", 32), "bitmask": ("bitmask", 32),
}
sparsities = [0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]


def arrays_of(matrix, storage, index_bits):
    """The arrays that a format stores."""
    index = {32: np.int32, 64: np.int64}[index_bits]
    if storage == "dense":
        return [matrix]
    values, columns, row_starts = to_csr(matrix)
    if storage == "coo":
        return [values, np.repeat(np.arange(len(matrix), dtype=index), np.diff(row_starts)), columns.astype(index)]
    if storage == "csr":
        return [values, columns.astype(index), row_starts.astype(index)]
    return [values, np.packbits(matrix != 0)]


def bytes_on_disk(arrays):
    """Write arrays into files in a folder of their own, and add up what the file system says."""
    with tempfile.TemporaryDirectory() as folder:
        for number, array in enumerate(arrays):
            array.tofile(Path(folder, f"{number}.bin"))
        return sum(path.stat().st_size for path in Path(folder).iterdir())


files, formulas, zipped = {}, {}, {}  # (name, bits of a value): {sparsity: bytes}; zlib: {sparsity: [seeds]}
compared = differ = 0
for bits, dtype in ((32, np.float32), (16, np.float16)):
    for s in tqdm(sparsities, desc=f"files, {bits}-bit values"):
        matrix = pruned_matrix(0, s).astype(dtype)
        count = int((matrix != 0).sum())
        for name, (storage, index_bits) in {"dense": ("dense", 32), **WIDTHS}.items():
            found = bytes_on_disk(arrays_of(matrix, storage, index_bits))
            predicted = storage_bytes(SHAPE, count, storage, bits, index_bits)
            files.setdefault((name, bits), {})[s] = found
            formulas.setdefault((name, bits), {})[s] = predicted
            compared, differ = compared + 1, differ + (found != predicted)
        zipped.setdefault(bits, {})[s] = [len(zlib.compress(pruned_matrix(seed, s).astype(dtype).tobytes())) for seed in SEEDS]
print(f"{compared} matrices stored; {differ} of them take other bytes than the formula says")

STYLE = {"COO, 64 bits": "purple", "CSR, 64 bits": "vermilion", "CSR, 32 bits": "blue", "bitmask": "green"}
fig, axes = plt.subplots(1, 2, figsize=(11.5, 4.6), sharey=True)
x = 100 * np.array(sparsities)
for ax, bits in zip(axes, (32, 16)):
    whole = formulas["dense", bits][0]
    for name, colour in STYLE.items():
        ax.plot(x, [100 * formulas[name, bits][s] / whole for s in sparsities], color=COLOURS[colour])
        ax.plot(x, [100 * files[name, bits][s] / whole for s in sparsities], linestyle="none", color=COLOURS[colour],
                marker=MARKERS[list(COLOURS).index(colour)], label=name)
    curve(ax, x, 100 * np.transpose([zipped[bits][s] for s in sparsities]) / whole, label="dense file, zlib", colour="orange")
    two_four = 100 * storage_bytes(SHAPE, 0, "2:4", bits) / whole
    ax.plot([50, 98], [two_four] * 2, color="black", linestyle="--", label="2:4 (from 50% on)")
    ax.axhline(100, color="grey", linestyle=":")
    ax.set_yscale("log")
    ax.set_ylim(2, 1000)
    ax.set_yticks([2, 5, 10, 20, 50, 100, 200, 500], [2, 5, 10, 20, 50, 100, 200, 500])
    ax.minorticks_off()
    label_axes(ax, x="sparsity of fc1", x_unit="%", y="stored bytes", y_unit="% of dense, logarithmic", title=f"values of {bits} bits")
axes[0].legend(loc="lower left")
axes[1].set_ylabel("")
show(fig, alt="Stored bytes in percent of dense against sparsity, on a logarithmic scale, left for values of 32 bits, right for 16. All formats fall. "
     "COO and CSR with 64-bit indices begin far above dense and cross it late; the bitmask crosses almost at once, and CSR passes below it only at "
     "the right end. 2:4 is a flat line. zlib stays near the bitmask and ends below it. On the right all crossings are later.")

for bits in (32, 16):
    for s in (0.5, 0.9, 0.98):
        row = ", ".join(f"{name} {100 * files[name, bits][s] / files['dense', bits][s]:.1f}" for name in WIDTHS)
        print(f"{bits} bits, {100 * s:.0f} % zeros, % of dense: {row}, zlib {100 * np.mean(zipped[bits][s]) / files['dense', bits][s]:.1f}")

# %% [markdown]
# **What we saw.** Every file has exactly the predicted size. So for bytes no measurement is needed: the formula is the
# measurement.
#
# And the formula has a message. An index costs as much as a value, or more. At 50% sparsity CSR with PyTorch's 64-bit
# indices is *larger* than the dense matrix. With values of 16 bits (right) the curves move up, those of COO and CSR
# most, since the positions have not become cheaper with the values. The bitmask pays one bit for every entry, zero or
# not, and is smaller than CSR and COO at all sparsities that pruned networks usually have. CSR with 32 bits overtakes it
# at the right end only, where fewer than one entry in 32 is left: near 97%. (A column of `fc1`, below 784, would fit
# into 16 bits or even 10. Short indices move the crossing.)
#
# Look at zlib's curve too. A general compressor, with no idea of matrices, stays close to the bitmask and ends below
# it. How can it? The bitmask pays one bit for each entry. But a bit that is almost always 0 can be coded in less than
# one bit: in 0.14 bits at 98%. That the zeros of a trained layer come in runs (think of the empty columns of Part 1)
# adds only a little: shuffle the entries, and zlib needs a little more. At the left end zlib is lower too, since it also
# squeezes the bytes of the floats a little. If a pruned network is to be *sent*, zip it. But a zipped matrix cannot be
# multiplied; it must be unpacked first.
#
# ### Exercise break_even_sparsity
#
# From which sparsity $s$ on does a format pay? Without what is fixed (row starts, rounding) the formulas can be solved
# by hand: $(1 - s)\, n\, (b_v + b_i) < n\, b_v$ for CSR, and so on:
#
# $$s^*_{\text{COO}} = \frac{2 b_i}{b_v + 2 b_i}, \qquad s^*_{\text{CSR}} = \frac{b_i}{b_v + b_i}, \qquad
# s^*_{\text{bitmask}} = \frac{1}{b_v} .$$
#
# But a file has a header, a row start, a rounding. So find the exact point by trying. You are given a function that
# tells the bytes for a number of nonzeros, `bytes_of`. It may be a formula, or it may write a file, which takes time.
# It never falls when the number of nonzeros grows. So halve the range again and again, as one looks up a word in a
# printed dictionary.
#
# *By hand.* 8 entries, dense 32 bytes, `bytes_of(z)` $= 8z$. Three nonzeros take 24 bytes and pay; four take 32, as
# many as dense, and do not. So the answer is $(8 - 3)/8 = 0.625$.
#
# <details><summary>Hint</summary>
#
# Keep two numbers of nonzeros: one that is known to pay, or −1 as long as none is, and one above which nothing pays.
# Ask in the middle, and move one of them. Which way must the middle be rounded, so that the range always shrinks?
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab13_sparse_storage import break_even_sparsity

# %% tags=["visible-check"]
result = break_even_sparsity(lambda z: 8 * z, 8, 32)
assert result == 0.625, (
    f"8 entries, dense 32 bytes, 8 bytes for each nonzero: three nonzeros pay, so (8 - 3) / 8 = 0.625. You returned {result!r}.\n"
    "Is it 0.5? Then equal counts as fewer, or you are one nonzero off. Is it 0.375? Then you returned the density."
)
assert break_even_sparsity(lambda z: 40 + z, 8, 32) is None, "A format that is never smaller has no break-even: return None."
assert break_even_sparsity(lambda z: 2 * z, 8, 32) == 0.0, "A format that is smaller without any zero pays from 0.0 on."
result = break_even_sparsity(lambda z: 50 * z, 8, 32)
assert result == 1.0, f"Here only the empty matrix is smaller than dense: 1.0. You returned {result!r}. Was 0 ever tried?"
asked = []
result = break_even_sparsity(lambda z: asked.append(z) or 8 * z + 40, 100_000, 400_000)
assert abs(result - 0.50006) < 1e-9 and len(asked) <= 60, (
    f"You returned {result!r} after {len(asked):,} calls; 0.50006 after at most 60 is expected. Halve the range each time."
)
try:
    break_even_sparsity(lambda z: z, 0, 32)
except ValueError:
    pass
else:
    raise AssertionError("A matrix without entries raised no ValueError.")
print("break_even_sparsity: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: predicted, then found
#
# Three answers for each format: the short formula, your function on `storage_bytes`, and your function on real files.
# For the last one each call writes a matrix with that many nonzeros.

# %% tags=["experiment"]
largest_first = layers[0].abs().flatten().argsort(descending=True).numpy()


def with_nonzeros(count, dtype):
    """`fc1` of seed 0 with its `count` largest weights alone."""
    matrix = np.zeros(ENTRIES, dtype=dtype)
    matrix[largest_first[:count]] = layers[0].flatten().numpy()[largest_first[:count]]
    return matrix.reshape(SHAPE)


def three_answers(name, bits):
    """Break-even sparsity of a format: short formula, `storage_bytes`, files on disk."""
    storage, index_bits = WIDTHS[name]
    dtype = {32: np.float32, 16: np.float16}[bits]
    short = {"coo": 2 * index_bits / (bits + 2 * index_bits), "csr": index_bits / (bits + index_bits), "bitmask": 1 / bits}
    counted = lambda nonzeros: storage_bytes(SHAPE, nonzeros, storage, bits, index_bits)
    written = lambda nonzeros: bytes_on_disk(arrays_of(with_nonzeros(nonzeros, dtype), storage, index_bits))
    dense_bytes = ENTRIES * bits // 8
    return short[storage], *(break_even_sparsity(bytes_of, ENTRIES, dense_bytes) for bytes_of in (counted, written))


cases = [(name, bits) for name in WIDTHS for bits in (32, 16)]
crossings = {case: three_answers(*case) for case in tqdm(cases, desc="searching")}
print(f"{'break-even sparsity':24}  short formula   storage_bytes   files on disk")
for (name, bits), row in crossings.items():
    print(f"{name:13} {bits} bits   " + "".join(f"{100 * value:14.3f} %" for value in row))

# %% [markdown]
# **What we saw.** The second and the third column agree to the last digit, and the short formula is close: the row
# starts and the rounding are a small matter for a layer of this size. (For which shapes would they not be? Think of
# many rows with few columns.)
#
# So break-even is no property of "sparse storage". It depends on the widths: for values of 32 bits from a few percent
# (bitmask) to 80% (COO with 64-bit indices), and for shorter values later. Whoever rounds the weights to 8 or 4 bits
# should solve the formula first.
#
# ## Part 3 · Two of every four
#
# In CSR, where a row begins must be looked up. With 2:4 every group of four has two stored values, so the place of
# everything is known in advance. This is what lets a GPU use it. You pack it as a GPU stores it, up to the order of the
# bytes: the values, and 2 bits for the place of each.
#
# ### Exercise pack_two_four
#
# Number the groups $g = 0, \dots, G - 1$ row after row. A group stores two places $p_g < q_g$, from 0 to 3, as a
# four-bit code, and two codes fill a byte:
#
# $$\text{code}_g = p_g + 4\, q_g, \qquad \text{byte}_b = \text{code}_{2b} + 16\, \text{code}_{2b+1} .$$
#
# A group with fewer than two nonzeros stores two places all the same; the lowest free ones are added. And if $G$ is
# odd, the last byte is half empty: its high four bits are 0.
#
# *By hand.* One row, two groups:
#
# ```text
# weight      0 0 7 0 | 0 3 0 4
# places      0 2     | 1 3           the 0 is added, the lowest free place
# values      0 7     | 3 4
# code        0 + 4·2 = 8 | 1 + 4·3 = 13
# byte        8 + 16·13 = 216
# ```
#
# <details><summary>Hint</summary>
#
# Reshape to [G, 4]. A *stable* `argsort` of "is it zero?" (False comes before True) puts the nonzeros first, and behind
# them the zeros, the lowest place first. `np.take_along_axis` picks values at such places. Codes are small: mind their
# dtype, and add one code of 0 where $G$ is odd.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=22
from solutions.lab13_sparse_storage import pack_two_four

# %% tags=["visible-check"]
weight = np.array([[0.0, 0.0, 7.0, 0.0, 0.0, 3.0, 0.0, 4.0]], dtype=np.float32)
result = pack_two_four(weight)
assert isinstance(result, tuple) and len(result) == 2, f"You returned {result!r}: return two arrays, values and positions."
values, positions = result
assert values.shape == (1, 4) and values.dtype == np.float32, (
    f"Your values have shape {values.shape} and dtype {values.dtype}; expected are (1, 4), two for each group, and float32."
)
assert values.tolist() == [[0, 7, 3, 4]], (
    f"Your values are {values.tolist()}; group 0 stores the places 0 and 2 (0 and 7), group 1 the places 1 and 3 (3 and 4).\n"
    "Is it 7, 0 or 4, 3? Then a group's values are not in the order of their places, or the added place is 3, not the\n"
    "lowest free one. Is it 7, 7? Then the same place is stored twice.\n"
    "Is it 7, 3, 4? Then a group with one nonzero stores only one."
)
assert positions.dtype == np.uint8 and positions.shape == (1,), (
    f"Your positions have dtype {positions.dtype} and shape {positions.shape}: two groups fill one byte (uint8)."
)
assert positions.tolist() == [216], (
    f"Your byte is {positions[0]}, in bits {positions[0]:08b}; 216 is expected, in bits 11011000: code 13 high, code 8 low.\n"
    "Is it 141? Then the first group is in the high bits. Is it 114? Then p and q are exchanged.\n"
    "Is it 217 or 222? Then the place added to group 0 is not the lowest free one. Is it 218? Then place 2 is stored twice.\n"
    "Is it 164 or 165? Then you stored a mask."
)
values, positions = pack_two_four(np.zeros((1, 4), dtype=np.float32))
assert values.tolist() == [[0, 0]] and positions.tolist() == [4], (
    f"One group of zeros stores the places 0 and 1, code 4, in a byte of its own; you returned {values.tolist()}, {positions.tolist()}."
)
for wrong, why in ((np.ones((1, 4)), "four nonzeros in a group"), (np.zeros((2, 6)), "six columns")):
    try:
        pack_two_four(wrong)
    except ValueError:
        pass
    else:
        raise AssertionError(f"There are {why}, and no ValueError was raised.")
print("pack_two_four: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Exercise unpack_two_four
#
# And back. With $v$ = `values`, group $g$ of the row has
#
# $$p_g = \text{code}_g \bmod 4, \qquad q_g = \lfloor \text{code}_g / 4 \rfloor, \qquad W_{4g + p_g} = v_{2g}, \qquad W_{4g + q_g} = v_{2g+1},$$
#
# and all other entries are zero. The rows have `half` values each, so `2 * half` columns.
#
# <details><summary>Hint</summary>
#
# `positions % 16` and `positions // 16` are the two codes of each byte; they must be interleaved. `np.put_along_axis`
# is the opposite of `np.take_along_axis`; places must be of a whole-number type that can index.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab13_sparse_storage import unpack_two_four

# %% tags=["visible-check"]
result = unpack_two_four(np.array([[0.0, 7.0, 3.0, 4.0]], dtype=np.float32), np.array([216], dtype=np.uint8))
assert isinstance(result, np.ndarray) and result.shape == (1, 8), f"You returned {result!r}: an array [1, 8] is expected."
assert result.tolist() == [[0, 0, 7, 0, 0, 3, 0, 4]] and result.dtype == np.float32, (
    f"You returned {result.tolist()} ({result.dtype}); [[0, 0, 7, 0, 0, 3, 0, 4]] in float32 is expected. The codes are 8 and 13.\n"
    "Are the groups exchanged? The low four bits are the first one. Is the 7 at place 0? Then p and q are exchanged."
)
result = unpack_two_four(np.array([[5.0, 6.0]]), np.array([3 + 4 * 1 + 16 * 9], dtype=np.uint8))
assert result.tolist() == [[0, 6, 0, 5]], (
    f"One group with p = 3 and q = 1: the 5 goes to place 3 and the 6 to place 1, and the high bits mean nothing. You returned {result.tolist()}."
)
try:
    unpack_two_four(np.zeros((1, 4)), np.zeros(3, dtype=np.uint8))
except ValueError:
    pass
else:
    raise AssertionError("Two groups in three bytes raised no ValueError.")
print("unpack_two_four: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: does a pruned layer fit the pattern?
#
# A layer at 90% sparsity has far fewer than two nonzeros in four on average. So it fits 2:4, does it not? The cell
# counts the groups of four with more than two nonzeros, in `fc1` after magnitude pruning. The dotted line is what a
# random mask would give: with density $d = 1 - s$, three or four of four are nonzero with probability $4 d^3 s + d^4$.
#
# Then `nm_mask` makes a true 2:4 layer, you pack it, and the packed arrays go into files. On the right: the bytes
# beside those of a bitmask at the same 50%.

# %% tags=["experiment"]
fit_sparsities = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]
misfits = np.array([
    [100 * ((pruned_matrix(seed, s).reshape(-1, 4) != 0).sum(axis=1) > 2).mean() for s in fit_sparsities] for seed in SEEDS
])
chance = [100 * (4 * (1 - s) ** 3 * s + (1 - s) ** 4) for s in fit_sparsities]

packed_bytes, lossless = {}, True
for bits, dtype in ((32, np.float32), (16, np.float16)):
    for seed in SEEDS:
        matrix = layers[seed].masked_fill(~nm_mask(layers[seed], 2, 4), 0).numpy().astype(dtype)
        packed = pack_two_four(matrix)
        lossless = lossless and np.array_equal(unpack_two_four(*packed), matrix)
    packed_bytes["2:4", bits] = bytes_on_disk(packed)
    packed_bytes["2:4, formula", bits] = storage_bytes(SHAPE, int((matrix != 0).sum()), "2:4", bits)
    packed_bytes["bitmask", bits] = bytes_on_disk(arrays_of(pruned_matrix(0, 0.5).astype(dtype), "bitmask", 32))
    packed_bytes["bitmask, formula", bits] = storage_bytes(SHAPE, ENTRIES // 2, "bitmask", bits)

fig, axes = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1.5, 1])
curve(axes[0], 100 * np.array(fit_sparsities), misfits, label="fc1, magnitude", colour="blue")
axes[0].plot(100 * np.array(fit_sparsities), chance, color="black", linestyle=":", label="random mask")
axes[0].set_yscale("log")
axes[0].legend()
label_axes(axes[0], x="sparsity of fc1", x_unit="%", y="groups with more than two nonzeros", y_unit="%", title="what does not fit")
for place, (name, colour) in enumerate((("2:4", "vermilion"), ("bitmask", "green"))):
    shares = [100 * packed_bytes[name, bits] / (ENTRIES * bits // 8) for bits in (32, 16)]
    bars = axes[1].bar(np.arange(2) + 0.35 * (place - 0.5), shares, width=0.32, color=COLOURS[colour], label=name)
    axes[1].bar_label(bars, fmt="%.2f", fontsize=9)
axes[1].set_xticks(range(2), ["32", "16"])
axes[1].set_ylim(0, 80)
axes[1].grid(axis="x", visible=False)
axes[1].legend(ncols=2, loc="upper center")
label_axes(axes[1], x="width of a value", x_unit="bits", y="files on disk", y_unit="% of dense", title="at 50% sparsity")
show(fig, alt="Left, on a logarithmic scale: the share of groups with more than two nonzeros falls with the sparsity, but for the "
     "magnitude-pruned layer far more slowly than for a random mask. Right: 2:4 and bitmask take the same bytes at 50%.")

print(f"unpacking gives the 2:4 layers back, all seeds and widths: {lossless}")
for (name, bits), size in packed_bytes.items():
    print(f"{name:16} {bits} bits: {size:9,} bytes, {100 * size / (ENTRIES * bits // 8):.3f} % of dense")
for s, column, random in zip(fit_sparsities, misfits.T, chance):
    print(f"sparsity {100 * s:.0f} %: {spread(column, ' %', 2)} of the groups do not fit; random {random:.3f} %")

# %% [markdown]
# **What we saw.** Left: a pruned layer does *not* fit, even at very high sparsity. Some groups hold three or four
# nonzeros, and many more than chance would put there: the nonzeros of a trained layer stand together, as the uneven
# columns of Part 1 suggested. (Neighbouring columns are neighbouring pixels.) One such group is enough for
# `pack_two_four` to refuse. So 2:4 must be planned before the pruning; it is not a way to store what another pruning
# has left.
#
# Right: 2:4 and the bitmask take the same bytes, and that is no accident. Two places of 2 bits for each group of four
# are 4 bits, and so is a bitmask of four entries. With 16-bit values this is 9/16 of dense, the usual figure. So 2:4
# saves no byte more than a bitmask at 50%. What it offers is *regularity*: the hardware knows where everything lies
# without counting bits. The price is that a sparser matrix does not become smaller.
#
# ## Part 4 · The file of a pruned network
#
# Now the whole network: a dictionary of tensors, as `model.state_dict()` gives it, into one file. The container is
# *safetensors*: a short text header and then raw numbers. (`torch.save` pickles objects, and a pickle can run code when
# it is loaded.) Each tensor $N$ with $n$ entries becomes three:
#
# | key | holds | bytes |
# |---|---|---|
# | `N.shape` | the shape, int64 | 8 for each dimension |
# | `N.mask` | one bit for each entry, in row-major order, 1 = stored | $\lceil n/8 \rceil$ |
# | `N.values` | the stored entries, in the tensor's own dtype | as many as are stored |
#
# "Without loss" is meant literally: the loaded tensor must have the same bits. That raises a question about zero.
# Floating-point numbers have two: $0.0$ and $-0.0$. They are equal, but their bits differ. What is left out comes back
# as $0.0$, so $-0.0$ must be stored, and so must NaN.
#
# *By hand.* The tensor $(5, 0, -0.0, 0, 2)$ stores the entries 0, 2 and 4: `shape` (5), `mask` with the bits 10101000,
# so 168, and `values` $(5, -0.0, 2)$.
#
# The reader is given in the next cell.

# %%
# Given. Leave this cell as it is.
def load_sparse(file):
    """Read the bytes that `save_sparse` returned: {name: tensor}."""
    stored = safetensors.torch.load(file)
    weights = {}
    for name in (key.removesuffix(".shape") for key in stored if key.endswith(".shape")):
        shape, mask, values = (stored[f"{name}.{part}"] for part in ("shape", "mask", "values"))
        tensor = torch.zeros(math.prod(shape.tolist()), dtype=values.dtype)
        kept = np.unpackbits(mask.numpy(), count=len(tensor)).astype(bool)
        tensor[torch.from_numpy(kept)] = values
        weights[name] = tensor.reshape(shape.tolist())
    return weights


# %% [markdown]
# ### Exercise save_sparse
#
# Write what `load_sparse` can read, and no more than the table says.
#
# <details><summary>Hint</summary>
#
# `torch.signbit` tells $-0.0$ from $0.0$, and NaN is not equal to 0. `np.packbits` makes bytes of booleans, in the
# right order as it is; `reshape(-1)` reads a tensor in row-major order, whatever its memory layout. Look up
# `safetensors.torch.save`: it takes a dictionary of tensors on the CPU and returns bytes.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=18
from solutions.lab13_sparse_storage import save_sparse

# %% tags=["visible-check"]
weights = {"w": torch.tensor([5.0, 0.0, -0.0, 0.0, 2.0])}
file = save_sparse(weights)
assert isinstance(file, bytes), f"You returned {type(file).__name__}: return the bytes of a safetensors file."
try:
    stored = safetensors.torch.load(file)
except Exception as error:
    raise AssertionError(f"What you returned is no safetensors file ({error}). Was it pickled?") from None
assert sorted(stored) == ["w.mask", "w.shape", "w.values"], f"The keys in your file are {sorted(stored)}."
assert stored["w.shape"].tolist() == [5] and stored["w.shape"].dtype == torch.int64, f"w.shape is {stored['w.shape']}."
assert stored["w.mask"].dtype == torch.uint8 and stored["w.mask"].tolist() == [168], (
    f"w.mask is {stored['w.mask']}; expected is one byte (uint8) with the bits 10101000: 168.\n"
    "Is it 136? Then -0.0 is not stored: it equals 0, but its bits are not all zero.\n"
    "Is it 21? Then the first entry is the lowest bit. Is it 80 or 87? Then 1 stands for what is left out.\n"
    "Are there five numbers? Then each entry takes a whole byte."
)
values = stored["w.values"]
assert values.tolist() == [5.0, 0.0, 2.0] and torch.signbit(values).tolist() == [False, True, False], (
    f"w.values is {values}; expected are 5, -0.0 and 2, as they were."
)
special = {
    "special": torch.tensor([[float("nan"), 0.0, -0.0], [1e-40, 0.0, float("-inf")]]), "half": torch.tensor([0.0, 1.5]).bfloat16(),
    "number": torch.tensor(3), "transposed": torch.tensor([[1.0, 0.0], [2.0, 0.0]]).t(), "empty": torch.zeros(0, 4),
}
loaded = load_sparse(save_sparse(special))
for name, tensor in special.items():
    back = loaded[name]
    assert back.dtype == tensor.dtype and back.shape == tensor.shape, f"`{name}` came back as {back.dtype} {list(back.shape)}."
    same = torch.equal(back.nan_to_num(7.0), tensor.nan_to_num(7.0)) and torch.equal(torch.signbit(back), torch.signbit(tensor))
    assert same, f"`{name}` was {tensor.tolist()} and came back as {back.tolist()}."
try:
    save_sparse({"w": torch.ones(2, dtype=torch.complex64)})
except ValueError:
    pass
else:
    raise AssertionError("A complex tensor raised no ValueError.")
print("save_sparse: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: two ways to write a zero
#
# There are two ways to apply a mask: multiply by it, or fill zeros in (as `apply_masks` of Lab 4 does). Prune the MLP
# to 90% by each, and save it. Both networks compute the same. Guess the sizes of the files.

# %% tags=["experiment"]
def cut(weights, sparsity):
    """Global magnitude masks of the prunable weights."""
    return global_masks(weights, sparsity, magnitude_mask)


def bits_of(tensor):
    """The bits of a tensor of 32-bit floats, as whole numbers."""
    return tensor.detach().contiguous().view(torch.int32)


zero_files, minus_zeros = {"multiplied by the mask": [], "filled with zeros": []}, {"multiplied by the mask": [], "filled with zeros": []}
for seed in SEEDS:
    for way in zero_files:
        model = copy.deepcopy(networks[seed])
        weights = prunable_weights(model)
        with torch.no_grad():
            for name, mask in cut(weights, 0.9).items():
                weights[name].copy_(weights[name] * mask if way.startswith("mult") else weights[name].masked_fill(~mask, 0))
        state = model.state_dict()
        file = save_sparse(state)
        loaded = load_sparse(file)
        assert all(torch.equal(bits_of(loaded[name]), bits_of(tensor)) for name, tensor in state.items())
        zero_files[way].append(len(file))
        minus_zeros[way].append(sum(int(((w == 0) & torch.signbit(w)).sum()) for w in weights.values()))

dense_file = len(safetensors.torch.save(networks[0].state_dict()))
for way in zero_files:
    print(f"{way:23} {spread(minus_zeros[way], digits=0)} weights are -0.0; "
          f"file {spread([size / 1000 for size in zero_files[way]], ' kB')}, {100 * np.mean(zero_files[way]) / dense_file:.1f} % of dense")
print("each file was loaded again: every bit is the same")

# %% [markdown]
# **What we saw.** A negative weight times False is $-0.0$. About half of all the zeros got a minus sign in this way,
# nobody could see it (`-0.0 == 0` is true), and a file that keeps every bit must store them. So the product costs more
# than half of the saving. Two lessons: fill zeros in, do not multiply; and when a sparse file is larger than expected,
# count the bits, not the values.
#
# ### Experiment: accuracy against bytes
#
# Bytes for what? Here is the whole question of the lab in one figure. The MLP is pruned to several sparsities and
# fine-tuned (90 steps, masks applied after each), three seeds, and each network is written to disk in these ways:
#
# - *dense*, as it is, and *dense, 16 bits*: every value rounded to float16, the cheapest compression of all;
# - *dense, zlib*: the dense file, zipped;
# - *bitmask*, by your `save_sparse`, and *bitmask, 16 bits*;
# - *CSR, torch.save*: PyTorch's own sparse tensors, as `torch.save` pickles them.
#
# Accuracies are those of the *loaded* networks on the validation images.

# %% tags=["experiment"]
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_images, train_labels = (tensor[:6000].to(device) for tensor in load_fashion_mnist("train"))
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
file_sparsities = [0, 0.5, 0.8, 0.9, 0.95, 0.98]


def fine_tuned(seed, sparsity):
    """The MLP of one seed, pruned and fine-tuned; at sparsity 0 it is trained as long, and nothing is cut."""
    model = copy.deepcopy(networks[seed]).to(device)
    masks = cut(prunable_weights(model), sparsity)

    @torch.no_grad()
    def mask_again(model, step):
        for name, weight in prunable_weights(model).items():
            weight[~masks[name]] = 0

    mask_again(model, -1)
    train(model, train_images, train_labels, lr=1e-3, steps=90, seed=seed, progress=False, after_step=mask_again)
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}


def pickled_csr(state):
    """PyTorch's way: matrices as CSR tensors, pickled."""
    file = io.BytesIO()
    torch.save({name: tensor.to_sparse_csr() if tensor.dim() == 2 else tensor for name, tensor in state.items()}, file)
    return file.getvalue()


def halved(state):
    return {name: tensor.half() for name, tensor in state.items()}


WRITERS = {  # name: (how to write, how to read)
    "dense": (safetensors.torch.save, safetensors.torch.load),
    "dense, 16 bits": (lambda state: safetensors.torch.save(halved(state)), safetensors.torch.load),
    "dense, zlib": (
        lambda state: zlib.compress(safetensors.torch.save(state)), lambda file: safetensors.torch.load(zlib.decompress(file))
    ),
    "bitmask": (save_sparse, load_sparse),
    "bitmask, 16 bits": (lambda state: save_sparse(halved(state)), load_sparse),
    "CSR, torch.save": (pickled_csr, lambda file: {
        name: tensor.to_dense() for name, tensor in torch.load(io.BytesIO(file), weights_only=True).items()
    }),
}


def network_of(state):
    model = copy.deepcopy(networks[0])
    model.load_state_dict(state)
    return model.to(device)


states = {}
for s, seed in tqdm([(s, seed) for s in file_sparsities for seed in SEEDS], desc="fine-tuning"):
    states[s, seed] = fine_tuned(seed, s)

sizes, scores, loaded_states = {}, {}, {}  # (name, sparsity, seed)
with tempfile.TemporaryDirectory() as folder:
    for name, (write, read) in WRITERS.items():
        for (s, seed), state in states.items():
            path = Path(folder, "network")
            path.write_bytes(write(state))
            sizes[name, s, seed] = path.stat().st_size
            loaded_states[name, s, seed] = read(path.read_bytes())
            scores[name, s, seed] = accuracy(network_of(loaded_states[name, s, seed]), images, labels)

identical = all(
    torch.equal(bits_of(loaded_states["bitmask", s, seed][key]), bits_of(tensor))
    for (s, seed), state in states.items() for key, tensor in state.items()
)
print(f"every network comes back from its bitmask file bit by bit: {identical}")

fig, ax = plt.subplots(figsize=(8, 4.6))
for name, colour in (("bitmask", "green"), ("bitmask, 16 bits", "blue"), ("dense, zlib", "purple"), ("CSR, torch.save", "vermilion")):
    kilobytes = [np.mean([sizes[name, s, seed] for seed in SEEDS]) / 1000 for s in file_sparsities]
    curve(ax, kilobytes, [[100 * scores[name, s, seed] for s in file_sparsities] for seed in SEEDS], label=name, colour=colour)
for name, colour in (("dense", "black"), ("dense, 16 bits", "orange")):
    values = [100 * scores[name, 0, seed] for seed in SEEDS]
    ax.errorbar([sizes[name, 0, 0] / 1000], [np.mean(values)], [np.std(values, ddof=1)], color=COLOURS[colour],
                marker=MARKERS[list(COLOURS).index(colour)], markersize=9, capsize=4, linestyle="none", label=f"{name}, not pruned")
ax.set_xscale("log")
ax.set_xticks([20, 50, 100, 200, 500, 1000, 2000], ["20", "50", "100", "200", "500", "1,000", "2,000"])
ax.minorticks_off()
ax.legend(loc="lower right")
label_axes(ax, x="file on disk", x_unit="kB, logarithmic", y="validation accuracy", y_unit="%", title="0, 50, 80, 90, 95, 98% sparsity, right to left")
show(fig, alt="Accuracy against file size. Along each curve the file shrinks with the sparsity while the accuracy stays level, and "
     "drops at the smallest sizes. Over most of its length the 16-bit bitmask lies furthest left, then the bitmask and zlib close together, then CSR by torch.save.")

for s in file_sparsities:
    row = ", ".join(f"{name} {np.mean([sizes[name, s, seed] for seed in SEEDS]) / 1000:.0f}" for name in WRITERS)
    print(f"{100 * s:2.0f} %: accuracy {spread([100 * scores['bitmask', s, seed] for seed in SEEDS], ' %')}; kB: {row}")
csr = states[0.9, 0]["fc1.weight"].to_sparse_csr()
held = (csr.values(), csr.col_indices(), csr.crow_indices())
print(f"CSR of fc1 at 90 %: its three arrays hold {sum(a.numel() * a.element_size() for a in held):,} bytes, "
      f"the storages behind them {sum(a.untyped_storage().nbytes() for a in held):,}")
rounding = [100 * (scores["bitmask, 16 bits", s, seed] - scores["bitmask", s, seed]) for s in file_sparsities for seed in SEEDS]
print(f"16 bits change the accuracy by {min(rounding):+.2f} to {max(rounding):+.2f} points")

# %% [markdown]
# **What we saw.** Read the figure from right to left. Up to about 80% the file becomes several times smaller and the
# accuracy stays about where it was; at 90% it has begun to fall. The bitmask lies left of PyTorch's CSR at each of
# these sparsities, and the zipped dense file keeps up with the bitmask.
#
# PyTorch's file is even larger than the formula of Part 2 says. The printed line tells why: its column indices are a
# part of a larger array, in which the rows are stored as well, and `torch.save` writes the whole of it. You would not
# have seen this without a formula to compare with.
#
# Now look at the single points. Rounding to 16 bits halves the file *without any pruning*, and the printed changes of
# accuracy are as good as nothing. A pruned file with 32 bits should be compared with that, and not with the dense
# 32-bit file: half of a "saving by pruning" may be had for nothing. The two multiply, though: as long as the accuracy
# holds, the blue curve lies furthest to the left of the pruned ones. (At the far end, where the network is broken, zlib
# overtakes it.)
#
# ### The test images, once
#
# The 90% networks, read from the files, on the test images.

# %% tags=["experiment"]
test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))
test_scores = {
    (name, s): [accuracy(network_of(loaded_states[name, s, seed]), test_images, test_labels) for seed in SEEDS]
    for name, s in (("dense", 0), ("bitmask", 0.9), ("bitmask, 16 bits", 0.9))
}
for (name, s), values in test_scores.items():
    kilobytes = np.mean([sizes[name, s, seed] for seed in SEEDS]) / 1000
    print(f"{name:17} at {100 * s:2.0f} %: {spread([100 * value for value in values], ' %')} in {kilobytes:7.1f} kB")

# %% [markdown]
# **What we saw.** On these images the pruned network loses little, about the size of the spread; on the validation
# images, one cell earlier, 90% cost several times the spread. The three seeds see the same images, so the spread does
# not tell how much depends on the choice of images. Both together say: there is some loss, and these few images do not
# fix its size. Rounding to 16 bits does not show.
#
# ## Part 5 · Time
#
# ### Experiment: CSR, blocks, removed rows, dense
#
# Fewer bytes, fewer multiply-adds: is it faster? The CPU, one thread, PyTorch's own code:
#
# - *dense, with zeros*: the control. The same product as dense, with the zeros filled in. If it does not take the same
#   time, the measurement is bad.
# - *CSR* with indices of 64 bits (PyTorch's choice) and of 32 bits;
# - *blocks* (BSR): only whole 16 × 16 blocks are zero or not, and each stored block has one index;
# - *rows removed*: as many rows are gone, and a smaller dense matrix is left.
#
# Left and middle: a matrix of 2048 × 2048 with random masks, times 64 columns (a batch of 64) and times one column, a
# vector. Right: the real `fc1`, pruned by magnitude, one column. All with three masks or seeds. Each result is compared
# with the dense one before the clock starts, and the conversion is not timed. The methods are measured in turns. The
# small dots are the three masks, the line is their median.

# %% tags=["experiment"]
time_sparsities = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98]
BLOCK = 16


def random_keep(rows, cols, sparsity, generator):
    """A mask that keeps each place with probability 1 - sparsity."""
    return torch.rand(rows, cols, generator=generator) >= sparsity


def with_indices(csr, index):
    """A CSR tensor with indices of the given type."""
    return torch.sparse_csr_tensor(csr.crow_indices().to(index), csr.col_indices().to(index), csr.values(), size=csr.shape, check_invariants=True)


def candidates(weight, keep, blocks, sparsity):
    """{method: (its matrix, the dense matrix that it must agree with)}."""
    cut = weight.masked_fill(~keep, 0)
    rows, csr = weight[: round((1 - sparsity) * len(weight))].clone(), cut.to_sparse_csr()
    found = {
        "dense": (weight, weight), "dense, with zeros": (cut, cut), "CSR, 64 bits": (csr, cut),
        "CSR, 32 bits": (with_indices(csr, torch.int32), cut), "rows removed": (rows, weight[: len(rows)]),
    }
    if blocks is not None:
        cut_blocks = weight.masked_fill(~blocks.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1), 0)
        found["blocks 16 × 16"] = (cut_blocks.to_sparse_bsr((BLOCK, BLOCK)), cut_blocks)
    return found


def faster_than_dense(methods, x, **options):
    """How many times faster than dense each method is, after a check that it computes the right numbers."""
    x = x if MKL or x.dim() == 2 else x[:, None]
    for name, (matrix, same) in list(methods.items()):
        try:
            found = matrix @ x
        except RuntimeError:  # some builds of PyTorch lack this product
            del methods[name]
            continue
        torch.testing.assert_close(found, same @ x, rtol=1e-3, atol=1e-3)
    times = compare({name: lambda matrix=matrix: matrix @ x for name, (matrix, _) in methods.items()}, **options)
    return {name: speedup(times["dense"], timing)[1] for name, timing in times.items() if name != "dense"}


faster = {}  # (panel, method): [seeds, sparsities]
panels = ("2048 × 2048, 64 columns", "2048 × 2048, one column", "fc1, one column")
for seed, place in tqdm([(seed, place) for seed in SEEDS for place in range(len(time_sparsities))], desc="timing"):
    s = time_sparsities[place]
    generator = torch.Generator().manual_seed(100 * seed + place)
    weight = torch.randn(2048, 2048, generator=generator)
    methods = candidates(weight, random_keep(2048, 2048, s, generator), random_keep(128, 128, s, generator), s)
    real = candidates(layers[seed], magnitude_mask(layers[seed], s), None, s)
    for panel, (chosen, x, options) in zip(panels, (
        (methods, torch.randn(2048, 64, generator=generator), {"repeats": 9, "warmup": 2}),
        (methods, torch.randn(2048, generator=generator), {"repeats": 21, "warmup": 2}),
        (real, torch.randn(784, generator=generator), {"repeats": 15, "warmup": 2, "calls": 40}),
    )):
        for name, ratio in faster_than_dense(chosen, x, **options).items():
            faster.setdefault((panel, name), np.full((len(SEEDS), len(time_sparsities)), np.nan))[seed, place] = ratio

METHOD_COLOURS = {"rows removed": "green", "blocks 16 × 16": "purple", "CSR, 32 bits": "blue", "CSR, 64 bits": "vermilion",
                  "dense, with zeros": "black"}
fig, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharey=True)
for ax, panel in zip(axes, panels):
    for name, colour in METHOD_COLOURS.items():
        if (panel, name) in faster:
            ratios, x = faster[panel, name], 100 * np.array(time_sparsities)
            ax.plot(x, np.median(ratios, axis=0), color=COLOURS[colour], marker=MARKERS[list(COLOURS).index(colour)], label=name)
            ax.scatter(np.tile(x, len(SEEDS)), ratios.flatten(), color=COLOURS[colour], s=12, alpha=0.5)
    ax.axhline(1, color="grey", linestyle=":")
    ax.set_yscale("log")
    ax.set_yticks([0.2, 0.5, 1, 2, 5, 10, 20, 50, 100], ["0.2", "0.5", "1", "2", "5", "10", "20", "50", "100"])
    ax.minorticks_off()
    label_axes(ax, x="sparsity", x_unit="%", y="speed", y_unit="times dense, logarithmic", title=panel)
axes[0].legend(loc="upper left", fontsize=9)
for ax in axes[1:]:
    ax.set_ylabel("")
show(fig, alt="Speed relative to dense against sparsity, on logarithmic scales, for three products. Rows removed lies above 1 everywhere. "
     "With 64 columns CSR and blocks begin below 1 and cross it at a high sparsity; with one column they cross it earlier, 32-bit indices before 64-bit ones. "
     "The control, dense with zeros, stays near 1.")


def first_gain(ratios):
    """The first measured sparsity from which on a method is faster than dense, with every mask."""
    wins = (ratios > 1).all(axis=0)
    places = [place for place in range(len(wins)) if wins[place:].all()]
    return f"from {100 * time_sparsities[places[0]]:.0f} % on" if places else "nowhere"


for panel in panels:
    print(panel)
    for name in METHOD_COLOURS:
        if (panel, name) in faster:
            cells = "  ".join(f"{np.median(column):6.2f}" for column in faster[panel, name].T)
            verdict = "" if name == "dense, with zeros" else f"   faster with every mask: {first_gain(faster[panel, name])}"
            print(f"    {name:18} {cells}{verdict}")

# %% [markdown]
# **What we saw.** First the black line, dense with zeros: it should lie at 1. How far it strays is the noise of *your*
# measurement, and no difference smaller than that means anything. (Your machine may draw other curves than ours. Then
# yours are right, for your machine.)
#
# *Rows removed* is the only method that gains in every panel and at every sparsity. It is the same dense code on a
# smaller matrix, so nothing is lost to positions.
#
# *CSR with 64 columns* begins below dense, in spite of fewer multiply-adds. Probably this is why: dense code reads
# memory in order and works on many numbers with one instruction, and CSR jumps to where each column number points. It
# pays at a high sparsity only.
#
# *CSR with one column* does better. Each stored number is read once and used once, so probably the time goes into
# reading the matrix, and bytes count. With 32-bit indices it is as large as dense at 50%, and about there it begins to
# be as fast. For `fc1` on the right that comes later. Probably that matrix is so small that it stays in a cache near
# the processor, where reading is cheap and the jumps are not. And 64-bit indices are slower than their bytes explain.
# The documentation of `crow_indices` names a reason: Intel's library MKL, which does this product, takes 32-bit
# indices, and others must be cast down first. Look into what you measure.
#
# *Blocks* need fewer indices, and inside a block nothing jumps. Whether that helps is for your figure to say: it
# depends on the code behind it, and the sparsity must be pruned in blocks, which costs accuracy (Lab 2).
#
# So a break-even in bytes predicts a break-even in time only where the product is a matter of reading the matrix.
# Elsewhere it comes too early, and only a clock tells. Lab 14 asks the same of GPUs.
#
# ### Experiment: why one thread?
#
# All the times above used one thread, although the machine has more. This cell shows why. It times one dense product,
# with one thread and with as many as there are cores, each in four turns. Then it starts other work, one busy process
# for each core, and does it again.

# %% tags=["experiment"]
CORES = max(2, min(os.cpu_count() or 2, 16))
weight, x = torch.randn(1024, 1024), torch.randn(1024, 64)


def by_threads():
    """Times of single products in ms, {threads: list}, one thread and all threads in turns."""
    found = {1: [], CORES: []}
    for _ in range(4):
        for threads, times in found.items():
            times += [1e3 * t for t in measure(lambda: weight @ x, warmup=2, repeats=12, threads=threads).seconds]
    return found


busy, moments = [], {}
with tqdm(total=2, desc="quiet, then busy") as bar:
    moments["machine as it was"] = by_threads()
    bar.update()
    try:
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
        time.sleep(0.5)
        moments["other work running"] = by_threads()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    bar.update()

fig, ax = plt.subplots(figsize=(8.5, 3.8))
rows = [(moment, threads) for moment in moments for threads in moments[moment]][::-1]
for height, (moment, threads) in enumerate(rows):
    times = moments[moment][threads]
    colour = "blue" if threads == 1 else "vermilion"
    ax.scatter(times, height + np.linspace(-0.25, 0.25, len(times)), color=COLOURS[colour], s=14,
               marker=MARKERS[list(COLOURS).index(colour)], alpha=0.7)
    ax.plot([np.median(times)] * 2, [height - 0.4, height + 0.4], color="black")
ax.set_yticks(range(len(rows)), [f"{moment}\n{threads} thread{'s' if threads > 1 else ''}" for moment, threads in rows])
ax.set_xscale("log")
label_axes(ax, x="time of one product", x_unit="ms, logarithmic", y="what was running", y_unit="and threads")
ax.set_ylabel("")
show(fig, alt="Single times of one product as dots, on a logarithmic scale, with the median as a line, in four rows: one thread and all threads, "
     "on the machine as it was and beside other work. With all threads beside other work the times are spread widest.")

for moment, threads in rows[::-1]:
    low, median, high = np.percentile(moments[moment][threads], [25, 50, 75])
    print(f"{moment:19} {threads:2} thread(s): median {median:8.2f} ms, quartiles {low:8.2f} to {high:8.2f} ms, longest {max(moments[moment][threads]):8.2f} ms")

# %% [markdown]
# **What we saw.** Compare the four rows. Several threads share one product, and the product is done when the last of
# them is. If one of them is put aside by the operating system, because other work wants its core, then all the others
# wait for it, for milliseconds, in a product that takes about one. One thread is put aside too, but nobody waits for
# it, and most of its products fall between two interruptions. So on a busy machine the times of several threads tell
# about the operating system, not about the product: they come in jumps and can be many times longer than with one
# thread.
#
# (On a machine that is quiet and has many cores, all threads may well be the fastest row. Then the question is what
# your readers' machine does.) The rules that follow: one thread for comparisons, methods in turns, the median and not
# the mean, and the spread beside it.

# %% [markdown] tags=["question"]
# ### Written question
#
# Your pruned MLP (90% of its weights are zero, at any places) is to be used in three ways: (i) it is sent to a million
# phones, which unpack it into a dense network; (ii) it runs on a server's CPU, one image at a time; (iii) it goes to a
# GPU with 2:4 support. Answer in about twenty lines. (a) For each, choose how to store it, with numbers from your own
# measurements (for (iii) bytes only), and name what your choice does *not* save. (b) For which of the three would you go
# back and prune differently, and how? (c) A report says: "pruning 90% makes the file 10 times smaller and the network
# 10 times faster". Correct both halves with your figures, and name one baseline that the report should have included.

# %% [markdown] tags=["written"] points=3 grade_id="three_uses"
# **Model answer.** (a) (i) The bitmask with 16-bit values (and zlib on top costs nothing to try): it is the leftmost
# curve as long as the accuracy holds, and unpacking is simple. It saves bytes on the way, not memory on the phone and
# not time, since the phone unpacks to dense. (ii) By bytes CSR with 32-bit indices is at about a fifth of dense at 90%,
# and the bitmask is smaller still, but cannot be multiplied as it is. Whether CSR is also faster must be read from the
# right panel (`fc1`, one column): in ours it is at 90% with 32-bit indices, by a small factor, and with 64-bit ones
# hardly; where it is not, dense is the right choice. (iii) 2:4, 53% of dense with 32-bit values, 56% with 16 bits. It
# does not use that 90% are zero: two of four are stored anyway.
#
# (b) For (iii): a fine-grained mask at 90% does not fit 2:4, some groups have three nonzeros. Prune to 2:4 from the
# beginning, and fine-tune. Also for (ii): remove rows (neurons); that is the only method faster at every sparsity in
# our figure, at a price in accuracy (Labs 2, 7). Either one with its reason is right.
#
# (c) File: 10 times is what the values alone would give; with positions it is less (the bitmask about 7.5 times with
# 32-bit values, CSR with 64-bit indices about 3 times). Time: removing rows gives up to about ten; CSR gives far less
# at 90%, or nothing, depending on the shape and the index. Missing baselines: dense with 16 bits, or the zipped dense
# file; for the time the dense network with zeros, or a smaller dense network.
#
# **Points.** 1 for (a): three choices with numbers and what each does not save. 1 for (b): a use for which the mask
# must be planned for the format. 1 for (c): positions in the file, measured times, and a baseline.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json


def summary(values):
    """Mean and standard deviation over the seeds, and the single values, as fractions."""
    values = [round(float(value), 6) for value in values]
    return {"mean": round(float(np.mean(values)), 6), "sd": round(float(np.std(values, ddof=1)), 6), "seeds": values}


def key_of(text):
    """A name as a key: no blanks, no commas."""
    return str(text).replace(", ", "_").replace(" × ", "x").replace(" ", "_").replace(".", "_")


def percent(sparsity):
    return f"{100 * sparsity:g}"


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab13_sparse_storage.py",
        "unit": "fractions; bytes as a fraction of dense storage; speed in units of dense; sd is the standard deviation over seeds (n - 1)",
        "images": {"train": len(train_images), "validation": len(images), "test": len(test_images)},
        "rows_at_90": {
            name: {
                "fullest": summary([c.max() / SHAPE[1] for c in counts]), "emptiest": summary([c.min() / SHAPE[1] for c in counts])
            }
            for name, counts in row_counts.items()
        },
        "files_that_differ": differ / compared,
        "bytes": {
            str(bits): {
                **{
                    key_of(name): {percent(s): round(files[name, bits][s] / files["dense", bits][s], 6) for s in sparsities}
                    for name in WIDTHS
                },
                "zlib": {percent(s): summary(np.array(zipped[bits][s]) / files["dense", bits][s]) for s in sparsities},
            }
            for bits in (32, 16)
        },
        "break_even": {
            str(bits): {
                key_of(name): dict(zip(("short", "formula", "files"), (round(v, 6) for v in crossings[name, bits]))) for name in WIDTHS
            }
            for bits in (32, 16)
        },
        "two_four": {
            "misfits": {percent(s): summary(column / 100) for s, column in zip(fit_sparsities, misfits.T)},
            "chance": {percent(s): round(value / 100, 6) for s, value in zip(fit_sparsities, chance)},
            "bytes": {str(bits): round(packed_bytes["2:4", bits] / (ENTRIES * bits // 8), 6) for bits in (32, 16)},
        },
        "two_zeros": {
            key_of(way): {
                "bytes": summary(np.array(zero_files[way]) / dense_file),
                "minus_zeros": summary(np.array(minus_zeros[way]) / sum(w.numel() for w in prunable_weights(networks[0]).values())),
            }
            for way in zero_files
        },
        "networks": {
            key_of(name): {
                percent(s): {
                    "bytes": summary([sizes[name, s, seed] / sizes["dense", 0, seed] for seed in SEEDS]),
                    "accuracy": summary([scores[name, s, seed] for seed in SEEDS]),
                }
                for s in file_sparsities
            }
            for name in WRITERS
        },
        "rounding_to_16_bits": {
            "largest_change": round(max(map(abs, rounding)) / 100, 6),
        },
        "test": {f"{key_of(name)}_{percent(s)}": summary(values) for (name, s), values in test_scores.items()},
        "speed": {
            key_of(panel): {
                key_of(name): {percent(s): summary(column) for s, column in zip(time_sparsities, faster[panel, name].T)}
                for name in METHOD_COLOURS if (panel, name) in faster
            }
            for panel in panels
        },
        "threads": {
            key_of(moment): {
                "all" if threads > 1 else "one": {
                    f"quartile_{q}": round(float(np.percentile(times, 25 * q) / np.median(moments["machine as it was"][1])), 4)
                    for q in (1, 2, 3)
                }
                for threads, times in moments[moment].items()
            }
            for moment in moments
        },
    }
    Path(folder, "lab13_sparse_storage.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A nonzero costs its value and its place.** Bytes follow from a formula, exactly; solve it before you choose a
#   format.
# - **Break-even depends on the widths.** For values of 32 bits a bitmask pays from a few percent on; CSR with 32-bit
#   indices from one half; PyTorch's CSR with 64-bit indices from two thirds. Shorter values move all of them up.
# - **2:4 takes the bytes of a bitmask.** It buys regularity, not size, and a mask must be made for it.
# - **Without loss means bit by bit.** $-0.0$ is not $0.0$. Fill zeros in; a product with a mask leaves signs behind.
# - **Bytes are not time.** Removing rows is faster at every sparsity. CSR is faster from some sparsity on, and where
#   that is depends on the shape, on the number of columns and on the width of its indices.
# - **Compare with cheap baselines**: 16 bits, and zip. And measure with one thread.
#
# Lab 14 measures the same formats on a GPU.
#
# **Read next.** Han et al. (2016), section 2, for positions in few bits. Mishra et al. (2021), for what the hardware
# does with the packed arrays. Gale et al. (2020), for how a sparse product is made fast. Hoefler et al. (2021),
# [arXiv:2102.00554](https://arxiv.org/abs/2102.00554), for a survey of formats. The lecture note of this lab
# (`lecture_notes/lab13_sparse_storage.md` in the course's repository) works small examples by hand.
