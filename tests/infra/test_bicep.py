"""The Bicep files by themselves: syntax, and every name defined and used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.infra import bicep
from tests.infra.bicep import INFRA, File, files, member_uses, properties, text

TYPES = json.loads((Path(__file__).parent / "resource_types.json").read_text())
ENTRY_POINTS = {"main.bicep", "events.bicep", "upstream-logging.bicep"}
"""What a person or azd deploys; the others are modules."""
FUNCTIONS = {
    *("concat", "cidrSubnet", "empty", "environment", "guid", "items", "join", "last", "length", "loadJsonContent"),
    *("loadTextContent", "replace", "resourceGroup", "split", "subscription", "subscriptionResourceId", "take", "tenant"),
    *("toLower", "union", "uniqueString", "description", "allowed", "minLength", "maxLength", "minValue", "maxValue"),
}
"""Functions of Bicep and its decorators, as far as they are used."""

LINTER_RULES = {
    *("adminusername-should-not-be-literal", "no-hardcoded-env-urls", "no-unused-existing-resources", "no-unused-params"),
    *("no-unused-vars", "outputs-should-not-contain-secrets", "prefer-unquoted-property-names", "secure-params-in-nested-deploy"),
    *(
        "secure-secrets-in-params",
        "use-parent-property",
        "use-recent-api-versions",
        "use-resource-id-functions",
        "use-safe-access",
    ),
}
"""Rules of Bicep's linter that bicepconfig.json sets, as Microsoft's page "Use Bicep linter" lists them."""
HOSTS_OF_ONE_CLOUD = (
    *("core.windows.net", "database.windows.net", "graph.windows.net", "asazure.windows.net", "management.azure.com"),
    *("gallery.azure.com", "login.microsoftonline.com", "trafficmanager.net", "vault.azure.net", "datalake.azure.net"),
    *("azuredatalakestore.net", "azuredatalakeanalytics.net", "api.loganalytics.io"),
)
"""What the rule no-hardcoded-env-urls looks for unless it is told otherwise."""
MOST_TEXT = 131_072
"""Characters that loadTextContent reads."""

each_file = pytest.mark.parametrize("file", files(), ids=lambda file: file.name)


@each_file
def test_the_syntax_is_right(file: File) -> None:
    """The grammar finds no error and nothing missing."""
    assert file.errors() == []


def test_a_syntax_error_is_found(tmp_path: Path) -> None:
    """Or the test above could not fail."""
    broken = INFRA / "modules" / "identity.bicep"
    copy = tmp_path / "broken.bicep"
    copy.write_text(broken.read_text().replace("= {", "= {{", 1))
    assert any(node.is_error for node in bicep.walk(bicep.read(copy).root))


@each_file
def test_every_name_is_defined_once_and_used(file: File) -> None:
    """Parameters, variables, resources and modules: each used somewhere, but for what is there to be deployed."""
    assert file.twice == []
    references = file.references()
    deployed = {name for name, resource in file.resources.items() if not resource.existing} | set(file.modules)
    assert sorted(file.symbols - references - deployed) == []
    loops = {
        text(node)
        for node in bicep.walk(file.root)
        if node.type in {"loop_variable", "loop_enumerator"}
        or (node.type == "identifier" and node.parent is not None and node.parent.type == "for_statement")
    }
    assert sorted(references - file.symbols - loops - FUNCTIONS) == []


@each_file
def test_every_module_gets_its_parameters_and_no_others(file: File) -> None:
    """Those without a default are given, and none is given that the module does not have."""
    for module in file.modules.values():
        assert module.path.is_file(), module.path
        wanted = bicep.read(module.path).params
        params = bicep.property_of(module.node, "params")
        given = set() if params is None else set(properties(params))
        assert given <= set(wanted), module.name
        assert {name for name, has_default in wanted.items() if not has_default} <= given, module.name


@each_file
def test_every_output_that_is_asked_for_exists(file: File) -> None:
    """``module.outputs.name`` names an output of that module."""
    for module in file.modules.values():
        assert member_uses(file, module.name) <= set(bicep.read(module.path).outputs), module.name


def test_every_module_is_used_and_so_is_every_output_of_one() -> None:
    """A file that nobody deploys, or a value that nobody reads, is a mistake or a leftover."""
    used = {module.path for file in files() for module in file.modules.values()}
    assert {file.name for file in files() if file.path not in used} == ENTRY_POINTS
    asked: dict[Path, set[str]] = {}
    for file in files():
        for module in file.modules.values():
            asked.setdefault(module.path, set()).update(member_uses(file, module.name))
    for path, names in asked.items():
        assert set(bicep.read(path).outputs) == names, path.name


@each_file
def test_every_parameter_is_described(file: File) -> None:
    """A sentence stands before each."""
    described = len(re.findall(r"^@description\(", text(file.root), re.MULTILINE))
    assert described == len(file.params)


@each_file
def test_every_file_that_is_read_in_is_there(file: File) -> None:
    """``loadTextContent`` and ``loadJsonContent`` name files; JSON is JSON."""
    for function, name in re.findall(r"\b(loadTextContent|loadJsonContent)\('([^']+)'\)", text(file.root)):
        path = file.path.parent / name
        assert path.is_file(), name
        if function == "loadJsonContent":
            json.loads(path.read_text())
        else:
            assert len(path.read_text()) <= MOST_TEXT


def test_every_resource_type_exists_at_its_version() -> None:
    """What Microsoft publishes: the list says where it was looked up. Nothing is in it that is not used."""
    used = {f"{resource.type}@{resource.version}" for file in files() for resource in file.resources.values()}
    assert used == set(TYPES["types"])


def test_no_tree_is_read_as_empty() -> None:
    """The main file has what the issue of a deployment is, so that the tests above look at something."""
    main = bicep.file("main.bicep")
    assert len(main.modules) >= 10
    assert len(main.outputs) >= 10
    assert len(main.params) >= 10


@each_file
def test_no_secret_comes_out(file: File) -> None:
    """No key is listed, and no connection string with a key made."""
    assert not re.search(r"\blist(?:Keys|AccountSas|ServiceSas|Secrets)?\(|AccountKey|SharedAccess", text(file.root))


def test_the_linter_is_set_by_rules_that_it_has() -> None:
    """A misspelled rule would be ignored without a word."""
    core = json.loads((INFRA / "bicepconfig.json").read_text())["analyzers"]["core"]
    assert core["enabled"] is True
    assert set(core["rules"]) == LINTER_RULES
    assert {rule["level"] for rule in core["rules"].values()} <= {"error", "warning", "off"}


@each_file
def test_what_the_linter_refuses_is_not_there(file: File) -> None:
    """As far as it can be seen without the compiler: ``bicep build`` would end with an error."""
    assert not [host for host in HOSTS_OF_ONE_CLOUD if host in text(file.root)]
    secret = re.compile("password|pwd|secret|accountkey|acctkey", re.IGNORECASE)
    assert not [name for name in (*file.params, *file.outputs) if secret.search(name)]


def test_every_abbreviation_is_used() -> None:
    """And every one that is used is there."""
    known = set(json.loads((INFRA / "abbreviations.json").read_text()))
    used = {name for file in files() for name in re.findall(r"\babbreviations\.(?!json\b)(\w+)", text(file.root))}
    assert used == known


def test_the_parameter_file_gives_what_the_main_file_takes() -> None:
    """Whatever azd fills in from main.parameters.json is a parameter, and those without a default are among it."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    params = bicep.file("main.bicep").params
    assert set(given) <= set(params)
    assert {name for name, has_default in params.items() if not has_default} <= set(given)
