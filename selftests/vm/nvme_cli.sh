#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What nvme-cli in a guest gets to see and may do: its controller answers like
# a drive of its own, refuses what would touch others, and survives resets under
# I/O. The guest has two LightIOV devices, which must not look alike.
#
# In direct mode the short variant leaves out what does not depend on the mode.
#
# Arguments: full, guarded, direct, RESETS=N.

. "$(dirname "$0")/common.sh"
vm_args "$@"

RESETS=${RESETS:-${FULL:+10}}
RESETS=${RESETS:-4}
G=cli

# nvme COMMAND...: in the guest
nvme()
{
	l2_exec $G "nvme $* 2>&1"
}

# json QUERY COMMAND...: one value of nvme-cli's JSON
json()
{
	local query=$1

	shift
	l2_exec $G "nvme $* -o json 2>/dev/null" | jq -r "$query"
}

# refused STATUS COMMAND...: nvme-cli fails, with this text
refused()
{
	local status=$1 out

	shift
	if out=$(nvme "$@"); then
		echo "not refused: nvme $*: $out"
		return 1
	fi
	printf '%s: ' "$*"
	grep -i -m 1 -E "$status" <<<"$out" || { echo "$out"; return 1; }
}

# What the drives refuse of the admin queue, which they write into their error log.
T=/sys/kernel/tracing

watch_drives()
{
	[ -d $T/events ] || mount -t tracefs none $T || return 1
	echo 0 >$T/tracing_on
	echo >$T/trace
	echo 'qid == 0 && status != 0' >$T/events/nvme/nvme_complete_rq/filter &&
		echo 1 >$T/events/nvme/nvme_complete_rq/enable &&
		echo 1 >$T/tracing_on
}

