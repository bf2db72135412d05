"""What the documentation says in words, tables and diagrams is what the code does."""

from __future__ import annotations

import inspect
import json
import re
import statistics
import typing
from collections.abc import Callable
from typing import Any

import pytest

import aitoearn_async
from aitoearn_async import (
    AiToEarnError,
    Client,
    EditImage,
    GenerateImage,
    GenerateVideo,
    ServiceUnreachableError,
    TaskState,
    WaitStrategy,
    WaitTimeoutError,
    errors,
    wait_backoff,
)
from aitoearn_async._api.refusals import error_for
from aitoearn_async._polling.cadence.schedule import cadence
from aitoearn_async._polling.single import waiter
from aitoearn_async._polling.wait import step
from aitoearn_async.contract.status import state_of
from aitoearn_async.emulator import Emulator, Fault

from .pages import ROOT, blocks
from .shell import help_of

DOCS = ROOT / "docs"


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without the first two rows."""
    section = re.split(r"^#+ ", text_of(page).partition(f"# {heading}\n")[2], flags=re.M)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def names_in(text: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", text)


# The reference.


def test_every_public_name_has_its_place_in_the_reference() -> None:
    reference = "".join(path.read_text("utf-8") for path in DOCS.glob("reference/*.md"))
    documented = re.findall(r"^::: aitoearn_async\.(\w+)$", reference, re.M)
    assert len(documented) == len(set(documented))
    assert set(documented) == set(aitoearn_async.__all__) - {"__version__"}


def test_every_page_has_its_place_in_the_navigation() -> None:
    config = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).as_posix()
        assert name.startswith("zh/") or f": {name}\n" in config


# Errors.


def test_the_tree_is_the_one_in_the_code() -> None:
    tree = next(block.code for block in blocks(DOCS / "how-to/errors.md") if "├──" in block.code)
    assert errors.__doc__ is not None
    assert tree.strip() in inspect.cleandoc(errors.__doc__).replace("\n    ", "\n")


def test_the_table_has_every_error_that_is_raised() -> None:
    table = {names_in(row[1])[0] for row in rows_of("how-to/errors.md", "Which means what")}
    public = [getattr(aitoearn_async, name) for name in aitoearn_async.__all__]
    raised = {
        error.__name__
        for error in public
        if inspect.isclass(error) and issubclass(error, AiToEarnError)
    }
    assert table == raised - {"AiToEarnError", "TransportError"}


def test_codes_are_the_errors_the_page_says() -> None:
    for codes, _, error in rows_of("explanation/service.md", "Every answer is a 200"):
        for code in re.findall(r"\d+", codes) or ["12300"]:
            assert error_for(int(code)).__name__ == names_in(error)[0]


def test_words_mean_what_the_page_says() -> None:
    for _, *cells in rows_of("explanation/service.md", "Two vocabularies"):
        for state, cell in zip(TaskState, cells, strict=True):
            assert names_in(cell)
            assert {state_of(word) for word in names_in(cell)} == {state}


# Waiting.


@pytest.mark.parametrize("row", rows_of("explanation/waiting.md", "When the next poll comes"))
def test_the_delays_are_the_ones_in_the_table(row: list[str]) -> None:
    kind, delays = row
    strategy: WaitStrategy = cadence(kind)
    assert isinstance(strategy, wait_backoff)
    assert strategy.jitter == pytest.approx(1 / 5)
    for number, delay in enumerate(delays.split(", ")[:-1]):
        longest = min(strategy.initial * strategy.factor**number, strategy.maximum)
        assert float(delay) == pytest.approx(longest, rel=0.03)


ARROWS = dict[str, tuple[list[Any], list[Fault], dict[str, Any], int]]

GOOD, BAD, NO = Fault(delay=0.01), Fault(status=502), Fault(code=401)
LONG = [("generating", 900.0), "success"]

# An arrow's words -> a task's life, the faults that its polls meet, the wait's arguments, and
# the number of the decision that the arrow stands for.
WAYS: ARROWS = {
    "first poll, at once": (LONG, [], {}, 0),
    "still running": (LONG, [], {}, 1),
    "trouble": (LONG, [BAD], {}, 1),
    "a refusal that contradicts good answers": (LONG, [GOOD, NO], {}, 2),
    "one last poll before the end": (LONG, [], {"timeout": 0.5}, 1),
    "a word of success or failure": (["failed"], [], {}, 1),
    "a refusal": (LONG, [Fault(code=404)], {}, 1),
    "the same refusal again": (LONG, [GOOD, NO, NO], {}, 3),
    "out of time": (LONG, [], {"timeout": 0.5}, 2),
    "out of patience": (LONG, [BAD] * 9, {"patience": 9.0}, -1),
}

ENDS = {"out of time": WaitTimeoutError, "out of patience": ServiceUnreachableError}


def arrows() -> list[tuple[str, str, str]]:
    """From which decision to which, and the words beside the arrow."""
    drawing = text_of("explanation/charts/wait.svg")
    groups = re.findall(r'<g data-from="(.+?)" data-to="(.+?)">(.*?)</g>', drawing, re.S)
    return [
        (before, after, words)
        for before, after, group in groups
        for words in re.findall(r"<text[^>]*>([^<]+)</text>", group)
    ]


def test_the_diagram_has_the_decisions_there_are() -> None:
    shown = {name for arrow in arrows() for name in arrow[:2]}
    decisions = [typing.get_origin(kind) or kind for kind in typing.get_args(step.Decision)]
    assert shown == {"[*]", *(kind.__name__ for kind in decisions)}
    assert [words for _, _, words in arrows()] == list(WAYS)


@pytest.mark.parametrize(("before", "after", "words"), arrows(), ids=list(WAYS))
async def test_a_wait_can_go_along_each_arrow(
    before: str, after: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = ["[*]"]
    raised: list[AiToEarnError] = []

    def noting(decide: Callable[..., Any]) -> Callable[..., Any]:
        def decided_so(*args: Any) -> Any:
            decision = decide(*args)
            decided.append(type(decision).__name__)
            return decision

        return decided_so

    def begin(*args: Any) -> None:
        step.begin(*args)
        decided.append("PollAt")  # a wait begins with a poll

    monkeypatch.setattr(waiter, "begin", begin)
    # A waiter is given its step when it is made.
    defaults: Any = waiter.Waiter.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "step", noting(step.step))
    life, faults, arguments, number = WAYS[words]
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        ref = service.add_image(*life)
        for fault in faults:
            service.fault(fault)
        try:
            await client.wait_for(ref, **arguments)
        except AiToEarnError as error:
            raised.append(error)
    if words in ENDS:
        assert [type(error) for error in raised] == [ENDS[words]]
    at = number + 1 if number >= 0 else len(decided) - 1
    assert (decided[at - 1], decided[at]) == (before, after)


# The command line.


def test_the_command_line_has_the_commands_and_options_the_page_has() -> None:
    page = text_of("reference/command-line.md")
    usage = help_of()
    commands = re.findall(r"^  (\w+)  ", usage.partition("Commands:")[2].partition("Exit")[0], re.M)
    assert set(commands) <= set(re.findall(r"^## (\w+)$", page, re.M))
    below = [("generate", "image"), ("generate", "video"), ("edit", "image")]
    below += [("fleet", name) for name in ("add", "work", "outcomes", "status")]
    helps = usage + "".join(help_of(*each) for each in [*((name,) for name in commands), *below])
    assert set(re.findall(r"--\w[\w-]*", page)) == set(re.findall(r"--\w[\w-]*", helps))


def test_the_exit_statuses_are_the_ones_in_the_help() -> None:
    section = text_of("reference/command-line.md").partition("## Exit status")[2]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section, re.M)
    assert rows == re.findall(r"^ +(\d+) +(.+)$", help_of().partition("Exit status:")[2], re.M)


# The house.


def test_the_map_of_the_rooms_is_right() -> None:
    page = blocks(DOCS / "contributing.md")
    chart = next(block.code for block in page if "_client.py" in block.code)
    shown = set(re.findall(r"^  (\S+?)/? ", chart, re.M))
    package = ROOT / "aitoearn_async"
    assert all((package / name).exists() for name in shown)
    minor = {"__main__.py", "_version.py", "arguments.py", "py.typed", "__pycache__"}
    assert {path.name for path in package.iterdir()} - minor == shown


def test_the_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {aitoearn_async.__version__} - 20" in changelog


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def test_what_stands_beside_the_words_of_other_sdks_is_there() -> None:
    shown = " ".join(row[1] for row in rows_of("faq.md", "Coming from another SDK"))
    shown = " ".join(names_in(shown))
    calls = set(re.findall(r"client\.(\w+)", shown))
    assert calls <= {name for name in dir(Client) if not name.startswith("_")}
    assert set(re.findall(r"\b[A-Z]\w+\b", shown)) - {"Path"} <= set(aitoearn_async.__all__) | {
        state.name for state in TaskState
    }
    options = set(re.findall(r"\b(\w+)=", shown))
    known: list[Any] = [
        Client,
        Client.run,
        Client.wait_for,
        GenerateImage,
        EditImage,
        GenerateVideo,
    ]
    assert options <= {name for one in known for name in inspect.signature(one).parameters}


def test_what_a_fleet_costs_is_what_the_published_run_shows() -> None:
    """The page on fleets repeats some figures of the run, and reckons with them."""
    run = json.loads((ROOT / "benchmarks/results/fleet.json").read_text())
    seconds: dict[str, list[float]] = {}
    for name, *_, polls, _, cpu in run["tables"][0]["rows"]:
        seconds.setdefault(name, []).append(cpu)
        seconds.setdefault(f"{name}, a poll", []).append(cpu / polls)
    tasks, figures = 6_000, run["figures"]
    worker = statistics.median(seconds["calm"]) / tasks
    engine = figures["engine_cpu_over_a_poll"] * statistics.median(seconds["alone, a poll"]) / tasks
    hours = [each * 10e6 / 3600 for each in (worker, engine)]
    page = text_of("how-to/fleet.md")
    assert f"after {figures['handed_over_p99_seconds']:.1f} s at the 99th percentile" in page
    assert f"{worker * 1e3:.2f} ms of its workers' processor time" in page
    assert f"{engine * 1e3:.2f} ms of the engine's" in page
    assert f"{hours[0]:.1f} hours of one core for the workers" in page
    assert f"{hours[1]:.1f} hours for the engine" in page
    assert f"{sum(hours):.1f} cores in all" in page
