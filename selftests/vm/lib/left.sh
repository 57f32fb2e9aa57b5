# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What is left when all is over: queue pairs, vectors, interrupts, pinned pages, memory,
# as they were at vm_baseline. Sourced by ../common.sh.

vm_free_pairs()
{
	local n

	for ((n = 0; n < $(l1_drives); n++)); do
		vm_parent_attr $n queue_pairs_free
	done | paste -sd ' '
}

# Pages pinned for DMA at this moment, by anybody.
vm_pins()
{
	cat /proc/sys/vm/stat_refresh
	awk '$1 == "nr_foll_pin_acquired" { n += $2 }
		$1 == "nr_foll_pin_released" { n -= $2 }
		END { print n }' /proc/vmstat
}

vm_free_mib()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '$1 == "MemFree:" { print int($2 / 1024) }' /proc/meminfo
}

vm_baseline()
{
	VM_FREE=$(vm_free_pairs)
	VM_PINS=$(vm_pins)
	VM_MIB=$(vm_free_mib)
}

vm_pins_are_back()
{
	[ "$(vm_pins)" = "$VM_PINS" ]
}

# With no instance left, all is as it was at vm_baseline. Free memory has some
# slack (MiB): slabs and page tables come and go.
VM_SLACK=64
vm_counters_are_back()
{
	local rc=0 n mib

	if ls /sys/bus/mdev/devices/* >/dev/null 2>&1; then
		echo "instances are left"
		return 1
	fi
	if [ "$(vm_free_pairs)" != "$VM_FREE" ]; then
		echo "free queue pairs: $(vm_free_pairs), were $VM_FREE"
		rc=1
	fi
	for ((n = 0; n < $(l1_drives); n++)); do
		if [ "$(vm_parent_attr $n vectors)" != "0 used, 0 shared" ]; then
			echo "drive $n vectors: $(vm_parent_attr $n vectors)"
			rc=1
		fi
	done
	if grep lightiov /proc/interrupts; then
		echo "interrupts are left"
		rc=1
	fi
	if ! l1_wait 5 vm_pins_are_back; then
		echo "pinned pages: $(vm_pins), were $VM_PINS"
		rc=1
	fi
	mib=$(vm_free_mib)
	echo "free memory: $mib MiB, was $VM_MIB"
	if [ $((VM_MIB - mib)) -gt "$VM_SLACK" ]; then
		grep -E '^(Mem|Slab|SUnr|Anon|Shmem|PageT|Unevict|Mlocked)' \
			/proc/meminfo
		rc=1
	fi
	return $rc
}

# Kills guests and removes instances that are there, checks, unloads, checks again.
vm_nothing_is_left()
{
	local d n rc=0

	vm_kill_guests
	vm_remove_all || rc=1
	vm_counters_are_back || rc=1
	vm_host_log_is_clean || rc=1
	rmmod lightiov || return 1
	for ((n = 0; n < $(l1_drives); n++)); do
		d=/sys/bus/pci/devices/$(l1_bdf $n)
		if [ -e "$d/lightiov" ] || [ -e "$d/mdev_supported_types" ]; then
			echo "drive $n still has files of lightiov"
			rc=1
		fi
		l1_wait 30 l1_drive_ready $n || { echo "drive $n lost"; return 1; }
		vm_host_reads $n || rc=1
	done
	rmmod nvme || rc=1
	return $rc
}
