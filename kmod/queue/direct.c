// SPDX-License-Identifier: GPL-2.0
/*
 * Direct mode: the hardware's rings are the guest's own, in guest memory, and a
 * doorbell is forwarded as it is.
 *
 * What may run at once: any number of vCPUs at one queue and the stop
 * of the queue, which clears @live, all under the queue's spinlock.  A submission
 * allocates nothing, never sleeps and takes only that lock.  The rings are made
 * and freed under liov_instance.lock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/io.h>

#include "compat.h"
#include "queue/queue.h"

/* Tells the hardware how far the guest has consumed a completion queue. */
static void liov_cq_forward(struct liov_cq *cq)
{
	u32 head;

	lockdep_assert_held(&cq->lock);
	if (!cq->live)
		return;
	head = READ_ONCE(*cq->db.val);
	if (head == cq->head)
		return;
	if (unlikely(head >= cq->depth)) {
		liov_admin_event(cq->inst, LIOV_EVENT_DB_VALUE);
		return;
	}
	writel(head, cq->hw_db);
	cq->head = head;
	cq->rings++;
}

static void liov_direct_cq_kick(struct liov_cq *cq)
{
	unsigned long flags;

	spin_lock_irqsave(&cq->lock, flags);
	liov_cq_forward(cq);
	spin_unlock_irqrestore(&cq->lock, flags);
}

/* The phase of an entry; a ring that cannot be read shows nothing new: 2. */
static u8 liov_direct_phase(const struct liov_cq *cq, u32 i)
{
	__le16 status;

	if (liov_read_guest(&status, &cq->ring[i].status, sizeof(status)))
		return le16_to_cpu(status) & 1;
	liov_memory_broken(cq->inst, "completion", cq->qid);
	return 2;
}

static bool liov_direct_has_phase(const struct liov_cq *cq, u32 i, u8 phase)
{
	return liov_direct_phase(cq, i) == phase;
}

/*
 * How many of @n entries from @first on have this phase; none that has is behind one that
 * has not, so it takes few looks at a ring of any size, with interrupts off.  Most often it
 * is none or one.
 */
