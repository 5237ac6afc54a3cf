"""Ends with an exit code of its own: no traceback, only a word on standard error."""

import sys

print("the upstream file is not there yet", file=sys.stderr)
sys.exit(3)
