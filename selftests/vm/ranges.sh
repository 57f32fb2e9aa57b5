#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Four guarded instances on four LBA ranges of one namespace at the same time, in
# its second partition, while the host uses a file system in the first. Every
# byte is verified: by the guests, by the host in its file system, and in the end
# by the host in the whole second partition, where each range must hold what its
# guest wrote and everything else what the host had left there.
#
# Short: two guests with two instances each. Full: four guests, a minute of I/O.
#
# Arguments: full, SECS=N, GUESTS=N (1, 2 or 4).

. "$(dirname "$0")/common.sh"
vm_args "$@"
# shellcheck disable=SC2034 # for common.sh
MODE=guarded

SECS=${SECS:-${FULL:+60}}
SECS=${SECS:-8}
GUESTS=${GUESTS:-${FULL:+4}}
GUESTS=${GUESTS:-2}

# In logical blocks of 512 bytes. Ranges 0 and 1 touch, 3 ends where the partition
# does, and nothing is aligned.
P1_START=2048 P1_COUNT=524288
P2_START=526336 P2_COUNT=163841
FIRST=(1003 33771 67001 131073)
COUNT=(32768 32769 32768 32768)
UUIDS=()
DISKS=()

# A text in which every block says whose it is and which one. Arguments: tag,
# number of the first block, number of blocks.
PATTERN='import sys
tag, i, count = b"%-40s" % sys.argv[1].encode(), int(sys.argv[2]), int(sys.argv[3])
end = i + count
while i < end:
    n = min(i + 1024, end)
    sys.stdout.buffer.write(b"".join([(tag + b"%23d\n" % j) * 8 for j in range(i, n)]))
    i = n'

pattern()
{
	python3 -c "$PATTERN" "$@"
}

sha()
{
	sha256sum | cut -c1-64
}

# partition_sha FIRST COUNT: of the second partition, from the drive
partition_sha()
{
	dd if="$P2" bs=64k skip=$(($1 * 512)) count=$(($2 * 512)) \
		iflag=direct,skip_bytes,count_bytes status=none | sha
}

