#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# QEMU 10.0.13's nvme with Debian 13's kernel 6.12.118: of two drives with one serial number
# the guest gets only one, and QEMU says nothing.
#
# Guess it contradicts: serial= is a label; QEMU takes two equal ones without complaint
# (right), so the guest has two drives whose by-id names clash (wrong).
# Seen: without nvme-subsys QEMU makes the subsystem's NQN from the serial and gives each
# controller the id 0. Linux takes the two for one subsystem with a duplicate controller
# id and refuses whichever probes second: "Duplicate cntlid 0 with nvmeN, subsys
# nqn.2019-08.org.qemu:SERIAL, rejecting", probe error -22. Probing is asynchronous, so which
# disk is missing may change from boot to boot.
# Who meets it: guests made from a template with a fixed serial, and hosts that give a
# guest several emulated drives.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 64M "$T/a" "$T/b"
guest 'ls -d /sys/block/nvme* | wc -l; dmesg | grep -E "rejecting|failed with error"' \
	-drive "file=$T/a,format=raw,if=none,id=a" -device nvme,serial=same,drive=a \
	-drive "file=$T/b,format=raw,if=none,id=b" -device nvme,serial=same,drive=b
out=$(cat "$T/out")
expect "one disk of two" "$(sed -n 2p "$T/out")" 1
expect "the kernel's reason" "$out" \
	'*Duplicate cntlid 0 with nvme?, subsys nqn.2019-08.org.qemu:same, rejecting*error -22*'
expect "QEMU is silent" "$(grep -c 'qemu-system' "$T/serial")" 0
guest 'ls -d /sys/block/nvme* | wc -l' \
	-drive "file=$T/a,format=raw,if=none,id=a" -device nvme,serial=one,drive=a \
	-drive "file=$T/b,format=raw,if=none,id=b" -device nvme,serial=two,drive=b
expect "two disks with two serials" "$(sed -n 2p "$T/out")" 2
exit "$FAILED"
