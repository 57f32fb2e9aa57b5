#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The host resets its controller again and again, with instances idle, open and
# busy and with verified I/O of its own: it keeps its namespaces, nothing warns,
# and the instances can be used afterwards. In guarded mode users of instances see a
# pause and nothing else; in direct mode they start over. As the drive is slow, this
# is also where guarded instances lose memory that it is still using.
#
# lab-options: --drive-opts throttling.bps-total=4194304, so that commands are in flight.
#
# Arguments: full (100 resets under a guest, then under its ext4, then under a hostile
# user; all of liov_basic on the slow drive),
# guarded, direct, RESETS=N (15), GUEST_RESETS=N (8). The short variant has in direct mode
# 10 resets, and a guest only for those that come while it starts over.

. "$(dirname "$0")/common.sh"
vm_args "$@"

GUEST_RESETS=${GUEST_RESETS:-${FULL:+100}}
GUEST_RESETS=${GUEST_RESETS:-8}

host_and_instances()
{
	local range=

	# One that can grow.
	[ "$MODE" = direct ] || range=:0+524288
	vm_host_ready && modprobe vfio_iommu_type1 || return 1
	IDLE=$(vm_instance 2q "$(l1_ns 0 1)$range") && BUSY=$(vm_instance 2q 2) || return 1
	BUSY_LOG=/results/busy-$MODE.log
	CTRL=$(l1_ctrl 0)
}

reset_once()
{
	echo 1 >"/sys/class/nvme/$CTRL/reset_controller" || return 1
	l1_wait 30 l1_ctrl_live 0 || { echo "not live again"; return 1; }
}

# not_paused UUID: its queues are there
not_paused()
{
	[ "$(mdev_attr "$1" state)" = enabled ]
}

# The next reset finds the queues made again.
wait_for_queues()
{
	[ "$MODE" = direct ] || l1_wait 30 not_paused "$1" ||
		{ echo "state $(mdev_attr "$1" state)"; return 1; }
}

pauses()
{
	local s

	for s in resumes replayed not_replayed longest_pause_us; do
		echo "$s $(mdev_attr "$1" stats/$s)"
	done | paste -sd ' '
}

# A user of the busy instance; in direct mode it starts over whenever a reset ended it.
keep_busy()
{
	local child

	# The device must be the program's, not this shell's.
	trap 'kill $child' TERM
	while [ -e /run/busy ]; do
		/out/vfio/liov_cycle "$BUSY" >>"$BUSY_LOG" 2>&1 &
		child=$!
		wait $child
		[ "$MODE" = direct ] || break
	done
	wait $child
	echo "exit $?" >>"$BUSY_LOG"
}

# busy_was_ready TIMES
busy_was_ready()
{
	[ "$(grep -c ready "$BUSY_LOG")" -ge "$1" ]
}

resets_under_host_io_and_a_busy_instance()
{
	local i before after ns3 fio busy n rc=0 resets=$1

	ns3=$(l1_ns 0 3) || return 1
	: >/run/busy
	: >"$BUSY_LOG"
	keep_busy &
	busy=$!
	l1_wait 30 busy_was_ready 1 || { cat "$BUSY_LOG"; rc=1; }
	fio --name=host --filename="$ns3" --rw=randrw --bs=4k --size=8m --direct=1 \
		--ioengine=io_uring --iodepth=8 --verify=crc32c --verify_backlog=32 \
		--time_based --runtime=1d --minimal >/results/host-fio.log 2>&1 &
	fio=$!
	sleep 2
	before=$(awk '{ print $1 + $5 }' "/sys/block/${ns3#/dev/}/stat")
	for ((i = 1; i <= resets; i++)); do
		reset_once || { rc=1; break; }
		wait_for_queues "$BUSY" || rc=1
		# In direct mode it is lost once it has begun, a while after a reset.
		if [ "$MODE" = direct ] && [ $((i % 4)) = 0 ]; then
			n=$(grep -c ready "$BUSY_LOG")
			l1_wait 20 busy_was_ready $((n + 1)) || { echo "reset $i: it does not come up"; rc=1; }
		else
			sleep 0.4
		fi
		for n in 1 2 3; do
			l1_ns 0 $n >/dev/null || { echo "reset $i: namespace $n is gone"; rc=1; }
		done
	done
	after=$(awk '{ print $1 + $5 }' "/sys/block/${ns3#/dev/}/stat")
	rm /run/busy
	kill $busy
	wait $busy
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
	# Once for each fourth of at least ten resets.
	[ "$resets" -ge 3 ] && l1_wait 20 l1_ctrl_live 0
}

