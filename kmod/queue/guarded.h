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

/* Likewise: others use the shared pair, too, and the queue is in line, see shared.c. */
#define LIOV_NOT_TURN		0xfffb

/* liov_slot.state; 0: free */
#define LIOV_SLOT_BUSY	BIT(0)	/* the hardware has the command */
#define LIOV_SLOT_HELD	BIT(1)	/* an Abort names it: not to be used again yet */

/**
 * struct liov_slot - what belongs to one command at the hardware
 * @state:    LIOV_SLOT_*
 * @cid:      the guest's command identifier
 * @tag:      shared: its identifier on pair @pair, where it counts @units
 * @pair:     see there
 * @units:    of LIOV_SHARED_UNIT
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
	u16		tag;
	u32		load;
	u16		pair;
	u16		units;
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
 * @shared:    the parent's shared pairs, through which it submits; NULL: @hw
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
	struct liov_shared	*shared;
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
 * @hw:       the hardware's ring, as deep as the guest's; NULL: of a shared instance
 * @hw_bus:   its bus address
 * @hw_head:  next entry to look at
 * @hw_phase: the phase it will have
 * @hw_acked: head as last written to the hardware's doorbell
 * @tail:     next entry of the guest's ring to write
 * @phase:    the phase it gets
 * @head:     the guest's head as last seen to be valid
 * @reserved: places promised to commands accepted and not completed
 * @sqs:      submission queues that post here, by the guest's ID, up to liov_env.nr_pairs;
 *            [0] is NULL
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
	struct liov_gsq		*sqs[];
};

/* What struct liov_slot.units and struct liov_tag.units count; bytes. */
#define LIOV_SHARED_UNIT	512

/**
 * struct liov_tag - a command on a shared pair
 * @sq:    queue; NULL: given up, nobody wants to know
 * @g:     its guarded part
 * @slot:  there
 * @units: what it counts of liov_shared_pair.inflight, in LIOV_SHARED_UNIT
 */
struct liov_tag {
	struct liov_sq		*sq;
	struct liov_gsq		*g;
	u16			slot;
	u16			units;
};

/**
 * struct liov_shared_pair - a hardware queue pair that serves many instances' queues
 * @set:     all of the parent's
 * @index:   there
 * @hwqid:   the hardware's ID; under liov_shared.lock and pool_lock
 * @made:    the hardware has it, as of @gen; under liov_shared.lock
 * @stuck:   it has a part of it, which it did not give up; likewise
 * @err:     what it could not be made for last time, as told; likewise
 * @depth:   entries of either ring
 * @nr_tags: one less
 * @sq:      submission ring, @sq_bus its bus address
 * @sq_db:   the hardware's doorbell
 * @cq:      completion ring, likewise
 * @cq_db:   see there
 * @user:    of a vector
 * @work:    takes completions that an interrupt has left
 *
 * @lock:    all that follows up to @mixed_until; see shared.c
 * @live:    doorbells may be written
 * @gen:     liov_parent.gen when the hardware made it
 * @tail:    next entry of @sq to fill
 * @rung:    value last written to @sq_db
 * @inflight: what is at the hardware, bytes; see LIOV_SHARED_COMMAND
 * @free:    bit per tag
 * @tag:     by the hardware's command identifier
 * @nr_turns: turns that are out, as far as these may still be used
 * @waiting: queues that wait
 * @line:    instances with such queues, but those of which one has its turn; by
 *           liov_shared_part.had
 * @had:     where an instance begins that had less
 * @tick:    runs while queues wait
 * @last:    who submitted last; not to be followed
 * @mixed_until: jiffies; until then several instances count as using it
 *
 * @cq_lock: what follows; outside of liov_gcq.lock, and that outside of @lock
 * @cq_head: next entry of @cq to look at, @cq_phase the phase it will have
 * @cq_acked: head as last written to @cq_db
 * @touched:  queues that had completions in this pass, @nr_touched of them
 */
struct liov_shared_pair {
	struct liov_shared	*set;
	u16			index;
	u16			hwqid;
	bool			made;
	bool			stuck;
	int			err;
	u32			depth;
	u32			nr_tags;
	struct nvme_command	*sq;
	dma_addr_t		sq_bus;
	void __iomem		*sq_db;
	struct nvme_completion	*cq;
	dma_addr_t		cq_bus;
	void __iomem		*cq_db;
	struct liov_vector_user	user;
	struct work_struct	work;

