"""The JSON Schema and the documentation say of the allowlist what the parser does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from jsonschema import Draft202012Validator, FormatChecker

from shared.core.allowlist_document import parse_allowlist
from shared.core.errors import AllowlistError
from shared.core.model import PRODUCTION
from shared.core.request_message import ValidSignature, verify
from shared.core.yaml_tree import Mapping, Node, Scalar, Sequence, read_tree
from tests.core.allowlist_documents import (
    ANY_SITE,
    SIGNALR,
    SITE,
    SUBSCRIPTION,
    as_yaml,
    json_documents,
    json_documents_without_defaults,
)

DOCS: Final = Path(__file__).parents[2] / "docs"
SCHEMA: Final[dict[str, Any]] = json.loads((DOCS / "schemas" / "allowlist.schema.json").read_text(encoding="utf-8"))
PAGE: Final = (DOCS / "allowlist.md").read_text(encoding="utf-8")
VALIDATOR: Final = Draft202012Validator(SCHEMA, format_checker=FormatChecker(["date"]))
BEYOND_A_SCHEMA: Final = re.compile(r"is here twice \(case does not count\)|is the id of the rule in line|\(from defaults, line")
"""What only the parser can find: what differs in case alone, ids of other rules, what rules take from the defaults."""

RULE: Final[dict[str, object]] = {"id": "a", "effect": "allow", "signalr": SIGNALR, "target": SITE}


def problems_of(document: object) -> list[str]:
    try:
        parse_allowlist(as_yaml(document), "allowlist.json")
    except AllowlistError as error:
        return [problem.message for problem in error.problems]
    return []


def one_rule(**keys: object) -> dict[str, object]:
    return {"version": 1, "rules": [{**RULE, **keys}]}


def test_the_schema_is_a_schema() -> None:
    """Of the 2020-12 draft, under a name that is no address."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"].startswith("urn:")


def test_every_key_of_the_schema_is_described() -> None:
    """Editors show it where somebody writes the key."""
    described = {**SCHEMA["properties"], **SCHEMA["$defs"]["rule"]["properties"]}
    for key, value in described.items():
        definition = SCHEMA["$defs"].get(key, {}) if "$ref" in value else value
        assert definition.get("description"), key
    assert set(SCHEMA["$defs"]["rule"]["properties"]) == set(SCHEMA["properties"]["defaults"]["properties"]) | set(RULE)


