"""Build the site: every language, below the version it is about.

    python .ci/site.py site             site/0.1/, site/latest/, site/zh/0.1/, site/zh/latest/
    python .ci/site.py pages --keep     the same, beside the versions that are there already

A page that has no translation yet is shown in English, so a link leads somewhere in each language.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TRANSLATED = "zh"
"""The folder of `docs/` with the pages in Chinese, and where they stand on the site."""

TO_LATEST = """<!doctype html>
<meta charset="utf-8">
<title>aitoearn-async</title>
<meta http-equiv="refresh" content="0; url=latest/">
<a href="latest/">aitoearn-async</a>
"""


def main() -> None:
    """Build into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep what is there of other versions")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    if not arguments.keep:
        shutil.rmtree(folder, ignore_errors=True)
    version = minor_version()
    for language, place in (("en", folder), (TRANSLATED, folder / TRANSLATED)):
        with tempfile.TemporaryDirectory() as scratch:
            built = build(Path(scratch), language, version)
            for name in (version, "latest"):
                shutil.rmtree(place / name, ignore_errors=True)
                shutil.copytree(built, place / name)
        (place / "index.html").write_text(TO_LATEST, encoding="utf-8")
        (place / "versions.json").write_text(json.dumps(versions(place)), encoding="utf-8")
    (folder / ".nojekyll").touch()


def build(stage: Path, language: str, version: str) -> Path:
    """Build one language in an empty folder; the folder with the site."""
    config = yaml.safe_load((ROOT / ".mkdocs.yml").read_text(encoding="utf-8"))
    shutil.copytree(ROOT / "docs", stage / "docs", ignore=shutil.ignore_patterns(TRANSLATED))
    links = {"en": "./", TRANSLATED: f"../{TRANSLATED}/{version}/"}
    if language == TRANSLATED:
        changed = yaml.safe_load((ROOT / f".mkdocs.{language}.yml").read_text(encoding="utf-8"))
        config = merged(config, changed)
        for page in (stage / "docs").rglob("*.md"):
            page.write_text(with_note(page.read_text("utf-8")), "utf-8")
        translated = ROOT / "docs" / language
        shutil.copytree(translated, stage / "docs", dirs_exist_ok=True)
        for page in translated.rglob("*.md"):
            name = page.relative_to(translated)
            text = at_home(page.read_text("utf-8"), depth=len(name.parts) - 1)
            (stage / "docs" / name).write_text(text, "utf-8")
        links = {"en": f"../../{version}/", TRANSLATED: "./"}
    for alternate in config["extra"]["alternate"]:
        alternate["link"] = links[alternate["lang"]]
    for page in ROOT.glob("*.md"):
        (stage / page.name).write_text(among_the_pages(page.read_text("utf-8")), "utf-8")
    for folder in (ROOT / "aitoearn_async", ROOT / ".ci"):
        (stage / folder.name).symlink_to(folder)
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (stage / "mkdocs.yml").write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=stage, check=True)
    return stage / "site"


def with_note(text: str) -> str:
    """A page that is shown in English, and says so below its heading."""
    note = "!!! note\n\n    本页暂时只有英文版。"
    return re.sub(r"^(# .+)$", rf"\1\n\n{note}", text, count=1, flags=re.MULTILINE)


def at_home(text: str, *, depth: int) -> str:
    """A translated page in the place of the English one, beside the pages that have no translation.

    In a checkout it leads to these out of its own folder, one step further up.
    """
    return text.replace("](../" + "../" * depth, "](" + "../" * depth)


def among_the_pages(text: str) -> str:
    """What the first page of the site takes from the README, which stands beside `docs/`."""
    return text.replace("](docs/zh/", "](").replace("](docs/", "](")


def merged(base: Any, changed: Any) -> Any:
    """A configuration with what another one has in its place; lists are taken whole."""
    if not (isinstance(base, dict) and isinstance(changed, dict)):
        return changed
    return base | {key: merged(base.get(key), value) for key, value in changed.items()}


def minor_version() -> str:
    """The version that the pages are about, without the last number."""
    text = (ROOT / "aitoearn_async" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "(\d+\.\d+)', text)
    assert found, text
    return found[1]


def versions(folder: Path) -> list[dict[str, Any]]:
    """What the menu of versions shows, the newest first."""
    numbers = [path.name for path in folder.iterdir() if re.fullmatch(r"\d+\.\d+", path.name)]
    numbers.sort(key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    return [
        {"version": number, "title": number, "aliases": ["latest"] if place == 0 else []}
        for place, number in enumerate(numbers)
    ]


if __name__ == "__main__":
    main()
