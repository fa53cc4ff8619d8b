"""How well the machine finds the bugs of the corpus, and whether it ever blames a careful client.

    python benchmarks/corpus.py                    # the table of finds, and 2,000 examples of each careful client
    python benchmarks/corpus.py --examples 200     # fewer of them
    python benchmarks/corpus.py --only KeyPerTry   # one client

Exit code 1 if a bug was not found as what it is, or a careful client was blamed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from corpus.buggy import BUGS, Bug
from corpus.careful import CAREFUL
from corpus.hunting import Find, hunt, innocent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=30, help="what a bug may take to be found")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        os.environ["FAUXVIDER_OUT"] = out
        missed = sum([not _row(bug, given.seconds) for bug in BUGS if given.only in str(bug)])
        blamed = sum([not _careful(client, given.examples) for client in CAREFUL if given.only in client.__name__])
    print(f"\n{missed} bugs missed, {blamed} careful clients blamed")
    return 1 if missed or blamed else 0


def _row(bug: Bug, seconds: float) -> bool:
    began = time.perf_counter()
    find = hunt(bug.client)
    took = time.perf_counter() - began
    is_good = find is not None and find.kind in bug.found_as and find.events <= 8 and took <= seconds
    told = _told(find)
    print(f"{'ok' if is_good else 'NO':3} {bug!s:24} {took:6.1f} s  {told:28} {bug.source}", flush=True)
    return is_good


def _told(find: Find | None) -> str:
    return "not found" if find is None else f"{find.kind}, {find.events} events"


def _careful(client: type, examples: int) -> bool:
    began = time.perf_counter()
    find = innocent(client, examples=examples)
    took = time.perf_counter() - began
    print(f"{'ok' if find is None else 'NO':3} {client.__name__:24} {took:6.1f} s  {examples} examples, "
          f"{'clean' if find is None else find.text}", flush=True)  # fmt: skip
    return find is None


if __name__ == "__main__":
    sys.exit(main())
