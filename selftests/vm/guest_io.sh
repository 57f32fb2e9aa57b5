#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A stock guest does real work on its queue pairs: ext4, and fio with
# verification, with 1, 2 and 4 vCPUs on as many pairs. What it wrote is read
# back through the host.
#
# Arguments: full (a minute at each depth, all depths with each number of vCPUs, in both
# modes), guarded, direct, SECS=N, GUESTS="1 2 4".

. "$(dirname "$0")/common.sh"
vm_args "$@"

SECS=${SECS:-${FULL:+60}}
SECS=${SECS:-5}
DISK=/dev/nvme0n1

guest_with_as_many_queues_as_vcpus()
{
	local n=$1

	G=vm$n
	UUID=$(vm_instance "${n}q" 2) || return 1
	vm_guest "$G" --cpus "$n" --mdev "$UUID" && vm_guest_nvme "$G" || return 1
	l2_exec "$G" "dmesg | grep 'default/read/poll'
		cat /sys/class/nvme/nvme0/queue_count
		set -- /sys/block/nvme0n1/mq/[0-9]*; echo \$# hardware contexts
		[ \$(cat /sys/class/nvme/nvme0/queue_count) = $((n + 1)) ] &&
		[ \$# = $n ]" || return 1
	mdev_attr "$UUID" queues
	[ "$(mdev_attr "$UUID" queues | grep -c 'sq 1024 cq 1024')" = "$n" ]
}

ext4_holds_files()
{
	l2_exec "$G" --timeout 120 "set -e; mkdir -p /tmp/m
		mkfs.ext4 -q -F $DISK
		mount $DISK /tmp/m
		cp -r /usr/lib/modules/\$(uname -r)/kernel/fs /tmp/m/
		dd if=/dev/urandom of=/tmp/m/big bs=1M count=16 status=none
		(cd /usr/lib/modules/\$(uname -r)/kernel && find fs -type f | xargs sha256sum) >/tmp/sums
		umount /tmp/m; mount $DISK /tmp/m
		cd /tmp/m && sha256sum --quiet -c /tmp/sums && wc -l </tmp/sums
		cd /; umount /tmp/m; e2fsck -fn $DISK | tail -n 1"
}

mixed_blocks()
{
	# shellcheck disable=SC2086 # lists of words
	vm_fio "$G" "$1 vCPU, mixed 4k-1m, QD $2" --filename=$DISK --rw=randrw \
		$VM_MIXED_BS --size=512m --iodepth="$2" $VM_VERIFY \
		--time_based --runtime="$SECS"
}

fixed_blocks()
{
	# shellcheck disable=SC2086 # lists of words
	vm_fio "$G" "$1 vCPU, $2, QD $3" --filename=$DISK --rw=randrw --bs="$2" \
		--size=512m --iodepth="$3" $VM_VERIFY \
		--time_based --runtime="$(((SECS + 2) / 3))"
}

# Every vCPU uses its own pair.
all_vcpus_at_once()
{
	# shellcheck disable=SC2086 # lists of words
	vm_fio "$G" "$1 jobs, 4k, QD 8" --filename=$DISK --rw=randrw --bs=4k \
		--numjobs="$1" --cpus_allowed="0-$(($1 - 1))" \
		--cpus_allowed_policy=split --size=128m --offset_increment=128m \
		--iodepth=8 $VM_VERIFY --time_based --runtime="$(((SECS + 1) / 2))"
}

host_reads_what_the_guest_wrote()
{
	local sum

	sum=$(l2_exec "$G" "dd if=/dev/urandom of=/tmp/data bs=1M count=24 status=none
		dd if=/tmp/data of=$DISK bs=1M seek=77 oflag=direct status=none
		sha256sum </tmp/data | cut -c1-64") || return 1
	vm_guest_log_is_clean "$G" || return 1
	vm_stats "$UUID"
	l2_stop "$G" || return 1
	mdev_remove "$UUID" || return 1
	[ "$(vm_host_sha "$(l1_ns 0 2)" 77 24)" = "$sum" ]
}

# depths VCPUS: all of them, or in the short variant with one guest only
depths()
{
	if [ -z "$FULL" ] && vm_all && [ "$1" = 4 ]; then
		echo 128
	else
		echo 1 32 128
	fi
}

# guests: numbers of vCPUs; fewer in the short variant
guests()
{
	if [ -n "${GUESTS:-}" ]; then
		echo "$GUESTS"
	elif [ -n "$FULL" ]; then
		echo 1 2 4
	elif vm_all; then
		echo 1 4
	else
		echo 2
	fi
}

# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test host_is_ready vm_host_ready
	for n in $(guests); do
		vm_test "guest_with_${n}_vcpus_gets_${n}_io_queues" \
			guest_with_as_many_queues_as_vcpus "$n"
		vm_test "ext4_holds_files_with_${n}_vcpus" ext4_holds_files
		for qd in $(depths "$n"); do
			vm_test "mixed_blocks_are_verified_at_qd_${qd}_with_${n}_vcpus" \
				mixed_blocks "$n" "$qd"
		done
		if [ "$n" = 1 ]; then
			vm_test fixed_4k_is_verified fixed_blocks 1 4k 16
			vm_test fixed_1m_is_verified fixed_blocks 1 1m 4
		else
			vm_test "all_${n}_vcpus_do_io_at_once" all_vcpus_at_once "$n"
			vm_test "fixed_1m_is_verified_with_${n}_vcpus" fixed_blocks "$n" 1m 4
		fi
		vm_test "host_reads_what_the_guest_with_${n}_vcpus_wrote" \
			host_reads_what_the_guest_wrote
	done
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
