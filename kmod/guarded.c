// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode: hardware rings in host memory, one slot a command.
 *
 * A doorbell copies new entries of the guest's SQ, has the guard check and
 * translate each (guard.c), puts what passed into the hardware's SQ under the
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
 *   teardown   liov_instance.lock (gqueue.c).  A ring goes only after the
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
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/timekeeping.h>

#include "guarded.h"
#include "trace.h"

/*
 * How often rings are looked for, LIOV_QUIET_MS apart, before they count as gone:
 * far longer than user space needs to lay memory out anew.
 */
#define LIOV_RING_TRIES		100

/*
 * What a vCPU that stored, or the job, does in one stay: somebody else may have rung
 * in between, again and again.  The first is more than a busy queue has slots, and the
 * lookups take 5 ms at worst; in the middle of it others may have the CPU.
 */
#define LIOV_STAY_TURNS		8
#define LIOV_STAY_COMMANDS	1024
#define LIOV_STAY_LOOKUPS	16384
#define LIOV_STAY_INIT { .commands = LIOV_STAY_COMMANDS, .lookups = LIOV_STAY_LOOKUPS }

/*
 * Times that a halt goes over the ring before it leaves the rest to the job.  What it
 * rang for may complete at once, and that interrupt wants to look too, each time.
 */
#define LIOV_HALT_TURNS		4

/* May neither sleep nor take long. */
static bool liov_by_interrupt(enum liov_by by)
{
	return by == LIOV_BY_COMPLETION || by == LIOV_BY_TIMER || by == LIOV_BY_HALT;
}

/* ---- slots ---- */

/**
 * liov_slot_put() - clear a bit of a slot; whoever clears the last one frees it
 * @g:   queue
 * @i:   slot
 * @bit: LIOV_SLOT_BUSY or LIOV_SLOT_HELD, which is set
 *
 * Any context.
 */
void liov_slot_put(struct liov_gsq *g, unsigned int i, int bit)
{
	if (atomic_fetch_andnot(bit, &g->slot[i].state) == bit) {
		/* All of the slot was used before; pairs with liov_slot_get(). */
		smp_mb__before_atomic();
		set_bit(i, g->free);
	}
}

/* A free slot, or nr_slots.  Under liov_sq.submit: only one takes at a time. */
static unsigned int liov_slot_get(struct liov_gsq *g)
{
	unsigned int i = find_first_bit(g->free, g->nr_slots);

	if (i < g->nr_slots) {
		clear_bit(i, g->free);
		/* Uses of the slot come after; pairs with liov_slot_put(). */
		smp_mb__after_atomic();
	}
	return i;
}

/* ---- completion ---- */

/**
 * liov_gcq_post() - write one entry of the guest's CQ, into a reserved place
 * @cq:     queue; the caller holds its liov_gcq.lock
 * @sq:     whose command it was
 * @gsq:    its guarded part, as liov_sq.g may be cleared already
 * @cid:    the guest's command identifier
 * @status: NVMe status
 * @result: dwords 0 and 1
 *
 * The half with the phase goes last and at once: the guest may look at any
 * time.  Hard interrupt too.
 */
void liov_gcq_post(struct liov_cq *cq, struct liov_sq *sq, struct liov_gsq *gsq,
		   u16 cid, u16 status, u64 result)
{
	struct liov_gcq *g = cq->g;
	u64 *entry = (u64 *)&cq->ring[g->tail];
	union {
		struct nvme_completion cqe;
		u64 half[2];
	} u;

	lockdep_assert_held(&g->lock);
	u.cqe.result.u64 = cpu_to_le64(result);
	u.cqe.sq_head = cpu_to_le16(READ_ONCE(gsq->head));
	u.cqe.sq_id = cpu_to_le16(sq->qid);
	u.cqe.command_id = cid;
	u.cqe.status = cpu_to_le16(status << 1 | g->phase);
	/*
	 * Without a ring the queue is being deleted after a reset of the host's.  A guest whose
	 * controller is asleep may have another use for the ring.
	 */
	if (likely(cq->ring && READ_ONCE(cq->inst->awake))) {
		WRITE_ONCE(entry[0], u.half[0]);
		/* Also orders the command's data, which the hardware wrote before. */
		smp_wmb();
		WRITE_ONCE(entry[1], u.half[1]);
	}

	if (++g->tail == cq->depth) {
		g->tail = 0;
		g->phase ^= 1;
	}
	g->reserved--;
}

