"""Shows what reached it: arguments, variables, the working folder."""

import os
import sys
from pathlib import Path

print("arguments:", " ".join(sys.argv[1:]))
print("REGION:", os.environ.get("REGION", "not set"))
print("CURRENCY:", os.environ.get("CURRENCY", "not set"))
print("GREETING:", os.environ.get("GREETING", "not set"))
print("working folder:", Path.cwd().name)
