"""The lecture notes as a site: it builds without a warning, links lead somewhere, and anybody can read it."""

import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from autograder.answers import BEGIN, END, answer_in, between_the_marks
from autograder.browser import BROWSER, NO_BROWSER, browser_page
from autograder.labs import ROOT, UsageError, all_labs

NOTES = ROOT / "lecture_notes"
SHAPE = [
    "The idea", "The picture", "Definitions", "Worked by hand", "What is known, and by whom",
    "What the source documents say, and where they err", "What we measured", "To think about", "Further reading",
]  # fmt: skip
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The notes, built; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--quiet",
        "--fail-on-warning",
        "-b",
        "html",
        str(NOTES),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[str, BeautifulSoup]:
    """The site's own pages, parsed: {file name: page}."""
    return {
        path.name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in site.glob("*.html")
    }


@pytest.mark.slow
def test_there_is_a_page_for_every_chapter_and_each_is_in_the_order_of_reading(pages):
    start = pages["index.html"]
    linked = [link["href"] for link in start.select("nav.bd-links a.reference.internal")]
    assert linked[1:] == [
        *(f"{lab.stem}.html" for lab in all_labs()), "syllabus.html", "methods.html", "glossary.html", "errata.html", "references.html",
    ]  # fmt: skip


@pytest.mark.slow
def test_every_link_inside_the_site_leads_to_a_page_and_a_place_on_it(site, pages):
    broken = []
    for name, page in pages.items():
        for tag in page.select("[href], [src]"):
            link = urllib.parse.urlsplit(tag.get("href") or tag.get("src"))
            if link.scheme or link.netloc or tag.name == "form":
                continue
            target = name if not link.path else urllib.parse.unquote(link.path)
            if not (site / target).exists():
                broken.append(f"{name}: {target}")
            elif (
                link.fragment
                and target in pages
                and not pages[target].find(id=urllib.parse.unquote(link.fragment))
            ):
                broken.append(f"{name}: {target}#{link.fragment}")
    assert broken == []


@pytest.mark.slow
def test_the_site_asks_nothing_of_the_network(site, pages):
    loaded = [
        tag.get("href") or tag.get("src")
        for page in pages.values()
        for tag in page.select("link[rel=stylesheet], link[rel=preload], script, img")
    ]
    assert [address for address in loaded if address and "//" in address] == []
    styles = list(site.rglob("*.css"))
    assert [
        path
        for path in styles
        if re.search(r"url\([\"']?https?:|@import [^;]*https?:", path.read_text("utf-8"))
    ] == []


@pytest.mark.slow
def test_every_picture_has_a_text_alternative(pages):
    pictures = [picture for page in pages.values() for picture in page.select("article img")]
    assert pictures
    assert [picture["src"] for picture in pictures if len(picture.get("alt", "")) < 20] == []


@pytest.mark.slow
def test_every_paper_that_a_chapter_links_to_is_in_the_references(pages):
    for name, page in pages.items():
        if not name.startswith("lab"):
            continue
        for link in page.select('article a[href^="https://arxiv.org/abs/"]'):
            assert link.find_next("a").get("href", "").startswith("references.html#"), (
                f"{name}: {link['href']}"
            )


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
@pytest.mark.parametrize("width, scheme", [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_the_site_passes_the_accessibility_check_and_fits_the_screen(site, pages, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    asked, found = [], []
    with browser_page(width=width, height=844) as page:
        page.emulate_media(color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        for name in sorted(pages.keys() - {"genindex.html", "search.html"}):
            page.goto((site / name).as_uri())
            page.wait_for_function(
                "!window.MathJax || (window.MathJax.startup && window.MathJax.startup.promise)"
            )
            page.evaluate("window.MathJax?.startup?.promise")
            assert page.evaluate("document.documentElement.dataset.theme") == scheme
            wide = page.evaluate("document.documentElement.scrollWidth") - width
            if wide > 0:
                found.append(f"{name}: {wide} pixels wider than the screen")
            for violation in Axe().run(page, options=WCAG).response["violations"]:
                nodes = [node["html"][:120] for node in violation["nodes"]]
                found.append(f"{name}: {violation['id']} ({violation['impact']}), {len(nodes)}: {nodes[:3]}")
    assert found == []
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.stem)
def test_a_chapter_has_the_shape_of_the_book(lab):
    headings = re.findall(r"^## (.+)$", lab.note.read_text(encoding="utf-8"), re.MULTILINE)
    assert [heading for heading in headings if heading in SHAPE] == SHAPE


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.stem)
def test_note_lab_and_solution_link_to_each_other(lab):
    note = lab.note.read_text(encoding="utf-8")
    assert f"](../labs/{lab.stem}.ipynb)" in note
    assert f"](../solutions/{lab.stem}.py)" in note
    assert f"lecture_notes/{lab.stem}.md" in lab.source.read_text(encoding="utf-8")
    assert f"lecture_notes/{lab.stem}.md" in lab.solution_path.read_text(encoding="utf-8")


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.stem)
def test_a_chapter_answers_its_question_in_one_sentence_and_one_picture(lab):
    answer = answer_in(lab.note.read_text(encoding="utf-8"), lab.stem)
    assert answer and answer.sentence.endswith(".") and len(answer.sentence.split()) <= 50
    assert "<!--" not in answer.sentence


@pytest.mark.slow
@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.stem)
def test_the_figures_are_those_that_the_code_draws(lab, monkeypatch):
    """Up to the last digits, which may differ from one processor to the next."""
    import runpy

    drawn = runpy.run_path(str(NOTES / "figures"), run_name="figures")["drawn"](lab.stem)
    folder = NOTES / "figures"
    assert sorted(drawn) == sorted(path.name for path in folder.glob(f"{lab.stem}-*.svg"))
    for name, text in drawn.items():
        committed = (folder / name).read_text(encoding="utf-8")
        assert NUMBER.sub("", text) == NUMBER.sub("", committed), f"{name}: run `make notes` and commit it"
        numbers = zip(NUMBER.findall(text), NUMBER.findall(committed), strict=True)
        assert all(abs(float(new) - float(old)) < 0.01 for new, old in numbers), name
        assert f"figures/{name}" in lab.note.read_text(encoding="utf-8"), f"no chapter shows {name}"


def test_an_answer_is_read_without_its_keys():
    note = "**In one sentence.** It keeps\n88.0%<!-- cnn.50 -->, not all.\n\n![two curves](figures/lab98_areas-answer.svg)\n"
    answer = answer_in(note, "lab98_areas")
    assert (answer.sentence, answer.alt) == ("It keeps 88.0%, not all.", "two curves")
    assert answer_in("## The idea\n", "lab98_areas") is None
    with pytest.raises(UsageError, match="lab98_areas-answer.svg: add the picture"):
        answer_in("**In one sentence.** Yes.\n\n", "lab98_areas")


def test_a_page_without_its_marks_is_named():
    assert between_the_marks(f"a\n{BEGIN}\nold\n{END}\nb", "new", "X.md") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"
    for page in ("nothing", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"):
        with pytest.raises(UsageError, match="X.md must hold, once each"):
            between_the_marks(page, "new", "X.md")
