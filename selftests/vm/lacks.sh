#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Kernels and machines that lack something, by the module's parameter "lacks" and,
# where that is possible, by taking the thing itself away: refused with one line
# that says why, and nothing is left; or it works in the way that is documented.
#
# Run with --vectors 2: the host's one CPU takes both vectors, its admin queue's
# and its I/O queue's, and a third one is lacking indeed.
#
# NO_MSIX=1: on a machine without MSI-X (pci=nomsi), and that alone.  Such a controller is
# left as it is: there are drives that do not survive a reset.

. "$(dirname "$0")/common.sh"
vm_args "$@"

# it_refuses_to_load LINE [PARAM=VALUE...]: LINE in the log, no trace of the module
it_refuses_to_load()
{
	local line=$1 dev

	shift
	dev=/sys/bus/pci/devices/$(l1_bdf 0)
	vm_log_mark
	if l1_load_lightiov "$@"; then
		echo "it was loaded"
		return 1
	fi
	vm_log_says "$line" || { vm_log_since_mark; return 1; }
	if [ -e /sys/module/lightiov ] || [ -e "$dev/lightiov" ] ||
	   [ -e "$dev/mdev_supported_types" ]; then
		echo "something is left of it"
		return 1
	fi
	if grep liov /sys/kernel/tracing/enabled_functions; then
		return 1
	fi
	vm_host_reads
}

unknown_word_is_refused()
{
	l1_load_nvme && it_refuses_to_load 'lightiov: lacks=sense: no such thing' lacks=sense
}

no_address_is_refused()
{
	it_refuses_to_load 'lightiov: offer=everything: write all, or the addresses' offer=all,everything &&
		it_refuses_to_load "lightiov: offer=$(l1_bdf 0)=1: write all" "offer=$(l1_bdf 0)=1"
}

no_number_is_refused()
{
	local bdf

	bdf=$(l1_bdf 0)
	it_refuses_to_load 'lightiov: reserve=many: write a number' reserve=8,many &&
		it_refuses_to_load "lightiov: reserve=$bdf: write a number" "reserve=$bdf" &&
		it_refuses_to_load "lightiov: reserve=$bdf=auto: write" "reserve=1,$bdf=auto" &&
		it_refuses_to_load 'lightiov: host_queues=0: write auto or a number from 1' host_queues=0 &&
		it_refuses_to_load "lightiov: host_queues=$bdf=: write auto" "host_queues=auto,$bdf="
}

no_redirection_is_refused()
{
	it_refuses_to_load 'lightiov: this kernel cannot redirect .*: rebuild it with CONFIG_' \
		lacks=ipmodify
}

ftrace_off_is_refused()
{
	local rc

	if ! sysctl -w kernel.ftrace_enabled=0; then
		echo "this kernel does not let it be switched off"
		return "$KSFT_SKIP"
	fi
	it_refuses_to_load 'lightiov: nvme_.* cannot be redirected: .*sysctl kernel.ftrace_enabled=1'
	rc=$?
	sysctl -w kernel.ftrace_enabled=1
	return $rc
}

# ---- nvme and its core are one ----

# So that the compiler may have inlined a call: one reset shows that it has not.
nvme_that_may_be_inlined_is_watched()
{
	local uuid

	vm_log_mark
	vm_load_lightiov lacks=separate_nvme && vm_baseline || return 1
	vm_log_says "nvme $(l1_bdf 0): lightiov: resetting the controller once, to see" || return 1
	uuid=$(vm_instance 1q 2) && /out/vfio/liov_cycle "$uuid" 200 && mdev_remove "$uuid" &&
		vm_host_reads && rmmod lightiov
}

