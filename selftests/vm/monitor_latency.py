#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# monitor_latency.py SOCKET SECONDS: asks QEMU's monitor for "info status" again and again
# for so long and prints the longest answer, in ms. It answers under QEMU's global lock.

import socket
import sys
import time

monitor = socket.socket(socket.AF_UNIX)
monitor.settimeout(120)
monitor.connect(sys.argv[1])


def until_prompt():
    seen = b""
    while not seen.endswith(b"(qemu) "):
        part = monitor.recv(4096)
        if not part:
            sys.exit("the monitor closed")
        seen += part


until_prompt()
longest = 0.0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    start = time.monotonic()
    monitor.sendall(b"info status\n")
    until_prompt()
    longest = max(longest, time.monotonic() - start)
    time.sleep(0.1)
print(round(longest * 1000))
