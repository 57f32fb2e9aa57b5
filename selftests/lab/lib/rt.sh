# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# KERNEL=rt: the distribution's PREEMPT_RT kernel, added to a copy of the stable
# rootfs. L1 runs it; guests keep the stable kernel.

step_rt_rootfs()
{
	local tmp=$ROOTFS.tmp

	copy_stable_rootfs "$tmp"
	# /usr/local/sbin has the lab's update-initramfs, which makes none.
	(in_tree "$tmp" -- env PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
		DEBIAN_FRONTEND=noninteractive sh -ec "apt-get update
		apt-get install -y --no-install-recommends \
			linux-image-rt-$ARCH linux-headers-rt-$ARCH")
	rm -rf --one-file-system "$ROOTFS"
	mv "$tmp" "$ROOTFS"
}

rt_rootfs_hash()
{
	hash_of "$(cat "$CACHE/stable/boot.stamp")" \
		"$(declare -f copy_stable_rootfs step_rt_rootfs)"
}
