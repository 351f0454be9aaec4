"""What the pages tell a person to type fits what is deployed."""

from __future__ import annotations

import json
import re
from typing import Final

import pytest

from tests.infra import bicep
from tests.infra.bicep import INFRA
from tools.markdown import CodeBlock, read_page

ROOT: Final = INFRA.parent
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
AZD_ITSELF: Final = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID"}
"""https://learn.microsoft.com/azure/developer/azure-developer-cli/manage-environment-variables"""
HOOK: Final = {"DEAD_LETTERS", "EXISTING_TOPICS"}
"""What infra/subscribe.sh reads that no deployment gives."""
BUILT_IN: Final = {
    "3b03c2da-16b3-4a49-8834-0f8130efdd3b": "Log Analytics Data Reader",
    "76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
}
"""https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"""
TEXTS: Final = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}
CONSOLES: Final[dict[str, list[CodeBlock]]] = {
    name: [block for block in read_page(text).code_blocks if block.language == "console"] for name, text in TEXTS.items()
}


def commands(block: CodeBlock) -> list[str]:
    """Each command on one line, without its comment."""
    joined = re.sub(r"\\\n\s+", " ", block.text)
    return [re.sub(r"\s+# .*$", "", line.removeprefix("$ ")) for line in joined.splitlines() if line.startswith("$ ")]


ALL: Final = [(page, command) for page, blocks in CONSOLES.items() for block in blocks for command in commands(block)]


def test_what_azd_is_asked_for_is_what_the_deployment_gives() -> None:
    """``azd env get-value NAME`` names an output of main.bicep, or azd's own."""
    outputs = set(bicep.file("main.bicep").outputs)
    asked = {(page, name) for page, text in TEXTS.items() for name in re.findall(r"azd env get-value ([A-Z_]+)", text)}
    assert len(asked) > 10
    assert {(page, name) for page, name in asked if name not in outputs | AZD_ITSELF} == set()


def test_every_output_has_a_use() -> None:
    """In a page, or in the script after a deployment."""
    texts = "\n".join([*TEXTS.values(), (INFRA / "subscribe.sh").read_text()])
    assert [name for name in bicep.file("main.bicep").outputs if not re.search(rf"\b{name}\b", texts)] == []


def test_what_azd_is_told_is_what_the_parameters_read() -> None:
    """``azd env set NAME`` names a variable of main.parameters.json or of the hook; and every variable of both is explained."""
    read = set(re.findall(r"\$\{(\w+)", (INFRA / "main.parameters.json").read_text())) - AZD_ITSELF
    told = {name for text in TEXTS.values() for name in re.findall(r"azd env set (\w+)", text)}
    assert told == read | HOOK


def test_what_the_hook_is_told_stays_told() -> None:
    """Each ``azd up`` runs it again: a variable that was set for one run alone would be missing then."""
    assert set(re.findall(r"\$\{(\w+):-", (INFRA / "subscribe.sh").read_text())) >= HOOK
    for page, text in TEXTS.items():
        assert re.search(rf"(?:{'|'.join(sorted(HOOK))})=\S+ azd ", text) is None, page


@pytest.mark.parametrize("template", sorted(path.name for path in INFRA.glob("*.bicep")))
def test_templates_are_deployed_with_their_parameters(template: str) -> None:
    """By hand: no parameter that the file does not have, and each that has no default."""
    params = bicep.file(template).params
    shown = [command for _, command in ALL if f"--template-file infra/{template}" in command]
    assert shown or template == "events.bicep", "events.bicep is deployed by its script"
    for command in shown:
        given = set(re.findall(r"(\w+)=", command.partition("--parameters")[2]))
        assert given <= set(params), command
        assert {name for name, has_default in params.items() if not has_default} <= given, command


def test_every_file_that_a_command_names_is_there() -> None:
    """Under infra/ and docs/."""
    named = {match for _, command in ALL for match in re.findall(r"\b(?:infra|docs)/[\w./-]+\w", command)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_containers_and_roles_are_named_as_they_are() -> None:
    """``--container-name`` is one that is made, a role's GUID is a built-in role's."""
    made = set(bicep.containers().values())
    for page, command in ALL:
        for container in re.findall(r"--container-name (?!\"?\$)(\S+)", command):
            assert container in made, (page, container)
        for role in re.findall(r"--role ([0-9a-f-]{36})", command):
            assert role in BUILT_IN, (page, role)
            assert BUILT_IN[role] in TEXTS[page], (page, role)


def test_every_command_is_of_a_tool_that_the_page_may_count_on() -> None:
    """A command that begins otherwise is a mistake in the line's breaking, or wants to be explained."""
    tools = {"az", "azd", "func", "git", "curl", "linkguard", "openssl", "for", "export"}
    for page, command in ALL:
        words = [word for word in command.split() if not re.fullmatch(r"[\w]+=\S*", word)]
        first = words[0] if words else "="
        assert first in tools or re.match(r"\w+=", command), (page, command)


def test_the_pages_of_a_deployment_are_there_and_linked_from_the_readme() -> None:
    """What a platform engineer looks for."""
    wanted = [
        "deploy",
        "operate",
        "upgrade",
        "uninstall",
        "cost",
        "clouds-and-tenants",
        "disaster",
        "architecture",
        "adoption",
        "gitops",
    ]
    for name in wanted:
        assert f"docs/{name}.md" in TEXTS
        assert f"(docs/{name}.md" in TEXTS["README.md"], name


def test_the_page_says_that_bicep_is_only_syntax_checked_here() -> None:
    """And gives the compiler's command for each file that is deployed."""
    page = TEXTS["docs/deploy.md"]
    assert "syntax-checked here" in page
    assert "az bicep build --file infra/main.bicep" in page
    assert all(f"infra/{path.name}" in page for path in INFRA.glob("*.bicep"))


def test_the_permissions_that_the_readme_lists_are_those_of_the_roles() -> None:
    """Reading and writing, without regard to case."""
    section = TEXTS["README.md"].partition("### Security model")[2].partition("\n## ")[0]
    named = {one.lower() for one in re.findall(r"`(Microsoft\.[\w./]+)`", section)}
    roles = "modules/roles.bicep"
    granted = {one.lower() for name in ("readActions", "writeActions") for one in bicep.string_list(roles, name)}
    assert named == granted


def test_the_cost_counts_what_is_there() -> None:
    """Alert rules, private endpoints, DNS zones."""
    page = TEXTS["docs/cost.md"]
    rules = [path for path in (INFRA / "queries").glob("*.kql") if path.stem != "LinkguardRecords"]
    assert f"{len(rules)} rules" in page
    network = bicep.file("modules/private-access.bicep").variables
    endpoints = bicep.text(network["endpoints"]).count("targetId:")
    zones = bicep.text(network["zoneNames"]).count("Zone")
    assert f"{endpoints} private endpoints, {zones} DNS zones" in page


def test_the_parameters_that_azd_fills_in_have_their_defaults_in_the_template() -> None:
    """Text and truth values alone: azd reads no lists from its environment."""
    text = bicep.text(bicep.file("main.bicep").root)
    for name, given in json.loads((INFRA / "main.parameters.json").read_text())["parameters"].items():
        default = re.fullmatch(r"\$\{\w+(?:=(.*))?\}", given["value"])
        assert default is not None, name
        kind = re.search(rf"^param {name} (\w+)(?: = (.+))?$", text, re.MULTILINE)
        assert kind is not None
        assert kind[1] in {"string", "bool"}, name
        if default[1] is not None:
            assert kind[2].strip("'") == default[1], name
