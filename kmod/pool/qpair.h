/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An instance's queue pairs and what serves them: rings, doorbells, interrupt
 * vectors, and what the two modes make of them.  Included by
 * pool.h.
 */
#ifndef _LIOV_QPAIR_H
#define _LIOV_QPAIR_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/irqbypass.h>
#include <linux/list.h>
#include <linux/msi.h>
#include <linux/nvme.h>
#include <linux/semaphore.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "model/model.h"

struct liov_cq;
struct liov_gcq;
struct liov_gsq;
struct liov_instance;
struct liov_sq;

/**
 * struct liov_ring - where the hardware finds a ring
 * @bus:   its bus address
 * @depth: entries
 */
struct liov_ring {
	dma_addr_t	bus;
	u32		depth;
};

/**
 * struct liov_job - what a vCPU or an interrupt leaves of a queue; see worker.c
 * @node: liov_jobs.queued, or empty; under liov_jobs.lock
 * @fn:   does it; process context, bounded
 */
struct liov_job {
	struct list_head	node;
	void			(*fn)(struct liov_job *job);
};

/* Who goes over a guest's submission queue. */
enum liov_trigger {
	LIOV_TRIGGER_STORE,		/* a vCPU, or whoever stored in its stead; may sleep */
	LIOV_TRIGGER_WORK,		/* liov_sq.job; may also wait for memory slots */
	LIOV_TRIGGER_COMPLETION,	/* of a busy queue; hard interrupt, or liov_cq.job */
	LIOV_TRIGGER_TIMER,		/* of a busy queue; hard interrupt */
	LIOV_TRIGGER_HALT,		/* of a busy queue: its vCPU halts; not to sleep */
};

/**
 * struct liov_pass - what may still be done in one go
 * @completions: taken from hardware
 * @commands:    taken from a guest's ring
 * @lookups:     of steps of guest memory; see LIOV_PASS_LOOKUPS
 *
 * One for all that a hard interrupt, a timer or a halt does, and that a thread does in one
 * stay; of him who made it.
 */
struct liov_pass {
	u32	completions;
	u32	commands;
	u32	lookups;
};

#define LIOV_PASS_INIT {						\
		.completions	= LIOV_PASS_COMPLETIONS,		\
		.commands	= LIOV_PASS_COMMANDS,			\
		.lookups	= LIOV_PASS_LOOKUPS,			\
	}

