"""Settings from an environment."""

from __future__ import annotations

import base64
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import config
from shared.config import (
    SETTINGS,
    ArmEndpoint,
    CredentialKind,
    Setting,
    Settings,
    SqliteLedger,
    VerifyKeyFile,
    VerifyKeyInline,
    format_duration,
    load_settings,
    parse_duration,
)
from shared.core.address import PrivateRanges
from shared.core.confirm import TakeBackPolicy
from shared.core.errors import ConfigError
from shared.core.verdict import Mode

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-8888-7777-6666-55555555aaaa"
ENOUGH = {"LINKGUARD_ALLOWLIST": "allowlist.yaml", "LINKGUARD_SUBSCRIPTIONS": SUBSCRIPTION}
DURATIONS = [setting for setting in SETTINGS if "a duration" in setting.values]
NUMBERS = [setting for setting in SETTINGS if "a number" in setting.values]


def load(**values: str) -> Settings:
    return load_settings(ENOUGH | {f"LINKGUARD_{name}": value for name, value in values.items()})


def problems(**values: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(**values)
    return caught.value.problems


def only_problem(**values: str) -> str:
    (problem,) = problems(**values)
    return problem


def test_defaults() -> None:
    """With nothing but the allowlist and the subscriptions, Linkguard observes the public cloud and writes nothing."""
    assert load() == Settings(
        mode=Mode.OBSERVE,
        allowlist=Path("allowlist.yaml"),
        subscriptions=(SUBSCRIPTION,),
        ledger=SqliteLedger(Path("linkguard.sqlite3")),
        arm_endpoint=ArmEndpoint(url="https://management.azure.com", authority="login.microsoftonline.com"),
        credential=CredentialKind.DEFAULT,
        managed_identity_client_id=None,
        settle=timedelta(seconds=30),
        confirm_deadline=timedelta(hours=1),
        take_back=TakeBackPolicy.CONTRADICTION,
        recheck_delay=timedelta(seconds=15),
        recheck_max=timedelta(minutes=10),
        approvals_per_target_per_hour=5,
        approvals_per_hour=100,
        verify_keys=(),
        snapshot_max_age=timedelta(minutes=10),
        arm_timeout=timedelta(seconds=30),
        arm_reads_per_second=20,
        concurrency=32,
        sweep_schedule="0 */10 * * * *",
        anchors=None,
        export_schedule=config.EXPORT_SCHEDULE.default,
        dead_letters=None,
        dead_letters_schedule=config.DEAD_LETTERS_SCHEDULE.default,
        sweep_run=timedelta(minutes=5),
        sweep_max_age=timedelta(minutes=45),
        report_require_principal=False,
        all_sites=False,
        alerts_log=True,
        alerts_webhooks=(),
        alerts_event_grid=None,
        alerts_reminder=config.parse_duration(config.ALERTS_REMINDER.default),
        alerts_schedule=config.ALERTS_SCHEDULE.default,
        logs_endpoint=ArmEndpoint(url="https://api.loganalytics.io", authority="login.microsoftonline.com"),
        workspaces=(),
        audit_tables=("AppServiceHTTPLogs",),
        private_ranges=PrivateRanges(),
        audit_schedule="0 35 * * * *",
    )


def test_every_setting_has_its_field() -> None:
    """The table and the dataclass name the same settings in the same order."""
    # The storage account's name is the Functions host's own setting, not one of ours.
    fields = [field.name for field in dataclasses.fields(Settings) if field.name != "storage"]
    assert sorted(fields) == sorted(setting.name.removeprefix(config.PREFIX).lower() for setting in SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_default_is_valid_and_every_setting_is_described(setting: Setting[object]) -> None:
    """A default parses, a description is one sentence."""
    setting.parse(setting.default)
    assert setting.values
    assert setting.doc.endswith(".")
    assert "\n" not in setting.doc


def test_every_problem_is_reported_at_once() -> None:
    """Nobody repairs one setting only to be told about the next."""
    with pytest.raises(ConfigError) as caught:
        load_settings(
            {
                "LINKGUARD_SUBSCRIPTIONS": "mine",
                "LINKGUARD_MODE": "enforced",
                "LINKGUARD_SETTLE": "0s",
                "LINKGUARD_CONCURRENCY": "many",
                "LINKGUARD_TAKEBACK": "never",
            }
        )
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "LINKGUARD_ALLOWLIST",
        "LINKGUARD_MODE",
        "LINKGUARD_SUBSCRIPTIONS",
        "LINKGUARD_SETTLE",
        "LINKGUARD_CONCURRENCY",
        "LINKGUARD_TAKEBACK",
    ]


def test_the_mapping_is_all_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own environment counts for nothing."""
    monkeypatch.setenv("LINKGUARD_MODE", "enforce")
    assert load().mode is Mode.OBSERVE


@pytest.mark.parametrize("name", ["ALLOWLIST", "SUBSCRIPTIONS"])
@pytest.mark.parametrize("value", ["", "  "])
def test_what_is_required_must_be_there(name: str, value: str) -> None:
    """An empty value is an absent one."""
    assert only_problem(**{name: value}).startswith(f"LINKGUARD_{name}: not set; it takes ")


def test_a_command_may_require_less() -> None:
    """Reading a ledger needs neither allowlist nor subscriptions, but what is set must be right."""
    settings = load_settings({}, required=())
    assert (settings.allowlist, settings.subscriptions) == (None, ())
    with pytest.raises(ConfigError):
        load_settings({"LINKGUARD_SUBSCRIPTIONS": "x"}, required=())


def test_other_programs_settings_are_ignored() -> None:
    """Only names that start with the prefix are ours."""
    assert load_settings(ENOUGH | {"AzureWebJobsStorage": "x", "APPSETTING_LINKGUARD_X": "y"}) == load()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LINKGUARD_MOD", "LINKGUARD_MODE"),
        ("Linkguard_Mode", "LINKGUARD_MODE"),
        ("LINKGUARD_RECHECKMAX", "LINKGUARD_RECHECK_MAX"),
    ],
)
def test_a_mistyped_name_is_a_problem(name: str, meant: str) -> None:
    """A typo must not silently leave the default in force."""
    with pytest.raises(ConfigError) as caught:
        load_settings(ENOUGH | {name: "enforce"})
    assert caught.value.problems == (f"{name}: no such setting (did you mean {meant}?)",)


def test_an_unknown_name_like_no_other_gets_no_suggestion() -> None:
    """A suggestion is made only where there is a close one."""
    assert only_problem(QQQQQQQQQQQQQQ="1") == "LINKGUARD_QQQQQQQQQQQQQQ: no such setting"


@pytest.mark.parametrize(("text", "mode"), [("observe", Mode.OBSERVE), ("enforce", Mode.ENFORCE), (" enforce\n", Mode.ENFORCE)])
def test_mode(text: str, mode: Mode) -> None:
    """Surrounding white space, such as a file's last newline, is no part of a value."""
    assert load(MODE=text).mode is mode


@pytest.mark.parametrize("text", ["enforced", "Enforce", "on", "observe,enforce"])
def test_an_unknown_mode_is_refused(text: str) -> None:
    """Whoever meant enforce is told, and whoever did not is not surprised."""
    assert only_problem(MODE=text).startswith(f"LINKGUARD_MODE: {text!r} is none of observe, enforce")


def test_a_mistyped_value_gets_a_suggestion() -> None:
    """The close value is named."""
    assert only_problem(TAKE_BACK="Contradicted").endswith("(did you mean contradiction?)")


def test_subscriptions_are_lower_case_and_each_once() -> None:
    """Azure's ids are equal whatever their case, and a trailing comma does no harm."""
    assert load(SUBSCRIPTIONS=f" {OTHER.upper()} , {SUBSCRIPTION},{OTHER},").subscriptions == (OTHER, SUBSCRIPTION)


@pytest.mark.parametrize(
    "text", ["mine", SUBSCRIPTION[:-1], f"{{{SUBSCRIPTION}}}", SUBSCRIPTION.replace("-", ""), f"/subscriptions/{OTHER}"]
)
def test_a_subscription_is_a_guid(text: str) -> None:
    """Nothing but the id itself."""
    assert only_problem(SUBSCRIPTIONS=f"{SUBSCRIPTION},{text}") == (
        f"LINKGUARD_SUBSCRIPTIONS: {text!r} is not a GUID such as 00000000-0000-0000-0000-000000000000"
    )


def test_every_wrong_element_of_a_list_is_named() -> None:
    """Both typos at once."""
    problem = only_problem(SUBSCRIPTIONS=f"mine,{SUBSCRIPTION},yours")
    assert "'mine'" in problem
    assert "'yours'" in problem


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///a/b.sqlite3", "a/b.sqlite3"),
        ("sqlite:////var/lib/l.db", "/var/lib/l.db"),
        ("sqlite:///./with space", "with space"),
    ],
)
def test_ledger(text: str, path: str) -> None:
    """Three slashes and a relative path, four and an absolute one, as in every SQLite URL."""
    assert load(LEDGER=text).ledger == SqliteLedger(Path(path))


