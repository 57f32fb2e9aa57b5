# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A guest boots: until its agent answers, or its console says something. Sourced by ../l1.sh.

# TCG's text patching kills a guest's boot now and then, see lab's own
# boot_died_of_tcg.
l2_died_of_tcg()
{
	grep -q 'int3: 0000' "/results/l2-$1-console.log" ||
		{ grep -q 'double fault: 0000' "/results/l2-$1-console.log" &&
		  grep -q 'RIP: .*entry_SYSCALL_64' "/results/l2-$1-console.log"; }
}

# l2_retry_boot NAME: start a guest again whose boot died of TCG; once, with its
# log kept, and counted in /results/retries. Fails if it did not die of that.
l2_retry_boot()
{
	local name=$1

	[ ! -e "$L2_RUN/$name/retried" ] && l2_died_of_tcg "$name" || return 1
	: >"$L2_RUN/$name/retried"
	echo "# guest $name: boot died of TCG text patching, retried"
	echo "l2 $name" >>/results/retries
	l2_kill9 "$name"
	mv "/results/l2-$name-console.log" "/results/l2-$name-boot1.tcg-log"
	l2_launch "$name"
}

# l2_wait_up NAME [SECONDS]: until the agent answers
l2_wait_up()
{
	local name=$1 left=${2:-300} log=/results/l2-$1-console.log

	l2_ping "$name" "$left" && return 0
	l2_retry_boot "$name" && l2_ping "$name" "$left" && return 0
	l1_err "guest $name is not up, end of its console:"
	tail -n 15 "$log" | sed 's/^/# /' >&2
	return 1
}

# Poll in short pieces, so that a dead boot is seen before the full time is up.
l2_ping()
{
	local start=$SECONDS rc

	while ! l1_time_is_up $start "$2" && l2_alive "$1"; do
		"$LAB/l2ctl" "$L2_RUN/$1" ping 10 >/dev/null 2>&1
		rc=$?
		[ $rc -ne 0 ] || return 0
		l2_died_of_tcg "$1" && return 1
	done
	return 1
}

# l2_wait_console NAME REGEX [SECONDS]: until its console says it, of a guest that
# firmware boots
l2_wait_console()
{
	local name=$1 left=${3:-120} log=/results/l2-$1-console.log

	l2_console_says "$name" "$2" "$left" && return 0
	l2_retry_boot "$name" && l2_console_says "$name" "$2" "$left" && return 0
	l1_err "guest $name did not say '$2', end of its console:"
	tail -n 15 "$log" | tr -cd '\n[:print:]' | sed 's/^/# /' >&2
	return 1
}

l2_console_says()
{
	local start=$SECONDS log=/results/l2-$1-console.log

	until grep -qE "$2" "$log" 2>/dev/null; do
		! l1_time_is_up $start "$3" && ! l2_died_of_tcg "$1" || return 1
		# What it said last is in the log when QEMU is gone.
		l2_alive "$1" || { grep -qE "$2" "$log"; return; }
		sleep 0.2
	done
}

# l2_type NAME TEXT: a line on the console of a guest that firmware boots
l2_type()
{
	python3 -I -S -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")' "$L2_RUN/$1/console.sock" "$2"
}

# l2_reboot NAME [SECONDS]: reboot inside the same QEMU, wait for the agent
l2_reboot()
{
	local id

	id=$("$LAB/l2ctl" "$L2_RUN/$1" ping 20) &&
		"$LAB/l2ctl" "$L2_RUN/$1" reboot 20 >/dev/null || return 1
	l2_wait_other_boot "$1" "$id" "${2:-120}" ||
		l1_err "guest $1 did not come back from its reboot"
}

# l2_wait_other_boot NAME ID SECONDS: until its agent answers, after another boot than ID
l2_wait_other_boot()
{
	local start=$SECONDS

	while ! l1_time_is_up $start "$3" && l2_alive "$1"; do
		case $("$LAB/l2ctl" "$L2_RUN/$1" ping 10 2>/dev/null) in
		''|"$2") sleep 0.5 ;;
		*) return 0 ;;
		esac
	done
	return 1
}
