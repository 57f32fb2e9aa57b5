# SPDX-License-Identifier: GPL-2.0
"""Runs in a guest: the running kernel once more, by kexec.

    abuse_kexec.py load    with its own command line, for "go"
    abuse_kexec.py crash   for a panic, in the memory of crashkernel=
    abuse_kexec.py go      now: devices are shut down, processes are not asked
"""
import ctypes
import os
import sys

SYS_REBOOT, SYS_KEXEC_FILE_LOAD = 169, 320
ON_CRASH = 2
MAGIC1, MAGIC2, CMD_KEXEC = 0xfee1dead, 672274793, 0x45584543

libc = ctypes.CDLL(None, use_errno=True)


def call(*args):
    if libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in args)):
        err = ctypes.get_errno()
        sys.exit(f"syscall {args[0]}: {os.strerror(err)}")


def load(flags, leave_out=None, extra=""):
    with open("/proc/cmdline", encoding="ascii") as f:
        words = [w for w in f.read().split() if w.split("=")[0] != leave_out]
    cmdline = " ".join(words + extra.split()).encode()
    kernel = os.open("/boot/lab-l2-vmlinuz", os.O_RDONLY)
    initrd = os.open("/boot/lab-l2-initrd.img", os.O_RDONLY)
    call(SYS_KEXEC_FILE_LOAD, kernel, initrd, len(cmdline) + 1,
         ctypes.create_string_buffer(cmdline), flags)


if sys.argv[1] == "load":
    load(0)
elif sys.argv[1] == "crash":
    # As the tools of distributions do: what the old kernel left on is not trusted.
    load(ON_CRASH, "crashkernel", "reset_devices")
else:
    call(SYS_REBOOT, MAGIC1, MAGIC2, CMD_KEXEC, 0)
