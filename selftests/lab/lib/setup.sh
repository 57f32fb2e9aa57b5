# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# lab setup: the Debian 13 root file system, the disk image L1 and L2 boot from,
# and the kernel and initramfs both use. One set per kernel flavour.

SUITE=trixie
ARCH=amd64

# What L1 and L2 run, and what builds the modules (section "build" is masked
# out of the disk image, see step_image).
PKG_RUN="bash busybox-static e2fsprogs fdisk fio iproute2 jq kmod mdevctl mount
	mtools nvme-cli ovmf pciutils procps python3 qemu-system-x86
	qemu-utils rocksdb-tools syslinux syslinux-common systemd-boot-efi util-linux"
PKG_BUILD="gcc libc6-dev libelf-dev make sparse"

# Directories the image leaves out: build-only things and drivers of hardware
# the lab does not emulate.
IMAGE_MASK="usr/include usr/src usr/libexec/gcc usr/lib/gcc boot/grub
	usr/share/doc usr/share/locale usr/share/man usr/share/perl
	var/cache var/lib/apt var/lib/dpkg/info"
MODULE_MASK="drivers/gpu drivers/media drivers/net drivers/infiniband
	drivers/iio drivers/staging drivers/usb drivers/mtd
	drivers/hid drivers/input sound net/bluetooth net/mac80211 net/wireless
	fs/xfs fs/btrfs fs/ocfs2 fs/gfs2 fs/smb fs/ceph fs/nfs fs/nfsd"

# Modules that L1 and L2 load: kept unpacked.
MODULES_UNPACKED="arch/x86/kvm drivers/iommu/iommufd drivers/md drivers/nvme drivers/vfio
	virt"

# Loaded by the initramfs, with their dependencies, in this order: what both
# need, then what only L1 needs.
INITRD_MODULES="virtio_pci virtio_blk ext4 overlay virtio_console"
INITRD_MODULES_L1="9p 9pnet_virtio"

MACHINE_PACKAGES="mmdebstrap:mmdebstrap e2fsprogs:mke2fs
	debian-archive-keyring:- util-linux:flock zstd:zstd"

step_packages()
{
	local entry missing=

	for entry in $MACHINE_PACKAGES; do
		case ${entry#*:} in
		-) [ -d /usr/share/keyrings ] && keyring_for "$SUITE" >/dev/null \
			|| missing+=" ${entry%%:*}" ;;
		*) command -v "${entry#*:}" >/dev/null || missing+=" ${entry%%:*}" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update
	# shellcheck disable=SC2086 # a list of words
	apt-get install -y --no-install-recommends $missing
}

# keyring_for SUITE: the keyrings that may sign it, comma separated
keyring_for()
{
	local k found=

	for k in /usr/share/keyrings/debian-archive-"$1"-*.gpg \
		 /usr/share/keyrings/debian-archive-keyring.gpg \
		 /usr/share/keyrings/debian-archive-keyring.pgp; do
		[ -e "$k" ] && found+=${found:+,}$k
	done
	[ -n "$found" ] || return 1
	echo "$found"
}

# mirror_of LABEL: the URI this machine's own apt uses for it
mirror_of()
{
	# shellcheck disable=SC2016 # apt's own format language
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' \
		'Created-By: Packages' 2>/dev/null |
		awk -F'|' -v l="$1" '$1 == l && $2 ~ /^https?:/ { print $2; exit }'
}

# The lines of sources.list for the rootfs, on stdout.
rootfs_sources()
{
	local main=${LIGHTIOV_MIRROR:-} sec=${LIGHTIOV_SECURITY_MIRROR:-} keys

	[ -n "$main" ] || main=$(mirror_of Debian)
	if [ -z "$main" ]; then
		apt-get update >/dev/null 2>&1 || true
		main=$(mirror_of Debian)
	fi
	[ -n "$main" ] || {
		echo "no Debian mirror in this machine's apt sources:" \
			"set LIGHTIOV_MIRROR (and LIGHTIOV_SECURITY_MIRROR)" >&2
		return 1
	}
	[ -n "$sec" ] || sec=$(mirror_of Debian-Security)
	[ -n "$sec" ] || sec=${main%/}-security
	keys=$(keyring_for "$SUITE")
	echo "deb [signed-by=$keys] $main $SUITE main"
	echo "deb [signed-by=$keys] $sec $SUITE-security main"
	if [ "$FLAVOUR" = backports ]; then
		echo "deb [signed-by=$keys] $main $SUITE-backports main"
	fi
}

