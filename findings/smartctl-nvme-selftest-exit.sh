#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# smartmontools 7.4-3: on an NVMe drive without self-tests `smartctl -t short`, `-t long`,
# `-X` and `-l selftest` exit 0, with -j too.
#
# Guess it contradicts: an unsupported request sets bit 2 of the exit status (4), as for
# ATA; a test that was not started is not a success.
# Seen: one line, "Self-tests not supported", and exit status 0; the JSON has "exit_status":
# 0, and no self-test object.
# Who meets it: smartd-like scripts that start a test, see 0, and wait for or trust a result
# that never comes: QEMU's drives, and every drive with OACS bit 4 clear.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" smartmontools=7.4-3
truncate -s 64M "$T/disk"
guest '
for o in "-t short" "-t long" "-X" "-l selftest"; do
	smartctl $o /dev/nvme0 > /tmp/o 2>&1; echo "$o: exit $?: $(grep -i self-test /tmp/o)"
done
smartctl -j -t short /dev/nvme0 > /tmp/o; echo "json: exit $? $(grep exit_status /tmp/o)"
grep -c -E "self_test|messages" /tmp/o' \
	-drive "file=$T/disk,format=raw,if=none,id=d" -device nvme,serial=a,drive=d
expect "all exit 0" "$(sed '1d;$d' "$T/out")" \
	'-t short: exit 0: Self-tests not supported
-t long: exit 0: Self-tests not supported
-X: exit 0: Self-tests not supported
-l selftest: exit 0: Self-tests not supported
json: exit 0*"exit_status": 0
0'
exit "$FAILED"
