# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# lab qemu-stride: a QEMU whose nvme device can have a doorbell stride, made
# from the suite's own source package and a patch of a few lines. Only runs with
# --dstrd use it. It is built in a copy of the rootfs, as the rootfs itself is
# what becomes L1's disk; of all that only the binary is kept. The rest (BIOS,
# option ROMs, libraries) it takes from the rootfs.

QEMU_PATCH=$LAB_DIR/qemu-nvme-stride.patch
# No feature of QEMU's that the lab does not use; pkgconf and below: what QEMU's
# configure needs for these.
QEMU_CONFIGURE="--target-list=x86_64-softmmu --without-default-features
	--enable-tcg --enable-virtfs --enable-attr --enable-fdt=system
	--disable-debug-info --disable-download --disable-install-blobs
	--firmwarepath=/usr/share/qemu:/usr/share/seabios"
PKG_QEMU="bison ca-certificates dpkg-dev flex gcc libc6-dev libfdt-dev
	libglib2.0-dev meson ninja-build patch pkgconf python3 python3-venv
	zlib1g-dev"

# Runs inside the copy; the arguments are make's -j and configure's.
qemu_script()
{
	cat <<-'EOT'
	set -e
	jobs=$1 packages=$2
	shift 2
	export DEBIAN_FRONTEND=noninteractive
	sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/src.list
	apt-get update
	apt-get install -y --no-install-recommends $packages
	# The version that is installed; the suite's, if it has moved on since.
	version=$(dpkg-query -W -f '${source:Version}' qemu-system-x86)
	cd /build
	apt-get source qemu="$version" || apt-get source qemu
	cd qemu-*/
	patch -p1 </lab/patch/qemu-nvme-stride.patch
	mkdir lab-build
	cd lab-build
	../configure "$@"
	nice -n 10 ninja -j "$jobs" qemu-system-x86_64
	strip -o /lab/qemu-stride/qemu-system-x86_64 qemu-system-x86_64
	EOT
}

step_qemu_stride()
{
	local out=$FDIR/qemu-stride tmp=$FDIR/qemu-stride.tmp
	local -a binds

	rm -rf --one-file-system "$tmp"
	# shellcheck disable=SC2064 # tmp is local
	trap "rm -rf --one-file-system '$tmp'" EXIT
	mkdir -p "$tmp/out" "$tmp/build" "$tmp/patch"
	cp "$QEMU_PATCH" "$tmp/patch/"
	# Nobody replaces the rootfs meanwhile.
	lock setup
	cp -a --reflink=auto "$ROOTFS" "$tmp/root"
	flock -u "$LOCK_FD"

	binds=(--bind "$tmp/out" /lab/qemu-stride --bind "$tmp/build" /build
		--bind-ro "$tmp/patch" /lab/patch)
	# shellcheck disable=SC2086,SC2116 # white space is squeezed on purpose
	(in_tree "$tmp/root" "${binds[@]}" -- sh -c "$(qemu_script)" \
		qemu-stride "$(nproc)" "$(echo $PKG_QEMU)" $QEMU_CONFIGURE)
	(in_tree "$tmp/root" "${binds[@]}" -- /lab/qemu-stride/qemu-system-x86_64 \
		-device nvme,help | grep dstrd)
	rm -rf "$out"
	mv "$tmp/out" "$out"
}

qemu_stride_hash()
{
	hash_of "$(cat "$FDIR/rootfs.stamp")" "$PKG_QEMU" "$QEMU_CONFIGURE" \
		"$(declare -f qemu_script step_qemu_stride)" "$(sha256sum <"$QEMU_PATCH")"
}

cmd_qemu_stride()
{
	local h qemu_fd

	[ "$(id -u)" = 0 ] || die "this needs root (chroot, mounts)"
	[ -s "$FDIR/rootfs.stamp" ] || die "no lab for KERNEL=$FLAVOUR yet: run 'lab setup'"
	h=$(qemu_stride_hash)
	lock qemu-stride
	qemu_fd=$LOCK_FD
	[ "$(cat "$FDIR/qemu-stride.stamp" 2>/dev/null)" = "$h" ] ||
		say "qemu-stride: about ten minutes and 3 GB, once"
	step qemu-stride "$h" \
		"the mirror has no source packages, or the patch does not fit this QEMU" \
		step_qemu_stride
	flock -u "$qemu_fd"
}
