"""Where `aitoearn-async` and `python -m aitoearn_async` come in.

Nothing but the door, and what stands on it when the packages behind it are not installed.
"""

from __future__ import annotations

import sys

_EXTRA = frozenset(["rich", "typer"])
_MISSING = "the command line needs typer and rich: pip install 'aitoearn-async[cli]'\n"


def main() -> None:
    """Run the command line, and exit with its status."""
    try:
        from .cli import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(_MISSING)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
