#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU 10.0.13: `block_resize` is refused for a drive that an emulated nvme uses, however the
# guest is; for virtio-blk it works.
#
# Guess it contradicts: block_resize grows the image, and only the guest fails to notice (no
# event is sent) until a rescan or restart.
# Seen: "Permission conflict on node ...: permissions 'resize' are both required by an
# unnamed block device ... and unshared by block device": the image keeps its size.
# Who meets it: everybody who grows disks of running guests (`virsh blockresize`, cloud
# agents) and moves from virtio-blk to nvme.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
truncate -s 16M "$T/n" "$T/v"
printf 'block_resize n 32M\nblock_resize v 32M\nquit\n' |
	timeout 60 "$T/q/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$T/q/usr/lib/x86_64-linux-gnu" "$T/q/usr/bin/qemu-system-x86_64" \
		-L "$T/q/usr/share/qemu" -L "$T/q/usr/share/seabios" -M q35 -S -display none \
		-nodefaults -monitor stdio \
		-drive "file=$T/n,format=raw,if=none,id=n" -device nvme,serial=a,drive=n \
		-drive "file=$T/v,format=raw,if=none,id=v" -device virtio-blk,drive=v > "$T/out" 2>&1
cat "$T/out"
expect "nvme: refused" "$(cat "$T/out")" "*Permission conflict on node*'resize'*device 'n'*"
expect "nvme: the image keeps its size" "$(stat -c %s "$T/n")" 16777216
expect "virtio-blk: done" "$(stat -c %s "$T/v")" 33554432
exit "$FAILED"
