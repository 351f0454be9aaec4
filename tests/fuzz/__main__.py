"""``python -m tests.fuzz [--seconds N] [--seed N]``: spoil logs of every shape at random, and hold the readers to their promises.

Whatever a log looks like: no reader raises, every line is read, broken or skipped, the engine finds in a file what comes through
the pipe, nothing secret is in any output, and a public upstream call that stands on lines of its own never ends as private.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from backports import zstd

from shared.adapters import log_files
from shared.adapters.log_files import LogFiles
from shared.adapters.log_format import LogFormat
from shared.adapters.log_records import W3C, from_object, from_text
from shared.core.address import DEFAULT_RANGES, AddressClass
from shared.core.traffic import Private, judge_target, resolve
from shared.ports import TrafficQuestion
from shared.report.audit_document import audit_document
from shared.report.audit_text import audit_csv, audit_html, audit_text
from tests import traffic_logs as logs
from tests.traffic_logs import START, Row

if TYPE_CHECKING:
    from shared.core.traffic import TrafficReading

_SECRETS: Final = ("=sesame", "sesame=")
_CLIENTS: Final = ("10.0.0.4", "8.8.8.8", "::ffff:10.0.0.4:80", "fd00::1", "unknown", "-", "0.0.0.0", "[fe80::1%eth0]:5")
_HEADERS: Final = (
    "10.0.0.4",
    "1.2.3.4, 10.0.0.4:5",
    "10.0.0.4, 8.8.8.8",
    ', ,"',
    "a=sesame, 10.0.0.4",
    "10.0.0.4, sesame=",
    "10.0.0.4;, 10.0.0.5",
)
_TOKENS: Final = (
    b"\n", b"\r\n", b"\r", b"\0", b"\x01\x02", b"\xff", b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b",", b"#",
    b"#Fields: c-ip\n", b'"properties":', b'"CIp":', b"x_forwarded_for=", b'"X-Forwarded-For":', b"10.0.0.4", b"null", b"1e999",
    b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"[" * 300, b'{"properties":' * 40, b"9" * 400, b" " * 50, b"a" * 5000,
)  # fmt: skip
_HEADERS_A_LOG: Final = 200
_STARTS: Final = ("", "POST /runtime/webhooks/signalr ", "2026-11-23T10:00:00Z INFO ", "x=1, ")
_PIECES: Final = (
    ",", ", ", ";", "=", ":", '"', "'", "\\", "[", "]", "{", "}", "(", ")", "|", "&", " ", "\t", "a", "user=me",
    "10.0.0.1", "10.0.0.1:5", "[fd00::1]:5", "::ffff:10.0.0.4", "x_forwarded_for=", "X-Forwarded-For: ",
    "for=10.0.0.1", 'for="', "-", "unknown", "é", "\u2028", "%",
    "for=_a;by=b", "1" * 200, "1.1.1.", "::", "\x85", "\x1c",
)  # fmt: skip
_PUBLIC: Final = {
    LogFormat.JSONL: logs.windows(Row(client="8.8.4.4")).encode(),
    LogFormat.TEXT: logs.text_line(Row(client=None, forwarded="10.0.0.1, 8.8.4.4")).encode(),
    LogFormat.W3C: logs.w3c([Row(client="8.8.4.4")]).encode(),
}
"""An upstream call that must not get lost, behind whatever else there is."""


def main() -> int:
    """1 where a promise is broken; the log that broke it is kept, and its path said."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long")
    parser.add_argument("--seed", type=int, default=None, help="the first of the seeds that are tried in turn")
    arguments = parser.parse_args()
    seed = first = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    end = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory(prefix="linkguard-fuzz-") as folder:
        while time.monotonic() < end:
            data, log_format = spoilt(random.Random(seed))
            try:
                hold(data, log_format, Path(folder))
                hold_headers(random.Random(seed))
            except Exception as error:  # noqa: BLE001  whatever it is, it is what was looked for
                kept = Path(f"fuzz-{seed}.log").absolute()
                kept.write_bytes(data)
                print(
                    f"seed {seed}, --log-format {log_format.value}: {type(error).__name__}: {error}\nkept: {kept}",
                    file=sys.stderr,
                )
                return 1
            seed += 1
    print(f"{seed - first:,} logs, seeds {first} to {seed - 1}: every promise was kept")
    return 0


