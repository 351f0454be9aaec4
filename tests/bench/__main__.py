"""``python -m tests.bench [NAME ...] [--write]``: run benchmarks; with ``--write``, put their tables into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help=f"which: {', '.join(NAMES)}; all where none is named")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    arguments = parser.parse_args()
    for name in arguments.names or NAMES:
        table = importlib.import_module(f"tests.bench.{name}").main()
        print(f"## {name}\n\n{table}\n", flush=True)
        if arguments.write:
            put_into_page(name, table)


def put_into_page(name: str, table: str) -> None:
    """Replace what stands between the markers of ``name``."""
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(text):
        message = f"{PAGE.name} has no markers for {name}"
        raise SystemExit(message)
    PAGE.write_text(pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