@pytest.mark.parametrize(
    "text",
    [
        "tables",
        "sqlite",
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite:///dir/",
        "sqlite://host/x",
        "x.db",
        "sqlite:///:memory:",
    ],
)
def test_a_ledger_that_names_no_file_is_refused(text: str) -> None:
    """A ledger in memory would be none."""
    assert only_problem(LEDGER=text).startswith("LINKGUARD_LEDGER: ")


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("public", "https://management.azure.com", "login.microsoftonline.com"),
        ("usgov", "https://management.usgovcloudapi.net", "login.microsoftonline.us"),
        ("china", "https://management.chinacloudapi.cn", "login.chinacloudapi.cn"),
        ("https://management.local.contoso.com/", "https://management.local.contoso.com", None),
        ("HTTPS://Arm.Contoso.com:8443", "https://arm.contoso.com:8443", None),
    ],
)
def test_endpoint(text: str, url: str, authority: str | None) -> None:
    """A cloud's name or a URL; the scope is the URL's own."""
    endpoint = load(ARM_ENDPOINT=text).arm_endpoint
    assert endpoint == ArmEndpoint(url=url, authority=authority)
    assert endpoint.scope == f"{url}/.default"


@pytest.mark.parametrize(
    "text",
    [
        "pubic",
        "ftp://127.0.0.1",
        "management.azure.com",
        "https://",
        "https://h:port",
        "https://h:99999",
        "https://[::1",
        "https://h/path",
        "https://h?x=1",
        "https://h#f",
        "https://h h",
        "https://h\\@127.0.0.1",
        "https://[fe80::1%25eth0]",
    ],
)
def test_an_endpoint_that_is_no_bare_url_is_refused(text: str) -> None:
    """What is not understood whole is not used in part."""
    assert only_problem(ARM_ENDPOINT=text).startswith("LINKGUARD_ARM_ENDPOINT: ")


