"""Take the README's picture: lab 3, solved and run, in JupyterLab. `python -m autograder.picture`."""

from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from autograder.browser import browser_page, jupyterlab, open_notebook
from autograder.kernel import run_notebook
from autograder.labs import ROOT, find_lab
from autograder.release import release
from autograder.submission import solve
from autograder.weave import weave

PICTURED = "one layer alone is pruned"  # in the alt text of the figure that is shown


def main() -> None:
    lab = find_lab("lab03")
    with TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        release([lab], bundle)
        names = [exercise.name for exercise in weave(lab).exercises]
        solved = solve(nbformat.read(lab.notebook, as_version=4), lab, names)
        run_notebook(solved, lab.stem, cwd=str(bundle), whole=True, timeout=300)
        for cell in solved.cells:
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("points"):
                cell.outputs = []  # a learner sees no verdict there
        nbformat.write(solved, bundle / lab.notebook.name)
        with jupyterlab(bundle) as address, browser_page(width=1360, height=1080) as page:
            open_notebook(page, address, lab.notebook.name)
            page.keyboard.press("Control+b")  # more room: no file browser
            page.locator(f"img[alt*='{PICTURED}']").scroll_into_view_if_needed()
            page.wait_for_timeout(1000)
            page.screenshot(path=ROOT / "README.png")


if __name__ == "__main__":
    main()
