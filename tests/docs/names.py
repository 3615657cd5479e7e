"""The public names of the libraries, and the words in the project's text."""

import ast
import enum
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from docs import api


def public_terms() -> dict[str, str]:
    """Each name that a package offers, each public class and each argument, and where it was found.

    Fields of results do not count: the API reference explains them.
    """
    found: dict[str, str] = {}
    for path, module in api.modules().items():
        if not path.startswith(("gda_theory", "rhm_theory")):
            continue
        for name in api.public_names(module):
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            if path in api.PACKAGES or inspect.isclass(value):
                found.setdefault(name, path)
            for argument in arguments(value):
                found.setdefault(argument, f"{path}.{name}")
    return found


def arguments(value: object) -> Iterator[str]:
    """The argument names of a function, of a class's methods, and of its constructor.

    Users do not build results, which are NamedTuples, nor members of an Enum.
    """
    functions = []
    if inspect.isclass(value):
        functions += [getattr(value, name) for name in api.methods(value)]
    if not hasattr(value, "_fields") and not isinstance(value, enum.EnumMeta):
        functions.append(value)
    for function in functions:
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            continue
        # A Protocol has a constructor of *args and **kwargs.
        unnamed = {"self", "cls", "args", "kwargs"}
        yield from (name for name in signature.parameters if name not in unnamed)


def words_of_python(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each name, comment and string."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


def banned_uses(path: Path, banned: set[str]) -> list[str]:
    """Where a file uses a banned word: as a word of its own, or as a part of a name."""
    text = path.read_text()
    pieces = words_of_python(text) if path.suffix == ".py" else enumerate(text.splitlines(), 1)
    found = []
    for start, piece in pieces:
        for offset, line in enumerate(piece.splitlines()):
            # Parts of log_pull and PullMass are words too.
            parts = re.findall(r"[A-Z]?[a-z]+", line)
            found += [
                f"{path}:{start + offset}: {word}" for word in parts if word.lower() in banned
            ]
    return found


def classes_defined_twice(paths: list[Path]) -> list[str]:
    """Class names that two modules define, and where."""
    places: dict[str, list[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(f"{path}:{node.lineno}")
    return [f"{name}: {', '.join(where)}" for name, where in places.items() if len(where) > 1]
