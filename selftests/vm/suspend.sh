#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The host sleeps, to idle and to RAM, with a guest at work: the guest's I/O goes on
# afterwards, verified, without an error.
#
# Everything is suspended and resumed but the machine itself, which wakes by itself
# after a second (/sys/power/pm_test): nothing in an emulated one would wake it.
#
# lab-options: --append lab.copy=1, since 9p shares do not outlive it.
#
# Arguments: full (20 times each), guarded, direct, TIMES=N (3).

. "$(dirname "$0")/common.sh"
vm_args "$@"

TIMES=${TIMES:-${FULL:+20}}
TIMES=${TIMES:-3}

guest_is_at_work()
{
	vm_host_ready && echo 1 >/sys/module/suspend/parameters/pm_test_delay || return 1
	# See shrink.sh; by a worker lockdep would say more, and then stop.
	! vm_is_debug_kernel || echo 0 >/sys/power/pm_async
	vm_allow_on_debug_kernel 'lock held when returning to user space'
	UUID=$(vm_instance 1q 2) && vm_guest vm0 --mdev "$UUID" && vm_guest_nvme vm0 || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=32m --iodepth=8 $VM_VERIFY
}

# sleep_once STATE TEST: as in /sys/power/state and pm_test
sleep_once()
{
	local before

	before=$(vm_guest_ios vm0) || return 1
	echo "$2" >/sys/power/pm_test || return 1
	echo "$1" >/sys/power/state || { echo "the host does not sleep"; return 1; }
	l1_wait 30 l1_ctrl_live 0 || { echo "the drive is not live again"; return 1; }
	vm_guest_goes_on vm0 "$UUID" "$before"
}

# sleeps STATE TEST
sleeps()
{
	local i

	for ((i = 1; i <= TIMES; i++)); do
		sleep_once "$@" || { echo "time $i"; return 1; }
	done
	echo "resumes $(mdev_attr "$UUID" stats/resumes)," \
		"longest pause $(mdev_attr "$UUID" stats/longest_pause_us) us"
}

guest_had_no_error()
{
	vm_fio_stop vm0 || return 1
	if [ "$MODE" = guarded ]; then
		l2_exec vm0 dmesg | grep -iE 'I/O error|nvme.*(timeout|reset|abort|fatal)' && return 1
	fi
	l2_stop vm0
}

for MODE in $MODES; do
	vm_test guest_is_at_work guest_is_at_work
	vm_test "host_suspends_to_idle_${TIMES}_times" sleeps freeze platform
	vm_test "host_suspends_to_ram_${TIMES}_times" sleeps mem core
	vm_test guest_had_no_error guest_had_no_error
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
