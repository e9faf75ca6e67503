"""The lecture notes as a site: `make notes` builds it into build/notes, without the network.

The chapters are plain Markdown, and read well where they are stored. What only a site needs is added here while it is
built: the order of the pages, the syllabus as a page, a citation beside each link to a paper of references.bib. The keys
of the measured numbers are taken out.
"""

import re
from pathlib import Path

from pybtex.database import parse_file

HERE = Path(__file__).parent
SYLLABUS = HERE.parent / "labs" / "README.md"
BIBLIOGRAPHY = parse_file(str(HERE / "references.bib"))
CHAPTERS = sorted(path.stem for path in HERE.glob("lab*.md"))
PAPER_OF = {
    f"https://arxiv.org/abs/{entry.fields['eprint']}": key
    for key, entry in BIBLIOGRAPHY.entries.items()
    if "eprint" in entry.fields
}

project = "Pruning and Sparsity, Hands-On"
html_title = project
author = "the course's authors"
project_copyright = "the course's authors; MIT licence"
language = "en"

extensions = ["myst_parser", "sphinxcontrib.bibtex", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["figures"]
nitpicky = True

myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_dmath_double_inline = True
myst_heading_anchors = 3

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

html_theme = "sphinx_book_theme"
html_static_path = ["static"]
html_css_files = ["notes.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search field stands in the sidebar
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
}

NEWLINE = "\n"
PARTS = f"""

```{{toctree}}
:hidden:
:caption: Chapters

{NEWLINE.join(CHAPTERS)}
```

```{{toctree}}
:hidden:
:caption: To look things up

syllabus
methods
glossary
errata
references
```
"""

MARK = re.compile(r"<!-- .*? -->", re.DOTALL)
PAPER = re.compile(r"\[[^\[\]]+\]\((https://arxiv\.org/abs/\d{4}\.\d{4,5})\)")
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
README = re.compile(r"\[([^\[\]]+)\]\((\.\./README\.md)\)")


def with_citation(link: re.Match) -> str:
    """The link to a paper, and behind it the paper's entry in the references."""
    key = PAPER_OF.get(link[1])
    return f"{link[0]} {{cite:p}}`{key}`" if key else link[0]


def syllabus() -> str:
    """The syllabus, which stands in labs/, with its links as they are from here."""
    text = SYLLABUS.read_text(encoding="utf-8")
    return re.sub(r"\]\((?=lab\d)", "](../labs/", text).replace("](../lecture_notes/", "](")


def for_the_site(app, page: str, source: list[str]) -> None:
    """Change the text of a page on its way into the site; what is stored stays as it is."""
    text = MARK.sub("", syllabus() if page == "syllabus" else source[0])
    text = README.sub(r"[\1](path:\2)", text)
    if page in CHAPTERS:
        text = PAPER.sub(with_citation, text)
    if page == root_doc:
        text += PARTS
    source[0] = text


def readable_by_machines(app, page: str, template: str, context: dict, doctree) -> None:
    """For screen readers: a list of references has list items, and Chinese terms are marked as Chinese."""
    body = context.get("body", "").replace(
        'role="doc-biblioentry"', 'role="listitem"'
    )  # docutils' role is deprecated
    context["body"] = CHINESE.sub(r'<span lang="zh">\g<0></span>', body) if page == "glossary" else body


def setup(app):
    app.connect("source-read", for_the_site)
    app.connect("html-page-context", readable_by_machines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
