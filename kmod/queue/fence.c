// SPDX-License-Identifier: GPL-2.0
/*
 * Taking hardware queues from an instance, and the fence that their deletion is: after it
 * the hardware touches neither their rings nor the data of their commands.
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
#include "queue/queue.h"

/* How often a Delete that failed without an NVMe status is tried again. */
#define LIOV_DELETE_TRIES	3

/**
 * liov_queue_delete() - delete a hardware queue
 * @p:      parent
 * @opcode: Delete I/O Submission Queue, or Completion Queue
 * @hwqid:  the hardware's ID
 * @gen:    liov_parent.gen when the hardware made it
 * @wait:   for a reset by the host to go on, if one is under way
 * @sent:   counts commands; may be NULL
 *
 * When it succeeds the hardware no longer touches the ring, nor the data of commands.  May
 * sleep as long as the hardware takes.
 *
 * Return: 0; -EAGAIN, when it may not @wait, while the controller is being reset, which will be
 * a fence as well; an NVMe status or another negative errno.
 */
int liov_queue_delete(struct liov_parent *p, u8 opcode, u16 hwqid, u64 gen, bool wait, u64 *sent)
{
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
				if (sent)
					++*sent;
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
	return rc;
}

/* The same for a queue of an instance.  Returns 0 or a negative errno. */
static int liov_hw_delete(struct liov_instance *inst, u8 opcode, u16 hwqid, u64 gen, bool wait)
{
	struct liov_parent *p = liov_pairs(inst)->parent;
	int rc;

	rc = liov_queue_delete(p, opcode, hwqid, gen, wait, &liov_pairs(inst)->sent);
	if (!rc || (rc == -EAGAIN && !wait))
		return rc;
	liov_guest_warn(inst, "deleting hardware queue %u of %s failed (%d); reset the controller (nvme reset)\n",
			hwqid, pci_name(p->host->pdev), rc);
	return rc > 0 ? -EIO : rc;
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

	lockdep_assert_held(&liov_pairs(cq->inst)->lock);
	if (!cq->made)
		return 0;
	spin_lock_irq(&cq->lock);
	cq->live = false;
	spin_unlock_irq(&cq->lock);
	liov_doorbell_disown(cq->inst, cq->qid, true);

	/* One that is not on the hardware was only submission queues', which are gone. */
	rc = liov_pairs(cq->inst)->mode->cq_make ? 0 :
	     liov_hw_delete(cq->inst, nvme_admin_delete_cq, cq->hwqid, cq->gen, wait);
	if (rc)
		return rc;
	liov_irq_detach(cq);
	liov_pairs(cq->inst)->mode->cq_free_ring(cq);
	cq->made = false;
	return 0;
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
	const struct liov_mode_ops *mode = liov_pairs(sq->inst)->mode;
	int rc;

	lockdep_assert_held(&liov_pairs(sq->inst)->lock);
	if (!sq->made)
		return 0;
	spin_lock_irq(&sq->lock);
	sq->live = false;
	spin_unlock_irq(&sq->lock);
	liov_busy_stop(sq);
	liov_doorbell_disown(sq->inst, sq->qid, false);

	rc = mode->sq_stop ? mode->sq_stop(sq, wait) :
	     liov_hw_delete(sq->inst, nvme_admin_delete_sq, sq->hwqid, sq->gen, wait);
	if (rc)
		return rc;
	mode->sq_free_ring(sq);
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
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	for (i = 1; i <= pairs->nr_pairs; i++) {
		if (liov_sq_at(pairs, i)->made || liov_cq_at(pairs, i)->made)
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
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	lockdep_assert_held(&pairs->parent->pool_lock);
	for (i = 1; i <= pairs->nr_pairs; i++) {
		if (liov_sq_at(pairs, i)->made && !liov_sq_at(pairs, i)->live)
			return false;
		if (liov_cq_at(pairs, i)->made && !liov_cq_at(pairs, i)->live)
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
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	lockdep_assert_held(&pairs->parent->pool_lock);
	for (i = 1; i <= pairs->nr_pairs; i++) {
		spin_lock_irq(&liov_sq_at(pairs, i)->lock);
		liov_sq_at(pairs, i)->live = false;
		spin_unlock_irq(&liov_sq_at(pairs, i)->lock);
	}
	liov_doorbell_revoke(inst);
}

/*
 * Forgets queues that could not be deleted; the caller leaks their memory.  The hardware
 * keeps them until the controller is disabled, so until then their IDs are not given to
 * anybody else.
 */
static void liov_queues_abandon(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	struct liov_parent *p = pairs->parent;
	u64 gen = READ_ONCE(p->gen);
	unsigned int i;

	lockdep_assert_held(&pairs->lock);
	for (i = 1; i <= pairs->nr_pairs; i++) {
		struct liov_sq *sq = liov_sq_at(pairs, i);
		struct liov_cq *cq = liov_cq_at(pairs, i);

		if ((sq->made && sq->gen == gen) || (cq->made && cq->gen == gen)) {
			pairs->qids_lost = true;
			pairs->lost_gen = gen;
		}
		if (cq->made)
			liov_irq_detach(cq);
		if (sq->made)
			pairs->mode->sq_free_ring(sq);
		sq->made = false;
	}
	for (i = 1; i <= pairs->nr_pairs; i++) {
		struct liov_cq *cq = liov_cq_at(pairs, i);

		if (cq->made)
			pairs->mode->cq_free_ring(cq);
		cq->made = false;
	}
}

static bool liov_cq_has_sq(const struct liov_cq *cq)
{
	const struct liov_instance *inst = cq->inst;
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	for (i = 1; i <= pairs->nr_pairs; i++) {
		if (liov_sq_at(pairs, i)->made && liov_sq_at(pairs, i)->cq == cq)
			return true;
	}
	return false;
}

/*
 * Deletes all of an instance.  @wait: as of liov_cq_delete().  Returns 0, or the first error:
 * then the hardware may still use guest memory, which must stay pinned.
 */
static int liov_queues_stop(struct liov_instance *inst, bool wait)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;
	int rc, err = 0;

	lockdep_assert_held(&pairs->lock);
	for (i = 1; i <= pairs->nr_pairs; i++) {
		rc = liov_sq_delete(liov_sq_at(pairs, i), wait);
		err = err ?: rc;
	}
	for (i = 1; i <= pairs->nr_pairs; i++) {
		/* What could not be deleted still posts there. */
		if (liov_cq_has_sq(liov_cq_at(pairs, i)))
			continue;
		rc = liov_cq_delete(liov_cq_at(pairs, i), wait);
		err = err ?: rc;
	}
	if (err != -EAGAIN)
		liov_queues_clear(&pairs->queues);
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
	struct liov_pairs *pairs = liov_pairs(inst);
	struct liov_parent *p = pairs->parent;
	u64 gen = READ_ONCE(p->gen);
	int rc;

	lockdep_assert_held(&pairs->lock);
	rc = liov_queues_stop(inst, wait);
	if (!rc || rc == -ENODEV || rc == -EAGAIN || liov_lacks(LIOV_LACK_FENCE))
		return rc;
	/* One reset is asked for, however often this is called until it comes. */
	if (wait || pairs->fence_gen != gen + 1) {
		pairs->fence_gen = gen + 1;
		liov_warn(inst, "resetting %s to get its queues back\n",
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
	struct liov_pairs *pairs = liov_pairs(inst);

	lockdep_assert_held(&pairs->lock);
	pairs->leaking = true;
	pairs->mode->leak(inst);
	liov_queues_abandon(inst);
	pairs->leaking = false;
}