/* Takes up to @want places in the guest's CQ for commands to come. */
static u32 liov_gcq_reserve(struct liov_cq *cq, u32 want)
{
	struct liov_gcq *g = cq->g;
	u32 head, used, n = 0;
	unsigned long flags;

	spin_lock_irqsave(&g->lock, flags);
	head = READ_ONCE(*cq->db.val);
	if (likely(head < cq->depth))
		g->head = head;
	else
		liov_admin_event(cq->inst, LIOV_EVENT_DB_VALUE);
	/* One entry stays empty, or full would look like empty. */
	used = (g->tail + cq->depth - g->head) % cq->depth + g->reserved + 1;
	if (used < cq->depth)
		n = min(want, cq->depth - used);
	g->reserved += n;
	spin_unlock_irqrestore(&g->lock, flags);
	return n;
}

static void liov_gcq_unreserve(struct liov_cq *cq, u32 n)
{
	struct liov_gcq *g = cq->g;
	unsigned long flags;

	spin_lock_irqsave(&g->lock, flags);
	g->reserved -= n;
	spin_unlock_irqrestore(&g->lock, flags);
}

static void liov_count_latency(struct liov_sq_stats *st, u64 ns)
{
	unsigned int bucket = fls64(ns / NSEC_PER_USEC);

	st->latency[min(bucket, LIOV_LATENCY_BUCKETS - 1U)]++;
}

/* One entry of the hardware's CQ. */
static void liov_gcq_complete(struct liov_cq *cq, const struct nvme_completion *e, u64 now)
{
	/* More and the retry delay speak of pages the guest does not get. */
	u16 status = le16_to_cpu(e->status) >> 1 & (NVME_STATUS_DNR | 0x7ff);
	struct liov_instance *inst = cq->inst;
	u16 hwqid = le16_to_cpu(e->sq_id);
	unsigned int slot = e->command_id;
	struct liov_gcq *g = cq->g;
	unsigned int i = cq->qid;
	struct liov_gsq *gsq;
	struct liov_slot *s;
	struct liov_sq *sq;
	u64 ns;

	/* Nearly always the SQ of the same number. */
	if (unlikely(inst->hwqid[i] != hwqid)) {
		for (i = inst->nr_pairs; i && inst->hwqid[i] != hwqid; i--)
			;
	}
	gsq = g->sqs[i];
	sq = &inst->sq[i];
	if (unlikely(!gsq || slot >= gsq->nr_slots ||
		     !(atomic_read(&gsq->slot[slot].state) & LIOV_SLOT_BUSY))) {
		liov_guest_warn(inst, "lightiov: %s completed command %u of queue %u, which it was not given\n",
				pci_name(inst->parent->host->pdev), slot, hwqid);
		return;
	}
	s = &gsq->slot[slot];
	/* A drive that is being disabled may say so of what it has not done. */
	if (unlikely(status == NVME_SC_ABORT_QUEUE) && READ_ONCE(inst->paused))
		return;
	/* A long run may find commands that were not yet rung for when it began. */
	ns = now > s->start ? now - s->start : 0;
	liov_count_latency(&sq->stats, ns);
	sq->stats.completed++;
	if (status)
		sq->stats.errors++;
	trace_lightiov_complete(sq, slot, s->cid, status, ns);
	liov_gcq_post(cq, sq, gsq, s->cid, status, le64_to_cpu(e->result.u64));
	/* Release: who sees it finds the hardware done with the slot. */
	smp_store_release(&gsq->completed, gsq->completed + 1);
	if (unlikely(s->load))
		liov_load_put(inst, s->load);
	liov_slot_put(gsq, slot, LIOV_SLOT_BUSY);
}

