#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Shared queue pairs: many instances on a few hardware pairs. None of them spends a pair; all
# do verified I/O at the same time; a guest beside greedy ones is served; exclusive instances
# stay what they were. What exclusive instances survive is tested by the other scenarios with
# SHARED=1.
#
# lab-options: --qpairs 8 --drive-opts throttling.bps-total=41943040
#
# Arguments: N=N instances at once (100), PAIRS=N shared by them (2).

. "$(dirname "$0")/common.sh"
vm_args "$@"
# shellcheck disable=SC2034 # for common.sh
MODE=guarded
# shellcheck disable=SC2034
SHARED=1

N=${N:-100}
PAIRS=${PAIRS:-2}
# What of a greedy neighbour's may be in front of a command: the window and a turn
# (kmod/queue/shared.c), and as much again for what the program sees late.
FRONT_KIB=$((2 * (2048 + 128)))

shared_pairs()
{
	echo "$1" >"/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/shared_pairs"
}

refuses()
{
	! "$@" 2>/dev/null
}

says()
{
	vm_log_says "$1" || { echo "no such line: $1"; vm_log_since_mark | tail -n 4; return 1; }
}

host_is_ready()
{
	vm_host_ready allow_direct=1 && modprobe vfio_iommu_type1
}

their_number_is_the_operators()
{
	local uuid free rc=0

	echo "as many as seem best: $(vm_parent_attr 0 shared_pairs)"
	refuses shared_pairs some && refuses shared_pairs -1 && shared_pairs "$PAIRS" &&
		[ "$(vm_parent_attr 0 shared_pairs)" = "$PAIRS" ] || return 1
	free=$(vm_parent_attr 0 queue_pairs_free)
	vm_log_mark
	uuid=$(vm_instance 2q 2) || return 1
	[ "$(vm_parent_attr 0 queue_pairs_free)" = $((free - PAIRS)) ] || rc=1
	refuses shared_pairs 1 && says 'devices use its shared queue pairs; remove them first' || rc=1
	refuses mdev_attr "$uuid" mode direct &&
		says "$uuid: its queue pairs are shared, which direct mode cannot have" || rc=1
	cat "/sys/bus/mdev/devices/$uuid/lightiov/queues"
	[ "$(grep -c shared "/sys/bus/mdev/devices/$uuid/lightiov/queues")" = 2 ] || rc=1
	mdev_remove "$uuid" && [ "$(vm_parent_attr 0 queue_pairs_free)" = "$free" ] || rc=1
	return $rc
}

# More than the drive has pairs.
all_at_once()
{
	LIGHTIOV_TYPE=nvme-lightiov-shared-2q \
		/out/vfio/liov_many "$(l1_bdf 0)" "$(l1_ns 0 1)" "$N" 5 4 sleepers >/run/all
	local rc=$?

	cat /run/all
	grep '"scale"' /run/all >/run/scale
	return $rc
}

each_gets_its_part()
{
	jq '"I/Os of one instance: \(.min_ios) to \(.max_ios)"' /run/scale
	[ "$(jq '.min_ios * 2 >= .max_ios and .min_ios > 0' /run/scale)" = true ]
}

# More queues than any type has pairs of its own, each with commands of its own.
a_queue_for_each_of_many_vcpus()
{
	local uuid rc=0 i

	uuid=$(vm_instance 64q 2) || return 1
	# Nothing is there of a queue before a guest makes it.
	[ ! -e "/sys/bus/mdev/devices/$uuid/lightiov/stats/q1" ] || rc=1
	vm_program_start "$uuid" 0 0 65536 || return 1
	for ((i = 1; i <= 64; i++)); do
		l1_wait 20 has_written "$uuid" "$i" || { echo "queue $i does nothing"; rc=1; }
	done
	echo "host memory: $(mdev_attr "$uuid" stats/host_memory_bytes) bytes"
	[ "$(grep -c 'sq 32 cq 32' "/sys/bus/mdev/devices/$uuid/lightiov/queues")" = 64 ] || rc=1
	vm_program_stop && mdev_remove "$uuid" || rc=1
	return $rc
}

has_written()
{
	local n

	n=$(mdev_attr "$1" "stats/q$2/commands_write" 2>/dev/null) && [ "$n" -gt 0 ]
}