/**
 * struct liov_mode_ops - how a ring is made and what a doorbell does
 * @name:         as in the attribute "mode"
 * @check:        can this host have it?  Says why not; may be NULL
 * @open:         after @check and liov_instance_model_init()
 * @cq_make_ring: a completion queue's ring for the hardware; 0, or a status for
 *                the guest or a negative errno
 * @cq_free_ring: undo; the hardware no longer uses it
 * @sq_make_ring: likewise for a submission queue
 * @sq_free_ring: likewise
 * @sq_submit:    the guest may have moved the tail.  Typically in a vCPU thread;
 *                LIOV_TRIGGER_STORE or LIOV_TRIGGER_WORK.  Whoever else is in it goes over
 *                the ring once more.  Bounded; goes on in a job
 * @sq_look:      the same for the others of enum liov_trigger, who may not sleep and do no
 *                more than @pass says
 * @sq_later:     what @sq_look would find is left to a job.  Any context; NULL
 *                where a look costs next to nothing
 * @cq_kick:      the guest may have moved the head, of a queue that is not lazy
 * @cq_irq:       the hardware's vector of this queue fired, which it has @alone
 *                or shares; true if the guest gets an interrupt.  Hard
 *                interrupt, under liov_vector.lock; no more than the pass says
 * @may_be_busy:  can it be known what a submission queue has outstanding?  See
 *                busy.c; under liov_track.lock
 * @cq_shared:    its vector is shared from now on; under liov_vector.lock; may
 *                be NULL
 * @cq_rebuild:   the controller was reset under a completion queue: takes what it
 *                posted before, and gives an empty ring for the queue to be made
 *                again
 * @sq_rebuild:   likewise; what was in flight is in the ring
 * @cq_make:      makes a completion queue in a hardware queue's stead: nothing of it is on the
 *                hardware; NULL: it is made there.  0, an NVMe status or a negative errno
 * @sq_make:      likewise; what was in flight before a reset is at the hardware again
 * @sq_stop:      waits until the hardware has nothing of a submission queue any more, which is
 *                not live; @wait as of liov_sq_delete()
 * @abort:        Abort of a command on I/O queue @sqid; an NVMe status
 * @in_use:       has any of [iova, iova + len) pins?
 * @unmap:        VFIO takes it away: waits until nobody uses it, and drops its pins; 0 or a
 *                negative errno: that took too long.  NULL: whoever uses it has to be stopped
 * @drop:         the hardware let go, or nothing of it is in use: drop its pins
 * @leak:         it did not: keep the pages for ever
 * @drain:        waits until commands accepted so far are completed; those accepted later see
 *                what the caller changed before.  0, or -ETIMEDOUT.  NULL: nobody can
 * @guard:        commands pass the guard: any LBAs of a namespace will do, if its format has
 *                no metadata, and liov_instance.guard says what they may reach
 * @trusted:      its guests can reach more than what is theirs
 * @windows:      a guest's DMA addresses are bus addresses of windows
 * @own_doorbells: the guest may store to the drive's own doorbells
 * @bypass:       the hardware's interrupt may go straight to a vCPU
 * @always_irq:   hardware queues interrupt also when the guest polls
 * @jobs:         it has jobs, see worker.c
 * @only_fresh:   @cq_rebuild and @sq_rebuild are for queues of which the hardware has
 *                fetched nothing (liov_sq.fresh); else the guest makes new ones
 *
 * All but @sq_submit, @sq_look, @sq_later, @cq_kick, @cq_irq and @may_be_busy run under
 * liov_instance.lock.
 */
struct liov_mode_ops {
	const char *name;
	int (*check)(struct liov_instance *inst);
	void (*open)(struct liov_instance *inst);
	int (*cq_make_ring)(struct liov_cq *cq, const struct nvme_command *c,
			    struct liov_ring *ring);
	void (*cq_free_ring)(struct liov_cq *cq);
	int (*sq_make_ring)(struct liov_sq *sq, const struct nvme_command *c,
			    struct liov_ring *ring);
	void (*sq_free_ring)(struct liov_sq *sq);
	void (*sq_submit)(struct liov_sq *sq, enum liov_trigger trigger);
	void (*sq_look)(struct liov_sq *sq, enum liov_trigger trigger, struct liov_pass *pass);
	void (*sq_later)(struct liov_sq *sq);
	void (*cq_kick)(struct liov_cq *cq);
	bool (*cq_irq)(struct liov_cq *cq, bool alone, struct liov_pass *pass);
	bool (*may_be_busy)(struct liov_sq *sq);
	void (*cq_shared)(struct liov_cq *cq);
	void (*cq_rebuild)(struct liov_cq *cq, struct liov_ring *ring);
	void (*sq_rebuild)(struct liov_sq *sq, struct liov_ring *ring);
	int (*cq_make)(struct liov_cq *cq);
	int (*sq_make)(struct liov_sq *sq);
	int (*sq_stop)(struct liov_sq *sq, bool wait);
	u16 (*abort)(struct liov_instance *inst, u16 sqid, u16 cid, u32 *result);
	bool (*in_use)(struct liov_instance *inst, u64 iova, u64 len);
	int (*unmap)(struct liov_instance *inst, u64 iova, u64 len);
	void (*drop)(struct liov_instance *inst, u64 iova, u64 len);
	void (*leak)(struct liov_instance *inst);
	int (*drain)(struct liov_instance *inst);
	bool guard;
	bool trusted;
	bool windows;
	bool own_doorbells;
	bool bypass;
	bool always_irq;
	bool jobs;
	bool only_fresh;
};

