# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# lab build: the modules with the lab kernel's own headers and compiler, and the
# static user-space tests, all in the rootfs. The source tree stays clean: the
# build works on a copy in the cache, with the times kept so that it is
# incremental.

build_dir()
{
	echo "$CACHE/build/$(kernel_version)"
}

# Bring DIR up to date with the repository, dropping what was removed there.
copy_sources()
{
	local dst=$1/src old=$1/files new=$1/files.new

	mkdir -p "$dst"
	(cd "$REPO" && find . \( -path ./.git -o -path ./.cache -o -path ./.ci \) \
		-prune -o -type f -print | LC_ALL=C sort) >"$new"
	touch "$old"
	LC_ALL=C comm -23 "$old" "$new" | (cd "$dst" && xargs -r -d '\n' rm -f)
	tar -C "$REPO" -cf - --verbatim-files-from -T "$new" | tar -C "$dst" -xf -
	mv "$new" "$old"
}

# Runs inside the rootfs; the arguments are make's.
build_script()
{
	cat <<-'EOF'
	set -e
	kver=$1 jobs=$2
	shift 2
	if [ -e /lab/src/Kbuild ]; then
		make -j"$jobs" -C "/lib/modules/$kver/build" M=/lab/src "$@" modules
		rm -f /lab/out/*.ko
		find /lab/src/kmod -name '*.ko' -exec cp -t /lab/out {} +
	fi
	# Where guests have another kernel than the host: see guests_keep_stable().
	l2ver=$(readlink -f /boot/lab-l2-vmlinuz)
	l2ver=${l2ver#/boot/vmlinuz-}
	rm -rf /lab/out/l2
	if [ "$l2ver" != "$kver" ] && [ -e /lab/src/Kbuild ]; then
		mkdir -p /lab/out/l2 /tmp/l2/kmod
		cp -r /lab/src/uapi /tmp/l2/
		cp -r /lab/src/kmod/guest /tmp/l2/kmod/
		make -C "/lib/modules/$l2ver/build" M=/tmp/l2/kmod/guest clean
		make -j"$jobs" -C "/lib/modules/$l2ver/build" M=/tmp/l2/kmod/guest "$@" modules
		cp -t /lab/out/l2 /tmp/l2/kmod/guest/lightiov_guest.ko
	fi
	for m in aer cr8 rt svm; do
		make -j"$jobs" -C "/lib/modules/$kver/build" M=/lab/src/selftests/lab/modules/$m "$@" modules
		cp -t /lab/out /lab/src/selftests/lab/modules/$m/lab_$m.ko
	done
	# Each load reads all of it through 9p; with what gdb needs it is in src.
	strip --strip-debug /lab/out/*.ko
	[ ! -d /lab/out/l2 ] || strip --strip-debug /lab/out/l2/*.ko
	if [ -e /lab/src/selftests/vfio/Makefile ]; then
		mkdir -p /lab/out/vfio
		make -j"$jobs" -C /lab/src/selftests/vfio OUT=/lab/out/vfio
	fi
	EOF
}

cmd_build()
{
	local dir kver

	kver=$(kernel_version)
	dir=$(build_dir)
	lock build
	mkdir -p "$dir/out"
	copy_sources "$dir"
	[ -e "$dir/src/Kbuild" ] || say "build: no Kbuild in the repository yet"
	say "build: kernel $kver"
	if ! (in_rootfs --bind "$dir/src" /lab/src --bind "$dir/out" /lab/out -- \
		sh -c "$(build_script)" build "$kver" "$(nproc)" "$@" \
		2>&1 | tee "$LOGS/$FLAVOUR-build.log"; exit "${PIPESTATUS[0]}"); then
		die "build failed, log: $LOGS/$FLAVOUR-build.log"
	fi
	flock -u "$LOCK_FD"
	say "build: results in $dir/out"
}
