// SPDX-License-Identifier: GPL-2.0
/*
 * An instance over a reset of its controller by the host.
 *
 * The reset hooks stop its doorbells.  In guarded mode the rings are ours: once the
 * controller is back the queues are made again here, with what was in flight, and the
 * guest sees a pause.  In direct mode the rings are the guest's, so it sees a fatal status
 * and makes its queues again, with one exception.
 *
 * A driver that is making its queues again does not listen.  Linux's then waits for
 * commands that were lost, and gives the controller up when they time out.  So after a
 * reset, doorbells of new queues in direct mode are kept back until another reset is not
 * likely any more (liov_direct_settles()); and queues of which the hardware has fetched
 * nothing are made again here in that mode, too.
 *
 * liov_resume_lost() and liov_resume_kick() come from the parent with
 * pool_lock held, at any moment, also while the work item below runs; another
 * reset may take away at once what it has made.  liov_queue_lost() tells which
 * queues are still to be made, so it begins where it was.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/timekeeping.h>

#include "controller/controller.h"

/* From one look whether the controller is back, that nobody asked for, to the next. */
#define LIOV_RESUME_MS		1000
/* For what there was no memory is tried again after so long, and for so long; arbitrary. */
#define LIOV_RESUME_NOMEM_MS	100
#define LIOV_RESUME_NOMEM_FOR	(25 * NSEC_PER_SEC)

/**
 * liov_resume_lost() - the host takes the controller down
 * @inst: instance
 *
 * From the stopping hook, with pool_lock held; takes only the queues' spinlocks
 * and liov_track.own_lock.  From here on no doorbell reaches the hardware.
 */
void liov_resume_lost(struct liov_instance *inst)
{
	bool only_fresh = inst->mode->only_fresh, had_queues = false, lost = false;
	struct liov_resume *r = &inst->resume;
	bool was_paused = READ_ONCE(inst->paused);
	unsigned int i;

	/* Before doorbells of no live queue, which would be a guest's fault. */
	liov_set_paused(inst, true);
	for (i = 1; i <= inst->nr_pairs; i++) {
		struct liov_sq *sq = liov_sq_at(inst, i);
		struct liov_cq *cq = liov_cq_at(inst, i);

		spin_lock_irq(&sq->lock);
		had_queues |= sq->live;
		lost |= sq->live && only_fresh && !sq->fresh;
		sq->live = false;
		spin_unlock_irq(&sq->lock);
		spin_lock_irq(&cq->lock);
		had_queues |= cq->live;
		cq->live = false;
		spin_unlock_irq(&cq->lock);
	}
	liov_doorbell_revoke(inst);
	if (lost) {
		liov_set_fatal(inst, true);
		liov_set_paused(inst, false);
		/* A driver that listens resets its controller at once. */
		liov_admin_event(inst, LIOV_EVENT_INTERNAL);
	} else if (!had_queues && !was_paused) {
		liov_set_paused(inst, false);
	} else {
		if (!was_paused)
			r->since = ktime_get_ns();
		liov_mod_delayed_work(inst, &r->work, msecs_to_jiffies(LIOV_RESUME_MS));
	}
}

/**
 * liov_resume_kick() - the controller is live again, or has left for good
 * @inst: instance
 *
 * With pool_lock held.  Does not sleep.
 */
void liov_resume_kick(struct liov_instance *inst)
{
	if (READ_ONCE(inst->paused))
		liov_mod_delayed_work(inst, &inst->resume.work, 0);
}

/* Ends the pause, unless another reset has come in between. */
static void liov_resume_done(struct liov_instance *inst)
{
	struct liov_parent *p = inst->parent;
	struct liov_resume *r = &inst->resume;
	bool again;
	u64 us;

	mutex_lock(&p->pool_lock);
	us = div_u64(ktime_get_ns() - r->since, NSEC_PER_USEC);
	again = !liov_queues_live(inst);
	if (!again)
		liov_set_paused(inst, false);
	mutex_unlock(&p->pool_lock);
	if (again) {
		liov_queue_delayed_work(inst, &r->work, msecs_to_jiffies(LIOV_RESUME_MS));
		return;
	}
	/* The guest gave them up meanwhile? */
	if (!liov_queues_made(inst))
		return;
	r->count++;
	r->longest = max(r->longest, us);
	liov_info_ratelimited(inst, "the host reset %s; the guest's queues are back after %llu ms\n",
			      pci_name(inst->parent->host->pdev), div_u64(us, USEC_PER_MSEC));
}

/**
 * liov_resume_now() - end the pause if the controller is back
 * @inst: instance; the caller holds its lock
 *
 * For those who are about to take away what commands in flight need.  May sleep,
 * but does not wait for a reset.
 *
 * Return: 0 if there is no pause or no more, -EAGAIN or -EINTR while the controller
 * is being reset, another negative errno or an NVMe status if it will not work.
 */
int liov_resume_now(struct liov_instance *inst)
{
	struct liov_host *h = inst->parent->host;
	int rc;

	lockdep_assert_held(&inst->lock);
	if (!READ_ONCE(inst->paused))
		return 0;
	if (liov_queues_made(inst)) {
		rc = liov_host_enter(h);
		if (rc)
			return rc;
		liov_host_leave(h);
		if (!liov_ns_is_free(inst))
			return -EAGAIN;
		/* The host may have formatted what they reach, or have new firmware. */
		rc = liov_backing_verify(inst, true);
		if (rc)
			return rc;
		rc = liov_queues_resume(inst);
		if (rc)
			return rc;
	}
	liov_resume_done(inst);
	return 0;
}

static void liov_resume_work(struct work_struct *work)
{
	struct liov_resume *r = container_of(to_delayed_work(work), struct liov_resume, work);
	struct liov_instance *inst = container_of(r, struct liov_instance, resume);
	struct mem_cgroup *old;
	int rc;

	mutex_lock(&inst->lock);
	old = liov_charge_begin(inst);
	rc = liov_resume_now(inst);
	liov_charge_end(old);
	if (!rc)
		goto out;
	/* Still, or again, in a reset, however long it takes: its end comes here too. */
	if (rc == -EAGAIN || rc == -EINTR) {
		liov_queue_delayed_work(inst, &r->work, msecs_to_jiffies(LIOV_RESUME_MS));
		goto out;
	}
	if (rc == -ENOMEM && ktime_get_ns() - r->since < LIOV_RESUME_NOMEM_FOR) {
		liov_queue_delayed_work(inst, &r->work, msecs_to_jiffies(LIOV_RESUME_NOMEM_MS));
		goto out;
	}
	liov_err(inst, "no queues for the guest after a reset of %s (%d); its driver has to reset its controller\n",
		 pci_name(inst->parent->host->pdev), rc);
	liov_set_paused(inst, false);
	liov_set_fatal(inst, true);
	liov_admin_event(inst, LIOV_EVENT_INTERNAL);
out:
	mutex_unlock(&inst->lock);
}

/**
 * liov_resume_init() - once, at creation
 * @inst: instance
 */
void liov_resume_init(struct liov_instance *inst)
{
	INIT_DELAYED_WORK(&inst->resume.work, liov_resume_work);
}

/**
 * liov_resume_stop() - no more work of it
 * @inst: instance that is not open and that no reset hook finds any more
 *
 * May sleep.
 */
void liov_resume_stop(struct liov_instance *inst)
{
	cancel_delayed_work_sync(&inst->resume.work);
}
