#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What an instance stores on: which text is understood, which claims are refused
# and what a claim keeps the host from; and a running guest whose namespace grows
# and shrinks under its I/O. Partitions are made without a table, by the ioctl that
# partitioning tools use to tell the kernel.
#
# Wants three namespaces beside the usual three: 4 with 8 bytes of metadata per
# block, 5 with blocks of 4 KiB, 6 zoned. Without them three tests are skipped.
#
# lab-options: --qemu-arg -drive --qemu-arg if=none,id=meta,driver=null-co,size=64M,read-zeroes=on --qemu-arg -device --qemu-arg nvme-ns,drive=meta,bus=nvme0,nsid=4,ms=8 --qemu-arg -drive --qemu-arg if=none,id=big,driver=null-co,size=64M,read-zeroes=on --qemu-arg -device --qemu-arg nvme-ns,drive=big,bus=nvme0,nsid=5,logical_block_size=4096,physical_block_size=4096 --qemu-arg -drive --qemu-arg if=none,id=zoned,driver=null-co,size=64M,read-zeroes=on --qemu-arg -device --qemu-arg nvme-ns,drive=zoned,bus=nvme0,nsid=6,zoned=true,zoned.zone_size=4M
#
# Arguments: full (20 rounds of resizing), ROUNDS=N, ONLY=host (only what the host's own
# commands do, see backing_host.sh).

. "$(dirname "$0")/common.sh"
vm_args "$@"
# shellcheck disable=SC2034 # for common.sh
MODE=guarded

# The host's own driver, on 7.3, when it first reads of the namespace with metadata.
echo 'block drivers/iommu/dma-iommu.c:[0-9]+ at dma_iova_link' >>/results/allow

ROUNDS=${ROUNDS:-${FULL:+20}}
ROUNDS=${ROUNDS:-4}

# Blocks of 512 bytes. Nothing is before 2048, between the two, or behind them.
P1_START=2048 P1_COUNT=262144
P2_START=266240 P2_COUNT=524288

# BLKPG: add, del or resize a partition. Arguments: op, device, number, first
# sector, sectors.
BLKPG='import ctypes, fcntl, os, sys
class Part(ctypes.Structure):
    _fields_ = [("start", ctypes.c_longlong), ("length", ctypes.c_longlong),
                ("pno", ctypes.c_int), ("names", ctypes.c_char * 128)]
class Arg(ctypes.Structure):
    _fields_ = [("op", ctypes.c_int), ("flags", ctypes.c_int),
                ("datalen", ctypes.c_int), ("data", ctypes.c_void_p)]
op = {"add": 1, "del": 2, "resize": 3}[sys.argv[1]]
pno, start, count = (int(a) for a in sys.argv[3:6])
part = Part(start * 512, count * 512, pno)
arg = Arg(op, 0, ctypes.sizeof(part), ctypes.addressof(part))
fd = os.open(sys.argv[2], os.O_RDONLY)
try:
    fcntl.ioctl(fd, 0x1269, arg)
except OSError as err:
    sys.exit("BLKPG %s: %s" % (sys.argv[1], err.strerror))'

part()
{
	python3 -c "$BLKPG" "$@"
}

# opens_exclusively DEVICE: as mkfs and mount do
opens_exclusively()
{
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)' "$1" 2>/dev/null
}

host_is_ready()
{
	vm_host_ready || return 1
	NS=$(l1_ns 0 1) && NS2=$(l1_ns 0 2) || return 1
	P1=${NS}p1 P2=${NS}p2
	SECTORS=$(blockdev --getsz "$NS")
	part add "$NS" 1 $P1_START $P1_COUNT && part add "$NS" 2 $P2_START $P2_COUNT &&
		l1_wait 5 test -b "$P1" && l1_wait 5 test -b "$P2" || return 1
	A=$(vm_create 1q) && B=$(vm_create 1q) || return 1
	echo "$NS: $SECTORS sectors, $P1 $P1_START+$P1_COUNT, $P2 $P2_START+$P2_COUNT"
}

backing()
{
	mdev_attr "$1" backing "$2"
}

# refused ERROR REGEX UUID TEXT: with that error and that line in the log, and the
# backing is what it was
refused()
{
	local before

	before=$(mdev_attr "$3" backing)
	vm_log_mark
	if backing "$3" "$4" 2>/tmp/refused.log; then
		echo "not refused: $4"
		return 1
	fi
	if ! grep -qi "$1" /tmp/refused.log; then
		echo "$4: not \"$1\" but $(grep -o '[^:]*$' /tmp/refused.log)"
		vm_log_since_mark
		return 1
	fi
	vm_log_says "$2" || { echo "$4: no line: $2"; vm_log_since_mark; return 1; }
	[ "$(mdev_attr "$3" backing)" = "$before" ] ||
		{ echo "$4: the backing is now $(mdev_attr "$3" backing)"; return 1; }
}