@pytest.mark.parametrize(
    "document",
    [
        {"version": 1, "rules": []},
        {"version": 1, "paused": True, "defaults": {}, "rules": []},
        one_rule(),
        one_rule(target=ANY_SITE, signalr=SIGNALR.upper()),
        one_rule(slots=[PRODUCTION, "staging"], request_message={"signed": True}, endpoint_name="*", on_removal="revoke"),
        one_rule(endpoint_subscriptions=[SUBSCRIPTION], endpoint_name="{signalr}-*", accept_exposure_change=True),
        one_rule(request_message="", expires="2028-02-29", owner="", ticket="é"),
        one_rule(effect="deny", slots=["staging"], expires="2027-06-30", owner="a", ticket="b"),
        {"version": 1, "defaults": {"request_message": {"signed": True}}, "rules": [{**RULE, "endpoint_name": "*"}]},
    ],
)
def test_what_both_take(document: object) -> None:
    """Sound documents."""
    assert problems_of(document) == []
    assert VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "x",
        {},
        {"version": 2, "rules": []},
        {"version": "1", "rules": []},
        {"version": 1, "rules": {}},
        {"version": 1, "rules": [None]},
        {"version": 1, "rules": [{}]},
        {"version": 1, "rules": [], "unknown": 1},
        {"version": 1, "rules": [], "paused": "true"},
        {"version": 1, "rules": [], "defaults": []},
        {"version": 1, "rules": [], "defaults": {"id": "a"}},
        {"version": 1, "rules": [], "defaults": {"slots": []}},
        *({"version": 1, "rules": [{k: v for k, v in RULE.items() if k != key}]} for key in RULE),
        one_rule(id="a b"),
        one_rule(id=1),
        one_rule(effect="Allow"),
        one_rule(signalr=SITE),
        one_rule(target=SITE + "*"),
        one_rule(target=SITE + "/slots/x"),
        one_rule(target=SITE.replace("contoso/", "*/")),
        one_rule(target=SITE.replace("-00", "00")),
        one_rule(slots="production"),
        one_rule(slots=[]),
        one_rule(slots=["a", "a"]),
        one_rule(slots=["-a"]),
        one_rule(request_message=1),
        one_rule(request_message="x" * 141),
        one_rule(request_message={"signed": False}),
        one_rule(request_message={"signed": True, "key": "x"}),
        one_rule(request_message={}),
        one_rule(endpoint_subscriptions=["x"]),
        one_rule(endpoint_name="{lnk}"),
        one_rule(endpoint_name=""),
        one_rule(endpoint_name="{link}**"),
        one_rule(endpoint_name="{link}/x"),
        one_rule(endpoint_name="*"),
        one_rule(endpoint_name="*", request_message="x", endpoint_subscriptions=[]),
        one_rule(accept_exposure_change="false"),
        one_rule(accept_exposure_change=True, target=ANY_SITE),
        one_rule(on_removal="revoke", target=ANY_SITE),
        one_rule(on_removal="delete"),
        one_rule(expires="2027-06-31"),
        one_rule(expires="2027-06-30T00:00:00Z"),
        one_rule(owner="a\nb"),
        one_rule(ticket=1234),
        one_rule(effect="deny", request_message="x"),
        one_rule(effect="deny", on_removal="report"),
        one_rule(unknown=1),
    ],
)
def test_what_both_refuse(document: object) -> None:
    """Each kind of mistake that a schema can say."""
    assert problems_of(document)
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    "document",
    [
        {"version": 1, "rules": [RULE, RULE]},
        one_rule(slots=["staging", "Staging"]),
        {"version": 1, "defaults": {"on_removal": "revoke"}, "rules": [{**RULE, "target": ANY_SITE}]},
        {"version": 1, "defaults": {"endpoint_name": "*"}, "rules": [RULE]},
    ],
)
def test_what_only_the_parser_finds(document: object) -> None:
    """The page and the schema say that there is such."""
    assert [bool(BEYOND_A_SCHEMA.search(message)) for message in problems_of(document)] == [True]
    assert VALIDATOR.is_valid(document)


@settings(max_examples=300)
@given(json_documents_without_defaults)
def test_schema_and_parser_agree(document: object) -> None:
    """On every document without defaults, save for what a schema cannot say."""
    problems = problems_of(document)
    assert VALIDATOR.is_valid(document) is all(BEYOND_A_SCHEMA.search(message) for message in problems)


@settings(max_examples=300)
@given(json_documents)
def test_the_schema_refuses_nothing_that_the_parser_takes(document: object) -> None:
    """Nobody's editor complains of a sound document."""
    if not problems_of(document):
        VALIDATOR.validate(document)


# The page


def as_json(node: Node) -> object:
    """A tree as a YAML 1.2 loader gives it to a schema's validator."""
    match node:
        case Scalar(kind=kind, text=text):
            return text if kind == "a text" else json.loads(text.lower())
        case Sequence(items=items):
            return [as_json(item) for item in items]
        case Mapping(entries=entries):
            return {key: as_json(entry.value) for key, entry in entries.items()}
        case _:
            pytest.fail("refused")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_pages_example_is_an_allowlist() -> None:
    """To the parser and to the schema."""
    (example,) = fenced("yaml")
    assert len(parse_allowlist(example, "docs/allowlist.md").rules) == 3
    tree, _ = read_tree(example)
    assert tree is not None
    VALIDATOR.validate(as_json(tree))


def test_the_page_has_a_row_for_every_key_and_no_other() -> None:
    """The tables are the keys of the schema, in its order."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (?:required|default|optional)", PAGE, re.MULTILINE)
    assert rows == [*SCHEMA["properties"], *SCHEMA["$defs"]["rule"]["properties"]]


def test_the_pages_code_for_signing_makes_a_message_that_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as it stands there, beside a key."""
    (code,) = fenced("python")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "requests.pem").write_bytes(pem)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/allowlist.md", "exec"), {})  # noqa: S102  the page's own code
    message = capsys.readouterr().out.strip()
    (example,) = fenced("yaml")
    rule = parse_allowlist(example, "docs/allowlist.md").rules[0]
    now = datetime(2027, 1, 1, tzinfo=UTC)
    result = verify(message, rule.signalr.id, rule.target.id, "func-pe", {"2027-01": key.public_key()}, now)
    assert isinstance(result, ValidSignature)