static u32 liov_direct_count(const struct liov_cq *cq, u32 first, u32 n, u8 phase)
{
	u32 low = 0, high, step = 1;

	/* All before @low have it; the one at @high has not. */
	while (low < n && liov_direct_has_phase(cq, first + min(low + step, n) - 1, phase)) {
		low = min(low + step, n);
		step *= 2;
	}
	if (low == n)
		return n;
	high = min(low + step, n) - 1;
	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (liov_direct_has_phase(cq, first + middle, phase))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Where the hardware will post next: entries written in the current lap have one phase,
 * those after them the other.  Exact for any history, because the ring is zero when the
 * queue is made: liov_direct_cq_make_ring().
 */
static struct liov_cq_pos liov_direct_cq_tail(const struct liov_cq *cq)
{
	u8 first = liov_direct_phase(cq, 0) & 1;
	u32 i = liov_direct_count(cq, 0, cq->depth, first);

	if (i && i < cq->depth)
		return (struct liov_cq_pos){ .index = i, .phase = first };
	return (struct liov_cq_pos){ .index = 0, .phase = !first };
}

/* Goes over entries that are new since, at most so many.  Returns how many were. */
static u32 liov_direct_cq_advance(const struct liov_cq *cq, struct liov_cq_pos *pos, u32 max)
{
	u32 found = liov_direct_count(cq, pos->index, min(max, cq->depth - pos->index),
				      pos->phase);

	pos->index += found;
	if (pos->index < cq->depth)
		return found;
	pos->index = liov_direct_count(cq, 0, min(max - found, cq->depth), !pos->phase);
	pos->phase ^= 1;
	return found + pos->index;
}

/* A queue that alone posts to the completion queue of its own number, which is lazy. */
static bool liov_direct_is_alone(const struct liov_sq *sq)
{
	const struct liov_cq *cq = READ_ONCE(sq->cq);

	return cq == liov_cq_at(liov_pairs(sq->inst), sq->qid) && READ_ONCE(cq->lazy);
}

/*
 * Finds out what was completed.  Where interrupts are posted to the vCPU (IRQ bypass
 * and a CPU that can) nobody calls us when it is.
 */
static void liov_direct_see(struct liov_sq *sq, enum liov_trigger trigger)
{
	u32 found;

	lockdep_assert_held(&sq->lock);
	if (!liov_direct_is_alone(sq)) {
		sq->outstanding = 0;
		return;
	}
	found = liov_direct_cq_advance(sq->cq, &sq->seen, sq->outstanding);
	sq->outstanding -= found;
	if (trigger == LIOV_TRIGGER_COMPLETION)
		sq->busy.blind = false;
	else if (found)
		sq->busy.blind = true;
}

/*
 * Was the controller reset only just?  A doorbell of a queue of which the hardware has
 * fetched nothing has to wait then (reset.c), and is rung for when the time has come.
 */
static bool liov_direct_settles(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned long now = jiffies, at = READ_ONCE(pairs->parent->settled_at);

	if (!READ_ONCE(pairs->parent->gen) || !time_before(now, at))
		return false;
	liov_queue_delayed_work(inst, &pairs->settle, at - now);
	return true;
}

/*
 * A lazy completion queue's head goes to the hardware first: after that it has
 * room for every command this ring can bring, as the completion queue is at
 * least as deep as the submission queue (liov_direct_sq_make_ring() sees to it).
 *
 * A value the hardware would refuse is not shown to it, or the host's driver
 * would get the error event; nor is a repeated one (NVMe Base 2.0, Invalid
 * Doorbell Write Value).
 */
static void liov_direct_submit(struct liov_sq *sq, enum liov_trigger trigger)
{
	u32 tail, waiting, found = 0;
	unsigned long flags;

	spin_lock_irqsave(&sq->lock, flags);
	if (!sq->live || !READ_ONCE(liov_pairs(sq->inst)->awake))
		goto out;
	if (unlikely(sq->fresh) && liov_direct_settles(sq->inst))
		goto out;
	liov_direct_see(sq, trigger);
	waiting = liov_cq_waiting(sq->cq, sq->seen.index);
	/* Else the timer comes. */
	if (trigger == LIOV_TRIGGER_COMPLETION && liov_busy_by_itself(sq->outstanding, waiting))
		goto note;
	tail = READ_ONCE(*sq->db.val);
	if (tail == sq->tail)
		goto note;
	if (unlikely(tail >= sq->depth)) {
		sq->bad_doorbells++;
		liov_admin_event(sq->inst, LIOV_EVENT_DB_VALUE);
		goto note;
	}
	if (sq->cq->lazy)
		liov_direct_cq_kick(sq->cq);
	sq->fresh = false;
	writel(tail, sq->hw_db);
	found = tail + (tail < sq->tail ? sq->depth : 0) - sq->tail;
	sq->outstanding += found;
	sq->tail = tail;
	sq->rings++;
note:
	liov_busy_note(sq, trigger, found, sq->outstanding, waiting);
out:
	spin_unlock_irqrestore(&sq->lock, flags);
}

/* The queues' own locks do: whoever is not live is left alone, and a value may come late. */
static void liov_direct_settle_work(struct work_struct *work)
{
	struct liov_pairs *pairs = container_of(to_delayed_work(work), struct liov_pairs, settle);
	unsigned int i;

	for (i = 1; i <= pairs->nr_pairs; i++)
		liov_direct_submit(liov_sq_at(pairs, i), LIOV_TRIGGER_STORE);
}

/**
 * liov_direct_init() - once, at creation
 * @inst: instance
 */
void liov_direct_init(struct liov_instance *inst)
{
	INIT_DELAYED_WORK(&liov_pairs(inst)->settle, liov_direct_settle_work);
}

/**
 * liov_direct_stop() - no more work of it
 * @inst: instance without live queues; its next user may have another mode
 *
 * May sleep.
 */
void liov_direct_stop(struct liov_instance *inst)
{
	cancel_delayed_work_sync(&liov_pairs(inst)->settle);
}

/* A ring is not gone over: it takes the same whatever the guest does. */
static void liov_direct_look(struct liov_sq *sq, enum liov_trigger trigger, struct liov_pass *pass)
{
	liov_direct_submit(sq, trigger);
}

/* The head of a lazy completion queue goes with a ring. */
static bool liov_direct_may_be_busy(struct liov_sq *sq)
{
	lockdep_assert_held(&liov_pairs(sq->inst)->track.lock);
	return liov_direct_is_alone(sq);
}

static void liov_direct_cq_shared(struct liov_cq *cq)
{
	cq->peek = liov_direct_cq_tail(cq);
}

/*
 * Alone on its vector, an interrupt is the queue's own; else only a new entry
 * tells.
 */
static bool liov_direct_cq_irq(struct liov_cq *cq, bool alone, struct liov_pass *pass)
{
	if (!alone && !liov_direct_cq_advance(cq, &cq->peek, cq->depth))
		return false;
	/* Posted to the vCPU it would not have come here. */
	if (!alone || !liov_lacks(LIOV_LACK_HOST_INTERRUPTS))
		liov_busy_look(cq, pass);
	return true;
}

static void liov_direct_open(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	for (i = 1; i <= pairs->nr_pairs; i++)
		liov_cq_at(pairs, i)->lazy = pairs->parent->cq_head == LIOV_CQ_HEAD_LAZY;
}

/*
 * The ring is where the guest says, in its own memory: PRP1 is a bus address
 * and must lie in a window.  It is mapped too, so that a shared vector can tell
 * whose interrupt it was; and zeroed, which the guest should have done (NVMe Base
 * 2.0, Common Completion Queue Entry, Phase Tag).  Linux does so between making the
 * queue and its first command, when what an earlier one left has been looked at.
 */
static int liov_direct_cq_make_ring(struct liov_cq *cq, const struct nvme_command *c,
				    struct liov_ring *ring)
{
	u32 bytes = cq->depth * sizeof(struct nvme_completion);
	struct liov_instance *inst = cq->inst;
	u64 gpa;
	int rc;

	cq->lazy = liov_pairs(inst)->parent->cq_head == LIOV_CQ_HEAD_LAZY;
	ring->bus = le64_to_cpu(c->create_cq.prp1);
	ring->depth = cq->depth;
	cq->bus = ring->bus;
	rc = liov_mem_to_gpa(inst, ring->bus, bytes, &gpa);
	if (!rc)
		rc = liov_ring_map(inst, &cq->ring_map, gpa, bytes);
	cq->ring = cq->ring_map.va;
	/* Where the guest stores to the hardware itself, nothing is copied. */
	if (!rc && liov_doorbell_prepare_own(inst, cq->qid, true))
		cq->lazy = false;
	if (!rc)
		memset(cq->ring, 0, bytes);
	return rc;
}

static void liov_direct_cq_free_ring(struct liov_cq *cq)
{
	liov_ring_unmap(cq->inst, &cq->ring_map);
	cq->ring = NULL;
}

/* The queue is about to be made, and has nothing under way. */
static void liov_direct_sq_starts(struct liov_sq *sq)
{
	sq->seen = liov_direct_cq_tail(sq->cq);
	sq->outstanding = 0;
}

static int liov_direct_sq_make_ring(struct liov_sq *sq, const struct nvme_command *c,
				    struct liov_ring *ring)
{
	struct liov_cq *cq = sq->cq;
	bool own;
	u64 gpa;
	int rc;

	ring->bus = le64_to_cpu(c->create_sq.prp1);
	ring->depth = sq->depth;
	rc = liov_mem_to_gpa(sq->inst, ring->bus,
			     (u64)sq->depth * sizeof(struct nvme_command), &gpa);
	if (rc)
		return rc;
	own = liov_doorbell_prepare_own(sq->inst, sq->qid, false);
	sq->bus = ring->bus;
	sq->fresh = !own;
	liov_direct_sq_starts(sq);

	/*
	 * Lazy CQ heads are safe only while every completion that can be
	 * outstanding has a place (see liov_direct_submit()), and go with a
	 * ring that is forwarded.
	 */
	spin_lock_irq(&cq->lock);
	if (own || sq->depth > cq->depth || liov_pairs(sq->inst)->queues.cq[cq->qid].nr_sqs)
		cq->lazy = false;
	spin_unlock_irq(&cq->lock);
	return 0;
}

/* The ring is in a window, which outlives it. */
static void liov_direct_sq_free_ring(struct liov_sq *sq)
{
}

/*
 * Of a queue pair without a command, as the guest left it: the completion queue is zero
 * and the submission queue begins at its first entry.
 */
static void liov_direct_cq_rebuild(struct liov_cq *cq, struct liov_ring *ring)
{
	ring->bus = cq->bus;
	ring->depth = cq->depth;
}

static void liov_direct_sq_rebuild(struct liov_sq *sq, struct liov_ring *ring)
{
	ring->bus = sq->bus;
	ring->depth = sq->depth;
	liov_direct_sq_starts(sq);
}

static u16 liov_direct_abort(struct liov_instance *inst, u16 sqid, u16 cid, u32 *result)
{
	struct liov_sq *sq = liov_sq_at(liov_pairs(inst), sqid);

	return liov_hw_abort(inst, sq->hwqid, sq->gen, cid, result);
}

const struct liov_mode_ops liov_direct_ops = {
	.name		= "direct",
	.check		= liov_mem_check_iommu,
	.open		= liov_direct_open,
	.cq_make_ring	= liov_direct_cq_make_ring,
	.cq_free_ring	= liov_direct_cq_free_ring,
	.sq_make_ring	= liov_direct_sq_make_ring,
	.sq_free_ring	= liov_direct_sq_free_ring,
	.sq_submit	= liov_direct_submit,
	.sq_look	= liov_direct_look,
	.cq_kick	= liov_direct_cq_kick,
	.cq_irq		= liov_direct_cq_irq,
	.may_be_busy	= liov_direct_may_be_busy,
	.cq_shared	= liov_direct_cq_shared,
	.cq_rebuild	= liov_direct_cq_rebuild,
	.sq_rebuild	= liov_direct_sq_rebuild,
	.abort		= liov_direct_abort,
	.in_use		= liov_mem_overlaps,
	.drop		= liov_mem_drop,
	.leak		= liov_mem_leak,
	.trusted	= true,
	.windows	= true,
	.own_doorbells	= true,
	.bypass		= true,
	.only_fresh	= true,
};