# What it reads is what it wrote, or liov_cycle fails.
busy_instance_saw_a_pause()
{
	pauses "$BUSY"
	grep -v ready "$BUSY_LOG"
	[ "$(grep -c ready "$BUSY_LOG")" = 1 ] && grep -q '^exit 0' "$BUSY_LOG" &&
		grep -q ' 0 failed' "$BUSY_LOG" &&
		[ "$(mdev_attr "$BUSY" stats/resumes)" = "$1" ] &&
		[ "$(mdev_attr "$BUSY" stats/replayed)" -gt 0 ]
}

both_instances_work_afterwards()
{
	local uuid

	for uuid in "$IDLE" "$BUSY"; do
		/out/vfio/liov_cycle "$uuid" 2000 || return 1
	done
}

# Two instances in one container, each needing a second to let go of its memory: VFIO
# takes the host down when it has asked ten times in vain.
memory_goes_at_the_first_call()
{
	local mib=256 n=6

	[ -z "$FULL" ] || { mib=1024; n=20; }
	/out/vfio/liov_unmap "$IDLE" "$BUSY" $mib $n
}

whole_function_test_afterwards()
{
	/out/vfio/liov_basic "$IDLE" >/results/basic.log 2>&1 || { cat /results/basic.log; return 1; }
}

guest_nvme_log()
{
	l2_exec vm0 'dmesg | sed "1,/vm-resets-begin/d" | grep -E "nvme|I/O error|hung"'
}

# In direct mode the guest hears of it by an event and starts over; its I/O is
# repeated. In guarded mode its driver does not notice.
guest_goes_on()
{
	local resumes

	vm_guest vm0 --mdev "$IDLE" && vm_guest_nvme vm0 || return 1
	resumes=$(mdev_attr "$IDLE" stats/resumes)
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=64k --size=32m --iodepth=8 $VM_VERIFY ||
		{ vm_guest_trouble vm0 "$IDLE"; return 1; }
	l2_exec vm0 'echo vm-resets-begin >/dev/kmsg'
	guest_over_resets "$1" || return 1
	pauses "$IDLE"
	vm_fio_stop vm0 || return 1
	if [ "$MODE" = guarded ]; then
		guest_nvme_log && { echo "the guest noticed"; return 1; }
		[ "$(mdev_attr "$IDLE" stats/resumes)" = $((resumes + $1)) ]
	fi
}

# guest_over_resets N: each time its I/O goes on
guest_over_resets()
{
	local i before

	for ((i = 1; i <= $1; i++)); do
		before=$(vm_guest_ios vm0) && reset_once && wait_for_queues "$IDLE" &&
			vm_guest_goes_on vm0 "$IDLE" "$before" || { echo "reset $i"; return 1; }
	done
}

queues_are_made()
{
	[ "$(mdev_attr "$IDLE" state)" = enabled ] && mdev_attr "$IDLE" queues | grep -q hardware
}

# Direct mode: just when its driver has made its queues anew, and would not hear of it.
resets_while_it_starts_over()
{
	local i before

	l2_alive vm0 || { vm_guest vm0 --mdev "$IDLE" && vm_guest_nvme vm0; } || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=16k --size=16m --iodepth=8 $VM_VERIFY ||
		return 1
	for ((i = 1; i <= 5; i++)); do
		before=$(vm_guest_ios vm0) && reset_once && l1_wait 30 queues_are_made &&
			reset_once && reset_once && vm_guest_goes_on vm0 "$IDLE" "$before" ||
			{ echo "time $i"; return 1; }
	done
	pauses "$IDLE"
	# Of the three, the first was a start, the others pauses.
	vm_fio_stop vm0 && l2_stop vm0 && [ "$(mdev_attr "$IDLE" stats/resumes)" -ge 5 ]
}

# What an application sees: a file system and fsync.
ext4_goes_on()
{
	local rc=0

	l2_exec vm0 --timeout 120 'mkfs.ext4 -q -F /dev/nvme0n1 && mkdir -p /tmp/m &&
		mount /dev/nvme0n1 /tmp/m' || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --directory=/tmp/m --allow_file_create=1 --rw=randrw --bs=16k \
		--size=8m --iodepth=4 --fsync=8 $VM_VERIFY || return 1
	guest_over_resets "$1" || rc=1
	pauses "$IDLE"
	vm_fio_stop vm0 || rc=1
	l2_exec vm0 --timeout 120 'umount /tmp/m && e2fsck -fn /dev/nvme0n1 >/tmp/fsck.log 2>&1 ||
		{ cat /tmp/fsck.log; exit 1; }' || rc=1
	l2_exec vm0 dmesg | grep -iE 'EXT4-fs (error|warning)|Buffer I/O|I/O error|JBD2.*err' && rc=1
	return $rc
}

