#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A hostile guest amid its neighbours, in one namespace: the host's own partition
# with verified I/O all the time; in a second partition a neighbour with verified
# I/O, neighbours whose blocks are canaries, and blocks of nobody. What the hostile
# program (selftests/vfio/hostile) does shows nowhere else: every byte of the others
# is compared afterwards, their I/O goes on without an error.
#
# First through VFIO, without a guest; then from inside a guest, with its own memory
# and KVM behind its doorbells. GUEST=1: only that, GUEST=0: only the first.
#
# Arguments: full, SECS=N of each, SEED=N (printed; replays the commands).
#
# lab-options: --cpus 2, for GUEST=0: two threads that really race.

. "$(dirname "$0")/common.sh"
vm_args "$@"
# shellcheck disable=SC2034 # for common.sh
MODE=guarded

SECS=${SECS:-${FULL:+180}}
SECS=${SECS:-$(vm_is_debug_kernel && echo 90 || echo 20)}
SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
GUEST=${GUEST:-01}

CANARY=/out/vfio/canary
STAMPS_HOST=1 STAMPS_LEFT=2 STAMPS_RIGHT=3 STAMPS_P1=4

# In blocks of 512 bytes. In the second partition: blocks of nobody, then LEFT, BUSY,
# HOSTILE and RIGHT without a gap between them, then blocks of nobody again.
P1_START=2048 P1_COUNT=131072 P1_BUSY=65536
P2_START=133121 P2_COUNT=163839
LEFT=1003 LEFT_COUNT=16384
BUSY=17387 BUSY_COUNT=22616
HOSTILE=40003 HOSTILE_COUNT=32771
RIGHT=72774 RIGHT_COUNT=16384
END=89158

host_partitions_the_namespace()
{
	local ns

	vm_memory_has_many_addresses
	vm_host_ready && modprobe vfio_iommu_type1 && ns=$(l1_ns 0 1) || return 1
	[ "$(cat "/sys/block/${ns#/dev/}/queue/logical_block_size")" = 512 ] || return 1
	vm_partition "$ns" "$P1_START $P1_COUNT" "$P2_START $P2_COUNT" || return 1
	P1=${ns}p1 P2=${ns}p2
	l1_wait 5 test -b "$P2" || return 1
	$CANARY fill "$P2" 0 $P2_COUNT $STAMPS_HOST &&
		$CANARY fill "$P1" $P1_BUSY $((P1_COUNT - P1_BUSY)) $STAMPS_P1
}

# Two leave canaries, written through their own instances, which stay.
neighbours_move_in()
{
	LEFT_UUID=$(vm_instance 1q "$P2:$LEFT+$LEFT_COUNT") &&
		BUSY_UUID=$(vm_instance 2q "$P2:$BUSY+$BUSY_COUNT") &&
		HOSTILE_UUID=$(vm_instance 4q "$P2:$HOSTILE+$HOSTILE_COUNT") &&
		RIGHT_UUID=$(vm_instance 1q "$P2:$RIGHT+$RIGHT_COUNT") || return 1
	/out/vfio/liov_cycle "$LEFT_UUID" canary $STAMPS_LEFT &&
		/out/vfio/liov_cycle "$RIGHT_UUID" canary $STAMPS_RIGHT
}

# One pass after another until told to stop; the figures of the last remain.
host_io()
{
	while [ ! -e /run/fio.stop ]; do
		# shellcheck disable=SC2086 # lists of words
		$VM_FIO --name=host --filename="$P1" --size=$((P1_BUSY / 2))k \
			--rw=randrw --bs=16k --iodepth=4 $VM_VERIFY \
			--rate_iops=100,50 --time_based --runtime=3 >/run/fio.log 2>&1 || return 1
		echo pass >>/run/fio.passes
	done
}

neighbours_begin_their_io()
{
	rm -f /run/fio.stop /run/fio.passes
	host_io </dev/null &
	FIO_PID=$!
	vm_program_start "$BUSY_UUID" 19 && l1_wait 60 test -e /run/fio.passes ||
		{ cat /run/fio.log; return 1; }
}

neighbours_io_had_no_error()
{
	local rc=0 out

	vm_program_stop || rc=1
	: >/run/fio.stop
	wait "$FIO_PID" || rc=1
	out=$(cat /run/fio.log)
	vm_fio_figures "host, $(wc -l </run/fio.passes) passes, the last" "$out" ||
		{ tail -n 20 <<<"$out" | cut -c1-200; rc=1; }
	echo "neighbour: $(vm_stats "$BUSY_UUID")"
	return $rc
}

every_byte_of_the_others_is_as_it_was()
{
	$CANARY verify "$P1" $P1_BUSY $((P1_COUNT - P1_BUSY)) $STAMPS_P1 &&
		$CANARY verify "$P2" 0 $LEFT $STAMPS_HOST &&
		$CANARY verify "$P2" $LEFT $LEFT_COUNT $STAMPS_LEFT &&
		$CANARY verify "$P2" $RIGHT $RIGHT_COUNT $STAMPS_RIGHT &&
		$CANARY verify "$P2" $END $((P2_COUNT - END)) $STAMPS_HOST $END
}

# No block of anybody arrived in its range by a wrong read and a write after it.
hostile_range_has_nothing_foreign()
{
	$CANARY foreign "$P2" $HOSTILE $HOSTILE_COUNT 0x666 || return 1
	echo "hostile: $(vm_stats "$HOSTILE_UUID")"
}

guest_boots()
{
	vm_guest evil --mdev "$HOSTILE_UUID"
}

# A guest finds its NVMe function by the class.
hostile_in_the_guest()
{
	l2_exec evil --timeout $((SECS + 300)) "
		for d in /sys/bus/pci/devices/*; do
			grep -q ^0x010802 \$d/class || continue
			exec /payload/vfio/hostile --pci \${d##*/} $SECS $SEED
		done; echo 'Bail out! no NVMe function'; exit 1"
}

guest_survives()
{
	l2_exec evil 'dmesg | tail -n 3; cat /proc/uptime' && l2_stop evil
}

# The program's results are not of this script's plan; its exit code counts.
attack()
{
	"$@" || KTAP_FAIL=$((KTAP_FAIL + 1))
}

round()
{
	ktap_run "$1.neighbours_begin_their_io" neighbours_begin_their_io
	attack "${@:2}"
	ktap_run "$1.neighbours_io_had_no_error" neighbours_io_had_no_error
	ktap_run "$1.every_byte_of_the_others_is_as_it_was" every_byte_of_the_others_is_as_it_was
	ktap_run "$1.hostile_range_has_nothing_foreign" hostile_range_has_nothing_foreign
}

plan=3
case $GUEST in *0*) plan=$((plan + 4)) ;; esac
case $GUEST in *1*) plan=$((plan + 6)) ;; esac
ktap_plan $plan
echo "# seed $SEED"
ktap_run host_partitions_the_namespace host_partitions_the_namespace
ktap_run neighbours_move_in neighbours_move_in
case $GUEST in *0*)
	round vfio /out/vfio/hostile "$HOSTILE_UUID" "$SECS" "$SEED" ;;
esac
case $GUEST in *1*)
	ktap_run guest_boots guest_boots
	round guest hostile_in_the_guest
	ktap_run guest_survives guest_survives ;;
esac
ktap_run nothing_is_left vm_nothing_is_left
vm_finish
