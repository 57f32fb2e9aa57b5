#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user-space programs of selftests/vfio on a fresh instance: no KVM, no
# guest, every register and command by hand. Their own KTAP goes out as it is.

. "$(dirname "$0")/common.sh"
vm_args "$@"

instance_for_programs()
{
	vm_host_ready && modprobe vfio_iommu_type1 && UUID=$(vm_instance 4q 2)
}

host_goes_on_working()
{
	vm_host_fio "host after it" --filename="$(l1_ns 0 1)" --rw=randwrite --bs=4k \
		--size=4m --iodepth=8 --verify=crc32c
}

ktap_plan 3
ktap_run instance_for_programs instance_for_programs
rc=0
for prog in liov_basic liov_abuse; do
	echo "# $prog"
	"/out/vfio/$prog" "$UUID" || rc=1
done
echo "# host"
ktap_run host_goes_on_working host_goes_on_working
ktap_run nothing_is_left vm_nothing_is_left
[ $rc = 0 ] || KTAP_FAIL=$((KTAP_FAIL + 1))
vm_finish
