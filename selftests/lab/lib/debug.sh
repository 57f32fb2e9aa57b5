# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# KERNEL=debug: a kernel that looks for mistakes (debug.config), made from the
# suite's own source package. L1 runs it; guests keep the distribution's kernel,
# an instrumented one under two emulations would not end. It is built in a copy of
# the stable rootfs, and what modules are built with stays in the flavour's rootfs.

DEBUG_CONFIG=$LAB_DIR/debug.config
# The CONFIG_LOCALVERSION of debug.config.
DEBUG_VERSION=-lightiov-debug
PKG_DEBUG="bc bison flex libssl-dev xz-utils"

# Runs inside the copy; the arguments are make's -j and packages.
debug_kernel_script()
{
	cat <<-'EOT'
	set -e
	jobs=$1
	shift
	export DEBIAN_FRONTEND=noninteractive
	series=$(echo /boot/vmlinuz-* | sed 's|^/boot/vmlinuz-\([0-9]*\.[0-9]*\)\..*|\1|')
	apt-get update
	apt-get install -y --no-install-recommends "linux-source-$series" "$@"
	cd /usr/src
	tar xf "linux-source-$series.tar.xz"
	mv "linux-source-$series" linux-debug
	cd linux-debug
	# What the distribution's configuration gets from drivers that are left out
	# here; neither can be chosen by itself.
	sed -i '/^config KVM_EXTERNAL_WRITE_TRACKING/,/^$/s/^\tbool$/\tdef_bool y/' \
		arch/x86/kvm/Kconfig
	sed -i '/^config VFIO_MDEV/,$s/^\ttristate$/\tdef_tristate VFIO/' \
		drivers/vfio/mdev/Kconfig
	# VFIO calls drivers with this lock held, asks them to unpin there, which takes
	# the container's lock, and elsewhere takes the two the other way round: lockdep
	# would speak of that alone and stop. See Documentation/concurrency.rst.
	sed -i '/mutex_init(&iommu->device_list_lock);/a\	lockdep_set_novalidate_class(\&iommu->device_list_lock);' \
		drivers/vfio/vfio_iommu_type1.c
	grep -q novalidate drivers/vfio/vfio_iommu_type1.c
	make x86_64_defconfig
	scripts/kconfig/merge_config.sh -m .config /lab/debug.config
	make olddefconfig
	bad=$(grep -E '^CONFIG_' /lab/debug.config | grep -vxFf .config || true)
	bad="$bad$(sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set/\1=/p' /lab/debug.config |
		while read -r s; do grep "^$s" .config; done || true)"
	[ -z "$bad" ] || { echo "this kernel does not take: $bad"; exit 1; }
	nice -n 10 make -s -j "$jobs" bzImage modules
	make -s modules_install
	cp arch/x86/boot/bzImage "/boot/vmlinuz-$(make -s kernelrelease)"
	cp .config "/boot/config-$(make -s kernelrelease)"
	# Modules need headers, scripts and tools only.
	find . -name '*.o' ! -path './scripts/*' ! -path './tools/objtool/*' -delete
	rm -rf Documentation block crypto drivers fs net samples security sound tools/testing \
		vmlinux vmlinux.*
	EOT
}

step_debug_kernel()
{
	local tmp=$FDIR/kernel.tmp stable=$CACHE/stable/rootfs kver

	rm -rf --one-file-system "$tmp" "$FDIR/kernel"
	# shellcheck disable=SC2064 # tmp is local
	trap "rm -rf --one-file-system '$tmp'" EXIT
	mkdir -p "$tmp/kernel/usr/src" "$tmp/kernel/usr/lib/modules" "$tmp/kernel/boot"
	cp -a --reflink=auto "$stable" "$tmp/root"
	: >"$tmp/root/lab/debug.config"
	# shellcheck disable=SC2086 # a list of words
	(in_tree "$tmp/root" --bind-ro "$DEBUG_CONFIG" /lab/debug.config -- \
		bash -c "$(debug_kernel_script)" debug-kernel "$(nproc)" $PKG_DEBUG)
	kver=$(cd "$tmp/root/boot" && echo vmlinuz-*"$DEBUG_VERSION")
	kver=${kver#vmlinuz-}
	mv "$tmp/root/usr/src/linux-debug" "$tmp/kernel/usr/src/"
	mv "$tmp/root/usr/lib/modules/$kver" "$tmp/kernel/usr/lib/modules/"
	mv "$tmp/root/boot/vmlinuz-$kver" "$tmp/root/boot/config-$kver" "$tmp/kernel/boot/"
	mv "$tmp/kernel" "$FDIR/kernel"
}

# Its part of cmd_setup, which has set up the stable flavour before.
setup_debug_kernel()
{
	local h

	h=$(hash_of "$(cat "$CACHE/stable/rootfs.stamp")" "$PKG_DEBUG" \
		"$(declare -f debug_kernel_script step_debug_kernel)" "$(sha256sum <"$DEBUG_CONFIG")")
	[ "$(cat "$FDIR/kernel.stamp" 2>/dev/null)" = "$h" ] ||
		say "kernel: about a quarter of an hour on two CPUs and 5 GB, once"
	step kernel "$h" \
		"the mirror has no linux-source, or debug.config does not fit this kernel" \
		step_debug_kernel
}

debug_rootfs_hash()
{
	hash_of "$(cat "$CACHE/stable/boot.stamp")" "$(cat "$FDIR/kernel.stamp")" \
		"$(declare -f copy_stable_rootfs step_debug_rootfs)"
}

step_debug_rootfs()
{
	local tmp=$ROOTFS.tmp

	copy_stable_rootfs "$tmp"
	cp -al "$FDIR/kernel/." "$tmp/"
	rm -rf --one-file-system "$ROOTFS"
	mv "$tmp" "$ROOTFS"
}
