#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The drive grants fewer queue pairs after a reset, as one does whose resources were
# given to its virtual functions: instances move to what is left, in use or not. Those
# that no longer fit say so, do with fewer, or without; and have them again when the
# drive grants more. And how those that there are are divided between host and guests.
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

# ---- host and guests ----

# divided HOST FREE: so many pairs each has
divided()
{
	local host free

	host=$(vm_parent_attr 0 queue_pairs_host) && free=$(vm_parent_attr 0 queue_pairs_free) || return 1
	[ "$host $free" = "$1 $2" ] || { echo "$host pairs of the host and $free free, not $1 and $2"; return 1; }
}

# setting NAME VALUE: of the drive, and what is read then
setting()
{
	echo "$2" >"/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/$1" && [ "$(vm_parent_attr 0 "$1")" = "$2" ]
}

# in_force HOST FREE: after the reset that is asked for
in_force()
{
	[ "$(vm_parent_attr 0 apply)" = 1 ] || { echo "nothing is due"; return 1; }
	echo 1 >"/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/apply" && divided "$1" "$2" &&
		[ "$(vm_parent_attr 0 apply)" = 0 ] && vm_host_reads
}

# not_taken NAME VALUE: refused, with a line, and nothing changes
not_taken()
{
	local before

	vm_log_mark
	before=$(vm_parent_attr 0 "$1")
	! echo "$2" >"/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/$1" 2>/dev/null &&
		[ "$(vm_parent_attr 0 "$1")" = "$before" ] && says "lightiov: $1: write "
}

# The host's driver wants three queues, one of each kind, and there are three.
host_keeps_half_of_too_few()
{
	if [ -d /sys/module/lightiov ]; then
		rmmod lightiov && rmmod nvme || return 1
	fi
	l1_load_nvme write_queues=1 poll_queues=1 &&
		l1_drive_grants 0 3 && l1_wait 30 l1_drive_ready 0 && vm_load_lightiov || return 1
	l1_wait 30 divided 2 1 || return 1
	[ "$(vm_parent_attr 0 host_queues) $(vm_parent_attr 0 reserve)" = "auto 0" ] &&
		[ "$(vm_parent_attr 0 apply)" = 0 ]
}

# Nor is anything spare where the drive has more than that.
host_keeps_all_where_there_is_more()
{
	grant 4 && divided 3 1 && grant 3 && divided 2 1
}

# What it has in flight on a queue that it loses ends before.
host_keeps_what_it_is_told_to()
{
	local rc=0

	setting host_queues 1 && divided 2 1 && vm_host_fio_start || return 1
	in_force 1 2 && setting host_queues 3 && in_force 3 0 && says 'no spare queue pair; write' || rc=1
	for _ in 1 2 3; do
		setting host_queues 1 && in_force 1 2 && setting host_queues 3 && in_force 3 0 || rc=1
	done
	# By any reset.
	setting host_queues auto && echo 1 >"/sys/class/nvme/$(l1_ctrl 0)/reset_controller" &&
		l1_wait 30 divided 2 1 && [ "$(vm_parent_attr 0 apply)" = 0 ] || rc=1
	vm_host_fio_stop && return $rc
}

settings_that_are_none_are_refused()
{
	not_taken host_queues 0 && not_taken host_queues many && not_taken reserve -1 &&
		not_taken reserve auto && not_taken apply 0
}

# The drive grants all it has anyway.
reserve_is_asked_for_at_the_next_reset()
{
	setting reserve 2 && in_force 2 1 && setting reserve 0 && in_force 2 1
}

# An instance keeps its pairs, whatever the host is to have.
host_gets_no_pair_of_an_instance()
{
	local uuid rc=0

	uuid=$(vm_instance 1q 2) && has "$uuid" 3 || return 1
	setting host_queues 3 && in_force 2 0 && /out/vfio/liov_cycle "$uuid" 200 || rc=1
	mdev_remove "$uuid" && setting host_queues 1 && in_force 1 2 && return $rc
}

# Of this controller, and after nvme was bound again.
settings_of_one_controller_at_load()
{
	local bdf

	bdf=$(l1_bdf 0)
	vm_load_lightiov "host_queues=$bdf=1,2,0000:00:1f.7=3" "reserve=5,${bdf#0000:}=1" || return 1
	l1_wait 30 divided 1 2 && [ "$(vm_parent_attr 0 host_queues) $(vm_parent_attr 0 reserve)" = "1 1" ] ||
		return 1
	setting host_queues 3 && echo "$bdf" >/sys/bus/pci/drivers/nvme/unbind &&
		[ ! -e "/sys/bus/pci/devices/$bdf/lightiov" ] &&
		echo "$bdf" >/sys/bus/pci/drivers/nvme/bind && l1_wait 30 l1_drive_ready 0 &&
		vm_parents_ready && l1_wait 30 divided 3 0 && [ "$(vm_parent_attr 0 host_queues)" = 3 ] &&
		vm_host_reads
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
# shellcheck disable=SC2034 # for common.sh
MODE=guarded
vm_test host_keeps_half_of_too_few host_keeps_half_of_too_few
vm_test host_keeps_all_where_there_is_more host_keeps_all_where_there_is_more
vm_test host_keeps_what_it_is_told_to host_keeps_what_it_is_told_to
vm_test settings_that_are_none_are_refused settings_that_are_none_are_refused
vm_test reserve_is_asked_for_at_the_next_reset reserve_is_asked_for_at_the_next_reset
vm_test host_gets_no_pair_of_an_instance host_gets_no_pair_of_an_instance
vm_test settings_of_one_controller_at_load settings_of_one_controller_at_load
vm_run
