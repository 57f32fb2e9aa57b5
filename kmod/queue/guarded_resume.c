// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode, over a reset of the controller by the host: what was in flight is given to the
 * hardware again.  guarded.h says who may run at once.
 *
 * Under liov_instance.lock; may sleep.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "queue/guarded.h"

/**
 * liov_guarded_reap_all() - take all that the hardware has posted for a queue
 * @cq: queue with a ring
 *
 * When it returns nobody is at the queue any more whose last command had ended before.  May
 * sleep.
 *
 * Return: whether there was something of which the guest has not been told.
 */
bool liov_guarded_reap_all(struct liov_cq *cq)
{
	if (cq->g->hw)
		return liov_gcq_reap_all(cq);
	liov_shared_reap(liov_pairs(cq->inst)->parent->shared);
	return false;
}

/*
 * A completion with this status, and no DNR, makes a driver try again: what was in
 * flight, may have been carried out, and is not given to the hardware twice.
 */
#define LIOV_SC_TRY_AGAIN	NVME_SC_NS_NOT_READY

/* Posts it for a busy slot.  Under liov_gcq.lock of @sq's queue. */
static void liov_gsq_try_again(struct liov_sq *sq, struct liov_gsq *g, unsigned int i)
{
	sq->stats.completed++;
	sq->stats.errors++;
	liov_pairs(sq->inst)->resume.failed++;
	liov_gcq_post(sq->cq, sq, g, g->slot[i].cid, LIOV_SC_TRY_AGAIN, 0);
	g->completed++;
	if (g->slot[i].load)
		liov_load_put(sq->inst, g->slot[i].load);
	liov_slot_put(g, i, LIOV_SLOT_BUSY);
}

/**
 * liov_guarded_cq_rebuild() - see struct liov_mode_ops
 * @cq:   queue
 * @ring: out
 *
 * The controller was disabled and its vector is free; liov_cq.job may still look.
 */
void liov_guarded_cq_rebuild(struct liov_cq *cq, struct liov_ring *ring)
{
	struct liov_gcq *g = cq->g;

	if (liov_gcq_reap_all(cq) && cq->ien)
		liov_irq_interrupt(cq->inst, cq->vector);
	spin_lock_irq(&g->lock);
	memset(g->hw, 0, cq->depth * sizeof(*g->hw));
	g->hw_head = 0;
	g->hw_phase = 1;
	g->hw_acked = 0;
	spin_unlock_irq(&g->lock);
	ring->bus = g->hw_bus;
	ring->depth = cq->depth;
}

/* The busy slot with the lowest number from @seq on, or nr_slots. */
static unsigned int liov_gsq_next(struct liov_gsq *g, u64 seq)
{
	unsigned int i, next = g->nr_slots;

	for (i = 0; i < g->nr_slots; i++) {
		if (!(atomic_read(&g->slot[i].state) & LIOV_SLOT_BUSY) || g->slot[i].seq < seq)
			continue;
		if (next == g->nr_slots || g->slot[i].seq < g->slot[next].seq)
			next = i;
	}
	return next;
}

/*
 * Gives what was in flight to the hardware once more, in the order it came: @put for each slot,
 * which says whether it could.  Whatever of it was carried out is done once more, with nothing
 * in between that the guest could have seen to depend on it.  Only a Copy may find its source
 * changed by itself.  Under liov_sq.submit.
 */
static void liov_gsq_replay(struct liov_sq *sq, bool (*put)(struct liov_sq *sq, unsigned int i))
{
	struct liov_cq *cq = sq->cq;
	struct liov_gsq *g = sq->g;
	bool told = false;
	unsigned int i;
	u64 seq = 0;

	while ((i = liov_gsq_next(g, seq)) < g->nr_slots) {
		seq = g->slot[i].seq + 1;
		if (g->slot[i].cmd.common.opcode != LIOV_CMD_COPY && put(sq, i)) {
			liov_pairs(sq->inst)->resume.replayed++;
			continue;
		}
		spin_lock_irq(&cq->g->lock);
		liov_gsq_try_again(sq, g, i);
		spin_unlock_irq(&cq->g->lock);
		told = true;
	}
	if (!told)
		return;
	if (cq->ien)
		liov_irq_interrupt(sq->inst, cq->vector);
	liov_guarded_wake(cq);
}

