"""`python -m benchmarks NAME [--smoke] [--json FILE] [--page FILE]`; without a name: what is."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from .report import Report

BENCHMARKS = {
    "overhead": ("benchmarks.overhead", "client CPU of one poll, against the same by hand"),
    "bandwidth": ("benchmarks.bandwidth", "bytes received for polls of an unchanged task"),
    "memory": ("benchmarks.memory", "memory of a waiting task, against gather of single waits"),
    "outage": ("benchmarks.outage", "what an outage costs the service, and when all is well again"),
    "import": ("benchmarks.import_time", "import time, against that of the dependencies"),
    "faults": ("benchmarks.faults", "what the SDK survives: the fault suite, and its books"),
    "soak": ("benchmarks.soak", "10,000 tasks at a time, with trouble mixed in, for an hour"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--smoke", action="store_true", help="a tiny run: shows that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write its page of the docs")
    parser.add_argument("--names", action="store_true", help="print the names and nothing else")
    parser.add_argument("--minutes", type=float, help="soak: for how long (default: 60)")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="soak: draw it here, as SVG")
    arguments = parser.parse_args()
    if arguments.names:
        print(*BENCHMARKS, sep="\n")
        return 0
    if arguments.name is None:
        width = max(map(len, BENCHMARKS))
        for name, (_, what) in BENCHMARKS.items():
            print(f"{name:{width}}  {what}")
        return 0
    module = importlib.import_module(BENCHMARKS[arguments.name][0])
    given = {"minutes": arguments.minutes, "chart": arguments.chart}
    options = {name: value for name, value in given.items() if value is not None}
    report: Report = module.run(arguments.smoke, **options)
    report.show(arguments.name, smoke=arguments.smoke)
    if arguments.json is not None:
        arguments.json.write_bytes(report.to_json(arguments.name, smoke=arguments.smoke))
    if arguments.page is not None:
        if not report.page:
            parser.error(f"{arguments.name} has no page")
        arguments.page.write_text(report.page, encoding="utf-8")
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
