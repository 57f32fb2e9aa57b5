# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# lab run, lab shell: start L1 in QEMU, bring its results back, judge the logs.

# shellcheck disable=SC2034 # for machine.sh
run_defaults()
{
	DRIVES=1
	NAMESPACES=3
	QPAIRS=32
	VECTORS=
	NSSIZE=1G
	MEM=6G
	# Nested guests with several vCPUs die at random when two TCG threads
	# run them at once; on one emulated CPU they never did.
	CPUS=1
	APPEND=
	IOMMU=translated
	TIMEOUT=600
	NVME_OPTS=
	DRIVE_OPTS=
	VFS=
	SLOTS=
	DSTRD=
	QEMU_ARGS=()
	NAME=
	SHELL_MODE=
}

# Sets the variables above; what is left goes to REST.
# shellcheck disable=SC2034 # for machine.sh
parse_run_options()
{
	run_defaults
	while [ $# -gt 0 ]; do
		case $1 in
		--) shift; break ;;
		--help) usage ;;
		--*) [ $# -gt 1 ] || die "$1 needs a value" ;;
		*) break ;;
		esac
		case $1 in
		--drives) DRIVES=$2 ;;
		--namespaces) NAMESPACES=$2 ;;
		--qpairs) QPAIRS=$2 ;;
		--vectors) VECTORS=$2 ;;
		--nssize) NSSIZE=$2 ;;
		--mem) MEM=$2 ;;
		--cpus) CPUS=$2 ;;
		--append) APPEND=$2 ;;
		--iommu) IOMMU=$2 ;;
		--kernel) select_kernel "$2" ;;
		--timeout) TIMEOUT=$2 ;;
		--nvme-opts) NVME_OPTS=$2 ;;
		--drive-opts) DRIVE_OPTS=$2 ;;
		--vfs) VFS=$2 ;;
		--slots) SLOTS=$2 ;;
		--dstrd) DSTRD=$2 ;;
		--qemu-arg) QEMU_ARGS+=("$2") ;;
		--name) NAME=$2 ;;
		*) die "unknown option $1 (see lab help)" ;;
		esac
		shift 2
	done
	REST=("$@")
	# One vector a queue pair and one for the admin queue.
	VECTORS=${VECTORS:-$((QPAIRS + 1))}
	if [ "$FLAVOUR" = debug ]; then
		TIMEOUT=$((TIMEOUT * 4))
		APPEND+=" dma_debug_entries=262144 workqueue.watchdog_thresh=240"
	fi
	# The patched QEMU's shadow doorbells do not follow the stride.
	[ -z "$DSTRD" ] || NVME_OPTS=dstrd=$DSTRD,dbcs=off${NVME_OPTS:+,$NVME_OPTS}
	[ "$DRIVES" -le 14 ] || die "at most 14 drives fit the slots"
}

l1_binds()
{
	# L1 gets a copy of the build's results: another build may run while it
	# does.
	cp -r "$(build_dir)/out" "$TMP/out"
	# A file can only be bound over a file.
	: >>"$ROOTFS/lab/l1.img"
	BINDS=(--bind-ro "$REPO" /lab/repo --bind-ro "$TMP/out" /lab/out
		--bind "$RESULTS" /lab/results --bind "$TMP/drives" /lab/drives
		--bind-ro "$FDIR/l1.img" /lab/l1.img)
	[ -z "$DSTRD" ] || BINDS+=(--bind-ro "$FDIR/qemu-stride" /lab/qemu-stride)
}

# The kernel patching its own text under TCG can kill a boot: an int3 of a
# half-patched place oopses. Only this, and only before the scenario began, is worth another try.
boot_died_of_tcg()
{
	[ ! -e "$RESULTS/started" ] &&
		grep -q 'int3: 0000' "$RESULTS/l1-console.log" 2>/dev/null
}