host_partitions_the_namespace()
{
	local ns

	ns=$(l1_ns 0 1) || return 1
	[ "$(cat "/sys/block/${ns#/dev/}/queue/logical_block_size")" = 512 ] || return 1
	vm_partition "$ns" "$P1_START $P1_COUNT" "$P2_START $P2_COUNT" || return 1
	P1=${ns}p1 P2=${ns}p2
	l1_wait 5 test -b "$P2" || return 1
	[ "$(blockdev --getsz "$P2")" = $P2_COUNT ] || return 1
	pattern host 0 $P2_COUNT |
		dd of="$P2" bs=64k iflag=fullblock oflag=direct status=none || return 1
	mkdir -p /tmp/p1
	mkfs.ext4 -q -F "$P1" && mount "$P1" /tmp/p1
}

four_ranges_of_one_partition()
{
	local i uuid

	for i in 0 1 2 3; do
		uuid=$(vm_instance 1q "$P2:${FIRST[i]}+${COUNT[i]}") || return 1
		UUIDS+=("$uuid")
		echo "$uuid: $(mdev_attr "$uuid" backing)"
	done
	# The partition is taken, as a whole and in parts; the other is not.
	uuid=$(vm_create 1q) || return 1
	for i in "$P2" "$P2:1003+1" "$P2:0+1004" "$P2:131072+2" "$P2:0+$P2_COUNT" "$P1"; do
		if mdev_attr "$uuid" backing "$i" 2>/dev/null; then
			echo "$i can be taken a second time"
			return 1
		fi
	done
	mdev_remove "$uuid" || return 1
	if mkfs.ext4 -q -F "$P2" 2>/dev/null; then
		echo "the host can claim the partition"
		return 1
	fi
}

# guest_of I: instance I's guest
guest_of()
{
	echo "g$(($1 % GUESTS))"
}

# Ranges that touch belong to different guests.
guests_come_up()
{
	local g i args

	for ((g = 0; g < GUESTS; g++)); do
		args=()
		for i in 0 1 2 3; do
			[ "$(guest_of $i)" != g$g ] || args+=(--mdev "${UUIDS[i]}")
		done
		l2_start g$g --mem 640 "${args[@]}" || return 1
	done
	for ((g = 0; g < GUESTS; g++)); do
		l2_wait_up g$g 480 && vm_guest_nvme g$g $((4 / GUESTS)) || return 1
	done
	for i in 0 1 2 3; do
		DISKS[i]=$(vm_guest_disk "$(guest_of $i)" "${UUIDS[i]}") || return 1
		[ "$(l2_exec "$(guest_of $i)" "blockdev --getsz ${DISKS[i]}")" = "${COUNT[i]}" ] ||
			{ echo "range $i has another size"; return 1; }
	done
	echo "${DISKS[*]}"
}

# disk_sha I: of all of the disk, as its guest reads it
disk_sha()
{
	l2_exec "$(guest_of "$1")" --timeout 120 \
		"dd if=${DISKS[$1]} bs=64k iflag=direct status=none | sha256sum | cut -c1-64"
}

each_sees_its_own_blocks()
{
	local i rc=0

	for i in 0 1 2 3; do
		[ "$(disk_sha $i)" = "$(pattern host "${FIRST[i]}" "${COUNT[i]}" | sha)" ] ||
			{ echo "range $i reads other blocks"; rc=1; }
	done
	return $rc
}

# beyond I FIRST COUNT: a read of these blocks of disk I fails
beyond()
{
	local out

	if out=$(l2_exec "$(guest_of "$1")" "nvme read ${DISKS[$1]} -s $2 -c $(($3 - 1)) \
			-z $(($3 * 512)) -d /tmp/beyond 2>&1"); then
		echo "range $1: $3 blocks from $2 can be read"
		return 1
	fi
	grep -q -i -E 'LBA_RANGE|LBA.*out of range' <<<"$out" || { echo "$out"; return 1; }
}

nobody_reads_beyond_its_end()
{
	local i rc=0

	for i in 0 1 2 3; do
		beyond $i "${COUNT[i]}" 1 || rc=1
		beyond $i $((COUNT[i] - 1)) 2 || rc=1
		beyond $i 0xffffffffffffffff 2 || rc=1
	done
	return $rc
}

everybody_verifies_at_once()
{
	local g i jobs rc=0
	local -a verify

	read -ra verify <<<"$VM_VERIFY $VM_MIXED_BS"
	for ((g = 0; g < GUESTS; g++)); do
		jobs=
		for i in 0 1 2 3; do
			[ "$(guest_of $i)" != g$g ] || jobs+=" --name=r$i --filename=${DISKS[i]}"
		done
		# Options before the first name are every job's.
		l2_exec g$g --timeout $((SECS + 180)) "fio --minimal --ioengine=io_uring \
			--direct=1 --rw=randrw --iodepth=16 --allow_file_create=0 \
			${verify[*]} --time_based --runtime=$SECS $jobs" >/tmp/fio-g$g.log 2>&1 &
		echo $! >/tmp/fio-g$g.pid
	done
	fio --minimal --name=host --filename=/tmp/p1/fio --size=64m --ioengine=io_uring \
		--direct=1 --rw=randrw --iodepth=16 "${verify[@]}" --time_based \
		--runtime="$SECS" >/tmp/fio-host.log 2>&1 || rc=1
	vm_fio_figures "host's file" "$(</tmp/fio-host.log)" || rc=1
	for ((g = 0; g < GUESTS; g++)); do
		wait "$(cat /tmp/fio-g$g.pid)" || { echo "guest g$g: fio failed"; rc=1; }
		vm_fio_figures "guest g$g" "$(</tmp/fio-g$g.log)" ||
			{ cut -c1-200 /tmp/fio-g$g.log; rc=1; }
		[ "$(grep -c '^3;' /tmp/fio-g$g.log)" = $((4 / GUESTS)) ] || rc=1
		vm_guest_log_is_clean g$g || rc=1
	done
	return $rc
}

each_fills_its_range()
{
	local g i cmd rc=0

	for ((g = 0; g < GUESTS; g++)); do
		cmd="cat >/tmp/pattern <<'END'
$PATTERN
END
"
		for i in 0 1 2 3; do
			[ "$(guest_of $i)" != g$g ] || cmd+="python3 /tmp/pattern ${UUIDS[i]} 0 ${COUNT[i]} |
				dd of=${DISKS[i]} bs=64k iflag=fullblock oflag=direct status=none &
			"
		done
		l2_exec g$g --timeout 180 "$cmd wait" &
		echo $! >/tmp/fill-g$g.pid
	done
	python3 -c "$PATTERN" file 0 65536 >/tmp/p1/file || rc=1
	for ((g = 0; g < GUESTS; g++)); do
		wait "$(cat /tmp/fill-g$g.pid)" || rc=1
	done
	for i in 0 1 2 3; do
		[ "$(disk_sha $i)" = "$(pattern "${UUIDS[i]}" 0 "${COUNT[i]}" | sha)" ] ||
			{ echo "range $i reads other data than were written"; rc=1; }
	done
	return $rc
}

guests_and_instances_go()
{
	local g uuid rc=0

	for ((g = 0; g < GUESTS; g++)); do
		vm_guest_log_is_clean g$g || rc=1
		l2_stop g$g || rc=1
	done
	for uuid in "${UUIDS[@]}"; do
		vm_stats "$uuid"
		mdev_remove "$uuid" || rc=1
	done
	return $rc
}

host_finds_every_block_in_its_place()
{
	local i at=0 rc=0

	for i in 0 1 2 3; do
		[ "$(partition_sha "${FIRST[i]}" "${COUNT[i]}")" = \
			"$(pattern "${UUIDS[i]}" 0 "${COUNT[i]}" | sha)" ] ||
			{ echo "range $i: other data on the drive"; rc=1; }
		if [ $at -lt "${FIRST[i]}" ]; then
			echo "blocks $at to $((FIRST[i] - 1)) are the host's"
			[ "$(partition_sha $at $((FIRST[i] - at)))" = \
				"$(pattern host $at $((FIRST[i] - at)) | sha)" ] ||
				{ echo "they have changed"; rc=1; }
		fi
		at=$((FIRST[i] + COUNT[i]))
	done
	[ $at = $P2_COUNT ] || rc=1
	return $rc
}

hosts_file_system_is_whole()
{
	local rc=0

	umount /tmp/p1 && e2fsck -fn "$P1" | tail -n 1 && mount "$P1" /tmp/p1 || return 1
	[ "$(sha </tmp/p1/file)" = "$(pattern file 0 65536 | sha)" ] ||
		{ echo "the host's file has changed"; rc=1; }
	umount /tmp/p1 || rc=1
	return $rc
}

vm_test host_is_ready vm_host_ready
vm_test host_partitions_the_namespace host_partitions_the_namespace
vm_test four_ranges_of_one_partition four_ranges_of_one_partition
vm_test "${GUESTS}_guests_come_up" guests_come_up
vm_test each_sees_its_own_blocks each_sees_its_own_blocks
vm_test nobody_reads_beyond_its_end nobody_reads_beyond_its_end
vm_test guests_and_host_verify_at_once everybody_verifies_at_once
vm_test each_fills_its_range each_fills_its_range
vm_test guests_and_instances_go guests_and_instances_go
vm_test host_finds_every_block_in_its_place host_finds_every_block_in_its_place
vm_test hosts_file_system_is_whole hosts_file_system_is_whole
vm_test nothing_is_left vm_nothing_is_left
vm_run