def spoilt(rng: random.Random) -> tuple[bytes, LogFormat]:
    """A log of some shape with some of its bytes spoilt, and how it is to be read."""
    rows = [
        Row(
            client=rng.choice(_CLIENTS),
            method=rng.choice(("POST", "GET")),
            agent=rng.choice(("agent", "AlwaysOn", "a=sesame")),
            forwarded=rng.choice((None, *_HEADERS)),
            second=rng.randrange(100),
        )
        for _ in range(rng.randrange(1, 6))
    ]
    texts = {
        LogFormat.JSONL: "".join(rng.choice((logs.windows, logs.linux, logs.workspace, logs.app_trace))(row) for row in rows),
        LogFormat.TEXT: "".join(map(logs.text_line, rows)),
        LogFormat.W3C: logs.w3c(rows, forwarded=rng.random() < 0.5),
        LogFormat.CSV: logs.workspace_csv(rows),
        LogFormat.JSON: rng.choice((logs.workspace_list, logs.workspace_answer))(rows),
    }
    log_format = rng.choice(list(texts))
    data = bytearray(texts[log_format].encode())
    for _ in range(rng.choice((0, 1, 1, 2, 5, 20))):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        match rng.randrange(4):
            case 0:
                data[at:at] = rng.choice(_TOKENS)
            case 1:
                data[at : min(to, at + 40)] = rng.choice(_TOKENS)
            case 2:
                del data[at : min(to, at + rng.choice((1, 10, 300)))]
            case _:
                data[at:at] = data[to : to + rng.randrange(200)]
    return bytes(data), log_format


def hold(data: bytes, log_format: LogFormat, folder: Path) -> None:
    """Read a log in every way, and hold the answers to the promises.

    Raises:
        AssertionError: where one is broken.

    """
    path = folder / "log"
    path.write_bytes(data)
    found = _read(path, log_format)
    if log_format is not LogFormat.JSON:
        assert found.lines is not None
        lines = data.removeprefix(b"\xef\xbb\xbf")
        assert found.lines.total == lines.count(b"\n") + (bool(lines) and not lines.endswith(b"\n")), (
            "lines are lost, or too many"
        )
    for pack in (gzip.compress, zstd.compress):
        path.write_bytes(pack(data))
        packed = _read(path, log_format)
        assert (packed.tables, packed.problems) == (found.tables, found.problems), "compressed it is another"
    path.write_bytes(data)
    _read(path, LogFormat.AUTO)
    if log_format is LogFormat.JSONL:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log_files, "_WHOLE", 0)
            itself = _read(path, log_format)
        assert (itself.tables, itself.problems) == (found.tables, found.problems), "the engine finds something else in the file"
    if log_format in _PUBLIC:
        path.write_bytes(data + b"\n" + _PUBLIC[log_format])
        verdicts = [judge_target(one.target, [one]).verdict for one in _read(path, log_format).tables]
        assert any(not isinstance(one, Private) for one in verdicts), "a public call ended as private"


def hold_headers(rng: random.Random) -> None:
    """Whatever callers write into a header, wherever an application logs it, the platform's public element never ends as private.

    Raises:
        AssertionError: where it does.

    """
    for _ in range(_HEADERS_A_LOG):
        claim = "".join(rng.choice(_PIECES) for _ in range(rng.randrange(12)))
        quote = rng.choice(("", '"', "'"))
        key, end = f"x_forwarded_for{rng.choice((': ', '='))}", rng.choice((quote, ""))
        line = f"{rng.choice(_STARTS)}{key}{quote}10.0.0.4{claim}, 8.8.8.8{end}"
        requests = [from_text(line), from_object({"message": line}), from_object({"properties": json.dumps({"Message": line})})]
        for request in requests:
            assert request is None or request.source(DEFAULT_RANGES).cls is not AddressClass.PRIVATE, f"private: {line!r}"
        assert resolve(f"{claim}, 8.8.8.8", "10.0.0.4").cls is AddressClass.PUBLIC, f"not public: {claim!r}"
        found = resolve(None, None, rfc_7239=f"{claim}, for=8.8.8.8").cls
        assert found in {AddressClass.PUBLIC, AddressClass.MALFORMED}, f"{found}: {claim!r}"
        w3c = W3C()
        w3c.directive("#Fields: c-ip cs(X-Forwarded-For)")
        with suppress(ValueError):  # A line of more or fewer values is broken.
            source = w3c.read(f"10.0.0.4 {''.join(claim.split())},+8.8.8.8").source(DEFAULT_RANGES)
            assert source.cls is not AddressClass.PRIVATE, f"private in W3C: {claim!r}"


def _read(path: Path, log_format: LogFormat) -> TrafficReading:
    reading = LogFiles([str(path)], log_format=log_format).read_now(TrafficQuestion())
    targets = [judge_target(one.target, [one], None, reading.problems) for one in reading.tables]
    shown = [json.dumps(audit_document(targets, reading.lines)), audit_text(targets, reading.lines), audit_csv(targets)]
    shown.append(audit_html(targets, reading.lines, START))
    assert not any(secret in text for text in shown for secret in _SECRETS), "something secret is shown"
    return reading


if __name__ == "__main__":
    sys.exit(main())
