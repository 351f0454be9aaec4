"""What a module gives reaches whoever it is meant for: texts all, so that Azure itself would take one id for another."""

from __future__ import annotations

import re
from typing import Final

from tests.infra import bicep
from tests.infra.test_settings import set_by_main

PARAMETERS: Final = {
    "hostStorageId": "hostStorage.outputs.id",
    "identityId": "identity.outputs.id",
    "principalId": "identity.outputs.principalId",
    "recordsStorageId": "recordsStorage.outputs.id",
    "roleName": "roles.outputs.readerName",
    "vaultId": "vault.outputs.id",
    "workspaceId": "monitoring.outputs.workspaceId",
}
"""What main.bicep hands on, by the parameter, whichever module it is of."""
OUTPUTS: Final = {
    "ALERT_TOPIC_ID": "alertTopic.outputs.id",
    "APP_HOST_NAME": "app.outputs.hostName",
    "APP_ID": "app.outputs.id",
    "APP_NAME": "app.outputs.name",
    "APPROVER_ROLE": "roles.outputs.approverName",
    "HOST_STORAGE_ID": "hostStorage.outputs.id",
    "HOST_STORAGE_NAME": "hostStorage.outputs.name",
    "IDENTITY_PRINCIPAL_ID": "identity.outputs.principalId",
    "READER_ROLE": "roles.outputs.readerName",
    "RECORDS_STORAGE_ID": "recordsStorage.outputs.id",
    "RECORDS_STORAGE_NAME": "recordsStorage.outputs.name",
    "VAULT_NAME": "vault.outputs.name",
    "WATCHED_SUBSCRIPTIONS": "join(watched, ',')",
    "WORKBOOK_ID": "workbook.outputs.id",
    "WORKSPACE_ID": "monitoring.outputs.workspaceId",
}
"""What commands and the hook are given, but for what is no more than a name of main.bicep's own or a URL made of one."""


def value(file: str, output: str) -> str:
    return bicep.text(bicep.file(file).outputs[output]).partition(" = ")[2]


def test_each_module_is_given_what_its_parameter_is_called() -> None:
    """Everywhere the same: roles to the identity's principal, logs to the one workspace, endpoints to their own account."""
    given = set()
    for module in bicep.file("main.bicep").modules.values():
        params = bicep.property_of(module.node, "params")
        assert params is not None
        given |= {(name, bicep.text(node)) for name, node in bicep.properties(params).items() if name in PARAMETERS}
    assert given == set(PARAMETERS.items())


def test_each_output_is_what_it_is_called() -> None:
    """The hook writes dead letters by one, and a person assigns the approver's role by others."""
    assert {name: value("main.bicep", name) for name in OUTPUTS} == OUTPUTS


def test_each_module_gives_what_its_output_is_called() -> None:
    """An output ends in the property of its own name, and a role's is the role's."""
    for file in bicep.files():
        if not file.name.startswith("modules/"):
            continue
        for name in file.outputs:
            last = value(file.name, name).rpartition(".")[2]
            if name in {"id", "name", "clientId", "principalId"}:
                assert last == name, (file.name, name)
    assert value("modules/roles.bicep", "readerName") == "reader.name"
    assert value("modules/roles.bicep", "approverName") == "approver.name"
    assert value("modules/monitoring.bicep", "workspaceId") == "workspace.id"


def test_the_app_signs_in_by_the_identitys_client_id() -> None:
    """To its storage, to Azure and to Application Insights; by its principal's id it could not. It watches what is watched."""
    settings = set_by_main()
    client = "identity.outputs.clientId"
    assert settings["AzureWebJobsStorage__clientId"] == client
    assert settings["LINKGUARD_MANAGED_IDENTITY_CLIENT_ID"] == client
    assert settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] == f"'ClientId=${{{client}}};Authorization=AAD'"
    assert settings["LINKGUARD_ALERTS_EVENT_GRID"] == "alertTopic.outputs.endpoint"
    assert settings["LINKGUARD_SUBSCRIPTIONS"] == "join(watched, ',')"


def test_the_two_roles_are_two() -> None:
    """Each definition's id follows from its own name: with one id the second would overwrite the first."""
    for name, resource in bicep.file("modules/roles.bicep").resources.items():
        id_ = bicep.property_of(resource.node, "name")
        assert id_ is not None
        assert re.fullmatch(rf"guid\(subscription\(\)\.id, 'linkguard-{name}', suffix\)", bicep.text(id_))
