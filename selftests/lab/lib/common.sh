# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Paths, messages, stamped steps and locks shared by all lab commands. Sourced
# by ../lab, which has already set LAB_DIR and REPO.

CACHE=${LIGHTIOV_CACHE:-$REPO/.cache}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)
LOGS=$CACHE/log

say()
{
	printf '[%4ds] %s\n' "$SECONDS" "$*" >&2
}

die()
{
	printf 'lab: %s\n' "$*" >&2
	exit 1
}

# Everything that depends on the choice of kernel: "stable", "backports", "rt"
# (PREEMPT_RT), or "debug", see debug.sh. With the last two guests run the stable one.
select_kernel()
{
	FLAVOUR=${1:-stable}
	case $FLAVOUR in
	stable|backports|rt|debug) ;;
	*) die "unknown kernel '$FLAVOUR': use stable, backports, rt or debug" ;;
	esac
	FDIR=$CACHE/$FLAVOUR
	ROOTFS=$FDIR/rootfs
	mkdir -p "$FDIR" "$LOGS"
}

# name_suffix: of results, so that two kernels can be tested at once
name_suffix()
{
	[ "$FLAVOUR" = stable ] || echo "-$FLAVOUR"
}

kernel_version()
{
	[ -s "$FDIR/kver" ] || die "no lab for KERNEL=$FLAVOUR yet: run 'lab setup'"
	cat "$FDIR/kver"
}

# hash_of STRING...: what a stamp holds
hash_of()
{
	printf '%s\n' "$@" | sha256sum | cut -c1-32
}

# step NAME HASH LIKELY FUNCTION
#
# Run FUNCTION unless NAME was last completed with the same HASH. The stamp goes
# away first and comes back last, so an interrupted step is never taken as done;
# FUNCTION itself builds under a temporary name and renames. LIKELY is what to
# tell the user when it fails.
step()
{
	local name=$1 hash=$2 likely=$3 fn=$4
	local stamp=$FDIR/$name.stamp log=$LOGS/$FLAVOUR-$name.log
	local start=$SECONDS rc

	if [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ]; then
		return 0
	fi
	say "$name: started"
	rm -f "$stamp"
	# Not "if ! ( )": a condition would switch off errexit inside.
	set +e
	(set -e; "$fn") >"$log" 2>&1
	rc=$?
	set -e
	if [ $rc -ne 0 ]; then
		tail -n 5 "$log" | sed 's/^/    | /' >&2
		say "$name: FAILED (exit $rc) after $((SECONDS - start)) s"
		say "  likely: $likely"
		say "  log:    $log"
		exit 1
	fi
	echo "$hash" >"$stamp.tmp"
	mv "$stamp.tmp" "$stamp"
	say "$name: done in $((SECONDS - start)) s"
}

# lock NAME: hold CACHE/NAME.lock until this process ends.
lock()
{
	local fd
	exec {fd}>"$CACHE/$1.lock"
	if ! flock -n "$fd"; then
		say "waiting for another '$1' to finish"
		flock "$fd"
	fi
	# shellcheck disable=SC2034 # for the caller to unlock
	LOCK_FD=$fd
}

# How many L1 may run at once: an L1 with one CPU keeps one of ours busy, and
# each wants up to 6 GiB or so.
l1_slots()
{
	local cpus mem

	cpus=$(nproc)
	mem=$(awk '$1 == "MemTotal:" { print int($2 / 1024 / 1024 / 8) }' /proc/meminfo)
	[ "$mem" -ge 1 ] || mem=1
	echo $((cpus < mem ? cpus : mem))
}

# lock_l1_slot: hold one of the slots until this process ends.
lock_l1_slot()
{
	local fd i n told=

	n=$(l1_slots)
	while :; do
		for ((i = 0; i < n; i++)); do
			exec {fd}>"$CACHE/l1-$i.lock"
			flock -n "$fd" && return 0
			exec {fd}>&-
		done
		[ -n "$told" ] || say "waiting for another run to finish"
		told=1
		sleep 0.5
	done
}

# lock_all_l1_slots: no L1 runs while this process lives.
lock_all_l1_slots()
{
	local i n

	n=$(l1_slots)
	for ((i = 0; i < n; i++)); do
		lock "l1-$i"
	done
}

# in_tree ROOT [--bind[-ro] SRC DST]... -- COMMAND...
#
# Run COMMAND with ROOT as its root file system, in a mount namespace of its own: the mounts
# vanish with the last process, however it ends. exec all the way, so the PID of
# a backgrounded call is the command's own.
in_tree()
{
	local root=$1
	local -a binds=()

	shift
	while [ "$1" != -- ]; do
		binds+=("${1#--}" "$2" "$3")
		shift 3
	done
	shift
	# shellcheck disable=SC2016 # expanded by the inner shell
	exec unshare -m bash -c '
		set -e
		root=$1; n=$2; shift 2
		mount --rbind /dev "$root/dev"
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/tmp"
		for ((i = 0; i < n; i++)); do
			[ -e "$root$3" ] || mkdir -p "$root$3"
			mount --bind "$2" "$root$3"
			[ "$1" = bind ] || mount -o remount,bind,ro "$root$3"
			shift 3
		done
		mapfile -t proxies < <(env | grep -iE "^(https?|no)_proxy=")
		exec env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" "${proxies[@]}" \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			chroot "$root" "$@"' \
		in_tree "$root" $((${#binds[@]} / 3)) "${binds[@]}" "$@"
}

# in_rootfs [--bind[-ro] SRC DST]... -- COMMAND...: in the flavour's own
in_rootfs()
{
	in_tree "$ROOTFS" "$@"
}