/* Has the hardware posted an entry that nobody has taken? */
static bool liov_gcq_has_more(const struct liov_gcq *g)
{
	return (le16_to_cpu(READ_ONCE(g->hw[g->hw_head].status)) & 1) == g->hw_phase;
}

/*
 * Tells the hardware.  Not once the controller is being taken down: the reset hooks clear
 * @live under its lock, and nobody rings after that.
 */
static void liov_gcq_ack(struct liov_cq *cq)
{
	struct liov_gcq *g = cq->g;

	lockdep_assert_held(&g->lock);
	if (g->hw_acked == g->hw_head)
		return;
	spin_lock(&cq->lock);
	if (cq->live) {
		writel(g->hw_head, cq->hw_db);
		g->hw_acked = g->hw_head;
		cq->rings++;
	}
	spin_unlock(&cq->lock);
}

/*
 * Takes what the hardware has posted, no more than @max.  Returns how many; fewer than
 * @max are all.
 */
static u32 liov_gcq_reap(struct liov_cq *cq, u32 max)
{
	struct liov_gcq *g = cq->g;
	u64 now = 0;
	u32 n;

	lockdep_assert_held(&g->lock);
	for (n = 0; n < max && liov_gcq_has_more(g); n++) {
		/* The rest of the entry after its phase. */
		dma_rmb();
		if (!n)
			now = ktime_get_ns();
		liov_gcq_complete(cq, &g->hw[g->hw_head], now);
		if (++g->hw_head == cq->depth) {
			g->hw_head = 0;
			g->hw_phase ^= 1;
		}
	}
	return n;
}

/**
 * liov_gcq_reap_all() - take all that the hardware has posted
 * @cq: queue with a ring; the hardware is not told
 *
 * For those who take queues down or make them again.  Process context.
 *
 * Return: whether there was something.
 */
bool liov_gcq_reap_all(struct liov_cq *cq)
{
	u32 n, all = 0;

	/* Bounded by what can be outstanding, even if the hardware goes mad. */
	do {
		spin_lock_irq(&cq->g->lock);
		n = liov_gcq_reap(cq, LIOV_PASS_COMPLETIONS);
		spin_unlock_irq(&cq->g->lock);
		all += n;
	} while (n == LIOV_PASS_COMPLETIONS && all < cq->depth);
	return all;
}

/*
 * The SQs that wait for room on @cq, one a call, beginning with another each
 * time that @cq is gone over: the first one may take all of the room.
 */
static struct liov_sq *liov_next_starved(struct liov_cq *cq, unsigned int turn, unsigned int *n)
{
	struct liov_instance *inst = cq->inst;

	while (*n < inst->nr_pairs) {
		struct liov_sq *sq = &inst->sq[(turn + (*n)++) % inst->nr_pairs + 1];

		if (READ_ONCE(sq->starved) && READ_ONCE(sq->cq) == cq)
			return sq;
	}
	return NULL;
}

/**
 * liov_guarded_wake() - room was made: go on with what waits for it
 * @cq: queue
 *
 * Any context.
 */
void liov_guarded_wake(struct liov_cq *cq)
{
	unsigned int turn, n = 0;
	struct liov_sq *sq;

	/* Room before mark; pairs with liov_guarded_starve(). */
	smp_mb();
	if (likely(!READ_ONCE(cq->starved)))
		return;
	/* Whoever still finds no room sets it again.  A full barrier before their marks. */
	xchg(&cq->starved, false);
	turn = READ_ONCE(cq->turn);
	WRITE_ONCE(cq->turn, turn + 1);
	while ((sq = liov_next_starved(cq, turn, &n)))
		liov_job_queue(sq->inst, &sq->job);
}

/**
 * liov_guarded_cq_irq() - see struct liov_mode_ops
 * @cq:    queue
 * @alone: does not matter
 * @pass:  what may still be done; the rest of the completions is for liov_cq.job
 *
 * Return: whether the guest gets an interrupt.
 */
