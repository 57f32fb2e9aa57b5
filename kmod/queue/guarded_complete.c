// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode, completion: from the hardware's ring to the guest's, and the places in the
 * latter.  guarded.h says what a queue is and who may run at once.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/timekeeping.h>

#include "queue/guarded.h"
#include "pool/trace.h"

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
		if (g->shared)
			liov_shared_put(g->shared, g, i);
		/* All of the slot was used before; pairs with liov_slot_get(). */
		smp_mb__before_atomic();
		set_bit(i, g->free);
	}
}

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
	if (likely(cq->ring && READ_ONCE(liov_pairs(cq->inst)->awake))) {
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

/**
 * liov_gcq_reserve() - take places in the guest's CQ for commands to come
 * @cq:   queue
 * @want: so many at most
 *
 * Any context.  Return: how many there were.
 */
u32 liov_gcq_reserve(struct liov_cq *cq, u32 want)
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

/**
 * liov_gcq_unreserve() - give places back
 * @cq: queue
 * @n:  so many
 *
 * Any context.
 */
void liov_gcq_unreserve(struct liov_cq *cq, u32 n)
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

/**
 * liov_slot_complete() - the hardware has completed a command
 * @sq:   whose it was; the caller holds liov_gcq.lock of its CQ
 * @gsq:  its guarded part, as liov_sq.g may be cleared already
 * @slot: of the command, busy
 * @e:    the hardware's entry
 * @now:  ns
 *
 * Hard interrupt too.
 */
void liov_slot_complete(struct liov_sq *sq, struct liov_gsq *gsq, unsigned int slot,
			const struct nvme_completion *e, u64 now)
{
	/* More and the retry delay speak of pages the guest does not get. */
	u16 status = le16_to_cpu(e->status) >> 1 & (NVME_STATUS_DNR | 0x7ff);
	struct liov_instance *inst = sq->inst;
	struct liov_slot *s = &gsq->slot[slot];
	u64 ns;

	/* A drive that is being disabled may say so of what it has not done. */
	if (unlikely(status == NVME_SC_ABORT_QUEUE) && READ_ONCE(liov_pairs(inst)->paused))
		return;
	/* A long run may find commands that were not yet rung for when it began. */
	ns = now > s->start ? now - s->start : 0;
	liov_count_latency(&sq->stats, ns);
	sq->stats.completed++;
	if (status)
		sq->stats.errors++;
	trace_lightiov_complete(sq, slot, s->cid, status, ns);
	liov_gcq_post(sq->cq, sq, gsq, s->cid, status, le64_to_cpu(e->result.u64));
	/* Release: who sees it finds the hardware done with the slot. */
	smp_store_release(&gsq->completed, gsq->completed + 1);
	if (unlikely(s->load))
		liov_load_put(inst, s->load);
	liov_slot_put(gsq, slot, LIOV_SLOT_BUSY);
}

/* One entry of the hardware's CQ. */
static void liov_gcq_complete(struct liov_cq *cq, const struct nvme_completion *e, u64 now)
{
	struct liov_instance *inst = cq->inst;
	struct liov_pairs *pairs = liov_pairs(inst);
	u16 hwqid = le16_to_cpu(e->sq_id);
	unsigned int slot = e->command_id;
	unsigned int i = cq->qid;
	struct liov_gsq *gsq;

	/* Nearly always the SQ of the same number. */
	if (unlikely(pairs->hwqid[i] != hwqid)) {
		for (i = pairs->nr_pairs; i && pairs->hwqid[i] != hwqid; i--)
			;
	}
	gsq = cq->g->sqs[i];
	if (unlikely(!gsq || slot >= gsq->nr_slots ||
		     !(atomic_read(&gsq->slot[slot].state) & LIOV_SLOT_BUSY))) {
		liov_guest_warn(inst, "%s completed command %u of queue %u, which it was not given\n",
				pci_name(pairs->parent->host->pdev), slot, hwqid);
		return;
	}
	liov_slot_complete(liov_sq_at(pairs, i), gsq, slot, e, now);
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

/**
 * liov_next_starved() - the SQs that wait for room on a CQ, one a call
 * @cq:   queue
 * @turn: which goes first; another each time that @cq is gone over, since the first one may
 *        take all of the room
 * @n:    0 at the first call
 *
 * Any context.  Return: the next one, or NULL.
 */
struct liov_sq *liov_next_starved(struct liov_cq *cq, unsigned int turn, unsigned int *n)
{
	struct liov_instance *inst = cq->inst;
	struct liov_pairs *pairs = liov_pairs(inst);

	while (*n < pairs->nr_pairs) {
		struct liov_sq *sq = liov_sq_at(pairs, (turn + (*n)++) % pairs->nr_pairs + 1);

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
