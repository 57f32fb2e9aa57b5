/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of the guarded mode: events/lightiov/ in tracefs
 * (Documentation/admin-guide.rst).  Called by guarded_submit.c, guarded_complete.c and
 * busy.c.  Off, each is a patched-out jump.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM lightiov

#if !defined(_LIOV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _LIOV_TRACE_H

#include <linux/tracepoint.h>

#include "pool/pool.h"

#ifndef _LIOV_TRACE_ONCE
#define _LIOV_TRACE_ONCE
/* Flush has no LBA, Dataset Management's are in its list. */
static inline u64 liov_trace_slba(const struct nvme_command *cmd)
{
	switch (cmd->common.opcode) {
	case nvme_cmd_flush:
	case nvme_cmd_dsm:
		return 0;
	default:
		return le64_to_cpu(cmd->rw.slba);
	}
}
#endif

#define liov_trace_opcode(op)					\
	__print_symbolic(op,					\
			 { nvme_cmd_flush,	 "flush" },	\
			 { nvme_cmd_write,	 "write" },	\
			 { nvme_cmd_read,	 "read" },	\
			 { nvme_cmd_write_uncor, "write_uncor" }, \
			 { nvme_cmd_compare,	 "compare" },	\
			 { nvme_cmd_write_zeroes, "write_zeroes" }, \
			 { nvme_cmd_dsm,	 "dsm" },	\
			 { nvme_cmd_verify,	 "verify" },	\
			 { 0x19,		 "copy" })

/**
 * lightiov_submit - a command passed the guard and is put into the hardware's ring
 * @sq:        queue
 * @slot:      its slot, which is the hardware's command identifier
 * @guest_cmd: the command as the guest gave it
 * @bytes:     of data
 */
TRACE_EVENT(lightiov_submit,
	    TP_PROTO(const struct liov_sq *sq, u16 slot, const struct nvme_command *guest_cmd,
		     u64 bytes),
	    TP_ARGS(sq, slot, guest_cmd, bytes),
	    TP_STRUCT__entry(__string(dev, dev_name(liov_dev(sq->inst)))
			     __field(u64, slba)
			     __field(u64, bytes)
			     __field(u32, nsid)
			     __field(u16, sqid)
			     __field(u16, cid)
			     __field(u16, slot)
			     __field(u8, opcode)
	    ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->slba = liov_trace_slba(guest_cmd);
			   __entry->bytes = bytes;
			   __entry->nsid = le32_to_cpu(guest_cmd->common.nsid);
			   __entry->sqid = sq->qid;
			   __entry->cid = guest_cmd->common.command_id;
			   __entry->slot = slot;
			   __entry->opcode = guest_cmd->common.opcode;
	    ),
	    TP_printk("dev=%s sqid=%u cid=%u slot=%u opcode=0x%02x (%s) nsid=%u slba=%llu bytes=%llu",
		      __get_str(dev), __entry->sqid, __entry->cid, __entry->slot,
		      __entry->opcode, liov_trace_opcode(__entry->opcode), __entry->nsid,
		      __entry->slba, __entry->bytes)
);

/**
 * lightiov_refuse - the guard refused a command
 * @sq:        queue
 * @guest_cmd: the command as the guest gave it
 * @status:    what the guest is told
 */
