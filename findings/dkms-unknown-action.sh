#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dkms 3.2.2-1~deb13u1: an action that dkms does not know, such as mkdeb, prints the usage
# and exits 0.
#
# Guess it contradicts: an unknown action is an error with a non-zero exit status (2).
# Seen: "Warning: I do not know how to handle ...", "Error! Unknown action specified: ""
# (the name is not even shown), the usage, and exit 0.
# Who meets it: packaging scripts and CI that call `dkms mkdeb`, `mkdsc`, `mkbmdeb` or
# `mkrpm`, which older versions had: they go on as if the package had been made. A typing
# mistake (`dkms autoinstal`) passes as well.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
DKMS=dkms=3.2.2-1~deb13u1
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack_alone "$T/d" "$DKMS"
cd "$T" || exit 2
mkdir -p tree src mods
for a in mkdeb mkdsc mkbmdeb mkrpm autoinstal; do
	bash d/usr/sbin/dkms "$a" --dkmstree "$T/tree" --sourcetree "$T/src" \
		--installtree "$T/mods" > "$a.log" 2>&1
	echo "$a: exit $?: $(grep -o 'Error!.*' "$a.log")"
done > out
cat out
for a in mkdeb mkdsc mkbmdeb mkrpm autoinstal; do
	echo "$a: exit 0: Error! Unknown action specified: \"\""
done > wanted
expect "exit 0 and no name" "$(cat out)" "$(cat wanted)"
exit "$FAILED"