bool liov_guarded_cq_irq(struct liov_cq *cq, bool alone, struct liov_pass *pass)
{
	struct liov_gcq *g = cq->g;
	unsigned long flags;
	u32 n;

	spin_lock_irqsave(&g->lock, flags);
	n = liov_gcq_reap(cq, pass->completions);
	pass->completions -= n;
	liov_gcq_ack(cq);
	/* The hardware need not interrupt again for what it has posted already. */
	if (unlikely(!pass->completions) && liov_gcq_has_more(g)) {
		cq->budget_cuts++;
		liov_job_queue(cq->inst, &cq->job);
	}
	spin_unlock_irqrestore(&g->lock, flags);
	if (!n)
		return false;
	liov_busy_look(cq, pass);
	liov_guarded_wake(cq);
	return cq->ien;
}

/**
 * liov_guarded_cq_job() - liov_cq.job: what an interrupt has left
 * @job: of the queue, which has a ring until liov_guarded_cq_free_ring()
 *
 * As much as an interrupt would, and once more if that was not enough.
 */
void liov_guarded_cq_job(struct liov_job *job)
{
	struct liov_cq *cq = container_of(job, struct liov_cq, job);
	struct liov_pass pass = LIOV_PASS_INIT;

	if (liov_guarded_cq_irq(cq, false, &pass))
		liov_irq_interrupt(cq->inst, cq->vector);
}

/* ---- submission ---- */

/**
 * struct liov_submit - one run over a guest's SQ; what the guard's calls need
 * @sq:    queue; its submit is held
 * @slot:  of the command being checked
 * @by:    who runs
 * @pass:  what he may still do
 * @later: the command needs what only the job can get
 * @cut:   it needs more than is left of @pass
 * @load:  what the command counts for which there was no room
 */
struct liov_submit {
	struct liov_sq	*sq;
	struct liov_pass *pass;
	unsigned int	slot;
	enum liov_by	by;
	bool		later;
	bool		cut;
	u32		load;
};

/**
 * liov_guarded_cut() - see struct liov_mode_ops, @sq_later
 * @sq: queue; somebody has done as much as he may, and its job goes on
 */
void liov_guarded_cut(struct liov_sq *sq)
{
	atomic64_inc(&sq->budget_cuts);
	liov_job_queue(sq->inst, &sq->job);
}

/*
 * Is that enough for now?  A thread that is to die leaves at once, and the job does
 * what it does for others, until the device is closed.
 */
static bool liov_guarded_enough(const struct liov_pass *pass, enum liov_by by)
{
	return !pass->commands || !pass->lookups ||
		(by == LIOV_BY_STORE && unlikely(fatal_signal_pending(current)));
}

/* Shows the hardware what has been put into its ring. */
static void liov_gsq_ring(struct liov_sq *sq)
{
	unsigned long flags;

	spin_lock_irqsave(&sq->lock, flags);
	if (sq->live && sq->tail != sq->g->hw_tail) {
		sq->tail = sq->g->hw_tail;
		writel(sq->tail, sq->hw_db);
		sq->rings++;
	}
	spin_unlock_irqrestore(&sq->lock, flags);
}

/*
 * Pinning may go on into a page fault and into memory reclaim, and a vCPU's doorbell begins
 * below KVM's emulation: so it is not begun there in the lower half of a stack.
 */
#define LIOV_STACK_TO_PIN	(THREAD_SIZE / 2)

static bool liov_stack_is_short(void)
{
	return current_stack_pointer - (unsigned long)task_stack_page(current) < LIOV_STACK_TO_PIN;
}

/* Is it the job's to get what a command needs? */
static bool liov_submit_defers(const struct liov_submit *sub)
{
	return liov_by_interrupt(sub->by) ||
	       (sub->by == LIOV_BY_STORE && liov_stack_is_short());
}

static struct liov_step_map liov_env_step(void *ctx, u64 gpa, u16 *status)
{
	struct liov_submit *sub = ctx;
	struct liov_instance *inst = sub->sq->inst;
	struct liov_step_map step = { .base = LIOV_NO_DMA };

