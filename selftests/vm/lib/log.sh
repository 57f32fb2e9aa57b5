# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The host's kernel log: what it says since a mark, what it must not say, what the lab's
# own search of it is to allow. Sourced by ../common.sh.

# Lines of the host's log since vm_log_mark, or all.
VM_LOG_MARK=
vm_log_mark()
{
	VM_LOG_MARK="vm-mark-$RANDOM$RANDOM"
	echo "$VM_LOG_MARK" >/dev/kmsg
}

vm_log_since_mark()
{
	if [ -n "$VM_LOG_MARK" ]; then
		dmesg | sed "1,/$VM_LOG_MARK/d"
	else
		dmesg
	fi
}

# vm_log_says REGEX: since the mark; shows the line
vm_log_says()
{
	vm_log_since_mark | grep -E -m 1 "$1"
}

# Neither driver had trouble with the drive. (The lab itself looks for warnings.)
vm_host_log_is_clean()
{
	! dmesg | grep -iE 'nvme.*(timeout|I/O error|abort|fatal|failed|unable to set)|lightiov.*(failed|lost|leaked|get its queues back)|critical (target|medium)' |
		grep -vE 'unable to set dbbuf|module verification failed|probe with driver lightiov failed with error -28'
}

# vm_allow_on_debug_kernel LINE...: what such a kernel reports of the host's own drivers
vm_allow_on_debug_kernel()
{
	! vm_is_debug_kernel || printf '%s\n' "$@" >>/results/allow
}

# Programs map one page at many addresses; DMA_API_DEBUG counts no more than seven mappings.
vm_memory_has_many_addresses()
{
	vm_allow_on_debug_kernel 'report DMA-API: exceeded 7 overlapping mappings of cacheline'
}
