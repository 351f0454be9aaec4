"""Alert rules, workbook and Sentinel rules: their queries are right, and name what the code writes."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest
from ruamel.yaml import YAML

from shared.core.finding import FindingId
from tests.infra import bicep
from tests.infra.bicep import INFRA
from tests.kql.analyser import Analysis, analyse

if TYPE_CHECKING:
    from pathlib import Path

QUERIES: Final = INFRA / "queries"
SENTINEL: Final = INFRA.parent / "docs" / "sentinel"
WORKBOOK: Final = json.loads((INFRA / "workbook.json").read_text())
OPERATE: Final = INFRA.parent / "docs" / "operate.md"
FUNCTION: Final = "LinkguardRecords"

TABLES: Final = {
    "AppTraces": (
        "(TimeGenerated:datetime, Message:string, SeverityLevel:int, Properties:dynamic, OperationName:string, "
        "OperationId:string, ParentId:string, AppRoleName:string, ClientIP:string, ItemCount:int, Type:string)"
    ),
    "AppRequests": (
        "(TimeGenerated:datetime, Id:string, Source:string, Name:string, Url:string, Success:bool, ResultCode:string, "
        "DurationMs:real, Properties:dynamic, OperationName:string, OperationId:string, ParentId:string, "
        "AppRoleName:string, AppRoleInstance:string, ClientIP:string, ItemCount:int, Type:string)"
    ),
    "AppExceptions": (
        "(TimeGenerated:datetime, ProblemId:string, HandledAt:string, ExceptionType:string, Assembly:string, Method:string, "
        "OuterType:string, OuterMessage:string, OuterMethod:string, InnermostType:string, InnermostMessage:string, "
        "SeverityLevel:int, Details:dynamic, Properties:dynamic, OperationName:string, OperationId:string, ParentId:string, "
        "AppRoleName:string, ItemCount:int, Type:string)"
    ),
}
"""https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces and its siblings, as far as there is a use for it"""
RECORDS: Final = "(TimeGenerated: datetime, OperationId: string, Record: string, Fields: dynamic)"


def sentinel_rules() -> dict[str, Any]:
    yaml = YAML(typ="safe")
    return {path.name: yaml.load(path.read_text()) for path in sorted(SENTINEL.glob("*.yaml"))}


def queries() -> dict[str, str]:
    alerts = {path.name: path.read_text() for path in sorted(QUERIES.glob("*.kql")) if path.stem != FUNCTION}
    panels = {f"workbook: {item['name']}": item["content"]["query"] for item in WORKBOOK["items"] if item["type"] == 3}
    rules = {name: rule["query"] for name, rule in sentinel_rules().items()}
    return alerts | panels | rules


WRONG: Final = {
    "wrong column": "AppTraces | where Nope == 1",
    "wrong table": "AppTrace",
    "wrong operator": "AppTraces | summarise count()",
    "wrong type": "AppTraces | where TimeGenerated + 'x' > 1",
}


@pytest.fixture(scope="module")
def analyses() -> dict[str, Analysis]:
    """All at once: the analyser takes seconds to start."""
    function = {FUNCTION: (QUERIES / f"{FUNCTION}.kql").read_text()}
    return analyse(queries() | function | WRONG, TABLES | {FUNCTION: RECORDS.replace(": ", ":")})


def test_the_function_gives_what_the_queries_build_on(analyses: dict[str, Analysis]) -> None:
    """Its columns; they are what the other queries are analysed with."""
    assert analyses[FUNCTION].problems == ()
    assert analyses[FUNCTION].columns == RECORDS


def test_every_query_is_right(analyses: dict[str, Analysis]) -> None:
    """Microsoft's analyser finds no unknown table, column or function, and no wrong type."""
    answers = {name: analyses[name] for name in queries()}
    assert len(answers) >= 12
    assert {name: answer.problems for name, answer in answers.items() if answer.problems} == {}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_query_is_found(wrong: str, analyses: dict[str, Analysis]) -> None:
    """Or the test above could not fail."""
    assert analyses[wrong].problems


def test_every_finding_that_a_query_names_exists() -> None:
    """Quoted words beside ``Fields.finding`` are ids of the catalogue."""
    known = {finding.value for finding in FindingId}
    named: set[str] = set()
    for text in queries().values():
        for match in re.finditer(r"Fields\.finding\) (?:==|in) (\"\w+\"|\([^)]*\))", text):
            named.update(re.findall(r'"(\w+)"', match[1]))
    assert "impostor_suspected" in named
    assert named <= known


def rules() -> list[str]:
    node = bicep.file("modules/alerts.bicep").variables["rules"]
    return [bicep.content(bicep.properties(one)["name"]) for one in bicep.walk(node) if one.type == "object"]


def test_every_rule_has_its_query_and_every_query_its_rule() -> None:
    """One file a rule, named after it."""
    assert len(rules()) == len(set(rules()))
    assert set(rules()) == {path.stem for path in QUERIES.glob("*.kql")} - {FUNCTION}
    text = bicep.text(bicep.file("modules/alerts.bicep").root)
    for rule in rules():
        assert f"loadTextContent('../queries/{rule}.kql')" in text


