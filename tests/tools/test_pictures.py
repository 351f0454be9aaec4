"""The pictures that follow from the code, and those that are drawn by hand: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.functions import bindings
from tests.infra import bicep
from tools import pictures
from tools.markdown import read_page

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / pictures.PAGE).read_text()
CONTRACTS = """
[[tool.importlinter.contracts]]
id = "layers"
layers = ["(cli)", "hosting", "bootstrap | (local_azure)", "core"]
"""
APP = """
_QUEUE = "work"
@app.queue_trigger(arg_name="m", queue_name=f"{_QUEUE}-poison", connection="c")
async def take(m):
    from shared.services.poison import take_poison
    await take_poison(await PROCESS.work(1))
@app.timer_trigger(arg_name="t", schedule="%WHEN%")
async def tick(t):
    from shared import hosting
    await hosting.tick(1)
"""


def test_the_layers_are_drawn_from_their_contract() -> None:
    """Row by row, parallel ones side by side; the app imports what the demo is above."""
    assert pictures.layers(CONTRACTS).splitlines() == [
        "flowchart TD",
        '    r0["function_app"]',
        '    r1["cli"]',
        '    r2["hosting"]',
        '    r3["bootstrap · local_azure"]',
        '    r4["core"]',
        "    r0 --> r2",
        "    r1 --> r2",
        "    r2 --> r3",
        "    r3 --> r4",
    ]


def test_the_functions_are_drawn_from_their_decorators_and_bodies() -> None:
    """Trigger, function, what it calls."""
    assert pictures.functions(APP).splitlines() == [
        "flowchart LR",
        '    t0("queue work-poison") --> take --> poison_take_poison["poison.take_poison"]',
        '    t1("timer WHEN") --> tick --> hosting_tick["hosting.tick"]',
    ]


def test_a_trigger_of_another_kind_is_not_left_out_silently() -> None:
    """Whoever adds one draws it."""
    with pytest.raises(ValueError, match="blob_trigger"):
        pictures.functions("@app.blob_trigger(path='x')\nasync def f(b):\n    pass\n")


def test_every_function_is_in_the_picture() -> None:
    """As the Functions host would find them, each once."""
    drawn = pictures.drawn(ROOT)["functions"]
    for function in bindings():
        assert len(re.findall(rf" --> {function} --> ", drawn)) == 1


def test_a_picture_that_is_not_what_the_code_is_is_found() -> None:
    """Changed, missing, twice, or of something that nobody draws."""
    drawn = pictures.drawn(ROOT)
    assert list(pictures.problems(PAGE, drawn)) == []
    assert list(pictures.problems(PAGE.replace("r9 --> r10", "r9 --> r8"), drawn))
    assert list(pictures.problems(PAGE.replace("<!-- picture: layers -->", ""), drawn))
    assert list(pictures.problems(PAGE + "<!-- picture: layers -->\n```mermaid\n```\n", drawn))
    assert list(pictures.problems(PAGE + "<!-- picture: more -->\n```mermaid\n```\n", drawn))
    assert pictures.redraw(pictures.redraw(PAGE, drawn), drawn) == PAGE


def deployed() -> tuple[str, str]:
    """The picture of what is deployed, and the section that it is in."""
    section = PAGE.partition("## What is deployed\n")[2].partition("\n## ")[0]
    (block,) = read_page(section).code_blocks
    return block.text, section


def test_what_is_deployed_is_named_as_it_is() -> None:
    """Every module of infra/ is in the picture or beside it; every queue, table and container is in it, and no other."""
    picture, section = deployed()
    modules = {path.stem for path in (bicep.INFRA / "modules").glob("*.bicep")}
    named = set(re.findall(r"\[([a-z-]+)\]", picture)) | set(re.findall(r"`([a-z-]+)`", section))
    assert modules - named == set()
    stores = {name for group in re.findall(r"\[\(([^)]*)\)\]", picture) for name in group.split(", ")}
    containers = bicep.containers().values()
    made = {*bicep.string_list("main.bicep", "queueNames"), *bicep.string_list("main.bicep", "tableNames"), *containers}
    assert stores == made - {"app-package", "linkguard-reconcile-poison"}
    assert set(re.findall(r"\[([a-z-]+)\]", picture)) <= modules, "a node in a word of its own is a module"


def test_the_tree_of_files_is_there() -> None:
    """Every folder and file that "Where things are" shows, and every package of the product in it."""
    section = PAGE.partition("## Where things are\n")[2].partition("\n## ")[0]
    tree = read_page(section).code_blocks[0].text
    found = {
        (ROOT / "shared" / match[2]) if match[1] else (ROOT / match[2])
        for match in re.finditer(r"^( {2})?([\w./]+) ", tree, re.MULTILINE)
    }
    assert all(path.exists() for path in found)
    packages = {path for path in (ROOT / "shared").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    others = {ROOT / "shared" / name for name in ("__init__.py", "demo_functions.py", "demo_traffic.py")}
    assert packages - found == others
