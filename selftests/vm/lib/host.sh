# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The host of a guest scenario: its modules, its drives, its kernel, what a drive holds.
# Sourced by ../common.sh. vm_load_lightiov and what builds on it look at MODE.

# Parameters of the host's nvme module.
NVME_ARGS=()

vm_parent_ready()
{
	[ -d "/sys/bus/pci/devices/$1/mdev_supported_types" ]
}

vm_parents_ready()
{
	local n

	for ((n = 0; n < $(l1_drives); n++)); do
		l1_wait 30 vm_parent_ready "$(l1_bdf $n)" ||
			{ echo "drive $n is not offered to guests"; return 1; }
	done
}

# vm_parent_attr N NAME
vm_parent_attr()
{
	cat "/sys/bus/pci/devices/$(l1_bdf "$1")/lightiov/$2"
}

# vm_load_lightiov [PARAM=VALUE...]: what the mode needs, no more; again, if what a
# test left has to go first
vm_load_lightiov()
{
	if [ -d /sys/module/lightiov ]; then
		rmmod lightiov || return 1
	fi
	[ "$MODE" != direct ] || set -- allow_direct=1 "$@"
	l1_load_lightiov "$@" && vm_parents_ready
}

# vm_host_ready [PARAM=VALUE...]: nvme, then lightiov, KVM; and the counters that
# vm_nothing_is_left compares with.
vm_host_ready()
{
	if [ ! -d /sys/module/nvme ]; then
		l1_load_nvme "${NVME_ARGS[@]}" || return 1
	fi
	vm_load_lightiov "$@" || return 1
	l1_load_kvm && l2_payload || return 1
	vm_baseline
	echo "free queue pairs: $VM_FREE"
}

# On a debug kernel everything takes its time.
vm_is_debug_kernel()
{
	[ -e /sys/kernel/debug/kmemleak ]
}

# PREEMPT_RT
vm_is_rt_kernel()
{
	grep -qs 1 /sys/kernel/realtime
}

# vm_host_reads [DRIVE]: its first namespace can be read
vm_host_reads()
{
	dd if="$(l1_ns "${1:-0}" 1)" of=/dev/null bs=64k count=16 iflag=direct status=none
}

# vm_host_sha DEVICE OFFSET-MIB MIB: sha256 of what the drive holds
vm_host_sha()
{
	dd if="$1" bs=1M skip="$2" count="$3" iflag=direct status=none |
		sha256sum | cut -c1-64
}

# le32 NUMBER: as printf %b wants it
le32()
{
	local i

	for ((i = 0; i < 32; i += 8)); do
		printf '\\0%03o' $((($1 >> i) & 255))
	done
}

# vm_partition DEVICE "FIRST COUNT"...: an MBR by hand, in blocks; type 83h
vm_partition()
{
	local dev=$1 p entries=

	shift
	for p in "$@"; do
		entries+="\\0000\\0000\\0000\\0000\\0203\\0000\\0000\\0000"
		entries+="$(le32 "${p% *}")$(le32 "${p#* }")"
	done
	printf '%b' "$entries" | dd of="$dev" bs=1 seek=446 status=none &&
		printf '%b' '\0125\0252' | dd of="$dev" bs=1 seek=510 status=none &&
		blockdev --rereadpt "$dev"
}
