#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Many instances of one drive, all open and all doing verified I/O at the same time: none
# is forgotten, none costs the host more than it should, work of one that sleeps keeps nobody
# else waiting, and all of it comes back. There are more of them than a CPU has interrupt
# vectors.
#
# lab-options: --qpairs 1024 --namespaces 1
#
# Arguments: N=N (400).

. "$(dirname "$0")/common.sh"
vm_args "$@"

N=${N:-400}
# Of the host for each, with rings of 32 entries and some pinned pages.
KIB=82

all_at_once()
{
	local rc

	/out/vfio/liov_many "$(l1_bdf 0)" "$(l1_ns 0 1)" "$N" 5 4 sleepers >/run/all
	rc=$?
	cat /run/all
	grep '"scale"' /run/all >/run/scale
	grep '"sleepers"' /run/all >/run/sleepers
	return $rc
}

of_scale()
{
	jq "$1" /run/scale
}

# The one that got least, of what it would have had of equal parts.
each_gets_its_part()
{
	echo "I/Os of one instance: $(of_scale .min_ios) to $(of_scale .max_ios)"
	[ "$(of_scale '.min_ios * 2 >= .max_ios and .min_ios > 0')" = true ]
}

memory_for_each()
{
	echo "$(of_scale .kib) KiB for each, $(of_scale .idle_kib) before it has a queue"
	if vm_is_debug_kernel; then
		echo "KASAN's share is larger"
		return "$KSFT_SKIP"
	fi
	[ "$(of_scale ".kib > 0 and .kib < $KIB")" = true ]
}

# More than one work queue has workers: with one for all of them nobody would come after
# the others.
one_works_while_all_others_sleep()
{
	local asleep

	asleep=$(jq .asleep /run/sleepers)
	echo "$asleep instances have work that sleeps"
	[ "$asleep" = $((N - 1)) ] && [ "$(jq .answered /run/sleepers)" = true ]
}

host_is_ready()
{
	vm_host_ready && modprobe vfio_iommu_type1
}

# shellcheck disable=SC2034 # for common.sh
MODE=guarded
vm_test host_is_ready host_is_ready
vm_test "${N}_instances_work_at_once" all_at_once
vm_test each_gets_its_part each_gets_its_part
vm_test one_works_while_all_others_sleep one_works_while_all_others_sleep
vm_test memory_for_each memory_for_each
vm_test nothing_is_left vm_nothing_is_left
vm_run