/**
 * struct liov_virq - something user space has an eventfd for: an MSI-X vector of an
 *                    instance, or one of VFIO's own, ERR and REQ
 * @lock:    orders a signal (hard interrupt, reset hooks) against a change of @eventfd
 * @eventfd: what user space wants signalled; NULL when it has none
 * @pending: an event came while there was no @eventfd
 * @signals: events delivered
 */
struct liov_virq {
	spinlock_t		lock;	/* @eventfd, @pending */
	struct eventfd_ctx	*eventfd;
	bool			pending;
	u64			signals;
};

/**
 * struct liov_vector_user - a hardware completion queue that is no instance's
 * @vec:  hardware vector; under irq_lock
 * @node: liov_vector.users
 * @irq:  it fired; true if there was something.  Hard interrupt, under liov_vector.lock; no
 *        more than the pass says
 */
struct liov_vector_user {
	struct liov_vector	*vec;
	struct list_head	node;
	bool			(*irq)(struct liov_vector_user *user, struct liov_pass *pass);
};

/**
 * struct liov_vector - one MSI-X vector of the controller
 * @node:   liov_parent.vectors, under irq_lock
 * @lock:   @cqs, @users and the peek position of each CQ on it
 * @cqs:    completion queues it serves; more than one when vectors ran short
 * @users:  others that it serves
 * @nr_cqs: the number of both
 * @borrowed: it is nvme.ko's, for its admin queue
 * @map:    index and Linux interrupt number
 */
struct liov_vector {
	struct list_head	node;
	spinlock_t		lock;	/* @cqs and their peek positions */
	struct list_head	cqs;
	struct list_head	users;
	unsigned int		nr_cqs;
	bool			borrowed;
	struct msi_map		map;
	char			name[40];
};

/**
 * struct liov_doorbell - the page behind one I/O doorbell register
 * @page:    RAM, zeroed at first, which the guest maps under KVM; NULL until it is needed, see
 *           liov_doorbell_have_page(); under liov_track.own_lock
 * @val:     its first word, where the guest stores; there whenever the queue is
 * @tracked: KVM reports stores to it; under liov_track.lock
 * @quiet:   KVM shall not report stores to it; written under liov_instance.lock
 *           and liov_track.lock
 * @own:     the guest maps the drive's own register, in frame @pfn, instead of
 *           @page; under liov_track.own_lock
 */
struct liov_doorbell {
	struct page	*page;
	u32		*val;
	bool		tracked;
	bool		quiet;
	bool		own;
	unsigned long	pfn;
};

/**
 * struct liov_ring_map - a guest's ring, pinned and mapped into the kernel
 * @va:     mapping; NULL when there is none
 * @gpa:    guest-physical start
 * @npages: pages
 */
struct liov_ring_map {
	void	*va;
	u64	gpa;
	u32	npages;
};

/**
 * struct liov_cq_pos - how far somebody has looked at a completion queue
 * @index: entry that comes next
 * @phase: the phase it will have
 */
struct liov_cq_pos {
	u32	index;
	u8	phase;
};

/**
 * struct liov_cq - an I/O completion queue of an instance
 * @inst:      owner
 * @qid:       the guest's ID
 * @hwqid:     the hardware's ID
 * @gen:       liov_parent.gen when the hardware made it
 * @made:      the hardware has it (as of @gen); under liov_instance.lock
 * @depth:     entries
 * @vector:    the guest's vector
 * @vec:       hardware vector; under irq_lock
 * @vec_node:  liov_vector.cqs
 * @producer:  IRQ bypass, valid while @bypass
 * @lazy:      CQ head is copied with the next SQ ring, not forwarded at once
 * @db:        the guest's doorbell page
 * @hw_db:     the hardware's doorbell
 * @head:      last value written to @hw_db
 * @live:      doorbells may be forwarded; under @lock
 * @ring:      kernel mapping of the guest's ring: direct mode looks for new
 *             entries, guarded mode writes them
 * @ring_map:  the pins behind it
 * @bus:       direct mode: where the hardware finds it
 * @peek:      direct mode: what interrupts have shown; under liov_vector.lock, valid
 *             while the vector is shared
 * @g:         guarded mode's part; see guarded.h
 * @starved:   guarded mode: some SQ waits for room
 * @turn:      guarded mode: which of them goes first next time
 * @job:       guarded mode: takes what an interrupt has left in the hardware's ring
 * @budget_cuts: guarded mode: times that one did; under liov_gcq.lock
 */
