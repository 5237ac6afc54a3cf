"""Writes the summary for people, and puts it in place in one step, so that no reader meets half of it."""

import json
import os
from pathlib import Path

SOURCE = Path("work/totals.json")
TARGET = Path("work/summary.md")


def table(heading: str, amounts: dict[str, str]) -> list[str]:
    rows = [f"| {name} | {float(amount):,.2f} € |" for name, amount in amounts.items()]
    return [f"| {heading} | sales |", "| --- | ---: |", *rows, ""]


def main() -> None:
    totals = json.loads(SOURCE.read_text(encoding="utf-8"))
    lines = ["# Sales of the week", ""]
    lines += table("shop", totals["by_shop"])
    lines += table("product", totals["by_product"])
    lines += [f"Total: {float(totals['total']):,.2f} €"]
    draft = TARGET.with_suffix(".tmp")
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(draft, TARGET)
    print(f"{TARGET} written")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
