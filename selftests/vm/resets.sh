#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The host resets its controller again and again, with instances idle, open and
# busy and with verified I/O of its own: it keeps its namespaces, nothing warns,
# and the instances can be used afterwards.
#
# Arguments: full, guarded, direct, RESETS=N (25). The short variant has in direct
# mode 10 resets and no guest.

. "$(dirname "$0")/common.sh"
vm_args "$@"

host_and_instances()
{
	vm_host_ready && modprobe vfio_iommu_type1 || return 1
	IDLE=$(vm_instance 2q 1) && BUSY=$(vm_instance 2q 2) || return 1
	BUSY_LOG=/results/busy-$MODE.log
	CTRL=$(l1_ctrl 0)
}

reset_once()
{
	echo 1 >"/sys/class/nvme/$CTRL/reset_controller" || return 1
	l1_wait 30 l1_ctrl_live 0 || { echo "not live again"; return 1; }
}

# A user of the busy instance that starts over whenever a reset ended it.
keep_busy()
{
	while [ -e /run/busy ]; do
		/out/vfio/liov_cycle "$BUSY" >>"$BUSY_LOG" 2>&1
	done
}

resets_under_host_io_and_a_busy_instance()
{
	local i before after ns3 fio rc=0 resets=$1

	ns3=$(l1_ns 0 3) || return 1
	: >/run/busy
	keep_busy &
	fio --name=host --filename="$ns3" --rw=randrw --bs=4k --size=8m --direct=1 \
		--ioengine=io_uring --iodepth=8 --verify=crc32c --verify_backlog=32 \
		--time_based --runtime=1d --minimal >/results/host-fio.log 2>&1 &
	fio=$!
	sleep 2
	before=$(awk '{ print $1 + $5 }' "/sys/block/${ns3#/dev/}/stat")
	for ((i = 1; i <= resets; i++)); do
		reset_once || { rc=1; break; }
		sleep 0.4
		for n in 1 2 3; do
			l1_ns 0 $n >/dev/null || { echo "reset $i: namespace $n is gone"; rc=1; }
		done
	done
	after=$(awk '{ print $1 + $5 }' "/sys/block/${ns3#/dev/}/stat")
	rm /run/busy
	pkill -INT -x liov_cycle
	pkill -9 -x liov_cycle
	kill -INT $fio
	wait $fio
	echo "$resets resets, $((after - before)) host I/Os meanwhile"
	[ $after -gt "$before" ] || { echo "the host did no I/O"; rc=1; }
	if grep -iE 'verify:|error=|io_u error' /results/host-fio.log; then
		rc=1
	fi
	return $rc
}

instances_lost_and_found()
{
	local resets

	resets=$(grep -c ready "$BUSY_LOG")
	echo "the busy instance was brought up $resets times"
	[ "$resets" -ge 3 ] && l1_wait 20 l1_ctrl_live 0
}

both_instances_work_afterwards()
{
	local uuid

	for uuid in "$IDLE" "$BUSY"; do
		/out/vfio/liov_cycle "$uuid" 2000 || return 1
	done
}

whole_function_test_afterwards()
{
	/out/vfio/liov_basic "$IDLE" >/results/basic.log 2>&1 || { cat /results/basic.log; return 1; }
}

guest_ios()
{
	l2_exec vm0 "awk '{ print \$1 + \$5 }' /sys/block/nvme0n1/stat"
}

# The guest hears of it by an event and starts over; its I/O is repeated.
guest_recovers_by_itself()
{
	local i before after

	vm_guest vm0 --mdev "$IDLE" && vm_guest_nvme vm0 || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=32m --iodepth=8 $VM_VERIFY ||
		{ vm_guest_trouble vm0 "$IDLE"; return 1; }
	for ((i = 1; i <= 5; i++)); do
		before=$(guest_ios)
		reset_once || return 1
		for ((n = 0; n < 60; n++)); do
			after=$(guest_ios)
			[ "$after" -gt $((before + 64)) ] && break
			sleep 0.5
		done
		echo "reset $i: guest I/Os $before, then $after"
		[ "$after" -gt $((before + 64)) ] || {
			vm_guest_trouble vm0 "$IDLE"
			return 1
		}
	done
	vm_fio_stop vm0 && l2_stop vm0
}

for MODE in $MODES; do
	resets=25
	vm_all || resets=10
	resets=${RESETS:-$resets}
	vm_test host_and_instances host_and_instances
	vm_test "${resets}_resets_under_host_io_and_a_busy_instance" \
		resets_under_host_io_and_a_busy_instance "$resets"
	vm_test instances_lost_and_found instances_lost_and_found
	vm_test both_instances_work_afterwards both_instances_work_afterwards
	vm_test whole_function_test_afterwards whole_function_test_afterwards
	if vm_all; then
		vm_test guest_recovers_by_itself guest_recovers_by_itself
	fi
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
