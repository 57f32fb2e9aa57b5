# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The ways to give a guest a disk that are compared. Each has
#
#	NAME_host	makes it on the host, adds to DEVICES what QEMU needs, and
#			to DAEMONS the processes that work for it ("NAME PID")
#	NAME_undo	takes it away again; only where the end of QEMU does not
#
# with "-" in names written "_". A method that cannot be had here says why and returns 4.
# All of them are devices of one guest, each at a PCI slot of its own (slot_of), which
# is how the guest finds them. Namespaces are those of drive 0, by ns_of; vfio has all
# of drive 1.

METHODS_ALL="host vfio direct guarded virtio-blk virtio-blk-iothread virtio-blk-qcow2
	vhost-scsi vhost-user-blk sriov spdk"

DEVICES=()
DAEMONS=()
declare -A UUID=()

# position_of NAME, from 1
position_of()
{
	local m n=0

	for m in $METHODS_ALL; do
		n=$((n + 1))
		[ "$m" != "$1" ] || { echo $n; return; }
	done
	return 1
}

slot_of()
{
	printf '%02x' $((8 + $(position_of "$1")))
}

# The namespace's number of drive 0 is the method's position.
ns_of()
{
	l1_ns 0 "$(position_of "$1")"
}

# device DRIVER-AND-PROPERTIES METHOD
device()
{
	DEVICES+=(--qemu-arg -device --qemu-arg "$1,addr=0x$(slot_of "$2")")
}

# raw_drive METHOD FILE OPTIONS
raw_drive()
{
	DEVICES+=(--qemu-arg -drive --qemu-arg "if=none,id=$1,cache=none,file=$2,$3")
}

host_host()
{
	:
}

vfio_host()
{
	local bdf

	bdf=$(l1_bdf 1) && modprobe vfio-pci && l1_bind_vfio "$bdf" || return 1
	device "vfio-pci,host=$bdf" vfio
}

lightiov_host()
{
	UUID[$1]=$(MODE=$1 vm_instance 1q "$(position_of "$1")") || return 1
	device "vfio-pci,sysfsdev=/sys/bus/mdev/devices/${UUID[$1]}" "$1"
}

direct_host()
{
	lightiov_host direct
}

guarded_host()
{
	lightiov_host guarded
}

virtio_blk_host()
{
	raw_drive vb "$(ns_of virtio-blk)" format=raw,aio=native
	device virtio-blk-pci,drive=vb virtio-blk
}

virtio_blk_iothread_host()
{
	raw_drive vbio "$(ns_of virtio-blk-iothread)" format=raw,aio=io_uring
	DEVICES+=(--qemu-arg -object --qemu-arg "iothread,id=iothread0")
	device virtio-blk-pci,drive=vbio,iothread=iothread0 virtio-blk-iothread
}

virtio_blk_qcow2_host()
{
	mkfs.ext4 -q -F "$(ns_of virtio-blk-qcow2)" && mkdir -p /run/bench/qcow2 &&
		mount "$(ns_of virtio-blk-qcow2)" /run/bench/qcow2 &&
		qemu-img create -q -f qcow2 -o preallocation=falloc /run/bench/qcow2/disk.qcow2 $((MIB + 256))M ||
		return 1
	raw_drive vbq /run/bench/qcow2/disk.qcow2 format=qcow2,aio=native
	device virtio-blk-pci,drive=vbq virtio-blk-qcow2
}

virtio_blk_qcow2_undo()
{
	umount /run/bench/qcow2
}

TARGET=/sys/kernel/config/target
WWN=naa.5001405000000001
vhost_scsi_host()
{
	local core=$TARGET/core/iblock_0/bench tpg=$TARGET/vhost/$WWN/tpgt_1

	modprobe target_core_mod && modprobe target_core_iblock && modprobe vhost_scsi ||
		{ echo "no in-kernel SCSI target"; return 4; }
	mkdir -p $core && echo "udev_path=$(ns_of vhost-scsi)" >$core/control &&
		echo 1 >$core/enable && mkdir -p $TARGET/vhost/$WWN && mkdir $tpg &&
		echo naa.5001405000000002 >$tpg/nexus && mkdir $tpg/lun/lun_0 &&
		ln -s $core $tpg/lun/lun_0/bench || return 1
	device vhost-scsi-pci,wwpn=$WWN vhost-scsi
}

