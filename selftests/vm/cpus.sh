#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A CPU of the host goes and comes back, again and again, with the interrupts of busy
# instances on it: they move, and no completion is lost.
#
# lab-options: --cpus 2
#
# Arguments: TIMES=N (10; full 50).

. "$(dirname "$0")/common.sh"
vm_args "$@"

TIMES=${TIMES:-${FULL:+50}}
TIMES=${TIMES:-10}
CPU1=/sys/devices/system/cpu/cpu1/online

interrupts()
{
	awk -F: '/lightiov/ { print $1 + 0 }' /proc/interrupts
}

# Not only where they happen to be: some on the CPU that will go.
spread_interrupts()
{
	local irq

	for irq in $(interrupts); do
		echo $((irq % 2)) >"/proc/irq/$irq/smp_affinity_list" || return 1
	done
}

busy_on_both_cpus()
{
	vm_host_ready && modprobe vfio_iommu_type1 && [ "$(cat $CPU1)" = 1 ] || return 1
	UUID=$(vm_instance 4q 2) || return 1
	vm_program_start "$UUID" || return 1
	spread_interrupts && grep lightiov /proc/interrupts
}

# In direct mode the module does not see completions; interrupts it does.
io_goes_on()
{
	local stat=completed before

	[ "$MODE" = guarded ] || stat=interrupts
	before=$(mdev_attr "$UUID" stats/$stat)
	l1_wait 30 stat_is_above $stat $((before + 50)) ||
		{ echo "$stat $before, then $(mdev_attr "$UUID" stats/$stat)"; return 1; }
}

stat_is_above()
{
	[ "$(mdev_attr "$UUID" "stats/$1")" -gt "$2" ]
}

cpu_goes_and_comes()
{
	local i irq

	for ((i = 1; i <= TIMES; i++)); do
		echo 0 >$CPU1 && io_goes_on || { echo "time $i: without it"; return 1; }
		for irq in $(interrupts); do
			cat "/proc/irq/$irq/effective_affinity_list"
		done | grep -q 1 && { echo "an interrupt is on a CPU that is gone"; return 1; }
		echo 1 >$CPU1 && io_goes_on || { echo "time $i: with it again"; return 1; }
		spread_interrupts || return 1
	done
}

nothing_was_lost()
{
	vm_program_stop && mdev_remove "$UUID"
}

for MODE in $MODES; do
	vm_test busy_on_both_cpus busy_on_both_cpus
	vm_test "cpu_goes_and_comes_${TIMES}_times" cpu_goes_and_comes
	vm_test nothing_was_lost nothing_was_lost
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
