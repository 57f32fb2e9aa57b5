#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# nvme-cli 2.13-2: `nvme dsm` fills the shorter of its two lists with zeros: one start and two
# lengths deallocate the first blocks of the drive too.
#
# Guess it contradicts: -s START,... and -b LENGTH,... of different lengths are refused; or a
# lone length counts for each start.
# Seen: `-d -s 64 -b 8,8` deallocates the blocks 64 to 71 and 0 to 7, where a partition table
# is. `-d -s 128,136 -b 8` deallocates 128 to 135 and leaves 136. Without -d nothing is
# deallocated. "NVMe DSM: success" and exit 0 each time.
# Who meets it: who makes the lists in a script, or gives one length for several equal ranges.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
head -c 16M /dev/zero | tr '\0' x > "$T/disk"
guest '
D=/dev/nvme0n1
left() {
	for b in "$@"; do
		dd if=$D bs=512 skip=$b count=8 iflag=direct 2>/dev/null | tr -d "\0" | wc -c
	done | tr "\n" " "
	echo
}
nvme dsm $D -s 200 -b 8; echo "exit $?"
left 200
nvme dsm $D -d -s 64 -b 8,8; echo "exit $?"
left 0 8 64 72
nvme dsm $D -d -s 128,136 -b 8; echo "exit $?"
left 128 136' \
	-drive "file=$T/disk,format=raw,if=none,id=d,discard=unmap" -device nvme,serial=a,drive=d
expect "without -d: nothing" "$(sed -n '2,4p' "$T/out")" 'NVMe DSM: success
exit 0
4096 '
expect "one start, two lengths: the first blocks too" "$(sed -n '5,7p' "$T/out")" \
	'NVMe DSM: success
exit 0
0 4096 0 4096 '
expect "two starts, one length: the second stays" "$(sed -n '8,10p' "$T/out")" \
	'NVMe DSM: success
exit 0
0 4096 '
exit "$FAILED"
