"""Adds the sales up, by shop and by product."""

import csv
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

SOURCE = Path("data/sales.csv")
TARGET = Path("work/totals.json")


def main() -> None:
    by_shop: defaultdict[str, Decimal] = defaultdict(Decimal)
    by_product: defaultdict[str, Decimal] = defaultdict(Decimal)
    with SOURCE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            amount = int(row["quantity"]) * Decimal(row["unit_price"])
            by_shop[row["shop"]] += amount
            by_product[row["product"]] += amount
    TARGET.parent.mkdir(exist_ok=True)
    totals = {
        "by_shop": {name: str(amount) for name, amount in sorted(by_shop.items())},
        "by_product": {name: str(amount) for name, amount in sorted(by_product.items())},
        "total": str(sum(by_shop.values())),
    }
    TARGET.write_text(json.dumps(totals, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"total {totals['total']} € in {len(by_shop)} shops → {TARGET}")


if __name__ == "__main__":
    main()
