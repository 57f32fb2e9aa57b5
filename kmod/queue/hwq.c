// SPDX-License-Identifier: GPL-2.0
/*
 * Hardware queue pairs of an instance: creating them on the rings that the mode
 * (liov_mode_ops) provides.  Deleting them: fence.c.
 *
 * Under liov_instance.lock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "compat.h"
#include "queue/queue.h"

/* While it was being made; see liov_watch_shut(). */
static bool liov_queue_is_shut(const struct liov_instance *inst)
{
	return READ_ONCE(liov_pairs(inst)->fatal) || liov_has_to_stop(inst);
}

/**
 * liov_cq_made() - a completion queue is there, and is used unless it was shut meanwhile
 * @cq:  queue
 * @gen: liov_parent.gen in which it was made
 *
 * In a section of the gate.
 */
void liov_cq_made(struct liov_cq *cq, u64 gen)
{
	cq->gen = gen;
	cq->made = true;
	spin_lock_irq(&cq->lock);
	cq->live = !liov_queue_is_shut(cq->inst);
	spin_unlock_irq(&cq->lock);
}

/**
 * liov_sq_made() - the same for a submission queue
 * @sq:  queue
 * @gen: liov_parent.gen in which it was made
 */
void liov_sq_made(struct liov_sq *sq, u64 gen)
{
	sq->gen = gen;
	sq->made = true;
	spin_lock_irq(&sq->lock);
	sq->live = !liov_queue_is_shut(sq->inst);
	spin_unlock_irq(&sq->lock);
}

/*
 * Has the hardware make a completion queue on @ring.  Returns 0, an NVMe status or
 * a negative errno.
 */
static int liov_cq_make(struct liov_cq *cq, const struct liov_ring *ring)
{
	struct liov_instance *inst = cq->inst;
	struct liov_parent *p = liov_pairs(inst)->parent;
	struct nvme_command hw = {};
	int rc, index = 0;
	u16 flags;

	rc = liov_host_enter(p->host);
	if (rc)
		return rc;
	if (liov_pool_remap(p, inst) < cq->qid) {
		liov_guest_warn(inst, "%s grants too few queue pairs since its reset for queue %u\n",
				pci_name(p->host->pdev), cq->qid);
		rc = -ENOSPC;
		goto out;
	}
	cq->hwqid = liov_pairs(inst)->hwqid[cq->qid];
	cq->hw_db = liov_pool_doorbell(p, cq->hwqid, true);
	flags = NVME_QUEUE_PHYS_CONTIG;
	if (cq->ien || liov_pairs(inst)->mode->always_irq) {
		flags |= NVME_CQ_IRQ_ENABLED;
		index = liov_irq_attach(cq);
		if (index < 0) {
			rc = index;
			liov_guest_warn(inst, "no interrupt vector left on %s (%d); remove an instance\n",
					pci_name(p->host->pdev), rc);
			goto out;
		}
	}
	hw.create_cq.opcode = nvme_admin_create_cq;
	hw.create_cq.prp1 = cpu_to_le64(ring->bus);
	hw.create_cq.cqid = cpu_to_le16(cq->hwqid);
	hw.create_cq.qsize = cpu_to_le16(ring->depth - 1);
	hw.create_cq.cq_flags = cpu_to_le16(flags);
	hw.create_cq.irq_vector = cpu_to_le16(index);
	liov_pairs(inst)->sent++;
	rc = liov_host_admin(p->host, &hw, NULL, 0, NULL);
	if (rc) {
		liov_irq_detach(cq);
		goto out;
	}
	liov_cq_made(cq, READ_ONCE(p->gen));
	liov_doorbell_own(inst, cq->qid, true);
out:
	liov_host_leave(p->host);
	return rc;
}

/**
 * liov_cq_create() - make a completion queue on the hardware
 * @cq: the guest's queue, not made
 * @c:  the guest's command, checked by liov_check_create_cq()
 *
 * Caller holds liov_instance.lock.  May sleep as long as the hardware takes.
 *
 * Return: 0 or an NVMe status for the guest; LIOV_SC_LATER while the host resets
 * the controller.
 */
int liov_cq_create(struct liov_cq *cq, const struct nvme_command *c)
{
	struct liov_instance *inst = cq->inst;
	struct liov_pairs *pairs = liov_pairs(inst);
	struct liov_ring ring;
	int rc;

	lockdep_assert_held(&pairs->lock);
	if (cq->made)
		return NVME_SC_INTERNAL;	/* its deletion failed, see there */
	if (!liov_doorbell_have_page(inst, liov_doorbell_nr(cq->qid, true)))
		return liov_guest_status(-ENOMEM);
	cq->depth = le16_to_cpu(c->create_cq.qsize) + 1;
	cq->ien = le16_to_cpu(c->create_cq.cq_flags) & NVME_CQ_IRQ_ENABLED;
	/* Read by user space's changes of eventfds, while it is on no vector. */
	WRITE_ONCE(cq->vector, max(0, liov_vector_index(&pairs->queues,
							le16_to_cpu(c->create_cq.irq_vector))));
	cq->head = 0;
	WRITE_ONCE(*cq->db.val, 0);

	rc = pairs->mode->cq_make_ring(cq, c, &ring);
	if (rc)
		return liov_guest_status(rc);
	rc = pairs->mode->cq_make ? pairs->mode->cq_make(cq) : liov_cq_make(cq, &ring);
	if (rc) {
		liov_doorbell_disown(inst, cq->qid, true);
		pairs->mode->cq_free_ring(cq);
	}
	return liov_guest_status(rc);
}

