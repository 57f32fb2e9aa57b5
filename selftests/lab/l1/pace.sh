# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Limits in time, on a machine of any pace. Sourced by ../l1.sh.

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