def test_a_password_in_the_endpoint_is_refused_and_not_repeated() -> None:
    """A message about a secret does not spread it."""
    problem = only_problem(ARM_ENDPOINT="https://user:hunter2@management.azure.com")
    assert problem.startswith("LINKGUARD_ARM_ENDPOINT: the URL names a user")
    assert "hunter2" not in problem


LOOPBACK = ["http://127.0.0.1:8080", "http://127.8.9.10:1", "http://localhost:8080", "http://LOCALHOST", "http://[::1]:8080"]
ELSEWHERE = [
    "http://10.0.0.4:8080",
    "http://management.azure.com",
    "http://localhost.contoso.com",
    "http://localhost.",
    "http://127.1",
    "http://127.0.0.1.contoso.com",
    "http://2130706433",
    "http://0.0.0.0",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
]


@pytest.mark.parametrize("url", LOOPBACK)
def test_plain_http_and_the_local_credential_go_to_loopback(url: str) -> None:
    """A server on this machine is spoken to without TLS and without a secret, and without a limit where wanted."""
    settings = load(ARM_ENDPOINT=url, CREDENTIAL="local", ARM_READS_PER_SECOND="0")
    assert settings.arm_endpoint.is_loopback
    assert settings.arm_endpoint.url == url.lower()


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("credential", ["default", "managed-identity", "local"])
def test_plain_http_goes_nowhere_else(url: str, credential: str) -> None:
    """Not even to what another program may take for loopback."""
    found = problems(ARM_ENDPOINT=url, CREDENTIAL=credential)
    assert f"LINKGUARD_ARM_ENDPOINT: plain http is accepted for loopback alone, and {url} is not; use https" in found


@pytest.mark.parametrize("url", ["public", "usgov", "https://10.0.0.4"])
def test_the_local_credential_goes_nowhere_else(url: str) -> None:
    """TLS does not make a fixed token one that Azure gave."""
    assert only_problem(ARM_ENDPOINT=url, CREDENTIAL="local").startswith("LINKGUARD_CREDENTIAL: local is a fixed token")


@pytest.mark.parametrize("credential", ["default", "managed-identity"])
@pytest.mark.parametrize("url", LOOPBACK)
def test_a_real_token_never_goes_over_plain_http(url: str, credential: str) -> None:
    """Not even over loopback, where any other process may listen."""
    assert only_problem(ARM_ENDPOINT=url, CREDENTIAL=credential).startswith("LINKGUARD_CREDENTIAL: a real token never goes")


