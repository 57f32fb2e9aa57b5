# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Commands in a guest, by its agent. Sourced by ../l1.sh.

# l2_autopsy NAME: where the vCPUs of a guest that does not answer are. Guests
# boot with nokaslr: the addresses are those of the kernel's System.map.
l2_autopsy()
{
	local name=$1 i pid

	pid=$(l2_pid "$name")
	echo "$name" >>/results/mute
	echo "# guest $name does not answer:"
	for i in 1 2; do
		echo "exits $(kvm_exit "$name" exits) irq_exits $(kvm_exit "$name" irq_exits)" \
			"halt_exits $(kvm_exit "$name" halt_exits) irq_injections $(kvm_exit "$name" irq_injections)"
		l2_monitor "$name" "info registers -a" | grep -aE '^CPU#|RIP='
		sleep 2
	done 2>&1 | sed 's/^/#   /'
	for i in 0 1; do
		l2_monitor "$name" "info lapic $i" | grep -aE 'ISR|IRR|LVTT|Timer|PPR|TPR'
	done 2>&1 | sed 's/^/#   /'
	for i in "/proc/$pid/task"/*; do
		echo "#   $(cat "$i/comm" "$i/wchan" 2>/dev/null | paste -sd ' ')" \
			"$(cut -d ' ' -f 3,14,15 "$i/stat" 2>/dev/null)"
	done
	uptime | sed 's/^/#   /'
}

# l2_exec NAME [--timeout SECONDS] COMMAND
#
# COMMAND runs with bash in the guest; its output and exit code come back. 124:
# it was killed at the timeout, which is later on a slow machine (see l2-agent); 125: the
# guest died or rebooted meanwhile, or had not answered before and still does not. One
# command at a time per guest: put others in the background there.
l2_exec()
{
	local name=$1 timeout=60 rc dir=$L2_RUN/$1

	shift
	if [ "$1" = --timeout ]; then
		timeout=$2
		shift 2
	fi
	if [ -e "$dir/mute" ]; then
		"$LAB/l2ctl" "$dir" ping 10 >/dev/null 2>&1 || {
			l1_err "guest $name still does not answer"
			return 125
		}
		rm -f "$dir/mute"
	fi
	"$LAB/l2ctl" "$dir" exec "$timeout" "$*"
	rc=$?
	[ ! -e "$dir/mute" ] || l2_autopsy "$name" >&2
	return $rc
}

# l2_load_nvme NAME [PARAM=VALUE...]: the guest's nvme driver, and wait until
# every controller is live. What must be there before (lightiov_guest.ko in
# /payload) is up to the test.
l2_load_nvme()
{
	local name=$1

	shift
	# shellcheck disable=SC2016 # expanded in the guest
	l2_exec "$name" --timeout 90 "modprobe nvme $*"' || exit
		want=$(grep -l "^0x010802" /sys/bus/pci/devices/*/class | wc -l)
		for i in $(seq 300); do
			live=$(cat /sys/class/nvme/nvme*/state 2>/dev/null | grep -c live)
			[ "$live" -ge "$want" ] && exit 0
			sleep 0.2
		done
		echo "$live of $want controllers are live" >&2
		dmesg | tail -n 10 >&2
		exit 1'
}

# l2_ns NAME CTRL NSID: block device of a namespace in the guest
l2_ns()
{
	l2_exec "$1" "/payload/nvme-ns $2 $3"
}
