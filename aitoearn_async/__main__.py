"""The entry point of `aitoearn-async` and `python -m aitoearn_async`.

It says what to install if a package that it needs is missing.
"""

from __future__ import annotations

import sys

_EXTRA = frozenset(["click", "rich"])
_MISSING = "the command line needs click and rich: pip install 'aitoearn-async[cli]'\n"


def main() -> None:
    """Run the command line, and exit with its status."""
    try:
        from ._cli.commands import run

        run()
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(_MISSING)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
