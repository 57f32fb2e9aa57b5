# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Drivers of the emulated host: nvme, lightiov, KVM, vfio-pci. Sourced by ../l1.sh.

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

# l1_load_lightiov [PARAM=VALUE...]: all drives are offered, unless offer= is among these
l1_load_lightiov()
{
	[[ " $*" = *" offer="* ]] || set -- offer=all "$@"
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
