// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode, the guest's rings: who may go over them, and what becomes of a queue whose
 * memory VFIO takes away.  guarded.h says who may run at once.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "queue/guarded.h"

/*
 * How often rings are looked for, LIOV_QUIET_MS apart, before they count as gone:
 * far longer than user space needs to lay memory out anew.
 */
#define LIOV_RING_TRIES		100

/**
 * liov_submit_lock() - keep everybody from going over a guest's ring
 * @sq: queue
 *
 * May sleep, for as long as pins take.
 */
void liov_submit_lock(struct liov_sq *sq)
{
	down(&sq->submit);
}

/**
 * liov_submit_unlock() - let them again
 * @sq: queue
 *
 * What came meanwhile is done by the job; see liov_guarded_turns().
 */
void liov_submit_unlock(struct liov_sq *sq)
{
	up(&sq->submit);
	/* The lock before the mark. */
	smp_mb();
	if (READ_ONCE(sq->again))
		liov_job_queue(sq->inst, &sq->job);
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

/**
 * liov_guarded_wait_rings() - the memory of a queue's rings was taken away; is it back?
 * @sq:      queue; its submit is held
 * @trigger: who asks
 *
 * Looks by the job only: a vCPU in its doorbell keeps KVM from changing memory slots, and so
 * user space from bringing the memory back.
 *
 * Return: true if they are mapped again; else the job looks, or has stopped the controller.
 */
bool liov_guarded_wait_rings(struct liov_sq *sq, enum liov_trigger trigger)
{
	int rc;

	if (trigger != LIOV_TRIGGER_WORK) {
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
	liov_guest_warn(sq->inst, "the memory of queue %u is gone (%d); the guest's controller stops until it resets it\n",
			sq->qid, rc);
	liov_set_fatal(sq->inst, true);
	liov_admin_event(sq->inst, LIOV_EVENT_INTERNAL);
	return false;
}
