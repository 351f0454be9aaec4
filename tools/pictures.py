"""The pictures of docs/architecture.md that follow from the code: ``python -m tools.pictures`` draws them anew.

Each is a Mermaid block behind a line ``<!-- picture: NAME -->``. ``python -m tools.docs`` says where one is not what the code is.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = "docs/architecture.md"
_BLOCK: Final = re.compile(r"(<!-- picture: (?P<name>[a-z]+) -->\n)```mermaid\n(?P<text>.*?)```\n", re.DOTALL)


def layers(pyproject: str) -> str:
    """Who may import whom, from the import-linter's contract ``layers``: a row may import every row below it."""
    contracts: list[dict[str, Any]] = tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["id"] == "layers")
    rows = [" · ".join(re.findall(r"\w+", row)) for row in contract["layers"]]
    lines = [f'    r{number}["{row}"]' for number, row in enumerate(["function_app", *rows])]
    # The app is no part of the package, and imports what is below the demo.
    first = next(number for number, row in enumerate(rows, start=1) if row == "hosting")
    edges = [(0, first), *((number, number + 1) for number in range(1, len(rows)))]
    return "\n".join(["flowchart TD", *lines, *(f"    r{upper} --> r{lower}" for upper, lower in edges)]) + "\n"


def functions(source: str) -> str:
    """What starts each function, and what it calls: from the decorators and the bodies of function_app.py."""
    tree = ast.parse(source)
    constants = {
        name: value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(value := node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and (name := target.id)
    }
    lines, triggers = ["flowchart LR"], dict[str, str]()
    for function in tree.body:
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        (decorator,) = function.decorator_list
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
            continue
        label = _trigger(decorator.func.attr, {one.arg or "": _text(one.value, constants) for one in decorator.keywords})
        trigger = triggers.setdefault(label, f"t{len(triggers)}")
        shape = f'{trigger}("{label}")'
        lines += [f'    {shape} --> {function.name} --> {called.replace(".", "_")}["{called}"]' for called in _calls(function)]
    return "\n".join(lines) + "\n"


def _trigger(kind: str, arguments: dict[str, str]) -> str:
    match kind:
        case "event_grid_trigger":
            return "Event Grid"
        case "queue_trigger":
            return f"queue {arguments['queue_name']}"
        case "timer_trigger":
            return f"timer {arguments['schedule'].strip('%')}"
        case "route":
            return f"GET /api/{arguments['route']}"
        case other:
            message = f"no picture of a trigger {other} yet"
            raise ValueError(message)


def _text(node: ast.expr, constants: dict[str, Any]) -> str:
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.Name(id=name):
            return str(constants.get(name, name))
        case ast.JoinedStr(values=parts):
            return "".join(_text(part.value if isinstance(part, ast.FormattedValue) else part, constants) for part in parts)
        case _:
            return ""


def _calls(function: ast.AsyncFunctionDef) -> Iterator[str]:
    """The functions of services, hosting or bootstrap that it awaits, by module and name."""
    known: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("shared"):
            known |= {one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(function):
        if not (isinstance(node, ast.Await) and isinstance(node.value, ast.Call)):
            continue
        match node.value.func:
            case ast.Name(id=name) if name in known:
                yield known[name].removeprefix("shared.").removeprefix("services.")
            case ast.Attribute(value=ast.Name(id=module), attr=name) if known.get(module) == f"shared.{module}":
                yield f"{module}.{name}"


def drawn(root: Path) -> dict[str, str]:
    """Every picture by its name, as the code is now."""
    return {
        "layers": layers((root / "pyproject.toml").read_text(encoding="utf-8")),
        "functions": functions((root / "function_app.py").read_text(encoding="utf-8")),
    }


def redraw(page: str, pictures: dict[str, str]) -> str:
    """The page with each of its pictures drawn anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}```mermaid\n{pictures.get(match['name'], match['text'])}```\n", page)


def problems(page: str, pictures: dict[str, str]) -> Iterator[str]:
    """Each picture is on the page once, and is what the code is; and no other claims to be one."""
    found = [match["name"] for match in _BLOCK.finditer(page)]
    for name in sorted({*pictures, *found}):
        if found.count(name) != 1 or name not in pictures:
            yield f"{PAGE}: picture {name} is there {found.count(name)} times, and {'drawn' if name in pictures else 'unknown'}"
    if redraw(page, pictures) != page:
        yield f"{PAGE}: a picture is not what the code is; draw it anew: python -m tools.pictures"


def main() -> None:
    """Draw them."""
    path = ROOT / PAGE
    path.write_text(redraw(path.read_text(encoding="utf-8"), drawn(ROOT)), encoding="utf-8")


if __name__ == "__main__":
    main()
