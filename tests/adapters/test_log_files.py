"""Local log files."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters import log_engine, log_files
from shared.adapters.log_bytes import LONGEST_LINE, LogInput
from shared.adapters.log_detect import detect
from shared.adapters.log_files import LogFiles
from shared.adapters.log_format import LogFormat
from shared.adapters.log_pump import Pump
from shared.adapters.log_records import from_text
from shared.core.address import DEFAULT_RANGES, AddressClass
from shared.core.arm_id import ArmId
from shared.core.errors import ConfigError
from shared.core.model import Target
from shared.core.traffic import Basis, Inconclusive, Private, PublicSeen, TrafficReading, judge
from shared.ports import TrafficQuestion
from tests import traffic_logs as logs
from tests.traffic_logs import SITE, START, Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = [
    Row(client="10.0.0.4"),
    Row(client="10.0.0.5", second=1),
    Row(client="::ffff:10.0.0.4", second=2),
    Row(client="8.8.8.8", path="/api/health", method="GET", second=3),
    Row(client="127.0.0.1", path="/", method="GET", agent="AlwaysOn", second=4),
    Row(client="127.0.0.1", path="/", method="GET", agent="HealthCheck/1.0", second=5),
    Row(client="8.8.4.4", path="/", method="GET", host="contoso-func.scm.azurewebsites.net", second=6),
]
PUBLIC = Row(client="8.8.8.8", second=7)


def read(path: Path, question: TrafficQuestion | None = None, log_format: LogFormat = LogFormat.AUTO) -> TrafficReading:
    return LogFiles([str(path)], log_format=log_format).read_now(question or TrafficQuestion())


def put(folder: Path, content: str | bytes, name: str = "log") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def joined(shape: Callable[[Row], str]) -> Callable[[list[Row]], str]:
    return lambda rows: "".join(map(shape, rows))


SHAPES: dict[str, Callable[[list[Row]], str]] = {
    "windows": joined(logs.windows),
    "linux": joined(logs.linux),
    "mixed": lambda rows: "".join((logs.windows, logs.linux)[number % 2](row) for number, row in enumerate(rows)),
    "workspace": joined(logs.workspace),
    "workspace list": logs.workspace_list,
    "workspace answer": logs.workspace_answer,
    "workspace csv": logs.workspace_csv,
    "w3c": logs.w3c,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_caller_who_calls_itself_a_ping_is_none(shape: str, tmp_path: Path) -> None:
    """Anybody may write the platform's user agent; the platform pings from the machine itself."""
    rows = [Row(client="10.0.0.4"), Row(client="8.8.8.8", agent="AlwaysOn"), Row(client="8.8.8.8", agent="HealthCheck/1.0")]
    (table,) = read(put(tmp_path, SHAPES[shape](rows))).tables
    assert (table.pings, table.upstream) == (0, {AddressClass.PRIVATE: 1, AddressClass.PUBLIC: 2})


@pytest.mark.parametrize("shape", SHAPES)
def test_an_scm_site_is_one_in_any_case(shape: str, tmp_path: Path) -> None:
    """A host's name has no case."""
    hosts = [f"contoso-func.{label}.azurewebsites.net" for label in ("scm", "SCM", "Scm", "sCm")]
    rows = [Row(client="10.0.0.4"), *(Row(client="8.8.8.8", host=host) for host in hosts)]
    (table,) = read(put(tmp_path, SHAPES[shape](rows))).tables
    assert (table.scm, table.upstream) == (4, {AddressClass.PRIVATE: 1})


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_says_the_same(shape: str, tmp_path: Path) -> None:
    """The same requests in any shape have the same counts, and the same verdict."""
    for rows, verdict in ((ROWS, Private()), ([*ROWS, PUBLIC], PublicSeen())):
        (table,) = read(put(tmp_path, SHAPES[shape](rows))).tables
        public = sum(row.client == "8.8.8.8" for row in rows)
        assert table.requests == {AddressClass.PRIVATE: 3, AddressClass.PUBLIC: public}
        assert sum(table.upstream.values()) == len(rows) - 4
        assert (table.pings, table.scm) == (2, 1)
        assert table.first_seen == START
        assert table.last_seen == START + timedelta(seconds=3 if rows is ROWS else 7)
        assert table.basis is Basis.CLIENT_IP
        assert [(one.address, one.count) for one in table.sources if one.cls is AddressClass.PRIVATE] == [
            ("10.0.0.4", 2),
            ("10.0.0.5", 1),
        ]
        assert judge(table) == verdict


