#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Which controllers are offered to guests: none that nobody asked for, which are nvme's alone;
# and by parameter or at run time those that somebody did, until he withdraws them.
#
# lab-options: --drives 2

. "$(dirname "$0")/common.sh"
vm_args "$@"

BDF=$(l1_bdf 0)
DEV=/sys/bus/pci/devices/$BDF

# offers N N: how many drives 0 and 1 are offered
offers()
{
	local n have=

	for n in 0 1; do
		have+="$(vm_parent_attr $n offered) "
		if vm_parent_ready "$(l1_bdf $n)"; then
			have+="ready "
		fi
	done
	[ "$have" = "$1 $2 " ] || { echo "offered: $have"; return 1; }
}

# offer N 0|1: of drive N, from now on
offer()
{
	echo "$2" >"/sys/bus/pci/devices/$(l1_bdf "$1")/lightiov/offered"
}

# set_ups: how often nvme has set a drive's queues up since the mark
set_ups()
{
	vm_log_since_mark | grep -c 'default/read/poll queues'
}

reset_drive()
{
	echo 1 >"/sys/class/nvme/$(l1_ctrl "$1")/reset_controller" && l1_wait 30 l1_drive_ready "$1"
}

# Not a reset at load, and nothing of ours in one that somebody else asks for.
nothing_is_offered_unasked()
{
	l1_load_nvme && modprobe vfio_iommu_type1 || return 1
	vm_log_mark
	l1_load_lightiov offer= reserve=4 && sleep 3 && offers 0 0 || return 1
	vm_log_says 'lightiov: no controller is offered to guests; write 1' || return 1
	[ "$(ls "$DEV/lightiov" | paste -sd ' ')" = "apply host_queues offered reserve" ] ||
		return 1
	[ "$(set_ups)" = 0 ] || { echo "something was reset"; return 1; }
	vm_log_mark
	reset_drive 0 && reset_drive 1 || return 1
	# QEMU's has shadow doorbells.
	if vm_log_says 'unable to set dbbuf|lightiov: '; then
		return 1
	fi
	! echo 1 >"$DEV/lightiov/apply" 2>/dev/null && [ "$(set_ups)" = 2 ] &&
		vm_host_reads && vm_host_reads 1
}

# Its instances work when the write returns; the other drive does not notice.
one_is_offered_at_run_time()
{
	local a rc

	vm_log_mark
	offer 1 1 && offers 0 "1 ready" || return 1
	[ "$(set_ups)" = 1 ] && vm_log_says "$(l1_bdf 1): lightiov: resetting the controller once" || return 1
	a=$(vm_instance 1q 2 1) && /out/vfio/liov_cycle "$a" 200 || return 1
	! offer 1 0 2>/tmp/refused.log && grep -q busy /tmp/refused.log &&
		vm_log_says 'lightiov: it has instances, so it stays offered; remove them first' && offers 0 "1 ready" && /out/vfio/liov_cycle "$a" 200
	rc=$?
	# After that refusal it goes through resets as before.
	reset_drive 1 && /out/vfio/liov_cycle "$a" 200 && mdev_remove "$a" && return $rc
}

withdrawn_it_is_nvmes_alone()
{
	vm_log_mark
	offer 1 0 && offers 0 0 && vm_log_says "$(l1_bdf 1): lightiov: no longer offered" || return 1
	vm_log_mark
	reset_drive 1 || return 1
	if vm_log_says 'unable to set dbbuf|lightiov: '; then
		return 1
	fi
	# Once more, and what is not offered can be withdrawn.
	offer 1 1 && offer 1 1 && offers 0 "1 ready" && offer 1 0 && offer 1 0 && offers 0 0 &&
		! offer 1 2 2>/dev/null && vm_host_reads 1
}

toggle()
{
	local end=$((SECONDS + $1))

	while [ $SECONDS -lt $end ]; do
		offer 0 1
		offer 0 0
	done
}

# Beside resets of nvme's, and its host's I/O.
offered_and_withdrawn_again_and_again()
{
	local rc=0

	vm_host_fio_start || return 1
	toggle 12 &
	BG=$!
	while ! vm_is_gone $BG; do
		echo 1 >"/sys/class/nvme/$(l1_ctrl 0)/reset_controller" 2>/dev/null
		sleep 0.$((RANDOM % 10))
	done
	l1_wait 30 l1_drive_ready 0 || rc=1
	vm_host_fio_stop || rc=1
	offer 0 1 && offers "1 ready" 0 && offer 0 0 && offers 0 0 && return $rc
}

# A driver that is unbound, and a module that goes, meet an offer under way.
unbound_while_it_is_offered()
{
	local n

	for n in 1 2 3; do
		offer 0 1 2>/dev/null &
		BG=$!
		sleep 0.$((RANDOM % 10))
		# 6.12's lockdep takes frozen queues for locks, which a reset that an unbind ends leaves behind.
		! vm_is_debug_kernel || l1_wait 60 l1_drive_ready 0 || return 1
		echo "$BDF" >/sys/bus/pci/drivers/nvme/unbind && l1_wait 30 vm_is_gone $BG || return 1
		[ ! -e "$DEV/lightiov" ] || return 1
		echo "$BDF" >/sys/bus/pci/drivers/nvme/bind && l1_wait 30 l1_drive_ready 0 || return 1
		l1_wait 30 test -e "$DEV/lightiov/offered" || return 1
		offer 0 0 || return 1
		offer 0 1 2>/dev/null &
		BG=$!
		sleep 0.$((RANDOM % 10))
		rmmod lightiov && l1_wait 30 vm_is_gone $BG && l1_load_lightiov offer= || return 1
	done
	l1_wait 30 l1_drive_ready 0 && vm_host_reads
}

# By its address, before nvme comes: without any reset.
one_is_offered_at_load()
{
	rmmod lightiov && rmmod nvme || return 1
	vm_log_mark
	l1_load_lightiov "offer=$(l1_bdf 1)" && l1_load_nvme && l1_wait 30 vm_parent_ready "$(l1_bdf 1)" &&
		offers 0 "1 ready" && [ "$(set_ups)" = 2 ] && vm_host_reads && vm_host_reads 1
}

# A test that failed leaves nothing to the next.
clean_up()
{
	vm_remove_all
	[ -e "$DEV/driver" ] || echo "$BDF" >/sys/bus/pci/drivers_probe
	[ ! -d /sys/module/lightiov ] || rmmod lightiov
	l1_load_lightiov offer=
}
# shellcheck disable=SC2034 # for vm_run
VM_AFTER_FAILURE=clean_up

# shellcheck disable=SC2034 # for common.sh
MODE=guarded
vm_test nothing_is_offered_unasked nothing_is_offered_unasked
vm_test one_is_offered_at_run_time one_is_offered_at_run_time
vm_test withdrawn_it_is_nvmes_alone withdrawn_it_is_nvmes_alone
vm_test offered_and_withdrawn_again_and_again offered_and_withdrawn_again_and_again
vm_test unbound_while_it_is_offered unbound_while_it_is_offered
vm_test one_is_offered_at_load one_is_offered_at_load
vm_run