nvme_that_is_inlined_is_refused()
{
	local dev

	dev=/sys/bus/pci/devices/$(l1_bdf 0)
	vm_log_mark
	l1_load_lightiov lacks=separate_nvme,calls || return 1
	l1_wait 30 vm_log_says "nvme $(l1_bdf 0): lightiov: not all calls of nvme .* not offered to guests; build it as a module" ||
		{ vm_log_since_mark; return 1; }
	# Nothing comes of a later reset either.
	echo 1 >"/sys/class/nvme/$(l1_ctrl 0)/reset_controller" && l1_wait 30 l1_drive_ready 0 || return 1
	if [ -e "$dev/mdev_supported_types" ] || [ "$(vm_parent_attr 0 offered)" != 0 ]; then
		echo "it is offered"
		return 1
	fi
	vm_host_reads && rmmod lightiov
}

# ---- no vector ----

# interrupts_of_admin_vector: how many there were
interrupts_of_admin_vector()
{
	awk '/nvme0q0/ { print $2 }' /proc/interrupts
}

# An instance works on the one vector, through a reset of the host's and beside it.
queues_borrow_the_admin_vector()
{
	local uuid before after rc=0

	uuid=$(vm_instance 2q 2) || return 1
	before=$(interrupts_of_admin_vector)
	vm_program_start "$uuid" || rc=1
	mdev_attr "$uuid" queues
	vm_parent_attr 0 vectors
	[ "$(vm_parent_attr 0 vectors)" = "1 used, 1 shared" ] || rc=1
	grep -E 'nvme0q0.*lightiov|lightiov.*nvme0q0' /proc/interrupts || rc=1
	[ "$(grep -c lightiov /proc/interrupts)" = 1 ] || rc=1
	vm_program_kill || rc=1
	[ "$(vm_parent_attr 0 vectors)" = "0 used, 0 shared" ] || rc=1

	# It waits for interrupts with a time limit.
	/out/vfio/liov_basic "$uuid" >/results/basic.log 2>&1 || { cat /results/basic.log; rc=1; }
	after=$(interrupts_of_admin_vector)
	echo "interrupts of the admin queue's vector: $before, then $after"
	[ $((after - before)) -gt 100 ] || rc=1
	mdev_remove "$uuid" && return $rc
}

host_resets_meanwhile()
{
	local uuid ctrl n rc=0

	uuid=$(vm_instance 2q 2) && ctrl=$(l1_ctrl 0) || return 1
	vm_program_start "$uuid" || rc=1
	for n in 1 2 3; do
		echo 1 >"/sys/class/nvme/$ctrl/reset_controller" &&
			l1_wait 30 l1_drive_ready 0 || { echo "reset $n failed"; rc=1; }
		sleep 1
	done
	# In guarded mode it does not notice.
	if [ "$MODE" = guarded ] && vm_is_gone "$VM_PROGRAM"; then
		cat $VM_PROGRAM_LOG
		rc=1
	fi
	vm_program_kill || rc=1
	/out/vfio/liov_basic "$uuid" >/results/basic.log 2>&1 || { cat /results/basic.log; rc=1; }
	vm_host_fio "host" --filename="$(l1_ns 0 1)" --rw=randwrite --bs=4k --size=2m \
		--iodepth=8 --verify=crc32c || rc=1
	mdev_remove "$uuid" && return $rc
}

# What the module tried with a queue pair of its own, it gave back.
all_spare_pairs_are_free()
{
	[ "$(vm_parent_attr 0 queue_pairs_free)" = \
	  $(($(vm_parent_attr 0 queue_pairs_total) - $(vm_parent_attr 0 queue_pairs_host))) ]
}

no_vector_is_left()
{
	vm_log_mark
	vm_host_ready || return 1
	all_spare_pairs_are_free || { echo "not all of them are free"; return 1; }
	if vm_log_says 'no MSI-X vectors can be added'; then
		return 1
	fi
	queues_borrow_the_admin_vector
}

no_vector_can_be_added()
{
	vm_log_mark
	vm_load_lightiov lacks=dynamic_msix && vm_baseline || return 1
	all_spare_pairs_are_free || { echo "not all of them are free"; return 1; }
	vm_log_says "nvme $(l1_bdf 0): lightiov: no MSI-X vectors can be added .* share the interrupt of nvme's admin queue" ||
		return 1
	queues_borrow_the_admin_vector
}

# ---- no write tracking ----

