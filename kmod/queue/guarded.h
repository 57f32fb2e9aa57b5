/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded mode: hardware rings in host memory, one slot a command.
 *
 * A doorbell copies new entries of the guest's SQ, has the guard check and
 * translate each (model/guard.c), puts what passed into the hardware's SQ under the
 * slot's number as command identifier and rings once.  The hardware's interrupt
 * copies completions into the guest's CQ under the guest's own identifiers.
 *
 * Who may run at once:
 *
 *   submit     any number of vCPUs, the tracking worker, liov_sq.job and, while
 *              the queue is busy (busy.c), the interrupt handler of its CQ, a timer
 *              and a vCPU that halts: one at a time per SQ by liov_sq.submit.  It
 *              may be slept under, since memory may have to be pinned, and is tried
 *              where nobody may sleep, so it is a semaphore.  Nobody waits for it to
 *              submit: who finds it taken leaves a mark, liov_sq.again, and whoever has
 *              it goes over the ring once more.  Uncontended, and never slept under, in
 *              the common case.
 *   complete   the interrupt handler of the CQ's vector, liov_cq.job, the reaping of a
 *              deleted SQ and submitters that refuse a command: liov_gcq.lock.
 *   slots      taken under liov_sq.submit, given back by completion: the bits
 *              of liov_gsq.free and liov_slot.state change atomically.
 *   teardown   liov_instance.lock (guarded_queue.c).  A ring goes only after the
 *              hardware deleted its queue or was disabled.
 *
 * What an interrupt cannot do - wait for a pin, allocate - it leaves in the ring,
 * for liov_sq.job.  So does everybody who has done as much as he may in one go, struct
 * liov_pass: a guest rings as often as it likes.  The same holds for completions and
 * liov_cq.job.
 *
 * A command is accepted only with a place in the guest's CQ reserved for its
 * completion, so the handler always has one.  What finds no slot or no place
 * stays in the guest's SQ, marked by liov_sq.starved and liov_cq.starved;
 * whoever makes room sees the mark and queues liov_sq.job.  Mark and room are
 * stores with a full barrier before the look at the other.  So does what would be
 * too much work for the drive: load.c.
 */
#ifndef _LIOV_GUARDED_H
#define _LIOV_GUARDED_H

#include "queue/queue.h"

/*
 * Commands one SQ may have at the hardware: what a single drive's queue needs
 * to be busy, and little memory.  A guest may have more in its ring.
 */
#define LIOV_MAX_SLOTS		256

/* What a guest's queue needs of the host's; of a failure it is told, the log need not be. */
#define LIOV_GFP_DMA		(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/* Like LIOV_NOT_NOW (memory.h): too much is at the hardware already, see load.c. */
#define LIOV_NO_ROOM		0xfffc

/* Likewise: it would be over a limit, see throttle.c. */
#define LIOV_TOO_SOON		0xfffd

/* liov_slot.state; 0: free */
#define LIOV_SLOT_BUSY	BIT(0)	/* the hardware has the command */
#define LIOV_SLOT_HELD	BIT(1)	/* an Abort names it: not to be used again yet */

/**
 * struct liov_slot - what belongs to one command at the hardware
 * @state:    LIOV_SLOT_*
 * @cid:      the guest's command identifier
 * @load:     what it counts of liov_load.now while LIOV_SLOT_BUSY; 0: not at all
 * @seq:      its number among the commands of the queue
 * @cmd:      as given to the hardware, to be given again after a reset
 * @start:    when the doorbell was seen, ns
 * @page:     host memory for a PRP list, ranges or descriptors; allocated when
 *            first needed, kept while the queue lives
 * @page_bus: its bus address
 */
struct liov_slot {
	atomic_t	state;
	u16		cid;
	u32		load;
	u64		start;
	u64		seq;
	struct nvme_command cmd;
	void		*page;
	dma_addr_t	page_bus;
};

