"""Counts visits: its inputs are arguments and variables, its settings a file."""

import argparse
import csv
import json
import os
from collections import Counter
from datetime import date
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("source", type=Path)
parser.add_argument("--since", type=date.fromisoformat)
args = parser.parse_args()

# A list is JSON, as everything that is no text.
places = json.loads(os.environ["RUNNER_PARAM_PLACES"])
settings = json.loads(Path(os.environ["RUNNER_SETTINGS"]).read_text(encoding="utf-8"))

with args.source.open(encoding="utf-8", newline="") as file:
    visits = [place for day, place in csv.reader(file) if date.fromisoformat(day) >= args.since]
counts = Counter(place for place in visits if place in places)

folder = Path(settings["report"]["folder"])
folder.mkdir(exist_ok=True)
lines = [f"{settings['report']['title']} since {args.since}"] + [f"{place}: {counts[place]}" for place in places]
(folder / "report.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
print(*lines, sep="\n")
