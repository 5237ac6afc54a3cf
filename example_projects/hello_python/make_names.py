"""Makes the working folder and writes the names that the next script greets."""

import csv
from pathlib import Path

WORK = Path("work")
NAMES = [
    ("Élodie", "Lyon", "fr"),
    ("Jürgen", "Köln", "de"),
    ("Zoë", "Leeds", "en"),
    ("さくら", "京都", "ja"),
    ("민준", "부산", "ko"),
]


def main() -> None:
    WORK.mkdir(exist_ok=True)
    target = WORK / "names.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "city", "language"])
        writer.writerows(NAMES)
    print(f"{len(NAMES)} names written to {target}")
    print("cities:", ", ".join(city for _, city, _ in NAMES))


if __name__ == "__main__":
    main()
