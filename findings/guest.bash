# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by the findings that need packages unpacked or a small guest. Debian
# 13, root, apt. Nothing is installed on the machine: packages are unpacked in
# the caller's temporary folder $T. Exit codes: 0 as stated, 1 the behaviour has
# changed, 2 it could not be tried (a pinned version is gone, no guest).

set -u
KVER=6.12.118+deb13-amd64
GUEST=("linux-image-$KVER=6.12.118-1" "kmod=34.2-2" liblzma5=5.8.1-1+deb13u2
	"busybox-static=1:1.37.0-6+b9")
FAILED=0
export GUEST FAILED

untried() { echo "not tried: $*" >&2; exit 2; }

# unpack DIR PKG=VERSION...: these packages with all they depend on, into DIR.
# With FINDINGS_CACHE=FOLDER they are kept there for the next finding.
unpack() {
	local dir=$1 deb keep=
	shift
	if [ -n "${FINDINGS_CACHE:-}" ]; then
		keep=$FINDINGS_CACHE/$(echo "$@" | sha256sum | cut -c1-12)
		mkdir -p "$keep"
		ln -s "$keep" "$dir"
		[ -e "$keep/unpacked" ] && return
	fi
	mkdir -p "$T/arch/partial" "$dir"
	: > "$T/status"
	[ -e "$T/updated" ] || apt-get update -qq > /dev/null 2>&1
	touch "$T/updated"
	rm -f "$T"/arch/*.deb
	apt-get -qq -y --download-only --no-install-recommends install \
		-o Dir::State::status="$T/status" -o Dir::Cache::archives="$T/arch" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
		-o APT::Sandbox::User=root "$@" > "$T/apt.log" 2>&1 ||
		untried "$(tail -n 3 "$T/apt.log")"
	for deb in "$T"/arch/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$dir" --keep-directory-symlink --exclude=./usr/share/doc \
				--exclude=./usr/share/man --exclude=./usr/share/locale
	done
	for deb in bin sbin lib lib64; do
		[ -e "$dir/$deb" ] || ln -s "usr/$deb" "$dir/$deb"
	done
	[ -z "$keep" ] || touch "$keep/unpacked"
}

# unpack_alone DIR PKG=VERSION: this package without what it depends on
unpack_alone() {
	apt-get update -qq > /dev/null 2>&1
	(cd "$T" && apt-get download -o APT::Sandbox::User=root "$2" > apt.log 2>&1) ||
		untried "$(cat "$T/apt.log")"
	dpkg-deb -x "$T/${2%%=*}"_*.deb "$1"
}

# guest COMMANDS [QEMU ARGUMENT...]: boot Debian's kernel with nvme-cli in an
# initramfs, run the commands (busybox sh), print what they print. Before:
# unpack "$T/q" "$QEMU"; unpack "$T/g" "${GUEST[@]}" "$NVME"
guest() {
	local g=$T/g i=$T/i f
	rm -rf "$i"
	mkdir -p "$i"/{proc,sys,dev,run,tmp} "$i/usr/lib/modules/$KVER"
	cp -a "$g"/{bin,sbin,lib,lib64} "$i/"
	for f in usr/bin usr/sbin usr/lib/x86_64-linux-gnu usr/lib64; do
		mkdir -p "$i/$f"
		find "$g/$f" -maxdepth 1 ! -type d -exec cp -a {} "$i/$f/" \;
	done
	[ -e "$g/usr/lib/modules/$KVER/modules.dep" ] ||
		chroot "$g" /usr/sbin/depmod "$KVER" || untried "depmod"
	chroot "$g" /usr/sbin/modprobe -S "$KVER" --show-depends nvme |
		while read -r _ f _; do
			mkdir -p "$i/${f%/*}"
			cp "$g/$f" "$i/$f"
		done
	cp "$g/usr/lib/modules/$KVER"/modules.* "$i/usr/lib/modules/$KVER/"
	printf '%s\n' '#!/bin/busybox sh' 'busybox --install -s /sbin 2>/dev/null' \
		'export PATH=/usr/sbin:/usr/bin NO_COLOR=1' 'mount -t proc p /proc' \
		'mount -t sysfs s /sys' 'mount -t devtmpfs d /dev' 'modprobe nvme' \
		'dmesg -n 1; sleep 4; echo GUEST-BEGIN' "$1" 'echo GUEST-END' 'sleep 1' \
		'echo o > /proc/sysrq-trigger; sleep 60' > "$i/init"
	chmod +x "$i/init"
	shift
	(cd "$i" && find . | "$g/usr/bin/busybox" cpio -o -H newc 2> /dev/null | gzip -1) \
		> "$T/initrd"
	timeout 300 nice "$T/q/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$T/q/usr/lib/x86_64-linux-gnu" "$T/q/usr/bin/qemu-system-x86_64" \
		-L "$T/q/usr/share/qemu" -L "$T/q/usr/share/seabios" -M q35 -accel tcg \
		-cpu max -m 1G -nodefaults -display none -serial stdio -no-reboot \
		-kernel "$g/boot/vmlinuz-$KVER" -initrd "$T/initrd" \
		-append "console=ttyS0 quiet mitigations=off panic=-1 ${APPEND:-}" "$@" \
		< /dev/null > "$T/serial" 2>&1
	tr -d '\r' < "$T/serial" | sed -n '/^GUEST-BEGIN/,/^GUEST-END/p' > "$T/out"
	grep -q GUEST-END "$T/out" || { tail -n 20 "$T/serial"; untried "no guest"; }
	cat "$T/out"
}

# expect WHAT GOT WANTED (a shell pattern)
expect() {
	# shellcheck disable=SC2053
	if [[ $2 == $3 ]]; then
		echo "as stated: $1"
	else
		printf 'CHANGED: %s\n  got:    %s\n  wanted: %s\n' "$1" "$2" "$3"
		FAILED=1
	fi
}