struct liov_cq {
	spinlock_t		lock;	/* @live, @lazy, @head, the hardware's doorbell */
	bool			live;
	bool			lazy;
	u32			depth;
	u32			head;
	void __iomem		*hw_db;
	struct liov_doorbell	db;
	struct liov_instance	*inst;
	u64			rings;
	u16			qid;
	u16			hwqid;
	u16			vector;
	bool			made;
	bool			ien;
	bool			bypass;
	u64			gen;

	struct liov_vector	*vec;
	struct list_head	vec_node;
	struct irq_bypass_producer producer;
	struct nvme_completion	*ring;
	struct liov_ring_map	ring_map;
	dma_addr_t		bus;
	struct liov_cq_pos	peek;
	struct liov_gcq		*g;
	bool			starved;
	unsigned int		turn;
	struct liov_job		job;
	u64			budget_cuts;
} ____cacheline_aligned_in_smp;

/*
 * Latency of guarded commands, from the doorbell to the guest's completion
 * entry: bucket n counts those below 2^n us, the last one all others.
 */
#define LIOV_LATENCY_BUCKETS	24

/**
 * struct liov_sq_stats - what the guarded mode counts of one submission queue
 * @commands:  accepted, by kind; @bytes likewise
 * @refused:   by reason, see enum liov_refusal
 * @held_back: times that commands had to wait in the guest's ring
 * @held_load: times that they had to because of liov_load
 * @held_shared: times that they had to because others use the same shared pair
 * @throttled: times that they had to because of a limit, for @throttled_ns in all
 * @throttled_ns: see there
 * @completed: by the hardware; @errors of them with a status
 * @latency:   see LIOV_LATENCY_BUCKETS
 *
 * @commands to @throttled_ns are written under liov_sq.submit, the others under
 * liov_gcq.lock; each is read without a lock.  They outlive the queue.
 */
struct liov_sq_stats {
	u64	commands[LIOV_NR_IO_CLASSES];
	u64	bytes[LIOV_NR_IO_CLASSES];
	u64	refused[LIOV_NR_REFUSALS];
	u64	held_back;
	u64	held_load;
	u64	held_shared;
	u64	throttled;
	u64	throttled_ns;
	u64	completed ____cacheline_aligned_in_smp;
	u64	errors;
	u64	latency[LIOV_LATENCY_BUCKETS];
};

/**
 * struct liov_busy - whether stores to a doorbell need to be reported; see busy.c
 * @on:       they need not.  Written under liov_track.lock
 * @soon:     @timer was set to the guest's pace
 * @armed:    @timer was set
 * @slow:     commands come more slowly than with an exit for each
 * @blind:    completions come, but their interrupts do not look: they do not come to
 *            the host, it seems.  Written by the mode
 * @quiet:    looks of @timer's in a row that found too few
 * @streak:   stores in a row, less those long after the one before
 * @need:     value of @streak at which it is tried
 * @commands: brought by the guest so far
 * @since:    when it brought the last one, ns
 * @wait:     ns that @timer waits, if @soon
 * @looking:  when @timer began its look, ns; 0 if it is not at it
 * @tracked_pace: ns that a command took before it began, mean of @paced stores
 * @spent:    ns that the last @window commands took
 * @weight:   of these @window commands for the question whether they come more slowly
 * @timer:    looks
 * @work:     ends it
 * @first:    @commands when it began
 * @periods:  times that it began
 * @others:   commands found by others than @timer since its last look
 * @halts:    looks at a halt that found commands
 * @vcpu:     the thread whose halts look, while @on; written under liov_halt_lock
 * @halt_node: in the table of halt.c, while @on
 *
 * @soon to @weight, @others and @halts are written by whoever goes over the queue, and
 * by beginning and end.
 */