TRACE_EVENT(lightiov_refuse,
	    TP_PROTO(const struct liov_sq *sq, const struct nvme_command *guest_cmd, u16 status),
	    TP_ARGS(sq, guest_cmd, status),
	    TP_STRUCT__entry(__string(dev, dev_name(liov_dev(sq->inst)))
			     __field(u64, slba)
			     __field(u64, prp1)
			     __field(u64, prp2)
			     __field(u32, nsid)
			     __field(u32, cdw12)
			     __field(u16, sqid)
			     __field(u16, cid)
			     __field(u16, status)
			     __field(u8, opcode)
			     __field(u8, flags)
	    ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->slba = liov_trace_slba(guest_cmd);
			   __entry->prp1 = le64_to_cpu(guest_cmd->common.dptr.prp1);
			   __entry->prp2 = le64_to_cpu(guest_cmd->common.dptr.prp2);
			   __entry->nsid = le32_to_cpu(guest_cmd->common.nsid);
			   __entry->cdw12 = le32_to_cpu(guest_cmd->common.cdw12);
			   __entry->sqid = sq->qid;
			   __entry->cid = guest_cmd->common.command_id;
			   __entry->status = status;
			   __entry->opcode = guest_cmd->common.opcode;
			   __entry->flags = guest_cmd->common.flags;
	    ),
	    TP_printk("dev=%s sqid=%u cid=%u opcode=0x%02x (%s) flags=0x%02x nsid=%u slba=%llu cdw12=0x%08x prp1=0x%llx prp2=0x%llx status=0x%04x",
		      __get_str(dev), __entry->sqid, __entry->cid, __entry->opcode,
		      liov_trace_opcode(__entry->opcode), __entry->flags, __entry->nsid,
		      __entry->slba, __entry->cdw12, __entry->prp1, __entry->prp2,
		      __entry->status)
);

/**
 * lightiov_complete - the hardware completed a command
 * @sq:        queue
 * @slot:      its slot
 * @guest_cid: the guest's command identifier
 * @status:    as the guest is told, without the phase tag
 * @ns:        since the doorbell
 */
TRACE_EVENT(lightiov_complete,
	    TP_PROTO(const struct liov_sq *sq, u16 slot, u16 guest_cid, u16 status, u64 ns),
	    TP_ARGS(sq, slot, guest_cid, status, ns),
	    TP_STRUCT__entry(__string(dev, dev_name(liov_dev(sq->inst)))
			     __field(u64, ns)
			     __field(u16, sqid)
			     __field(u16, cid)
			     __field(u16, slot)
			     __field(u16, status)
	    ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->ns = ns;
			   __entry->sqid = sq->qid;
			   __entry->cid = guest_cid;
			   __entry->slot = slot;
			   __entry->status = status;
	    ),
	    TP_printk("dev=%s sqid=%u cid=%u slot=%u status=0x%04x latency_ns=%llu",
		      __get_str(dev), __entry->sqid, __entry->cid, __entry->slot,
		      __entry->status, __entry->ns)
);

/**
 * lightiov_busy - a doorbell is no longer tracked, or is again (busy.c)
 * @sq: queue; under liov_track.lock
 */
TRACE_EVENT(lightiov_busy,
	    TP_PROTO(const struct liov_sq *sq),
	    TP_ARGS(sq),
	    TP_STRUCT__entry(__string(dev, dev_name(liov_dev(sq->inst)))
			     __field(u64, tracked_ns)
			     __field(u64, wait_ns)
			     __field(u64, commands)
			     __field(u32, need)
			     __field(u16, sqid)
			     __field(bool, on)
			     __field(bool, slow)
	    ),
	    TP_fast_assign(__assign_str(dev);
			   __entry->tracked_ns = sq->busy.tracked_pace;
			   __entry->wait_ns = sq->busy.wait;
			   __entry->commands = sq->busy.commands - sq->busy.first;
			   __entry->need = sq->busy.need;
			   __entry->sqid = sq->qid;
			   __entry->on = sq->busy.on;
			   __entry->slow = sq->busy.slow;
	    ),
	    TP_printk("dev=%s sqid=%u busy=%d slow=%d commands=%llu need=%u tracked_ns=%llu wait_ns=%llu",
		      __get_str(dev), __entry->sqid, __entry->on, __entry->slow,
		      __entry->commands, __entry->need, __entry->tracked_ns, __entry->wait_ns)
);

#endif /* _LIOV_TRACE_H */

/* Out of the kernel's tree: the path is given by Kbuild. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH pool
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