# What was in flight is done first, as it may reach what will no longer belong to the
# guest.
resizing_during_resets()
{
	local i n ns nlb=524288 rc=0

	ns=$(l1_ns 0 1) || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=64k --size=32m --iodepth=32 $VM_VERIFY ||
		return 1
	for ((i = 1; i <= 10; i++)); do
		nlb=$((nlb - 8))
		echo 1 >"/sys/class/nvme/$CTRL/reset_controller" &
		for ((n = 0; n < 100 * i; n++)); do :; done
		echo "$ns:0+$nlb shrink" >"/sys/bus/mdev/devices/$IDLE/lightiov/backing" ||
			{ rc=1; break; }
		wait $!
		l1_wait 30 l1_ctrl_live 0 && wait_for_queues "$IDLE" || { rc=1; break; }
	done
	pauses "$IDLE"
	vm_fio_stop vm0 || rc=1
	[ "$(l2_exec vm0 'cat /sys/block/nvme0n1/size')" = $nlb ] || rc=1
	guest_nvme_log | grep -iE 'error|timeout|reset|abort|fatal|hung' && rc=1
	l2_stop vm0 || rc=1
	return $rc
}

# What it has in flight loses its memory while the controller is down: that is given
# up, or the drive would write to memory that is another's by then.
#
# One run in six ends with L1's QEMU: its nvme fails an assertion of its own
# (block_account_one_io) when it is reset with such commands in flight.
hostile_user_over_resets()
{
	local pid n rc=0 seed=$RANDOM

	/out/vfio/hostile "$BUSY" 15 $seed resets >/results/hostile.log 2>&1 &
	pid=$!
	for ((n = 0; ; n++)); do
		kill -0 $pid 2>/dev/null || break
		reset_once || { rc=1; break; }
		sleep "0.$((RANDOM % 7))"
	done
	wait $pid || { grep -vE '^ok' /results/hostile.log; rc=1; }
	echo "seed $seed, $n resets"
	grep -E 'commands in .* ms' /results/hostile.log | tail -n 1
	pauses "$BUSY"
	return $rc
}

# A direct user is killed while its new queues wait for the end of resets; whoever opens the
# device next, in guarded mode, has other rings at the same doorbells.
next_user_in_guarded_mode_is_left_alone()
{
	local i rc=0

	for ((i = 0; i < 4; i++)); do
		mdev_attr "$BUSY" mode direct && reset_once || return 1
		/out/vfio/liov_cycle "$BUSY" >/run/direct.log 2>&1 &
		sleep "0.$((4 + i))"
		kill -9 $!
		wait $! 2>/dev/null
		mdev_attr "$BUSY" mode guarded || return 1
		vm_program_start "$BUSY" && sleep 3 && vm_program_stop || { rc=1; break; }
	done
	mdev_attr "$BUSY" mode direct && return $rc
}

for MODE in $MODES; do
	resets=15
	vm_all || resets=10
	[ -z "$FULL" ] || resets=25
	resets=${RESETS:-$resets}
	vm_test host_and_instances host_and_instances
	vm_test "${resets}_resets_under_host_io_and_a_busy_instance" \
		resets_under_host_io_and_a_busy_instance "$resets"
	if [ "$MODE" = guarded ]; then
		vm_test busy_instance_saw_a_pause_only busy_instance_saw_a_pause "$resets"
	else
		vm_test instances_lost_and_found instances_lost_and_found
	fi
	vm_test both_instances_work_afterwards both_instances_work_afterwards
	[ "$MODE" = guarded ] ||
		vm_test next_user_in_guarded_mode_is_left_alone next_user_in_guarded_mode_is_left_alone
	if [ "$MODE" = guarded ]; then
		vm_test memory_goes_at_the_first_call memory_goes_at_the_first_call
	fi
	[ -z "$FULL" ] ||
		vm_test whole_function_test_afterwards whole_function_test_afterwards
	if vm_all; then
		vm_test "guest_goes_on_over_${GUEST_RESETS}_resets" guest_goes_on "$GUEST_RESETS"
		[ -z "$FULL" ] ||
			vm_test "ext4_with_fsync_goes_on_over_${GUEST_RESETS}_resets" \
				ext4_goes_on "$GUEST_RESETS"
	fi
	if [ "$MODE" = direct ]; then
		vm_test guest_goes_on_over_resets_while_it_starts_over resets_while_it_starts_over
	fi
	if [ "$MODE" = guarded ]; then
		vm_test resizing_during_resets_loses_nothing resizing_during_resets
	fi
	if [ "$MODE" = guarded ] && [ -n "$FULL" ]; then
		vm_test hostile_user_over_resets_harms_nobody hostile_user_over_resets
	fi
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
