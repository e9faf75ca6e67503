"""Record how fast sparse products are on the machine at hand: python -m labkit.gpu_speedup --out FILE

The record is a JSON file that lab 14 reads from data/gpu_speedup/. Each figure is a median with its quartiles, beside the
dense product, measured in turns with it, and beside the ceilings of the same run: a large copy and a large dense
product. The protocol is that of labkit.timing, with CUDA events as the clock on a GPU; operands rotate, so that they come from
memory and not from the cache; conversion is timed apart; correctness comes before speed. What the machine or the
build lacks, or has no memory for, stands in the record with the reason.
"""

import argparse
import itertools
import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch
from tqdm.auto import tqdm

from labkit import sparse_products as products
from labkit.speed_records import SCHEMA, check_record
from labkit.timing import Timing, cpu_threads, speedup

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DEFAULTS = {  # device: what is measured unless the command line says otherwise; shapes that fill the chip
    "cuda": {"shapes": [(4096, 4096), (16384, 4096)], "copy_mib": 1024, "product_size": 8192},
    "cpu": {"shapes": [(2048, 2048), (4096, 1024)], "copy_mib": 64, "product_size": 1024},
}
CPU_CACHE = 32 * 2**20  # bytes that operands must outgrow where the cache's size cannot be asked for
MOST_COPIES = 1024
LEAST_SECONDS = 0.002  # a timing makes as many calls as fill this time


class Stopwatch:
    """Times functions in turns on one device."""

    def __init__(self, device: torch.device, rounds: int, threads: int):
        self.device, self.rounds, self.threads = device, rounds, threads

    def elapsed(self, function: Callable[[], object], calls: int) -> float:
        """Seconds of some consecutive calls together, all their work included."""
        if self.device.type != "cuda":
            start = time.perf_counter()
            for _ in range(calls):
                function()
            return time.perf_counter() - start
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(self.device)
        begin.record()
        for _ in range(calls):
            function()
        end.record()
        torch.cuda.synchronize(self.device)
        return begin.elapsed_time(end) / 1e3  # milliseconds

    def in_turns(self, functions: dict[str, Callable[[], object]]) -> dict[str, Timing]:
        """Time some functions in turns, after a warm-up of each that also finds how many calls fill a timing."""
        calls = {}
        for name, function in functions.items():
            self.elapsed(function, 3)
            calls[name] = 1
            while min(self.elapsed(function, calls[name]) for _ in range(2)) < LEAST_SECONDS:
                calls[name] *= 2
        seconds = {name: [] for name in functions}
        for _ in range(self.rounds):
            for name, function in functions.items():
                seconds[name].append(self.elapsed(function, calls[name]) / calls[name])
        return {name: Timing(tuple(times), self.threads) for name, times in seconds.items()}


def rotating(build: Callable[[], torch.Tensor], x: torch.Tensor, cache: int) -> Callable[[], torch.Tensor]:
    """A product whose operands are other copies in every call, together twice as large as the cache."""
    first = build()
    wanted = math.ceil(2 * cache / (products.stored_bytes(first) + x.nbytes))
    copies = min(MOST_COPIES, max(1, wanted))
    pairs = [(first, x), *((build(), x.clone()) for _ in range(copies - 1))]
    turn = itertools.cycle(pairs)

    def product():
        stored, column = next(turn)
        return stored @ column

    return product


def quartiles(timing: Timing) -> list[float]:
    """First quartile, median and third quartile, in seconds."""
    low, high = timing.quartiles
    return [low, timing.median, high]


def measure_case(
    watch: Stopwatch, cache: int, weight, x, dense, layout: str, sparsity: float, seed: int
) -> dict:
    """Measure one format at one sparsity against the dense product, once its result is known to be right."""
    generator = torch.Generator(watch.device).manual_seed(seed)
    mask = products.random_mask(layout, *weight.shape, sparsity, generator)
    masked = weight * mask
    stored = products.store(masked, layout)
    error = products.relative_error(stored @ x, products.expected(masked, x, layout))
    if error > products.TOLERANCE[weight.dtype]:
        raise ArithmeticError(f"a wrong result: the relative error is {error:.1e}")
    size = products.stored_bytes(stored)
    candidate = rotating(lambda: products.another(stored, masked, layout), x, cache)
    times = watch.in_turns({"dense": dense, "candidate": candidate})
    convert = [watch.elapsed(lambda: products.store(masked, layout), 1) for _ in range(5)]
    low, middle, high = speedup(times["dense"], times["candidate"])
    return {
        "kept": int(mask.sum()),
        "stored_bytes": size,
        "relative_error": error,
        "seconds": quartiles(times["candidate"]),
        "dense_seconds": quartiles(times["dense"]),
        "speedup": [low, middle, high],
        "convert_seconds": quartiles(Timing(tuple(convert), watch.threads)),
    }