vhost_scsi_undo()
{
	local tpg=$TARGET/vhost/$WWN/tpgt_1

	rm $tpg/lun/lun_0/bench && rmdir $tpg/lun/lun_0 && echo NULL >$tpg/nexus
	rmdir $tpg $TARGET/vhost/$WWN $TARGET/core/iblock_0/bench $TARGET/core/iblock_0
}

vhost_user_blk_host()
{
	local socket=/run/bench/vhost-user-blk.sock

	command -v qemu-storage-daemon >/dev/null || { echo "no qemu-storage-daemon"; return 4; }
	qemu-storage-daemon \
		--blockdev "driver=host_device,node-name=disk,filename=$(ns_of vhost-user-blk),cache.direct=on,aio=native" \
		--export "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=$socket,writable=on" \
		</dev/null >/results/storage-daemon.log 2>&1 &
	DAEMONS+=("vhost-user-blk $!")
	l1_wait 10 test -S $socket || { cat /results/storage-daemon.log; return 1; }
	DEVICES+=(--qemu-arg -chardev --qemu-arg "socket,id=vub,path=$socket")
	device vhost-user-blk-pci,chardev=vub vhost-user-blk
}

vhost_user_blk_undo()
{
	local daemon

	for daemon in "${DAEMONS[@]}"; do
		kill "${daemon#* }" 2>/dev/null && wait "${daemon#* }"
	done
	return 0
}

# A target that somebody else runs: its socket is in SPDK_SOCKET, its process in SPDK_PID.
spdk_host()
{
	[ -S "${SPDK_SOCKET:-}" ] ||
		{ echo "no SPDK here (SPDK_SOCKET= the socket of its vhost-blk controller, SPDK_PID=)"; return 4; }
	[ -z "${SPDK_PID:-}" ] || DAEMONS+=("spdk $SPDK_PID")
	DEVICES+=(--qemu-arg -chardev --qemu-arg "socket,id=spdk,path=$SPDK_SOCKET")
	device vhost-user-blk-pci,chardev=spdk spdk
}

has_virtual_functions()
{
	[ "$(cat "/sys/bus/pci/devices/$(l1_bdf 0)/sriov_totalvfs" 2>/dev/null || echo 0)" -gt 0 ]
}

# Drive 0's first virtual function: an I/O queue pair and two vectors. A reset of the
# drive takes the function offline, so it is the last to be made.
sriov_host()
{
	local vf

	has_virtual_functions ||
		{ echo "drive 0 has no virtual functions"; return 4; }
	vf=$(l1_virtual_function 0 2) || return 1
	modprobe vfio-pci && l1_bind_vfio "$vf" || return 1
	device "vfio-pci,host=$vf" sriov
}

sriov_undo()
{
	echo 0 >"/sys/bus/pci/devices/$(l1_bdf 0)/sriov_numvfs"
}

# Shell code for the guest: prints the disk at slot $1; of an NVMe controller with
# several namespaces that of NSID $2
guest_disk()
{
	cat <<-EOT
	for i in \$(seq 100); do
		for d in /sys/bus/pci/devices/0000:00:$1.0/virtio*/block/* \
			/sys/bus/pci/devices/0000:00:$1.0/virtio*/host*/target*/*/block/*; do
			[ ! -e \$d ] || { echo /dev/\${d##*/}; exit 0; }
		done
		for c in /sys/bus/pci/devices/0000:00:$1.0/nvme/nvme*; do
			[ ! -e \$c ] || { bash /payload/nvme-ns \${c##*/} $2 10; exit; }
		done
		sleep 0.1
	done
	exit 1
	EOT
}
