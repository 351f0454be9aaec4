"""No property of a resource is mistyped: what a compiler would say, for the types whose published properties were looked up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from azure.mgmt.web import models

from tests.infra import bicep

if TYPE_CHECKING:
    from tests.infra.bicep import File, Resource

PUBLISHED: Final[dict[str, dict[str, list[str]]]] = json.loads((Path(__file__).parent / "resource_properties.json").read_text())[
    "types"
]
WEB: Final[dict[str, dict[str, Any]]] = {
    "Microsoft.Web/serverfarms": {"": models.AppServicePlan, "properties": models.AppServicePlanProperties},
    "Microsoft.Web/sites": {
        "": models.Site,
        "properties": models.SiteProperties,
        "properties.siteConfig": models.SiteConfig,
        "properties.functionAppConfig": models.FunctionAppConfig,
        "properties.functionAppConfig.deployment": models.FunctionsDeployment,
        "properties.functionAppConfig.deployment.storage": models.FunctionsDeploymentStorage,
        "properties.functionAppConfig.deployment.storage.authentication": models.FunctionsDeploymentStorageAuthentication,
        "properties.functionAppConfig.runtime": models.FunctionsRuntime,
        "properties.functionAppConfig.scaleAndConcurrency": models.FunctionsScaleAndConcurrency,
    },
}
"""azure-mgmt-web's models, whose names on the wire are Azure's."""


def names(model: Any) -> set[str]:  # noqa: ANN401  a class of the SDK
    model({})  # it learns its names on the wire with the first instance
    return {field._rest_name for field in model._attr_to_rest_field.values()}


def allowed() -> dict[str, dict[str, set[str]]]:
    web = {kind: {path: names(model) for path, model in paths.items()} for kind, paths in WEB.items()}
    return {kind: {path: set(found) for path, found in paths.items()} for kind, paths in PUBLISHED.items()} | web


ALLOWED: Final = allowed()


def given(file: File, resource: Resource, path: str) -> set[str] | None:
    """The names at a path of a resource; None where there is nothing. A variable stands for what it holds."""
    node = bicep.property_of(resource.node, *filter(None, path.split(".")))
    if node is None:
        return None
    if node.type == "identifier" and bicep.text(node) in file.variables:
        node = file.variables[bicep.text(node)]
    return set(bicep.properties(node))


CHECKED: Final = [
    (file, resource, path)
    for file in bicep.files()
    for resource in file.resources.values()
    if resource.type in ALLOWED and not resource.existing
    for path in ALLOWED[resource.type]
]


@pytest.mark.parametrize(
    ("file", "resource", "path"), CHECKED, ids=[f"{file.name}:{resource.name}:{path}" for file, resource, path in CHECKED]
)
def test_every_property_is_one_that_azure_has(file: File, resource: Resource, path: str) -> None:
    """At every path that the list knows, and something is there."""
    found = given(file, resource, path)
    assert found is None or found
    assert (found or set()) <= ALLOWED[resource.type][path]


def test_every_type_of_the_list_is_used() -> None:
    """And each of its paths is met at least once, or it checks nothing."""
    met = {(resource.type, path) for file, resource, path in CHECKED if given(file, resource, path)}
    assert {(kind, path) for kind, paths in ALLOWED.items() for path in paths} - met == set()


def test_a_mistyped_property_is_found(tmp_path: Path) -> None:
    """Or the tests above could not fail."""
    copy = tmp_path / "host-storage.bicep"
    text = (bicep.INFRA / "modules" / "host-storage.bicep").read_text()
    copy.write_text(text.replace("allowSharedKeyAccess", "allowSharedKeysAccess"))
    file = bicep.read(copy)
    found = given(file, file.resources["account"], "properties")
    assert found is not None
    assert not found <= ALLOWED["Microsoft.Storage/storageAccounts"]["properties"]