/**
 * struct liov_gsq - a guarded submission queue
 * @map:       the guest's ring
 * @head:      next entry to read from it; under liov_sq.submit, read by
 *             completion for SQHD
 * @hw:        the hardware's ring, one entry more than slots: never full
 * @hw_bus:    its bus address
 * @hw_depth:  entries
 * @hw_tail:   next entry to fill
 * @nr_slots:  slots
 * @submitted: commands given to the hardware; under liov_sq.submit
 * @completed: of those completed; under liov_gcq.lock
 * @free:      bit per slot
 * @slot:      slots; the index is the hardware's command identifier
 */
struct liov_gsq {
	struct liov_ring_map	map;
	u32			head;
	u32			hw_tail;
	u32			hw_depth;
	u32			nr_slots;
	struct nvme_command	*hw;
	dma_addr_t		hw_bus;
	u64			submitted;
	u64			completed ____cacheline_aligned_in_smp;
	DECLARE_BITMAP(free, LIOV_MAX_SLOTS);
	struct liov_slot	slot[];
};

/**
 * struct liov_gcq - a guarded completion queue
 * @lock:     all below
 * @sqs:      submission queues that post here, by the guest's ID; [0] is NULL
 * @hw:       the hardware's ring, as deep as the guest's
 * @hw_bus:   its bus address
 * @hw_head:  next entry to look at
 * @hw_phase: the phase it will have
 * @hw_acked: head as last written to the hardware's doorbell
 * @tail:     next entry of the guest's ring to write
 * @phase:    the phase it gets
 * @head:     the guest's head as last seen to be valid
 * @reserved: places promised to commands accepted and not completed
 */
struct liov_gcq {
	spinlock_t		lock;	/* hard interrupts take it */
	u8			phase;
	u8			hw_phase;
	u32			hw_head;
	u32			hw_acked;
	u32			tail;
	u32			head;
	u32			reserved;
	struct nvme_completion	*hw;
	dma_addr_t		hw_bus;
	struct liov_gsq		*sqs[LIOV_MAX_PAIRS + 1];
};

/* guarded_complete.c */
void liov_slot_put(struct liov_gsq *g, unsigned int i, int bit);
void liov_gcq_post(struct liov_cq *cq, struct liov_sq *sq, struct liov_gsq *gsq,
		   u16 cid, u16 status, u64 result);
u32 liov_gcq_reserve(struct liov_cq *cq, u32 want);
void liov_gcq_unreserve(struct liov_cq *cq, u32 n);
bool liov_gcq_reap_all(struct liov_cq *cq);
struct liov_sq *liov_next_starved(struct liov_cq *cq, unsigned int turn, unsigned int *n);
void liov_guarded_wake(struct liov_cq *cq);
bool liov_guarded_cq_irq(struct liov_cq *cq, bool alone, struct liov_pass *pass);
void liov_guarded_cq_job(struct liov_job *job);

/* guarded_submit.c */
void liov_guarded_submit(struct liov_sq *sq, enum liov_trigger trigger);
void liov_guarded_cut(struct liov_sq *sq);
void liov_guarded_look(struct liov_sq *sq, enum liov_trigger trigger, struct liov_pass *pass);
void liov_guarded_cq_kick(struct liov_cq *cq);

/* load.c */
bool liov_load_get(struct liov_instance *inst, u32 load);
bool liov_load_wait(struct liov_sq *sq, u32 load);
void liov_load_put(struct liov_instance *inst, u32 load);

/* throttle.c */
bool liov_throttle_ask(struct liov_instance *inst, enum liov_io_class io, u32 bytes, u64 now,
		       u64 *when);
void liov_throttle_wait(struct liov_sq *sq, u64 now, u64 when);
void liov_throttle_over(struct liov_sq *sq, u64 now);

/**
 * liov_throttle_get() - is a command within the instance's limits?
 * @inst:  instance
 * @io:    kind of the command
 * @bytes: it moves
 * @now:   ns
 * @when:  out: when to ask again, ns, if it has to wait
 *
 * Any context.  Return: whether it may go; it is counted then.
 */
static inline bool liov_throttle_get(struct liov_instance *inst, enum liov_io_class io, u32 bytes,
				     u64 now, u64 *when)
{
	return likely(!READ_ONCE(liov_pairs(inst)->throttle.on)) ||
		liov_throttle_ask(inst, io, bytes, now, when);
}

#endif /* _LIOV_GUARDED_H */