@pytest.mark.parametrize("shape", ["windows", "linux", "w3c", "workspace csv", "workspace list"])
@pytest.mark.parametrize("pack", ["gzip", "two gzips", "zstd"])
def test_compressed(shape: str, pack: str, tmp_path: Path) -> None:
    """Gzip and zstd are read as what is in them, whatever the file is called."""
    text = SHAPES[shape](ROWS).encode()
    half = len(text) // 2
    packed = {"gzip": gzip.compress(text), "two gzips": gzip.compress(text[:half]) + gzip.compress(text[half:])}
    path = put(tmp_path, packed[pack] if pack in packed else zstd.compress(text))
    assert judge(read(path).tables[0]) == Private()


def test_a_truncated_file_is_not_private(tmp_path: Path) -> None:
    """What is there of a damaged file is counted, and that there may be more is said."""
    text = "".join(
        logs.windows(Row(client=f"10.0.{n // 200}.{n % 200}", second=n, agent=str(n * n))) for n in range(5000)
    ).encode()
    for number, packed in enumerate((gzip.compress(text), zstd.compress(text))):
        reading = read(put(tmp_path, packed[: len(packed) // 2], f"log{number}"))
        assert reading.problems
        assert isinstance(judge(reading.tables[0], None, reading.problems), Inconclusive)


def test_the_layout_of_an_export(tmp_path: Path) -> None:
    """Folders, globs and single files are the same; a file that is named twice is read once."""
    folder = "resourceId=/y=2026/m=11/d=23/h=1{}/m=00/PT1H.json"
    for hour in range(2):
        put(tmp_path, "".join(map(logs.linux if hour else logs.windows, ROWS)), folder.format(hour))
    whole = LogFiles([str(tmp_path)]).read_now(TrafficQuestion()).tables
    assert whole == LogFiles([str(tmp_path / "**/PT1H.json"), str(tmp_path)]).read_now(TrafficQuestion()).tables
    assert sum(whole[0].requests.values()) == 8
    with pytest.raises(ConfigError):
        LogFiles([str(tmp_path / "nothing")])


def test_standard_input() -> None:
    """A pipe is read whole, however long it is."""
    script = (
        "import sys; from shared.adapters.log_files import LogFiles; from shared.ports import TrafficQuestion\n"
        "r = LogFiles(['-']).read_now(TrafficQuestion()); print(r.lines.read, r.lines.broken, r.lines.skipped)"
    )
    text = logs.windows(ROWS[0]).encode() * 20_000 + b"\n{broken\n"
    done = subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == [b"20000", b"1", b"1"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_a_pipe_that_gives_a_byte_at_a_time(pack: Callable[[bytes], bytes]) -> None:
    """What a log is shows at its beginning, however little of it is there at first."""
    script = (
        "import sys; from shared.adapters.log_files import LogFiles; from shared.ports import TrafficQuestion\n"
        "r = LogFiles(['-']).read_now(TrafficQuestion()); print(r.lines.read, r.lines.broken, len(r.problems))"
    )
    read_end, write_end = os.pipe()
    with subprocess.Popen([sys.executable, "-c", script], stdin=read_end, stdout=subprocess.PIPE) as reader:
        os.close(read_end)
        assert reader.stdout is not None
        with open(write_end, "wb", buffering=0) as file:  # noqa: PTH123  a descriptor
            data = pack("".join(map(logs.windows, ROWS)).encode())
            for at in range(8):
                file.write(data[at : at + 1])
                time.sleep(0.1 if at else 1)  # The reader has to be there first.
            file.write(data[8:])
        assert reader.stdout.read().split() == [b"7", b"0", b"0"]


def test_forwarded_headers_win_over_the_client_address(tmp_path: Path) -> None:
    """With an X-Forwarded-For field the right-most element counts, and what differs from c-ip is counted."""
    rows = [
        Row(client="10.0.0.4", forwarded="10.1.1.1,+10.0.0.4:50321"),
        Row(client="10.0.0.4", forwarded="10.9.9.9, 8.8.8.8"),
        Row(client="10.0.0.4", forwarded=None),
    ]
    (table,) = read(put(tmp_path, logs.w3c(rows, forwarded=True))).tables
    assert table.upstream == {AddressClass.PRIVATE: 2, AddressClass.PUBLIC: 1}
    assert table.disagreements == 1
    assert table.basis is Basis.BOTH


@pytest.mark.parametrize("key", ["x_forwarded_for", "X-Forwarded-For", "X-FORWARDED-FOR", "x-fOrWaRdEd_fOR", "xForwardedFor"])
@pytest.mark.parametrize("level", ["top", "properties", "text properties", "message", "plain message", "text"])
def test_application_logs(key: str, level: str, tmp_path: Path) -> None:
    """The key in any case, wherever a logger puts it; the caller's part of the header says nothing."""
    told = {"method": "POST", "path": "/runtime/webhooks/signalr?code=sesame", key: "10.0.0.4, 8.8.8.8:443"}
    plain = f"POST /runtime/webhooks/signalr {key}=10.0.0.4, 8.8.8.8:443 user=x"
    record: dict[str, object] = {"time": "2026-11-23T10:00:00Z", "level": "debug"}
    match level:
        case "top":
            record |= told
        case "properties":
            record["properties"] = told
        case "text properties":
            record["Properties"] = json.dumps(told)
        case "message":
            record["properties"] = {"message": json.dumps(told)}
        case _:
            record["message"] = plain
    line = f"2026-11-23T10:00:00Z INFO {plain}\n" if level == "text" else json.dumps(record) + "\n"
    # Beside records of another kind too, so that the engine hands it on.
    for before in ("", logs.windows(Row(client="10.0.0.4")) if level != "text" else "starting\n"):
        reading = read(put(tmp_path, before + line))
        (table,) = (one for one in reading.tables if one.table == "application log")
        assert table.upstream == {AddressClass.PUBLIC: 1}
        assert table.sources[0].address == "8.8.8.8"


@pytest.mark.parametrize("key", [r"X-\u0046orwarded-For", r"x_for\u0077arded_for", r"\u0058-Forwar\u0064ed-For"])
def test_a_key_with_an_escaped_letter_is_that_key(key: str, tmp_path: Path) -> None:
    """JSON may write any letter as its number."""
    line = logs.windows(Row(client="10.0.0.4"))
    path = put(tmp_path, line + line.replace('"CIp":', f'"{key}": "8.8.8.8", "CIp":'))
    (table,) = read(path, log_format=LogFormat.JSONL).tables
    assert table.upstream == {AddressClass.PRIVATE: 1, AddressClass.PUBLIC: 1}


def test_an_application_logs_other_lines_are_no_requests(tmp_path: Path) -> None:
    """What an application says of other things is skipped, in JSON as in text; a record without a table is of the same one."""
    call = (
        '{"ts": "2026-11-23T10:00:00Z", "method": "POST", "path": "/runtime/webhooks/signalr", "x_forwarded_for": "10.0.0.4"}\n'
    )
    path = put(
        tmp_path, '{"ts": "2026-11-23T09:00:00Z", "msg": "starting"}\n' + call + '{"level": "info", "properties": {"a": 1}}\n{}\n'
    )
    for log_format in (LogFormat.JSONL, LogFormat.TEXT):
        reading = read(path, log_format=log_format)
        assert [(one.table, one.rows, judge(one)) for one in reading.tables] == [("application log", 1, Private())]
        assert reading.lines is not None
        assert (reading.lines.read, reading.lines.skipped) == (1, 3)
    record = {"CIp": "10.0.0.4", "CsMethod": "POST", "CsUriStem": logs.WEBHOOK}
    for text in (
        json.dumps(record) + "\n",
        json.dumps([record]),
        "CIp,CsMethod,CsUriStem\n10.0.0.4,POST,/runtime/webhooks/signalr\n",
    ):
        assert [one.table for one in read(put(tmp_path, text)).tables] == ["AppServiceHTTPLogs"]


def test_a_caller_cannot_write_the_header_into_another_field(tmp_path: Path) -> None:
    """A user agent or a path that looks like a forwarded header is not one."""
    forged = '", "x_forwarded_for": "10.0.0.1", "a": "x_forwarded_for=10.0.0.1'
    for shape in (logs.windows, logs.linux, logs.workspace):
        (table,) = read(put(tmp_path, shape(Row(client="8.8.8.8", agent=forged)))).tables
        assert table.upstream == {AddressClass.PUBLIC: 1}
    text = logs.text_line(Row(client=None, forwarded="8.8.8.8", query="x_forwarded_for=10.0.0.1"))
    (table,) = read(put(tmp_path, text)).tables
    assert table.upstream == {AddressClass.PUBLIC: 1}


@pytest.mark.parametrize("end", ["", " took 5 ms", ", user=me", '" took 5'])
@given(claim=st.text(alphabet=st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=30))
def test_a_forged_part_in_text_never_makes_public_private(claim: str, end: str) -> None:
    """A line for people has no certain end of the header: whatever the caller's part looks like, public stays not private."""
    for quote in ("", '"', "'"):
        line = f"POST /x x_forwarded_for={quote}10.0.0.4{claim}, 8.8.8.8{quote}{end}"
        request = from_text(line)
        assert request is None or request.source(DEFAULT_RANGES).cls is not AddressClass.PRIVATE, line


@pytest.mark.parametrize(
    "header",
    [
        "10.0.0.4;" + ", 10.0.0.1" * 300 + ", 8.8.8.8",
        "10.0.0.4;" + "".join(f", 10.0.{n // 250}.{n % 250}" for n in range(9000)) + ", 8.8.8.8",
        "10.0.0.4 x_forwarded_for=" * 300 + "8.8.8.8",
        ", ".join(["10.0.0.4"] * 60_000) + ", 8.8.8.8",
        '"10.0.0.4, 8.8.8.8',
        "'10.0.0.4",
        "[10.0.0.4",
        "10.0.0.4," + "b" * 300_000 + "=, 8.8.8.8",
        "10.0.0.4," + "1:" * 300_000 + "=, 8.8.8.8",
    ],
)
def test_a_long_forged_part_in_text_never_makes_public_private(header: str, tmp_path: Path) -> None:
    """However long the caller's part is, however often it begins anew, and where it is never closed; read in one go."""
    reading = read(put(tmp_path, f"2026-11-23T10:00:00Z POST /runtime/webhooks/signalr x_forwarded_for={header}\n"))
    (table,) = reading.tables
    assert set(table.upstream) <= {AddressClass.PUBLIC, AddressClass.MALFORMED}
    assert sum(table.upstream.values()) == 1


def test_application_insights(tmp_path: Path) -> None:
    """A component's records belong to the site that their role names; a masked address and sampling are told."""
    record = {
        "TimeGenerated": "2026-11-23T10:00:00Z",
        "_ResourceId": "/subscriptions/s/resourcegroups/g/providers/microsoft.insights/components/ai",
        "Type": "AppRequests",
        "AppRoleName": "contoso-func",
        "Name": "POST signalr",
        "Url": "https://contoso-func.azurewebsites.net/runtime/webhooks/signalr?code=sesame",
        "ClientIP": "0.0.0.0",
        "ItemCount": 5,
    }
    question = TrafficQuestion(targets=(Target(ArmId.parse(SITE)),))
    (table,) = read(put(tmp_path, json.dumps(record) + "\n"), question).tables
    assert table.target == SITE
    assert table.upstream == {AddressClass.MASKED: 1}
    assert table.sampled


def test_target_and_window(tmp_path: Path) -> None:
    """A target filters records that name one and labels those that do not; a window leaves out what is outside it."""
    other = SITE.replace("contoso-func", "other")
    path = put(tmp_path, "".join(map(logs.windows, [Row(client="10.0.0.4"), Row(client="8.8.8.8", target=other)])))
    reading = read(path, TrafficQuestion(targets=(Target(ArmId.parse(SITE)),)))
    assert [table.target for table in reading.tables] == [SITE.upper()]
    assert reading.lines is not None
    assert (reading.lines.read, reading.lines.skipped) == (1, 1)
    assert len(read(path).tables) == 2
    unnamed = (
        '{"CIp": "10.0.0.4", "CsMethod": "POST", "CsUriStem": "/runtime/webhooks/signalr", "time": "2026-11-23T10:00:00Z"}\n'
    )
    path = put(tmp_path, unnamed)
    assert read(path).tables[0].target == "unnamed"
    assert read(path, TrafficQuestion(targets=(Target(ArmId.parse(SITE)),))).tables[0].target == SITE
    path = put(tmp_path, "".join(map(logs.windows, ROWS)))
    reading = read(path, TrafficQuestion(since=START + timedelta(seconds=1), until=datetime(2026, 11, 23, 10, 0, 2, tzinfo=UTC)))
    assert sum(reading.tables[0].requests.values()) == 1
    assert reading.lines is not None
    assert (reading.lines.read, reading.lines.skipped) == (1, 6)


def test_a_sites_name_is_not_its_slots(tmp_path: Path) -> None:
    """A log that names the site alone tells nothing of its slot, whichever of the two was asked for first."""
    site = Target(ArmId.parse(SITE))
    path = put(tmp_path, logs.w3c([Row(client="8.8.8.8")]))
    for targets in ((site, Target.of(site.id, "staging")), (Target.of(site.id, "staging"), site)):
        assert [table.target for table in read(path, TrafficQuestion(targets=targets)).tables] == [SITE]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_a_time_without_its_offset_is_utc(zone: str, tmp_path: Path) -> None:
    """Wherever the machine stands: a window in its own time would leave out another part of the log."""
    path = put(tmp_path, logs.windows(PUBLIC).replace("07Z", "07"))
    script = (
        "import sys; from shared.adapters.log_files import LogFiles; from shared.ports import TrafficQuestion\n"
        "print(LogFiles(sys.argv[1:]).read_now(TrafficQuestion()).tables[0].first_seen)"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, env={**os.environ, "TZ": zone}, capture_output=True, check=True, timeout=60, text=True)
    assert done.stdout.strip() == "2026-11-23 10:00:07+00:00"


@pytest.mark.parametrize("spelt", [SITE.replace("contoso/", "groß-Ünï/"), "contoso-func"])
def test_a_target_is_found_as_names_are_compared_everywhere(spelt: str, tmp_path: Path) -> None:
    """Azure's resource groups have letters of any script, and a log may name the site alone."""
    target = Target(ArmId.parse(spelt if "/" in spelt else SITE))
    path = put(tmp_path, logs.workspace(PUBLIC).replace(json.dumps(SITE.lower()), json.dumps(spelt)))
    (table,) = read(path, TrafficQuestion(targets=(target,))).tables
    assert table.upstream == {AddressClass.PUBLIC: 1}
    assert not read(path, TrafficQuestion(targets=(Target(ArmId.parse(f"{SITE}-other")),))).tables


SPELT = [
    {"CsUriStem": "csUriStem"},
    {"CsUriStem": "path"},
    {"CsMethod": "cs_method"},
    {"CIp": "c-ip"},
    {"CIp": "clientIp", "CsUriStem": "url"},
    {"CsHost": "csHost"},
    {"time": "Time"},
    {"time": "timestamp"},
    {"resourceId": "ResourceId"},
]


@pytest.mark.parametrize("level", ["properties", "text", "top"])
@pytest.mark.parametrize("spelt", SPELT, ids=str)
def test_a_field_that_is_spelt_otherwise_is_read_all_the_same(spelt: dict[str, str], level: str, tmp_path: Path) -> None:
    """Whatever the engine does not know by its own spelling is read as in any other shape; no call gets lost for it."""
    rows = [
        PUBLIC,
        Row(client="10.0.0.4", method="GET"),
        Row(client="8.8.4.4", host="contoso-func.scm.azurewebsites.net", second=3),
        Row(client="8.8.4.4", target=SITE.replace("func", "other")),
    ]
    records = []
    for row in rows:
        record = json.loads(logs.windows(row))
        inner = {spelt.get(name, name): value for name, value in record.pop("properties").items()}
        record = {spelt.get(name, name): value for name, value in record.items()}
        records.append(
            {**record, **(inner if level == "top" else {"properties": json.dumps(inner) if level == "text" else inner})}
        )
    question = TrafficQuestion(targets=(Target(ArmId.parse(SITE)),), since=START, until=START + timedelta(seconds=8))
    lines = read(put(tmp_path, "".join(json.dumps(record) + "\n" for record in records)), question)
    assert lines.tables == read(put(tmp_path, json.dumps(records)), question).tables
    assert lines.tables[0].upstream == {AddressClass.PUBLIC: 1}
    assert lines.tables[0].first_seen == START


@pytest.mark.parametrize("path", ["/runtime/webhooks/signalr?code=sesame", "https://contoso-func/runtime/webhooks/signalr/"])
def test_a_path_may_be_a_whole_url(path: str, tmp_path: Path) -> None:
    """An export may hold more than the stem; the same call is then the same call."""
    for shape in (*map(joined, (logs.windows, logs.linux, logs.workspace)), logs.workspace_csv, logs.w3c):
        (table,) = read(put(tmp_path, shape([Row(client="8.8.8.8", path=path)]))).tables
        assert table.upstream == {AddressClass.PUBLIC: 1}
        assert "sesame" not in repr(table)


@pytest.mark.parametrize("shape", ["application", "properties", "w3c"])
@pytest.mark.parametrize("other", ["x_forwarded_for", "X-FORWARDED-FOR", "XForwardedFor"])
def test_a_header_that_is_there_twice_counts_by_its_worst(other: str, shape: str, tmp_path: Path) -> None:
    """A caller may send a header whose name differs in case or punctuation alone: it does not take the platform's place."""
    for headers in (("X-Forwarded-For", other), (other, "X-Forwarded-For")):
        values = ["8.8.8.8" if name == "X-Forwarded-For" else "10.0.0.4" for name in headers]
        if headers[0] == headers[1]:
            continue
        if shape == "w3c":
            text = f"#Fields: cs-method cs-uri-stem {' '.join(headers)}\nPOST {logs.WEBHOOK} {' '.join(values)}\n"
        else:
            record: dict[str, object] = {"method": "POST", "path": logs.WEBHOOK, **dict(zip(headers, values, strict=True))}
            text = json.dumps({"properties": record} if shape == "properties" else record) + "\n"
        (table,) = read(put(tmp_path, text)).tables
        assert table.upstream == {AddressClass.PUBLIC: 1}


def test_broken_lines_are_counted_and_placed(tmp_path: Path) -> None:
    """A broken line is neither fatal nor silent; it is told by its place, never by what it says."""
    good = logs.windows(ROWS[0])
    path = put(tmp_path, good + "{sesame\n" + good + "[1]\n" + good + '"\x01"\n')
    # What the engine's JSON allows and JSON does not, where only the reader in Python knows what is in the line.
    lenient = put(tmp_path, good + '{"message": "x_forwarded_for=10.0.0.4 sesame",}\n' + good, "lenient")
    lines = read(lenient).lines
    assert lines is not None
    assert (lines.read, lines.broken, [one.line for one in lines.samples]) == (2, 1, [2])
    reading = read(path)
    assert reading.lines is not None
    assert (reading.lines.read, reading.lines.broken, reading.lines.skipped) == (3, 3, 0)
    assert {one.line for one in reading.lines.samples} == {2, 4, 6}
    assert "sesame" not in repr(reading)
    path = put(tmp_path, good * 3 + "x" * (LONGEST_LINE + 1) + "\n" + good + good[:200])
    reading = read(path)
    assert reading.lines is not None
    assert {one.line for one in reading.lines.samples} == {4, 6}


@pytest.mark.parametrize("more", ["[]", "{}", '[{"CIp": "8.8.8.8"}]', "x"])
def test_nothing_after_a_list_is_left_out_in_silence(more: str, tmp_path: Path) -> None:
    """Two exports in one file are more than one document: what was not read is told."""
    text = logs.workspace_list(ROWS)
    assert read(put(tmp_path, text + "\n \n")).problems == ()
    reading = read(put(tmp_path, text + "\n" + more))
    assert "more after the end" in reading.problems[0].message
    assert reading.lines is not None
    assert (reading.lines.read, reading.lines.broken) == (7, 1)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, not passed over."""
    put(tmp_path, _GOOD, "a/log")
    put(tmp_path, _GOOD, "b/log")
    scandir = os.scandir

    def fail(path: str) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(ConfigError, match=r"b' cannot be listed: Permission denied"):
        LogFiles([str(tmp_path)])


def lines_of(data: bytes) -> int:
    return data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


_GOOD = logs.windows(ROWS[0]).encode()
_PART = st.sampled_from(
    [
        _GOOD,
        logs.linux(ROWS[1]).encode(),
        b"\n",
        b"\r\n",
        b"  \n",
        b"{\n",
        b'{"a":\r1}\n',
        b"\x00\n",
        b"\x01\x02\n",
        b"\x01",
        b"\xff\xfe\n",
        b'"\n',
        b"null\n",
        "\u2028\u0085é\n".encode(),
        _GOOD.replace(b"\n", b"\r\n"),
        b'{"x_forwarded_for": 5}\n',
        b'{"forwarded": {}}\n',
        b"{" * 2000 + b"\n",
        b"[" * 2000 + b"\n",
        b'{"time": "9999-99-99", "CIp": "10.0.0.1"}\n',
        b'{"time": 5, "properties": "{", "category": []}\n',
        b"x" * 3000 + b"\n",
        b"\xef\xbb\xbf",
        b"\r",
    ]
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(_PART | st.binary(max_size=50), max_size=12))
def test_every_line_is_accounted_for(parts: list[bytes], tmp_path: Path) -> None:
    """Read, broken and skipped together are the lines that are there, whatever is in them."""
    data = _GOOD + b"".join(parts)
    for log_format in (LogFormat.JSONL, LogFormat.W3C, LogFormat.TEXT, LogFormat.CSV):
        lines = read(put(tmp_path, data), log_format=log_format).lines
        assert lines is not None
        assert lines.total == lines_of(data), log_format


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(_PART | st.binary(max_size=50), max_size=12))
def test_what_the_engine_reads_itself_is_the_same(parts: list[bytes], tmp_path: Path) -> None:
    """Whatever is in a file, it says the same whether it went through the pipe or the engine opened it."""
    path = put(tmp_path, _GOOD + b"".join(parts))
    with pytest.MonkeyPatch.context() as patch:
        through_pipe = read(path, log_format=LogFormat.JSONL)
        patch.setattr(log_files, "_WHOLE", 0)
        itself = read(path, log_format=LogFormat.JSONL)
    assert itself.tables == through_pipe.tables
    assert itself.problems == through_pipe.problems
    assert itself.lines is not None
    assert through_pipe.lines is not None
    assert (itself.lines.read, itself.lines.broken, itself.lines.skipped) == (
        through_pipe.lines.read,
        through_pipe.lines.broken,
        through_pipe.lines.skipped,
    )


class Counted(LogFiles):
    """Says how often everything was read."""

    attempts = 0

    def _read(self, *arguments: Any, **options: Any) -> TrafficReading | None:  # noqa: ANN401  whatever it is given
        self.attempts += 1
        return super()._read(*arguments, **options)


@pytest.mark.parametrize(
    ("what", "attempts"),
    [
        (b"", 1),
        (b"\n", 1),
        (b"{broken\n\n", 2),
        *((b'{"CsUriStem":"' + shift + "é".encode() * 200 + b"\n", 2) for shift in (b"", b"x")),
        (b"\xff\n", 3),
        (b"x\x01\x02y\n", 3),
        (b"x" * (3 * LONGEST_LINE) + b"\n", 3),
        (b"\r", 3),
        (_GOOD.replace(b"\n", b"\r\n"), 3),
    ],
)
def test_large_files_are_read_by_the_engine_itself(what: bytes, attempts: int, tmp_path: Path) -> None:
    """In one go where all of their lines are JSON, else again; through the pipe where a byte of them comes out in no line.

    The engine's error may quote half a letter of the line. The progress ends at their size.
    """
    text = _GOOD * 40_000 + what + _GOOD * 3
    path = put(tmp_path, text[:-1], "resourceId=/y=2026/m=11/d=23/h=10/m=00/PT1H.json")  # An end of the last line may be missing.
    small = put(tmp_path, _GOOD, "small.json")
    told: list[int] = []
    source = Counted([str(path), str(small)], progress=told.append)
    reading = source.read_now(TrafficQuestion())
    assert source.attempts == attempts
    assert reading.problems == ()
    assert reading.lines is not None
    assert reading.lines.total == lines_of(path.read_bytes()) + 1
    assert [one.line for one in reading.lines.samples] == [40_001] * reading.lines.broken
    assert reading.lines.read == sum(reading.tables[0].requests.values()) >= 40_003
    assert sum(told) == source.size


def test_a_large_file_that_changes_or_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine did not see of a file is read again; one that is gone is told."""
    path = put(tmp_path, _GOOD * 40_000)
    monkeypatch.setattr(Pump, "_look_over", lambda *_: None)
    source = Counted([str(path)])
    lines = source.read_now(TrafficQuestion()).lines
    assert lines is not None
    assert (source.attempts, lines.read) == (3, 40_000)
    monkeypatch.undo()
    source = Counted([str(path)])
    path.unlink()
    reading = source.read_now(TrafficQuestion())
    assert "No such file" in reading.problems[0].message


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
@pytest.mark.parametrize("count", [1, 40_000])
def test_a_file_that_is_cut_while_it_is_read(count: int, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """As a rotation that copies and truncates does it: what was cut off may have been public, so nothing is concluded."""
    path = put(tmp_path, pack(_GOOD * count))
    source = LogInput(str(path), lambda: path.open("rb"), path.stat().st_size + 1, path=path)
    reading = LogFiles([], inputs=[source]).read_now(TrafficQuestion())
    assert ["/log: it became shorter while it was read" in one.message for one in reading.problems] == [True]
    assert reading.lines is not None
    assert reading.lines.read == count
    assert isinstance(judge(reading.tables[0], None, reading.problems), Inconclusive)


def test_an_engine_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the engine makes the log unreadable, never private."""
    monkeypatch.setattr(log_engine, "_GROUPED", "SELECT $files, $ping, $upstream, $literal, $label, gone")
    reading = read(put(tmp_path, _GOOD))
    assert "the engine failed: BinderException" in reading.problems[0].message
    assert isinstance(judge(None, None, reading.problems), Inconclusive)


@pytest.mark.parametrize("extra", [0, 1, 3, 40])
def test_a_line_without_an_end(extra: int, tmp_path: Path) -> None:
    """A line longer than may be is one broken line, and what follows it is read."""
    data = _GOOD + b"x" * (LONGEST_LINE * extra + LONGEST_LINE + 5) + b"\n" + _GOOD + b"y" * (LONGEST_LINE + 9)
    lines = read(put(tmp_path, data)).lines
    assert lines is not None
    assert (lines.read, lines.broken, lines.skipped) == (2, 2, 0)


def test_many_sources_are_the_same_by_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classified block by block, the result is the same as one by one."""
    clients = [f"{a}.{b}.{c}.7" for a in (10, 20, 172, 192, 203) for b in (0, 16, 168) for c in range(40)]
    clients += ["203.0.113.5", "192.0.2.1", "::1", "2603::1", "junk", "10.0.0.1:55", "999.1.1.1", "01.2.3.4", ""]
    clients += ["10.0.0.1.8", "10.0.0.1 8.8.8.8"]
    rows = [Row(client=client, second=n % 50, method="GET" if n % 3 else "POST") for n, client in enumerate(clients * 2)]
    path = put(tmp_path, "".join(map(logs.windows, rows)))
    (one_by_one,) = read(path).tables
    monkeypatch.setattr(log_engine, "_FEW", 10)
    (by_blocks,) = read(path).tables
    assert by_blocks.requests == one_by_one.requests
    assert by_blocks.upstream == one_by_one.upstream
    assert (by_blocks.first_seen, by_blocks.last_seen) == (one_by_one.first_seen, one_by_one.last_seen)
    assert len(by_blocks.sources) == len(one_by_one.sources) == 100
    assert by_blocks.sources[0].count == one_by_one.sources[0].count
    assert abs(by_blocks.other_sources - one_by_one.other_sources) <= 2


def test_a_failing_read_is_told(tmp_path: Path) -> None:
    """A file that cannot be read leaves the others counted and the audit incomplete."""
    good = put(tmp_path, _GOOD)
    source = LogFiles([str(good)])
    broken = LogInput("gone", lambda: open(tmp_path / "gone", "rb"), None)  # noqa: PTH123, SIM115  it is to fail
    source.inputs.insert(0, broken)
    reading = source.read_now(TrafficQuestion())
    assert len(reading.problems) == 1
    assert sum(reading.tables[0].requests.values()) == 1


def test_progress_counts_stored_bytes(tmp_path: Path) -> None:
    """Progress is told in bytes of the file as it is stored."""
    path = put(tmp_path, gzip.compress(_GOOD * 1000))
    told: list[int] = []
    source = LogFiles([str(path)], progress=told.append)
    source.read_now(TrafficQuestion())
    assert sum(told) == source.size == path.stat().st_size


def test_a_named_pipe(tmp_path: Path) -> None:
    """What is no regular file is read once, as it comes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(_GOOD * 5))
    writer.start()
    lines = read(path).lines
    writer.join()
    assert lines is not None
    assert lines.read == 5


@pytest.mark.parametrize(
    ("head", "log_format"),
    [
        (b"#Fields: date", LogFormat.W3C),
        (b'[\n {"a": 1}', LogFormat.JSON),
        (b"[2026-11-23 10:00:00] INFO", LogFormat.TEXT),
        (b'{"tables":[{"name"', LogFormat.JSON),
        (b'{\n "tables"', LogFormat.JSON),
        (b'{"records": [{"time": "x"}]}\n', LogFormat.JSON),
        (b'{"value": [{"time": "x"}]}\n', LogFormat.JSON),
        (b'{"value": [1], "time": "x"}\n', LogFormat.JSONL),
        (b'{"time": "x"}\n', LogFormat.JSONL),
        (b'{"time": "x"\n{"time": "y"}\n', LogFormat.JSONL),
        (b"TimeGenerated [UTC],CIp\n", LogFormat.CSV),
        (b"", LogFormat.TEXT),
        (b'oops\n{"time": "y"}\n', LogFormat.JSONL),
        (b'POST / X-Forwarded-For: 8.8.8.8\n{"time": "y"}\n', LogFormat.TEXT),
    ],
)
def test_detection(head: bytes, log_format: LogFormat) -> None:
    """A log's shape shows at its beginning."""
    assert detect(head) is log_format
