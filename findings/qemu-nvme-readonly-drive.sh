#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# QEMU 10.0.13: a nvme device takes a drive with readonly=on and does not tell its guest.
# Each write fails with Write Fault, which Linux 6.12.118 reports as a medium error.
#
# Guess it contradicts: such a drive is refused, as by devices that cannot be read-only;
# or the namespace says that it is write protected, and the guest's disk is read-only.
# Seen: NSATTR is 0 and /sys/block/nvme0n1/ro is 0. A write ends with sct 2, sc 80h, "critical
# medium error", and ENODATA ("No data available") for the program; a buffered one with "lost
# async page write" and exit 0. Identify offers no write protection (NWPC 0), the error log
# stays empty.
# Who meets it: who gives a golden image to several VMs with readonly=on and finds a guest
# that mounts it read-write and then looks for a broken disk.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 16M "$T/disk"
printf 'as it was' | dd of="$T/disk" conv=notrunc status=none
guest '
nvme id-ns /dev/nvme0n1 | grep "^nsattr" | tr -d " \t"
nvme id-ctrl /dev/nvme0 | grep "^nwpc" | tr -d " \t"
echo "ro $(cat /sys/block/nvme0n1/ro)"
echo changed | dd of=/dev/nvme0n1 bs=512 conv=sync oflag=direct 2>&1 | grep error
dmesg | grep -o "I/O Error (sct.*" | head -n 1
dmesg | grep -o "critical medium error" | head -n 1
echo "read $(dd if=/dev/nvme0n1 bs=9 count=1 2>/dev/null)"
nvme error-log /dev/nvme0 -e 1 | grep error_count | tr -d " \t"' \
	-drive "file=$T/disk,format=raw,if=none,id=d,readonly=on" -device nvme,serial=a,drive=d
grep -v 'aio failed' "$T/out" | sed 's/ *$//' > "$T/seen"
expect "what the guest is told, and what a write gives" "$(sed -n '2,9p' "$T/seen")" "nsattr:0
nwpc:0
ro 0
dd: error writing '/dev/nvme0n1': No data available
I/O Error (sct 0x2 / sc 0x80)
critical medium error
read as it was
error_count:0"
exit "$FAILED"
