"""Slice a function out of a module's text: whole lines, so that comments, decorators and layout survive."""

import ast
import builtins
import io
import symtable
import tokenize
from dataclasses import dataclass

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


class SliceError(ValueError):
    """The function cannot be cut out; the message says what to change."""


@dataclass(frozen=True)
class FunctionSource:
    """A top-level function as text.

    Attributes:
        text: its lines from the first decorator to its last line.
        head: how many of these lines come before the body proper: decorators, signature and docstring.
        needs: the names that it takes from outside and that are no builtins.
    """

    name: str
    text: str
    head: int
    needs: frozenset[str]

    @property
    def with_solution_markers(self) -> str:
        """The text with nbgrader's solution markers around the body; the docstring stays outside of them."""
        lines = self.text.split("\n")
        body = lines[self.head :]
        first = next(line for line in body if line.strip() and not line.lstrip().startswith("#"))
        indent = first[: len(first) - len(first.lstrip())]
        return "\n".join([*lines[: self.head], f"{indent}{BEGIN}", *body, f"{indent}{END}"])


def slice_function(
    module_text: str, name: str, rename: str | None = None, *, contract: bool = True
) -> FunctionSource:
    """Cut the top-level function `name` out of a module's text.

    Args:
        module_text: the module.
        name: the function.
        rename: a new name for it; its decorators are then left out (an answer of a bank takes a question's name).
        contract: whether a docstring is required, because the learner will read it.

    Raises:
        SliceError: if there is no such function, it has no docstring or no body, it holds one of the markers, or it
            calls itself by a name that would be lost.
    """
    tree = ast.parse(module_text)
    nodes = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if len(nodes) != 1:
        raise SliceError(
            f"the module defines {name} {len(nodes)} times at its top level; define it there once"
        )
    node, lines = nodes[0], module_text.split("\n")
    start = node.lineno if rename or not node.decorator_list else node.decorator_list[0].lineno
    text = "\n".join(lines[start - 1 : node.end_lineno])
    docstring = ast.get_docstring(node)
    has_docstring = docstring is not None
    if contract and not docstring:
        raise SliceError(f"{name} has no docstring; write its contract there")
    if has_docstring and len(node.body) == 1:
        raise SliceError(f"{name} has a docstring but no body; write the solution below it")
    if "BEGIN SOLUTION" in text or "END SOLUTION" in text:
        raise SliceError(
            f"{name} holds one of nbgrader's solution markers; weaving writes them, so take it out"
        )
    head_end = node.body[0].end_lineno if has_docstring else _signature_end(lines, node)
    if head_end >= node.body[1 if has_docstring else 0].lineno:
        raise SliceError(f"the body of {name} stands on the line of its signature; give it lines of its own")
    if rename:
        text = text.replace(f"def {name}(", f"def {rename}(", 1)
        if rename != name and name in names_needed(text):
            raise SliceError(f"{name} calls itself, and as {rename} it would not find itself; write a loop")
    return FunctionSource(rename or name, text, head_end - start + 1, names_needed(text) - {rename or name})


def _signature_end(lines: list[str], node: ast.FunctionDef) -> int:
    """The line on which the signature ends, the first logical line that begins at `def`."""
    text = io.StringIO("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    tokens = tokenize.generate_tokens(text.readline)
    return node.lineno - 1 + next(token.start[0] for token in tokens if token.type == tokenize.NEWLINE)


def names_needed(code: str) -> frozenset[str]:
    """The global names that a piece of code reads but does not define, builtins left out."""
    needed, defined = set(), set()

    def visit(table: symtable.SymbolTable, top: bool) -> None:
        for symbol in table.get_symbols():
            bound = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
            if top and bound:
                defined.add(symbol.get_name())
            elif symbol.is_referenced() and (top or symbol.is_global()):
                needed.add(symbol.get_name())
        for child in table.get_children():
            visit(child, False)

    visit(symtable.symtable(code, "<cell>", "exec"), True)
    return frozenset(needed - defined - set(vars(builtins)))


def names_defined(code: str) -> frozenset[str]:
    """The names that a cell defines at its top level."""
    table = symtable.symtable(code, "<cell>", "exec")
    bound = [s for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()]
    return frozenset(symbol.get_name() for symbol in bound)
