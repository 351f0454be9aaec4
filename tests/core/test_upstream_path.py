"""Which paths are SignalR's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import ConfigError
from shared.core.upstream_path import UpstreamPaths, of_templates, parse_patterns


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("https://f.azurewebsites.net/api/{hub}/{event}", "/api/chat/connect", True),
        ("https://f.azurewebsites.net/api/{hub}/{event}", "/api/chat", False),
        ("https://f.azurewebsites.net/api/{hub}/{event}?code=x", "/API/chat/connect/", True),
        ("https://{hub}.example.net:8443/x/{category}.json", "/x/messages.json", True),
        ("https://{hub}.example.net/x", "/y", False),
        ("https://f.net/{@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/p/)}", "/a/b/c", True),
        ("https://f.net/runtime/webhooks/signalr?code={@Microsoft.KeyVault(SecretUri=https://v/s/p)}", "/other", False),
        ("{@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/url/)}", "/any/thing", True),
        ("https://f.net", "/", True),
        ("https://f.net", "/runtime/webhooks/signalr", True),
    ],
)
def test_templates(template: str, path: str, fits: bool) -> None:  # noqa: FBT001  the table's column
    """A template's placeholders stand for any text of a segment, a Key Vault reference for any text at all."""
    paths = of_templates([template])
    assert paths.matches("POST", path) is fits
    assert not paths.matches("GET", path)


def test_patterns() -> None:
    """A person's pattern is a path, in which a star stands for any text; nothing matches where there is none."""
    paths = parse_patterns(["/hooks/*", "/a.b"])
    assert paths.matches("post", "/hooks/x/y")
    assert paths.matches("POST", "/a.b")
    assert not paths.matches("POST", "/aXb")
    assert paths.literals == ("/a.b",)
    assert not parse_patterns([]).matches("POST", "")
    with pytest.raises(ConfigError) as caught:
        parse_patterns(["x", "/a?code=1", "/ok"])
    assert len(caught.value.problems) == 2


@given(st.lists(st.text(max_size=40), max_size=4), st.text(max_size=40))
def test_no_template_raises(templates: list[str], path: str) -> None:
    """Any text is a template, and its regular expression is one."""
    paths = of_templates(templates)
    re.compile(paths.regex)
    paths.matches("POST", path)
    assert paths.matches("POST", "/runtime/webhooks/signalr")


@given(
    st.text(
        alphabet=st.characters(exclude_characters="*{}?#", exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs", "Cf", "Co", "Cn"])
    )
)
def test_a_literal_matches_itself(text: str) -> None:
    """Nothing in a path is taken for a regular expression."""
    assert UpstreamPaths((f"/{text}",)).matches("POST", f"/{text}")
