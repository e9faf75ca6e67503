"""Slicing a function out of a module: what must survive, what must be refused, and which names it needs."""

import textwrap

import pytest

from autograder.function_source import BEGIN, END, SliceError, names_defined, names_needed, slice_function


def dedent(text):
    return textwrap.dedent(text).lstrip("\n")


def execute(code, **names):
    exec(compile(code, "<cell>", "exec"), names)
    return names


RICH = dedent('''
    """A module."""

    import functools
    from os import sep as SEPARATOR

    STEP = 2


    def logged(function):
        return function


    @logged
    # a comment between two decorators
    @functools.lru_cache(
        maxsize=None,
    )
    def rich(
        count: int,
        *rest: "float",
        step: int = (
            STEP
        ),
        **more,
    ) -> list[str]:  # a comment on the signature
        """Count.

        def rich(not_me): the word def in a docstring.
        """
        # a comment before the first statement

        text = """
    def rich(in_a_string):
        pass
    @decorator
    """

        def inner(n):
            """A nested docstring."""
            return n * step + len(rest)

        class Box:
            size = 3
            double = size * 2

        numbers = [inner(n) + Box.double for n in range(count)]

        return [f"{n}{SEPARATOR}" for n in numbers] + [text]  # a comment on the last line


    AFTER = 1
''')


@pytest.fixture(scope="module")
def rich():
    return slice_function(RICH, "rich")


def test_whole_lines_survive_from_the_first_decorator_to_the_last_comment(rich):
    assert rich.text == RICH[RICH.index("@logged") : RICH.index("\n\n\nAFTER")]


def test_the_head_ends_with_the_docstring(rich):
    head = RICH[RICH.index("@logged") : RICH.index("    # a comment before")]
    assert rich.text.split("\n")[: rich.head] == head.rstrip("\n").split("\n")


def test_markers_stand_around_the_body_and_change_nothing_else(rich):
    lines = rich.with_solution_markers.split("\n")
    assert lines[rich.head] == f"    {BEGIN}"
    assert lines[-1] == f"    {END}"
    assert [line for line in lines if line.strip() not in (BEGIN, END)] == rich.text.split("\n")


def test_the_marked_text_behaves_as_the_module_does(rich):
    module = execute(RICH)
    cell = execute(rich.with_solution_markers, **{name: module[name] for name in rich.needs})
    assert cell["rich"](3, 1.0) == module["rich"](3, 1.0)
    assert cell["rich"].cache_info and cell["rich"].__doc__ == module["rich"].__doc__


def test_names_of_decorators_defaults_annotations_and_closures_are_needed(rich):
    assert rich.needs == {"logged", "functools", "STEP", "SEPARATOR"}


def test_renaming_changes_the_name_and_drops_the_decorators():
    answer = slice_function(RICH, "rich", rename="poor")
    assert answer.text.startswith("def poor(\n")
    assert "def rich(not_me)" in answer.text and "def rich(in_a_string)" in answer.text
    assert (answer.name, answer.needs) == ("poor", {"STEP", "SEPARATOR"})
    assert execute(answer.text, STEP=2, SEPARATOR="/")["poor"](1)[0] == execute(RICH)["rich"](1)[0]


@pytest.mark.parametrize(
    ("signature", "lines"),
    [
        ("def f(a):", 1),
        ("def f(a):  # why", 1),
        ("def f(\n    a,\n):", 3),
        ("def f(\n    a, *rest,\n    **more\n):", 4),
        ("def f(\n    a=(\n        1,\n    ),\n):", 5),
        ("def f(a) -> dict[\n    str, int\n]:", 3),
        ("@print\n@(\n    print\n)\ndef f(a):", 5),
    ],
)
@pytest.mark.parametrize("body", ["    # first\n    return 1", "\n    return 1", "    return 1"])
def test_without_a_docstring_the_head_ends_with_the_signature(signature, lines, body):
    assert slice_function(f"{signature}\n{body}\n", "f", contract=False).head == lines


def test_the_markers_are_indented_like_the_body_whatever_a_comment_does():
    text = 'def f():\n    """Do."""\n# a comment at the margin\n    return 1'
    marked = slice_function(text, "f").with_solution_markers
    assert f"\n    {BEGIN}\n# a comment" in marked
    assert execute(marked)["f"]() == 1


