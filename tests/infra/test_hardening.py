"""Identity everywhere: no shared key, no local authentication, no password; and what must not be changed cannot be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from shared.adapters.log_records import HTTP_LOGS
from tests.infra import bicep

if TYPE_CHECKING:
    from tests.infra.bicep import Resource


def resources(kind: str) -> list[Resource]:
    """Those that are deployed, of one type."""
    return [one for file in bicep.files() for one in file.resources.values() if one.type == kind and not one.existing]


def said(resource: Resource, *names: str) -> str:
    node = bicep.property_of(resource.node, "properties", *names)
    return bicep.text(node) if node is not None else ""


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Microsoft.Storage/storageAccounts", "allowSharedKeyAccess", "false"),
        ("Microsoft.Storage/storageAccounts", "allowBlobPublicAccess", "false"),
        ("Microsoft.Storage/storageAccounts", "allowCrossTenantReplication", "false"),
        ("Microsoft.Storage/storageAccounts", "minimumTlsVersion", "'TLS1_2'"),
        ("Microsoft.Storage/storageAccounts", "supportsHttpsTrafficOnly", "true"),
        ("Microsoft.Storage/storageAccounts", "publicNetworkAccess", "isPrivate ? 'Disabled' : 'Enabled'"),
        ("Microsoft.Insights/components", "DisableLocalAuth", "true"),
        ("Microsoft.EventGrid/topics", "disableLocalAuth", "true"),
        ("Microsoft.KeyVault/vaults", "enableRbacAuthorization", "true"),
        ("Microsoft.KeyVault/vaults", "enablePurgeProtection", "true"),
        ("Microsoft.KeyVault/vaults", "publicNetworkAccess", "isPrivate ? 'Disabled' : 'Enabled'"),
        ("Microsoft.Web/sites", "httpsOnly", "true"),
        ("Microsoft.Web/sites/basicPublishingCredentialsPolicies", "allow", "false"),
    ],
)
def test_every_resource_of_a_kind_says_so(kind: str, name: str, value: str) -> None:
    """None is left out."""
    found = resources(kind)
    assert found
    assert [said(one, name) for one in found] == [value] * len(found)


def test_logs_take_tokens_alone() -> None:
    """The workspace's keys are off too."""
    (workspace,) = resources("Microsoft.OperationalInsights/workspaces")
    assert said(workspace, "features", "disableLocalAuth") == "true"


