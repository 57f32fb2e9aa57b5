#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Many instances of one drive, all open and all doing verified I/O at the same time, each
# through VFIO: what one costs when there are more and more of them.
#
# lab-options: --qpairs 1024 --namespaces 1 --nssize 1G
#
# Arguments: COUNTS="1 10 100 1000", SECS=N, REPEATS=N (of each).

. "$(dirname "$0")/../../selftests/vm/common.sh"
vm_args "$@"

COUNTS=${COUNTS:-1 10 100 1000}
SECS=${SECS:-5}
REPEATS=${REPEATS:-2}

l1_load_nvme && l1_load_lightiov && vm_parents_ready || vm_give_up "lightiov"
modprobe vfio_iommu_type1 || vm_give_up "VFIO"
vm_baseline
echo "free queue pairs: $VM_FREE"
: >/results/scale.jsonl
for ((r = 1; r <= REPEATS; r++)); do
	for n in $COUNTS; do
		# A thousand take their time to be made.
		[ "$n" -lt 1000 ] || [ $r = 1 ] || continue
		/out/vfio/liov_scale "$(l1_bdf 0)" "$(l1_ns 0 1)" "$n" "$SECS" >/run/scale ||
			{ cat /run/scale; vm_give_up "$n instances"; }
		tee -a /results/scale.jsonl </run/scale
		vm_counters_are_back || vm_give_up "something of $n instances is left"
	done
done
