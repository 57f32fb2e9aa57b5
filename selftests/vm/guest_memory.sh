#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Guests of any memory: above and below 4 GiB, on 4 KiB pages, transparent and
# explicit huge pages, odd sizes; and a limit on locked memory that is too low.
# In guarded mode also bounce buffers (swiotlb) and a vIOMMU in the guest, which
# direct mode refuses (two_guests.sh). The short variant of direct mode has only the
# first guest and the limit. How long direct mode's windows took to
# make is printed.
#
# Arguments: full, guarded, direct, BIG=MIB (memory of the big guest, 3072; with
# more than 4 GiB use lab run --mem).

. "$(dirname "$0")/common.sh"
vm_args "$@"

BIG=${BIG:-3072}
# awk: MiB free in the zone that lies above 4 GiB
# shellcheck disable=SC2016 # awk's own variable
NORMAL_FREE='/zone *Normal/ { n = 1 } n && /nr_free_pages/ { print int($2 / 256); exit }'
THP=/sys/kernel/mm/transparent_hugepage/enabled

# guest_of_this_memory NAME [options of l2_start]: boots; tells about windows
guest_of_this_memory()
{
	local name=$1

	UUID=$(vm_instance 1q 2) || return 1
	vm_guest "$@" --mdev "$UUID" && vm_guest_nvme "$name" || return 1
	l2_exec "$name" 'free -m | sed -n 2p; dmesg | grep "LightIOV: direct mode"'
	# The guest's own clock, from the load of nvme to the last window.
	[ "$MODE" = guarded ] || l2_exec "$name" dmesg | awk -F'[][ ]+' '/vm: loading nvme/ { t = $2 }
		/LightIOV: direct mode/ { printf "windows made in %.2f s\n", $2 - t }'
	echo "pinned: $(($(mdev_attr "$UUID" stats/pinned_bytes) >> 20)) MiB"
	grep -E '^(AnonHugePages|Private_Hugetlb|Shared_Hugetlb)' \
		"/proc/$(l2_pid "$name")/smaps_rollup"
}

works_and_goes()
{
	local name=$1 mib=${2:-48} sum rc=0

	# shellcheck disable=SC2086 # a list of words
	vm_fio "$name" "$name" --filename=/dev/nvme0n1 --rw=randrw $VM_MIXED_BS \
		--size=64m --io_size=${mib}m --iodepth=32 $VM_VERIFY || rc=1
	echo "pinned in the end: $(($(mdev_attr "$UUID" stats/pinned_bytes) >> 20)) MiB"
	sum=$(l2_exec "$name" 'dd if=/dev/urandom of=/tmp/data bs=1M count=16 status=none
		dd if=/tmp/data of=/dev/nvme0n1 bs=1M seek=200 oflag=direct status=none
		sha256sum </tmp/data | cut -c1-64') || rc=1
	vm_guest_log_is_clean "$name" || rc=1
	l2_stop "$name" && mdev_remove "$UUID" || rc=1
	[ "$(vm_host_sha "$(l1_ns 0 2)" 200 16)" = "$sum" ] ||
		{ echo "the host reads other data"; rc=1; }
	vm_counters_are_back || rc=1
	return $rc
}

big_guest_comes_up()
{
	local have huge

	have=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
	if [ "$have" -lt $((BIG + 1500)) ]; then
		echo "the host has $have MiB: use lab run --mem"
		return "$KSFT_SKIP"
	fi
	echo always >$THP
	guest_of_this_memory big --mem "$BIG" || return 1
	huge=$(awk '/^AnonHugePages/ { print int($2 / 1024) }' \
		"/proc/$(l2_pid big)/smaps_rollup")
	[ "$huge" -gt 100 ] || { echo "only $huge MiB are huge"; return 1; }
	# Memory above 4 GiB is a window of its own.
	[ "$MODE" = guarded ] ||
		l2_exec big 'dmesg | grep -q "LightIOV: direct mode, [3-9] DMA windows"' ||
		l2_exec big 'grep "System RAM" /proc/iomem; exit 1'
}

# Pages come from above 4 GiB first; when those are taken, from below.
memory_on_both_sides_of_4g()
{
	local zone rc=0

	l2_alive big || { echo "no big guest"; return "$KSFT_SKIP"; }
	# shellcheck disable=SC2086 # a list of words
	vm_fio big "above 4 GiB" --filename=/dev/nvme0n1 --rw=randwrite --bs=64k \
		--size=16m --iodepth=16 $VM_VERIFY || rc=1
	zone=$(l2_exec big "awk '$NORMAL_FREE' /proc/zoneinfo")
	echo "free above 4 GiB: $zone MiB"
	l2_exec big --timeout 180 "mount -o remount,size=90% /dev/shm
		fallocate -l $((zone))M /dev/shm/fill
		awk '$NORMAL_FREE' /proc/zoneinfo" || rc=1
	# shellcheck disable=SC2086
	vm_fio big "below 4 GiB" --filename=/dev/nvme0n1 --rw=randwrite --bs=64k \
		--size=16m --iodepth=16 $VM_VERIFY || rc=1
	l2_exec big 'rm /dev/shm/fill'
	works_and_goes big || rc=1
	return $rc
}

odd_size_on_small_pages()
{
	echo never >$THP
	guest_of_this_memory odd --mem 701 && works_and_goes odd
}

explicit_huge_pages()
{
	local rc=0

	mkdir -p /dev/hugepages
	mountpoint -q /dev/hugepages || mount -t hugetlbfs hugetlbfs /dev/hugepages
	echo 1 >/proc/sys/vm/compact_memory
	echo 512 >/proc/sys/vm/nr_hugepages
	if [ "$(cat /proc/sys/vm/nr_hugepages)" != 512 ]; then
		echo "the host has no 512 huge pages"
		return "$KSFT_SKIP"
	fi
	guest_of_this_memory huge --mem 1024 --machine q35,memory-backend=ram \
		--qemu-arg -object --qemu-arg \
		memory-backend-file,id=ram,size=1G,mem-path=/dev/hugepages,share=on,prealloc=on ||
		rc=1
	echo 0 >/proc/sys/vm/nr_hugepages
	[ $rc = 0 ] && works_and_goes huge
}

# All of the guest's DMA goes through a buffer of 64 MiB.
swiotlb_works()
{
	guest_of_this_memory bounce --append swiotlb=force || return 1
	l2_exec bounce 'dmesg | grep -i -m 2 -E "software IO TLB|bounce"' &&
		works_and_goes bounce
}

# The guest's kernel maps and unmaps memory for each command.
viommu_works()
{
	guest_of_this_memory viommu --machine q35,kernel-irqchip=split \
		--qemu-arg -device --qemu-arg intel-iommu,caching-mode=on,intremap=on \
		--append "intel_iommu=on iommu.passthrough=0" || return 1
	l2_exec viommu 'dmesg | grep -m 3 DMAR
		t=$(cat /sys/class/nvme/nvme0/device/iommu_group/type); echo "domain $t"
		case $t in DMA*) ;; *) exit 1 ;; esac' && works_and_goes viommu 8
}

