#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# One guest, one queue pair: the thinnest real path, for use by hand and as
# the quickest check. In guarded mode nothing is chosen and the guest is not
# changed: defaults only.
#
# Arguments: guarded, direct.

. "$(dirname "$0")/common.sh"
vm_args "$@"

pairs_are_carved()
{
	vm_host_ready || return 1
	grep . "/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/"*
}

instance_is_created()
{
	UUID=$(vm_instance 1q 2) || return 1
	echo "mode $(mdev_attr "$UUID" mode), backing $(mdev_attr "$UUID" backing)"
}

guest_driver_binds()
{
	vm_guest vm0 --mdev "$UUID" && vm_guest_nvme vm0 || return 1
	l2_exec vm0 'ls -l /dev/nvme*; dmesg | grep -i -e nvme -e lightiov; lsmod'
}

guest_does_io()
{
	# shellcheck disable=SC2086 # lists of words
	vm_fio vm0 "guest" --filename=/dev/nvme0n1 --rw=randwrite --bs=4k --size=8m \
		--iodepth=8 $VM_VERIFY || { vm_guest_trouble vm0 "$UUID"; return 1; }
	vm_stats "$UUID"
	mdev_attr "$UUID" queues
	vm_guest_log_is_clean vm0
}

guest_and_instance_go()
{
	l2_stop vm0 && mdev_remove "$UUID"
}

# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test pairs_are_carved pairs_are_carved
	vm_test instance_is_created instance_is_created
	vm_test guest_driver_binds guest_driver_binds
	vm_test guest_does_io guest_does_io
	vm_test guest_and_instance_go guest_and_instance_go
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