# shellcheck disable=SC2016 # hooks are expanded by mmdebstrap's shell
step_rootfs()
{
	local -a sources opts=()
	local tmp=$ROOTFS.tmp list

	# shellcheck disable=SC2086 # a list of words
	list=$(echo $PKG_RUN $PKG_BUILD | tr ' ' ',')
	mapfile -t sources < <(rootfs_sources)
	[ ${#sources[@]} -ge 2 ]
	rm -rf --one-file-system "$tmp"

	if [ "$FLAVOUR" = backports ]; then
		# The kernel, and nothing but the kernel: what fails there and not with
		# the stable one is then not for another QEMU.
		opts+=(--setup-hook='mkdir -p "$1/etc/apt/preferences.d"'
			--setup-hook="printf '%s\n' 'Package: linux-*' \
				'Pin: release n=$SUITE-backports' 'Pin-Priority: 990' \
				>\"\$1/etc/apt/preferences.d/kernel\"")
	fi
	# update-initramfs is switched off: the lab has an initramfs of its own
	# and Debian's costs a minute.
	mmdebstrap --mode=root --variant=minbase --architectures=$ARCH \
		--aptopt='Acquire::Languages "none"' \
		--aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--extract-hook='mkdir -p "$1/usr/local/sbin" "$1/lab"' \
		--extract-hook='ln -sf /bin/true "$1/usr/local/sbin/update-initramfs"' \
		--customize-hook='mkdir "$1/lightiov" "$1/out" "$1/results" "$1/payload"' \
		"${opts[@]}" \
		--include="linux-image-$ARCH,linux-headers-$ARCH,$list" \
		"$SUITE" "$tmp" "${sources[@]}"
	rm -rf --one-file-system "$ROOTFS"
	mv "$tmp" "$ROOTFS"
}

# guests_keep_stable: whether L1's kernel is one that a guest under two emulations would
# not boot in minutes; L2 then has the stable flavour's, which stays beside it.
guests_keep_stable()
{
	[ "$FLAVOUR" = debug ] || [ "$FLAVOUR" = rt ]
}

# copy_stable_rootfs DIR: the stable rootfs for such a flavour, its kernel now L2's
copy_stable_rootfs()
{
	rm -rf --one-file-system "$1"
	cp -a --reflink=auto "$CACHE/stable/rootfs" "$1"
	mv "$1/boot/lab-initrd.img" "$1/boot/lab-l2-initrd.img"
	ln -sfn "$(readlink "$1/boot/lab-vmlinuz")" "$1/boot/lab-l2-vmlinuz"
	ln -sfn "$(readlink "$1/boot/lab-vmlinux")" "$1/boot/lab-l2-vmlinux"
}

# kernel_wanted: of the names on stdin, those of L1's flavour
kernel_wanted()
{
	case $FLAVOUR in
	debug) grep -F -e "$DEBUG_VERSION" ;;
	rt) grep -F -e "-rt-" ;;
	*) cat ;;
	esac
}

# field FILE OFFSET BYTES: a number in it
field()
{
	od -An -j $(($2)) -N "$3" -tu"$3" "$1" | tr -d ' '
}

# unpack_kernel KVER: boot/lab-vmlinux, an ELF file that QEMU starts at its PVH entry. To
# unpack itself is most of what a kernel does under TCG until its first line. Where in
# the file the packed kernel is: Documentation/arch/x86/boot.rst, payload_offset. A kernel
# without PVH, or packed in another way, unpacks itself; so does the debug kernel, whose
# PVH entry runs code that KASAN instruments before there is a shadow.
unpack_kernel()
{
	local packed=$ROOTFS/boot/vmlinuz-$1 start

	ln -sfn "vmlinuz-$1" "$ROOTFS/boot/lab-vmlinux"
	start=$((($(field "$packed" 0x1f1 1) + 1) * 512 + $(field "$packed" 0x248 4)))
	grep -q '^CONFIG_PVH=y' "$ROOTFS/boot/config-$1" &&
		[ "$(field "$packed" $start 4)" = $((0xfd2fb528)) ] || return 0
	# The size when unpacked follows, 4 bytes.
	dd if="$packed" bs=1M iflag=skip_bytes,count_bytes skip=$start status=none \
		count=$(($(field "$packed" 0x24c 4) - 4)) | zstd -dcq >"$ROOTFS/boot/vmlinux-$1"
	ln -sfn "vmlinux-$1" "$ROOTFS/boot/lab-vmlinux"
}

# unpack_modules KVER
unpack_modules()
{
	local dir=$ROOTFS/usr/lib/modules/$1/kernel d

	for d in $MODULES_UNPACKED; do
		[ ! -d "$dir/$d" ] || find "$dir/$d" -name '*.ko.xz' -exec xz -d {} +
	done
	chroot "$ROOTFS" depmod "$1"
}