# Without an order of service all of the greedy one's would be in front: they are on one
# namespace, whose pace is limited, and it serves what it has in turn.
# Arguments: what greedy is; "step": with queues that send together.
nobody_waits_behind()
{
	local greedy victim ns rc=0

	ns=$(l1_ns 0 1) && shared_pairs 1 && greedy=$(vm_instance "$1" "$ns:0+65536") &&
		victim=$(vm_instance 2q "$ns:65536+65536") || return 1
	/out/vfio/liov_share "$greedy" "$victim" 100 $FRONT_KIB ${2:+"$2"} || rc=1
	echo "greedy: $(vm_stats "$greedy")"
	[ "$(mdev_attr "$greedy" stats/held_shared)" -gt 0 ] || rc=1
	mdev_remove "$greedy" && mdev_remove "$victim" && shared_pairs "$PAIRS" || rc=1
	return $rc
}

nobody_waits_behind_a_greedy_neighbour()
{
	nobody_waits_behind 2q
}

# More queues are no more turns.
nobody_waits_behind_64_queues()
{
	nobody_waits_behind 64q
}

nobody_waits_behind_64_queues_in_step()
{
	nobody_waits_behind 64q step
}

# Both have more outstanding than they may; the one has three times the weight of the other.
weights_are_kept()
{
	local a b ns own percent rc=0

	ns=$(l1_ns 0 1) && shared_pairs 1 && own=$(SHARED='' vm_instance 1q 3) &&
		a=$(vm_instance 2q "$ns:0+65536") && b=$(vm_instance 2q "$ns:65536+65536") || return 1
	vm_log_mark
	refuses mdev_attr "$own" weight 200 && says "$own: its queue pairs are its own" || rc=1
	refuses mdev_attr "$a" weight 9 && refuses mdev_attr "$a" weight 1001 &&
		says "$a: no such weight" && mdev_attr "$a" weight 300 &&
		[ "$(mdev_attr "$a" weight) $(mdev_attr "$b" weight)" = "300 100" ] || rc=1
	percent=$(/out/vfio/liov_share "$a" "$b" 2000 both | tail -n 1) || rc=1
	echo "it had $percent % of the other's"
	[ "$percent" -ge 150 ] && [ "$percent" -le 600 ] || rc=1
	mdev_remove "$own" && mdev_remove "$a" && mdev_remove "$b" && shared_pairs "$PAIRS" || rc=1
	return $rc
}

# Beside an exclusive instance, two more shared ones and resets by the host.
guest_among_others()
{
	local own other rc=0 n

	own=$(SHARED='' vm_instance 1q 3) && other=$(vm_instance 4q 2) && GUEST=$(vm_instance 2q 1) &&
		vm_guest vm0 --mdev "$GUEST" && vm_guest_nvme vm0 && vm_program_start "$other" &&
		vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=16m --iodepth=4 \
			--verify=crc32c --verify_backlog=32 || return 1
	for ((n = 0; n < 3; n++)); do
		echo 1 >"/sys/class/nvme/$(l1_ctrl 0)/reset_controller"
		l1_wait 60 l1_ctrl_live 0 && vm_guest_goes_on vm0 "$GUEST" "$(vm_guest_ios vm0)" || rc=1
	done
	/out/vfio/liov_cycle "$own" 200 || rc=1
	vm_program_stop && vm_fio_stop vm0 && l2_stop vm0 || rc=1
	echo "guest: $(vm_stats "$GUEST")"
	[ "$(mdev_attr "$GUEST" stats/resumes)" = 3 ] || rc=1
	mdev_remove "$own" && mdev_remove "$other" && mdev_remove "$GUEST" || rc=1
	return $rc
}

vm_test host_is_ready host_is_ready
vm_test their_number_is_the_operators their_number_is_the_operators
vm_test "${N}_instances_on_${PAIRS}_pairs_work_at_once" all_at_once
vm_test each_gets_its_part each_gets_its_part
vm_test a_queue_for_each_of_many_vcpus a_queue_for_each_of_many_vcpus
vm_test nobody_waits_behind_a_greedy_neighbour nobody_waits_behind_a_greedy_neighbour
vm_test nobody_waits_behind_64_queues nobody_waits_behind_64_queues
vm_test nobody_waits_behind_64_queues_in_step nobody_waits_behind_64_queues_in_step
vm_test weights_are_kept weights_are_kept
vm_test guest_among_others guest_among_others
vm_test nothing_is_left vm_nothing_is_left
vm_run
