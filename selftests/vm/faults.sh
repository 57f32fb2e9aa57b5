#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every allocation that is made on behalf of the module, one after the other, fails:
# while an instance is created, configured, opened, brought up, used, closed and removed,
# and while the host resets the controller under one.
# Whatever failed says so, nothing is lost, and the next attempt works; a reset ends with
# the gate open. And the drive
# refuses to delete a queue. Needs a kernel with fault injection: KERNEL=debug.
#
# Arguments: MAX=N (allocations of each walk, 2000).

. "$(dirname "$0")/common.sh"
vm_args "$@"

MAX=${MAX:-2000}
DEBUGFS=/sys/kernel/debug
LOG=/run/faults.log
# How many allocations each kind has been asked about since L1 came up: the kernel
# counts, and does not tell.
declare -A ASKED=([failslab]=0 [fail_page_alloc]=0)

injection_is_there()
{
	vm_memory_has_many_addresses
	vm_host_ready allow_direct=1 && modprobe vfio_iommu_type1 && BACKING=$(l1_ns 0 1) || return 1
	PARENT=/sys/bus/pci/devices/$(l1_bdf 0)
	NEW_UUID=$(cat /proc/sys/kernel/random/uuid)
	[ -d $DEBUGFS/failslab ] && [ -d $DEBUGFS/fail_page_alloc ]
}

# symbol_range NAME: first address of a function and the next symbol's
symbol_range()
{
	sort /proc/kallsyms | awk -v name="$1" 'found { print first, $1; exit }
		$3 == name { first = $1; found = 1 }'
}

