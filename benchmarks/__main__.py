"""`python -m benchmarks NAME [--smoke] [--json FILE] [--page FILE]`; without a name: what is.

`publish` runs what is published, keeps the results under benchmarks/results/, and brings the
charts and the page of figures up to date; names after it: only those. `charts` does the last
two from the results that are there.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .report import Report

BENCHMARKS = {
    "overhead": "client CPU of one poll, against the same by hand",
    "telemetry": "CPU of a poll with OpenTelemetry on, against off",
    "throughput": "CPU of a poll in a batch, against by hand and peers",
    "memory": "memory of a waiting task, against gather of single waits",
    "lag": "lag of the event loop and of polls, with 100,000 tasks pending",
    "bandwidth": "bytes received for polls of an unchanged task",
    "batch": "20,000 tasks with realistic lives, in real time",
    "cadence": "requests and delay of the cadence, over the backoff's",
    "outage": "what an outage costs the service, and when all is well again",
    "fleet": "a fleet against the same processes without one, in storms",
    "import": "import time, against that of the dependencies",
    "faults": "what the SDK survives: the fault suite, and its books",
    "soak": "10,000 tasks at a time, with trouble mixed in, for an hour",
}
PUBLISHED = (
    *("overhead", "throughput", "memory", "lag", "bandwidth"),
    *("batch", "cadence", "fleet", "import"),
)
COMMANDS = {
    "publish": "run those on the page of figures, or those named; keep the results; charts",
    "compare": "the package against itself at a revision, side by side: compare REVISION",
    "charts": "draw the charts and fill in the page, from the results kept",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=[*BENCHMARKS, *COMMANDS], metavar="NAME")
    parser.add_argument(
        "only", nargs="*", metavar="ONLY", help="after publish: only these; after compare: REVISION"
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run: shows that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write its page of the docs")
    parser.add_argument("--names", action="store_true", help="print the names and nothing else")
    parser.add_argument("--minutes", type=float, help="soak: for how long (default: 60)")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="soak: draw it here, as SVG")
    arguments = parser.parse_args()
    is_compared = arguments.name == "compare"
    if not is_compared and (unknown := set(arguments.only) - set(BENCHMARKS)):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if arguments.names:
        print(*BENCHMARKS, sep="\n")
    elif arguments.name is None:
        _list()
    elif arguments.name == "charts":
        return _charts()
    elif arguments.name == "publish":
        return _publish(arguments.only or PUBLISHED)
    else:
        given = {"minutes": arguments.minutes, "chart": arguments.chart}
        options = {name: value for name, value in given.items() if value is not None}
        if is_compared:
            options["revision"] = (arguments.only or ["HEAD"])[0]
        report = _run(arguments.name, arguments.json, smoke=arguments.smoke, **options)
        if arguments.page is not None:
            if not report.page:
                parser.error(f"{arguments.name} has no page")
            arguments.page.write_text(report.page, encoding="utf-8")
        return int(report.failed)
    return 0


def _list() -> None:
    rows = {**BENCHMARKS, **COMMANDS}
    width = max(map(len, rows))
    for name, what in rows.items():
        print(f"{name:{width}}  {what}")


def _run(name: str, file: Path | None, *, smoke: bool, **options: Any) -> Report:
    module = importlib.import_module("benchmarks." + name.replace("import", "import_time"))
    report: Report = module.run(smoke, **options)
    report.show(name, smoke=smoke)
    if file is not None:
        file.write_bytes(report.to_json(name, smoke=smoke))
    return report


def _publish(names: Sequence[str]) -> int:
    from .page import RESULTS

    for name in names:
        _run(name, RESULTS / f"{name}.json", smoke=False)
        print()
    return _charts()


def _charts() -> int:
    from . import charts, page
    from .peers import Missing

    page.update()
    try:
        drawn = charts.draw(page.results())
    except Missing as missing:
        print(f"matplotlib {missing}", file=sys.stderr)
        return 1
    print(*(file.relative_to(page.ROOT) for file in drawn), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
