#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Direct mode without a translating host IOMMU: refused, and the operator is
# told why and what to change. Runs with the lab's --iommu passthrough and off.

. "$(dirname "$0")/../lab/l1.sh"

modules_load_all_the_same()
{
	l1_load_nvme && l1_load_lightiov allow_direct=1 || return 1
	BDF=$(l1_bdf 0)
	l1_wait 30 test -d "/sys/bus/pci/devices/$BDF/mdev_supported_types"
}

open_is_refused()
{
	UUID=$(mdev_create "$BDF" 1q) && mdev_attr "$UUID" backing "$(l1_ns 0 2)" || return 1
	modprobe vfio_iommu_type1
	/out/vfio/liov_cycle "$UUID" 1 && { echo "it opened"; return 1; }
	return 0
}

operator_is_told_why_and_what_to_change()
{
	local line

	line=$(dmesg | grep 'lightiov: direct mode needs the host IOMMU') || return 1
	echo "$line"
	case $(cat /proc/cmdline) in
	*iommu=pt*) grep -q 'in passthrough mode.*iommu.passthrough=0' <<<"$line" ;;
	*) grep -q 'without an IOMMU.*intel_iommu=on' <<<"$line" ;;
	esac
}

host_is_unharmed()
{
	mdev_remove "$UUID" && dd if="$(l1_ns 0 1)" of=/dev/null bs=4k count=64 iflag=direct &&
		rmmod lightiov
}

ktap_plan 4
ktap_run modules_load_all_the_same modules_load_all_the_same
ktap_run open_is_refused open_is_refused
ktap_run operator_is_told_why_and_what_to_change operator_is_told_why_and_what_to_change
ktap_run host_is_unharmed host_is_unharmed
ktap_finish