# arm_filter ACTION: only where the module is on the stack, in any task, and those that
# may sleep too. Not in functions of the kernel that do not cope: when vfio_create_group()
# fails, VFIO warns of itself (vfio_group_release(), WARN_ON(group->iommu_group)) and loses
# the IOMMU group; what register_irq_proc() could not make is missed when it is removed.
arm_filter()
{
	local dir range reject=vfio_create_group

	[ "$1" != use ] || reject=register_irq_proc
	range=$(awk '$4 == "[lightiov]" && $2 ~ /[tT]/ { print $1 }' /proc/kallsyms |
		sort | sed -n '1p;$p' | paste -sd ' ')
	reject=$(symbol_range $reject)
	[ -n "$range" ] && [ -n "$reject" ] || { echo "no symbols"; return 1; }
	for dir in failslab fail_page_alloc; do
		dir=$DEBUGFS/$dir
		echo 0 >$dir/probability
		echo 0 >$dir/verbose
		echo N >$dir/ignore-gfp-wait
		[ ! -e $dir/ignore-gfp-highmem ] || echo N >$dir/ignore-gfp-highmem
		[ ! -e $dir/min-order ] || echo 0 >$dir/min-order
		echo 32 >$dir/stacktrace-depth
		echo "0x${range% *}" >$dir/require-start || return 1
		printf '0x%x\n' $((0x${range#* } + 0x1000)) >$dir/require-end || return 1
		echo "0x${reject% *}" >$dir/reject-start
		echo "0x${reject#* }" >$dir/reject-end || return 1
	done
}

# with_fault KIND N COMMAND...: the N-th allocation from here on fails, one only. The
# kernel fails each interval-th of all that were ever counted: with their number so far
# in the interval, that is the N-th from now. Sets FIRED and RC.
with_fault()
{
	local kind=$1 n=$2 dir=$DEBUGFS/$1 left

	shift 2
	echo $((ASKED[$kind] + n)) >$dir/interval
	echo 1 >$dir/times
	echo 100 >$dir/probability
	"$@" >$LOG 2>&1
	RC=$?
	echo 0 >$dir/probability
	read -r left <$dir/times
	if [ "$left" = 0 ]; then
		FIRED=1
		# An interval of one fails without counting.
		[ $((ASKED[$kind] + n)) -eq 1 ] || ASKED[$kind]=$((ASKED[$kind] + n))
	else
		# Fewer than N were made: those that the walk has failed before.
		FIRED=
		ASKED[$kind]=$((ASKED[$kind] + n - 1))
	fi
}

# What an action that failed left is in order, with nothing failing any more. A process
# costs more here than all else.
KEEP=
clean_up()
{
	local i pins free

	for ((i = 0; i < 50; i++)); do
		pins_now
		[ "$pins" != "$VM_PINS" ] || break
		sleep 0.1
	done
	[ "$pins" = "$VM_PINS" ] || { echo "pinned pages: $pins, were $VM_PINS"; return 1; }
	[ -z "$KEEP" ] || return 0
	[ ! -e "/sys/bus/mdev/devices/$NEW_UUID" ] || mdev_remove "$NEW_UUID" || return 1
	read -r free <"$PARENT/lightiov/queue_pairs_free"
	[ "$free" = "$VM_FREE" ] || { echo "free queue pairs: $free, were $VM_FREE"; return 1; }
}

# vm_pins() without a process.
pins_now()
{
	local name value

	read -r name </proc/sys/vm/stat_refresh
	pins=0
	while read -r name value; do
		case $name in
		nr_foll_pin_acquired) pins=$((pins + value)) ;;
		nr_foll_pin_released) pins=$((pins - value)) ;;
		esac
	done </proc/vmstat
}

# walk KIND ACTION: until no allocation is left that has not failed once
walk()
{
	local kind=$1 action=$2 n failed=0 survived=0

	arm_filter "$action" || return 1
	for ((n = 1; n <= MAX; n++)); do
		with_fault "$kind" $n "$action"
		if [ $RC -gt 4 ] || [[ $(<$LOG) == *"no completion for"* ]]; then
			echo "allocation $n: hung or crashed (exit $RC)"
			cat $LOG
			return 1
		fi
		if [ -z "$FIRED" ]; then
			[ $RC = 0 ] || { cat $LOG; echo "failed with no fault"; return 1; }
			break
		fi
		[ $RC = 0 ] && survived=$((survived + 1)) || failed=$((failed + 1))
		clean_up || { echo "after allocation $n of $kind:"; tail -n 5 $LOG; return 1; }
	done
	echo "$((n - 1)) allocations: $failed were reported, $survived did no harm"
	[ $n -gt 1 ] && [ $n -le "$MAX" ] || return 1
	# Of few pages: slabs make do with smaller ones.
	[ $failed -gt 0 ] || [ "$kind $action" = "fail_page_alloc create_and_remove" ] || return 1
	# And with nothing failing all is as ever.
	$action && clean_up
}

# No process is made for it: each of its allocations would have its stack walked.
create_and_remove()
{
	local type=$PARENT/mdev_supported_types/nvme-lightiov-2q
	local dir=/sys/bus/mdev/devices/$NEW_UUID rc=0

	echo "$NEW_UUID" >"$type/create" || return 1
	[ "$MODE" = guarded ] || echo "$MODE" >"$dir/lightiov/mode" || rc=1
	echo "$BACKING" >"$dir/lightiov/backing" || rc=1
	echo 1 >"$dir/remove" || rc=1
	return $rc
}

# With as little memory as it can do with: direct mode maps all of it, and each page that is
# pinned is an allocation.
use()
{
	/out/vfio/liov_cycle "$USED" 20 512
}

# One instance all the time: each attempt has to do with what the last one left.
walk_use()
{
	local rc

	USED=$(vm_instance 2q 1) || return 1
	KEEP=1
	walk "$1" use
	rc=$?
	KEEP=
	mdev_remove "$USED" && clean_up || return 1
	return $rc
}

# With a fork less than cat.
parent_is_live()
{
	local state

	read -r state <"$PARENT/lightiov/state"
	[ "$state" = live ]
}

program_goes_on()
{
	local state

	[ "$MODE" = guarded ] || return 0
	read -r state <"/sys/bus/mdev/devices/$USED/lightiov/state"
	[ "$state" = enabled ] && ! vm_is_gone "$VM_PROGRAM"
}

# Returns when nvme is done with it; then the module looks at the controller.
host_reset()
{
	echo 1 >"/sys/class/nvme/$CTRL/reset_controller" || return 1
	l1_wait 30 parent_is_live || { echo "the gate stays closed"; return 1; }
	l1_wait 40 program_goes_on || { echo "the program has no queues"; return 1; }
}

# Whatever could not be had is had later: no reset fails for it, nor does a guest notice.
walk_reset()
{
	local kind=$1 n rc=0

	CTRL=$(l1_ctrl 0) && USED=$(vm_instance 2q 1) && vm_program_start "$USED" || return 1
	arm_filter use || return 1
	for ((n = 1; n <= MAX; n++)); do
		with_fault "$kind" $n host_reset
		if [ $RC -ne 0 ]; then
			echo "allocation $n:"
			cat $LOG
			rc=1
			break
		fi
		[ -n "$FIRED" ] || break
	done
	echo "$((n - 1)) allocations failed"
	# Of few pages there may be none.
	[ $n -gt 1 ] || [ "$kind" = fail_page_alloc ] || rc=1
	vm_program_kill || rc=1
	use || rc=1
	mdev_remove "$USED" && clean_up || rc=1
	return $rc
}

# The reset of the controller is then the only fence left. nvme itself makes the status of
# the next admin command that completes: Internal Error, and not to be retried (4006h).
deletion_that_fails()
{
	local uuid inject rc=0

	uuid=$(vm_instance 2q 1) && inject=$DEBUGFS/$(l1_ctrl 0)/fault_inject || return 1
	vm_program_start "$uuid" || return 1
	vm_log_mark
	echo 0 >"$inject/verbose" && echo 6 >"$inject/status" && echo 1 >"$inject/times" && echo 100 >"$inject/probability" ||
		return 1
	vm_program_kill || rc=1
	echo 0 >"$inject/probability"
	vm_log_says 'deleting hardware queue [0-9]+ .* failed \(16390\)' &&
		vm_log_says 'resetting .* to get its queues back' ||
		{ vm_log_since_mark; rc=1; }
	l1_wait 60 l1_drive_ready 0 && /out/vfio/liov_cycle "$uuid" 200 || rc=1
	mdev_remove "$uuid" && clean_up || rc=1
	# Said on purpose.
	dmesg -C
	return $rc
}

if [ ! -d $DEBUGFS/failslab ]; then
	ktap_plan 1
	ktap_skip allocations_that_fail "this kernel has no fault injection (KERNEL=debug has)"
	vm_finish
fi
# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test injection_is_there injection_is_there
	for kind in failslab fail_page_alloc; do
		vm_test "create_and_remove_$kind" walk $kind create_and_remove
		vm_test "use_$kind" walk_use $kind
		vm_test "reset_$kind" walk_reset $kind
	done
	vm_test deletion_that_fails_is_answered_by_a_reset deletion_that_fails
	vm_test counters_are_back vm_counters_are_back
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
