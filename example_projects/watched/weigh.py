"""Weighs the folder it lies in, and fails if that is more than a mebibyte."""

import sys
from pathlib import Path

LIMIT = 1024 * 1024

folder = Path(__file__).parent
weight = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
print(f"{folder.name}: {weight} bytes of {LIMIT}")
sys.exit(weight > LIMIT)
