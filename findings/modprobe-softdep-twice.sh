#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kmod 34.2-2: of several softdep lines for one module only the first counts, and it replaces
# what the module itself asks for.
#
# Guess it contradicts: the lines add up, as `options` lines do, over all files of modprobe.d
# and with the soft dependencies that the module brings (depmod's modules.softdep).
# Seen: with "softdep nvme pre: vfio-pci" in one file and "softdep nvme pre: mdev" in a later
# one, `modprobe nvme` loads vfio-pci and not mdev, without a word. One line with both loads
# both. A line for btrfs, whatever it says, takes away blake2b, xxhash64 and the others that
# btrfs brings as its own. Two options lines give both options. modprobe.d(5) does not say it.
# Who meets it: who keeps a drive from the host with the usual "softdep nvme pre: vfio-pci" and
# installs a package that has a line for nvme too: the file whose name sorts first wins.
# (Nothing is loaded here: modprobe only shows what it would do.)

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/g" "${GUEST[@]}"
[ -e "$T/g/usr/lib/modules/$KVER/modules.dep" ] ||
	chroot "$T/g" /usr/sbin/depmod "$KVER" || untried "depmod"
conf=$T/g/etc/modprobe.d
mkdir -p "$conf"
# would MODULE LINE...: the files that modprobe loads, with each line in a file of its own
would() {
	local module=$1 n=0 line
	shift
	rm -f "$conf"/*-finding.conf
	for line in "$@"; do
		n=$((n + 1))
		echo "$line" > "$conf/$n-finding.conf"
	done
	chroot "$T/g" /usr/sbin/modprobe -S "$KVER" --show-depends "$module" |
		sed 's,^insmod .*/,,; s/\.ko[.a-z]*//' | tr -d '\n' |
		grep -o -E 'vfio-pci |mdev |nvme .*$|blake2b[_a-z]* |btrfs ' | tr -d '\n'
	rm -f "$conf"/*-finding.conf
}
seen() { echo "$1: $2"; expect "$@"; }
seen "the first line" "$(would nvme 'softdep nvme pre: vfio-pci')" "vfio-pci nvme "
seen "the second line" "$(would nvme 'softdep nvme pre: mdev')" "mdev nvme "
seen "both lines: the first alone" \
	"$(would nvme 'softdep nvme pre: vfio-pci' 'softdep nvme pre: mdev')" "vfio-pci nvme "
seen "the other way round" \
	"$(would nvme 'softdep nvme pre: mdev' 'softdep nvme pre: vfio-pci')" "mdev nvme "
seen "one line with both" "$(would nvme 'softdep nvme pre: vfio-pci mdev')" \
	"vfio-pci mdev nvme "
seen "two options lines" \
	"$(would nvme 'options nvme io_queue_depth=64' 'options nvme poll_queues=2')" \
	"nvme io_queue_depth=64 poll_queues=2 "
seen "what btrfs brings" "$(would btrfs)" "*blake2b*btrfs "
seen "and loses by a line" "$(would btrfs 'softdep btrfs post: mdev')" "btrfs mdev "
exit "$FAILED"