def attempt(function: Callable[[], dict], device: torch.device) -> dict:
    """What the function measures; or, where the machine cannot, {"not_measured": the reason}."""
    try:
        return function()
    except Exception as error:  # whatever a chip, a build or its memory cannot do: it goes into the record
        why = products.reason(error)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # after running out of memory
    return {"not_measured": why}


def measure_ceilings(watch: Stopwatch, dtypes: list[str], copy_mib: int, product_size: int) -> dict:
    """The limits of this machine in this run: bytes that a large copy moves, multiply-adds of a large dense product."""

    def copy() -> dict:
        source = torch.randn(copy_mib * 2**18, device=watch.device)  # float32
        target = torch.empty_like(source)
        timing = watch.in_turns({"copy": lambda: target.copy_(source)})["copy"]
        moved = 2 * source.nbytes  # read and written
        return {"bytes": moved, "seconds": quartiles(timing), "bytes_per_second": moved / timing.median}

    def product(dtype: torch.dtype) -> dict:
        a, b = (torch.randn(product_size, product_size, device=watch.device).to(dtype) for _ in range(2))
        timing = watch.in_turns({"product": lambda: a @ b})["product"]
        macs = product_size**3
        return {"macs": macs, "seconds": quartiles(timing), "macs_per_second": macs / timing.median}

    return {
        "copy": attempt(copy, watch.device),
        "product": {name: attempt(lambda name=name: product(DTYPES[name]), watch.device) for name in dtypes},
    }


def measure_all(watch: Stopwatch, options: argparse.Namespace, cache: int) -> list[dict]:
    """One entry for each dtype, shape, batch, format and sparsity."""
    cases = [
        (layout, s)
        for layout in options.formats
        for s in ([0.5] if layout == products.TWO_FOUR else options.sparsities)
    ]
    settings = list(itertools.product(options.dtypes, options.shapes, options.batches))
    found = []
    with tqdm(total=len(settings) * len(cases), desc="recording", disable=not options.progress) as bar:
        for dtype, (rows, cols), batch in settings:
            names = {"dtype": dtype, "rows": rows, "cols": cols, "batch": batch}

            def operands(dtype=dtype, rows=rows, cols=cols, batch=batch):
                generator = torch.Generator(watch.device).manual_seed(options.seed)
                weight, x = (
                    torch.randn(*shape, generator=generator, device=watch.device).to(DTYPES[dtype])
                    for shape in ((rows, cols), (cols, batch))
                )
                return {"weight": weight, "x": x, "dense": rotating(weight.clone, x, cache)}

            dense = attempt(operands, watch.device)
            for layout, s in cases:
                bar.update()
                outcome = dense
                if "not_measured" not in dense:
                    outcome = attempt(
                        lambda dense=dense, layout=layout, s=s: measure_case(
                            watch, cache, **dense, layout=layout, sparsity=s, seed=options.seed
                        ),
                        watch.device,
                    )
                found.append({"format": layout, **names, "sparsity": s, **outcome})
            del dense
    return found


