"""What version 0.1.0 has pickled is read by this one: queues outlive releases."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import aitoearn_async
from aitoearn_async import Client, ImageRef, ImageTask, Outcome, ServiceUnreachableError, VideoRef

RECORDED: dict[str, str] = json.loads(
    (Path(__file__).parent / "data" / "pickles-0.1.0.json").read_text(encoding="utf-8")
)


def read(name: str) -> object:
    return pickle.loads(base64.b64decode(RECORDED[name]))


@pytest.mark.parametrize("name", RECORDED)
def test_a_pickle_of_the_first_release_is_read(name: str) -> None:
    """Each object comes back as the class of its name, and survives another round."""
    value = read(name)
    assert type(value) is getattr(aitoearn_async, name.split()[-1])
    again = pickle.loads(pickle.dumps(value))
    assert type(again) is type(value)
    assert pickle.dumps(again) == pickle.dumps(value)


def test_its_facts_are_kept() -> None:
    """Fields and attributes are what they were."""
    outcome = read("Outcome")
    assert isinstance(outcome, Outcome)
    assert isinstance(outcome.task, ImageTask)
    assert outcome.ref == ImageRef("66f0c0ffee0123456789abcd")
    assert outcome.task.request == {"model": "m", "prompt": "a cat"}
    error = read("ServiceUnreachableError")
    assert isinstance(error, ServiceUnreachableError)
    assert error.ref == VideoRef("67f0c0ffee0123456789abcd")
    assert error.seen == {"HTTP 502": 20}


def test_a_process_that_has_imported_nothing_reads_it() -> None:
    """The pickle alone imports what it needs."""
    code = (
        "import base64, pickle, sys\n"
        "print(pickle.loads(base64.b64decode(sys.argv[1])).ok)\n"
        "print(pickle.loads(base64.b64decode(sys.argv[2])))"
    )
    command = [sys.executable, "-W", "error", "-c", code, RECORDED["Outcome"], RECORDED["ImageRef"]]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["True", "image:66f0c0ffee0123456789abcd"], run.stderr


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_is_bound_to_a_client_says_so(
    copied: Callable[[object], object], aitoearn_client: Client
) -> None:
    """A process pool cannot have a wait; it can have the ref."""
    ref = ImageRef("66f0c0ffee0123456789abcd")
    waiter, batch = aitoearn_client.wait_for(ref), aitoearn_client.as_completed([ref])
    for bound in (waiter, batch):
        with pytest.raises(TypeError, match=r"is bound to its client .*: pass refs on"):
            copied(bound)
    waiter.close()  # it is not to be awaited
