"""An audit that could not look says so; it does not pass for one that found nothing."""

from __future__ import annotations

import json

import pytest

from tools.audit import Clean, Unread, Vulnerable, judge, report

FINE = {"name": "click", "version": "8.5.1", "vulns": []}
SKIPPED = {"name": "aiohttp", "skip_reason": "Dependency not found and could not be audited: aiohttp (3.14.5)"}
BAD = {
    "name": "cryptography",
    "version": "1.0",
    "vulns": [
        {"id": "GHSA-1", "fix_versions": ["2.0", "3.1"], "aliases": [], "description": "x"},
        {"id": "GHSA-2", "fix_versions": [], "aliases": [], "description": "x"},
    ],
}


def answer(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_no_advisory_for_anything_is_clean() -> None:
    """Every dependency was looked up."""
    verdict = judge(answer(FINE, FINE), "")
    assert verdict == Clean(2)
    assert report(verdict) == (["audit: 2 dependencies, no published advisory applies"], 0)


def test_an_advisory_fails() -> None:
    """Each is named, with the release that fixes it."""
    verdict = judge(answer(FINE, BAD), "Found 2 known vulnerabilities in 1 package")
    lines, code = report(verdict)
    assert code == 1
    assert lines == [
        "audit: cryptography 1.0: GHSA-1, fixed in 2.0 or 3.1",
        "audit: cryptography 1.0: GHSA-2, fixed in no release yet",
    ]


def test_an_advisory_fails_even_where_others_could_not_be_read() -> None:
    """What is known is enough to fail, and what is not known is said too."""
    verdict = judge(answer(SKIPPED, BAD), "")
    assert isinstance(verdict, Vulnerable)
    lines, code = report(verdict)
    assert code == 1
    assert lines[-1] == "audit: advisories could not be read from here for aiohttp"


def test_a_service_that_knows_nothing_is_no_pass() -> None:
    """pip-audit itself exits 0 and says "no known vulnerabilities" here."""
    verdict = judge(answer(SKIPPED, SKIPPED), "No known vulnerabilities found")
    lines, code = report(verdict)
    assert isinstance(verdict, Unread)
    reason = "Dependency not found and could not be audited: aiohttp (3.14.5)"
    assert lines == [f"audit: advisories could not be read from here: 2 of 2 dependencies were not audited ({reason})"]
    assert code == 0


def test_a_service_that_knows_a_part_is_no_pass_either() -> None:
    """The one that was not looked up may be the vulnerable one."""
    assert isinstance(judge(answer(FINE, SKIPPED), ""), Unread)


@pytest.mark.parametrize("output", ["", "Traceback", "[]", "{}", '{"dependencies": null}', '{"dependencies": [1]}', answer()])
def test_an_answer_that_cannot_be_read_is_no_pass(output: str) -> None:
    """Whatever went wrong, the last line of the error says what, cut to a line's length."""
    verdict = judge(output, "long story\nConnectionError: " + "x" * 1000 + "\n")
    assert isinstance(verdict, Unread)
    (line,), _ = report(verdict)
    assert line.startswith("audit: advisories could not be read from here: ")
    assert "\n" not in line
    assert len(line) < 300
