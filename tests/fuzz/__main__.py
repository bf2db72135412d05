"""Fuzz a target, guided by coverage, until its time is over or its promise is broken.

    python -m tests.fuzz --seconds 3600
    python -m tests.fuzz body --seconds 600
    python -m tests.fuzz body --replay crash-2fd4e1c67a2d

Needs atheris, which `nox -f .ci/noxfile.py -s fuzz` installs. Several targets share the time,
one after the other.
An input that breaks a promise is left in the working directory, as `crash-...`: fix what it
shows, then put it into the corpus, whose files are tried in every run of the tests.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TARGETS = ("body", "answer", "ref", "address")
# Nothing of the package is imported up here: in the process that fuzzes, atheris has to be
# there first.


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all, if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--replay", type=Path, help="try this one input, without a fuzzer")
    parser.add_argument("--worker", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    targets: Sequence[str] = options.targets or TARGETS
    if options.worker is not None:
        work(targets[0], options.worker)
    if options.replay:
        replay(targets, options.replay.read_bytes())
        return 0
    seconds = max(1, options.seconds // len(targets))
    return max([fuzz(target, seconds) for target in targets])


def replay(targets: Sequence[str], data: bytes) -> None:
    from tests.fuzz import targets as functions

    for target in targets:
        functions.TARGETS[target](data)
        print(f"{target}: its promise is kept", file=sys.stderr)


def fuzz(target: str, seconds: int) -> int:
    """Run the fuzzer in a process of its own, which it ends as it likes."""
    from tests.fuzz.seeds import LARGEST, corpus, seeds

    print(f"=== {target}, for {seconds} s", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        for data in [*seeds(target), *corpus(target).values()]:
            Path(folder, hashlib.sha1(data).hexdigest()).write_bytes(data)
        return worker(target, folder, f"-max_len={LARGEST}", f"-max_total_time={seconds}")


def worker(target: str, *arguments: str) -> int:
    limits = ["-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"]
    command = [sys.executable, "-m", "tests.fuzz", target, "--worker", *limits, *arguments]
    return subprocess.run(command, check=False).returncode


def work(target: str, arguments: list[str]) -> None:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["aitoearn_async", "email", "yarl"]):
        from tests.fuzz import targets as functions
    atheris.Setup([sys.argv[0], *arguments], functions.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