def test_a_docstring_of_one_line_with_a_comment_behind_it():
    sliced = slice_function('def f():\n    "Do."  # why\n    return 1', "f")
    assert sliced.head == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('def g():\n    """Do."""\n    return 1', "defines f 0 times"),
        ('if True:\n    def f():\n        """Do."""\n        return 1', "defines f 0 times"),
        ('class A:\n    def f(self):\n        """Do."""\n        return 1', "defines f 0 times"),
        (
            'def f():\n    """Do."""\n    return 1\n\ndef f():\n    """Do."""\n    return 2',
            "defines f 2 times",
        ),
        ("def f():\n    return 1", "no docstring"),
        ('def f():\n    """ """\n    return 1', "no docstring"),
        ("def f():\n    # no docstring\n    return 1", "no docstring"),
        ('def f():\n    f"""Do {1}."""\n    return 1', "no docstring"),
        ('def f():\n    """Do."""', "no body"),
        ('def f():\n    """Do."""\n    # nothing but a comment', "no body"),
        ('def f(): """Do."""', "no body"),
        ('def f(): """Do."""; return 1', "on the line of its signature"),
        ('def f():\n    """Do."""; return 1', "on the line of its signature"),
        (f'def f():\n    """Do."""\n    {BEGIN}\n    return 1\n    {END}', "markers"),
        (f'def f():\n    """Do."""\n    text = """\n{END}\n"""\n    return text', "markers"),
        ('def f():\n    """Say BEGIN SOLUTION."""\n    return 1', "markers"),
    ],
)
def test_what_cannot_be_cut_out_is_refused_with_the_reason(text, message):
    with pytest.raises(SliceError, match=message):
        slice_function(text, "f")


@pytest.mark.parametrize("text", ["def f(): return 1", "def f(a=(\n    1\n)): return a"])
def test_a_one_liner_is_refused_also_without_a_contract(text):
    with pytest.raises(SliceError, match="on the line of its signature"):
        slice_function(text, "f", contract=False)


def test_a_recursive_function_keeps_its_name_and_cannot_be_renamed():
    text = 'def f(n):\n    """Do."""\n    return f(n - 1) if n else 0'
    assert slice_function(text, "f").needs == set()
    with pytest.raises(SliceError, match="calls itself"):
        slice_function(text, "f", rename="g")


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("[x for x in range(3)]", set()),
        ("{k: v + w for k, v in pairs}", {"pairs", "w"}),
        ("[y for x in grid for y in x if y > cut]", {"grid", "cut"}),
        ("lambda x, *a, y=default, **k: (x, a, y, k, z)", {"default", "z"}),
        ("len(str(True)); __import__; ValueError", set()),
        ("import torch.nn.functional as F, numpy\nF.relu(numpy.pi)", set()),
        ("def f():\n    import torch\n    return torch.ones(2)", set()),
        ("def f(x: Tensor = ZERO) -> Mask: ...", {"Tensor", "ZERO", "Mask"}),
        ("@mark(level)\ndef f(): ...", {"mark", "level"}),
        ("def f():\n    def g():\n        return total + other\n    total = 1\n    return g", {"other"}),
        ("def f():\n    global counter\n    return counter", {"counter"}),
        ("def f(x):\n    return [g(x) for _ in x]\ndef g(x):\n    return f(x)", set()),
        ("def f():\n    class A(Base):\n        size = width\n        def g(self): return depth", {"Base", "width", "depth"}),
        ("try:\n    call()\nexcept Problem as error:\n    print(error)", {"call", "Problem"}),
        ("with opened() as file:\n    (last := file)", {"opened"}),
        ("for a, (b, *c) in rows:\n    a, b, c", {"rows"}),
        ("def f(x):\n    x.name = x.other\n    return f'{x!r:>{width}}'", {"width"}),
        ("'torch # np'", set()),
    ],
)  # fmt: skip
def test_names_needed_are_the_globals_that_a_piece_reads_but_does_not_define(code, needed):
    assert names_needed(code) == needed


def test_names_defined_are_those_of_the_top_level():
    code = "import os.path, sys as system\nfrom a import b\nx = y = 1\ndef f(z):\n    w = 1\nclass C:\n    v = 1\nfor i in x: pass"
    assert names_defined(code) == {"os", "system", "b", "x", "y", "f", "C", "i"}
