"""What is deployed and what the code reads, held together: settings, queues, tables, containers."""

from __future__ import annotations

import json
import re
from typing import Final

from shared.adapters.tables_store import LEDGER_TABLE, STATE_TABLE
from shared.config import SETTINGS
from tests.functions import bindings
from tests.infra import bicep
from tests.infra.bicep import INFRA

PLATFORM: Final = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
}
"""What the Functions host reads: https://learn.microsoft.com/azure/azure-functions/functions-reference, identity-based."""
NOT_ON_FLEX: Final = {
    *("FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"),
    *("SCM_DO_BUILD_DURING_DEPLOYMENT", "ENABLE_ORYX_BUILD", "WEBSITE_TIME_ZONE"),
}
"""https://learn.microsoft.com/azure/azure-functions/functions-app-settings, Flex Consumption deprecations"""
DEFAULTS: Final = json.loads((INFRA / "settings.json").read_text())


def set_by_main() -> dict[str, str]:
    """The app settings that the main file sets itself, each with its expression."""
    params = bicep.property_of(bicep.file("main.bicep").modules["app"].node, "params", "appSettings")
    assert params is not None
    return {name: bicep.text(node) for name, node in bicep.properties(params).items()}


def test_every_setting_is_set_and_no_other() -> None:
    """Each of the code's settings is in settings.json, with its default, or set by main.bicep; and the reverse.

    To add a setting: add it to infra/settings.json.
    """
    ours = {name for name in set_by_main() if name.startswith("LINKGUARD_")}
    assert ours.isdisjoint(DEFAULTS)
    assert {setting.name for setting in SETTINGS} == ours | set(DEFAULTS)
    assert {setting.name: setting.default for setting in SETTINGS if setting.name in DEFAULTS} == DEFAULTS


def test_the_platforms_settings_are_those_it_reads() -> None:
    """Identity-based storage and telemetry, and nothing that Flex Consumption refuses."""
    names = {name for name in set_by_main() if not name.startswith("LINKGUARD_")}
    assert names == PLATFORM
    assert names.isdisjoint(NOT_ON_FLEX)


def test_each_cloud_has_its_own_endpoints() -> None:
    """Resource Manager's and Log Analytics', by the cloud that it is deployed to; the code knows each."""
    main = bicep.file("main.bicep")
    clouds = {name: bicep.content(node) for name, node in bicep.properties(main.variables["clouds"]).items()}
    assert clouds == {"AzureCloud": "public", "AzureUSGovernment": "usgov", "AzureChinaCloud": "china"}
    for setting in SETTINGS:
        if setting.name in {"LINKGUARD_ARM_ENDPOINT", "LINKGUARD_LOGS_ENDPOINT"}:
            assert set_by_main()[setting.name] == "clouds[environment().name]"
            hosts = {setting.parse(cloud).url for cloud in clouds.values()}
            assert len(hosts) == 3


def test_every_schedule_is_set() -> None:
    """The Functions host reads it from the app settings, where a default of ours counts for nothing."""
    every = [binding for of_function in bindings().values() for binding in of_function]
    schedules = {binding["schedule"].strip("%") for binding in every if binding["type"] == "timerTrigger"}
    assert len(schedules) == sum(binding["type"] == "timerTrigger" for binding in every)
    assert schedules <= set(DEFAULTS)
    assert {name for name in DEFAULTS if name.endswith("_SCHEDULE")} == schedules


def test_it_observes_unless_told_otherwise() -> None:
    """The mode is a parameter whose default is observe, and so is what azd gives it."""
    assert set_by_main()["LINKGUARD_MODE"] == "mode"
    assert re.search(r"^param mode string = 'observe'$", (INFRA / "main.bicep").read_text(), re.MULTILINE)
    assert "=observe}" in json.loads((INFRA / "main.parameters.json").read_text())["parameters"]["mode"]["value"]


