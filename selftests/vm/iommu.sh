#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A host whose IOMMU does not translate, or that has none: direct mode is refused,
# and the operator is told why and what to change; guarded mode does not need it.
# Runs with the lab's --iommu passthrough and off.

. "$(dirname "$0")/common.sh"
vm_args "$@"

direct_open_is_refused()
{
	vm_host_ready && modprobe vfio_iommu_type1 || return 1
	UUID=$(vm_instance 1q 2) || return 1
	/out/vfio/liov_cycle "$UUID" 1 && { echo "it opened"; return 1; }
	return 0
}

operator_is_told_why_and_what_to_change()
{
	local line

	line=$(dmesg | grep 'lightiov .*: direct mode needs the host IOMMU') || return 1
	echo "$line"
	case $(cat /proc/cmdline) in
	*iommu=pt*) grep -q 'in passthrough mode.*iommu.passthrough=0' <<<"$line" ;;
	*) grep -q 'without an IOMMU.*intel_iommu=on' <<<"$line" ;;
	esac
}

# A guest with some memory above 4 GiB would cost too much here: guest_memory.sh.
guarded_guest_comes_up()
{
	vm_host_ready || return 1
	echo "IOMMU group: $(cat "/sys/bus/pci/devices/$(l1_bdf 0)/iommu_group/type" 2>&1)"
	A=$(vm_instance 1q 2) && B=$(vm_instance 1q 3) || return 1
	vm_guest vm0 --mdev "$A" --mdev "$B" && vm_guest_nvme vm0 2 || return 1
	DA=$(vm_guest_disk vm0 "$A") && DB=$(vm_guest_disk vm0 "$B")
}

guarded_guest_verifies()
{
	local d rc=0

	for d in "$DA" "$DB"; do
		# shellcheck disable=SC2086 # lists of words
		vm_fio vm0 "$d" --filename="$d" --rw=randrw $VM_MIXED_BS --size=128m \
			--iodepth=32 $VM_VERIFY --time_based --runtime="${FULL:+6}5" || rc=1
	done
	vm_guest_log_is_clean vm0 || rc=1
	return $rc
}

host_reads_what_the_guest_wrote()
{
	local sum

	sum=$(l2_exec vm0 "dd if=/dev/urandom of=/tmp/data bs=1M count=16 status=none
		dd if=/tmp/data of=$DA bs=1M seek=300 oflag=direct status=none
		sha256sum </tmp/data | cut -c1-64") || return 1
	l2_stop vm0 || return 1
	[ "$(vm_host_sha "$(l1_ns 0 2)" 300 16)" = "$sum" ]
}

for MODE in $MODES; do
	if [ "$MODE" = direct ]; then
		vm_test open_is_refused direct_open_is_refused
		vm_test operator_is_told_why_and_what_to_change \
			operator_is_told_why_and_what_to_change
	else
		vm_test guest_comes_up guarded_guest_comes_up
		vm_test guest_verifies guarded_guest_verifies
		vm_test host_reads_what_the_guest_wrote host_reads_what_the_guest_wrote
	fi
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
