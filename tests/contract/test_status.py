"""Status words, and what they mean."""

from __future__ import annotations

import json
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import ImageTask, TaskState, VideoTask
from aitoearn_async.contract.status import is_known, state_of
from tests.support.texts import CHARACTERS

from .strategies import moderate

# As the service and the providers behind it spell them.
WORDS = {
    TaskState.RUNNING: [
        *("generating", "InProgress", "SUBMITTED", "NOT_START", "QUEUED", "UNKNOWN"),
        *("queued", "running", "pending", "processing", "PENDING", "RUNNING", "IN_PROGRESS"),
    ],
    TaskState.SUCCEEDED: ["success", "SUCCESS", "succeeded", "succeed", "completed", "done"],
    TaskState.FAILED: [
        *("failed", "FAILURE", "fail", "error", "cancelled", "canceled", "expired"),
    ],
}
ALL = [(word, state) for state, words in WORDS.items() for word in words]


@pytest.mark.parametrize(("word", "state"), ALL)
def test_known_words(word: str, state: TaskState) -> None:
    """A known word means the same in any case, with any separators and blanks around it."""
    split = "_".join(word)
    for spelling in [
        *(word, word.lower(), word.upper(), word.title(), word.swapcase()),
        *(f" {word} ", f"{word}\n", f"\t{word}", f"{word}_", f"-{word}"),
        *(split, split.replace("_", "-"), split.replace("_", " ")),
    ]:
        assert state_of(spelling) is state
        assert is_known(spelling)


@pytest.mark.parametrize(("word", "state"), ALL)
def test_tasks_tell_their_state(word: str, state: TaskState) -> None:
    """Both kinds of task go by the same words and keep the word as sent."""
    for task in (ImageTask(log_id="66", status=word), VideoTask(id="66", status=word)):
        assert task.state is state
        assert task.done is (state is not TaskState.RUNNING)
        assert task.status == word


@pytest.mark.parametrize(
    "word",
    [
        *("", " ", "_", "finalizing", "unsuccessful", "not done", "success!", "successful"),
        *("partially_completed", "0", "成功", "\ud800", "FAİLED", "x" * 1_000_000),
    ],
    ids=lambda word: ascii(word[:20]).replace("\\", "%"),
)
def test_unknown_words(word: str) -> None:
    """A word nobody has heard of means that the task still runs: a guess must not end a wait."""
    assert state_of(word) is TaskState.RUNNING
    assert not is_known(word)


@moderate
@given(st.text(CHARACTERS))
def test_only_known_words_end_a_task(word: str) -> None:
    """Every text has a state, and one that ends the task only if the word is known."""
    assert state_of(word) is TaskState.RUNNING or is_known(word)


def test_states_have_stable_values() -> None:
    """The values of the states are plain words that can be stored."""
    assert {state.name: state.value for state in TaskState} == {
        "RUNNING": "running",
        "SUCCEEDED": "succeeded",
        "FAILED": "failed",
    }


@pytest.mark.parametrize("state", TaskState)
def test_a_state_is_its_text(state: TaskState) -> None:
    """A state passes for its word wherever text goes: in a comparison, a line, JSON and pickles."""
    word = state.name.lower()
    assert state == word
    assert f"{state}" == str(state) == word
    assert json.dumps({"state": state}) == json.dumps({"state": word})
    assert msgspec.json.encode(state) == json.dumps(word).encode()
    assert pickle.loads(pickle.dumps(state)) is state