def test_neither_ftp_nor_scm_takes_a_password() -> None:
    """Each of the two has its policy."""
    policies = resources("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {bicep.strings(bicep.properties(one.node)["name"])[0] for one in policies} == {"ftp", "scm"}


def test_anchors_cannot_be_changed() -> None:
    """A policy on their container, which does not even let a blob grow; locked, it is left alone."""
    (policy,) = resources("Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies")
    assert bicep.text(bicep.properties(policy.node)["parent"]) == "anchors"
    assert said(policy, "immutabilityPeriodSinceCreationInDays") == "immutableDays"
    assert said(policy, "allowProtectedAppendWrites") == "false"
    assert "if (!isLocked)" in bicep.text(policy.node)


def test_everything_with_logs_sends_them_to_the_workspace() -> None:
    """Storage of both accounts, vault, topic, app."""
    scopes = [
        f"{one.file}: {bicep.text(bicep.properties(one.node)['scope'])}"
        for one in resources("Microsoft.Insights/diagnosticSettings")
    ]
    assert sorted(scopes) == [
        "modules/alert-topic.bicep: topic",
        "modules/app.bicep: app",
        "modules/host-storage.bicep: blobs",
        "modules/host-storage.bicep: queues",
        "modules/host-storage.bicep: tables",
        "modules/records-storage.bicep: blobs",
        "modules/vault.bicep: vault",
        "upstream-logging.bicep: site",
        "upstream-logging.bicep: slot",
    ]


def test_the_app_sends_its_telemetry_by_its_identity() -> None:
    """Where only tokens are taken, anything else would be dropped without a word."""
    (line,) = (line.strip() for line in bicep.text(bicep.file("main.bicep").root).splitlines() if "AUTHENTICATION_STRING" in line)
    assert line == "APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'"


def test_every_category_of_logs_is_one_that_its_resource_has() -> None:
    """As https://learn.microsoft.com/azure/azure-monitor/reference/logs-index lists them; the audit's is one."""
    asked = {
        file: set(re.findall(r"category: '(\w+)'\s+enabled: true", bicep.text(bicep.file(file).root)))
        for file in {one.file for one in resources("Microsoft.Insights/diagnosticSettings")}
    }
    assert asked == {
        "modules/alert-topic.bicep": {"DeliveryFailures", "PublishFailures"},
        "modules/app.bicep": {"FunctionAppLogs"},
        "modules/host-storage.bicep": {"StorageDelete"},
        "modules/records-storage.bicep": {"StorageDelete", "StorageRead", "StorageWrite"},
        "modules/vault.bicep": {"AuditEvent"},
        "upstream-logging.bicep": {HTTP_LOGS},
    }


def test_a_network_of_its_own_is_a_choice() -> None:
    """One parameter: the network, its endpoints and the app's subnet come with it, and public access goes."""
    main = bicep.file("main.bicep")
    text = bicep.text(main.root)
    assert re.search(r"^module privateAccess .* = if \(isPrivate\) \{$", text, re.MULTILINE)
    assert "subnetId: isPrivate ? privateAccess.outputs.appSubnetId : ''" in text
    targets = re.findall(r"targetId: (\w+)", bicep.text(bicep.file("modules/private-access.bicep").root))
    assert {"hostStorageId", "recordsStorageId", "vaultId"} <= set(targets)
    assert targets.count("hostStorageId") == 3


def test_who_gets_into_the_private_network() -> None:
    """The app's subnet is as Flex Consumption wants it and takes no call; the other takes HTTPS from here and peered networks.

    From the app's subnet alone would shut out whoever uploads the allowlist: nothing else can be in that one.
    """
    network = bicep.file("modules/private-access.bicep")
    assert bicep.text(network.root).count("serviceName: 'Microsoft.App/environments'") == 1
    rules = {
        name: [
            tuple(
                bicep.content(bicep.properties(rule)[key])
                for key in ("access", "direction", "sourceAddressPrefix", "destinationPortRange")
            )
            for rule in bicep.walk(network.resources[name].node)
            if rule.type == "object" and "sourceAddressPrefix" in bicep.properties(rule) and "access" in bicep.properties(rule)
        ]
        for name in ("appRules", "endpointRules")
    }
    nothing = ("Deny", "Inbound", "*", "*")
    assert rules == {"appRules": [nothing], "endpointRules": [("Allow", "Inbound", "VirtualNetwork", "443"), nothing]}


def test_every_private_endpoint_has_the_name_and_the_zone_that_azure_gives_its_service() -> None:
    """As https://learn.microsoft.com/azure/private-link/private-endpoint-dns lists them: a service each, and its zone."""
    variables = bicep.file("modules/private-access.bicep").variables
    endpoints = {
        bicep.content(bicep.properties(one)["name"]): (
            bicep.content(bicep.properties(one)["groupId"]),
            bicep.text(variables[bicep.text(bicep.properties(one)["zoneName"])]).partition("=")[2].strip().strip("'"),
        )
        for one in bicep.walk(variables["endpoints"])
        if one.type == "object"
    }
    zones = {kind: (kind, f"privatelink.{kind}.${{environment().suffixes.storage}}") for kind in ("blob", "queue", "table")}
    zones["vault"] = ("vault", "privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}")
    assert endpoints == {
        **{f"host-{kind}": zones[kind] for kind in ("blob", "queue", "table")},
        "records-blob": zones["blob"],
        "vault": zones["vault"],
    }


def test_the_app_is_the_one_that_azure_publishes_for_python() -> None:
    """Flex Consumption, Python 3.13, one user-assigned identity for itself, its package and its secrets."""
    (plan,) = resources("Microsoft.Web/serverfarms")
    assert bicep.strings(plan.node).count("FC1") == 1
    (app,) = resources("Microsoft.Web/sites")
    assert said(app, "functionAppConfig", "runtime", "name") == "'python'"
    assert said(app, "functionAppConfig", "runtime", "version") == "'3.13'"
    assert said(app, "functionAppConfig", "deployment", "storage", "authentication", "type") == "'UserAssignedIdentity'"
    assert said(app, "keyVaultReferenceIdentity") == "identityId"


NOT_ON_FLEX: Final = {
    *("alwaysOn", "linuxFxVersion", "windowsFxVersion", "netFrameworkVersion", "ftpsState", "use32BitWorkerProcess"),
    *("preWarmedInstanceCount", "functionsRuntimeScaleMonitoringEnabled", "functionAppScaleLimit"),
}
"""What Azure refuses with error 51021 ("for Flex Consumption sites is invalid"), as far as it is known.

https://learn.microsoft.com/answers/questions/2277522, https://github.com/Azure/terraform-azurerm-avm-res-web-site/pull/345
"""


def test_the_site_says_nothing_that_flex_consumption_refuses() -> None:
    """One such property, and nothing is deployed."""
    (app,) = resources("Microsoft.Web/sites")
    node = bicep.property_of(app.node, "properties", "siteConfig")
    assert node is not None
    found = set(bicep.properties(node))
    assert "appSettings" in found
    assert found & NOT_ON_FLEX == set()


def test_rules_are_deployed_whatever_azure_knows_by_then() -> None:
    """Each sends to the action group, resolves by itself, and does not wait for the saved function."""
    (rule,) = resources("Microsoft.Insights/scheduledQueryRules")
    assert said(rule, "skipQueryValidation") == said(rule, "autoMitigate") == "true"
    assert said(rule, "actions", "actionGroups") == "[actions.id]"
    assert "dependsOn: [records]" in bicep.text(rule.node)
