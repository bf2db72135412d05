"""The tables of the service: the tasks of all accounts, and the other rows of their logs.

Ids are alike in either case of their hex digits. What a row shows is in `tasks`.
"""

from __future__ import annotations

from collections.abc import Iterator

from aitoearn_async import AnyRef

from .identifiers import key_of
from .tasks import StoredTask


class TaskTable:
    """All rows, in the order they were added."""

    def __init__(self) -> None:
        self._rows: dict[AnyRef | StoredTask, StoredTask] = {}

    def __len__(self) -> int:
        return sum(row.is_task for row in self._rows.values())

    def __getitem__(self, ref: AnyRef) -> StoredTask:
        return self._rows[key_of(ref)]

    def get(self, ref: AnyRef) -> StoredTask | None:
        """Return the task of this ref, if there is one."""
        return self._rows.get(key_of(ref))

    def add(self, row: StoredTask) -> None:
        """Add a row. The id of a task must be free, and none finds what is no task."""
        self._rows[key_of(row.ref) if row.is_task else row] = row

    def remove(self, ref: AnyRef) -> None:
        """Forget a task.

        Raises:
            KeyError: There is no such task.
        """
        del self._rows[key_of(ref)]

    def of_kind(self, kind: type[AnyRef]) -> Iterator[StoredTask]:
        """Return all tasks of a kind, oldest first."""
        rows = self._rows.values()
        return (row for row in rows if row.is_task and isinstance(row.ref, kind))

    def newest(self, account: str) -> Iterator[StoredTask]:
        """Return all tasks of an account, newest first."""
        return (row for row in self.logged(account) if row.is_task)

    def logged(self, account: str) -> Iterator[StoredTask]:
        """Return all rows in the logs of an account, newest first."""
        return (row for row in reversed(self._rows.values()) if row.account == account)
