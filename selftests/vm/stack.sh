#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How much of its stack a thread has used when it is in the module, for every way in:
# a doorbell that KVM reports, a halt, an access to a region, the calls of nvme in a reset,
# work items; and what pinning adds to the first. By ftrace's stack tracer, under a load in
# a guest and on the host, with resets by the guest and by the host in between. Interrupts
# have stacks of their own, and the tracer does not look at these.
#
# Arguments: guarded, direct; SECS=N of each of the two measurements (40).

. "$(dirname "$0")/common.sh"
vm_args "$@"

SECS=${SECS:-40}
TRACE=/sys/kernel/tracing
TRACER=/proc/sys/kernel/stack_tracer_enabled
# Of 16 KiB: what is left has to do for an interrupt's entry and for what is not met here.
MOST=12288

# The tracer keeps the deepest stack of all that it looked at, of any thread; it looks when
# one of the functions in its filter is entered. So it begins anew every half a second.
#
# ways_in: its stack, if the module is on it: "WAY DEPTH OURS" - how deep it was all in
# all, and what of it the module's own frames are
ways_in()
{
	awk '
	$1 ~ /^[0-9]+\)$/ {
		if (!deep)
			deep = $2
		if (/\[lightiov\]/) {
			ours += $3
			# The outermost one of ours says how it came in.
			way = $4
		}
	}
	END {
		sub(/\+.*/, "", way)
		if (way)
			print way, deep, ours
	}' $TRACE/stack_trace
}

# functions_of MODULE: those that ftrace can see. (The tracer's filter knows no ":mod:".)
functions_of()
{
	awk -v module="[$1]" '$2 == module { print $1 }' $TRACE/available_filter_functions
}

# measure FILE FUNCTION...: appends to FILE while the load goes on
measure()
{
	local file=$1 end=$((SECONDS + SECS))

	shift
	echo 0 >$TRACER
	printf '%s\n' "$@" >$TRACE/stack_trace_filter || return 1
	while [ $SECONDS -lt $end ]; do
		echo 0 >$TRACE/stack_max_size
		echo 1 >$TRACER
		sleep 0.5
		echo 0 >$TRACER
		ways_in >>"$file"
		disturb
	done
}

# The host resets the drive, the guest its controller, some program an instance of its own.
TURN=0
disturb()
{
	TURN=$((TURN + 1))
	case $((TURN % 16)) in
	4) echo 1 >"/sys/class/nvme/$CTRL/reset_controller" ;;
	8) /out/vfio/liov_cycle "$PROGRAM" 20 >/dev/null 2>&1 ;;
	12) l2_exec vm0 --timeout 60 'dd if=/dev/nvme0n1 of=/dev/null bs=1M count=64 status=none
		echo 3 >/proc/sys/vm/drop_caches' >/dev/null 2>&1 ;;
	esac
	return 0
}

guest_and_host_are_at_work()
{
	vm_host_ready && modprobe vfio_iommu_type1 || return 1
	CTRL=$(l1_ctrl 0)
	UUID=$(vm_instance 2q 1) && PROGRAM=$(vm_instance 1q 3) &&
		vm_guest vm0 --mdev "$UUID" && vm_guest_nvme vm0 || return 1
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randread --bs=4k --size=16m --iodepth=4
	$VM_FIO --name=host --filename="$(l1_ns 0 2)" --rw=randread --bs=4k --size=16m --iodepth=4 \
		--time_based --runtime=1d >/run/host-fio.log 2>&1 </dev/null &
	HOST_FIO=$!
}

every_way_in_leaves_room()
{
	local rc=0

	if [ ! -e $TRACER ]; then
		echo "this kernel has no stack tracer (CONFIG_STACK_TRACER)"
		return "$KSFT_SKIP"
	fi
	: >/results/stack
	# Ours, then what is below them where they pin, and the page allocator under that.
	# shellcheck disable=SC2046 # one a word
	measure /results/stack $(functions_of lightiov) || rc=1
	# shellcheck disable=SC2046
	measure /results/stack $(functions_of vfio_iommu_type1) vfio_pin_pages handle_mm_fault \
		get_page_from_freelist || rc=1
	echo "way in, the deepest stack with it, the most of it in frames of the module:"
	sort /results/stack | awk '
	$1 != way { if (way) print "  " way, deep, ours; way = $1; deep = ours = 0 }
	{ if ($2 > deep) deep = $2; if ($3 > ours) ours = $3 }
	END { if (way) print "  " way, deep, ours }'
	awk -v most=$MOST '$2 > most { print "too deep: " $0; bad = 1 } END { exit bad || !NR }' \
		/results/stack || rc=1
	grep -q '^liov_track_write ' /results/stack || { echo "no doorbell was met"; rc=1; }
	return $rc
}

all_goes_on()
{
	local rc=0

	kill "$HOST_FIO"
	wait "$HOST_FIO" 2>/dev/null
	l1_wait 60 l1_ctrl_live 0 || rc=1
	vm_fio_stop vm0 || rc=1
	l2_stop vm0 && vm_remove_all && rmmod lightiov && rmmod nvme && return $rc
}

# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test guest_and_host_are_at_work guest_and_host_are_at_work
	vm_test every_way_in_leaves_room every_way_in_leaves_room
	vm_test all_goes_on all_goes_on
done
vm_run
