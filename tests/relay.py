#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""relay.py FROM TO LIMIT: listens at the socket FROM, takes one connection and
passes it on to the socket TO; of what goes there only LIMIT bytes, then it
writes "full" and waits.  When one side ends, so does it."""
import select
import socket
import sys

waiting, to, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
listener = socket.socket(socket.AF_UNIX)
listener.bind(waiting)
listener.listen(1)
client = listener.accept()[0]
server = socket.socket(socket.AF_UNIX)
server.connect(to)
poll = select.poll()
poll.register(server, select.POLLIN)
poll.register(client, select.POLLIN)
while True:
    for fd, events in poll.poll():
        if fd == server.fileno():
            data = server.recv(65536) if events & select.POLLIN else b""
            if not data:
                sys.exit()
            client.sendall(data)
        elif limit > 0:
            data = client.recv(min(65536, limit))
            if not data:
                sys.exit()
            limit -= len(data)
            server.sendall(data)
            if limit == 0:
                print("full", flush=True)
                poll.modify(client, 0)
        elif events & (select.POLLHUP | select.POLLERR):
            sys.exit()
