#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU 10.0.13: `-device nvme,mdts=0` (no limit, as NVMe defines it) does not start: "mdts
# exceeds IOV_MAX". 9 is the largest value.
#
# Guess it contradicts: 0 is the specification's "no limit" and is taken, as older
# versions do; large values are taken too.
# Seen: 0 and 10 are refused with the same message, 1 and 9 start.
# Who meets it: command lines of CI and of driver tests that used mdts=0 to get large
# commands; the message blames a value too large for a value of zero.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
truncate -s 16M "$T/disk"
for m in 0 1 9 10; do
	echo quit | timeout 60 "$T/q/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$T/q/usr/lib/x86_64-linux-gnu" "$T/q/usr/bin/qemu-system-x86_64" \
		-L "$T/q/usr/share/qemu" -L "$T/q/usr/share/seabios" -M q35 -S -display none \
		-nodefaults -monitor stdio -drive "file=$T/disk,format=raw,if=none,id=d" \
		-device "nvme,serial=a,drive=d,mdts=$m" > "$T/$m" 2>&1
	echo "mdts=$m: exit $? $(grep -o 'mdts exceeds.*' "$T/$m")"
done | tr -d '\r' > "$T/out"
cat "$T/out"
expect "0 and 10 refused, 1 and 9 taken" "$(cat "$T/out")" 'mdts=0: exit 1 mdts exceeds IOV_MAX
mdts=1: exit 0 
mdts=9: exit 0 
mdts=10: exit 1 mdts exceeds IOV_MAX'
exit "$FAILED"