every_doorbell_exits()
{
	local uuid exits rc=0

	l1_load_nvme && vm_log_mark && vm_host_ready lacks=write_tracking || return 1
	vm_log_says "lightiov: this kernel's KVM does not track writes .*will exit to user space" || return 1
	uuid=$(vm_instance 1q 2) || return 1
	vm_guest vm0 --mdev "$uuid" && vm_guest_nvme vm0 || return 1
	vm_log_says "lightiov $uuid: KVM does not offer write tracking" || rc=1
	exits=$(kvm_exit vm0 mmio_exits)
	# shellcheck disable=SC2086 # lists of words
	vm_fio vm0 "guest" --filename=/dev/nvme0n1 --rw=randwrite --bs=4k --size=2m \
		--iodepth=4 $VM_VERIFY || { vm_guest_trouble vm0 "$uuid"; rc=1; }
	exits=$(($(kvm_exit vm0 mmio_exits) - exits))
	vm_stats "$uuid"
	echo "exits to user space meanwhile: $exits"
	[ "$exits" -ge 512 ] || rc=1
	if vm_stats "$uuid" | grep tracking_adds; then
		rc=1
	fi
	vm_guest_log_is_clean vm0 || rc=1
	l2_stop vm0 && mdev_remove "$uuid" && return $rc
}

# ---- halts are not seen ----

one_command_exits()
{
	local uuid exits rings rc=0

	l1_load_nvme && vm_log_mark && vm_host_ready lacks=halts || return 1
	vm_log_says "lightiov: halts of guests are not seen on this kernel" || return 1
	uuid=$(vm_instance 1q 2) || return 1
	vm_guest vm0 --mdev "$uuid" && vm_guest_nvme vm0 || return 1
	exits=$(mdev_attr "$uuid" stats/doorbell_exits)
	rings=$(mdev_attr "$uuid" stats/sq_doorbells)
	vm_fio vm0 "guest" "--filename=/dev/nvme0n1 --rw=randread --bs=4k --size=4m \
		--iodepth=1" || { vm_guest_trouble vm0 "$uuid"; rc=1; }
	exits=$(($(mdev_attr "$uuid" stats/doorbell_exits) - exits))
	rings=$(($(mdev_attr "$uuid" stats/sq_doorbells) - rings))
	echo "$rings rings, $exits exits for doorbells, at halts $(mdev_attr "$uuid" stats/halt_doorbells)"
	[ "$rings" -gt 100 ] && [ $((exits * 4)) -gt $((rings * 3)) ] &&
		[ "$(mdev_attr "$uuid" stats/halt_doorbells)" = 0 ] || rc=1
	vm_guest_log_is_clean vm0 || rc=1
	l2_stop vm0 && mdev_remove "$uuid" && return $rc
}

# ---- no MSI-X at all ----

# set_ups: how often nvme has set queues up since the mark
set_ups()
{
	vm_log_since_mark | grep -c 'default/read/poll queues'
}

# refused_without_reset [PARAM=VALUE...]: loaded so it says why, and has not touched it
refused_without_reset()
{
	local dev rc=0

	dev=/sys/bus/pci/devices/$(l1_bdf 0)
	vm_log_mark
	l1_load_lightiov "$@" || return 1
	l1_wait 30 vm_log_says "nvme $(l1_bdf 0): lightiov: .* without MSI-X; not offered to guests; use another drive" || rc=1
	# A reset would come now.
	sleep 3
	if [ "$(set_ups)" != 0 ] || vm_log_says 'lightiov: .*reset'; then
		echo "it was reset"
		rc=1
	fi
	if [ -e "$dev/mdev_supported_types" ]; then
		echo "it is offered"
		rc=1
	fi
	rmmod lightiov && return $rc
}

# Neither for queue pairs or shadow doorbells, which QEMU's has, nor to see what is inlined.
controller_is_refused()
{
	local dev

	dev=/sys/bus/pci/devices/$(l1_bdf 0)
	l1_load_nvme || return 1
	[ "$(cat "$dev/msi_bus")" ] && ! ls "$dev/msi_irqs" 2>/dev/null || return 1
	refused_without_reset reserve=8 && refused_without_reset reserve=8 lacks=separate_nvme || return 1
	vm_host_fio "host" --filename="$(l1_ns 0 1)" --rw=randwrite --bs=4k --size=2m \
		--iodepth=8 --verify=crc32c && vm_host_log_is_clean
}

