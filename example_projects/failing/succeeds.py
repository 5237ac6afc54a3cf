"""Does its work. The mail of `failure_only` doesn't mention it."""

print("all is well here")
