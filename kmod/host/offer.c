// SPDX-License-Identifier: GPL-2.0
/*
 * The host boundary: which controllers are used at all.  One that is not offered is nvme.ko's
 * alone: its calls pass unchanged, nothing is sent to it and it is not reset.
 *
 * Owns liov_hostp.offered, under life and lock, and the end of all use, which an unbind and a
 * withdrawal have in common.  Called by bind.c and by who offers and withdraws.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "priv.h"

/**
 * liov_host_takes_part - have we a part in nvme.ko's set-up of a controller's queues?
 * @p: the host
 *
 * That it would be of no use may be known before the controller is live, see up.c: nvme.ko
 * has a vector at this moment.
 *
 * Context: from calls of the set-up; does not sleep.
 * Return: whether we have.
 */
bool liov_host_takes_part(struct liov_hostp *p)
{
	return READ_ONCE(p->offered) && !READ_ONCE(p->unfit) && p->h.pdev->msix_enabled;
}

/**
 * liov_host_begin - nothing is known of the controller
 * @p: the host; the caller holds its life and lock
 *
 * Context: does not sleep.
 */
void liov_host_begin(struct liov_hostp *p)
{
	lockdep_assert_held(&p->lock);
	p->left = false;
	p->down_at = jiffies;
	p->hooked = false;
	p->reset_tried = false;
	p->owes_live = false;
	p->usable = false;
	WRITE_ONCE(p->unfit, NULL);
	WRITE_ONCE(p->refused, 0);
	p->calls = 0;
	p->calls_tried = 0;
	p->answer = 0;
	p->floor = 0;
}

/**
 * liov_host_end - end all use of a controller
 * @p:      the host; the caller holds its life, has set @unbinding and cancelled @work
 * @unbind: nvme.ko is to be unbound; else the controller is no longer offered
 *
 * Sections must end before nvme.ko goes on and frees the admin queue.  None can hang for
 * good: a command that never completes times out, and nvme.ko cancels it.
 *
 * Context: may sleep, as long as @gone takes.
 */
void liov_host_end(struct liov_hostp *p, bool unbind)
{
	lockdep_assert_held(&p->life);
	/* A start whose work item was cancelled. */
	spin_lock(&p->lock);
	if (p->gate == LIOV_GATE_INNER && p->adminq)
		p->gate = LIOV_GATE_OPEN;
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
	if (p->announced)
		liov_ops->gone(&p->h);
	p->announced = false;
	liov_host_silence(&p->h);

	spin_lock(&p->lock);
	if (unbind)
		p->bound = false;
	else
		WRITE_ONCE(p->offered, false);
	p->gate = LIOV_GATE_CLOSED;
	p->seq++;
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
	while (!liov_host_drain(p, LIOV_DRAIN_MS))
		pci_warn(p->h.pdev, "lightiov: waiting for an admin command before nvme has this controller to itself\n");
	p->adminq = NULL;
	p->h.priv = NULL;
}

/* It stays in use.  A start that came meanwhile has not told @live. */
static void host_go_on(struct liov_hostp *p)
{
	spin_lock(&p->lock);
	p->unbinding = false;
	if (p->gate == LIOV_GATE_OPEN && (p->owes_live || p->told != LIOV_TOLD_LIVE))
		p->gate = LIOV_GATE_INNER;
	liov_host_look(p, 0);
	spin_unlock(&p->lock);
}

static int host_withdraw(struct liov_hostp *p)
{
	int rc;

	lockdep_assert_held(&p->life);
	spin_lock(&p->lock);
	p->unbinding = true;
	spin_unlock(&p->lock);
	cancel_delayed_work_sync(&p->work);
	rc = liov_ops->withdraw(&p->h);
	if (rc) {
		host_go_on(p);
		return rc;
	}
	liov_host_end(p, false);
	spin_lock(&p->lock);
	p->unbinding = false;
	spin_unlock(&p->lock);
	return 0;
}

/**
 * liov_host_withdraw - no longer offer a controller
 * @h: the host
 *
 * nvme.ko keeps the queues it has until it sets them up again.
 *
 * Context: may sleep; takes p->life.
 * Return: 0, also if it was not offered; what @withdraw said; -ENODEV once nvme.ko is unbound;
 * -EINTR.
 */
int liov_host_withdraw(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);
	int rc;

	/* An unbind holds it as long as VMs take to let go. */
	rc = mutex_lock_interruptible(&p->life);
	if (rc)
		return rc;
	if (!p->bound)
		rc = -ENODEV;
	else if (p->offered)
		rc = host_withdraw(p);
	mutex_unlock(&p->life);
	return rc;
}

static int host_offer_locked(struct liov_hostp *p)
{
	lockdep_assert_held(&p->life);
	if (!p->bound || READ_ONCE(liov_exiting))
		return -ENODEV;
	/* Something may have been done about the reason. */
	if (p->offered && READ_ONCE(p->refused))
		host_withdraw(p);
	if (p->offered)
		return 0;
	spin_lock(&p->lock);
	liov_host_begin(p);
	WRITE_ONCE(p->offered, true);
	liov_host_look(p, 0);
	spin_unlock(&p->lock);
	return 0;
}

static int host_offer(struct liov_hostp *p)
{
	int rc = mutex_lock_interruptible(&p->life);

	if (!rc) {
		rc = host_offer_locked(p);
		mutex_unlock(&p->life);
	}
	return rc;
}

static bool host_is_decided(struct liov_hostp *p)
{
	return READ_ONCE(p->usable) || READ_ONCE(p->refused) || !READ_ONCE(p->offered) ||
	       liov_host_is_gone(&p->h);
}

/**
 * liov_host_offer - offer a controller
 * @h: the host
 *
 * As if it had been offered when the module was loaded: it may be reset once.  Waits until it
 * is known what comes of it.  Signals end the wait, see liov_host_apply().
 *
 * Context: may sleep; takes p->life.
 * Return: 0, also if it was offered before; -EINTR or -ETIMEDOUT if that is not known yet; or
 * why it cannot be used, which is in the log, and then it is not offered.
 */
int liov_host_offer(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);
	long left;
	int rc;

	rc = host_offer(p);
	if (rc)
		return rc;
	left = wait_event_interruptible_timeout(p->wq, host_is_decided(p),
						msecs_to_jiffies(LIOV_APPLY_MS));
	if (left < 0)
		return -EINTR;
	/* @live has returned. */
	flush_delayed_work(&p->work);
	rc = READ_ONCE(p->refused);
	if (rc)
		liov_host_withdraw(h);
	else if (liov_host_is_gone(h) || !READ_ONCE(p->offered))
		rc = -ENODEV;
	else if (!left)
		rc = -ETIMEDOUT;
	if (rc == -ETIMEDOUT)
		pci_warn(h->pdev, "lightiov: the controller is not live yet and will be offered when it is; see nvme's messages\n");
	return rc;
}

/**
 * liov_host_is_offered - is a controller offered, or will be when it is live?
 * @h: the host
 *
 * Context: any; does not sleep.
 * Return: whether it is.
 */
bool liov_host_is_offered(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);

	return READ_ONCE(p->offered) && !READ_ONCE(p->refused);
}
