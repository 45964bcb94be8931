"""Exit with code 0 if the web process on this machine is ready: `python -IS ops/web/probe.py [PORT]`.

This is compose.yaml's health check of web. A plain socket and the options -IS let Python start quickly, and slim images
do not contain curl.
"""

import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
try:
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = connection.recv(1024)
except OSError as error:
    sys.exit(f"web: {error}")
sys.exit(0 if b" 200 " in answer.split(b"\r\n")[0] else answer.decode(errors="replace"))
