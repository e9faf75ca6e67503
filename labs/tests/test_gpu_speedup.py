"""The recorder and its records, on the CPU with small shapes; no time is ever compared with a constant."""

import copy
import json

import pytest
import torch

from labkit import gpu_speedup, sparse_products
from labkit.gpu_speedup import Stopwatch, main, rotating
from labkit.sparse_products import BLOCK, BSR, CSR, DENSE_WITH_ZEROS, FORMATS, REMOVED, TWO_FOUR
from labkit.speed_records import check_record, read_records, speedups_of

SMALL = [
    "--device", "cpu", "--shapes", "32x64", "--batches", "1,3", "--dtypes", "float32", "--sparsities", "0.5,0.75",
    "--rounds", "2", "--copy-mib", "1", "--product-size", "16", "--no-progress",
]  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A timing is one or two calls, and few copies of the operands are made."""
    monkeypatch.setattr(gpu_speedup, "LEAST_SECONDS", 1e-7)
    monkeypatch.setattr(gpu_speedup, "CPU_CACHE", 2**14)


def recorded(folder, *more) -> dict:
    """Run the recorder and return what it wrote."""
    path = folder / "record.json"
    assert main([*SMALL, "--out", str(path), *more]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_case_is_in_the_record_measured_or_with_a_reason(tmp_path, capsys):
    made = recorded(tmp_path)
    cases = [(e["format"], e["batch"], e["sparsity"]) for e in made["measurements"]]
    assert sorted(cases) == sorted(
        (layout, batch, s)
        for layout in FORMATS
        for batch in (1, 3)
        for s in ([0.5] if layout == TWO_FOUR else [0.5, 0.75])
    )
    for entry in made["measurements"]:
        assert (entry["rows"], entry["cols"], entry["dtype"]) == (32, 64, "float32")
        if entry["format"] != TWO_FOUR:
            assert entry["kept"] == round((1 - entry["sparsity"]) * 32 * 64)
            assert entry["relative_error"] < 1e-4
    assert made["machine"]["device"] == "cpu" and made["machine"]["chip"] and made["machine"]["threads"] == 1
    assert made["machine"]["torch"] == torch.__version__ and made["commit"]
    assert made["ceilings"]["copy"]["bytes"] == 2 * 2**20
    assert "2 of them not measured" in capsys.readouterr().out  # 2:4, for two batches
    assert read_records(tmp_path) == {"record": made}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
def test_what_the_machine_lacks_is_named(tmp_path):
    made = recorded(tmp_path, "--dtypes", "bfloat16", "--formats", "CSR,2:4")
    reasons = {e["format"]: e["not_measured"] for e in made["measurements"]}
    assert "Only CUDA tensors" in reasons["2:4"]
    assert "BFloat16" in reasons["CSR"]


@pytest.mark.parametrize(
    "error", [NotImplementedError("no such kernel\nmore"), torch.OutOfMemoryError("Tried to allocate 1 TiB")]
)
def test_a_format_that_fails_is_named_and_the_others_are_measured(tmp_path, monkeypatch, error):
    store = sparse_products.store

    def without_csr(weight, layout):
        if layout == CSR:
            raise error
        return store(weight, layout)

    monkeypatch.setattr(sparse_products, "store", without_csr)
    made = recorded(tmp_path, "--formats", "CSR,BSR")
    first = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    assert {e.get("not_measured") for e in made["measurements"] if e["format"] == CSR} == {first}
    assert all("speedup" in e for e in made["measurements"] if e["format"] == BSR)


def test_a_shape_without_memory_is_named_for_every_format(tmp_path, monkeypatch):
    def no_memory(build, x, cache):
        raise torch.OutOfMemoryError("Tried to allocate 1 TiB")

    monkeypatch.setattr(gpu_speedup, "rotating", no_memory)
    made = recorded(tmp_path)
    assert {e["not_measured"] for e in made["measurements"]} == {"OutOfMemoryError: Tried to allocate 1 TiB"}


def test_a_wrong_product_gets_no_time(tmp_path, monkeypatch):
    store = sparse_products.store
    monkeypatch.setattr(sparse_products, "store", lambda weight, layout: 2 * store(weight, layout))
    made = recorded(tmp_path, "--formats", "channels removed")
    assert all("a wrong result" in e["not_measured"] and "seconds" not in e for e in made["measurements"])


@pytest.mark.parametrize(
    "bad",
    [
        ["--shapes", "32"], ["--shapes", "0x4"], ["--batches", "1,-2"], ["--batches", "many"], ["--dtypes", "int8"],
        ["--formats", "COO"], ["--sparsities", "0"], ["--sparsities", "1.5"], ["--sparsities", "nan"],
        ["--sparsities", "half"], ["--rounds", "0"], ["--threads", "0"], ["--copy-mib", "0"], ["--device", "tpu"],
        ["--out", f"{__file__}/record.json"], ["--out", f"{__file__}/folder/record.json"], ["--out", "/"], ["--unknown"],
    ],
)  # fmt: skip
def test_bad_arguments_exit_with_status_2_and_write_nothing(tmp_path, capsys, bad):
    with pytest.raises(SystemExit) as stopped:
        main([*SMALL, "--out", str(tmp_path / "record.json"), *bad])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_made(tmp_path):
    path = tmp_path / "data" / "gpu_speedup" / "chip.json"
    assert main([*SMALL, "--formats", "CSR", "--out", str(path)]) == 0
    assert list(read_records(path.parent)) == ["chip"]


def test_the_file_must_be_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2 and "--out" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
def test_a_device_that_is_not_there_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*SMALL, "--out", str(tmp_path / "record.json"), "--device", "cuda"])
    assert stopped.value.code == 2 and "no CUDA device" in capsys.readouterr().err


def test_on_a_gpu_events_are_the_clock_and_the_queue_is_empty_before_and_after(monkeypatch):
    journal = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            journal.append("event")

        def elapsed_time(self, later):
            return 3000.0  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: journal.append("synchronize"))
    watch = Stopwatch(torch.device("cuda"), rounds=1, threads=1)
    assert watch.elapsed(lambda: journal.append("call"), 2) == 3.0
    assert journal == ["synchronize", "event", "call", "call", "event", "synchronize"]


def test_functions_take_turns_and_a_timing_is_the_mean_of_its_calls(monkeypatch):
    journal, lasts = [], {"a": 2e-7, "b": 3e-8}
    watch = Stopwatch(torch.device("cpu"), rounds=3, threads=1)

    def elapsed(function, calls):
        journal.append(function())
        return calls * lasts[journal[-1]]

    monkeypatch.setattr(watch, "elapsed", elapsed)
    times = watch.in_turns({"a": lambda: "a", "b": lambda: "b"})
    assert "".join(journal).endswith("ababab") and journal[0] == "a"
    assert {name: timing.median for name, timing in times.items()} == pytest.approx(lasts)


def test_operands_rotate_past_the_cache():
    built = []

    def build():
        built.append(torch.full((4, 4), float(len(built))))
        return built[-1]

    product = rotating(build, torch.ones(4, 1), cache=200)  # 64 + 16 bytes a pair: five pairs are 400 bytes
    assert [product()[0, 0].item() for _ in range(7)] == [0, 4, 8, 12, 16, 0, 4]
    assert len(built) == 5
    rotating(build, torch.ones(4, 1), cache=10**9)
    assert len(built) == 5 + gpu_speedup.MOST_COPIES


# --- the products ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [DENSE_WITH_ZEROS, REMOVED, CSR, BSR])
@pytest.mark.parametrize("sparsity", [0.3, 0.75])
def test_a_random_mask_removes_the_groups_of_its_format_and_as_many_as_it_should(layout, sparsity):
    mask = sparse_products.random_mask(layout, 48, 64, sparsity, torch.Generator().manual_seed(1))
    high, wide = {REMOVED: (1, 64), BSR: (BLOCK, BLOCK)}.get(layout, (1, 1))
    groups = mask.unfold(0, high, high).unfold(1, wide, wide).flatten(2)
    assert torch.equal(groups.any(2), groups.all(2))
    assert int((~groups.all(2)).sum()) == round(sparsity * groups[..., 0].numel())
    other = sparse_products.random_mask(layout, 48, 64, sparsity, torch.Generator().manual_seed(2))
    assert not torch.equal(mask, other)


def test_a_random_2_4_mask_keeps_two_of_every_four():
    mask = sparse_products.random_mask(TWO_FOUR, 32, 64, 0.5, torch.Generator().manual_seed(1))
    assert (mask.view(32, 16, 4).sum(2) == 2).all()
    assert len(mask.view(-1, 4).unique(dim=0)) == 6  # every way to keep two of four


@pytest.mark.parametrize(
    ("layout", "cols", "sparsity"), [(TWO_FOUR, 6, 0.5), (TWO_FOUR, 8, 0.75), (BSR, 24, 0.5), ("COO", 8, 0.5)]
)
def test_a_mask_that_a_format_cannot_have_is_refused(layout, cols, sparsity):
    with pytest.raises(ValueError, match=r"format|blocks|2:4"):
        sparse_products.random_mask(layout, 32, cols, sparsity, torch.Generator())


@pytest.mark.parametrize("layout", [DENSE_WITH_ZEROS, REMOVED, CSR, BSR])
def test_a_stored_weight_multiplies_as_the_dense_one(layout):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(32, 48, generator=generator)
    weight = weight * sparse_products.random_mask(layout, 32, 48, 0.5, generator)
    x = torch.randn(48, 5, generator=generator)
    stored = sparse_products.store(weight, layout)
    reference = sparse_products.expected(weight, x, layout)
    assert sparse_products.relative_error(stored @ x, reference) < 1e-5
    assert sparse_products.relative_error((stored @ x)[1:], reference) == float("inf")
    kept, dense = int((weight != 0).sum()), 32 * 48 * 4
    bytes_of = {
        DENSE_WITH_ZEROS: dense, REMOVED: dense // 2, CSR: 8 * kept + 4 * 33, BSR: 4 * kept + 4 * kept // 256 + 4 * 3,
    }  # fmt: skip
    assert sparse_products.stored_bytes(stored) == bytes_of[layout]


def test_a_result_that_is_not_a_number_is_no_agreement():
    assert sparse_products.relative_error(torch.tensor([float("nan")]), torch.ones(1)) == float("inf")


# --- reading ---------------------------------------------------------------------------------------------------


def test_without_a_folder_or_a_record_nothing_is_read(tmp_path):
    assert read_records(tmp_path / "missing") == read_records(tmp_path) == {}


def test_a_file_that_is_no_record_is_refused_by_name(tmp_path):
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="bad.json is no speed record"):
        read_records(tmp_path)


def test_the_speed_ups_of_one_dtype_and_batch_are_those_of_the_first_shape(tmp_path):
    made = recorded(
        tmp_path, "--shapes", "32x64,64x64", "--sparsities", "0.75,0.5", "--formats", "CSR,2:4,BSR"
    )
    found = speedups_of(made, dtype="float32", batch=3)
    first = [e for e in made["measurements"] if e["rows"] == 32 and e["batch"] == 3 and e["format"] == CSR]
    assert found[CSR][0] == [0.5, 0.75]
    assert [list(column) for column in zip(*found[CSR][1:])] == [first[1]["speedup"], first[0]["speedup"]]
    assert set(found) >= {CSR, BSR}
    if not torch.cuda.is_available():
        assert set(found) == {CSR, BSR}
    assert speedups_of(made, dtype="float64", batch=3) == {}


DELETED = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], 2, "schema is 2"), (["commit"], DELETED, "lacks commit"), (["machine", "chip"], DELETED, "lacks chip"),
        (["ceilings", "copy"], [], "a ceiling is no JSON object"),
        (["ceilings", "copy", "bytes_per_second"], DELETED, "lacks bytes_per_second"),
        (["ceilings", "product", "float32", "seconds"], [1, 2], "three numbers"),
        (["measurements"], {}, "no list"), (["measurements", 0, "batch"], DELETED, "measurement 0 lacks batch"),
        (["measurements", 0, "seconds"], DELETED, "measurement 0 lacks seconds"),
        (["measurements", 0, "speedup"], [2.0, 1.0, 3.0], "rising order"),
        (["measurements", 0, "seconds"], [1.0, float("nan"), 3.0], "three numbers"),
        (["measurements", 0, "dense_seconds"], [-1.0, 1.0, 3.0], "rising order"),
    ],
)  # fmt: skip
def test_a_record_that_is_not_whole_is_refused(record, path, value, message):
    made = copy.deepcopy(record)
    *parents, last = path
    part = made
    for key in parents:
        part = part[key]
    if value is DELETED:
        del part[last]
    else:
        part[last] = value
    check_record(record)
    with pytest.raises(ValueError, match=message):
        check_record(made)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A record of one case."""
    folder = tmp_path_factory.mktemp("record")
    assert main([*SMALL, "--formats", "CSR", "--out", str(folder / "one.json")]) == 0
    return json.loads((folder / "one.json").read_text(encoding="utf-8"))