EXISTS='no such file'
RANGE='out of range\|result'
BUSY='busy'
PERM='not permitted'
NOTSUP='not supported'

malformed_text()
{
	local t

	for t in "$NS:" "$NS:1" "$NS:1+" "$NS:+1" "$NS:1-2" "$NS:a+b" "$NS:1+2x" "$NS:1++2" \
	    "$NS:-1+2" "$NS 1+2" "$NS shrin"; do
		refused "$EXISTS" 'no such device .a range is written' "$A" "$t" || return 1
	done
	refused "$RANGE" 'a number beyond 64 bits' "$A" "$NS:18446744073709551616+1" &&
		refused 'block device' 'not a block device' "$A" /dev &&
		refused 'invalid' 'neither a namespace of .* nor a partition' "$A" /dev/vda
}

range_outside_the_device()
{
	refused "$RANGE" 'is not inside' "$A" "$NS:0+0" &&
		refused "$RANGE" 'is not inside' "$A" "$NS:0+$((SECTORS + 1))" &&
		refused "$RANGE" 'is not inside' "$A" "$NS:$SECTORS+1" &&
		refused "$RANGE" 'is not inside' "$A" "$NS:$((SECTORS - 1))+2" &&
		refused "$RANGE" 'is not inside' "$A" "$NS:0xffffffffffffffff+1" &&
		refused "$RANGE" 'is not inside' "$A" "$NS:1+0xffffffffffffffff" &&
		refused "$RANGE" 'is not inside' "$A" "$P2:0+$((P2_COUNT + 1))" &&
		refused "$RANGE" 'is not inside' "$A" "$P2:$P2_COUNT+1"
}

ranges_at_the_edges()
{
	backing "$A" "$NS:0+$SECTORS" && backing "$A" "$NS:$((SECTORS - 1))+1" &&
		backing "$A" "$P2:0x0+0x$(printf '%x' $P2_COUNT)" &&
		[ "$(mdev_attr "$A" backing)" = "$P2:0x0+0x$(printf '%x' $P2_COUNT)" ] &&
		backing "$A" "$P2:$((P2_COUNT - 1))+1" && backing "$A" "$P2" &&
		backing "$A" "$NS" && backing "$A" "" && [ -z "$(mdev_attr "$A" backing)" ]
}

overlapping_instances()
{
	local n rc

	backing "$A" "$P2:100+1000" || return 1
	n=$((P2_START + 100))
	refused "$BUSY" "LBAs $n to $((n + 999)) of namespace 1 belong to $A" "$B" "$NS" &&
		refused "$BUSY" "belong to $A" "$B" "$P2" &&
		refused "$BUSY" "belong to $A" "$B" "$P2:1099+1" &&
		refused "$BUSY" "belong to $A" "$B" "$P2:0+101" &&
		refused "$BUSY" "belong to $A" "$B" "$NS:$n+1" &&
		backing "$B" "$P2:1100+1" && backing "$B" "$P2:0+100" &&
		backing "$B" "$NS:$((n + 1000))+1" && backing "$B" "$P1" &&
		backing "$B" "$NS2" && refused "$BUSY" "belong to $B" "$A" "$NS2:5+1" &&
		backing "$A" "$P2:0+2000"
	rc=$?
	backing "$A" "" && backing "$B" "" || rc=1
	return $rc
}

# A range of the namespace that lies in one partition leaves the other to the host.
mounted_partition()
{
	local rc

	mkdir -p /tmp/m
	mkfs.ext4 -q -F "$P1" && mount "$P1" /tmp/m || return 1
	refused "$BUSY" 'mounted or in use; release it' "$A" "$P1" &&
		refused "$BUSY" 'mounted or in use; release it' "$A" "$NS" &&
		refused "$BUSY" 'the partition it lies in is mounted' "$A" "$NS:$P1_START+1" &&
		refused "$BUSY" 'make a partition over the range' "$A" "$NS:0+100" &&
		refused "$BUSY" 'make a partition over the range' "$A" \
			"$NS:$((P2_START - 1))+2" &&
		backing "$A" "$NS:$P2_START+$P2_COUNT" &&
		dd if=/dev/urandom of=/tmp/m/file bs=1M count=4 conv=fsync status=none
	rc=$?
	umount /tmp/m
	backing "$A" "" || rc=1
	return $rc
}

