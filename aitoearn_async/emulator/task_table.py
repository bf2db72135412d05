"""The tables of the service: the tasks of all accounts, and the other rows of their logs.

Ids are alike in either case of their hex digits. What a row shows is in `tasks`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from aitoearn_async import AnyRef

from .identifiers import key_of
from .tasks import StoredTask


class TaskTable:
    """All rows, in the order they were added."""

    def __init__(self) -> None:
        self._tasks: dict[AnyRef, StoredTask] = {}
        self._others: list[StoredTask] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, ref: AnyRef) -> StoredTask:
        return self._tasks[key_of(ref)]

    def get(self, ref: AnyRef) -> StoredTask | None:
        """Return the task of this ref, if there is one."""
        return self._tasks.get(key_of(ref))

    def add(self, task: StoredTask) -> None:
        """Add a task, whose id must be free."""
        self._tasks[key_of(task.ref)] = task

    def add_other(self, row: StoredTask) -> None:
        """Add a row that stands in the logs alone."""
        self._others.append(row)

    def remove(self, ref: AnyRef) -> None:
        """Forget a task.

        Raises:
            KeyError: There is no such task.
        """
        del self._tasks[key_of(ref)]

    def of_kind(self, kind: type[AnyRef]) -> Iterator[StoredTask]:
        """Return all tasks of a kind, oldest first."""
        return (task for task in self._tasks.values() if isinstance(task.ref, kind))

    def newest(self, account: str) -> Iterator[StoredTask]:
        """Return all tasks of an account, newest first."""
        return (task for task in reversed(self._tasks.values()) if task.account == account)

    def logged(self, account: str) -> Iterator[StoredTask]:
        """Return all rows in the logs of an account, newest first."""
        others = (row for row in reversed(self._others) if row.account == account)
        return heapq.merge(self.newest(account), others, key=lambda row: -row.created)