# ---- no threads for a user's work ----

kernel_workers_do_it()
{
	local uuid rc=0

	l1_load_nvme && vm_log_mark && vm_load_lightiov lacks=worker && modprobe vfio_iommu_type1 || return 1
	vm_log_says 'lightiov: this kernel has no threads for work of a user' || return 1
	vm_baseline && uuid=$(vm_instance 2q 2) || return 1
	/out/vfio/liov_basic "$uuid" data rings costs worker >/results/basic.log 2>&1 ||
		{ cat /results/basic.log; rc=1; }
	mdev_remove "$uuid" && return $rc
}

# By who wants to offer it at run time, who is told so.
it_cannot_be_offered()
{
	local dev rc=0

	dev=/sys/bus/pci/devices/$(l1_bdf 0)
	[ -d /sys/module/nvme ] || l1_load_nvme || return 1
	l1_load_lightiov offer= reserve=8 && [ "$(cat "$dev/lightiov/offered")" = 0 ] || return 1
	vm_log_mark
	if echo 1 2>/tmp/refused.log >"$dev/lightiov/offered"; then
		echo "it was taken"
		rc=1
	fi 2>>/tmp/refused.log
	grep -q 'not supported' /tmp/refused.log && vm_log_says 'without MSI-X; not offered to guests' || rc=1
	[ "$(cat "$dev/lightiov/offered")" = 0 ] && [ "$(set_ups)" = 0 ] || rc=1
	rmmod lightiov && vm_host_reads && return $rc
}

# Said once, whatever happens to it; and its nvme asks for no pair more than it wants.
set_up_again_it_is_refused()
{
	local n

	vm_log_mark
	rmmod nvme && l1_load_lightiov reserve=8 && l1_load_nvme || return 1
	l1_wait 30 vm_log_says 'without MSI-X; not offered to guests' || return 1
	for n in 1 2; do
		echo 1 >"/sys/class/nvme/$(l1_ctrl 0)/reset_controller" && l1_wait 30 l1_drive_ready 0 ||
			{ echo "reset $n failed"; return 1; }
	done
	[ "$(vm_log_since_mark | grep -c 'without MSI-X; not offered')" = 1 ] && [ "$(set_ups)" = 3 ] ||
		{ vm_log_since_mark; return 1; }
	vm_host_reads && rmmod lightiov && vm_host_reads
}

if [ -n "${NO_MSIX:-}" ]; then
	vm_test controller_is_refused controller_is_refused
	vm_test it_cannot_be_offered it_cannot_be_offered
	vm_test set_up_again_it_is_refused set_up_again_it_is_refused
	vm_run
fi

vm_test unknown_word_is_refused unknown_word_is_refused
vm_test no_address_is_refused no_address_is_refused
vm_test no_number_is_refused no_number_is_refused
vm_test no_redirection_is_refused no_redirection_is_refused
vm_test ftrace_off_is_refused ftrace_off_is_refused
vm_test nvme_that_may_be_inlined_is_watched nvme_that_may_be_inlined_is_watched
vm_test nvme_that_is_inlined_is_refused nvme_that_is_inlined_is_refused
# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test no_vector_is_left no_vector_is_left
	vm_test no_vector_can_be_added no_vector_can_be_added
	vm_test host_resets_meanwhile host_resets_meanwhile
	vm_test nothing_is_left_without_vectors vm_nothing_is_left
done
MODE=guarded
vm_test every_doorbell_exits every_doorbell_exits
vm_test nothing_is_left_without_tracking vm_nothing_is_left
vm_test one_command_exits one_command_exits
vm_test nothing_is_left_without_halts vm_nothing_is_left
vm_test kernel_workers_do_it kernel_workers_do_it
vm_test nothing_is_left_without_threads vm_nothing_is_left
vm_run