# What Azure Monitor takes (the azurerm provider's documentation of scheduled_query_rules_alert_v2 lists both).
TIMES: Final = {"PT1M": 1, "PT5M": 5, "PT10M": 10, "PT15M": 15, "PT30M": 30, "PT45M": 45, "PT1H": 60, "PT2H": 120}


def test_every_rule_is_asked_often_enough_for_its_window() -> None:
    """A record that comes late is still within the next evaluation's window; the severity is one that wakes somebody."""
    node = bicep.file("modules/alerts.bicep").variables["rules"]
    said = [
        {key: bicep.text(value).strip("'") for key, value in bicep.properties(one).items()}
        for one in bicep.walk(node)
        if one.type == "object"
    ]
    assert len(said) == len(rules())
    for rule in said:
        assert rule.keys() == {"name", "severity", "frequency", "window", "query"}
        assert 2 * TIMES[rule["frequency"]] <= TIMES[rule["window"]], rule["name"]
        assert rule["severity"] in {"0", "1", "2"}


def test_one_row_is_enough_to_wake_somebody() -> None:
    """A query gives a row for whatever is to be told; the rule is on, tells the action group, and ends when the rows do."""
    file = bicep.file("modules/alerts.bicep")
    found = bicep.property_of(file.resources["queryRules"].node, "properties")
    assert found is not None
    said = {name: "".join(bicep.text(node).split()) for name, node in bicep.properties(found).items()}
    assert said["enabled"] == said["autoMitigate"] == "true"
    assert said["actions"] == "{actionGroups:[actions.id]}"
    assert said["scopes"] == "[workspaceId]"
    assert said["criteria"] == (
        "{allOf:[{query:rule.querytimeAggregation:'Count'operator:'GreaterThan'threshold:0"
        "failingPeriods:{numberOfEvaluationPeriods:1minFailingPeriodsToAlert:1}}]}"
    )
    alias = bicep.property_of(file.resources["records"].node, "properties", "functionAlias")
    assert alias is not None
    assert bicep.content(alias) == FUNCTION
    short = bicep.property_of(file.resources["actions"].node, "properties", "groupShortName")
    assert short is not None
    assert len(bicep.content(short)) <= 12


def test_every_rule_has_a_section_in_the_runbook() -> None:
    """Whoever is woken finds what it means and what to do; and no section is about none."""
    sections = re.findall(r"^### (.+)$", OPERATE.read_text().partition("## Alerts\n")[2].partition("\n## ")[0], re.MULTILINE)
    assert sorted(sections) == sorted(rules())


def test_the_workbook_has_what_azure_wants() -> None:
    """Its version, items with names of their own, queries with a resource type; and all four subjects."""
    assert WORKBOOK["version"] == "Notebook/1.0"
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(names) == len(set(names))
    assert {"links", "decisions", "traffic", "health"} <= set(names)
    for item in WORKBOOK["items"]:
        assert isinstance(item["type"], int)
        if item["type"] == 3:
            assert item["content"]["version"] == "KqlItem/1.0"
            assert item["content"]["resourceType"] == "microsoft.operationalinsights/workspaces"
            assert item["content"]["crossComponentResources"] == ["__WORKSPACE_ID__"]


def test_the_workbook_asks_the_deployed_workspace() -> None:
    """Wherever it is opened from: without a resource of its own a panel asks for one, and shows nothing."""
    assert WORKBOOK["fallbackResourceIds"] == ["__WORKSPACE_ID__"]
    properties = bicep.property_of(bicep.file("modules/workbook.bicep").resources["workbook"].node, "properties")
    assert properties is not None
    said = {name: bicep.text(node) for name, node in bicep.properties(properties).items()}
    assert said["serializedData"] == "replace(loadTextContent('../workbook.json'), '__WORKSPACE_ID__', workspaceId)"
    assert said["sourceId"] == "workspaceId"


@pytest.mark.parametrize("path", sorted(SENTINEL.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sentinel_rule_has_what_sentinel_wants(path: Path) -> None:
    """As in https://learn.microsoft.com/azure/sentinel/sentinel-analytic-rules-creation."""
    rule = sentinel_rules()[path.name]
    assert {"id", "name", "description", "severity", "kind", "version", "query", "entityMappings"} <= set(rule)
    assert str(uuid.UUID(rule["id"])) == rule["id"]
    assert rule["kind"] == "Scheduled"
    assert rule["severity"] in {"High", "Medium", "Low", "Informational"}
    assert rule["triggerOperator"] in {"gt", "lt", "eq", "ne"}
    for period in (rule["queryFrequency"], rule["queryPeriod"]):
        assert re.fullmatch(r"P(?:\d+D)|PT\d+[HM]", period)
    for mapping in rule["entityMappings"]:
        for column in (one["columnName"] for one in mapping["fieldMappings"]):
            assert re.search(rf"\b{column} = ", rule["query"])
