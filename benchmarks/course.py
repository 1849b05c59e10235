"""Does every lab of the course by its own words: the commands of a page, one after the other, as a reader types them.

    python -m benchmarks.course [--only 1 2 ...] [--folder FOLDER]

After each lab the command writes what was measured to docs/course/measured.json: seconds of each command, and its numbers. The solutions
of the labs hold these numbers (`tests/test_course.py`). The folder gets the runs; by default it is a new one.
"""

import argparse
import csv
import json
import re
import shlex
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from lit_models.study.machine import machine

PAGES = Path(__file__).parents[1] / "docs" / "course"
MEASURED = PAGES / "measured.json"
VALUE = re.compile(r"^(val/\w+)\s+(-?\d[\d.e+-]*)(?=\s|$)")
NOISE = re.compile(r"^noise at (centroids|codes), .*?:\s+([\d. ]+)$")


def commands_of(page: Path) -> list[str]:
    """The lines of a page that call the command, without their comments."""
    lines = re.findall(r"^    (?:\S+ .*&& )?(lightning(?: .*)?)$", page.read_text(), flags=re.MULTILINE)
    return [line.split("#")[0].strip() for line in lines]


def measure(command: str, folder: Path) -> dict[str, Any]:
    """Run one command in the folder, and read what it printed, or the last numbers of the run that it trained."""
    begun = time.monotonic()
    done = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
    seconds = time.monotonic() - begun
    values = last_numbers(folder) if command.startswith("lightning fit") else printed(done.stdout)
    return {"command": command, "seconds": round(seconds, 1), "values": values}


def last_numbers(folder: Path) -> dict[str, float]:
    """The last value of each column of the newest run."""
    newest = max(folder.glob("logs/*/*/version_*/metrics.csv"), key=lambda file: file.stat().st_mtime)
    with newest.open(newline="") as stream:
        return {name: float(value) for row in csv.DictReader(stream) for name, value in row.items() if value and name.startswith("val/")}


def printed(text: str) -> dict[str, float]:
    """The measures that a command printed, and the tables of noise as `codes change 0.5`."""
    values, place, strengths = {}, "", list[str]()
    for line in text.splitlines():
        if found := VALUE.match(line):
            values[found[1]] = float(found[2])
        elif found := NOISE.match(line):
            place, strengths = found[1], found[2].split()
        elif place and line.startswith("  "):
            name, *cells = line.split()
            values |= {f"{place} {name} {strength}": float(cell) for strength, cell in zip(strengths, cells, strict=True)}
    return values


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    labs = {page.name.split("_")[0]: page for page in sorted(PAGES.glob("[0-9]_*.md"))}
    options.add_argument("--only", nargs="+", default=list(labs), choices=list(labs), metavar="LAB")
    options.add_argument("--folder", type=Path)
    given = options.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    for lab in given.only:
        done = []
        for command in commands_of(labs[lab]):
            done.append(measure(command, folder))
            print(f"{done[-1]['seconds']:6.1f} s  {command}", flush=True)
        found = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
        found[lab] = {"machine": machine(), "minutes": round(sum(each["seconds"] for each in done) / 60, 1), "commands": done}
        MEASURED.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
