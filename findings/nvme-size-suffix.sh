#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# nvme-cli 2.13-2: of the usual ways to write 4096 only "4Ki" is a suffixed number for it.
#
# Guess it contradicts: "4K" is taken (4k perhaps not), 4Ki and 4KiB perhaps.
# Seen: 4k, 4K, 4kB, 4KB and 4KiB are refused, "Expected long suffixed integer argument for
# 'block-size' but got '4K'!"; 4Ki and 4096 are taken. The message does not name a suffix
# that it would take. (The arguments are read before the device is opened, so no drive is
# needed here: an accepted size is followed by the complaint about the device.)
# Who meets it: whoever types `nvme format -b 4K`, `nvme write -z 4K`.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/n" "$NVME"
for z in 4096 4Ki 4K 4k 4KiB 4KB 4kB; do
	for o in "format /dev/nosuchdrive -b" "write /dev/nosuchdrive -z"; do
		# shellcheck disable=SC2086
		"$T/n/usr/lib64/ld-linux-x86-64.so.2" --library-path \
			"$T/n/usr/lib/x86_64-linux-gnu" "$T/n/usr/sbin/nvme" $o $z > "$T/o" 2>&1
		case $(cat "$T/o") in
		*"No such file"*) echo "$z taken" ;;
		*"Expected long suffixed integer"*"got '$z'"*) echo "$z refused" ;;
		*) head -n 3 "$T/o" ;;
		esac
	done
done > "$T/out"
sort "$T/out" | uniq -c
expect "4096 and 4Ki" "$(grep -c 'taken' "$T/out") $(grep -c -E '^(4096|4Ki) taken' "$T/out")" "4 4"
expect "nothing else" "$(grep -c refused "$T/out")" 10
exit "$FAILED"