step_boot()
{
	local kver work=$FDIR/initrd.tmp m f dir n=0

	kver=$(cd "$ROOTFS/boot" && printf '%s\n' vmlinuz-* | sed 's/^vmlinuz-//' |
		kernel_wanted | sort -V | tail -n 1)
	[ -L "$ROOTFS/lib/modules/$kver/build" ]

	rm -rf "$work"
	mkdir -p "$work"/{bin,dev,proc,sys,lower,rw,newroot,modules,modules-l1}
	cp "$ROOTFS/bin/busybox" "$work/bin/"
	cp "$LAB_DIR/initramfs/init" "$work/init"
	chmod 755 "$work/init"

	# Flat and numbered in load order: the initramfs needs no modprobe.
	for m in $INITRD_MODULES -- $INITRD_MODULES_L1; do
		[ "$m" != -- ] || { echo "l1"; continue; }
		chroot "$ROOTFS" modprobe -S "$kver" --show-depends "$m"
	done | awk '$1 == "l1" { dir = "-l1" }
		$1 == "insmod" && !seen[$2]++ { print $2, dir }' >"$work.list"
	while read -r f dir; do
		n=$((n + 1))
		m=$work/modules$dir/$(printf '%02d' $n)-$(basename "${f%%.ko*}").ko
		case $f in
		*.xz) xz -dc "$ROOTFS$f" >"$m" ;;
		*.zst) zstd -dcq "$ROOTFS$f" >"$m" ;;
		*) cp "$ROOTFS$f" "$m" ;;
		esac
	done <"$work.list"
	rm -f "$work.list"

	# Uncompressed: under TCG unpacking costs more than loading.
	cp -a "$work" "$ROOTFS/tmp/initrd"
	chroot "$ROOTFS" sh -c 'cd /tmp/initrd && find . |
		busybox cpio -o -H newc >/boot/lab-initrd.img'
	rm -rf "$work" "$ROOTFS/tmp/initrd"
	ln -sf "vmlinuz-$kver" "$ROOTFS/boot/lab-vmlinuz"
	unpack_kernel "$kver"
	unpack_modules "$kver"
	if ! guests_keep_stable; then
		ln -sf lab-vmlinuz "$ROOTFS/boot/lab-l2-vmlinuz"
		ln -sf lab-vmlinux "$ROOTFS/boot/lab-l2-vmlinux"
		ln -sf lab-initrd.img "$ROOTFS/boot/lab-l2-initrd.img"
	fi
	echo "$kver" >"$FDIR/kver.tmp"
	mv "$FDIR/kver.tmp" "$FDIR/kver"
}

step_image()
{
	local kver img=$FDIR/l1.img d
	local -a masks=()

	kver=$(cat "$FDIR/kver")
	for d in $IMAGE_MASK; do
		masks+=("$ROOTFS/$d")
	done
	for d in $MODULE_MASK; do
		masks+=("$ROOTFS/usr/lib/modules/$kver/kernel/$d")
	done
	rm -f "$img.tmp"
	truncate -s 3G "$img.tmp"
	# An empty tmpfs over each directory to leave out, in a mount namespace:
	# no copy of the tree is needed.
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -m bash -c '
		set -e
		img=$1 root=$2; shift 2
		for d in "$@"; do
			[ ! -d "$d" ] || mount -t tmpfs -o ro,mode=755 tmpfs "$d"
		done
		mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$root" "$img"' \
		image "$img.tmp" "$ROOTFS" "${masks[@]}"
	mv "$img.tmp" "$img"
}

cmd_setup()
{
	[ "$(id -u)" = 0 ] || die "setup needs root (chroot, mounts)"
	# These are added to the stable rootfs.
	! guests_keep_stable || (select_kernel stable && cmd_setup)
	lock setup

	local h setup_fd=$LOCK_FD make_rootfs=step_rootfs
	h=$(hash_of "$MACHINE_PACKAGES")
	step packages "$h" \
		"no network, or apt's sources are not usable" step_packages
	case $FLAVOUR in
	debug)
		setup_debug_kernel
		h=$(debug_rootfs_hash)
		make_rootfs=step_debug_rootfs
		;;
	rt)
		h=$(rt_rootfs_hash)
		make_rootfs=step_rt_rootfs
		;;
	*)
		h=$(hash_of "$SUITE" $ARCH "$FLAVOUR" "$PKG_RUN" "$PKG_BUILD" \
			"$(declare -f step_rootfs)")
		;;
	esac
	# No L1 may be running from a rootfs that is about to be replaced.
	[ ! -e "$ROOTFS" ] || [ "$(cat "$FDIR/rootfs.stamp" 2>/dev/null)" = "$h" ] || lock_all_l1_slots
	step rootfs "$h" \
		"the Debian mirror is unreachable or lacks $SUITE, or no keyring for it" \
		"$make_rootfs"
	h=$(hash_of "$h" "$INITRD_MODULES $INITRD_MODULES_L1" "$(declare -f step_boot)" \
		"$MODULES_UNPACKED $(declare -f unpack_kernel unpack_modules)" "$(sha256sum <"$LAB_DIR/initramfs/init")")
	step boot "$h" "a module of the list is not in this kernel" step_boot
	h=$(hash_of "$h" "$IMAGE_MASK" "$MODULE_MASK" "$(declare -f step_image)")
	step image "$h" "no space left in $CACHE, or mke2fs lacks -d" step_image
	flock -u "$setup_fd"
}