@pytest.mark.parametrize("credential", list(CredentialKind))
def test_loopback_over_tls_takes_any_credential(credential: str) -> None:
    """A proxy on this machine may end TLS."""
    assert load(ARM_ENDPOINT="https://127.0.0.1", CREDENTIAL=credential).credential == credential


def test_a_wrong_setting_is_not_held_against_another() -> None:
    """A mistyped credential is one problem, not two."""
    assert only_problem(ARM_ENDPOINT="http://127.0.0.1", CREDENTIAL="locl").startswith("LINKGUARD_CREDENTIAL: 'locl'")


def test_reads_without_limit_are_for_loopback_alone() -> None:
    """Azure's limit is shared with everyone else who uses the subscription."""
    assert only_problem(ARM_READS_PER_SECOND="0").startswith("LINKGUARD_ARM_READS_PER_SECOND: 0 (no limit) is for loopback")


def test_reads_stay_below_azures_refill() -> None:
    """25 a second is all that a subscription gets."""
    assert load(ARM_READS_PER_SECOND="24").arm_reads_per_second == 24
    assert "LINKGUARD_ARM_READS_PER_SECOND" in only_problem(ARM_READS_PER_SECOND="25")


def test_managed_identity_client_id() -> None:
    """A GUID, or nothing."""
    assert load(MANAGED_IDENTITY_CLIENT_ID=OTHER.upper()).managed_identity_client_id == OTHER
    assert "is not a GUID" in only_problem(MANAGED_IDENTITY_CLIENT_ID="my-identity")


def test_an_allowlist_is_a_file_or_a_blob() -> None:
    """A URL is not taken for the name of a file, nor one with a secret in it for a blob's."""
    url = "https://contoso.blob.core.windows.net/c/allowlist.yaml"
    assert load(ALLOWLIST=url).allowlist == config.BlobUrl(url)
    problem = only_problem(ALLOWLIST=f"{url}?sig=very-secret")
    assert problem.startswith("LINKGUARD_ALLOWLIST")
    assert "very-secret" not in problem