# A process without CAP_IPC_LOCK may lock only so much.
guest_with_64_mib_to_lock()
{
	mkdir -p /tmp/bin
	cat >/tmp/bin/qemu-system-x86_64 <<-'EOT'
	#!/bin/sh
	exec setpriv --bounding-set=-ipc_lock prlimit --memlock=67108864:67108864 \
		/usr/bin/qemu-system-x86_64 "$@"
	EOT
	chmod +x /tmp/bin/qemu-system-x86_64
	UUID=$(vm_instance 1q 2) || return 1
	vm_log_mark
	PATH=/tmp/bin:$PATH vm_guest low --mem 700 --mdev "$UUID" || return 1
	grep 'locked memory' "/proc/$(l2_pid low)/limits"
}

# Guest memory is pinned as it is used: a command beyond the limit gets an error,
# and soon.
low_memlock_limit_fails_commands()
{
	local rc=0

	guest_with_64_mib_to_lock && vm_guest_nvme low || return 1
	l2_exec low --timeout 180 "$VM_FIO --name=in --filename=/dev/nvme0n1 --rw=randrw \
			--bs=4k --size=8m --iodepth=8 $VM_VERIFY >/tmp/in.log" || rc=1
	l2_exec low --timeout 240 "timeout 200 $VM_FIO --name=out --filename=/dev/nvme0n1 \
			--rw=read --bs=1m --size=64m --iodepth=32 --numjobs=4 \
			--continue_on_error=all >/tmp/out.log 2>&1
		rc=\$?; echo fio: exit \$rc; [ \$rc != 124 ]
		dmesg | grep -c 'I/O error'" || { echo "no error, or a hang"; rc=1; }
	echo "pinned: $(($(mdev_attr "$UUID" stats/pinned_bytes) >> 20)) MiB"
	vm_log_says 'cannot pin guest memory .*locked-memory limit' || { vm_log_since_mark; rc=1; }
	l2_stop low && mdev_remove "$UUID" || rc=1
	vm_counters_are_back || rc=1
	return $rc
}

# Direct mode wants all of it at once.
low_memlock_limit_is_explained()
{
	local rc=0

	guest_with_64_mib_to_lock || return 1
	l2_exec low --timeout 120 'insmod /payload/lightiov_guest.ko; modprobe nvme
		sleep 2; dmesg | grep LightIOV; [ ! -b /dev/nvme0n1 ]' || rc=1
	vm_log_says 'cannot pin guest memory .*locked-memory limit' ||
		{ vm_log_since_mark; rc=1; }
	[ "$(mdev_attr "$UUID" stats/pinned_bytes)" = 0 ] || rc=1
	l2_kill9 low && mdev_remove "$UUID" || rc=1
	vm_counters_are_back || rc=1
	return $rc
}

for MODE in $MODES; do
	vm_test host_is_ready vm_host_ready
	vm_test guest_with_memory_above_4g_comes_up_on_transparent_huge_pages \
		big_guest_comes_up
	vm_test memory_on_both_sides_of_4g_is_used memory_on_both_sides_of_4g
	if vm_all; then
		vm_test odd_size_on_small_pages_works odd_size_on_small_pages
		vm_test explicit_huge_pages_work explicit_huge_pages
	fi
	if [ "$MODE" = guarded ]; then
		vm_test swiotlb_works swiotlb_works
		vm_test viommu_works viommu_works
		vm_test low_memlock_limit_fails_commands low_memlock_limit_fails_commands
	else
		vm_test low_memlock_limit_is_explained low_memlock_limit_is_explained
	fi
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