	if (unlikely(!sub->pass->lookups && liov_by_interrupt(sub->by))) {
		sub->later = true;
		sub->cut = true;
		return step;
	}
	sub->pass->lookups -= !!sub->pass->lookups;
	/* A list can take longer than anybody should wait for the CPU. */
	if (!liov_by_interrupt(sub->by))
		cond_resched();
	step = liov_gmem_step(inst, gpa);
	if (likely(!liov_step_none(step)))
		return step;
	if (liov_submit_defers(sub)) {
		sub->later = true;
		return step;
	}
	/* That takes a while: let the hardware begin with what it has. */
	liov_gsq_ring(sub->sq);
	return liov_gmem_fault(inst, gpa, status);
}

static u16 liov_env_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	struct liov_submit *sub = ctx;

	if (liov_step_none(liov_gmem_step(sub->sq->inst, gpa)) && liov_submit_defers(sub)) {
		sub->later = true;
		return LIOV_NOT_NOW;
	}
	return liov_gmem_read(sub->sq->inst, gpa, buf, len);
}

static void *liov_env_page(void *ctx, u32 n, u64 *bus)
{
	struct liov_submit *sub = ctx;
	struct liov_slot *s = &sub->sq->g->slot[sub->slot];

	/* Each entry may be in another step; only those that are count in the end. */
	if (unlikely(n + LIOV_LIST_LOOKUPS(n) > sub->pass->lookups &&
		     liov_by_interrupt(sub->by))) {
		sub->later = true;
		sub->cut = true;
		return NULL;
	}
	sub->pass->lookups -= min(LIOV_LIST_LOOKUPS(n), sub->pass->lookups);
	if (unlikely(!s->page && liov_submit_defers(sub))) {
		sub->later = true;
	} else if (unlikely(!s->page)) {
		s->page = dma_alloc_coherent(liov_dma_dev(sub->sq->inst), PAGE_SIZE,
					     &s->page_bus, LIOV_GFP_DMA);
		if (s->page)
			liov_count_host(sub->sq->inst, PAGE_SIZE);
	}
	*bus = s->page_bus;
	return s->page;
}

/* Copies an entry of the guest's ring; only the copy is looked at. */
static bool liov_gsq_copy(struct liov_gsq *g, struct nvme_command *c)
{
	return liov_read_guest(c, (struct nvme_command *)g->map.va + g->head, sizeof(*c));
}

static void liov_guarded_refuse(struct liov_sq *sq, const struct nvme_command *c, u16 status)
{
	struct liov_cq *cq = sq->cq;
	unsigned long flags;

	sq->stats.refused[liov_guard_refusal(status)]++;
	trace_lightiov_refuse(sq, c, status);
	spin_lock_irqsave(&cq->g->lock, flags);
	liov_gcq_post(cq, sq, sq->g, c->common.command_id, status, 0);
	spin_unlock_irqrestore(&cq->g->lock, flags);
}

/*
 * The guest's next command into slot @sub->slot.  Returns 0, the status it was refused
 * with, or LIOV_NOT_NOW or LIOV_NO_ROOM: it stays in the guest's ring, and is read anew.
 */
static u16 liov_guarded_submit_one(struct liov_submit *sub, u64 start)
{
	const struct liov_guard_env env = {
		.step	= liov_env_step,
		.read	= liov_env_read,
		.page	= liov_env_page,
		.ctx	= sub,
	};
	struct liov_sq *sq = sub->sq;
	struct liov_gsq *g = sq->g;
	struct liov_slot *s = &g->slot[sub->slot];
	struct liov_guarded out;
	struct nvme_command c;
	u16 status;

	if (unlikely(!liov_gsq_copy(g, &c))) {
		liov_memory_broken(sq->inst, "submission", sq->qid);
		return LIOV_NOT_NOW;
	}
	status = liov_guard_check(&sq->inst->guard, &env, &c, &out);
	if (unlikely(sub->later))
		return LIOV_NOT_NOW;
	if (unlikely(status == LIOV_NOT_NOW))
		return status;
	if (!status && unlikely(out.load) && !liov_load_get(sq->inst, out.load)) {
		sub->load = out.load;
		return LIOV_NO_ROOM;
	}
	WRITE_ONCE(g->head, g->head + 1 == sq->depth ? 0 : g->head + 1);
	if (unlikely(status)) {
		liov_guarded_refuse(sq, &c, status);
		return status;
	}
	s->cid = c.common.command_id;
	s->start = start;
	s->load = out.load;
	atomic_set(&s->state, LIOV_SLOT_BUSY);
	out.cmd.common.command_id = sub->slot;
	s->cmd = out.cmd;
	s->seq = g->submitted++;
	g->hw[g->hw_tail] = out.cmd;
	if (++g->hw_tail == g->hw_depth)
		g->hw_tail = 0;
	sq->stats.commands[out.io]++;
	sq->stats.bytes[out.io] += out.bytes;
	trace_lightiov_submit(sq, sub->slot, &c, out.bytes);
	return 0;
}

