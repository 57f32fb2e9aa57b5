#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# VFIO by iommufd and the device's own node instead of group and type1 container: it
# has other errors for memory that is not there, and wants what was pinned in one
# call to be unpinned in one call. Programs, a guest, hot unplug, a hostile user.
#
# Needs a kernel with iommufd: KERNEL=debug.
#
# Arguments: full, guarded, direct, SECS=N of the hostile program (30).

. "$(dirname "$0")/common.sh"
vm_args "$@" IOMMUFD=1

SECS=${SECS:-30}

host_is_ready()
{
	vm_memory_has_many_addresses
	vm_host_ready allow_direct=1 && modprobe vfio_iommu_type1
}

# program NAME [ARG...]: on a fresh instance; its results are not of this plan
program()
{
	local uuid rc=0 log=/results/iommufd-$1-$MODE.log

	uuid=$(vm_instance 4q 2) || return 1
	/out/vfio/"$1" "$uuid" "${@:2}" >"$log" 2>&1 || rc=1
	mdev_remove "$uuid" || rc=1
	[ $rc = 0 ] || grep -B 6 '^not ok' "$log" || tail -n 20 "$log"
	vm_counters_are_back || rc=1
	return $rc
}

guest_does_verified_io()
{
	local rc=0

	UUID=$(vm_instance 2q 2) || return 1
	vm_guest fd --cpus 2 --qemu-arg -device --qemu-arg pcie-root-port,id=rp0,chassis=1 \
		--qemu-arg -device --qemu-arg \
		"vfio-pci,bus=rp0,sysfsdev=/sys/bus/mdev/devices/$UUID,iommufd=iommufd0" &&
		vm_guest_nvme fd || return 1
	tr '\0' ' ' <"/proc/$(l2_pid fd)/cmdline" | grep -o 'iommufd,id=[a-z0-9]*' || rc=1
	# shellcheck disable=SC2086 # lists of words
	vm_fio fd "through iommufd" --filename=/dev/nvme0n1 --rw=randrw $VM_MIXED_BS \
		--size=64m --io_size=48m --iodepth=32 $VM_VERIFY || rc=1
	vm_stats "$UUID"
	return $rc
}

removal_unplugs()
{
	local rc=0

	mdev_remove "$UUID" || rc=1
	l2_exec fd '[ ! -e /dev/nvme0 ]' || rc=1
	l2_stop fd || rc=1
	vm_counters_are_back || rc=1
	return $rc
}

# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test host_is_ready host_is_ready
	if [ "$MODE" = guarded ]; then
		vm_test memory_comes_and_goes program liov_basic memory
		vm_test hostile_user_harms_nobody program hostile "$SECS"
	fi
	vm_test data_of_every_shape program liov_basic data
	vm_test vfio_and_the_mailbox_are_abused program liov_abuse vfio mailbox
	if [ "$MODE" = guarded ]; then
		vm_test guest_does_verified_io guest_does_verified_io
		vm_test removal_unplugs removal_unplugs
	fi
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