/* The same for a submission queue. */
static int liov_sq_make(struct liov_sq *sq, const struct liov_ring *ring)
{
	struct liov_instance *inst = sq->inst;
	struct liov_pairs *pairs = liov_pairs(inst);
	struct liov_parent *p = pairs->parent;
	struct nvme_command hw = {};
	int rc;

	rc = liov_host_enter(p->host);
	if (rc)
		return rc;
	if (liov_pool_remap(p, inst) < sq->qid) {
		rc = -ENOSPC;
		goto out;
	}
	sq->hwqid = pairs->hwqid[sq->qid];
	sq->hw_db = liov_pool_doorbell(p, sq->hwqid, false);
	hw.create_sq.opcode = nvme_admin_create_sq;
	hw.create_sq.prp1 = cpu_to_le64(ring->bus);
	hw.create_sq.sqid = cpu_to_le16(sq->hwqid);
	hw.create_sq.qsize = cpu_to_le16(ring->depth - 1);
	/* Not QPRIO: the host runs round robin (CC.AMS = 0). */
	hw.create_sq.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG);
	hw.create_sq.cqid = cpu_to_le16(sq->cq->hwqid);
	rc = -EAGAIN;
	/* Else the reset took the completion queue away. */
	if (!liov_queue_lost(p, sq->cq->gen)) {
		pairs->sent++;
		rc = liov_host_admin(p->host, &hw, NULL, 0, NULL);
	}
	if (!rc) {
		liov_sq_made(sq, READ_ONCE(p->gen));
		liov_doorbell_own(inst, sq->qid, false);
	}
out:
	liov_host_leave(p->host);
	return rc;
}

/**
 * liov_sq_create() - make a submission queue on the hardware
 * @sq: the guest's queue, not made
 * @c:  the guest's command, checked by liov_check_create_sq()
 *
 * Caller holds liov_instance.lock.  May sleep as long as the hardware takes.
 *
 * Return: 0 or an NVMe status for the guest; LIOV_SC_LATER while the host resets
 * the controller.
 */
int liov_sq_create(struct liov_sq *sq, const struct nvme_command *c)
{
	struct liov_instance *inst = sq->inst;
	struct liov_pairs *pairs = liov_pairs(inst);
	struct liov_ring ring;
	int rc;

	lockdep_assert_held(&pairs->lock);
	if (sq->made)
		return NVME_SC_INTERNAL;
	if (!liov_doorbell_have_page(inst, liov_doorbell_nr(sq->qid, false)))
		return liov_guest_status(-ENOMEM);
	sq->depth = le16_to_cpu(c->create_sq.qsize) + 1;
	sq->cq = liov_cq_at(pairs, liov_qid_index(&pairs->queues, le16_to_cpu(c->create_sq.cqid)));
	sq->tail = 0;
	WRITE_ONCE(*sq->db.val, 0);

	rc = pairs->mode->sq_make_ring(sq, c, &ring);
	if (rc)
		return liov_guest_status(rc);
	rc = pairs->mode->sq_make ? pairs->mode->sq_make(sq) : liov_sq_make(sq, &ring);
	if (rc) {
		liov_doorbell_disown(inst, sq->qid, false);
		pairs->mode->sq_free_ring(sq);
	}
	return liov_guest_status(rc);
}

static int liov_cq_remake(struct liov_cq *cq)
{
	const struct liov_mode_ops *mode = liov_pairs(cq->inst)->mode;
	struct liov_ring ring;

	if (mode->cq_make)
		return mode->cq_make(cq);
	mode->cq_rebuild(cq, &ring);
	return liov_cq_make(cq, &ring);
}

static int liov_sq_remake(struct liov_sq *sq)
{
	const struct liov_mode_ops *mode = liov_pairs(sq->inst)->mode;
	struct liov_ring ring;

	if (mode->sq_make)
		return mode->sq_make(sq);
	mode->sq_rebuild(sq, &ring);
	return liov_sq_make(sq, &ring);
}

/**
 * liov_queues_resume() - make the queues again that a reset of the host's took
 * @inst: instance that is paused; the caller holds its lock
 *
 * Queues that are there stay as they are, so it may be called again after a
 * failure.  May sleep.
 *
 * Return: 0, -EAGAIN or -EINTR if the controller is being reset, another
 * negative errno, or an NVMe status.
 */
int liov_queues_resume(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;
	int rc;

	lockdep_assert_held(&pairs->lock);
	for (i = 1; i <= pairs->nr_pairs; i++) {
		struct liov_cq *cq = liov_cq_at(pairs, i);

		if (!cq->made || !liov_queue_lost(pairs->parent, cq->gen))
			continue;
		rc = liov_cq_remake(cq);
		if (rc)
			return rc;
	}
	for (i = 1; i <= pairs->nr_pairs; i++) {
		struct liov_sq *sq = liov_sq_at(pairs, i);

		if (!sq->made || !liov_queue_lost(pairs->parent, sq->gen))
			continue;
		rc = liov_sq_remake(sq);
		if (rc)
			return rc;
		/* Live before the guest's value; pairs with liov_doorbell_late(). */
		smp_mb();
		/* What is in the ring, and what the guest rang for meanwhile. */
		pairs->mode->sq_submit(sq, LIOV_TRIGGER_STORE);
	}
	return 0;
}
