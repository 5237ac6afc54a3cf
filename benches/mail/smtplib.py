"""The lane of Python's smtplib: smtplib.py PORT CA LETTER COUNT LOGIN PASSWORD RECIPIENT; prints seconds and peak KiB."""
import sys

# This file has the module's name, and stands first on the path.
sys.path.pop(0)
import smtplib
import ssl
import time

port, ca, letter, count, login, password, recipient = sys.argv[1:]
with open(letter, "rb") as file:
    message = file.read()
begin = time.perf_counter()
server = smtplib.SMTP("127.0.0.1", int(port), timeout=60)
server.starttls(context=ssl.create_default_context(cafile=ca))
server.ehlo()
server.user, server.password = login, password
# smtplib's own login() takes ASCII passwords only.
challenges = iter([login, password])
server.auth("LOGIN", lambda challenge=None: next(challenges), initial_response_ok=False)
for _ in range(int(count)):
    server.sendmail(login, [recipient], message)
took = time.perf_counter() - begin
server.quit()
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
print(took, peak)
