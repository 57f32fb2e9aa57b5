#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A drive with more queue pairs than interrupt vectors (lab run --vectors 5
# --qpairs 16): completion queues share vectors, and every queue still gets its
# interrupts, only its own.

. "$(dirname "$0")/common.sh"
vm_args "$@"

three_vectors_are_spare()
{
	vm_host_ready && modprobe vfio_iommu_type1 || return 1
	A=$(vm_instance 4q 1) && B=$(vm_instance 4q 2)
}

vectors_are_shared()
{
	vm_program_start "$A" || return 1
	mdev_attr "$A" queues
	vm_parent_attr 0 vectors
	vm_parent_attr 0 vectors | grep -q ' [1-9][0-9]* shared'
}

interrupts_arrive_on_shared_vectors()
{
	# It waits for eventfds with a time limit.
	/out/vfio/liov_basic "$B" >/results/basic.log 2>&1 || { cat /results/basic.log; return 1; }
	! vm_is_gone "$VM_PROGRAM" || { cat $VM_PROGRAM_LOG; return 1; }
}

sharing_ends_with_the_queues()
{
	vm_program_kill || return 1
	[ "$(vm_parent_attr 0 vectors)" = "0 used, 0 shared" ]
}

# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test three_vectors_are_spare three_vectors_are_spare
	vm_test vectors_are_shared vectors_are_shared
	vm_test interrupts_arrive_on_shared_vectors interrupts_arrive_on_shared_vectors
	vm_test sharing_ends_with_the_queues sharing_ends_with_the_queues
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
