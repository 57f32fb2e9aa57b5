// SPDX-License-Identifier: GPL-2.0
/*
 * Hardware queue pairs of an instance: creating them on the rings that the mode
 * (liov_mode_ops) provides, deleting them, and the hardware fence that deletion
 * is.
 *
 * All functions run under liov_instance.lock, except liov_queues_shut() and
 * liov_resume_lost()'s part in the reset hooks, which only clear @live under the queues'
 * spinlocks.
 *
 * A queue exists on the hardware from its creation until Delete completed or
 * the controller was disabled; the latter shows as a newer liov_parent.gen.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "compat.h"
#include "lightiov.h"

/* How often a Delete that failed without an NVMe status is tried again. */
#define LIOV_DELETE_TRIES	3

static bool liov_queue_lost(struct liov_parent *p, u64 gen)
{
	return READ_ONCE(p->gen) != gen;
}

/*
 * Deletes a queue and so makes sure that the hardware no longer touches its
 * ring or the data of its commands.  Returns 0 when that is certain; -EAGAIN, when it
 * may not @wait, while the controller is being reset, which will be a fence as well.
 */
static int liov_hw_delete(struct liov_instance *inst, u8 opcode, u16 hwqid, u64 gen, bool wait)
{
	struct liov_parent *p = inst->parent;
	struct nvme_command c = {};
	int tries, rc = -EIO;

	c.delete_queue.opcode = opcode;
	c.delete_queue.qid = cpu_to_le16(hwqid);

	for (tries = 0; tries < LIOV_DELETE_TRIES; tries++) {
		if (liov_queue_lost(p, gen))
			return 0;
		if (liov_lacks(LIOV_LACK_FENCE))
			break;
		rc = liov_host_enter(p->host);
		if (!rc) {
			/* No reset can begin here: the queue is still of this generation. */
			if (!liov_queue_lost(p, gen)) {
				inst->sent++;
				rc = liov_host_admin(p->host, &c, NULL, 0, NULL);
			}
			liov_host_leave(p->host);
			if (!rc || liov_queue_lost(p, gen))
				return 0;
			if (rc > 0)
				break;
		} else if (rc == -ENODEV) {
			break;
		}
		if (!wait)
			return -EAGAIN;
		/* The controller is being reset, which is a fence as well. */
		wait_event_timeout(p->wq, liov_queue_lost(p, gen) || liov_host_is_gone(p->host),
				   liov_host_time_left(p->host, LIOV_ADMIN_WAIT_MS));
		if (liov_queue_lost(p, gen))
			return 0;
	}
	if (rc > 0 && (rc & 0x7ff) == NVME_SC_QID_INVALID)
		return 0;
	liov_guest_warn(inst, "lightiov: deleting hardware queue %u of %s failed (%d); reset the controller (nvme reset)\n",
			hwqid, pci_name(p->host->pdev), rc);
	return rc > 0 ? -EIO : rc;
}

/* While it was being made; see liov_watch_shut(). */
static bool liov_queue_is_shut(const struct liov_instance *inst)
{
	return READ_ONCE(inst->fatal) || liov_has_to_stop(inst);
}

/*
 * Has the hardware make a completion queue on @ring.  Returns 0, an NVMe status or
 * a negative errno.
 */
