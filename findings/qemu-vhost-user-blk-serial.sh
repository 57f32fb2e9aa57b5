#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# QEMU 10.0.13: all disks from qemu-storage-daemon's vhost-user-blk exports have one serial
# number, "vhost_user_blk".
#
# Guess it contradicts: a disk has the id of its export as serial number, or none.
# Seen: two exports with the ids one and two are two disks of the serial number vhost_user_blk
# in the guest. Neither the export nor -device vhost-user-blk-pci has an option for it (serial=
# is unknown to both). The link /dev/disk/by-id/virtio-vhost_user_blk can show only one of
# them.
# Who meets it: who moves a guest with several disks from virtio-blk, where serial= names them,
# to the storage daemon: fstab, cloud-init and others that look by serial number.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU" "qemu-utils=${QEMU#*=}"
unpack "$T/g" "${GUEST[@]}" "$NVME"
mkdir -p "$T/g/etc/modprobe.d"
conf=$T/g/etc/modprobe.d/finding.conf
echo 'softdep nvme pre: virtio_blk' > "$conf"
daemon=
trap '[ -z "$daemon" ] || kill "$daemon"; rm -rf "$conf" "$T"' EXIT
q() {
	local program=$1
	shift
	exec timeout 300 "$T/q/usr/lib64/ld-linux-x86-64.so.2" --library-path \
		"$T/q/usr/lib/x86_64-linux-gnu" "$T/q/usr/bin/$program" "$@"
}
args=(-object "memory-backend-memfd,id=m,size=1G,share=on" -machine memory-backend=m)
exports=()
for n in one two; do
	truncate -s 16M "$T/$n"
	exports+=(--blockdev "file,node-name=$n,filename=$T/$n" --export
		"vhost-user-blk,id=$n,node-name=$n,addr.type=unix,addr.path=$T/$n.sock")
	args+=(-chardev "socket,id=$n,path=$T/$n.sock"
		-device "vhost-user-blk-pci,chardev=$n,num-queues=1")
done
q qemu-storage-daemon "${exports[@]}" > "$T/daemon" 2>&1 &
daemon=$!
sleep 2
guest 'modprobe virtio_blk; sleep 1
for d in /sys/block/vd*; do echo "${d##*/} $(cat $d/serial) $(cat $d/size)"; done' "${args[@]}"
expect "two disks, one serial number" "$(sed '1d;$d' "$T/out")" "vda vhost_user_blk 32768
vdb vhost_user_blk 32768"
(q qemu-storage-daemon "${exports[@]:0:3}" "${exports[3]%one.sock}x.sock,serial=a") > "$T/o" 2>&1
expect "no serial= for the export" "$(cat "$T/o")" "*Parameter 'serial' is unexpected*"
(q qemu-system-x86_64 -device vhost-user-blk-pci,help) > "$T/o" 2>&1
expect "nor for the device" "$(grep -c num-queues "$T/o") $(grep -c serial= "$T/o")" "1 0"
exit "$FAILED"
