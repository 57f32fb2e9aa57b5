# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What a scenario uses inside L1. Source it first:
#
#	. "$(dirname "$0")/../l1.sh"
#
# Drives are numbered from 0. They sit at fixed PCI addresses (the lab puts
# drive N at slot 0x10 + N), so a drive is found before any driver is bound, and
# its serial number is labN. Guests: see l2.sh, ktap_*: see ktap.sh.

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=selftests/lab/ktap.sh
. "$LAB/ktap.sh"
# shellcheck source=selftests/lab/l2.sh
. "$LAB/l2.sh"

l1_err()
{
	echo "# $*" >&2
	return 1
}

# A limit in seconds is meant for a machine that does l1_work in so many microseconds, as
# the lab's does when nothing else runs. When it is up, it is measured how long that takes
# now, and there is as much more time as it takes longer: so a test does not know how fast
# the machine is, nor what else runs there. Ten times as much is the end in any case.
L1_WORK_US=450000
L1_SLOWEST=1000
# Percent; the slowest moment so far.
L1_SLOW=100

l1_work()
{
	local i

	for ((i = 0; i < 10000; i++)); do
		:
	done
}

# l1_measure_pace: into L1_SLOW
l1_measure_pace()
{
	local start=${EPOCHREALTIME/[.,]/} now

	l1_work
	now=$(((${EPOCHREALTIME/[.,]/} - start) * 100 / L1_WORK_US))
	[ $now -le $L1_SLOWEST ] || now=$L1_SLOWEST
	[ $now -le "$L1_SLOW" ] || L1_SLOW=$now
}

# l1_time_is_up START SECONDS: since START, what $SECONDS was
l1_time_is_up()
{
	local gone=$((SECONDS - $1))

	[ $gone -ge "$2" ] || return 1
	l1_measure_pace
	[ $((gone * 100)) -ge $(($2 * L1_SLOW)) ]
}

# l1_wait SECONDS COMMAND...: until COMMAND succeeds; how long, see above
l1_wait()
{
	local start=$SECONDS seconds=$1

	shift
	until "$@"; do
		! l1_time_is_up $start "$seconds" || return 1
		sleep 0.1
	done
}

# l1_took_at_most SECONDS START: since START, what $SECONDS was
l1_took_at_most()
{
	echo "it took $((SECONDS - $2)) s"
	! l1_time_is_up "$2" $(($1 + 1))
}

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

# l1_nvme_timeouts N IO ADMIN: seconds, of drive N and of all that come; 30 and 60 by
# default. On 7.3 a controller has its own, in ms, and begins with the parameters.
l1_nvme_timeouts()
{
	local params=/sys/module/nvme_core/parameters dir

	echo "$2" >$params/io_timeout && echo "$3" >$params/admin_timeout || return 1
	dir=/sys/class/nvme/$(l1_ctrl "$1") || return 1
	[ ! -e "$dir/admin_timeout" ] ||
		{ echo $(($2 * 1000)) >"$dir/io_timeout" && echo $(($3 * 1000)) >"$dir/admin_timeout"; }
}

# l1_load_nvme [PARAM=VALUE...]: load the host's driver, wait for all drives
l1_load_nvme()
{
	local n

	modprobe nvme "$@" || return 1
	for ((n = 0; n < $(l1_drives); n++)); do
		l1_wait 30 l1_drive_ready $n ||
			{ l1_err "drive $n did not come up"; return 1; }
	done
}

# l1_insmod FILE [PARAM=VALUE...]: a module of ours with what it depends on
l1_insmod()
{
	local ko=$1 dep deps

	shift
	[ -e "$ko" ] || { l1_err "$ko is missing: run 'lab build'"; return 1; }
	deps=$(modinfo -F depends "$ko") || return 1
	for dep in ${deps//,/ }; do
		modprobe "$dep" || return 1
	done
	insmod "$ko" "$@"
}

l1_load_lightiov()
{
	l1_insmod /out/lightiov.ko "$@"
}

# With newer kernels than 6.12 guests die without lab_svm.ko, and with PREEMPT_RT KVM does
# not load without lab_rt.ko; see there.
l1_load_kvm()
{
	[[ $(uname -r) != *-rt-* ]] || [ -c /dev/kvm ] ||
		{ modprobe kvm && l1_insmod /out/lab_rt.ko && modprobe kvm_amd && rmmod lab_rt; } || return 1
	modprobe kvm_amd && [ -c /dev/kvm ] || return 1
	[ -d /sys/module/lab_svm ] || [[ $(uname -r) = 6.12.* ]] ||
		l1_insmod /out/lab_svm.ko
}

# l1_bind_vfio BDF: give a whole drive to vfio-pci. l1_bind_nvme: and back.
l1_bind_vfio()
{
	modprobe vfio-pci && l1_bind "$1" vfio-pci
}

l1_bind_nvme()
{
	l1_bind "$1" nvme
}

l1_bind()
{
	local dev=/sys/bus/pci/devices/$1

	echo "$2" >"$dev/driver_override" || return 1
	if [ -e "$dev/driver" ]; then
		echo "$1" >"$dev/driver/unbind" || return 1
	fi
	echo "$1" >/sys/bus/pci/drivers_probe || return 1
	[ "$(basename "$(readlink "$dev/driver")")" = "$2" ]
}

# mdev_create BDF TYPE [UUID]: prints the UUID. TYPE in full, or 4q for
# nvme-lightiov-4q.
mdev_create()
{
	local type=$2 uuid=${3:-} dir

	case $type in
	nvme-*) ;;
	*) type=nvme-lightiov-$type ;;
	esac
	[ -n "$uuid" ] || uuid=$(cat /proc/sys/kernel/random/uuid)
	dir=/sys/bus/pci/devices/$1/mdev_supported_types/$type
	[ -d "$dir" ] || { l1_err "$1 has no mdev type $type"; return 1; }
	echo "$uuid" >"$dir/create" || return 1
	[ -e "/sys/bus/mdev/devices/$uuid" ] || return 1
	echo "$uuid"
}

mdev_remove()
{
	echo 1 >"/sys/bus/mdev/devices/$1/remove"
}

# mdev_attr UUID NAME [VALUE]: read or write one of the instance's attributes
mdev_attr()
{
	local f=/sys/bus/mdev/devices/$1/lightiov/$2

	if [ $# -gt 2 ]; then
		echo "$3" >"$f"
	else
		cat "$f"
	fi
}
