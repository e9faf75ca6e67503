PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo lab test soak bench verify weave notes lint

setup: $(VENV)/.installed

# One stamp for the whole environment: made again when what it is made of changes.
$(VENV)/.installed: requirements.txt constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

demo: setup  ## grade a bundled class, print the gradebook, write build/report/index.html
	$(BIN)/python -m autograder demo

lab: setup  ## open JupyterLab on your own copy of the notebooks, in my_labs/; ARGS go to JupyterLab
	$(BIN)/python -m autograder lab $(ARGS)

test: setup  ## every test
	$(BIN)/python -m pytest

soak: setup  ## the tests that take very long: a thousand submissions, long runs of kills
	$(BIN)/python -m pytest -m soak

bench: setup  ## how long a submission takes, here and with nbgrader; ARGS such as --growth 100,1000
	$(BIN)/python -m autograder.benchmarks.throughput $(ARGS)

verify: setup  ## the grader's own test
	$(BIN)/python -m autograder verify

weave: setup  ## make the student notebooks, the syllabus and the numbers in the notes
	$(BIN)/python -m autograder weave

notes: setup  ## the lecture notes as a site, in build/notes/index.html
	$(BIN)/python lecture_notes/figures
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going -b html lecture_notes build/notes
	@echo "The lecture notes are a site now: build/notes/index.html"

lint: setup  ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
