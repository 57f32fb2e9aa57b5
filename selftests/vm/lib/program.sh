# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A program on VFIO that is busy in the background: liov_cycle. Sourced by ../common.sh.

# vm_is_gone PID: a process of this shell
vm_is_gone()
{
	! kill -0 "$1" 2>/dev/null
}

# vm_program_start UUID [NICENESS]: liov_cycle on an instance, in the background; returns
# when it does I/O. Its process is VM_PROGRAM, its output in VM_PROGRAM_LOG.
VM_PROGRAM=
VM_PROGRAM_LOG=/run/program.log
vm_program_start()
{
	# The child truncates it some time later: an earlier program must not be heard.
	: >$VM_PROGRAM_LOG
	nice -n "${2:-0}" /out/vfio/liov_cycle "$1" "${@:3}" </dev/null >$VM_PROGRAM_LOG 2>&1 &
	VM_PROGRAM=$!
	l1_wait 120 vm_program_began_or_ended && grep -q ready $VM_PROGRAM_LOG && return 0
	cat $VM_PROGRAM_LOG
	vm_program_kill
	return 1
}

vm_program_began_or_ended()
{
	grep -q ready $VM_PROGRAM_LOG || vm_is_gone "$VM_PROGRAM"
}

# vm_program_kill: at whatever moment; its device is closed when it is gone
vm_program_kill()
{
	kill -9 "$VM_PROGRAM" 2>/dev/null
	l1_wait 120 vm_is_gone "$VM_PROGRAM" 2>/dev/null || { echo "the end of the program hangs"; return 1; }
	wait "$VM_PROGRAM" 2>/dev/null
	return 0
}

# vm_program_stop: in order; fails if an I/O failed, or if what it read was not what it wrote
vm_program_stop()
{
	local rc

	kill -TERM "$VM_PROGRAM" && wait "$VM_PROGRAM"
	rc=$?
	cat $VM_PROGRAM_LOG
	return $rc
}