/*
 * Marks the queue as waiting for room and looks once more: room made before the
 * mark was seen wakes nobody.  Returns whether to try again.
 *
 * If nothing is outstanding on its CQ, only the guest can make room there, by
 * its head: from now on that doorbell is listened to.  Drivers that never have
 * more outstanding than their CQ holds, which is all common ones, do not come
 * here.
 */
static bool liov_guarded_starve(struct liov_sq *sq, enum liov_by by)
{
	struct liov_cq *cq = sq->cq;
	bool listen = false;
	unsigned long flags;

	if (!sq->starved)
		sq->stats.held_back++;
	WRITE_ONCE(sq->starved, true);
	WRITE_ONCE(cq->starved, true);
	/* Mark before room; pairs with liov_guarded_wake(). */
	smp_mb();
	if (find_first_bit(sq->g->free, sq->g->nr_slots) == sq->g->nr_slots)
		return false;
	if (liov_gcq_reserve(cq, 1)) {
		liov_gcq_unreserve(cq, 1);
		return true;
	}
	if (liov_by_interrupt(by)) {
		if (READ_ONCE(cq->lazy))
			liov_job_queue(sq->inst, &sq->job);
		return false;
	}
	spin_lock_irqsave(&cq->lock, flags);
	if (cq->lazy) {
		cq->lazy = false;
		listen = true;
	}
	spin_unlock_irqrestore(&cq->lock, flags);
	if (!listen)
		return false;
	/* Its worker looks at every queue once it listens. */
	liov_doorbell_decode_changed(sq->inst);
	/* A head that came before the store of @lazy; pairs with liov_doorbell_kick(). */
	smp_mb();
	if (!liov_gcq_reserve(cq, 1))
		return false;
	liov_gcq_unreserve(cq, 1);
	return true;
}

/*
 * The next @n commands, for which there are places in the guest's CQ.  Returns how many
 * places are left over; *@status is what the last command ended with.
 */
static u32 liov_guarded_submit_some(struct liov_submit *sub, u32 n, u64 start, u16 *status,
				    bool *refused)
{
	struct liov_gsq *g = sub->sq->g;

	while (n && !liov_guarded_enough(sub->pass, sub->by)) {
		sub->slot = liov_slot_get(g);
		if (sub->slot == g->nr_slots)
			break;
		*status = liov_guarded_submit_one(sub, start);
		if (unlikely(*status))
			set_bit(sub->slot, g->free);
		if (unlikely(*status == LIOV_NOT_NOW || *status == LIOV_NO_ROOM))
			break;
		*refused |= *status;
		sub->pass->commands--;
		n--;
		if (!liov_by_interrupt(sub->by))
			cond_resched();
	}
	return n;
}

/* The next command cannot be had now: @later by the job, else when memory is back. */
static void liov_guarded_not_now(struct liov_sq *sq, bool later)
{
	if (later)
		liov_job_queue(sq->inst, &sq->job);
	else
		liov_queue_delayed_work(sq->inst, &sq->work, msecs_to_jiffies(LIOV_QUIET_MS));
}

static void liov_guarded_run(struct liov_sq *sq, u32 tail, enum liov_by by,
			     struct liov_pass *pass)
{
	struct liov_submit sub = { .sq = sq, .by = by, .pass = pass };
	u64 start = ktime_get_ns();
	struct liov_gsq *g = sq->g;
	bool refused = false;
	u16 status;

