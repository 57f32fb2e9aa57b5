#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What one tenant may cost the others. Two hostile users of the drive, by turns dozens of
# threads that ring for one queue, lists all over memory, Write Zeroes without end, admin
# commands of all kinds and memory that comes and goes; beside them an honest guest with one
# command at a time, and the host's own verified I/O.
#
# The processors' share of the hostile ones is the least there is (SCHED_IDLE), as a host's
# scheduler would have it: so what the honest guest feels of them is what they make the
# host's kernel do in others' time, and the drive.
#
# Printed: the honest guest's p99 with the host's I/O alone and beside them, by turns, since
# what else the machine does changes in half an hour. Fails if the latter is more than FACTOR
# (2) times the former (the median of all turns), if the host's I/O has an error, and if more than
# one line a second of the host's log speaks of VFIO or of one instance.
#
# Arguments: SECS=N beside them (40; full: 1800), TURN=N of these at a time (120), FACTOR=N,
# SEED=N; EACH=1: also beside each kind of hostile user by itself, a figure without a limit, to
# see what costs.

. "$(dirname "$0")/common.sh"
vm_args "$@"
# shellcheck disable=SC2034 # for common.sh
MODE=guarded

SECS=${SECS:-${FULL:+1800}}
SECS=${SECS:-40}
TURN=${TURN:-120}
FACTOR=${FACTOR:-2}
SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
ROUND=10
RATIOS=()

guests_and_host()
{
	local ns half

	vm_host_ready && modprobe vfio_iommu_type1 && ns=$(l1_ns 0 3) || return 1
	half=$(($(blockdev --getsz "$ns") / 2))
	HONEST=$(vm_instance 1q 2) && EVIL1=$(vm_instance 2q "$ns:0+$half") &&
		EVIL2=$(vm_instance 2q "$ns:$half+$half") &&
		vm_guest vm0 --mdev "$HONEST" && vm_guest_nvme vm0
}

# honest_p99: of one command at a time for ROUND seconds, in us
honest_p99()
{
	l2_exec vm0 --timeout 120 "$VM_FIO --name=honest --filename=/dev/nvme0n1 --rw=randread --bs=4k \
		--size=64m --iodepth=1 --time_based --runtime=$ROUND" |
		awk -F';' '$1 == 3 { for (i = 18; i <= 37; i++) if ($i ~ /^99\.0+%=/) { sub(/.*=/, "", $i); print $i; exit } }'
}

# The one in the middle.
median()
{
	tr ' ' '\n' <<<"$*" | grep . | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# evil UUID LOG KEY...: by turns, until told to stop
evil()
{
	local uuid=$1 log=$2 key

	shift 2
	while :; do
		for key in "$@"; do
			[ ! -e /run/evil.stop ] || return 0
			chrt -i 0 /out/vfio/hostile "$uuid" 5 "$SEED" "only=$key" >>"$log" 2>&1 || return 1
		done
	done
}

host_io()
{
	while [ ! -e /run/evil.stop ]; do
		# shellcheck disable=SC2086 # lists of words
		$VM_FIO --name=host --filename="$(l1_ns 0 1)" --size=16m --rw=randrw --bs=16k --iodepth=4 \
			$VM_VERIFY --rate_iops=50,25 --time_based --runtime=5 >/run/host.log 2>&1 || return 1
		echo pass >>/run/host.passes
	done
}

# The most lines in one second of the log since the mark that match
most_a_second()
{
	vm_log_since_mark | grep -iE "$1" | sed 's/^\[ *\([0-9]*\)\..*/\1/' | uniq -c |
		awk '$1 > n { n = $1 } END { print n + 0 }'
}

# beside SECS COMMAND...: that in the background (each a word), and BESIDE the p99 meanwhile
beside()
{
	local p99=() p rc=0 pids=() start=$SECONDS secs=$1

	shift
	rm -f /run/evil.stop
	for p in "$@"; do
		$p </dev/null & pids+=($!)
	done
	sleep 2
	while [ $((SECONDS - start)) -lt "$secs" ] || [ ${#p99[@]} -lt 3 ]; do
		p99+=("$(honest_p99)")
	done
	: >/run/evil.stop
	for p in "${pids[@]}"; do
		wait "$p" || rc=1
	done
	BESIDE=$(median "${p99[@]}")
	echo "p99 beside $*: ${p99[*]} us, median $BESIDE${ALONE:+ (without $ALONE)}"
	return $rc
}

rings_and_lists()
{
	evil "$EVIL1" /run/evil1 doorbells scattered
}

zeroes_admin_and_memory()
{
	evil "$EVIL2" /run/evil2 zeroes admin memory
}

# A kind by itself; and nothing at all is "true".
just_doorbells() { evil "$EVIL1" /run/evil1 doorbells; }
just_scattered() { evil "$EVIL1" /run/evil1 scattered; }
just_zeroes() { evil "$EVIL2" /run/evil2 zeroes; }
just_admin() { evil "$EVIL2" /run/evil2 admin; }
just_memory() { evil "$EVIL2" /run/evil2 memory; }

# With the host's I/O, as later: what the hostile ones add is asked.
without_hostile_ones()
{
	beside 0 host_io || return 1
	ALONE=$BESIDE
	[ -n "$ALONE" ]
}

beside_each()
{
	local kind

	for kind in true just_doorbells just_scattered just_zeroes just_admin just_memory; do
		beside 20 $kind || return 1
	done
}

beside_hostile_ones()
{
	local rc=0 left=$SECS turn

	rm -f /run/host.passes /run/evil1 /run/evil2
	vm_log_mark
	while [ "$left" -gt 0 ] && [ $rc = 0 ]; do
		turn=$((left < TURN ? left : TURN))
		left=$((left - turn))
		without_hostile_ones &&
			beside $turn rings_and_lists zeroes_admin_and_memory host_io &&
			RATIOS+=($((BESIDE * 100 / ALONE))) || rc=1
	done
	echo "host: $(grep -c pass /run/host.passes) passes of verified I/O"
	grep -hE '^not ok|^# [a-z_]*\.c:' /run/evil1 /run/evil2 | head -n 8
	[ $rc = 0 ] || { tail -n 5 /run/host.log | cut -c1-200; return 1; }
}

honest_guest_is_served()
{
	local percent

	percent=$(median "${RATIOS[@]}")
	echo "p99 beside them, in % of that without: ${RATIOS[*]}, median $percent"
	[ "$percent" -le $((100 * FACTOR)) ]
}

log_is_not_flooded()
{
	local uuid n rc=0

	n=$(most_a_second 'vfio')
	echo "lines of VFIO in one second: $n"
	[ "$n" -le 1 ] || rc=1
	for uuid in "$EVIL1" "$EVIL2"; do
		n=$(most_a_second "$uuid")
		echo "lines of $uuid in one second: $n"
		[ "$n" -le 1 ] || rc=1
	done
	return $rc
}

all_end()
{
	vm_stats "$EVIL1"
	vm_stats "$EVIL2"
	vm_guest_log_is_clean vm0 && l2_stop vm0
}

echo "# seed $SEED"
vm_test guests_and_host guests_and_host
[ -z "${EACH:-}" ] || vm_test without_hostile_ones without_hostile_ones
[ -z "${EACH:-}" ] || vm_test beside_each beside_each
vm_test beside_hostile_ones beside_hostile_ones
vm_test honest_guest_is_served honest_guest_is_served
vm_test log_is_not_flooded log_is_not_flooded
vm_test all_end all_end
vm_test nothing_is_left vm_nothing_is_left
vm_run
