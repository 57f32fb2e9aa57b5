#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The drive grants fewer queue pairs after a reset, as one does whose resources were
# given to its virtual functions: instances move to what is left, in use or not. Those
# that no longer fit say so, do with fewer, or without; and have them again when the
# drive grants more.
#
# lab-options: --qpairs 8 --vfs 1 --append nvme_core.multipath=0
#
# Arguments: guarded, direct.

. "$(dirname "$0")/common.sh"
vm_args "$@"

grants()
{
	l1_ctrl_live 0 && [ "$(vm_parent_attr 0 state)" = live ] &&
		[ "$(vm_parent_attr 0 queue_pairs_total)" = "$1" ]
}

# grant N: the drive has so many pairs from now on
grant()
{
	l1_drive_grants 0 "$1" && l1_wait 30 grants "$1" ||
		{ echo "$(vm_parent_attr 0 queue_pairs_total) pairs granted, not $1"; return 1; }
}

# has UUID QID...: these are its hardware queues, in this order
has()
{
	local qids

	qids=$(mdev_attr "$1" queues | sed 's/.*hardware \([0-9]*\) .*/\1/' | paste -sd ' ')
	[ "$qids" = "${*:2}" ] || { echo "hardware queues $qids, not ${*:2}"; return 1; }
}

is()
{
	[ "$(mdev_attr "$1" state)" = "$2" ]
}

says()
{
	vm_log_says "$1" || { echo "no such line: $1"; vm_log_since_mark | tail; return 1; }
}

guest_and_two_more()
{
	local ns

	# nvme of 6.12 freezes queues in the one that asks for a function reset and thaws
	# them in a work item, and does not tell lockdep: also without lightiov.
	vm_allow_on_debug_kernel 'lock held when returning to user space'
	# What is flexible it does not have from the start.
	l1_load_nvme && l1_drive_grants 0 8 && l1_wait 30 l1_drive_ready 0 && vm_host_ready && grants 8 &&
		modprobe vfio_iommu_type1 && ns=$(l1_ns 0 1) || return 1
	if [ "$MODE" = guarded ]; then
		GUEST=$(vm_instance 2q "$ns:0+524288") && OTHER=$(vm_instance 2q 2) &&
			ONE=$(vm_instance 1q "$ns:600000+65536")
	else
		GUEST=$(vm_instance 2q 1) && OTHER=$(vm_instance 2q 2) && ONE=$(vm_instance 1q 3)
	fi || return 1
	has "$GUEST" 8 7 && has "$OTHER" 6 5 && has "$ONE" 4 || return 1
	vm_guest vm0 --cpus 2 --mem 640 --mdev "$GUEST" && vm_guest_nvme vm0 && io_starts
}

io_starts()
{
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=16k --size=16m --iodepth=8 \
		--numjobs=2 --offset_increment=64m $VM_VERIFY
}

# goes_on_with N: after that many pairs are granted
goes_on_with()
{
	local before

	vm_log_mark
	before=$(vm_guest_ios vm0) && grant "$1" && vm_guest_goes_on vm0 "$GUEST" "$before"
}

guest_queues()
{
	l2_exec vm0 'ls /sys/block/nvme0n1/mq | wc -l'
}

guest_has_queues()
{
	[ "$(guest_queues)" = "$1" ]
}

# There are exactly as many as are used.
in_use_they_move()
{
	goes_on_with 6 && has "$GUEST" 3 2 && has "$OTHER" 6 5 && has "$ONE" 4 || return 1
	is "$GUEST" enabled && is "$OTHER" idle && is "$ONE" idle || return 1
	guest_has_queues 2 && /out/vfio/liov_cycle "$OTHER" 500 &&
		/out/vfio/liov_cycle "$ONE" 500
}

what_does_not_fit_says_so()
{
	goes_on_with 4 || return 1
	says "$OTHER: .* grants only 4 queue pairs since its reset, which leaves 0 for this device's 2" &&
		is "$OTHER" short && is "$GUEST" enabled || return 1
	# Its user is told by a status.
	! /out/vfio/liov_cycle "$OTHER" 10 || { echo "it works without queues"; return 1; }
	/out/vfio/liov_cycle "$ONE" 500
}

