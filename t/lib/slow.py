"""slow: stands between a worker and Redis, and lets answers through late.

	python3 slow.py REDIS_SOCKET OWN_SOCKET DELAY_FILE

DELAY_FILE has the seconds, read anew for each piece; none or 0 lets it through at once.
"""
import os
import select
import socket
import sys
import threading
import time

real, own, delay_file = sys.argv[1:]


def delay():
    try:
        with open(delay_file) as f:
            return float(f.read() or 0)
    except (OSError, ValueError):
        return 0


def serve(client):
    server = socket.socket(socket.AF_UNIX)
    server.connect(real)
    try:
        while True:
            for s in select.select([client, server], [], [])[0]:
                piece = s.recv(65536)
                if not piece:
                    return
                if s is server:
                    time.sleep(delay())
                (server if s is client else client).sendall(piece)
    except OSError:
        pass
    finally:
        client.close()
        server.close()


listener = socket.socket(socket.AF_UNIX)
listener.bind(own + ".new")
listener.listen(64)
os.rename(own + ".new", own)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