claimed_partition_and_the_host()
{
	local rc=0

	backing "$A" "$NS:$((P2_START + 8))+8" || return 1
	! mount -t ext4 "$P2" /tmp/m 2>/dev/null || { echo "mounted"; umount /tmp/m; rc=1; }
	! mkfs.ext4 -q -F "$P2" >/dev/null 2>&1 || { echo "mkfs worked"; rc=1; }
	! opens_exclusively "$P2" || { echo "partition opened"; rc=1; }
	! opens_exclusively "$NS" || { echo "namespace opened"; rc=1; }
	! part del "$NS" 2 0 0 || { echo "partition deleted"; rc=1; }
	! blockdev --rereadpt "$NS" 2>/dev/null || { echo "table read again"; rc=1; }
	opens_exclusively "$P1" || { echo "the other partition is not free"; rc=1; }
	opens_exclusively "$NS2" || { echo "the other namespace is not free"; rc=1; }
	backing "$A" "" || rc=1
	opens_exclusively "$P2" || { echo "not released"; rc=1; }
	return $rc
}

# A range in no partition takes all of the namespace from the host, but not from
# other instances.
claimed_namespace_and_the_host()
{
	local rc=0

	backing "$A" "$NS:0+8" && backing "$B" "$P2:0+8" || return 1
	! opens_exclusively "$P1" || { echo "partition opened"; rc=1; }
	! opens_exclusively "$NS" || { echo "namespace opened"; rc=1; }
	! blockdev --rereadpt "$NS" 2>/dev/null || { echo "table read again"; rc=1; }
	backing "$A" "" || rc=1
	! opens_exclusively "$P1" || { echo "partition opened while B has all"; rc=1; }
	backing "$B" "" || rc=1
	opens_exclusively "$NS" || { echo "not released"; rc=1; }
	return $rc
}

metadata()
{
	local ns

	ns=$(l1_ns 0 4 1) || { echo "no namespace 4"; return "$KSFT_SKIP"; }
	refused "$NOTSUP" 'formatted with 8 bytes of metadata' "$A" "$ns" &&
		refused "$NOTSUP" 'formatted with 8 bytes of metadata' "$A" "$ns:0+8"
}

blocks_of_4k()
{
	local ns rc

	ns=$(l1_ns 0 5 1) || { echo "no namespace 5"; return "$KSFT_SKIP"; }
	# Sectors of 512 bytes: LBAs 16 to 47.
	part add "$ns" 1 128 256 && l1_wait 5 test -b "${ns}p1" || return 1
	refused "$RANGE" 'not inside .* 16384 logical blocks of 4096 bytes' "$A" "$ns:0+16385" &&
		refused "$RANGE" 'not inside .* 32 logical blocks' "$A" "${ns}p1:0+33" &&
		backing "$A" "${ns}p1:31+1" &&
		refused "$BUSY" "LBAs 47 to 47 of namespace 5 belong to $A" "$B" "$ns:47+1" &&
		backing "$B" "$ns:46+1" && ! opens_exclusively "${ns}p1"
	rc=$?
	backing "$A" "" && backing "$B" "" && part del "$ns" 1 0 0 || rc=1
	return $rc
}

# The host can shrink a partition that is claimed.
lbas_gone_at_open()
{
	local rc

	modprobe vfio_iommu_type1
	backing "$A" "$P2:$((P2_COUNT - 8))+8" &&
		part resize "$NS" 2 $P2_START $((P2_COUNT - 8)) || return 1
	vm_log_mark
	! /out/vfio/liov_cycle "$A" 1 2>&1 && vm_log_says 'no longer there; write the backing again'
	rc=$?
	part resize "$NS" 2 $P2_START $P2_COUNT && backing "$A" "" || rc=1
	return $rc
}

# ---- a running guest ----

# In sectors: what the guest starts with, and what its I/O stays within.
SMALL=131072
IO_MIB=32

guest_starts()
{
	NS3=$(l1_ns 0 3) && backing "$A" "$P2:0+$SMALL" && mdev_remove "$B" &&
		G=$(vm_instance 1q "$NS3") || return 1
	vm_guest vm0 --mdev "$A" --mdev "$G" && vm_guest_nvme vm0 2 || return 1
	DISK=$(vm_guest_disk vm0 "$A") && SECOND=$(vm_guest_disk vm0 "$G") && guest_has "$SMALL" &&
		vm_fio_start vm0 --filename="$DISK" --rw=randrw --bs=4k --size=${IO_MIB}m \
			--iodepth=16 "$VM_VERIFY"
}

