"""Importing the package is free: the heavy modules come only with what needs them."""

import subprocess
import sys
from pathlib import Path

import labkit


def test_importing_labkit_loads_nothing_heavy():
    script = "import sys, labkit; print(*{'torch', 'numpy', 'matplotlib', 'IPython'} & set(sys.modules))"
    root = Path(labkit.__file__).parents[1]
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == ""
