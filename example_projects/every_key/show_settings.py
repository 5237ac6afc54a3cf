"""Shows what reached it: arguments, variables, inputs, settings, the working folder."""

import json
import os
import sys
from pathlib import Path

print("arguments:", " ".join(sys.argv[1:]))
print("REGION:", os.environ.get("REGION", "not set"))
print("CURRENCY:", os.environ.get("CURRENCY", "not set"))
print("GREETING:", os.environ.get("GREETING", "not set"))
print("CURRENCIES:", json.dumps(json.loads(os.environ["RUNNER_PARAM_CURRENCIES"])))
settings = json.loads(Path(os.environ["RUNNER_SETTINGS"]).read_text(encoding="utf-8"))
print("rate service:", settings["rates"]["service"])
print("working folder:", Path.cwd().name)
