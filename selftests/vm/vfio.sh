#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user-space programs of selftests/vfio on fresh instances, in both modes: no
# KVM, no guest, every register and command by hand. They run through
# run_on_hardware, as they would on a real drive; their own KTAP goes out as it
# is. In guarded mode on a range of LBAs amid the host's own, where the host looks
# at what lies before and behind it.

. "$(dirname "$0")/common.sh"
vm_args "$@"

# A range in namespace 3, in blocks of 512 bytes; nothing is aligned to anything.
BEFORE=5003 COUNT=65533 BEHIND=$((5003 + 65533)) AFTER=4099
CANARY=/out/vfio/canary
CALLS=${CALLS:-${FULL:+1000000}}
CALLS=${CALLS:-200000}
CALLS_SEED=${CALLS_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}

# in_cgroup COMMAND...: in a memory cgroup of its own, if this kernel has these
in_cgroup()
{
	local dir=/sys/fs/cgroup

	mountpoint -q $dir || mount -t cgroup2 none $dir || return 1
	if ! grep -qw memory $dir/cgroup.controllers; then
		"$@"
		return
	fi
	echo +memory >$dir/cgroup.subtree_control && mkdir -p $dir/user || return 1
	(echo $BASHPID >$dir/user/cgroup.procs && "$@")
}

on_hardware()
{
	local hostile=5

	! vm_is_debug_kernel || hostile=60
	OUTPUT=/out/vfio LIGHTIOV_BDF=$(l1_bdf 0) LIGHTIOV_BACKING=$1 \
		LIGHTIOV_MODE=$MODE LIGHTIOV_HOSTILE=$hostile \
		in_cgroup "$LAB/../run_on_hardware"
}

# The programs' results are not of this script's plan; their exit code counts.
programs_on()
{
	echo "# --- $MODE mode on $1"
	on_hardware "$1" || KTAP_FAIL=$((KTAP_FAIL + 1))
}

host_is_ready()
{
	vm_memory_has_many_addresses
	vm_host_ready allow_direct=1
}

device_in_use_is_refused()
{
	local dev out

	dev=$(l1_ns 0 3) && mke2fs -q "$dev" 16m && mkdir -p /run/mnt && mount "$dev" /run/mnt || return 1
	out=$(on_hardware "$dev")
	umount /run/mnt
	echo "$out"
	grep -q '^Bail out.*in use' <<<"$out"
}

# LBA 0 of the guest is block BEFORE of the namespace, and so on to the last one.
every_block_of_a_range_is_where_it_belongs()
{
	local dev uuid rc=0

	dev=$(l1_ns 0 3) && $CANARY fill "$dev" 0 $((BEHIND + AFTER)) 1 || return 1
	uuid=$(vm_instance 1q "$dev:$BEFORE+$COUNT") || return 1
	/out/vfio/liov_cycle "$uuid" canary 2 || rc=1
	mdev_remove "$uuid" || rc=1
	$CANARY verify "$dev" $BEFORE $COUNT 2 && blocks_around_the_range_are_untouched &&
		return $rc
}

# Each call there is, then random ones, on one instance; another one on the same drive
# does verified I/O. CALLS=N, CALLS_SEED=N.
odd_calls_beside_a_neighbour_at_work()
{
	local uuid neighbour rc=0

	uuid=$(vm_instance 2q "$1") && neighbour=$(vm_instance 1q 1) &&
		vm_program_start "$neighbour" 10 || return 1
	LIGHTIOV_CALLS=$CALLS LIGHTIOV_SEED=$CALLS_SEED \
		/out/vfio/liov_abuse "$uuid" ioctl random log || rc=1
	vm_program_stop || rc=1
	echo "neighbour: $(vm_stats "$neighbour")"
	mdev_remove "$uuid" && mdev_remove "$neighbour" || rc=1
	return $rc
}

blocks_around_the_range_are_untouched()
{
	local dev

	dev=$(l1_ns 0 3) && $CANARY verify "$dev" 0 $BEFORE 1 &&
		$CANARY verify "$dev" $BEHIND $AFTER 1 $BEHIND
}

host_goes_on_working()
{
	vm_host_fio "host after it" --filename="$(l1_ns 0 1)" --rw=randwrite --bs=4k \
		--size=4m --iodepth=8 --verify=crc32c
}

guarded_tests()
{
	ktap_run "$MODE.device_in_use_is_refused" device_in_use_is_refused
	ktap_run "$MODE.every_block_of_a_range_is_where_it_belongs" \
		every_block_of_a_range_is_where_it_belongs
	programs_on "$(l1_ns 0 3):$BEFORE+$COUNT"
	ktap_run "$MODE.odd_calls_beside_a_neighbour_at_work" \
		odd_calls_beside_a_neighbour_at_work "$(l1_ns 0 3):$BEFORE+$COUNT"
	ktap_run "$MODE.blocks_around_the_range_are_untouched" \
		blocks_around_the_range_are_untouched
}

direct_tests()
{
	programs_on "$(l1_ns 0 2)"
	ktap_run "$MODE.odd_calls_beside_a_neighbour_at_work" \
		odd_calls_beside_a_neighbour_at_work "$(l1_ns 0 2)"
}

plan=3
case $MODES in *guarded*) plan=$((plan + 4)) ;; esac
case $MODES in *direct*) plan=$((plan + 1)) ;; esac
ktap_plan $plan
ktap_run host_is_ready host_is_ready
for MODE in $MODES; do
	"${MODE}_tests"
done
ktap_run host_goes_on_working host_goes_on_working
ktap_run nothing_is_left vm_nothing_is_left
vm_finish