	while (g->head != tail) {
		u32 new = (tail + sq->depth - g->head) % sq->depth;
		u32 n, left;

		if (unlikely(liov_guarded_enough(pass, by))) {
			liov_guarded_cut(sq);
			break;
		}
		n = liov_gcq_reserve(sq->cq, min(new, pass->commands));
		status = 0;
		left = liov_guarded_submit_some(&sub, n, start, &status, &refused);
		if (left)
			liov_gcq_unreserve(sq->cq, left);
		if (unlikely(sub.cut)) {
			liov_guarded_cut(sq);
			break;
		}
		if (unlikely(status == LIOV_NOT_NOW)) {
			liov_guarded_not_now(sq, sub.later);
			break;
		}
		if (g->head == tail || liov_guarded_enough(pass, by))
			continue;
		if (unlikely(status == LIOV_NO_ROOM)) {
			if (!liov_load_wait(sq, sub.load))
				goto out;
		} else if ((!n || left) && !liov_guarded_starve(sq, by)) {
			goto out;
		}
	}
	WRITE_ONCE(sq->starved, false);
	if (unlikely(READ_ONCE(sq->load_waits)))
		WRITE_ONCE(sq->load_waits, false);
out:
	liov_gsq_ring(sq);
	if (refused && sq->cq->ien)
		liov_irq_interrupt(sq->inst, sq->cq->vector);
}

/*
 * Rings that VFIO took away and gave back are mapped again.  At its boot a
 * firmware changes what the low memory is, and for a moment all of it is gone.
 */
static int liov_guarded_find_rings(struct liov_sq *sq)
{
	struct liov_cq *cq = sq->cq;
	int rc;

	rc = liov_gmem_map_ring(sq->inst, &sq->g->map);
	if (!rc)
		rc = liov_gmem_map_ring(sq->inst, &cq->ring_map);
	if (rc)
		return rc;
	spin_lock_irq(&cq->g->lock);
	cq->ring = cq->ring_map.va;
	spin_unlock_irq(&cq->g->lock);
	return 0;
}

/*
 * By the job only: a vCPU in its doorbell keeps KVM from changing memory
 * slots, and so user space from bringing the memory back.
 */
static bool liov_guarded_wait_rings(struct liov_sq *sq, enum liov_by by)
{
	int rc;

	if (by != LIOV_BY_WORK) {
		liov_job_queue(sq->inst, &sq->job);
		return false;
	}
	rc = liov_guarded_find_rings(sq);
	if (!rc) {
		sq->ring_tries = 0;
		return true;
	}
	/* While memory is being taken away nobody knows what is gone. */
	if (rc == -EAGAIN || ++sq->ring_tries < LIOV_RING_TRIES) {
		liov_queue_delayed_work(sq->inst, &sq->work, msecs_to_jiffies(LIOV_QUIET_MS));
		return false;
	}
	sq->ring_tries = 0;
	liov_guest_warn(sq->inst, "lightiov: the memory of queue %u is gone (%d); the guest's controller stops until it resets it\n",
			sq->qid, rc);
	WRITE_ONCE(sq->inst->fatal, true);
	liov_admin_event(sq->inst, LIOV_EVENT_INTERNAL);
	return false;
}

