#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The host is shut down with a guest and a VFIO program in the middle of their I/O, and
# with an instance that nobody has open: nothing hangs, nothing warns. The last of it
# happens when this script has ended: the lab fails the run if the machine does not
# power off by itself, or if its console says anything it should not.

. "$(dirname "$0")/common.sh"
vm_args "$@"

guest_and_program_are_at_work()
{
	local uuid

	vm_host_ready && modprobe vfio_iommu_type1 || return 1
	vm_instance 1q 3 >/dev/null && GUEST=$(vm_instance 1q 1) && uuid=$(vm_instance 2q 2) || return 1
	vm_guest vm0 --mdev "$GUEST" && vm_guest_nvme vm0 || return 1
	vm_program_start "$uuid" 19 || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=16m --iodepth=16 $VM_VERIFY
}

guest_rang_more_than()
{
	[ "$(mdev_attr "$GUEST" stats/sq_doorbells)" -gt "$1" ]
}

they_are_left_at_it()
{
	local before

	before=$(mdev_attr "$GUEST" stats/sq_doorbells) &&
		l1_wait 30 guest_rang_more_than "$before" &&
		pgrep -x liov_cycle && : >/run/leave-guests
}

[ "$(wc -w <<<"$MODES")" = 1 ] || MODES=guarded
# shellcheck disable=SC2034 # for common.sh
MODE=$MODES
vm_test guest_and_program_are_at_work guest_and_program_are_at_work
vm_test they_are_left_at_it they_are_left_at_it
vm_run
