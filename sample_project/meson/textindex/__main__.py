"""`textindex FOLDER QUERY` searches the text files of a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from textindex import Index


def main() -> int:
    parser = argparse.ArgumentParser(prog="textindex", description="Search the text files of a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("query", help='words, "phrases", and -exclusions')
    parser.add_argument(
        "--suffix", nargs="*", default=[".md", ".rst", ".txt"], help="which files (default: %(default)s)"
    )
    arguments = parser.parse_args()

    index = Index()
    for path in sorted(arguments.folder.rglob("*")):
        if path.suffix in arguments.suffix and path.is_file():
            index.add(str(path.relative_to(arguments.folder)), path.read_text(encoding="utf-8", errors="replace"))
    try:
        hits = index.search(arguments.query)
    except ValueError as error:
        parser.error(f"the query is wrong {error}")
    for hit in hits:
        print(f"{hit.score:6.2f}  {hit.name}: {hit.line}")
    return 0 if hits else 1


if __name__ == "__main__":
    sys.exit(main())
