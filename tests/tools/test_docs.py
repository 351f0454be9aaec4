"""The documentation's checks find what they are for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest

from shared.config import MODE, SUBSCRIPTIONS
from tools import docs
from tools.markdown import read_page

if TYPE_CHECKING:
    from tools.docs import CommandTree

KNOWN = (MODE, SUBSCRIPTIONS)
README = """\
| name | default | meaning |
|---|---|---|
| `LINKGUARD_MODE` | `observe` | Whether. |
| `LINKGUARD_SUBSCRIPTIONS` | | Where. |
"""
SAMPLE = {"LINKGUARD_MODE": "observe", "LINKGUARD_SUBSCRIPTIONS": "x"}


def test_a_row_that_a_bar_splits_is_found() -> None:
    """A bar in code parts cells too, and what is beyond the last column is not shown; written as an escape it does not."""
    table = "| command | what |\n|---|---|\n| `--format {}` | x |\n\n```\n| a | b | c |\n```\n"
    texts = {
        "docs/a.md": table.format("json|csv"),
        "docs/b.md": table.format("json\\|csv"),
        "docs/c.txt": table.format("json|csv"),
    }
    assert list(docs.tables(texts)) == ["docs/a.md:3: 3 cells under a head of 2: a bar in a cell is written \\|"]


def link_problems(text: str, **others: str) -> list[str]:
    pages = {"docs/a.md": read_page(text)} | {f"docs/{name}.md": read_page(other) for name, other in others.items()}
    return list(docs.links(pages, {*pages, "README.md", "shared/core/model.py", "docs/picture one.png"}))


@pytest.mark.parametrize(
    "target",
    [
        "b.md",
        "../README.md",
        "../shared/core",
        "#here-and-now",
        "b.md#b-1",
        "b.md#set-by-hand",
        "picture%20one.png",
        "https://contoso.com/x",
        "mailto:a@b.c",
    ],
)
def test_a_link_that_resolves(target: str) -> None:
    """Files, folders, headings (twice the same one too), anchors set by hand; the web is not looked at."""
    assert link_problems(f"# Here, and `now`!\n[text]({target})", b='# B\n# B\n<a id="set-by-hand"></a>') == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x\n\n[text](c.md)", "docs/a.md:3: c.md: there is no such file"),
        ("![alt](none.png)", "docs/a.md:1: none.png: there is no such file"),
        ("[text][ref]\n\n[ref]: ../../outside.md", "docs/a.md:1: ../../outside.md: there is no such file"),
        ("[text](/README.md)", "docs/a.md:1: /README.md: is no relative path"),
        ("[text](#nowhere)", "docs/a.md:1: #nowhere: docs/a.md has no such heading"),
        ("[text](b.md#b-2)", "docs/a.md:1: b.md#b-2: docs/b.md has no such heading"),
    ],
)
def test_a_link_that_does_not(text: str, problem: str) -> None:
    """The page, the line, the destination."""
    assert link_problems(text, b="# B\n# B") == [problem]


def test_a_link_in_code_is_none() -> None:
    """An example of a link leads nowhere and need not."""
    assert link_problems("`[a](b)`\n\n```\n[a](b)\n```") == []


def setting_problems(readme: str = README, **texts: str) -> list[str]:
    files = {docs.SAMPLE: json.dumps({"Values": SAMPLE}), "README.md": readme} | texts
    return list(docs.settings(files, read_page(readme), KNOWN))


def test_settings_that_are_documented() -> None:
    """A row in the README and a value in the sample, each with the default."""
    assert setting_problems() == []


@pytest.mark.parametrize(
    ("readme", "problem"),
    [
        (
            README.replace("| `LINKGUARD_MODE` | `observe` | Whether. |\n", ""),
            "README.md: no table has a row for `LINKGUARD_MODE`",
        ),
        (
            README.replace("`observe`", "`enforce`"),
            "README.md: the row of `LINKGUARD_MODE` does not give its default, `observe`",
        ),
        (README + "\nSet `LINKGUARD_MOOD` or any `LINKGUARD_*`.", "README.md: LINKGUARD_MOOD is no setting"),
    ],
)
def test_a_readme_that_differs_from_the_settings(readme: str, problem: str) -> None:
    """Missing, another default, unknown."""
    assert setting_problems(readme) == [problem]


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        ({"LINKGUARD_SUBSCRIPTIONS": "x"}, "LINKGUARD_MODE is missing"),
        (SAMPLE | {"LINKGUARD_MODE": "enforce"}, "LINKGUARD_MODE is not its default, observe"),
        (SAMPLE | {"LINKGUARD_OLD": ""}, "LINKGUARD_OLD is no setting"),
    ],
)
def test_a_sample_that_differs_from_the_settings(sample: dict[str, str], problem: str) -> None:
    """Missing, another default, unknown."""
    assert setting_problems(**{docs.SAMPLE: json.dumps({"Values": sample})}) == [f"{docs.SAMPLE}: {problem}"]


@pytest.fixture
def tree() -> CommandTree:
    switches = [click.Option([switch]) for switch in ("--wait/--no-wait", "--dry-run/--no-dry-run")]
    ledger = click.Group("ledger", commands=[click.Command("list"), click.Command("show", params=[click.Argument(["record"])])])
    return click.Group(commands=[click.Command("sweep", params=[*switches]), ledger, click.Command("secret", hidden=True)])


SHOWN = """
```sh
$ linkguard sweep --wait --no-dry-run
.venv/bin/linkguard ledger list
```
`linkguard ledger show ID`, `linkguard --help`
"""


def command_problems(tree: CommandTree, text: str, **others: str) -> list[str]:
    pages = {"README.md": read_page(text)} | {f"docs/{name}.md": read_page(other) for name, other in others.items()}
    return list(docs.commands(pages, tree))


@pytest.mark.parametrize(
    "text",
    [SHOWN, "`linkguard sweep [--wait]` `linkguard ledger list|show ID` `linkguard ledger ...`", f"{SHOWN} `sudo linkguard-x`"],
)
def test_commands_that_are_shown(tree: CommandTree, text: str) -> None:
    """In a block or inline, one by one or spelled together; a hidden one need not be."""
    assert command_problems(tree, text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SHOWN.replace("sweep", "ledger list").replace(" --wait --no-dry-run", ""), "README.md: `linkguard sweep` is not shown"),
        (f"{SHOWN} `linkguard swep`", "README.md: `linkguard swep`: linkguard has no command swep"),
        (f"{SHOWN} `linkguard ledger tail`", "README.md: `linkguard ledger tail`: linkguard ledger has no command tail"),
        (f"{SHOWN} `linkguard sweep --wit`", "README.md: `linkguard sweep --wit`: linkguard sweep has no option --wit"),
        (f"{SHOWN} `linkguard sweep [--force]`", "README.md: `linkguard sweep [--force]`: linkguard sweep has no option --force"),
    ],
)
def test_commands_that_differ_from_the_readme(tree: CommandTree, text: str, problem: str) -> None:
    """Not shown, or shown and not there."""
    assert command_problems(tree, text) == [problem]


def test_any_other_page_may_leave_a_command_out_but_not_invent_one(tree: CommandTree) -> None:
    """The README shows all of them."""
    assert command_problems(tree, SHOWN, other="`linkguard ledger list`") == []
    assert command_problems(tree, SHOWN, other="`linkguard ledger lst`") == [
        "docs/other.md: `linkguard ledger lst`: linkguard ledger has no command lst"
    ]


EXITS = """
## Exit codes

