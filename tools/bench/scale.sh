#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Many instances of one drive, all open and all doing verified I/O at the same time, each
# through VFIO: what one costs when there are more and more of them, with a queue pair of the
# drive's for each and with shared ones. In the end the most of them once more, with guests
# beside that verify as well, each on a namespace of its own.
#
# lab-options: --qpairs 1024 --namespaces 12 --nssize 1G
#
# Arguments: COUNTS="1 10 100 1000", TYPES="1q shared-2q", SECS=N, REPEATS=N (of each), GUESTS=N
# (as many as memory and namespaces allow).

. "$(dirname "$0")/../../selftests/vm/common.sh"
vm_args "$@"

COUNTS=${COUNTS:-1 10 100 1000}
TYPES=${TYPES:-1q shared-2q}
SECS=${SECS:-5}
REPEATS=${REPEATS:-2}
# shellcheck disable=SC2034 # for common.sh
MODE=guarded
GUEST_MIB=512
# QEMU itself, and what a guest costs the host besides.
QEMU_MIB=96
# The instances and their program, the host.
KEEP_MIB=1024
UUIDS=()

# guests_that_fit: their number
guests_that_fit()
{
	local memory namespaces=1

	memory=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
	while l1_ns 0 $((namespaces + 1)) 1 >/dev/null 2>&1; do
		namespaces=$((namespaces + 1))
	done
	memory=$(((memory - KEEP_MIB) / (GUEST_MIB + QEMU_MIB)))
	echo $((memory < namespaces - 1 ? memory : namespaces - 1))
}

# guests_up NUMBER: with an instance and a fio that verifies in each
guests_up()
{
	local i

	for ((i = 1; i <= $1; i++)); do
		UUIDS[i]=$(vm_instance 1q $((i + 1))) &&
			vm_guest g$i --cpus 1 --mem $GUEST_MIB --mdev "${UUIDS[i]}" &&
			vm_guest_nvme g$i || return 1
	done
	for ((i = 1; i <= $1; i++)); do
		# shellcheck disable=SC2086 # a list of words
		vm_fio_start g$i --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=16m \
			--iodepth=4 $VM_VERIFY || return 1
	done
}

# guests_down NUMBER: prints reads and writes a second of each
guests_down()
{
	local i

	for ((i = 1; i <= $1; i++)); do
		vm_fio_stop g$i >/run/fio && vm_guest_log_is_clean g$i >&2 || { cat /run/fio >&2; return 1; }
		grep -oE '(read|write) [0-9]+' /run/fio | awk '{ n += $2 } END { print n + 0 }'
	done
	for ((i = 1; i <= $1; i++)); do
		l2_stop g$i && mdev_remove "${UUIDS[i]}" >&2 || return 1
	done
}

# many TYPE INSTANCES: to /run/scale
many()
{
	LIGHTIOV_TYPE=nvme-lightiov-$1 /out/vfio/liov_many "$(l1_bdf 0)" "$(l1_ns 0 1)" "$2" "$SECS" \
		>/run/scale || { cat /run/scale; return 1; }
}

# with_guests NUMBER INSTANCES
with_guests()
{
	guests_up "$1" || vm_give_up "$1 guests"
	many 1q "$2" || vm_give_up "$2 instances beside $1 guests"
	guests_down "$1" >/run/guests || vm_give_up "the guests beside $2 instances"
	jq -c --argjson each "$(jq -sc . </run/guests)" '. + { idle_kib: null, kib: null, guests: $each }' /run/scale |
		tee -a /results/scale.jsonl
	vm_counters_are_back || vm_give_up "something is left"
}

l1_load_nvme && l1_load_lightiov && vm_parents_ready || vm_give_up "lightiov"
l1_load_kvm && l2_payload || vm_give_up "KVM"
modprobe vfio_iommu_type1 || vm_give_up "VFIO"
vm_baseline
echo "free queue pairs: $VM_FREE"
: >/results/scale.jsonl
for ((r = 1; r <= REPEATS; r++)); do
	for n in $COUNTS; do
		# A thousand take their time to be made.
		[ "$n" -lt 1000 ] || [ $r = 1 ] || continue
		for type in $TYPES; do
			many "$type" "$n" || vm_give_up "$n instances, $type"
			tee -a /results/scale.jsonl </run/scale
			vm_counters_are_back || vm_give_up "something of $n instances is left"
		done
	done
done
GUESTS=${GUESTS:-$(guests_that_fit)}
[ "$GUESTS" = 0 ] || with_guests "$GUESTS" "${COUNTS##* }"