static int liov_cq_make(struct liov_cq *cq, const struct liov_ring *ring)
{
	struct liov_instance *inst = cq->inst;
	struct liov_parent *p = inst->parent;
	struct nvme_command hw = {};
	int rc, index = 0;
	u16 flags;

	rc = liov_host_enter(p->host);
	if (rc)
		return rc;
	if (liov_parent_fit(p, inst) < cq->qid) {
		liov_guest_warn(inst, "lightiov: %s grants too few queue pairs since its reset for queue %u\n",
				pci_name(p->host->pdev), cq->qid);
		rc = -ENOSPC;
		goto out;
	}
	cq->hwqid = inst->hwqid[cq->qid];
	cq->hw_db = liov_parent_doorbell(p, cq->hwqid, true);
	flags = NVME_QUEUE_PHYS_CONTIG;
	if (cq->ien || inst->mode->always_irq) {
		flags |= NVME_CQ_IRQ_ENABLED;
		index = liov_irq_attach(cq);
		if (index < 0) {
			rc = index;
			liov_guest_warn(inst, "lightiov: no interrupt vector left on %s (%d); remove an instance\n",
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
	inst->sent++;
	rc = liov_host_admin(p->host, &hw, NULL, 0, NULL);
	if (rc) {
		liov_irq_detach(cq);
		goto out;
	}
	cq->gen = READ_ONCE(p->gen);
	cq->made = true;
	spin_lock_irq(&cq->lock);
	cq->live = !liov_queue_is_shut(inst);
	spin_unlock_irq(&cq->lock);
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
	struct liov_ring ring;
	int rc;

	lockdep_assert_held(&inst->lock);
	if (cq->made)
		return NVME_SC_INTERNAL;	/* its deletion failed, see there */
	cq->depth = le16_to_cpu(c->create_cq.qsize) + 1;
	cq->ien = le16_to_cpu(c->create_cq.cq_flags) & NVME_CQ_IRQ_ENABLED;
	/* Read by user space's changes of eventfds, while it is on no vector. */
	WRITE_ONCE(cq->vector, max(0, liov_vector_index(&inst->queues,
							le16_to_cpu(c->create_cq.irq_vector))));
	cq->head = 0;
	WRITE_ONCE(*cq->db.val, 0);

	rc = inst->mode->cq_make_ring(cq, c, &ring);
	if (rc)
		return liov_guest_status(rc);
	rc = liov_cq_make(cq, &ring);
	if (rc) {
		liov_doorbell_disown(inst, cq->qid, true);
		inst->mode->cq_free_ring(cq);
	}
	return liov_guest_status(rc);
}

/**
 * liov_cq_delete() - delete a completion queue
 * @cq:   a made queue without submission queues
 * @wait: for a reset by the host to go on, if one is under way
 *
 * Caller holds liov_instance.lock.  May sleep.
 *
 * Return: 0, or a negative errno if the hardware may still use the ring: -EAGAIN, if
 * it does not @wait, when it is to be called again after the reset.
 */
int liov_cq_delete(struct liov_cq *cq, bool wait)
{
	int rc;

	lockdep_assert_held(&cq->inst->lock);
	if (!cq->made)
		return 0;
	spin_lock_irq(&cq->lock);
	cq->live = false;
	spin_unlock_irq(&cq->lock);
	liov_doorbell_disown(cq->inst, cq->qid, true);

	rc = liov_hw_delete(cq->inst, nvme_admin_delete_cq, cq->hwqid, cq->gen,
			    wait);
	if (rc)
		return rc;
	liov_irq_detach(cq);
	cq->inst->mode->cq_free_ring(cq);
	cq->made = false;
	return 0;
}

/* The same for a submission queue. */
static int liov_sq_make(struct liov_sq *sq, const struct liov_ring *ring)
{
	struct liov_instance *inst = sq->inst;
	struct liov_parent *p = inst->parent;
	struct nvme_command hw = {};
	int rc;

	rc = liov_host_enter(p->host);
	if (rc)
		return rc;
	if (liov_parent_fit(p, inst) < sq->qid) {
		rc = -ENOSPC;
		goto out;
	}
	sq->hwqid = inst->hwqid[sq->qid];
	sq->hw_db = liov_parent_doorbell(p, sq->hwqid, false);
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
		inst->sent++;
		rc = liov_host_admin(p->host, &hw, NULL, 0, NULL);
	}
	if (!rc) {
		sq->gen = READ_ONCE(p->gen);
		sq->made = true;
		spin_lock_irq(&sq->lock);
		/* Not if it was shut meanwhile, see liov_watch_shut(). */
		sq->live = !liov_queue_is_shut(inst);
		spin_unlock_irq(&sq->lock);
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
	struct liov_ring ring;
	int rc;

	lockdep_assert_held(&inst->lock);
	if (sq->made)
		return NVME_SC_INTERNAL;
	sq->depth = le16_to_cpu(c->create_sq.qsize) + 1;
	sq->cq = &inst->cq[liov_qid_index(&inst->queues, le16_to_cpu(c->create_sq.cqid))];
	sq->tail = 0;
	WRITE_ONCE(*sq->db.val, 0);

	rc = inst->mode->sq_make_ring(sq, c, &ring);
	if (rc)
		return liov_guest_status(rc);
	rc = liov_sq_make(sq, &ring);
	if (rc) {
		liov_doorbell_disown(inst, sq->qid, false);
		inst->mode->sq_free_ring(sq);
	}
	return liov_guest_status(rc);
}

/**
 * liov_sq_delete() - delete a submission queue; a fence for its commands
 * @sq:   a made queue
 * @wait: as of liov_cq_delete()
 *
 * Caller holds liov_instance.lock.  May sleep.
 *
 * Return: 0, or a negative errno if the hardware may still use guest memory.
 */
int liov_sq_delete(struct liov_sq *sq, bool wait)
{
	int rc;

	lockdep_assert_held(&sq->inst->lock);
	if (!sq->made)
		return 0;
	spin_lock_irq(&sq->lock);
	sq->live = false;
	spin_unlock_irq(&sq->lock);
	liov_busy_stop(sq);
	liov_doorbell_disown(sq->inst, sq->qid, false);

	rc = liov_hw_delete(sq->inst, nvme_admin_delete_sq, sq->hwqid, sq->gen,
			    wait);
	if (rc)
		return rc;
	sq->inst->mode->sq_free_ring(sq);
	sq->made = false;
	return 0;
}

/**
 * liov_queues_made() - does the hardware have queues of this instance?
 * @inst: instance; the caller holds its lock
 *
 * Return: whether it may have.
 */
bool liov_queues_made(const struct liov_instance *inst)
{
	unsigned int i;

	for (i = 1; i <= inst->nr_pairs; i++) {
		if (inst->sq[i].made || inst->cq[i].made)
			return true;
	}
	return false;
}

/**
 * liov_queues_live() - may doorbells of all queues be forwarded?
 * @inst: instance; the caller holds its lock and liov_parent.pool_lock
 *
 * Return: false if the host has taken a queue away.
 */
bool liov_queues_live(const struct liov_instance *inst)
{
	unsigned int i;

	lockdep_assert_held(&inst->parent->pool_lock);
	for (i = 1; i <= inst->nr_pairs; i++) {
		if (inst->sq[i].made && !inst->sq[i].live)
			return false;
		if (inst->cq[i].made && !inst->cq[i].live)
			return false;
	}
	return true;
}

/**
 * liov_queues_shut() - at once: the hardware is given nothing new
 * @inst: open instance; the caller holds its parent's pool_lock
 *
 * After liov_instance.stops or .fatal was set, which keeps queues that are just being made
 * from becoming live.  Takes the queues' spinlocks and liov_track.own_lock.
 */
void liov_queues_shut(struct liov_instance *inst)
{
	unsigned int i;

	lockdep_assert_held(&inst->parent->pool_lock);
	for (i = 1; i <= inst->nr_pairs; i++) {
		spin_lock_irq(&inst->sq[i].lock);
		inst->sq[i].live = false;
		spin_unlock_irq(&inst->sq[i].lock);
	}
	liov_doorbell_revoke(inst);
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
	struct liov_parent *p = inst->parent;
	struct liov_ring ring;
	unsigned int i;
	int rc;

	lockdep_assert_held(&inst->lock);
	for (i = 1; i <= inst->nr_pairs; i++) {
		struct liov_cq *cq = &inst->cq[i];

		if (!cq->made || !liov_queue_lost(p, cq->gen))
			continue;
		inst->mode->cq_again(cq, &ring);
		rc = liov_cq_make(cq, &ring);
		if (rc)
			return rc;
	}
	for (i = 1; i <= inst->nr_pairs; i++) {
		struct liov_sq *sq = &inst->sq[i];

		if (!sq->made || !liov_queue_lost(p, sq->gen))
			continue;
		inst->mode->sq_again(sq, &ring);
		rc = liov_sq_make(sq, &ring);
		if (rc)
			return rc;
		/* Live before the guest's value; pairs with liov_doorbell_late(). */
		smp_mb();
		/* What is in the ring, and what the guest rang for meanwhile. */
		inst->mode->sq_go_on(sq, LIOV_BY_STORE);
	}
	return 0;
}

/**
 * liov_queues_abandon() - forget queues that could not be deleted
 * @inst: instance; the caller holds its lock and leaks its memory
 *
 * The hardware keeps them until the controller is disabled, so until then their IDs are
 * not given to anybody else.
 */
void liov_queues_abandon(struct liov_instance *inst)
{
	struct liov_parent *p = inst->parent;
	u64 gen = READ_ONCE(p->gen);
	unsigned int i;

	lockdep_assert_held(&inst->lock);
	for (i = 1; i <= inst->nr_pairs; i++) {
		struct liov_sq *sq = &inst->sq[i];
		struct liov_cq *cq = &inst->cq[i];

		if ((sq->made && sq->gen == gen) || (cq->made && cq->gen == gen)) {
			inst->qids_lost = true;
			inst->lost_gen = gen;
		}
		if (cq->made)
			liov_irq_detach(cq);
		if (sq->made)
			inst->mode->sq_free_ring(sq);
		sq->made = false;
	}
	for (i = 1; i <= inst->nr_pairs; i++) {
		struct liov_cq *cq = &inst->cq[i];

		if (cq->made)
			inst->mode->cq_free_ring(cq);
		cq->made = false;
	}
}

static bool liov_cq_has_sq(const struct liov_cq *cq)
{
	const struct liov_instance *inst = cq->inst;
	unsigned int i;

	for (i = 1; i <= inst->nr_pairs; i++) {
		if (inst->sq[i].made && inst->sq[i].cq == cq)
			return true;
	}
	return false;
}

/**
 * liov_queues_stop() - delete all hardware queues of an instance
 * @inst: instance; the caller holds its lock
 * @wait: as of liov_cq_delete()
 *
 * May sleep.  Return: 0, or the first error: then the hardware may still use
 * guest memory, which must stay pinned.
 */
int liov_queues_stop(struct liov_instance *inst, bool wait)
{
	unsigned int i;
	int rc, err = 0;

	lockdep_assert_held(&inst->lock);
	for (i = 1; i <= inst->nr_pairs; i++) {
		rc = liov_sq_delete(&inst->sq[i], wait);
		err = err ?: rc;
	}
	for (i = 1; i <= inst->nr_pairs; i++) {
		/* What could not be deleted still posts there. */
		if (liov_cq_has_sq(&inst->cq[i]))
			continue;
		rc = liov_cq_delete(&inst->cq[i], wait);
		err = err ?: rc;
	}
	if (err != -EAGAIN)
		liov_queues_clear(&inst->queues);
	return err;
}

/**
 * liov_fence() - take everything from the hardware
 * @inst: instance; the caller holds its lock
 * @wait: for a reset of the controller by the host to go on, if one is under way
 *
 * If a queue cannot be deleted, a reset of the controller is the only fence
 * left.  May sleep as long as the hardware takes, and for long if it may @wait.
 *
 * Return: 0, or an error: the hardware may still use guest memory; -EAGAIN, if
 * it does not @wait, when that is to be asked again after the reset.
 */
int liov_fence(struct liov_instance *inst, bool wait)
{
	struct liov_parent *p = inst->parent;
	u64 gen = READ_ONCE(p->gen);
	int rc;

	lockdep_assert_held(&inst->lock);
	rc = liov_queues_stop(inst, wait);
	if (!rc || rc == -ENODEV || rc == -EAGAIN || liov_lacks(LIOV_LACK_FENCE))
		return rc;
	/* One reset is asked for, however often this is called until it comes. */
	if (wait || inst->fence_gen != gen + 1) {
		inst->fence_gen = gen + 1;
		dev_warn(liov_dev(inst), "lightiov: resetting %s to get its queues back\n",
			 pci_name(p->host->pdev));
		liov_host_reset(p->host);
	}
	if (!wait)
		return -EAGAIN;
	wait_event_timeout(p->wq, READ_ONCE(p->gen) != gen || liov_host_is_gone(p->host),
			   msecs_to_jiffies(LIOV_ADMIN_WAIT_MS));
	return liov_queues_stop(inst, wait);
}

/**
 * liov_fence_failed() - no fence could be had
 * @inst: instance; the caller holds its lock
 *
 * What the hardware may still reach is given up for good.  VFIO must get its
 * pins back all the same.
 */
void liov_fence_failed(struct liov_instance *inst)
{
	lockdep_assert_held(&inst->lock);
	inst->leaking = true;
	inst->mode->leak(inst);
	liov_queues_abandon(inst);
	inst->leaking = false;
}
