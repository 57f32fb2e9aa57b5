#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# nvme-cli 2.13-2: `nvme write` reads its standard input once; what has not come by then is
# written as zeros, with "write: Success" and exit 0.
#
# Guess it contradicts: without -d the data come from standard input (right), so a pipe is read
# until the bytes that -z asks for are there, or the tool says that it got too few.
# Seen: of 128 KiB through `cat FILE |` at most 64 KiB reach the drive, what a pipe holds; the
# rest of the range is overwritten with zeros. From a writer that delivers in pieces comes just
# the first piece. `< FILE` and -d FILE write all of it.
# Who meets it: `zcat image.gz | nvme write`, `ssh host cat file | nvme write`, and test scripts
# that make their pattern in a pipe: small patterns pass, larger ones lose their end.

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
head -c 131072 /dev/zero | tr "\0" x > /tmp/x
head -c 131072 /dev/zero | tr "\0" y > /tmp/y
count() { dd if=$D bs=131072 count=1 iflag=direct 2>/dev/null | tr -d -c "$1" | wc -c; }
nvme write $D -s 0 -c 255 -z 131072 < /tmp/x; echo "exit $?"
echo "x $(count x)"
cat /tmp/y | nvme write $D -s 0 -c 255 -z 131072; echo "exit $?"
echo "x $(count x) y $(count y)"
(printf first; sleep 2; printf second) | nvme write $D -s 0 -c 0 -z 512; echo "exit $?"
echo "block 0: $(dd if=$D bs=512 count=1 iflag=direct 2>/dev/null | tr -d "\0")"' \
	-drive "file=$T/disk,format=raw,if=none,id=d" -device nvme,serial=a,drive=d
expect "from a file: all" "$(sed -n '2,4p' "$T/out")" 'write: Success
exit 0
x 131072'
expect "from a pipe: success" "$(sed -n '5,6p' "$T/out")" 'write: Success
exit 0'
read -r _ x _ y <<< "$(sed -n 7p "$T/out")"
expect "a pipe's fill at most, and the old data are gone" \
	"$x $((y > 0 && y <= 65536))" "0 1"
expect "in two pieces: the first" "$(sed -n '8,10p' "$T/out")" 'write: Success
exit 0
block 0: first'
exit "$FAILED"
