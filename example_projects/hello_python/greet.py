"""Reads the names and writes one greeting for each, in its own language."""

import csv
from pathlib import Path

WORK = Path("work")
GREETINGS = {
    "de": "Guten Tag, {name} aus {city}!",
    "en": "Hello, {name} of {city}!",
    "fr": "Bonjour, {name} de {city} !",
    "ja": "こんにちは、{city}の{name}さん！",
    "ko": "안녕하세요, {city}의 {name} 님!",
}


def main() -> None:
    with (WORK / "names.csv").open(encoding="utf-8", newline="") as file:
        greetings = [GREETINGS[row["language"]].format(**row) for row in csv.DictReader(file)]
    (WORK / "greetings.txt").write_text("\n".join(greetings) + "\n", encoding="utf-8")
    for greeting in greetings:
        print("✓", greeting)


if __name__ == "__main__":
    main()
