#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A random mixture of everything that happens to a host and its guests, for as long as
# wanted: a guarded guest on a range, a guest in direct mode on a namespace, a busy
# VFIO user, a hostile one, canaries between their ranges and the host itself, all on
# one drive and all of their data verified, while the controller is reset in one way or
# another, guests do FLRs, move their BARs, wipe their MSI-X tables, reboot, are killed and
# come back, users are killed, backings are resized, the host sleeps, instances come and go,
# and now and then the drive is taken from under everybody.
#
# lab-options: --append lab.copy=1, since 9p shares do not outlive the host's sleep.
#
# Arguments: MINUTES=N (10), SEED=N (printed; the same events in the same order), ONLY=
# the names of the events to draw from.

. "$(dirname "$0")/common.sh"
vm_args "$@"

MINUTES=${MINUTES:-10}
SEED=${SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
CANARY=/out/vfio/canary

# The first namespace, in blocks of 512 bytes; what is between belongs to nobody.
GUEST_FIRST=2003 GUEST_COUNT=131072
BUSY_FIRST=140003 BUSY_COUNT=32768
HOSTILE_FIRST=180001 HOSTILE_COUNT=32771
GAPS=("0 2003" "133123 6880" "172771 7230" "212772 4096")

# Of each event how often it is drawn among the others.
declare -A WEIGHT=([reset]=6 [function_reset]=1 [pci_error]=1 [flr]=3 [bar_moves]=2
	[msix_wipes]=2 [reboot]=1 [kill_guest]=1 [kill_user]=2 [attack]=3 [come_and_go]=3
	[resize]=3 [sleep_to_idle]=2 [sleep_to_ram]=1 [upheaval]=1)
declare -A COUNT=()

# draw N: a number below N, in NUMBER; in this shell, a subshell would draw the same again
draw()
{
	NUMBER=$((RANDOM % $1))
}

# ---- who is there ----

DIRECT_NS=2
guest_uuid()
{
	[ "$1" = g ] && echo "$GUEST_UUID" || echo "$DIRECT_UUID"
}

in_mode_of()
{
	[ "$1" = g ] && MODE=guarded || MODE=direct
}

guest_io_starts()
{
	# Rates: none starves the others of one emulated CPU.
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start "$1" --filename=/dev/nvme0n1 --rw=randrw --bs=16k --size=16m \
		--iodepth=8 --rate_iops=60,60 $VM_VERIFY
}

guest_comes_up()
{
	in_mode_of "$1"
	vm_guest "$1" --mem 640 --append iomem=relaxed --mdev "$(guest_uuid "$1")" && vm_guest_nvme "$1" &&
		guest_io_starts "$1"
}

# In bursts, or nobody else would get anything of one emulated CPU. Being killed is part
# of it.
user_works()
{
	local rc

	while [ ! -e /run/user.stop ]; do
		/out/vfio/liov_cycle "$BUSY_UUID" 300 >/run/user.log 2>&1
		rc=$?
		[ $rc = 0 ] || [ $rc = 137 ] || return 1
		sleep 2
	done
}

user_starts()
{
	rm -f /run/user.stop
	user_works </dev/null &
	BUSY_PID=$!
}

user_ends()
{
	: >/run/user.stop
	wait "$BUSY_PID" || { cat /run/user.log; return 1; }
}

host_io_starts()
{
	# shellcheck disable=SC2086 # lists of words
	$VM_FIO --name=host --filename="$(l1_ns 0 3)" --rw=randrw --bs=8k --size=16m --iodepth=4 \
		--rate_iops=50,50 --time_based --runtime=1d $VM_VERIFY </dev/null >/run/host.log 2>&1 &
	HOST_PID=$!
}

host_io_ends()
{
	local out

	kill -0 "$HOST_PID" && kill -INT "$HOST_PID"
	wait "$HOST_PID"
	out=$(cat /run/host.log)
	vm_fio_figures host "$out" && ! grep -E 'verify:|io_u error' <<<"$out"
}

gaps()
{
	local gap

	for gap in "${GAPS[@]}"; do
		# shellcheck disable=SC2086 # two numbers
		$CANARY "$1" "$(l1_ns 0 1)" $gap 7 ${gap% *} || return 1
	done
}

instances()
{
	local ns

	ns=$(l1_ns 0 1) || return 1
	MODE=guarded
	GUEST_UUID=$(vm_instance 1q "$ns:$GUEST_FIRST+$GUEST_COUNT") &&
		BUSY_UUID=$(vm_instance 2q "$ns:$BUSY_FIRST+$BUSY_COUNT") &&
		HOSTILE_UUID=$(vm_instance 2q "$ns:$HOSTILE_FIRST+$HOSTILE_COUNT") || return 1
	MODE=direct
	DIRECT_UUID=$(vm_instance 1q $DIRECT_NS)
}

everybody_moves_in()
{
	CTRL=$(l1_ctrl 0)
	instances && guest_comes_up g && guest_comes_up d && user_starts && host_io_starts
}

everybody_leaves()
{
	local g rc=0

	for g in g d; do
		vm_fio_stop $g || rc=1
		l2_stop $g || rc=1
	done
	user_ends || rc=1
	host_io_ends || rc=1
	gaps verify || rc=1
	vm_remove_all || rc=1
	return $rc
}

host_is_ready()
{
	MODE=direct vm_host_ready && modprobe vfio_iommu_type1 &&
		echo 1 >/sys/module/suspend/parameters/pm_test_delay || return 1
	gaps fill
}

# ---- what happens ----

# Its I/O has to go on after whatever happened.
goes_on()
{
	local before

	before=$(vm_guest_ios "$1") && vm_guest_goes_on "$1" "$(guest_uuid "$1")" "$before" 60
}

all_go_on()
{
	local g

	l1_wait 60 l1_ctrl_live 0 || { echo "the drive is not live"; return 1; }
	kill -0 "$HOST_PID" 2>/dev/null || { cat /run/host.log; return 1; }
	for g in g d; do
		goes_on $g || return 1
	done
	kill -0 "$BUSY_PID" 2>/dev/null || { cat /run/user.log; return 1; }
}

reset()
{
	local n i

	draw 4
	n=$((NUMBER + 1))
	for ((i = 0; i < n; i++)); do
		echo 1 >"/sys/class/nvme/$CTRL/reset_controller" || return 1
		draw 100
		sleep "0.$(printf %02d "$NUMBER")"
		l1_wait 30 l1_ctrl_live 0 || return 1
	done
}

function_reset()
{
	l1_function_reset 0
}

pci_error()
{
	l1_pci_error 0
}

one_of_the_guests()
{
	draw 2
	[ "$NUMBER" = 0 ] && G=g || G=d
}

flr()
{
	one_of_the_guests
	# shellcheck disable=SC2016 # expanded in the guest
	l2_exec $G --timeout 90 'echo 1 >/sys/class/nvme/nvme0/device/reset'
}

# config_space WHAT N: N of it, in one of the guests
config_space()
{
	local bdf

	one_of_the_guests
	draw 1000
	bdf=$(vm_guest_bdf $G) &&
		vm_python $G $((60 + 5 * $2)) abuse_pci.py "$bdf" "$1" /dev/nvme0n1 "$2" "$NUMBER"
}

bar_moves()
{
	config_space move 6
}

msix_wipes()
{
	config_space msix 6
}

reboot()
{
	one_of_the_guests
	in_mode_of $G
	vm_fio_stop $G && l2_reboot $G 300 && vm_guest_nvme $G && guest_io_starts $G
}

kill_guest()
{
	one_of_the_guests
	l2_kill9 $G && guest_comes_up $G
}

kill_user()
{
	pkill -9 -x liov_cycle
	return 0
}

attack()
{
	/out/vfio/hostile "$HOSTILE_UUID" 20 $RANDOM resets >/run/hostile.log 2>&1 ||
		{ grep -v '^ok' /run/hostile.log; return 1; }
	gaps verify
}

come_and_go()
{
	local uuid ns

	ns=$(l1_ns 0 1) || return 1
	draw 4
	uuid=$(MODE=guarded vm_instance $((1 << (NUMBER % 3)))q "$ns:220000+32768") || return 1
	/out/vfio/liov_cycle "$uuid" 500 || return 1
	mdev_remove "$uuid"
}

# Beyond what its fio uses.
resize()
{
	local ns nlb

	ns=$(l1_ns 0 1) || return 1
	draw 64
	nlb=$((GUEST_COUNT - 8 * NUMBER))
	echo "$ns:$GUEST_FIRST+$nlb shrink" >"/sys/bus/mdev/devices/$GUEST_UUID/lightiov/backing" ||
		return 1
	for ((n = 0; n < 40; n++)); do
		[ "$(l2_exec g 'cat /sys/block/nvme0n1/size')" != $nlb ] || return 0
		sleep 0.5
	done
	echo "the guest has $(l2_exec g 'cat /sys/block/nvme0n1/size') blocks, not $nlb"
	return 1
}

sleep_to_idle()
{
	echo platform >/sys/power/pm_test && echo freeze >/sys/power/state
}

sleep_to_ram()
{
	echo core >/sys/power/pm_test && echo mem >/sys/power/state
}

# The drive goes, with all at work; then it is there again, and all begins anew.
upheaval()
{
	local bdf g goes back what pid

	bdf=$(l1_bdf 0)
	draw 2
	kill -INT "$HOST_PID"
	wait "$HOST_PID"
	if [ "$NUMBER" = 0 ]; then
		goes=/sys/bus/pci/drivers/nvme/unbind back=/sys/bus/pci/drivers/nvme/bind what=$bdf
	else
		goes=/sys/bus/pci/devices/$bdf/remove back=/sys/bus/pci/rescan what=1
	fi
	# It waits for whoever has it. A QEMU without hotplug, asked to let go, stays.
	sh -c "echo $what >$goes" &
	pid=$!
	sleep 2
	for g in g d; do
		! l2_alive $g || l2_kill9 $g || return 1
	done
	: >/run/user.stop
	pkill -9 -x liov_cycle
	wait "$BUSY_PID"
	l1_wait 90 vm_is_gone $pid || { echo "drive $bdf does not go"; return 1; }
	echo "$what" >"$back" || return 1
	l1_wait 60 l1_drive_ready 0 && vm_parents_ready && vm_remove_all && gaps verify || return 1
	everybody_moves_in
}

# ---- the soak ----

events()
{
	local e i bag=() end=$((SECONDS + MINUTES * 60)) start=$SECONDS

	# In an order that is the same each time.
	for e in $(printf '%s\n' "${!WEIGHT[@]}" | sort); do
		[ -z "${ONLY:-}" ] || [[ " $ONLY " = *" $e "* ]] || continue
		for ((i = 0; i < WEIGHT[$e]; i++)); do
			bag+=("$e")
		done
	done
	RANDOM=$SEED
	for ((i = 1; SECONDS < end; i++)); do
		draw ${#bag[@]}
		e=${bag[NUMBER]}
		COUNT[$e]=$((${COUNT[$e]:-0} + 1))
		printf '# %5d s event %d: %s\n' $((SECONDS - start)) $i "$e" >&3
		$e && all_go_on || { echo "event $i, $e, of seed $SEED failed"; return 1; }
	done
	for e in $(printf '%s\n' "${!COUNT[@]}" | sort); do
		echo "$e ${COUNT[$e]}"
	done | paste -sd ' '
}

# shellcheck disable=SC2317 # by name
figures()
{
	local uuid

	for uuid in "$GUEST_UUID" "$BUSY_UUID" "$DIRECT_UUID"; do
		vm_stats "$uuid"
	done
}

exec 3>&1
echo "# seed $SEED, $MINUTES minutes"
# shellcheck disable=SC2034 # for common.sh
MODE=guarded
vm_test host_is_ready host_is_ready
vm_test everybody_moves_in everybody_moves_in
vm_test "events_of_${MINUTES}_minutes" events
vm_test figures figures
vm_test everybody_leaves_with_every_byte_right everybody_leaves
vm_test counters_are_back vm_counters_are_back
vm_test nothing_is_left vm_nothing_is_left
vm_run