# seconds_without_cpu PID: in which that of its threads that has most to do, which is L1's
# CPU, waited for one of ours
seconds_without_cpu()
{
	cat "/proc/$1/task"/*/schedstat 2>/dev/null | sort -n | awk 'END { print int($2 / 1e9) }'
}

# One boot of L1. Returns 0 when it ended by itself, 124 at the timeout.
boot_l1()
{
	local pid tail_pid end rc=0 waited=0 booted=
	local -a stat

	rm -f "$RESULTS/started" "$RESULTS/rc" "$RESULTS/scenario.log"
	if [ -n "$SHELL_MODE" ]; then
		(in_rootfs "${BINDS[@]}" -- "${L1_CMD[@]}") \
			2>"$RESULTS/l1-qemu.log"
		return
	fi
	: >"$RESULTS/scenario.log"
	(in_rootfs "${BINDS[@]}" -- "${L1_CMD[@]}") \
		</dev/null >"$RESULTS/l1-qemu.log" 2>&1 &
	pid=$!
	QEMU_PID=$pid
	tail -n +1 -F -s 0.5 --pid=$pid "$RESULTS/scenario.log" 2>/dev/null &
	tail_pid=$!

	end=$((SECONDS + TIMEOUT))
	while kill -0 $pid 2>/dev/null; do
		# What other programs of this machine took does not count.
		[ $SECONDS -lt $end ] || waited=$(seconds_without_cpu $pid)
		if [ $SECONDS -ge $((end + waited)) ]; then
			say "run: L1 had no CPU for $waited s of $((SECONDS - BOOT_START)) s"
			kill -9 $pid
			rc=124
			break
		fi
		# Its user and system time, in ticks.
		read -r -a stat 2>/dev/null <"/proc/$pid/stat" && L1_CPU=$(((stat[13] + stat[14]) / 100))
		if [ -z "$booted" ] && [ -e "$RESULTS/started" ]; then
			booted=1
			say "run: scenario started $((SECONDS - BOOT_START)) s after power on"
		fi
		sleep 0.3
	done
	wait $pid 2>/dev/null
	QEMU_PID=
	wait $tail_pid 2>/dev/null
	return $rc
}

cleanup_run()
{
	[ -z "${QEMU_PID:-}" ] || kill -9 "$QEMU_PID" 2>/dev/null
	[ -z "${TMP:-}" ] || rm -rf "$TMP"
}

prepare_run()
{
	[ "$(id -u)" = 0 ] || die "this needs root (chroot, mounts)"
	[ -e "$FDIR/l1.img" ] || die "no lab for KERNEL=$FLAVOUR yet: run 'lab setup'"
	iommu_args
	[ -z "$DSTRD" ] || cmd_qemu_stride
	# More at a time than CPUs would starve each other into timeouts.
	lock_l1_slot
	RESULTS=$CACHE/runs/$NAME
	rm -rf "$RESULTS"
	mkdir -p "$RESULTS" "$(build_dir)/out"
	ln -sfn "$NAME" "$CACHE/runs/latest"
	trap cleanup_run EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	TMP=$(mktemp -d "$CACHE/tmp.XXXXXX")
	mkdir "$TMP/drives"
	make_drives "$TMP/drives"
	l1_binds
}

# The first logs of boots that died of TCG have another name and stay out.
check_logs()
{
	local f
	local -a logs=()

	for f in "$RESULTS"/*-console.log "$RESULTS"/*-dmesg.log "$RESULTS"/*-kmemleak.log; do
		[ ! -e "$f" ] || logs+=("$f")
	done
	[ ${#logs[@]} -gt 0 ] || return 1
	"$LAB_DIR/logcheck" --allow "$RESULTS/allow" "${logs[@]}" >&2
}

cmd_run()
{
	local scenario verdict=0 rc retries=0

	parse_run_options "$@"
	[ ${#REST[@]} -gt 0 ] || die "run: which scenario? (see lab help)"
	scenario=$(realpath -e "${REST[0]}") || die "no such scenario: ${REST[0]}"
	case $scenario in
	"$REPO"/*) ;;
	*) die "the scenario must be in the repository: L1 sees only that" ;;
	esac
	NAME=${NAME:-$(basename "$scenario" .sh)$(name_suffix)}
	prepare_run
	[ ${#REST[@]} -le 1 ] || printf '%s\n' "${REST[@]:1}" >"$RESULTS/args"
	touch "$RESULTS/args"
	l1_command "lab.scenario=${scenario#"$REPO"/}"
	printf '%s\n' "${L1_CMD[@]}" >"$RESULTS/l1-cmd"

	say "run: $NAME, kernel $(kernel_version), results in $RESULTS"
	BOOT_START=$SECONDS
	L1_CPU=0
	rc=0
	boot_l1 || rc=$?
	if boot_died_of_tcg; then
		retries=1
		say "run: L1's boot died of TCG text patching (int3), trying once more"
		mv "$RESULTS/l1-console.log" "$RESULTS/l1-boot1.tcg-log"
		BOOT_START=$SECONDS
		rc=0
		boot_l1 || rc=$?
	fi
	[ ! -e "$RESULTS/retries" ] ||
		retries=$((retries + $(wc -l <"$RESULTS/retries")))

	if [ $rc -eq 124 ]; then
		say "run: FAILED: timed out after $TIMEOUT s"
		verdict=1
	elif [ ! -e "$RESULTS/started" ]; then
		say "run: FAILED: L1 did not boot"
		verdict=1
	elif [ ! -s "$RESULTS/rc" ]; then
		say "run: FAILED: L1 died before the scenario ended"
		verdict=1
	else
		verdict=$(cat "$RESULTS/rc")
		[ "$verdict" = 0 ] || say "run: the scenario exited with $verdict"
	fi
	if [ ! -s "$RESULTS/rc" ]; then
		tail -n 12 "$RESULTS/l1-console.log" | sed 's/^/    | /' >&2
		grep -v "TCG doesn't support requested feature" \
			"$RESULTS/l1-qemu.log" | tail -n 12 |
			sed 's/^/    | /' >&2 || true
	fi
	if ! check_logs; then
		say "run: FAILED: the logs are not clean"
		[ "$verdict" != 0 ] && [ "$verdict" != 4 ] || verdict=1
	fi
	say "run: $NAME: exit $verdict, $retries boot(s) retried," \
		"$((SECONDS - BOOT_START)) s in L1, $L1_CPU s of a CPU, logs in $RESULTS"
	return "$verdict"
}

cmd_shell()
{
	local size

	parse_run_options "$@"
	NAME=${NAME:-shell}
	SHELL_MODE=1
	[ -t 0 ] || die "shell needs a terminal"
	cmd_build
	prepare_run
	touch "$RESULTS/args"
	size=$(stty size | tr ' ' x)
	l1_command "lab.shell=$size"
	say "shell: 'exit' powers L1 off; its console log: $RESULTS/l1-console.log"
	boot_l1 || true
	stty sane
	check_logs || true
}
