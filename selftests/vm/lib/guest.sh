# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Guests: they boot, find their disks, go on with their I/O, and their log is clean.
# Sourced by ../common.sh; vm_guest_nvme looks at MODE.

# vm_guest NAME [options of l2_start]: boots it
vm_guest()
{
	l2_start "$@" && l2_wait_up "$1" 480
}

# Every guest that still runs.
vm_kill_guests()
{
	local d

	for d in "$L2_RUN"/*/pid; do
		[ ! -e "$d" ] || { d=${d%/pid}; ! l2_alive "${d##*/}" || l2_kill9 "${d##*/}"; }
	done
}

# Shell code for a guest: wait until there are $1 nvme disks. How long, says l2_exec.
vm_wait_disks()
{
	cat <<-EOT
	while :; do
		n=0; for d in /dev/nvme*n1; do [ ! -b \$d ] || n=\$((n + 1)); done
		[ \$n -lt $1 ] || break; sleep 0.2
	done
	EOT
}

# vm_guest_nvme NAME [DISKS]: nvme, in direct mode the helper first; waits for its
# disks (1)
vm_guest_nvme()
{
	local helper=true seconds=120

	# The host maps all of the guest's memory for each device.
	! vm_is_debug_kernel || seconds=600
	[ "$MODE" != direct ] || helper="insmod /payload/lightiov_guest.ko"
	l2_exec "$1" --timeout $seconds "$helper &&
		echo 'vm: loading nvme' >/dev/kmsg && modprobe nvme &&
		{ $(vm_wait_disks "${2:-1}"); }" && return 0
	l2_exec "$1" 'dmesg | grep -iE "nvme|lightiov"'
	return 1
}

# vm_guest_disk NAME UUID: prints the guest's device node of an instance, which
# it finds by the serial number
vm_guest_disk()
{
	l2_exec "$1" "for c in /sys/class/nvme/nvme*; do
		grep -qi '^nqn.2014-08.org.nvmexpress:uuid:$2' \$c/subsysnqn || continue
		for d in /dev/\${c##*/}n[0-9]*; do
			[ -b \$d ] && echo \$d && exit 0
		done
	done; exit 1"
}

# vm_guest_bdf NAME: the address of its first NVMe function
vm_guest_bdf()
{
	# shellcheck disable=SC2016 # expanded in the guest
	l2_exec "$1" 'basename $(readlink -f /sys/class/nvme/nvme0/device)'
}

# vm_python NAME SECONDS SCRIPT ARG...: a python program of ../, in a guest
vm_python()
{
	local guest=$1 seconds=$2 script=$3

	shift 3
	l2_exec "$guest" --timeout "$seconds" "cat >/tmp/$script <<'EOT'
$(cat "$VM_DIR/$script")
EOT
		python3 -I -S /tmp/$script $*"
}

# vm_guest_ios NAME: reads and writes of its disk so far
vm_guest_ios()
{
	l2_exec "$1" "awk '{ print \$1 + \$5 }' /sys/block/nvme0n1/stat"
}

# vm_guest_goes_on NAME UUID BEFORE [SECONDS]: more than a few I/Os beyond BEFORE, what
# vm_guest_ios said; whatever happened in between
vm_guest_goes_on()
{
	local after start=$SECONDS

	while after=$(vm_guest_ios "$1"); do
		[ "$after" -le $(($3 + 16)) ] || return 0
		! l1_time_is_up $start "${4:-30}" || break
		sleep 0.5
	done
	echo "guest $1: I/Os $3, then ${after:-no answer}"
	vm_guest_trouble "$1" "$2"
	return 1
}

# What a guest and its instance know when something went wrong.
vm_guest_trouble()
{
	echo "--- guest $1"
	l2_exec "$1" 'dmesg | grep -iE "nvme|lightiov" | tail -n 20
		grep nvme /proc/interrupts; cat /sys/block/nvme*n1/stat' || true
	[ -z "${2:-}" ] || {
		vm_stats "$2"
		mdev_attr "$2" queues
		mdev_attr "$2" state
		grep lightiov /proc/interrupts
	}
}

# vm_guest_log_is_clean NAME: no I/O error, time-out or reset in its log, but what
# VM_GUEST_ALLOW, a regex, says
VM_GUEST_ALLOW=
vm_guest_log_is_clean()
{
	local log

	log=$(l2_exec "$1" dmesg) || return 1
	! grep -iE 'I/O error|nvme.*(timeout|abort|fatal|failed|controller is down)|critical (target|medium)|EXT4-fs (error|warning)|Buffer I/O|WARNING:|BUG:' <<<"$log" |
		grep -vE "module verification failed${VM_GUEST_ALLOW:+|$VM_GUEST_ALLOW}"
}