/* One time over the guest's ring.  Under liov_sq.submit. */
static void liov_guarded_go_over(struct liov_sq *sq, enum liov_by by, struct liov_pass *pass)
{
	struct liov_gsq *g = sq->g;
	u32 tail, head, waiting;

	if (!g || !READ_ONCE(sq->live) || !READ_ONCE(sq->inst->awake) ||
	    unlikely(READ_ONCE(sq->inst->fatal)))
		return;
	/* After a reset of the host's: what was in flight. */
	if (unlikely(sq->tail != g->hw_tail))
		liov_gsq_ring(sq);
	waiting = liov_cq_waiting(sq->cq, READ_ONCE(sq->cq->g->tail));
	head = g->head;
	tail = READ_ONCE(*sq->db.val);
	if (unlikely(tail >= sq->depth)) {
		sq->bad_doorbells++;
		liov_admin_event(sq->inst, LIOV_EVENT_DB_VALUE);
	} else if (by == LIOV_BY_COMPLETION &&
		   liov_busy_by_itself(g->submitted - READ_ONCE(g->completed), waiting)) {
		; /* The timer comes. */
	} else if (tail != head) {
		if (likely(g->map.va && sq->cq->ring) || liov_guarded_wait_rings(sq, by))
			liov_guarded_run(sq, tail, by, pass);
	}
	liov_busy_note(sq, by, (g->head + sq->depth - head) % sq->depth,
		       g->submitted - READ_ONCE(g->completed), waiting);
}

static void liov_guarded_turns(struct liov_sq *sq, enum liov_by by, struct liov_pass *pass,
			       unsigned int max)
{
	unsigned int turns = 0;

	do {
		if (turns++ == max || liov_guarded_enough(pass, by)) {
			liov_guarded_cut(sq);
			return;
		}
		WRITE_ONCE(sq->again, true);
		/* Value and mark before the look at the owner, who looks at the mark last. */
		smp_mb();
		if (down_trylock(&sq->submit))
			return;
		/* Off before the value is read: it may be a newer one's. */
		xchg(&sq->again, false);
		liov_guarded_go_over(sq, by, pass);
		up(&sq->submit);
		/* Free before the look at the mark. */
		smp_mb();
	} while (READ_ONCE(sq->again));
}

/**
 * liov_guarded_go_on() - see struct liov_mode_ops, @sq_go_on
 * @sq: queue, live or not
 * @by: who
 *
 * Typically in a vCPU thread inside KVM, with the vCPU's kvm->srcu held: may
 * sleep for pins, must not wait for memory slots.  That holds for whoever owns
 * liov_sq.submit.
 */
void liov_guarded_go_on(struct liov_sq *sq, enum liov_by by)
{
	struct liov_pass stay = LIOV_STAY_INIT;

	liov_guarded_turns(sq, by, &stay, LIOV_STAY_TURNS);
}

/**
 * liov_guarded_look() - see struct liov_mode_ops, @sq_look
 * @sq:   queue, live or not
 * @by:   who
 * @pass: what he may still do
 *
 * Does not sleep.
 */
void liov_guarded_look(struct liov_sq *sq, enum liov_by by, struct liov_pass *pass)
{
	liov_guarded_turns(sq, by, pass, by == LIOV_BY_HALT ? LIOV_HALT_TURNS : 1);
}

/**
 * liov_guarded_job_later() - liov_sq.work: have the job done
 * @work: of the queue
 */
void liov_guarded_job_later(struct work_struct *work)
{
	struct liov_sq *sq = container_of(to_delayed_work(work), struct liov_sq, work);

	liov_job_queue(sq->inst, &sq->job);
}

/**
 * liov_guarded_job() - liov_sq.job: what had to wait
 * @job: of the queue
 */
void liov_guarded_job(struct liov_job *job)
{
	struct liov_sq *sq = container_of(job, struct liov_sq, job);
	struct mem_cgroup *old = liov_charge_begin(sq->inst);

	liov_guarded_go_on(sq, LIOV_BY_WORK);
	liov_charge_end(old);
}

/**
 * liov_guarded_cq_kick() - see struct liov_mode_ops
 * @cq: queue that an SQ waits for, see liov_guarded_starve()
 */
void liov_guarded_cq_kick(struct liov_cq *cq)
{
	struct liov_pass stay = LIOV_STAY_INIT;
	unsigned int turn = READ_ONCE(cq->turn), n = 0;
	struct liov_sq *sq;

	WRITE_ONCE(cq->turn, turn + 1);
	/* One stay for all of them; those for which nothing is left get their job. */
	while ((sq = liov_next_starved(cq, turn, &n)))
		liov_guarded_turns(sq, LIOV_BY_STORE, &stay, LIOV_STAY_TURNS);
}
