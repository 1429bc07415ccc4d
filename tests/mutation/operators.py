"""The mutation operators: a choice of cosmic-ray's, and five that it lacks.

Annotations, docstrings and messages are not mutated: none of them decides anything.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.operators import binary_operator_replacement as binary
from cosmic_ray.operators import boolean_replacer as boolean
from cosmic_ray.operators import break_continue as loops
from cosmic_ray.operators import comparison_operator_replacement as comparison
from cosmic_ray.operators import unary_operator_replacement as unary
from cosmic_ray.operators.exception_replacer import ExceptionReplacer
from cosmic_ray.operators.number_replacer import NumberReplacer
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.operators.remove_decorator import RemoveDecorator
from cosmic_ray.operators.zero_iteration_for_loop import ZeroIterationForLoop

Place = tuple[int, int]

_WORD: Final = re.compile(r"""(["'])[A-Za-z_]+\1""")


class RemoveStatement(Operator):
    """Replaces a call, a `raise`, or an assignment to an attribute or an item with `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Place, Place]]:
        if node.type == "simple_stmt" and _acts(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        prefix = node.children[0].get_first_leaf().prefix
        node.children[0] = parso.python.tree.Keyword("pass", node.start_pos, prefix)
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (
            Example("raise E\n", "pass\n"),
            Example("check(x)\n", "pass\n"),
            Example("a.b = 1\n", "pass\n"),
            Example("a[b] = 1\n", "pass\n"),
        )


def _acts(node: Any) -> bool:
    if node.type == "raise_stmt":
        return True
    target = node.children[0] if node.type == "expr_stmt" else node
    if target.type != "atom_expr" or not hasattr(target.children[-1], "children"):
        return False
    first = target.children[-1].children[0].value
    return first in (".", "[") if node.type == "expr_stmt" else first == "("


class NegateCondition(boolean.AddNot):
    """Negates a whole condition. cosmic-ray's `AddNot` negates the first operand of `and`."""

    def mutate(self, node: Any, index: int) -> Any:
        at = 1 if isinstance(node, self.NODE_TYPES) else 2
        node.children[at] = parso.parse(f" not ({node.children[at].get_code().strip()})")
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("if a or b: pass", "if not (a or b): pass"),)


class NegateMembership(Operator):
    """Swaps `in` and `not in`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Place, Place]]:
        if node.type == "comparison":
            for operator in node.children[1::2]:
                if operator.get_code().split() in (["in"], ["not", "in"]):
                    yield operator.start_pos, operator.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        at = [
            place
            for place in range(1, len(node.children), 2)
            if node.children[place].get_code().split() in (["in"], ["not", "in"])
        ][index]
        is_in = node.children[at].get_code().strip() == "in"
        node.children[at] = parso.parse(" not in" if is_in else " in")
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("a in b", "a not in b"), Example("a not in b", "a in b"))


class ReplaceWord(Operator):
    """Changes a text that is one word: a code, a stage, a kind, a name."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Place, Place]]:
        if node.type == "string" and _WORD.fullmatch(node.value):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.value = f"{node.value[:-1]}_mutated{node.value[-1]}"
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example('a = "deny"', 'a = "deny_mutated"'),)


class ReplaceConditionWithTrue(Operator):
    """Replaces the condition in a comprehension or a ternary expression with `True`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Place, Place]]:
        if node.type == "comp_if" or (node.type == "test" and len(node.children) == 5):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        at = 1 if node.type == "comp_if" else 2
        node.children[at] = parso.python.tree.Keyword("True", node.start_pos, " ")
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("[a for a in b if a]", "[a for a in b if True]"),)


#: Each comparison becomes its opposite and, of numbers, its neighbour at the boundary.
_COMPARISONS: Final = (
    "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is",
    "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt",
)  # fmt: skip
_ARITHMETIC: Final = (
    "Add_Sub", "Sub_Add", "Mul_FloorDiv", "Div_Mul", "FloorDiv_Mul", "BitOr_BitAnd", "BitAnd_BitOr",
)  # fmt: skip

OPERATORS: Final[tuple[type[Operator], ...]] = (
    *(getattr(comparison, f"ReplaceComparisonOperator_{name}") for name in _COMPARISONS),
    *(getattr(binary, f"ReplaceBinaryOperator_{name}") for name in _ARITHMETIC),
    unary.ReplaceUnaryOperator_Delete_Not,
    unary.ReplaceUnaryOperator_Delete_USub,
    NegateCondition,
    boolean.ReplaceTrueWithFalse,
    boolean.ReplaceFalseWithTrue,
    boolean.ReplaceAndWithOr,
    boolean.ReplaceOrWithAnd,
    loops.ReplaceBreakWithContinue,
    loops.ReplaceContinueWithBreak,
    ExceptionReplacer,
    NumberReplacer,
    RemoveDecorator,
    ZeroIterationForLoop,
    RemoveStatement,
    NegateMembership,
    ReplaceWord,
    ReplaceConditionWithTrue,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module. Its name has no number of a line, so it survives edits elsewhere.

    ``occurrence`` counts the mutants of one function that would have the same name otherwise.
    """

    module: str
    function: str
    operator: str
    line: str
    becomes: str
    occurrence: int
    source: str
    #: The lines of the statement that is changed; none for code that runs on import.
    lines: range

    @property
    def name(self) -> tuple[str, str, str, str, str, int]:
        return (
            self.module, self.function, self.operator, self.line, self.becomes, self.occurrence,
        )  # fmt: skip


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    nodes = list(ast_nodes(get_ast(source)))
    tree = ast.parse(source)
    skipped = _skipped(tree)
    text = source.splitlines(keepends=True)
    found: list[tuple[Place, Mutant]] = []
    seen: dict[tuple[str, ...], int] = {}
    for operator_type in OPERATORS:
        operator = operator_type()
        for node in nodes:
            for index, (start, _) in enumerate(list(operator.mutation_positions(node))):
                if any(first <= start < last for first, last in skipped):
                    continue
                if _is_double(operator, node):
                    continue
                changed = _changed(text, operator, node, index)
                try:
                    compile(changed, module, "exec")
                except SyntaxError:
                    continue
                function, lines = _statement(tree, start[0])
                line, becomes = _difference(text, changed.splitlines(keepends=True))
                if line == becomes:
                    continue
                key = (function, operator_type.__name__, line, becomes)
                seen[key] = seen.get(key, 0) + 1
                mutant = Mutant(module, *key[:2], line, becomes, seen[key], changed, lines)
                found.append((start, mutant))
    return [mutant for _, mutant in sorted(found, key=lambda each: each[0])]


