#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Create, attach, do I/O, kill -9, remove, over and over, in both modes: counters,
# pins and memory end where they were.

. "$(dirname "$0")/common.sh"
vm_args "$@"

# In each mode.
CYCLES=${CYCLES:-$([ -n "$FULL" ] && echo 200 || echo 40)}
WARM_UP=10

host_is_ready()
{
	vm_host_ready allow_direct=1 && modprobe vfio_iommu_type1
}

# A different type each time, killed a little later each time.
one_cycle()
{
	local i=$1 types=(1q 2q 4q) uuid

	uuid=$(vm_instance "${types[i % 3]}" $((1 + i % 2))) || return 1
	vm_program_start "$uuid" || return 1
	sleep "0.0$((i % 10))"
	vm_program_kill && mdev_remove "$uuid"
}

cycles_from_to()
{
	local i

	for ((i = $1; i < $2; i++)); do
		one_cycle $i || { echo "cycle $i failed"; return 1; }
	done
}

# Slabs and caches fill in the first rounds; what counts is the growth after.
warm_up()
{
	cycles_from_to 0 $WARM_UP && vm_baseline
	echo "free memory: $VM_MIB MiB, pins: $VM_PINS"
}

kill_9_cycles()
{
	local start=$SECONDS

	cycles_from_to $WARM_UP $((WARM_UP + CYCLES)) || return 1
	echo "$CYCLES cycles in $((SECONDS - start)) s"
}

counters_and_memory_are_back()
{
	# A leak of one page a cycle would be under 1 MiB: pins are exact, and
	# one ring of 4 KiB a queue would show in Slab or here over 200 cycles.
	vm_counters_are_back 24
}

# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test host_is_ready host_is_ready
	vm_test warm_up warm_up
	vm_test "kill_9_cycles_$CYCLES" kill_9_cycles
	vm_test counters_and_memory_are_back counters_and_memory_are_back
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
