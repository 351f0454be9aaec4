"""Checkov's policies over the Bicep: nothing unread, no finding but those that are accepted with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra import bicep, checkov
from tests.infra.bicep import INFRA


@pytest.fixture(scope="module")
def scanned() -> dict[str, Any]:
    return checkov.scan(INFRA)


@pytest.mark.timeout(1200)
def test_nothing_goes_unread(scanned: dict[str, Any]) -> None:
    """A file that checkov cannot parse is skipped by it: its parser must read all that the grammar reads, file by file."""
    assert scanned["summary"]["parsing_errors"] == 0
    of_the_tree = {
        file.name: {
            "parameters": len(file.params),
            "variables": len(file.variables),
            "resources": len(file.resources),
            "modules": len(file.modules),
            "outputs": len(file.outputs),
        }
        for file in bicep.files()
    }
    assert checkov.declared(INFRA) == of_the_tree


@pytest.mark.timeout(1200)
def test_no_policy_is_violated_unseen(scanned: dict[str, Any]) -> None:
    """What is accepted is accepted beside the resource, with a reason; the rest passes."""
    results = scanned["results"]
    assert [(one["check_id"], one["resource"]) for one in results["failed_checks"]] == []
    assert len(results["passed_checks"]) > 30
    for skipped in results["skipped_checks"]:
        assert len(skipped["check_result"]["suppress_comment"].split()) > 3, skipped["check_id"]