guests_left_no_error_at_the_drives()
{
	local rc=0

	echo 0 >$T/tracing_on
	echo 0 >$T/events/nvme/nvme_complete_rq/enable
	grep nvme_complete_rq: $T/trace && rc=1
	grep -H . /sys/bus/mdev/devices/*/lightiov/stats/admin_*
	return $rc
}

guest_with_two_devices()
{
	watch_drives || return 1
	A=$(vm_instance 1q 2) && B=$(vm_instance 2q 3) || return 1
	# show-regs maps the registers of a bound device.
	vm_guest $G --cpus 2 --append iomem=relaxed --mdev "$A" --mdev "$B" &&
		vm_guest_nvme $G 2 || return 1
	DA=$(vm_guest_disk $G "$A") && DB=$(vm_guest_disk $G "$B") || return 1
	CA=${DA%n*}
	CB=${DB%n*}
	# A guarded guest knows only namespace 1; direct mode cannot rewrite it.
	NSID=1
	[ "$MODE" = guarded ] || NSID=2
	echo "$A is $DA, $B is $DB"
}

list_shows_both()
{
	local out

	out=$(nvme list) || return 1
	cut -c1-100 <<<"$out"
	grep -q "^$DA " <<<"$out" && grep -q "^$DB " <<<"$out"
}

controllers_are_drives_of_their_own()
{
	local host ida idb f rc=0
	local -A a b

	host=$(command nvme id-ctrl "/dev/$(l1_ctrl 0)" -o json) || return 1
	ida=$(json . id-ctrl "$CA") && idb=$(json . id-ctrl "$CB") || return 1
	for f in sn mn fr vid cmic oacs fuses sgls nn subnqn sanicap; do
		a[$f]=$(jq -r ".$f" <<<"$ida")
		b[$f]=$(jq -r ".$f" <<<"$idb")
		echo "$f: ${a[$f]} ${b[$f]} (host $(jq -r ".$f" <<<"$host"))"
	done
	for f in sn subnqn; do
		[ "${a[$f]}" != "${b[$f]}" ] || { echo "$f is not unique"; rc=1; }
		[ "${a[$f]}" != "$(jq -r ".$f" <<<"$host")" ] || rc=1
	done
	for f in mn fr vid; do
		[ "${a[$f]}" = "$(jq -r ".$f" <<<"$host")" ] || rc=1
	done
	for f in cmic oacs fuses sgls sanicap; do
		[ "${a[$f]}" = 0 ] || { echo "$f is offered"; rc=1; }
	done
	[ "${a[subnqn]}" = "nqn.2014-08.org.nvmexpress:uuid:$A" ] || rc=1
	return $rc
}

namespaces_are_private_and_unique()
{
	local host ida idb f out rc=0
	local -A a b

	host=$(command nvme id-ns "$(l1_ns 0 2)" -o json) || return 1
	ida=$(json . id-ns "$DA") && idb=$(json . id-ns "$DB") || return 1
	for f in nsze nguid eui64 nmic rescap; do
		a[$f]=$(jq -r ".$f" <<<"$ida")
		b[$f]=$(jq -r ".$f" <<<"$idb")
		echo "$f: ${a[$f]} ${b[$f]} (host $(jq -r ".$f" <<<"$host"))"
	done
	[ "${a[nsze]}" = "$(jq -r .nsze <<<"$host")" ] || rc=1
	[ "${a[nguid]}" != "${b[nguid]}" ] && [ "${a[eui64]}" != "${b[eui64]}" ] || rc=1
	[ "${a[nmic]}" = 0 ] && [ "${a[rescap]}" = 0 ] || rc=1
	out=$(nvme ns-descs "$DA") && grep "$A" <<<"$out" || rc=1
	out=$(nvme list-ns "$CA") && grep '^\[' <<<"$out" || rc=1
	[ "$(grep -c '^\[' <<<"$out")" = 1 ] && grep -q ":0x$NSID\$" <<<"$out" || rc=1
	refused 'INVALID_FIELD|Invalid Field' list-ctrl "$CA" || rc=1
	refused 'INVALID_NS|Invalid Namespace' id-ns "$CA" -n 99 || rc=1
	return $rc
}

attributes_tell_the_same()
{
	l2_exec $G "cd /sys/class/nvme/${CA##*/} && grep -H . serial model firmware_rev \
			transport queue_count cntlid state numa_node
		[ \$(cat state) = live ] && [ \$(cat transport) = pcie ] &&
		[ \$(cat queue_count) = 2 ] &&
		[ \$(cat serial) = \$(nvme id-ctrl $CA | sed -n 's/^sn *: //p') ] &&
		cd /sys/block/${DA##*/}/queue &&
		grep -H . logical_block_size max_hw_sectors_kb write_cache nr_requests" ||
		return 1
	[ "$(l2_exec $G "cat /sys/block/${DA##*/}/size")" = \
		"$(cat "/sys/block/$(basename "$(l1_ns 0 2)")/size")" ]
}

log_pages_can_be_read()
{
	local page rc=0

	for page in "smart-log $CA" "error-log $CA -e 4" "fw-log $CA" \
		    "effects-log $CA" "changed-ns-list-log $CA"; do
		# shellcheck disable=SC2086 # command and its arguments
		nvme $page >/tmp/log || { echo "$page failed"; rc=1; }
		head -n 4 /tmp/log
	done
	# What others read and write is not this guest's business.
	[ "$(json '.data_units_written' smart-log "$CA")" = 0 ] || rc=1
	# Format, firmware download and vendor commands are not offered.
	nvme effects-log "$CA" | grep -iE 'format|firmware|sanitize' && rc=1
	refused 'INVALID_LOG_PAGE|Invalid Log Page' get-log "$CA" --log-id=0x0d \
		--log-len=512 || rc=1
	return $rc
}

# feature ID [ARG...]: its value, as hexadecimal number
feature()
{
	local id=$1

	shift
	nvme get-feature "$CA" -f "$id" "$*" | sed -n 's/.*value: *\(0x\)\?0*/0x0/p'
}

features_can_be_read_and_set()
{
	local id rc=0

	for id in 1 2 4 5 6 7 8 9 0xa 0xb 0xe; do
		# Error Recovery is the one of a namespace.
		nvme get-feature "$CA" -f $id "$([ $id != 5 ] || echo "-n $NSID")" >/tmp/feature ||
			rc=1
		head -n 1 /tmp/feature
	done
	# Temperature threshold: set and read back.
	nvme set-feature "$CA" -f 4 -V 0x155 && feature 4
	[ $(($(feature 4))) = $((0x155)) ] || { echo "threshold lost"; rc=1; }
	# As many queues as pairs, 0's based: 1 and 2. Set only before there is a
	# queue; some kernels do not even pass that on.
	[ $(($(feature 7))) = 0 ] || rc=1
	nvme get-feature "$CB" -f 7
	refused "CMD_SEQ_ERROR|Command Sequence|Permission denied" admin-passthru "$CA" --opcode=9 --cdw10=7 --cdw11=0x70007 || rc=1
	# The write cache is everybody's: on can be confirmed, off is refused.
	nvme set-feature "$CA" -f 6 -V 1 || rc=1
	refused 'NOT_CHANGEABLE|not changeable' set-feature "$CA" -f 6 -V 0 || rc=1
	refused 'INVALID_FIELD|Invalid Field' get-feature "$CA" -f 0xd || rc=1
	refused 'NOT_SAVEABLE|not saveable' set-feature "$CA" -f 4 -V 0x155 -s || rc=1
	return $rc
}

registers_can_be_shown()
{
	local out

	out=$(nvme show-regs "$CA" -H) || { echo "$out"; return 1; }
	grep -E 'Doorbell Stride|Version|Ready|Enable|Maximum Queue' <<<"$out"
	grep -q 'DSTRD.*4096\|(DSTRD).*: *4096' <<<"$out" &&
		grep -q 'RDY.*: *1\|Ready *(RDY).*Yes\|(RDY): Yes' <<<"$out"
}

dangerous_commands_are_refused()
{
	local rc=0 before op bad='INVALID_OPCODE|Invalid Command Opcode|Invalid Opcode'

	before=$(vm_host_sha "$(l1_ns 0 2)" 0 4)
	refused "$bad|not support" format "$DA" --force || rc=1
	refused "$bad" sanitize "$CA" -a 2 || rc=1
	refused "$bad" security-recv "$CA" -p 0 -s 0 -x 512 -t 512 || rc=1
	refused "$bad" fw-commit "$CA" -s 1 -a 1 || rc=1
	refused "$bad" create-ns "$CA" -s 100 -c 100 -f 0 || rc=1
	refused "$bad" delete-ns "$CA" -n 3 || rc=1
	refused "$bad" attach-ns "$CA" -n 3 -c 0 || rc=1
	refused "$bad" device-self-test "$CA" -s 1 || rc=1
	refused "$bad" virt-mgmt "$CA" -c 0 -r 0 -a 8 -n 1 || rc=1
	# Keep Alive, Doorbell Buffer Config, vendor's own, and what is not known.
	for op in 0x18 0x7c 0xc0 0xc1 0xff 0x3f; do
		refused "$bad" admin-passthru "$CA" --opcode=$op -n 0 || rc=1
	done
	[ "$(vm_host_sha "$(l1_ns 0 2)" 0 4)" = "$before" ] ||
		{ echo "data have changed"; rc=1; }
	[ "$(mdev_attr "$A" state)" = enabled ] || rc=1
	return $rc
}

# Each of them had an entry in this guest's error log.
refusals_are_in_the_error_log()
{
	local n

	n=$(json '[.errors[] | select(.error_count > 0)] | length' error-log "$CA" -e 16)
	echo "$n entries"
	[ "$n" = 16 ]
}

reset_by_nvme_cli()
{
	nvme reset "$CA" || return 1
	l2_exec $G --timeout 120 "for i in \$(seq 600); do
		[ \$(cat /sys/class/nvme/${CA##*/}/state) = live ] && exit 0; sleep 0.1
	done; exit 1" && mdev_attr "$A" queues || return 1
	# Back to the defaults.
	[ $(($(feature 4))) != $((0x155)) ] || return 1
	refused 'not supported|inappropriate|ENOTTY|Subsystem-reset|No such device' \
		subsystem-reset "$CA"
}

# resets_under_io KIND SHELL-COMMAND
resets_under_io()
{
	local before after rc=0

	# shellcheck disable=SC2086 # a list of words
	vm_fio_start $G --filename="$DA" --rw=randrw --bs=4k --size=64m \
		--iodepth=16 $VM_VERIFY || return 1
	before=$(mdev_attr "$A" stats/admin_commands)
	l2_exec $G --timeout 180 "for i in \$(seq $RESETS); do
		$2 || exit 1
		for j in \$(seq 600); do
			[ \$(cat /sys/class/nvme/${CA##*/}/state) = live ] && break
			sleep 0.1
		done
		a=\$(cat /sys/block/${DA##*/}/stat)
		for j in \$(seq 600); do
			[ \"\$a\" = \"\$(cat /sys/block/${DA##*/}/stat)\" ] || break
			sleep 0.1
		done
		[ \$j -lt 600 ] || { echo \"no I/O after reset \$i\"; exit 1; }
	done" || rc=1
	after=$(mdev_attr "$A" stats/admin_commands)
	echo "$RESETS $1: $((after - before)) admin commands"
	vm_fio_stop $G || rc=1
	vm_guest_log_is_clean $G || rc=1
	mdev_attr "$A" queues
	[ "$(vm_parent_attr 0 vectors)" = "3 used, 0 shared" ] ||
		{ vm_parent_attr 0 vectors; rc=1; }
	return $rc
}

controller_resets_under_io()
{
	resets_under_io "controller resets" "nvme reset $CA"
}

function_level_resets_under_io()
{
	l2_exec $G "cat /sys/class/nvme/${CA##*/}/device/reset_method" || return 1
	resets_under_io "function level resets" \
		"echo 1 >/sys/class/nvme/${CA##*/}/device/reset"
}

# With the limits that the guest's driver finds in Identify CNS 06h.
discards_and_zeroes_work()
{
	local rc=0

	[ "$MODE" != guarded ] ||
		[ "$(l2_exec $G "cat /sys/block/${DA##*/}/queue/write_zeroes_max_bytes")" = 8388608 ] ||
		rc=1
	l2_exec $G --timeout 180 "set -e
		grep -H . /sys/block/${DA##*/}/queue/{discard_max,discard_max_hw,write_zeroes_max}_bytes
		dd if=/dev/urandom of=$DA bs=1M count=64 oflag=direct status=none
		blkdiscard -z -o 8M -l 40M $DA
		dd if=$DA bs=1M skip=8 count=40 iflag=direct status=none | cmp -n 40M - /dev/zero
		blkdiscard $DA
		mkfs.ext4 -q -F -E discard $DA && mkdir -p /tmp/m && mount $DA /tmp/m
		dd if=/dev/urandom of=/tmp/m/f bs=1M count=32 status=none; sync; rm /tmp/m/f; sync
		fstrim -v /tmp/m; umount /tmp/m; e2fsck -fn $DA | tail -n 1" || rc=1
	vm_guest_log_is_clean $G || rc=1
	(cd "/sys/bus/mdev/devices/$A/lightiov/stats" && grep . load load_most held_load errors refused_*)
	[ "$(mdev_attr "$A" stats/load)" = 0 ] && [ "$(mdev_attr "$A" stats/errors)" = 0 ] &&
		[ "$(mdev_attr "$A" stats/refused_field)" = 0 ] && return $rc
}

# Flushes of the host's disk under it: the guest's own go by its own queues.
host_flushes()
{
	awk '{ print $16 }' "/sys/block/$(basename "$(l1_ns 0 2)")/stat"
}

data_are_right_after_all()
{
	local d before rc=0

	for d in "$DA" "$DB"; do
		# shellcheck disable=SC2086 # a list of words
		vm_fio $G "$d" --filename="$d" --rw=randwrite --bs=16k \
			--size=4m --iodepth=8 $VM_VERIFY || rc=1
	done
	before=$(host_flushes)
	l2_stop $G || rc=1
	echo "$(($(host_flushes) - before)) flush(es) at the power off"
	[ "$(host_flushes)" = $((before + 1)) ] || rc=1
	return $rc
}

for MODE in $MODES; do
	vm_test host_is_ready vm_host_ready
	vm_test guest_with_two_devices_comes_up guest_with_two_devices
	if vm_all; then
		vm_test list_shows_both_devices list_shows_both
		vm_test controllers_are_drives_of_their_own controllers_are_drives_of_their_own
		vm_test namespaces_are_private_and_unique namespaces_are_private_and_unique
		vm_test attributes_tell_the_same attributes_tell_the_same
		vm_test log_pages_can_be_read log_pages_can_be_read
		vm_test features_can_be_read_and_set features_can_be_read_and_set
		vm_test registers_can_be_shown registers_can_be_shown
		vm_test dangerous_commands_are_refused dangerous_commands_are_refused
		vm_test refusals_are_in_the_error_log refusals_are_in_the_error_log
		vm_test discards_and_zeroes_work discards_and_zeroes_work
	else
		vm_test namespaces_are_private_and_unique namespaces_are_private_and_unique
		vm_test features_can_be_read_and_set features_can_be_read_and_set
	fi
	vm_test reset_by_nvme_cli_works reset_by_nvme_cli
	vm_test controller_resets_under_io_lose_nothing controller_resets_under_io
	vm_test function_level_resets_under_io_lose_nothing function_level_resets_under_io
	vm_test data_are_right_and_flushed_at_the_power_off data_are_right_after_all
	vm_test guests_left_no_error_at_the_drives guests_left_no_error_at_the_drives
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
