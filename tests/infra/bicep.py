"""Reads Bicep by its grammar: what a file declares, what it refers to, what its objects hold.

There is no Bicep compiler here. The grammar finds syntax errors; the rules over the tree find the mistakes that a compiler
would, as far as they can be found by names.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tree_sitter
import tree_sitter_bicep
from tree_sitter import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

INFRA: Final = Path(__file__).parents[2] / "infra"
_DECLARATIONS: Final = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource that a file declares, or one that is there already."""

    file: str
    name: str
    type: str
    version: str
    existing: bool
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module that a file uses."""

    name: str
    path: Path
    node: Node


@dataclass(slots=True)
class File:
    """One file, read."""

    path: Path
    root: Node
    params: dict[str, bool] = field(default_factory=dict)
    """Each with whether it has a default."""
    variables: dict[str, Node] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(INFRA)) if self.path.is_relative_to(INFRA) else self.path.name

    @property
    def symbols(self) -> set[str]:
        return {*self.params, *self.variables, *self.resources, *self.modules}

    def errors(self) -> list[str]:
        """Where the grammar does not fit."""
        return [f"{self.name}:{node.start_point[0] + 1}" for node in walk(self.root) if node.is_error or node.is_missing]

    def references(self) -> set[str]:
        """Every name that is used as a value."""
        return {text(node) for node in walk(self.root) if node.type == "identifier" and not _is_name_only(node)}


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    return node.text.decode() if node.text is not None else ""


def content(node: Node) -> str:
    """What a string says, without its quotes."""
    return text(node)[1:-1].replace("\\'", "'")


def _is_name_only(node: Node) -> bool:
    """Whether an identifier names something and does not refer to it."""
    parent = node.parent
    if parent is None:
        return False
    first = parent.named_children[0] == node
    return first and parent.type in {*_DECLARATIONS, "output_declaration", "object_property"}


@functools.cache
def read(path: Path) -> File:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
    file = File(path=path, root=parser.parse(path.read_bytes()).root_node)
    for node in file.root.named_children:
        if node.type not in {*_DECLARATIONS, "output_declaration"}:
            continue
        name = text(node.named_children[0])
        if name in file.symbols and node.type in _DECLARATIONS:
            file.twice.append(name)
        match node.type:
            case "parameter_declaration":
                file.params[name] = any(child.type == "=" for child in node.children)
            case "variable_declaration":
                file.variables[name] = node
            case "resource_declaration":
                type_, _, version = content(node.named_children[1]).partition("@")
                existing = any(text(child) == "existing" for child in node.children)
                file.resources[name] = Resource(
                    file=file.name, name=name, type=type_, version=version, existing=existing, node=node
                )
            case "module_declaration":
                target = (path.parent / content(node.named_children[1])).resolve()
                file.modules[name] = Module(name=name, path=target, node=node)
            case _:
                file.outputs[name] = node
    return file


@functools.cache
def files() -> tuple[File, ...]:
    """Every Bicep file of the project."""
    return tuple(read(path) for path in sorted(INFRA.rglob("*.bicep")))


def file(name: str) -> File:
    return read(INFRA / name)


def property_of(node: Node, *names: str) -> Node | None:
    """The value at a path of property names, below a declaration or an object; None where there is none."""
    found: Node | None = node
    for name in names:
        if found is None:
            return None
        found = properties(found).get(name)
    return found


def properties(node: Node) -> dict[str, Node]:
    """The properties of the outermost object of ``node``."""
    found = next((one for one in _outermost(node) if one.type == "object"), None)
    if found is None:
        return {}
    members = (child for child in found.named_children if child.type == "object_property")
    return {
        text(member.named_children[0]).strip("'"): member.named_children[-1]
        for member in members
        if len(member.named_children) > 1
    }


def _outermost(node: Node) -> Iterator[Node]:
    """``node`` and what is below it, level by level."""
    level = [node]
    while level:
        yield from level
        level = [child for parent in level for child in parent.named_children]


def strings(node: Node) -> list[str]:
    """Every string literal below ``node``, in order."""
    return [content(found) for found in walk(node) if found.type == "string"]


def string_list(path: str, variable: str) -> list[str]:
    """A variable that is a list of strings."""
    return strings(file(path).variables[variable])


def containers() -> dict[str, str]:
    """The names of the containers of main.bicep, by the variable or the parameter that holds them."""
    main = file("main.bicep")
    held = {name: node for name, node in main.variables.items() if name.endswith("ContainerName")}
    defaults = re.findall(r"^param (\w+ContainerName) string = '([^']+)'$", text(main.root), re.MULTILINE)
    return {name: strings(node)[0] for name, node in held.items()} | dict(defaults)


def member_uses(found: File, module: str) -> set[str]:
    """The outputs of ``module`` that a file asks for."""
    return set(re.findall(rf"\b{module}(?:\[[^\]]*\])?\.outputs\.(\w+)", text(found.root)))
