// SPDX-License-Identifier: GPL-2.0
/*
 * Direct mode: the hardware's rings are the guest's own, in guest memory, and a
 * doorbell is forwarded as it is.
 *
 * What may run at once: any number of vCPUs in a kick of one queue and the stop
 * of the queue, which clears @live, all under the queue's spinlock.  A kick
 * allocates nothing, never sleeps and takes only that lock.  The rings are made
 * and freed under liov_instance.lock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/io.h>

#include "lightiov.h"

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

/*
 * What the hardware has, by what was seen in its completion queue; for a queue that
 * alone posts there (liov_direct_may_be_busy()).
 */
static u32 liov_direct_outstanding(struct liov_sq *sq)
{
	u32 seen = READ_ONCE(sq->cq->seen);

	lockdep_assert_held(&sq->lock);
	/* Some were not seen to be sent; see liov_direct_cq_shared(). */
	if ((s32)(sq->sent - seen) < 0)
		sq->sent = seen;
	return sq->sent - seen;
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
static void liov_direct_go_on(struct liov_sq *sq, enum liov_by by)
{
	u32 tail, waiting, found = 0;
	unsigned long flags;

	spin_lock_irqsave(&sq->lock, flags);
	if (!sq->live)
		goto out;
	if (unlikely(sq->fresh) && liov_resume_settling(sq->inst))
		goto out;
	waiting = liov_cq_waiting(sq->cq, READ_ONCE(sq->cq->peek));
	/* Else the timer comes. */
	if (by == LIOV_BY_COMPLETION &&
	    liov_busy_by_itself(liov_direct_outstanding(sq), waiting))
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
	sq->sent += found;
	sq->tail = tail;
	sq->rings++;
note:
	liov_busy_note(sq, by, found, liov_direct_outstanding(sq), waiting);
out:
	spin_unlock_irqrestore(&sq->lock, flags);
}

/*
 * A lazy completion queue has one submission queue, and its head goes with a ring.
 * Whether interrupts bypass the host depends on the CPU too; then nothing new is seen.
 */
static bool liov_direct_may_be_busy(struct liov_sq *sq)
{
	struct liov_cq *cq = READ_ONCE(sq->cq);
	u32 seen = READ_ONCE(cq->seen);
	bool news = seen != cq->seen_before;

	lockdep_assert_held(&sq->inst->track.lock);
	cq->seen_before = seen;
	return news && cq == &sq->inst->cq[sq->qid] && READ_ONCE(cq->lazy);
}

/*
 * Finds where the hardware will post next: entries written in the current lap
 * have one phase, those after them the other.  Exact for any history, because
 * the ring is zero when the queue is made: liov_direct_cq_make_ring().
 */
static void liov_direct_cq_shared(struct liov_cq *cq)
{
	u8 first = le16_to_cpu(READ_ONCE(cq->ring[0].status)) & 1;
	u32 i;

	for (i = 1; i < cq->depth; i++) {
		if ((le16_to_cpu(READ_ONCE(cq->ring[i].status)) & 1) != first)
			break;
	}
	cq->peek = i == cq->depth ? 0 : i;
	cq->peek_phase = i == cq->depth ? !first : first;
	/* How many that were does not matter: all that were sent, until it is found out. */
	WRITE_ONCE(cq->seen, READ_ONCE(cq->inst->sq[cq->qid].sent));
}

/*
 * Alone on its vector, an interrupt is the queue's own; else only a new entry
 * tells.
 */
static bool liov_direct_cq_irq(struct liov_cq *cq, bool alone)
{
	u32 budget = cq->depth;
	u32 found = 0;

	while (budget--) {
		u16 status = le16_to_cpu(READ_ONCE(cq->ring[cq->peek].status));

		if ((status & 1) != cq->peek_phase)
			break;
		found++;
		if (++cq->peek == cq->depth) {
			cq->peek = 0;
			cq->peek_phase ^= 1;
		}
	}
	if (found) {
		WRITE_ONCE(cq->seen, cq->seen + found);
		liov_busy_look(cq);
	}
	return alone || found;
}

static int liov_direct_check(struct liov_instance *inst)
{
	if (!liov_allow_direct) {
		dev_err(liov_dev(inst), "lightiov: direct mode is off; load lightiov with allow_direct=1 if the guest is trusted\n");
		return -EPERM;
	}
	if (!inst->backing.whole) {
		dev_err(liov_dev(inst), "lightiov: %s is not a whole namespace of %s; direct mode needs one\n",
			inst->backing.text, pci_name(inst->parent->host->pdev));
		return -EINVAL;
	}
	return liov_mem_check_iommu(inst->parent, liov_dev(inst));
}

static void liov_direct_open(struct liov_instance *inst)
{
	unsigned int i;

	for (i = 1; i <= inst->nr_pairs; i++)
		inst->cq[i].lazy = inst->parent->cq_head == LIOV_CQ_HEAD_LAZY;
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

	cq->lazy = inst->parent->cq_head == LIOV_CQ_HEAD_LAZY;
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
	sq->sent = READ_ONCE(cq->seen);

	/*
	 * Lazy CQ heads are safe only while every completion that can be
	 * outstanding has a place (see liov_direct_go_on()), and go with a
	 * ring that is forwarded.
	 */
	spin_lock_irq(&cq->lock);
	if (own || sq->depth > cq->depth || sq->inst->queues.cq[cq->qid].nr_sqs)
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
static void liov_direct_cq_again(struct liov_cq *cq, struct liov_ring *ring)
{
	ring->bus = cq->bus;
	ring->depth = cq->depth;
}

static void liov_direct_sq_again(struct liov_sq *sq, struct liov_ring *ring)
{
	ring->bus = sq->bus;
	ring->depth = sq->depth;
}

static u16 liov_direct_abort(struct liov_instance *inst, u16 sqid, u16 cid, u32 *result)
{
	struct nvme_command hw = {};
	int rc;

	hw.abort.opcode = nvme_admin_abort_cmd;
	hw.abort.sqid = cpu_to_le16(inst->sq[sqid].hwqid);
	hw.abort.cid = cid;
	rc = liov_parent_admin(inst->parent, &hw, NULL, 0, result);
	return liov_hw_status(rc);
}

const struct liov_mode_ops liov_direct_ops = {
	.name		= "direct",
	.check		= liov_direct_check,
	.open		= liov_direct_open,
	.cq_make_ring	= liov_direct_cq_make_ring,
	.cq_free_ring	= liov_direct_cq_free_ring,
	.sq_make_ring	= liov_direct_sq_make_ring,
	.sq_free_ring	= liov_direct_sq_free_ring,
	.sq_go_on	= liov_direct_go_on,
	.cq_kick	= liov_direct_cq_kick,
	.cq_irq		= liov_direct_cq_irq,
	.may_be_busy	= liov_direct_may_be_busy,
	.cq_shared	= liov_direct_cq_shared,
	.cq_again	= liov_direct_cq_again,
	.sq_again	= liov_direct_sq_again,
	.abort		= liov_direct_abort,
	.unmap		= liov_mem_unmap,
	.release	= liov_mem_release,
	.leak		= liov_mem_leak,
	.bypass		= true,
	.only_fresh	= true,
};