	spinlock_t		lock ____cacheline_aligned_in_smp; /* as said above */
	bool			live;
	u64			gen;
	u32			tail;
	u32			rung;
	u32			inflight;
	unsigned int		nr_turns;
	unsigned long		*free;
	struct liov_tag		*tag;
	unsigned int		waiting;
	struct rb_root_cached	line;
	u64			had;
	struct delayed_work	tick;
	const struct liov_instance *last;
	unsigned long		mixed_until;

	spinlock_t		cq_lock ____cacheline_aligned_in_smp; /* hard interrupts take it */
	u8			cq_phase;
	u32			cq_head;
	u32			cq_acked;
	unsigned int		nr_touched;
	struct liov_cq		*touched[LIOV_PASS_COMPLETIONS];
};

/**
 * struct liov_shared - the shared pairs of a controller, while it has shared instances
 * @p:      parent
 * @lock:   making pairs on the hardware, and deleting them
 * @nr:     pairs
 * @retry_at: jiffies; pairs that could not be made are not tried again before, if others were;
 *          under @lock
 * @users:  instances; under liov_parent.shared_lock
 * @of_cpu: index of each CPU's
 * @pair:   pairs
 */
struct liov_shared {
	struct liov_parent	*p;
	struct mutex		lock;	/* as said above */
	unsigned int		nr;
	unsigned long		retry_at;
	unsigned int		users;
	u16			*of_cpu;
	struct liov_shared_pair	pair[];
};

/* shared.c */
void liov_shared_line_init(struct liov_shared_pair *pair);
void liov_shared_turn_over(struct liov_sq *sq, unsigned int turn);
void liov_shared_leave(struct liov_sq *sq);
bool liov_shared_take(struct liov_sq *sq, struct liov_shared_pair *pair, unsigned int slot,
		      u64 bytes);
struct liov_shared_pair *liov_shared_take_again(struct liov_sq *sq, struct liov_shared_pair *pair,
						unsigned int slot);
void liov_shared_take_back(struct liov_sq *sq, struct liov_shared_pair *pair, unsigned int slot);
void liov_shared_put(struct liov_shared *set, struct liov_gsq *g, unsigned int slot);
int liov_shared_owner(struct liov_shared_pair *pair, unsigned int tag, struct liov_tag *t);
void liov_shared_forget(struct liov_shared *set, struct liov_gsq *g, unsigned int slot);
struct liov_shared_pair *liov_shared_pick(struct liov_sq *sq);
int liov_shared_push(struct liov_sq *sq, struct liov_shared_pair *pair,
		     const struct nvme_command *cmd);
void liov_shared_ring(struct liov_sq *sq, struct liov_shared_pair *pair);
void liov_shared_reset(struct liov_shared_pair *pair);

/* shared_pair.c */
void liov_shared_serve(struct liov_shared_pair *pair);
bool liov_shared_unmake(struct liov_shared_pair *pair);
int liov_shared_up(struct liov_shared *set, u64 *gen);
void liov_shared_reap(struct liov_shared *set);

/* guarded_complete.c */
void liov_slot_complete(struct liov_sq *sq, struct liov_gsq *gsq, unsigned int slot,
			const struct nvme_completion *e, u64 now);
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

/* guarded_rings.c */
void liov_submit_lock(struct liov_sq *sq);
void liov_submit_unlock(struct liov_sq *sq);
bool liov_guarded_wait_rings(struct liov_sq *sq, enum liov_trigger trigger);

/* guarded_resume.c */
void liov_guarded_cq_rebuild(struct liov_cq *cq, struct liov_ring *ring);
void liov_guarded_sq_rebuild(struct liov_sq *sq, struct liov_ring *ring);
bool liov_guarded_reap_all(struct liov_cq *cq);
void liov_gsq_give_up(struct liov_sq *sq);
int liov_shared_cq_make(struct liov_cq *cq);
int liov_shared_sq_make(struct liov_sq *sq);

/* shared_queue.c */
void liov_guarded_reap(struct liov_cq *cq);
bool liov_gsq_lost(const struct liov_sq *sq);
bool liov_gsq_idle(const struct liov_sq *sq);
int liov_shared_sq_stop(struct liov_sq *sq, bool wait);
u16 liov_guarded_abort_slot(struct liov_sq *sq, unsigned int slot, u32 *result);

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
