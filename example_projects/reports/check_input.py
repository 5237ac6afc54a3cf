"""Looks at the whole input before anything is made of it, and names every bad line."""

import csv
import sys
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

SOURCE = Path("data/sales.csv")


def problems_of(row: dict) -> list[str]:
    problems = []
    try:
        date.fromisoformat(row["date"])
    except ValueError:
        problems.append(f"`{row['date']}` is not a date")
    if not row["quantity"].isdecimal():
        problems.append(f"`{row['quantity']}` is not a quantity")
    try:
        Decimal(row["unit_price"])
    except InvalidOperation:
        problems.append(f"`{row['unit_price']}` is not a price")
    return problems


def main() -> int:
    bad = 0
    with SOURCE.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            for problem in problems_of(row):
                print(f"{SOURCE}:{reader.line_num}: {problem}", file=sys.stderr)
                bad += 1
        print(f"{SOURCE}: {reader.line_num - 1} sales, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