static bool liov_gsq_put_again(struct liov_sq *sq, unsigned int i)
{
	struct liov_gsq *g = sq->g;

	g->hw[g->hw_tail++] = g->slot[i].cmd;
	return true;
}

/**
 * liov_guarded_sq_rebuild() - see struct liov_mode_ops
 * @sq:   queue
 * @ring: out
 */
void liov_guarded_sq_rebuild(struct liov_sq *sq, struct liov_ring *ring)
{
	struct liov_gsq *g = sq->g;

	liov_submit_lock(sq);
	g->hw_tail = 0;
	sq->tail = 0;
	liov_gsq_replay(sq, liov_gsq_put_again);
	liov_submit_unlock(sq);
	ring->bus = g->hw_bus;
	ring->depth = g->hw_depth;
}

/*
 * Shared: into whatever pair has room.  What finds none is the guest's to try again; so is all
 * of a queue that was shut meanwhile.
 */
static bool liov_shared_put_again(struct liov_sq *sq, unsigned int i)
{
	struct liov_shared_pair *pair = liov_shared_take_again(sq, liov_shared_pick(sq), i);
	struct liov_slot *s = &sq->g->slot[i];

	if (!pair)
		return false;
	s->cmd.common.command_id = s->tag;
	if (liov_shared_push(sq, pair, &s->cmd))
		return false;
	liov_shared_ring(sq, pair);
	return true;
}

/*
 * Opens a section of the gate in which the shared pairs are there, of generation *@gen.  Returns
 * 0, or an NVMe status or negative errno without one.
 */
static int liov_shared_enter(struct liov_parent *p, u64 *gen)
{
	int rc = liov_host_enter(p->host);

	if (rc)
		return rc;
	rc = liov_shared_up(p->shared, gen);
	if (rc)
		liov_host_leave(p->host);
	return rc;
}

/**
 * liov_shared_cq_make() - see struct liov_mode_ops, @cq_make
 * @cq: queue of a shared instance: nothing of it is on the hardware, but the shared pairs are
 */
int liov_shared_cq_make(struct liov_cq *cq)
{
	struct liov_parent *p = liov_pairs(cq->inst)->parent;
	u64 gen;
	int rc = liov_shared_enter(p, &gen);

	if (rc)
		return rc;
	liov_cq_made(cq, gen);
	liov_host_leave(p->host);
	return 0;
}

/**
 * liov_shared_sq_make() - see struct liov_mode_ops, @sq_make
 * @sq: queue of a shared instance, new or with commands that a reset took from the hardware
 *
 * Submitters are kept out before the section of the gate begins, since they may be at pins.
 */
int liov_shared_sq_make(struct liov_sq *sq)
{
	struct liov_parent *p = liov_pairs(sq->inst)->parent;
	u64 gen;
	int rc;

	liov_submit_lock(sq);
	rc = liov_shared_enter(p, &gen);
	if (!rc) {
		liov_sq_made(sq, gen);
		liov_gsq_replay(sq, liov_shared_put_again);
		/* It ends a turn, if the job that would have was cancelled. */
		liov_job_queue(sq->inst, &sq->job);
		liov_host_leave(p->host);
	}
	liov_submit_unlock(sq);
	return rc;
}

/**
 * liov_gsq_give_up() - commands that a reset took from the hardware are not given to it again
 * @sq: queue; submitters are kept out
 *
 * What they had accepted must not reach it any more, since what it was translated to is about
 * to change.  May sleep.
 */
void liov_gsq_give_up(struct liov_sq *sq)
{
	struct liov_cq *cq = sq->cq;
	struct liov_gsq *g = sq->g;
	unsigned int i;
	bool told;

	told = liov_guarded_reap_all(cq);
	spin_lock_irq(&cq->g->lock);
	for (i = 0; i < g->nr_slots; i++) {
		if (atomic_read(&g->slot[i].state) & LIOV_SLOT_BUSY) {
			liov_gsq_try_again(sq, g, i);
			told = true;
		}
	}
	spin_unlock_irq(&cq->g->lock);
	if (told && cq->ien)
		liov_irq_interrupt(sq->inst, cq->vector);
}