guest_sectors()
{
	l2_exec vm0 "blockdev --getsz $DISK"
}

# guest_has SECTORS [SECONDS]: the guest knows that size
guest_has()
{
	local start=$SECONDS n

	while :; do
		n=$(guest_sectors)
		[ "$n" != "$1" ] || return 0
		! l1_time_is_up $start "${2:-0}" || break
		sleep 0.3
	done
	echo "the guest sees $n sectors, not $1"
	return 1
}

other_backings_are_refused()
{
	refused "$BUSY" 'does not begin where' "$A" "$P2:1+$((SMALL * 2))" &&
		refused "$BUSY" 'does not begin where' "$A" "$NS2" &&
		refused "$BUSY" 'does not begin where' "$A" "$P1" &&
		refused "$BUSY" 'cannot be released' "$A" "" &&
		refused "$RANGE" 'is not inside' "$A" "$P2:0+$((P2_COUNT + 1))" &&
		guest_has "$SMALL"
}

guest_grows()
{
	# What lies behind is the host's until now.
	backing "$A" "$P2:0+$((SMALL * 2))" && guest_has $((SMALL * 2)) 20 || return 1
	l2_exec vm0 "yes $A | dd of=$DISK bs=64k seek=$((SMALL / 128)) \
			count=$((SMALL / 128)) iflag=fullblock oflag=direct status=none &&
		! dd if=/dev/zero of=$DISK bs=512 seek=$((SMALL * 2)) count=1 \
			oflag=direct status=none 2>/dev/null" || return 1
	[ "$(yes "$A" 2>/dev/null | head -c $((SMALL * 512)) | sha256sum)" = \
	  "$(dd if="$P2" bs=64k skip=$((SMALL / 128)) count=$((SMALL / 128)) \
		iflag=direct status=none | sha256sum)" ] || { echo "other data"; return 1; }
	guest_io_goes_on
}

guest_io_goes_on()
{
	l2_exec vm0 'pgrep -x fio >/dev/null' || { echo "fio ended"; return 1; }
}

# The size a partition has now counts, so it can grow under a guest.
guest_grows_with_its_partition()
{
	backing "$A" "$P2" && guest_has $P2_COUNT 20 || return 1
	part resize "$NS" 2 $P2_START $((P2_COUNT * 2)) && backing "$A" "$P2" &&
		guest_has $((P2_COUNT * 2)) 20 && guest_io_goes_on
}

shrinking_needs_confirmation()
{
	refused "$PERM" "$((P2_COUNT * 2 - SMALL)) logical blocks from a running guest" \
		"$A" "$P2:0+$SMALL" && guest_has $((P2_COUNT * 2))
}

stat()
{
	cat "/sys/bus/mdev/devices/$A/lightiov/stats/$1"
}

guest_shrinks()
{
	local before other rc

	backing "$A" "$P2:0+$SMALL shrink" && guest_has "$SMALL" 20 || return 1
	[ "$(mdev_attr "$A" backing)" = "$P2:0+$SMALL" ] || return 1
	# A guest that does not care about its new size is refused.
	before=$(stat refused_lba)
	l2_exec vm0 "! nvme write ${DISK} --start-block=$SMALL --block-count=0 \
			--data-size=512 --data=/dev/zero &&
		! nvme read ${DISK} --start-block=$((SMALL - 1)) --block-count=1 \
			--data-size=1024 --data=/dev/null &&
		nvme read ${DISK} --start-block=$((SMALL - 1)) --block-count=0 \
			--data-size=512 >/dev/null" || return 1
	[ "$(stat refused_lba)" = $((before + 2)) ] ||
		{ echo "refused_lba: $before, then $(stat refused_lba)"; return 1; }
	# Others can have what it gave up.
	other=$(vm_instance 1q "$P2:$SMALL+8") || return 1
	refused "$BUSY" "belong to $other" "$A" "$P2"
	rc=$?
	mdev_remove "$other" && guest_io_goes_on || rc=1
	return $rc
}

resizing_again_and_again()
{
	local i

	for ((i = 0; i < ROUNDS; i++)); do
		backing "$A" "$P2:0+$((SMALL * 3))" && guest_has $((SMALL * 3)) 20 &&
			backing "$A" "$P2:0+$SMALL shrink" && guest_has $SMALL 20 ||
			return 1
	done
	guest_io_goes_on && vm_fio_stop vm0
}

# count REGEX: lines of the trace
count()
{
	grep -c -E "$1" /tmp/trace
}

