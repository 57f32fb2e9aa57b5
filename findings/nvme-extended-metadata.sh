#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# Debian 13's kernel 6.12.118: a namespace whose metadata are part of each block (nvme format -m
# 1) becomes a disk of 0 bytes, and nothing says why.
#
# Guess it contradicts: Linux, which cannot use such a format without protection information,
# says so in its log and makes no disk; or the disk has its size and I/O fails.
# Seen: `nvme format -l 1 -m 1` succeeds, /dev/nvme0n1 stays and has 0 bytes; the kernel's log
# has "detected capacity change from 32768 to 0", no reason, and at the next boot not even
# that. Reading gives nothing and no error, writing "No space left on device". With the
# metadata in a buffer of their own (-m 0) the same format gives a disk of its size. The
# generic device /dev/ng0n1 reads blocks of 520 bytes in between.
# Who meets it: who formats a drive with metadata, or is handed one that was used in an array
# with 520 byte sectors.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 16M "$T/disk"
guest '
D=/dev/nvme0n1
look() {
	echo "sectors $(cat /sys/block/nvme0n1/size)"
	dd if=$D of=/tmp/o bs=4096 count=1 2>/dev/null; echo "read exit $?, $(wc -c < /tmp/o) bytes"
	dd if=/dev/zero of=$D bs=4096 count=1 2>&1 | grep error
}
dmesg -c > /tmp/o
nvme format $D -l 1 -m 1 --force > /tmp/o 2>&1; echo "format exit $?"
look
nvme read /dev/ng0n1 -s 0 -c 0 -z 520 2>/dev/null | wc -c
dmesg | grep -o "nvme.*" | grep -v bogus
nvme format /dev/ng0n1 -l 1 -m 0 --force > /tmp/o 2>&1; echo "format exit $?"
look' \
	-drive "file=$T/disk,format=raw,if=none,id=d" -device nvme,serial=a,drive=d
expect "with -m 1: 0 bytes, no reason" "$(sed -n '2,7p' "$T/out")" "format exit 0
sectors 0
read exit 0, 0 bytes
dd: error writing '/dev/nvme0n1': No space left on device
520
nvme0n1: detected capacity change from 32768 to 0"
expect "with -m 0: its size" "$(sed '1,7d;$d' "$T/out")" "format exit 0
sectors 32263
read exit 0, 4096 bytes"
guest 'echo "sectors $(cat /sys/block/nvme0n1/size)"
dmesg | grep -E -o "nvme0n1: .*|nvme nvme0: .*" | grep -v -E "pci function|queues|bogus"' \
	-drive "file=$T/disk,format=raw,if=none,id=d" -device nvme,serial=a \
	-device nvme-ns,drive=d,ms=8,mset=1
expect "at boot: nothing in the log" "$(sed '1d;$d' "$T/out")" "sectors 0"
exit "$FAILED"
