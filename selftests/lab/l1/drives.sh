# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The drives of the emulated host: where they are, what they grant, what happens to them.
# Sourced by ../l1.sh.
#
# Drives are numbered from 0. They sit at fixed PCI addresses (the lab puts
# drive N at slot 0x10 + N), so a drive is found before any driver is bound, and
# its serial number is labN.

l1_drives()
{
	local n=0

	while l1_bdf $n >/dev/null 2>&1; do
		n=$((n + 1))
	done
	echo $n
}

# l1_port N: PCI address of the port that drive N is behind, with --slots
l1_port()
{
	printf '0000:00:%02x.0' $((0x10 + $1))
}

# l1_bdf N: PCI address of drive N
l1_bdf()
{
	local bdf class d

	bdf=$(l1_port "$1")
	for d in "/sys/bus/pci/devices/$bdf"/0000:*; do
		[ ! -e "$d/class" ] || bdf=${d##*/}
	done
	class=$(cat "/sys/bus/pci/devices/$bdf/class" 2>/dev/null)
	[ "$class" = 0x010802 ] || { l1_err "no drive $1"; return 1; }
	echo "$bdf"
}

# l1_ctrl N: name of the nvme controller of drive N (nvme0), while bound. The
# kernel probes drives in parallel: nvme0 need not be drive 0.
l1_ctrl()
{
	local bdf d

	bdf=$(l1_bdf "$1") || return 1
	for d in "/sys/bus/pci/devices/$bdf/nvme/"nvme*; do
		[ -d "$d" ] || return 1
		echo "${d##*/}"
	done
}

# l1_ns N NSID [SECONDS]: block device of a namespace of drive N
l1_ns()
{
	local ctrl

	ctrl=$(l1_ctrl "$1") && "$LAB/nvme-ns" "$ctrl" "$2" "${3:-10}"
}

l1_ctrl_live()
{
	local ctrl

	ctrl=$(l1_ctrl "$1") &&
		[ "$(cat "/sys/class/nvme/$ctrl/state" 2>/dev/null)" = live ]
}

l1_drive_ready()
{
	l1_ctrl_live "$1" && l1_ns "$1" 1 0 >/dev/null 2>&1
}

# l1_all_ones N: with --slots, reads of drive N's registers find all ones from now on when
# its port lets none through, as on a real bus; an emulated one answers zeroes. Memory that
# is all ones lies at the same address, behind what the port lets through. Before the
# drive is used: for a moment it is in front.
l1_all_ones()
{
	local port ones=0000:00:1e.0 bar

	port=$(l1_port "$1") && bar=$(l1_all_ones_at "$1") || return 1
	echo 1 >/sys/bus/pci/devices/$ones/enable &&
		python3 - /sys/bus/pci/devices/$ones/resource2 <<-'EOT' || return 1
		import mmap, os, sys
		memory = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 65536)
		memory[:] = b"\xff" * 65536
		EOT
	setpci -s $ones COMMAND=0 && setpci -s $ones BASE_ADDRESS_2="$bar" &&
		setpci -s $ones BASE_ADDRESS_3=0 && setpci -s $ones COMMAND=2 &&
		# What is mapped last is in front.
		setpci -s "$port" COMMAND="$(setpci -s "$port" COMMAND)"
}

# l1_all_ones_at N: where they have to be, hexadecimal
l1_all_ones_at()
{
	local start end

	read -r start end _ <"/sys/bus/pci/devices/$(l1_bdf "$1")/resource"
	[ $((end - start)) -lt 65536 ] && [ $((end)) -lt $((1 << 32)) ] ||
		{ l1_err "registers from $start to $end"; return 1; }
	printf '%08x' $((start & ~0xffff))
}

# l1_function_reset N: of a drive; as reset_controller, but by the PCI core
l1_function_reset()
{
	echo 1 >"/sys/bus/pci/devices/$(l1_bdf "$1")/reset"
}

# l1_pci_error N [MS]: the recovery from an error that a drive's port reports, which takes
# so long
l1_pci_error()
{
	l1_insmod /out/lab_aer.ko function="$(l1_bdf "$1")" hold="${2:-0}" && rmmod lab_aer
}

# l1_drive_grants N PAIRS: with --vfs, from the drive's next reset, which is now. Two
# pairs it always has; the others it does not have from the start.
l1_drive_grants()
{
	nvme virt-mgmt "/dev/$(l1_ctrl "$1")" --cntlid=0 --rt=0 --act=1 --nr=$(($2 - 2)) >/dev/null &&
		l1_function_reset "$1"
}

# l1_virtual_function N QUEUES: with --vfs, brings drive N's first virtual function up, with
# so many queue pairs (its admin queue is one) and two vectors, and no driver; prints its
# address. A reset of the drive takes it offline.
l1_virtual_function()
{
	local pf ctrl

	pf=/sys/bus/pci/devices/$(l1_bdf "$1")
	ctrl=/dev/$(l1_ctrl "$1")
	echo 0 >"$pf/sriov_drivers_autoprobe" && echo 1 >"$pf/sriov_numvfs" || return 1
	{
		nvme virt-mgmt "$ctrl" --cntlid=1 --rt=0 --act=8 --nr="$2" &&
			nvme virt-mgmt "$ctrl" --cntlid=1 --rt=1 --act=8 --nr=2 &&
			nvme virt-mgmt "$ctrl" --cntlid=1 --act=9
	} >/dev/null && basename "$(readlink -f "$pf/virtfn0")"
}
