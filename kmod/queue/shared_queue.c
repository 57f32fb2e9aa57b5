// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode, what a queue has at the hardware: whether that is all completed, Abort, and,
 * where queues share pairs, the fence that the deletion of a hardware queue is elsewhere.
 *
 * Under liov_instance.lock; may sleep.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/delay.h>

#include "compat.h"
#include "queue/guarded.h"

/*
 * How long a queue's end waits for one of its commands to complete, before they are aborted, and
 * then before that has failed; and in all.
 */
#define LIOV_STOP_MS		3000
#define LIOV_STOP_ALL_MS	60000

/* How often it is begun again after a reset that was no fence. */
#define LIOV_STOP_TRIES		3

/**
 * liov_guarded_reap() - take what an interrupt has left, of a queue that is waited for
 * @cq: queue with a ring
 *
 * Its job may have to wait for others.  May sleep.
 */
void liov_guarded_reap(struct liov_cq *cq)
{
	if (cq->g->hw)
		liov_guarded_cq_job(&cq->job);
	else
		liov_shared_reap(liov_pairs(cq->inst)->parent->shared);
}

/**
 * liov_gsq_lost() - was the controller disabled since it got a queue's commands?
 * @sq: queue
 *
 * Return: whether it was.
 */
bool liov_gsq_lost(const struct liov_sq *sq)
{
	return liov_queue_lost(liov_pairs(sq->inst)->parent, sq->gen);
}

/**
 * liov_gsq_idle() - has the hardware nothing of a queue?
 * @sq: queue; submitters are kept out
 *
 * Return: true if all is completed, or lost.
 */
bool liov_gsq_idle(const struct liov_sq *sq)
{
	const struct liov_gsq *g = sq->g;

	/* Acquire: the hardware's use of guest memory came before. */
	return !g || smp_load_acquire(&g->completed) == g->submitted || liov_gsq_lost(sq);
}

/**
 * liov_guarded_abort_slot() - ask the drive to abort a command
 * @sq:     queue
 * @slot:   held (LIOV_SLOT_HELD), or nothing else is submitted
 * @result: as of liov_hw_abort()
 *
 * Return: 0 or an NVMe status.
 */
u16 liov_guarded_abort_slot(struct liov_sq *sq, unsigned int slot, u32 *result)
{
	const struct liov_slot *s = &sq->g->slot[slot];

	if (!sq->g->shared)
		return liov_hw_abort(sq->inst, sq->hwqid, sq->gen, slot, result);
	return liov_hw_abort(sq->inst, sq->g->shared->pair[s->pair].hwqid, sq->gen, s->tag,
			     result);
}

static void liov_gsq_abort_all(struct liov_sq *sq)
{
	struct liov_gsq *g = sq->g;
	unsigned int i;
	u32 result;

	for (i = 0; i < g->nr_slots && !liov_gsq_idle(sq); i++) {
		if (!(atomic_fetch_or(LIOV_SLOT_HELD, &g->slot[i].state) & LIOV_SLOT_BUSY)) {
			atomic_andnot(LIOV_SLOT_HELD, &g->slot[i].state);
			continue;
		}
		liov_guarded_abort_slot(sq, i, &result);
		liov_slot_put(g, i, LIOV_SLOT_HELD);
	}
}

/*
 * Returns 0 once the hardware has let go, -ETIMEDOUT if nothing completes or it is @last, or what
 * liov_host_enter() says of a controller that will complete nothing now.
 */
static int liov_gsq_wait_idle(struct liov_sq *sq, unsigned long last)
{
	struct liov_host *h = liov_pairs(sq->inst)->parent->host;
	unsigned long end = jiffies + msecs_to_jiffies(LIOV_STOP_MS);
	u64 completed = READ_ONCE(sq->g->completed);
	int rc;

	while (!liov_gsq_idle(sq)) {
		rc = liov_host_enter(h);
		if (rc)
			return rc;
		liov_host_leave(h);
		if (completed != READ_ONCE(sq->g->completed)) {
			completed = READ_ONCE(sq->g->completed);
			end = jiffies + msecs_to_jiffies(LIOV_STOP_MS);
		}
		if (time_after(jiffies, end) || time_after(jiffies, last))
			return -ETIMEDOUT;
		usleep_range(50, 200);
		liov_guarded_reap(sq->cq);
	}
	return 0;
}

/* One try.  Under liov_sq.submit. */
static int liov_shared_sq_end(struct liov_sq *sq)
{
	unsigned long last = jiffies + msecs_to_jiffies(LIOV_STOP_ALL_MS);
	struct liov_shared *set = sq->g->shared;
	unsigned int i;
	int rc;

	if (liov_lacks(LIOV_LACK_FENCE))
		return liov_gsq_lost(sq) ? 0 : -EIO;
	/* Who put them there may have left that to somebody else. */
	for (i = 0; i < set->nr; i++)
		liov_shared_ring(sq, &set->pair[i]);
	rc = liov_gsq_wait_idle(sq, last);
	if (rc != -ETIMEDOUT)
		return rc;
	liov_gsq_abort_all(sq);
	rc = liov_gsq_wait_idle(sq, last);
	return rc == -ETIMEDOUT ? -EIO : rc;
}

/**
 * liov_shared_sq_stop() - see struct liov_mode_ops, @sq_stop
 * @sq:   queue of a shared instance
 * @wait: for a reset by the host to go on, if one is under way
 *
 * Its commands complete, or are aborted; beyond that a reset of the controller is left.
 */
int liov_shared_sq_stop(struct liov_sq *sq, bool wait)
{
	struct liov_parent *p = liov_pairs(sq->inst)->parent;
	int tries, rc = -EAGAIN;

	liov_submit_lock(sq);
	for (tries = 0; sq->g && rc == -EAGAIN && tries < LIOV_STOP_TRIES; tries++) {
		rc = liov_shared_sq_end(sq);
		if (rc != -EAGAIN || !wait)
			break;
		wait_event_timeout(p->wq, liov_gsq_lost(sq) || liov_host_is_gone(p->host),
				   liov_host_time_left(p->host, LIOV_ADMIN_WAIT_MS));
	}
	if (liov_gsq_idle(sq))
		rc = 0;
	liov_submit_unlock(sq);
	if (rc && (rc != -EAGAIN || wait))
		liov_guest_warn(sq->inst, "commands of queue %u do not end (%d); reset %s (nvme reset)\n",
				sq->qid, rc, pci_name(p->host->pdev));
	return rc;
}