def describe_machine(device: torch.device, threads: int, cache: int) -> dict:
    """The chip, its driver, and the versions of what runs on it."""
    found = {
        "device": device.type, "chip": cpu_name(), "driver": None, "memory_bytes": None, "compute_capability": None,
        "max_clock": None, "cuda": torch.version.cuda, "cusparselt": None, "cache_bytes": cache, "threads": threads,
        "torch": torch.__version__, "python": platform.python_version(), "system": platform.platform(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
    }  # fmt: skip
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        query = output_of("nvidia-smi", "--query-gpu=driver_version,clocks.max.sm", "--format=csv,noheader")
        driver, _, clock = (
            (query or "").splitlines()[0].partition(", ") if query else ("unknown", "", "unknown")
        )
        found |= {
            "chip": properties.name, "memory_bytes": properties.total_memory, "driver": driver, "max_clock": clock,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cusparselt": torch.backends.cusparselt.version() if torch.backends.cusparselt.is_available() else None,
        }  # fmt: skip
    return found


def cpu_name() -> str:
    """The processor's name, as the system knows it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def output_of(*command: str) -> str | None:
    """What a command prints, or None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def commit() -> str:
    """The commit of this code, with "+" where files have changed since; "unknown" outside of a clone."""
    here = str(Path(__file__).parent)
    head = output_of("git", "-C", here, "rev-parse", "HEAD")
    changed = output_of("git", "-C", here, "status", "--porcelain", "--untracked-files=no")
    return f"{head}{'+' if changed else ''}" if head else "unknown"


def record(options: argparse.Namespace) -> dict:
    """Measure everything that the options ask for, and return the record."""
    device = torch.device(options.device)
    cache = CPU_CACHE
    if device.type == "cuda":
        cache = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) or CPU_CACHE
    watch = Stopwatch(device, options.rounds, options.threads)
    with torch.no_grad(), cpu_threads(options.threads):
        made = {
            "schema": SCHEMA,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "command": ["python", "-m", "labkit.gpu_speedup", *options.arguments],
            "machine": describe_machine(device, options.threads, cache),
            "protocol": {"rounds": options.rounds, "least_seconds": LEAST_SECONDS, "seed": options.seed},
            "ceilings": measure_ceilings(watch, options.dtypes, options.copy_mib, options.product_size),
            "measurements": measure_all(watch, options, cache),
        }
    check_record(made)
    return made


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what makes no sense ends the process with status 2 and a sentence."""

    def listed(kind: Callable[[str], object]) -> Callable[[str], list]:
        return lambda text: [kind(part.strip()) for part in text.split(",")]

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
        return int(text)

    def shape(text: str) -> tuple[int, int]:
        rows, _, cols = text.partition("x")
        return count(rows), count(cols)

    def sparsity(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no sparsity between 0 and 1")
        return value

    def one_of(names) -> Callable[[str], str]:
        def check(text: str) -> str:
            if text not in names:
                raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
            return text

        return check

    parser = argparse.ArgumentParser(prog="python -m labkit.gpu_speedup", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="the JSON file to write; its folder is made if need be"
    )
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument(
        "--shapes", type=listed(shape), help="rows x cols of the weight: 4096x4096,16384x4096"
    )
    parser.add_argument("--batches", type=listed(count), default=[1, 16, 256, 2048, 8192])
    parser.add_argument("--dtypes", type=listed(one_of(DTYPES)), default=list(DTYPES))
    parser.add_argument("--formats", type=listed(one_of(products.FORMATS)), default=list(products.FORMATS))
    parser.add_argument("--sparsities", type=listed(sparsity), default=[0.5, 0.75, 0.9, 0.95, 0.99])
    parser.add_argument("--rounds", type=count, default=30, help="timings of each function")
    parser.add_argument("--threads", type=count, default=1, help="CPU threads")
    parser.add_argument("--copy-mib", type=count, help="size of the large copy")
    parser.add_argument("--product-size", type=count, help="rows and columns of the large dense product")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-progress", dest="progress", action="store_false")
    options = parser.parse_args(arguments, argparse.Namespace(arguments=arguments))
    for name, value in DEFAULTS[options.device].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here")
    if options.out.is_dir():
        parser.error(f"{options.out} cannot be written: it is a folder")
    nearest = next(folder for folder in options.out.absolute().parents if folder.exists())
    if not nearest.is_dir():
        parser.error(f"{options.out} cannot be written: {nearest} is a file, not a folder")
    return options


def main(arguments: list[str]) -> int:
    """Record, write, and say in one line what there is."""
    options = parse(arguments)
    made = record(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    part = options.out.with_name(f"{options.out.name}.part")
    part.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    part.replace(options.out)  # a record is there whole or not at all
    entries = made["measurements"]
    missing = sum("not_measured" in entry for entry in entries)
    print(
        f"{options.out}: {len(entries)} cases on {made['machine']['chip']}, {missing} of them not measured (see why in it)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
