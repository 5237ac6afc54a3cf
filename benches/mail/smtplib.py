"""The lane of Python's smtplib: smtplib.py PORT CA LETTER COUNT LOGIN PASSWORD RECIPIENT; prints seconds and peak KiB."""
import sys

# This file has the module's name, and stands first on the path.
sys.path.pop(0)
import base64
import smtplib
import socket
import ssl
import time

port, ca, letter, count, login, password, recipient = sys.argv[1:]
with open(letter, "rb") as file:
    message = file.read()
begin = time.perf_counter()
server = smtplib.SMTP("127.0.0.1", int(port), timeout=60)
# Otherwise the end of each letter waits for an acknowledgement that the server's machine delays, which would compare TCP.
server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
server.starttls(context=ssl.create_default_context(cafile=ca))
server.ehlo()
# smtplib's own login() takes ASCII passwords only.
for command in ("AUTH LOGIN", *(base64.b64encode(text.encode()).decode() for text in (login, password))):
    code, reply = server.docmd(command)
assert code == 235, reply
for _ in range(int(count)):
    server.sendmail(login, [recipient], message)
took = time.perf_counter() - begin
server.quit()
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
print(took, peak)
