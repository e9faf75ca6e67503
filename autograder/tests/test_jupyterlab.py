"""JupyterLab in a real browser: the released notebook opens, teaches on a wrong answer, and Validate works."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from autograder.release import release
from autograder.submission import answer_text, fill, reference_text

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")

# Every cell stays on the page, so that the test can read it; and nothing is asked of the network.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser: install Debian's package chromium"),
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def jupyterlab(lab, tmp_path_factory):
    """JupyterLab on a released bundle: (its address, the bundle's folder)."""
    folder = tmp_path_factory.mktemp("learner") / "bundle"
    release([lab], folder)
    port = free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}",
    ]  # fmt: skip
    home = tmp_path_factory.mktemp("home")
    for name, settings in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
    }  # fmt: skip
    log = (home / "jupyterlab.log").open("w")
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api").close()
                break
            assert server.poll() is None, (home / "jupyterlab.log").read_text()
            time.sleep(0.2)
        yield address, folder
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


@pytest.fixture(scope="module")
def page(jupyterlab):
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    flags += ["--no-first-run", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def open_notebook(page, jupyterlab, lab, answers: dict[str, str]) -> None:
    """Write answers into the bundle's notebook, as a learner would, open it, and run all its cells."""
    address, folder = jupyterlab
    path = folder / lab.notebook.name
    notebook = nbformat.read(lab.notebook, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "experiment" not in cell.metadata.get("tags", [])]
    notebook = fill(notebook, answers)
    for cell in notebook.cells:
        if cell.source == "YOUR ANSWER HERE":
            cell.source = "The layers with many weights and a flat curve come first."
    nbformat.write(notebook, path)
    page.goto(f"{address}/lab/workspaces/auto-{time.monotonic_ns()}/tree/{lab.notebook.name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")


def validate(page) -> str:
    """Press nbgrader's Validate button; return the text of the dialog."""
    page.get_by_role("button", name="Validate").click()
    dialog = page.locator(".jp-Dialog-content").filter(has_text="Validation")
    dialog.wait_for(timeout=120_000)
    text = dialog.inner_text()
    dialog.get_by_role("button").last.click()
    return text


def test_a_wrong_answer_is_told_what_is_wrong_and_a_right_one_passes(page, jupyterlab, lab, tmp_path):
    wrong = {
        "threshold_mask": reference_text(lab, "threshold_mask"),
        "magnitude_mask": answer_text(lab, "magnitude_mask", "keeps_the_smallest"),
    }
    open_notebook(page, jupyterlab, lab, wrong)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.get_by_text("threshold_mask: the visible checks pass").first.wait_for()
    # the run stops at the first failing check, and its message stands there
    error = page.locator(".jp-RenderedText").filter(has_text="AssertionError").first
    error.wait_for(state="attached")
    error.scroll_into_view_if_needed()
    assert "True means keep" in error.inner_text() or "largest" in error.inner_text()
    assert "magnitude_mask: the visible checks pass" not in page.locator(".jp-OutputArea").all_inner_texts()
    page.screenshot(path=tmp_path / "wrong_answer.png")


def test_validate_reports_a_failing_visible_check_and_then_passes(page, jupyterlab, lab):
    names = ["threshold_mask", "magnitude_mask", "row_scores", "uniform_masks", "global_masks", "sensitivity_scan",
             "choose_sparsities"]  # fmt: skip
    right = {name: reference_text(lab, name) for name in names}
    open_notebook(
        page, jupyterlab, lab, right | {"row_scores": answer_text(lab, "row_scores", "scores_of_columns")}
    )
    failed = validate(page)
    assert failed.count("The following cell failed") == 1
    assert "row" in failed and "AssertionError" in failed
    open_notebook(page, jupyterlab, lab, right)
    passed = validate(page)
    assert "Success! Your notebook passes all the tests." in passed
