#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# QEMU 10.0.13's nvme: with `-device nvme,drive=` the controller offers the Copy command (and
# says all copies are fast), but no Copy of any length is accepted; with the same drive on
# `-device nvme-ns` it works.
#
# Guess it contradicts: the short form drive= makes the same namespace as nvme-ns with its
# defaults (MSSRL 128, MCL 128, MSRC 127).
# Seen: the namespace of the short form has MSSRL, MCL and MSRC 0, so even one block is over
# the limit: status 1/83h, Command Size Limit Exceeded. ONCS bit 8 (Copy) is set in both.
# The short form also is a private namespace (NMIC 0), nvme-ns makes a shared one (NMIC 1).
# Who meets it: whoever tests Copy, or software that believes ONCS, on the form of the
# command line that every example shows.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 64M "$T/disk"
try() {
	guest '
nvme id-ctrl /dev/nvme0 -H | grep "Copy Supported"
nvme id-ns /dev/nvme0n1 | grep -E "^(nmic|mssrl|mcl|msrc) " | tr -d " \n"; echo
nvme copy /dev/nvme0n1 --sdlba=100 --slbs=0 --blocks=0 2>&1; echo "exit $?"' \
		-drive "file=$T/disk,format=raw,if=none,id=d" "$@"
}
try -device nvme,serial=a,drive=d
expect "drive=: offered, refused" "$(cat "$T/out")" \
	'*[[]8:8[]] : 0x1*Copy Supported*nmic:0mssrl:0mcl:0msrc:0*Command Size Limit Exceeded*exit 1*'
try -device nvme,serial=a -device nvme-ns,drive=d
expect "nvme-ns: offered, done" "$(cat "$T/out")" \
	'*[[]8:8[]] : 0x1*Copy Supported*nmic:0x1mssrl:128mcl:128msrc:127*success*exit 0*'
exit "$FAILED"
