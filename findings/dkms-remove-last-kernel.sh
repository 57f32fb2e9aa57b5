#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dkms 3.2.2-1~deb13u1: `dkms remove MODULE/VERSION -k KERNEL` forgets the whole module when
# no other kernel has it, even if it was never built for KERNEL.
#
# Guess it contradicts: remove -k takes away what was built for that kernel, the module stays
# "added", and the next kernel gets it by autoinstall; without -k or --all it is an error.
# Seen: "Module ... is not installed for kernel ... Skipping", "... is not built ...
# Skipping", then "Deleting module ... completely from the DKMS tree", exit 0; `dkms
# status` is empty and autoinstall has nothing to do. The same without -k and --all. `dkms
# unbuild` is the action that leaves the module added.
# Who meets it: who cleans up after an old kernel on a machine with one kernel left, and finds
# no module after the next upgrade.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
DKMS=dkms=3.2.2-1~deb13u1
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack_alone "$T/d" "$DKMS"
cd "$T" || exit 2
mkdir -p tree src/lx-1.0 mods
printf '%s\n' 'PACKAGE_NAME=lx' 'PACKAGE_VERSION=1.0' 'BUILT_MODULE_NAME[0]=lx' \
	'DEST_MODULE_LOCATION[0]=/updates' 'AUTOINSTALL=yes' > src/lx-1.0/dkms.conf
dkms() {
	bash d/usr/sbin/dkms "$@" --dkmstree "$T/tree" --sourcetree "$T/src" \
		--installtree "$T/mods" 2>&1
}
dkms add lx/1.0 > log || untried "$(cat log)"
expect "added" "$(dkms status)" "lx/1.0: added"
dkms unbuild lx/1.0 -k 6.1.0-1-amd64 > log
echo "unbuild: exit $?"
expect "unbuild leaves it added" "$(dkms status)" "lx/1.0: added"
dkms remove lx/1.0 -k 6.1.0-1-amd64 > out
echo "remove -k: exit $?" >> out
cat out
expect "it goes completely" "$(cat out)" \
	"*is not built for kernel 6.1.0-1-amd64*completely from the DKMS tree*exit 0"
expect "nothing is left" "$(dkms status)" ""
exit "$FAILED"
