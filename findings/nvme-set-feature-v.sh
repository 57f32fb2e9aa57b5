#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# nvme-cli 2.13-2 (Debian 13; 2.16 of sid is the same): `nvme set-feature -v VALUE`
# sets the feature to 0 and exits 0.
#
# Guess it contradicts: -v is the short form of --value, as in nvme-cli 1.x and early
# 2.x, so `set-feature -f 4 -v 0x150` sets the temperature threshold to 0x150; and a
# tool that no longer knew -v, or that was given no value, would refuse.
# Seen: -v now means --verbose, the value is -V. The number behind -v is a stray
# argument that is ignored without a word, and the missing value is taken as 0: the
# threshold becomes 0 K, which raises the critical warning for temperature at once.
# Who meets it: anybody who runs an old runbook, script or answer from the web; the
# only sign is "value:00000000" in a line that otherwise reports success.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 64M "$T/disk"
guest '
nvme get-feature /dev/nvme0 -f 4
nvme set-feature /dev/nvme0 -f 4 -V 0x150; echo "exit $?"
nvme get-feature /dev/nvme0 -f 4
nvme set-feature /dev/nvme0 -f 4 -v 0x150; echo "exit $?"
nvme get-feature /dev/nvme0 -f 4
nvme smart-log /dev/nvme0 | grep critical_warning' \
	-drive "file=$T/disk,format=raw,if=none,id=d" -device nvme,serial=a,drive=d

expect "-V 0x150 sets 0x150" "$(sed -n 4p "$T/out")$(sed -n 5p "$T/out")" \
	"exit 0*value:0x00000150"
expect "-v 0x150 succeeds and says value 0" "$(sed -n '6,7p' "$T/out" | tr '\n' ' ')" \
	"*value:00000000*exit 0 "
expect "the threshold is 0 now" "$(sed -n 8p "$T/out")" "*value:00000000"
expect "and the warning is raised" "$(sed -n 9p "$T/out" | tr -d '\t ')" \
	"critical_warning:0x2"
exit "$FAILED"