def test_the_reader_is_assigned_on_each_watched_subscription() -> None:
    """In that subscription itself, unless somebody else assigns roles; watched are those that are named, else this one."""
    main = bicep.file("main.bicep")
    readers = bicep.text(main.modules["readers"].node)
    assert re.search(r"for id in readable: \{\s+scope: subscription\(id\)\s", readers)
    assert bicep.text(main.variables["readable"]).endswith("take(watched, assignReader ? length(watched) : 0)")
    own = "empty(watchedSubscriptions) ? subscription().subscriptionId : replace(watchedSubscriptions, ' ', '')"
    assert bicep.text(main.variables["watched"]).endswith(f"split({own}, ',')")


def test_nothing_that_writes_to_a_target_is_assigned() -> None:
    """The approver role is defined; assigning it is a step of its own."""
    main = bicep.text(bicep.file("main.bicep").root)
    assert main.count("approverName") == 1
    assert "roles.outputs.readerName" in main


def test_the_tables_are_those_the_code_uses() -> None:
    """And the reverse."""
    assert set(bicep.string_list("main.bicep", "tableNames")) == {LEDGER_TABLE, STATE_TABLE}


def test_the_queues_are_those_the_functions_take_from() -> None:
    """And the reverse; the poison queue is one of them."""
    every = [binding for of_function in bindings().values() for binding in of_function]
    queues = {binding["queueName"] for binding in every if binding["type"] == "queueTrigger"}
    assert set(bicep.string_list("main.bicep", "queueNames")) == queues != set()


def test_every_container_that_a_setting_names_is_made() -> None:
    """The allowlist's, the anchors' and the dead letters'; and the reverse, but for the package's, which the platform reads."""
    containers = set(bicep.containers())
    named = {word for text in set_by_main().values() for word in re.findall(r"\b\w+ContainerName\b", text)}
    assert named == containers - {"packageContainerName"}
    for name, module in (
        ("allowlistContainerName", "records-storage"),
        ("anchorContainerName", "records-storage"),
        ("deadLetterContainerName", "host-storage"),
        ("packageContainerName", "host-storage"),
    ):
        file = bicep.file(f"modules/{module}.bicep")
        made = [
            bicep.text(bicep.properties(one.node)["name"])
            for one in file.resources.values()
            if one.type.endswith("blobServices/containers") and not one.existing
        ]
        assert made.count(name) == 1


def test_every_url_leads_to_the_account_that_has_the_container() -> None:
    """The allowlist and the anchors are where the app cannot change them; its package, queues and tables in its own account."""
    main = (INFRA / "main.bicep").read_text()
    assert set(re.findall(r"\$\{(\w+)\.outputs\.blobEndpoint\}\$\{(\w+)\}", main)) == {
        ("recordsStorage", "allowlistContainerName"),
        ("recordsStorage", "anchorContainerName"),
        ("hostStorage", "packageContainerName"),
    }
    for service in ("blob", "queue", "table"):
        assert set_by_main()[f"AzureWebJobsStorage__{service}ServiceUri"] == f"hostStorage.outputs.{service}Endpoint"
        (output,) = re.findall(
            rf"^output {service}Endpoint string = (.+)$", (INFRA / "modules/host-storage.bicep").read_text(), re.MULTILINE
        )
        assert output == f"account.properties.primaryEndpoints.{service}"


def test_dead_letters_do_not_stay() -> None:
    """They hold personal data: a policy deletes what the app has not, in the container that Event Grid writes to."""
    file = bicep.file("modules/host-storage.bicep")
    policy = bicep.text(file.resources["lifecycle"].node)
    assert "prefixMatch: ['${deadLetterContainerName}/']" in policy
    assert "daysAfterModificationGreaterThan: 7" in policy
    assert "deadLetterContainerName" in bicep.text(bicep.file("events.bicep").modules["events"].node)


def test_each_name_is_one_that_storage_takes() -> None:
    """Queues and containers: 3 to 63 lower-case letters, digits and single dashes; tables: letters and digits."""
    queues = bicep.string_list("main.bicep", "queueNames")
    containers = bicep.containers().values()
    assert len(containers) == 4
    for name in (*queues, *containers):
        assert re.fullmatch(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*", name), name
    for name in bicep.string_list("main.bicep", "tableNames"):
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,62}", name), name
