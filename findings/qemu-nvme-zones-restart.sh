#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# QEMU 10.0.13: a zoned namespace (nvme-ns,zoned=on) forgets its write pointers when QEMU ends,
# and keeps the data.
#
# Guess it contradicts: a guest that is shut down and started again finds its zones as it left
# them, with data and write pointers, as on a real drive; and an empty zone reads as zeros.
# Seen: all zones are empty at the next start, written or finished. The old data are still in the
# image, and a read of a zone that is "empty" returns them. A reset of the controller keeps the
# zones as they are.
# Who meets it: who installs something on such a drive (btrfs, f2fs) in one run
# of the VM and wants to use it in the next: the image cannot be kept.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 16M "$T/disk"
zoned=(-drive "file=$T/disk,format=raw,if=none,id=d" -device "nvme,serial=a"
	-device "nvme-ns,drive=d,zoned=on,zoned.zone_size=4M")
look='
nvme zns report-zones /dev/nvme0n1 -d 2 | grep SLBA |
	sed "s/  */ /g; s/SLBA: \([^ ]*\) .*State: \([^ ]*\) .*/\1 \2/"
echo "$(dd if=/dev/nvme0n1 bs=65536 count=1 iflag=direct 2>/dev/null | tr -d "\0" | wc -c)"'
guest '
head -c 65536 /dev/zero | tr "\0" x > /tmp/x
dd if=/tmp/x of=/dev/nvme0n1 bs=65536 oflag=direct 2>/dev/null
nvme zns finish-zone /dev/nvme0n1 -s 0x2000 > /dev/null
'"$look
nvme reset /dev/nvme0; sleep 2
$look
sync" "${zoned[@]}"
expect "written: open; finished: full" "$(sed -n '2,4p' "$T/out")" "0 0x20
0x2000 0xe0
65536"
expect "after a reset of the controller: the same" "$(sed -n '5,7p' "$T/out")" "0 0x20
0x2000 0xe0
65536"
guest "$look" "${zoned[@]}"
expect "next start: both empty, and the data read" "$(sed -n '2,4p' "$T/out")" "0 0x10
0x2000 0x10
65536"
exit "$FAILED"