# One pair of two is left: the guest's driver starts over with that. What Linux has in
# flight at such a moment on a queue that it does not get again it ends with an error,
# on any drive; so there is nothing in flight.
guest_does_with_fewer()
{
	vm_fio_stop vm0 && mdev_remove "$ONE" && vm_log_mark && grant 2 || return 1
	says "$GUEST: .* leaves 1 for this device's 2" || return 1
	l1_wait 30 guest_has_queues 1 || { echo "the guest has $(guest_queues) queues"; return 1; }
	io_starts && is "$GUEST" short
}

more_again()
{
	goes_on_with 8 || return 1
	says "$GUEST: 2 of 2 queue pairs again" && says "$OTHER: 2 of 2 queue pairs again" ||
		return 1
	/out/vfio/liov_cycle "$OTHER" 500 && is "$OTHER" idle || return 1
	# By its next reset.
	l2_exec vm0 'echo 1 >/sys/class/nvme/nvme0/reset_controller' &&
		vm_guest_goes_on vm0 "$GUEST" "$(vm_guest_ios vm0)" || return 1
	guest_has_queues 2 && is "$GUEST" enabled && vm_fio_stop vm0 && l2_stop vm0
}

# ---- two functions of one drive ----

# function_is_offered: the virtual function, to its guests
function_is_offered()
{
	[ -e "/sys/bus/pci/devices/$VF/lightiov/state" ] &&
		[ "$(cat "/sys/bus/pci/devices/$VF/lightiov/state")" = live ] && l1_ctrl_of "$VF" >/dev/null
}

l1_ctrl_of()
{
	local ctrl

	ctrl=$(echo "/sys/bus/pci/devices/$1/nvme"/nvme*)
	[ -d "$ctrl" ] && echo "${ctrl##*/}"
}

# Of a virtual function: three I/O queue pairs, one is its host driver's.
second_function_comes_up()
{
	l1_drive_grants 0 3 && l1_wait 30 grants 3 || return 1
	VF=$(l1_virtual_function 0 4) && l1_bind_nvme "$VF" && l1_wait 30 function_is_offered
}

# Each function has a disk of its own for the namespace, and the one's claims are unknown to
# the other.
blocks_of_another_functions_instance_are_refused()
{
	local a b there here rc=0

	mdev_remove "$GUEST" && mdev_remove "$OTHER" && second_function_comes_up || return 1
	here=$(l1_ns 0 1) && there=$("$LAB/nvme-ns" "$(l1_ctrl_of "$VF")" 1 10) || return 1
	echo "$here and $there are one namespace"
	a=$(vm_create 1q) && b=$(mdev_create "$VF" 1q) && mdev_attr "$a" backing "$here:1000+1000" ||
		return 1
	vm_log_mark
	! mdev_attr "$b" backing "$there:1999+10" 2>/dev/null &&
		says "LBAs 1000 to 1999 of namespace 1 belong to $a" || rc=1
	mdev_attr "$b" backing "$there:2000+1000" && /out/vfio/liov_cycle "$b" 200 &&
		/out/vfio/liov_cycle "$a" 200 || rc=1
	mdev_remove "$a" && mdev_remove "$b" && echo 0 >"/sys/bus/pci/devices/$(l1_bdf 0)/sriov_numvfs" &&
		grant 8 || rc=1
	return $rc
}

for MODE in $MODES; do
	vm_test guest_and_two_more guest_and_two_more
	vm_test in_use_they_move in_use_they_move
	vm_test what_does_not_fit_says_so what_does_not_fit_says_so
	vm_test guest_does_with_fewer guest_does_with_fewer
	vm_test more_again more_again
	[ "$MODE" = direct ] || vm_test blocks_of_another_functions_instance_are_refused \
		blocks_of_another_functions_instance_are_refused
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
