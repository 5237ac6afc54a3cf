"""Dies by a signal, as a process does that the system kills when memory runs out."""

import os
import signal

print("working…", flush=True)
if hasattr(signal, "SIGKILL"):
    os.kill(os.getpid(), signal.SIGKILL)
else:
    os.abort()  # Windows has no signals; this ends the process with exit code 3 or a crash code.