def _changed(text: Sequence[str], operator: Operator, node: Any, index: int) -> str:
    """Return the source with one node changed; the node itself is as it was before."""
    first, last = node.start_pos, node.end_pos
    parts = [(each, _content(each)) for each in ast_nodes(node)]
    made = operator.mutate(node, index)
    code = "" if made is None else made.get_code(include_prefix=False).lstrip(" ")
    for each, content in parts:
        if isinstance(content, list):
            each.children = content
        else:
            each.value, each.prefix = content
    before = [*text[: first[0] - 1], text[first[0] - 1][: first[1]]]
    rest = text[last[0] - 1 :]
    after = [rest[0][last[1] :], *rest[1:]] if rest else []
    return "".join([*before, code, *after])


def _content(node: Any) -> list[Any] | tuple[str, str]:
    return list(node.children) if hasattr(node, "children") else (node.value, node.prefix)


def _is_double(operator: Operator, node: Any) -> bool:
    """Return whether another operator makes the same change: `not a == b` is `a != b`."""
    if not isinstance(operator, NegateCondition):
        return False
    condition = node.children[1] if node.type in ("if_stmt", "while_stmt") else node.children[2]
    return condition.type == "not_test" or (
        condition.type == "comparison" and len(condition.children) == 3
    )


def _skipped(tree: ast.Module) -> list[tuple[Place, Place]]:
    """Return the places of annotations, docstrings, slots and the texts of messages."""
    skipped: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            skipped.append(node.annotation)
        elif isinstance(node, ast.JoinedStr) or _is_text(node) or _names_slots(node):
            skipped.append(node)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in skipped
        if isinstance(node, ast.expr | ast.stmt)
    ]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names_slots(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"


def _statement(tree: ast.Module, line: int) -> tuple[str, range]:
    """Return the function at a line, and the lines of its statement; none outside functions."""
    names: list[str] = []
    lines, is_inside = range(0), False
    body: list[ast.stmt] = tree.body
    while body:
        node = next((n for n in body if _first(n) <= line <= (n.end_lineno or 0)), None)
        if node is None:
            break
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
            if line < node.body[0].lineno:
                break  # the decorators and the signature, which run on import
            is_inside = not isinstance(node, ast.ClassDef)
            body = node.body
            continue
        inner = _blocks(node)
        end = min([*(n.lineno - 1 for n in inner), node.end_lineno or 0])
        lines = range(node.lineno, max(end, node.lineno) + 1)
        if line in lines and line < min([*(n.lineno for n in inner), line + 1]):
            break
        body = inner
    return ".".join(names), lines if is_inside else range(0)


def _first(node: ast.stmt) -> int:
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])


def _blocks(node: ast.stmt) -> list[ast.stmt]:
    inner: list[ast.stmt] = []
    for name in ("body", "orelse", "finalbody"):
        inner += getattr(node, name, [])
    for each in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        inner += each.body
    return inner


def _difference(before: Sequence[str], after: Sequence[str]) -> tuple[str, str]:
    """Return the lines that differ, before and after, without their indentation."""
    first = 0
    while first < min(len(before), len(after)) and before[first] == after[first]:
        first += 1
    last = 0
    while last < min(len(before), len(after)) - first and before[-1 - last] == after[-1 - last]:
        last += 1
    return (
        " ".join(" ".join(before[first : len(before) - last]).split()),
        " ".join(" ".join(after[first : len(after) - last]).split()),
    )
