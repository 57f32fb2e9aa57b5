#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# Debian 13's kernel 6.12.118: /dev/nvme0nX need not be namespace X, even of a drive whose
# ids run from 1 without a gap, and may be another one at the next boot.
#
# Guess it contradicts: namespaces are found in the order of their ids, so with the ids 1 to N
# nvme0nX is namespace X (only a gap in the ids moves the names); and a drive that does not
# change has the same names at each boot.
# Seen: the kernel scans namespaces side by side and numbers the disks as they come: of 16
# namespaces several have a number that is not their id, and it differs from boot to boot. The
# id is in /sys/block/nvme0nX/nsid and at the end of the wwid.
# Who meets it: who gives each VM a namespace of one drive as /dev/nvme0nX, or formats
# /dev/nvme0 -n 2 and means /dev/nvme0n2. A drive with one namespace is not concerned.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
args=(-smp 2 -device "nvme,serial=a")
for n in {1..16}; do
	truncate -s 1M "$T/n$n"
	args+=(-drive "file=$T/n$n,format=raw,if=none,id=d$n" -device "nvme-ns,drive=d$n,nsid=$n")
done
for boot in 1 2 3; do
	guest 'for n in $(seq 16); do cat /sys/block/nvme0n$n/nsid; done | xargs' "${args[@]}"
	sed -n 2p "$T/out" > "$T/boot$boot"
done
for boot in 1 2 3; do
	expect "all sixteen are there" "$(tr ' ' '\n' < "$T/boot$boot" | sort -n | xargs)" \
		"$(echo {1..16})"
done
expect "not in the order of the ids" \
	"$(cat "$T"/boot? | grep -v -c -x "$(echo {1..16})")" "[1-3]"
expect "not the same at each boot" "$(sort -u "$T"/boot? | wc -l)" "[23]"
exit "$FAILED"