struct liov_busy {
	bool			on;
	bool			soon;
	bool			armed;
	bool			slow;
	bool			blind;
	u8			quiet;
	u32			streak;
	u32			need;
	u64			commands;
	u64			since;
	u64			wait;
	u64			looking;
	u64			tracked_pace;
	u32			paced;
	u64			spent;
	u32			window;
	u32			weight;
	struct hrtimer		timer;
	struct work_struct	work;
	u64			first;
	u64			periods;
	u32			others;
	u64			halts;
	struct task_struct	*vcpu;
	struct hlist_node	halt_node;
};

/**
 * struct liov_sq - an I/O submission queue of an instance
 * @lock:  two vCPUs on one doorbell, a rescan, the stop of the queue; @live, @fresh,
 *         @tail, @outstanding, @seen
 * @live:  doorbells may be forwarded
 * @fresh: direct mode: none was, and the guest cannot store to the hardware itself
 * @tail:  last value written to the hardware
 * @cq:    where its completions go
 * @outstanding: direct mode, if the queue may be busy: commands the hardware has by
 *         what was seen of its completion queue
 * @seen:  direct mode, likewise: how far that was looked at
 * @bus:   direct mode: where the hardware finds the ring
 * @rings: doorbell writes to the hardware
 * @exits: stores of the guest that were reported, by KVM or as region writes
 * @bad_doorbells: values refused
 * @busy:  see there
 * @starved: guarded mode: commands wait in the guest's ring; set under @submit
 * @load_waits: guarded mode: the next command waits for room in liov_load; see load.c
 * @throttled: guarded mode: the next command is over a limit; see throttle.c
 * @throttled_since: guarded mode: since when, ns; 0 if it is not; under @submit
 * @line_node: shared: liov_shared_part.queues of the pair @line_pair, or empty; see shared.c
 * @line_pair: see there
 * @turn_pair: shared: has its turn on that pair, plus 1; 0: on none.  Written under its lock, and
 *         not 0 only while it is in no line
 * @turn_left: shared: bytes that are left of that; below 0 if it had more
 * @turn_paid: shared: the last command took of that; under @submit
 * @turn_more: shared: it was refused something while it had its turn
 * @again:  guarded mode: whoever has @submit shall go over the ring once more
 * @submit: guarded mode: serialises readers of the guest's ring; @g is set and
 *          cleared under it.  May be held while memory is pinned, and is tried by
 *          interrupts
 * @g:      guarded mode's part; see guarded.h
 * @job:    guarded mode: goes on with commands that were held back
 * @work:   guarded mode: queues @job after a while
 * @ring_tries: guarded mode: how often its rings were not found again in a row;
 *          under @submit
 * @budget_cuts: guarded mode: times that somebody left the rest of the ring to @job,
 *          since he had done as much as he may
 * @stats:  guarded mode's counters
 * For the rest see struct liov_cq.
 */
struct liov_sq {
	spinlock_t		lock;	/* as said above; the hardware's doorbell */
	bool			live;
	bool			fresh;
	u32			depth;
	u32			tail;
	void __iomem		*hw_db;
	struct liov_doorbell	db;
	struct liov_cq		*cq;
	struct liov_instance	*inst;
	struct liov_cq_pos	seen;
	u32			outstanding;
	dma_addr_t		bus;
	u64			rings;
	atomic64_t		exits;
	u64			bad_doorbells;
	u16			qid;
	u16			hwqid;
	bool			made;
	u64			gen;
	struct liov_busy	busy;

	bool			starved;
	bool			load_waits;
	bool			throttled;
	bool			again;
	struct semaphore	submit;	/* the guest's ring, @g */
	struct liov_gsq		*g;
	struct liov_job		job;
	struct delayed_work	work;
	unsigned int		ring_tries;
	u64			throttled_since;
	atomic64_t		budget_cuts;
	struct list_head	line_node;
	u16			line_pair;
	u16			turn_pair;
	s32			turn_left;
	bool			turn_more;
	bool			turn_paid;
	struct liov_sq_stats	stats;
} ____cacheline_aligned_in_smp;

#endif /* _LIOV_QPAIR_H */