every_command_can_be_traced()
{
	local t=/sys/kernel/tracing rc=0

	[ -d $t/events ] || mount -t tracefs none $t || return 1
	: >$t/trace
	echo 1 >$t/events/lightiov/enable || return 1
	l2_exec vm0 "dd if=$DISK of=/dev/null bs=4k count=16 skip=100 iflag=direct status=none
		nvme read $DISK --start-block=$SMALL --block-count=0 --data-size=512 2>/dev/null
		true" || rc=1
	echo 0 >$t/events/lightiov/enable
	cp $t/trace /tmp/trace
	grep -m 1 lightiov_submit /tmp/trace
	grep -m 1 lightiov_refuse /tmp/trace
	grep -m 1 lightiov_complete /tmp/trace
	[ "$(count "lightiov_submit: dev=$A sqid=1 .*\(read\) nsid=1 slba=(8[0-9][0-9]|9[0-2][0-9]) bytes=4096")" = 16 ] ||
		{ echo "not 16 reads"; rc=1; }
	[ "$(count "lightiov_refuse: dev=$A .*slba=$SMALL .*status=0x4080")" = 1 ] ||
		{ echo "not one refusal"; rc=1; }
	[ "$(count "lightiov_complete: dev=$A .*status=0x0000")" -ge 16 ] ||
		{ echo "not 16 completions"; rc=1; }
	[ $rc = 0 ] || cat /tmp/trace
	return $rc
}

counters_add_up()
{
	local rc=0 name sum

	for name in sq_doorbells commands_read commands_write bytes_read bytes_write refused_lba \
	    completed; do
		sum=$(cat "/sys/bus/mdev/devices/$A/lightiov/stats/q"*"/$name" |
			awk '{ n += $1 } END { print n }')
		echo "$name: $(stat $name)"
		[ "$(stat $name)" = "$sum" ] && [ "$sum" -gt 0 ] ||
			{ echo "$name: sum of the queues is $sum"; rc=1; }
	done
	[ "$(stat outstanding)" = 0 ] || { echo "outstanding: $(stat outstanding)"; rc=1; }
	[ "$(stat pinned_bytes)" -gt 0 ] && [ "$(stat memory_faults)" -gt 0 ] || rc=1
	[ "$(stat latency | wc -l)" = 24 ] &&
		[ "$(stat latency | awk '{ n += $2 } END { print n }')" = "$(stat completed)" ] ||
		{ echo "latency:"; stat latency; rc=1; }
	return $rc
}

guest_and_instance_go()
{
	local rc=0

	# Its driver waits for the second one, which had trouble. That one's name without n1 is its controller's.
	# shellcheck disable=SC2034 # for common.sh
	VM_GUEST_ALLOW="$(basename "${SECOND%n1}")[n: ]"
	vm_guest_log_is_clean vm0 || rc=1
	l2_kill9 vm0 && mdev_remove "$A" && mdev_remove "$G" && part del "$NS" 2 0 0 && part del "$NS" 1 0 0 || rc=1
	return $rc
}

# shellcheck source=selftests/vm/backing_host.sh
. "$(dirname "$0")/backing_host.sh"

vm_test host_is_ready host_is_ready
if [ "${ONLY:-}" != host ]; then
vm_test malformed_text_is_refused malformed_text
vm_test range_outside_the_device_is_refused range_outside_the_device
vm_test ranges_reach_to_the_edges ranges_at_the_edges
vm_test instances_cannot_overlap overlapping_instances
vm_test mounted_partition_is_refused_and_its_neighbour_is_not mounted_partition
vm_test claimed_partition_is_kept_from_the_host claimed_partition_and_the_host
vm_test claimed_namespace_is_kept_from_the_host claimed_namespace_and_the_host
vm_test namespace_with_metadata_is_refused metadata
vm_test ranges_count_in_the_drives_blocks blocks_of_4k
vm_test lbas_that_are_gone_are_noticed_at_open lbas_gone_at_open
vm_test guest_sees_the_size_of_its_range guest_starts
vm_test running_guest_keeps_its_first_lba other_backings_are_refused
vm_test running_guest_sees_a_larger_backing guest_grows
vm_test running_guest_grows_with_its_partition guest_grows_with_its_partition
vm_test shrinking_is_refused_without_confirmation shrinking_needs_confirmation
vm_test running_guest_shrinks_when_confirmed guest_shrinks
vm_test resizing_loses_no_io resizing_again_and_again
vm_test every_command_can_be_traced every_command_can_be_traced
vm_test counters_add_up counters_add_up
guest_command_tests
vm_test guest_and_instance_go guest_and_instance_go
fi
host_command_tests
vm_test nothing_is_left vm_nothing_is_left
vm_run