| code | when |
|---|---|
| 0 | fine |
| `1` | not |

## Else

| 7 | days |
|---|---|
| 9 | lives |
"""


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        ({0, 1}, []),
        ({0, 1, 3}, ["README.md: exit code 3 is not in the table of section 'Exit codes'"]),
        ({0}, ["README.md: no command exits with 1"]),
    ],
)
def test_exit_codes(codes: set[int], found: list[str]) -> None:
    """The table under their heading has exactly those that there are; other tables do not count."""
    assert list(docs.exit_codes(read_page(EXITS), codes)) == found


@pytest.mark.parametrize(
    "line",
    [
        "https://" + "pypi" + ".org/simple",
        "files." + "pythonhosted" + ".org",
        "registry." + "npmjs" + ".org",
        "cd /" + "work/main",
        "/" + "root/.cache",
        '"/' + 'tmp/x"',
        "/" + "home/jane/src",
        "see /" + "Users/jane",
        "C:\\" + "Users\\jane",
    ],
)
def test_a_registrys_host_or_a_path_of_one_machine_is_found(line: str) -> None:
    """Neither is of use to anybody else."""
    (problem,) = docs.unwanted({"docs/a.md": f"fine\n{line}\n"})
    assert problem.startswith("docs/a.md:2: ")


@pytest.mark.parametrize(
    "line",
    [
        "PyPI, npm",
        "/" + "home/site/wwwroot",
        "a/" + "work/b",
        "https://contoso.com/" + "tmp/",
        "/" + "workspaces/x",
        "providers/Microsoft.OperationalInsights/workspaces",
        "$(mktemp -d)/" + "tmp",
    ],
)
def test_other_hosts_and_paths_are_fine(line: str) -> None:
    """Names of registries, Azure's own folders, URLs, relative paths."""
    assert list(docs.unwanted({"docs/a.md": line})) == []