@given(number=st.integers(0, 999_999_999), unit=st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_is_a_number_and_a_unit(number: int, unit: str) -> None:
    """Read as written, and what is written of it reads the same."""
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    value = parse_duration(f"{number}{unit}")
    assert value == timedelta(milliseconds=round(number * seconds * 1000))
    assert parse_duration(format_duration(value)) == value


@given(text=st.text(max_size=12))
def test_any_other_text_is_no_duration(text: str) -> None:
    """A text is read as a duration or refused; nothing else comes out, and what comes out was written in ASCII."""
    try:
        value = parse_duration(text)
    except ValueError as error:
        assert "is not a duration" in str(error)  # noqa: PT017  either answer is right for some text
    else:
        assert text.isascii()
        assert value >= timedelta(0)


@pytest.mark.parametrize(
    "text", ["30", "s", "30S", "30 s", "-30s", "+30s", "1.5h", "1h30m", "٣s", "30sec", "1e3s", "9999999999s", "30s\n0"]
)
@pytest.mark.parametrize("setting", DURATIONS, ids=lambda setting: setting.name)
def test_what_is_no_duration_is_refused(setting: Setting[timedelta], text: str) -> None:
    """No number without a unit, no sign, no fraction, no other alphabet's digits."""
    problem = only_problem(**{setting.name.removeprefix(config.PREFIX): text})
    assert problem == f"{setting.name}: {text!r} is not a duration such as 500ms, 30s, 10m, 2h or 1d"


@pytest.mark.parametrize("text", ["0ms", "0s", "0d"])
@pytest.mark.parametrize(
    "setting",
    [setting for setting in DURATIONS if setting not in {config.SNAPSHOT_MAX_AGE, config.ALERTS_REMINDER}],
    ids=lambda setting: setting.name,
)
def test_no_wait_is_nothing(setting: Setting[timedelta], text: str) -> None:
    """Evidence that has not settled is none, and a call that may take no time never succeeds."""
    assert only_problem(**{setting.name.removeprefix(config.PREFIX): text}).startswith(f"{setting.name}: {text} is not from ")


def test_no_snapshot_is_young_enough() -> None:
    """0s means: list the subscriptions each time."""
    assert load(SNAPSHOT_MAX_AGE="0s").snapshot_max_age == timedelta(0)


@pytest.mark.parametrize("setting", DURATIONS, ids=lambda setting: setting.name)
def test_a_duration_has_an_upper_bound(setting: Setting[timedelta]) -> None:
    """A wait of years is a typo."""
    assert only_problem(**{setting.name.removeprefix(config.PREFIX): "366d"}).startswith(f"{setting.name}: 366d is not from ")


@pytest.mark.parametrize("setting", [*DURATIONS, *NUMBERS], ids=lambda setting: setting.name)
def test_the_described_bounds_are_the_real_ones(setting: Setting[object]) -> None:
    """``values``, which the documentation repeats, names the least and the most that are accepted."""
    low, high = (word.strip("`;") for word in setting.values.split(" ")[3:6:2])
    for text in (low, high):
        setting.parse(text)
    beyond = high.replace(high.rstrip("msdh"), str(int(high.rstrip("msdh")) + 1))
    with pytest.raises(ValueError, match="is not"):
        setting.parse(beyond)


def test_the_first_recheck_is_no_later_than_the_last() -> None:
    """The wait doubles up to its maximum, never down to it."""
    assert only_problem(RECHECK_DELAY="20m") == "LINKGUARD_RECHECK_DELAY: 20m is more than LINKGUARD_RECHECK_MAX, 10m"


@pytest.mark.parametrize("text", ["-1", "+1", "1.0", "0x1", "1e3", "\uff11", "1_0", "9999999999999"])
@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
def test_what_is_no_number_is_refused(setting: Setting[int], text: str) -> None:
    """Whole, decimal, in range."""
    assert only_problem(**{setting.name.removeprefix(config.PREFIX): text}).startswith(
        f"{setting.name}: {text!r} is not a whole number"
    )


def test_no_budget_stops_approvals() -> None:
    """0 is a way to stop them."""
    settings = load(APPROVALS_PER_HOUR="0", APPROVALS_PER_TARGET_PER_HOUR="0")
    assert (settings.approvals_per_hour, settings.approvals_per_target_per_hour) == (0, 0)


def test_verify_keys() -> None:
    """A file, or the key itself; padding and slashes of base64 are no separators."""
    der = bytes(range(256))[::-1][:91]
    text = f"team-chat=keys/chat.pem, ops_2 = spki:{base64.b64encode(der).decode()} ,abs=/etc/keys/a=b.pem"
    assert load(VERIFY_KEYS=text).verify_keys == (
        VerifyKeyFile("team-chat", Path("keys/chat.pem")),
        VerifyKeyInline("ops_2", der),
        VerifyKeyFile("abs", Path("/etc/keys/a=b.pem")),
    )


@pytest.mark.parametrize(
    "text",
    [
        "chat",
        "chat=",
        "=chat.pem",
        "a.b=chat.pem",
        "a b=chat.pem",
        f"{'k' * 17}=chat.pem",
        "a=spki:",
        "a=spki:???",
        "a=spki:QUJ",
        "a=x,a=y",
    ],
)
def test_a_key_that_is_none_is_refused(text: str) -> None:
    """An id that a signed message cannot carry, no source, no base64, an id twice."""
    assert only_problem(VERIFY_KEYS=text).startswith("LINKGUARD_VERIFY_KEYS: ")


@pytest.mark.parametrize("text", ["0 */10 * * * *", "0  30 9-17 * Jan Mon-Fri"])
def test_sweep_schedule(text: str) -> None:
    """Six fields, as the Functions host reads them."""
    assert load(SWEEP_SCHEDULE=text).sweep_schedule == " ".join(text.split())


@pytest.mark.parametrize("text", ["*/10 * * * *", "10m", "0 0 * * * * *", "%X% * * * * *"])
def test_a_schedule_that_the_host_cannot_read_is_refused(text: str) -> None:
    """Five fields are cron's, not the host's."""
    assert "NCRONTAB" in only_problem(SWEEP_SCHEDULE=text)


def test_a_hostile_value_is_quoted_and_cut() -> None:
    """A message is one line of reasonable length whatever was set."""
    problem = only_problem(MODE="\x1b[31m\n" + "x" * 10_000)
    assert problem.isprintable()
    assert len(problem) < 300


@pytest.mark.parametrize("text", ["dead-letters", "a1b", "x" * 63])
def test_a_container_by_its_name(text: str) -> None:
    """Empty is none."""
    assert load(DEAD_LETTERS=text).dead_letters == text
    assert load(DEAD_LETTERS="").dead_letters is None


@pytest.mark.parametrize("text", ["ab", "x" * 64, "Dead-Letters", "a--b", "-ab", "ab-", "https://account/container", "a/b"])
def test_what_is_no_container_is_refused(text: str) -> None:
    """A URL is none: the account is that of AzureWebJobsStorage."""
    assert only_problem(DEAD_LETTERS=text).startswith("LINKGUARD_DEAD_LETTERS:")
