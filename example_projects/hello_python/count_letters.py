"""Counts the letters of the greetings and writes the counts as JSON."""

import json
import sys
from collections import Counter
from pathlib import Path

WORK = Path("work")


def main() -> None:
    text = (WORK / "greetings.txt").read_text(encoding="utf-8")
    letters = Counter(character for character in text.casefold() if character.isalpha())
    counts = dict(letters.most_common())
    (WORK / "letters.json").write_text(json.dumps(counts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print("most common:", ", ".join(f"{letter} × {count}" for letter, count in letters.most_common(5)))
    # Both streams are captured, in the order in which they arrive.
    print(f"{len(letters)} different letters", file=sys.stderr)


if __name__ == "__main__":
    main()
