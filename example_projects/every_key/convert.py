"""Converts the prices of a CSV file, and says with exit code 3 that it had to round."""

import csv
import os
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path


def main() -> int:
    source, rate = Path(sys.argv[1]), Decimal(sys.argv[2])
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rounded = 0
    target = Path("..") / "work" / "converted.csv"
    target.parent.mkdir(exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "amount", "currency"])
        for row in rows:
            exact = Decimal(row["amount"]) * rate
            price = exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
            rounded += price != exact
            writer.writerow([row["item"], price, os.environ["CURRENCY"]])
            print(f"{row['item']}: {price} {os.environ['CURRENCY']}")
    print(f"{rounded} of {len(rows)} prices were rounded")
    return 3 if rounded else 0


if __name__ == "__main__":
    sys.exit(main())
