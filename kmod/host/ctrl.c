// SPDX-License-Identifier: GPL-2.0
/*
 * The host boundary: whether a controller may be used at this moment, and what the
 * rest of the module is told about it.  Called by parent.c, hwq.c and instances on
 * the one side, on the other by hooks.c (the redirected calls of nvme.ko) and
 * bind.c (binding and unbinding).  What is learned about a controller that comes
 * up: up.c; the commands it may be sent: cmd.c.
 *
 * What a user can rely on, per controller:
 *
 *  - @live runs in a work item, one at a time, never together with or after
 *    @gone.  It may overlap @stopping, @stopped and @lost: a reset does not wait for
 *    it.  The next @live comes after the overlapped one has returned.
 *  - @stopping comes at most once after each @live, @stopped at most once after
 *    each @stopping, in this order, one at a time.  @stopping finds the gate
 *    closed and, unless a warning says otherwise, no section open.
 *  - @gone runs with the gate as it is: open, or closed by a reset, which ends
 *    as usual.  @stopping, @stopped and @lost may come while it runs.  When all
 *    users are evicted it calls liov_host_silence(), after which none of them is
 *    running nor will be called, and may then free what they use.
 *  - A controller whose reset fails stays closed until nvme.ko is unbound; @lost
 *    says so, after @stopping, and after @stopped if that comes at all.
 *
 * Suspend: one that shuts the controller down looks like a reset.  One that
 * leaves it running (s2idle with host-managed power) bypasses nvme.ko's reset
 * path, so a PM notifier closes the gate to everybody until the system is back.
 * The queues of instances stay as they are; their users are frozen.
 *
 * Locks, outermost first; the device lock of the PCI function, if anybody's,
 * is taken before all of them:
 *   p->life     mutex; eviction and release, held while @gone runs
 *   p->tell     mutex; held while @stopping, @stopped or @lost runs
 *   hosts_lock  mutex; the list of hosts (hosts.c); no callback runs under it
 *   p->lock     spinlock; the state of one host
 * nvme.ko holds its shutdown_lock around @stopping, @lost and a @stopped in time.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/io.h>
#include <linux/iopoll.h>

#include "priv.h"

const struct liov_host_ops *liov_ops;
struct workqueue_struct *liov_host_wq;
bool liov_exiting;
bool liov_pm_hold;

/* ---- the gate ---- */

/**
 * liov_host_enter - open a section
 * @h: the host
 *
 * Inside a section admin commands may be sent and MSI-X vectors allocated; a
 * reset of the controller waits for its end.  Keep it short, and do not wait in
 * it for anything that a reset has to finish.  Sections may overlap, also in
 * one task; each is closed by liov_host_leave().
 *
 * Context: process; does not sleep.
 * Return: 0, -EAGAIN while the controller is down, resetting or suspended
 * (liov_host_wait_live() helps), -ENODEV once it is gone.
 */
int liov_host_enter(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);
	int rc = 0;

	spin_lock(&p->lock);
	if (!p->bound || p->left)
		rc = -ENODEV;
	else if (p->gate < LIOV_GATE_OPEN || p->paused)
		rc = -EAGAIN;
	else
		p->sections++;
	spin_unlock(&p->lock);
	return rc;
}

/**
 * liov_host_leave - close a section
 * @h: the host
 *
 * Context: process; does not sleep.
 */
void liov_host_leave(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);

	spin_lock(&p->lock);
	if (!WARN_ON_ONCE(!p->sections) && !--p->sections)
		wake_up_all(&p->wq);
	spin_unlock(&p->lock);
}

/**
 * liov_host_drain - wait for the open sections, with the gate closed
 * @p:  the host
 * @ms: how long at most
 *
 * Context: may sleep.
 * Return: true if all ended in time.
 */
bool liov_host_drain(struct liov_hostp *p, unsigned int ms)
{
	return wait_event_timeout(p->wq, !READ_ONCE(p->sections),
				  msecs_to_jiffies(ms));
}

/**
 * liov_host_is_open - may a section be opened?
 * @p: the host
 *
 * Context: process; does not sleep.
 * Return: 1, 0 if not now, or -ENODEV once the controller is gone.
 */
int liov_host_is_open(struct liov_hostp *p)
{
	int rc;

	spin_lock(&p->lock);
	rc = p->bound && !p->left ? p->gate == LIOV_GATE_OPEN && !p->paused : -ENODEV;
	spin_unlock(&p->lock);
	return rc;
}

/**
 * liov_host_is_gone - will the controller not come back?
 * @h: the host
 *
 * Context: any; does not sleep.
 * Return: true if it was unbound, has left or was given up.
 */
bool liov_host_is_gone(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);

	return !READ_ONCE(p->bound) || READ_ONCE(p->left);
}

/**
 * liov_host_is_down - has a reset begun, or an end, that closed the gate?
 * @h: the host
 *
 * For whoever is in a section that was not waited for, see liov_host_down().
 *
 * Context: any; does not sleep.
 * Return: true if what is begun now would be in its way.
 */
bool liov_host_is_down(struct liov_host *h)
{
	return READ_ONCE(to_hostp(h)->gate) == LIOV_GATE_CLOSED;
}

/**
 * liov_host_time_left - of a wait for a controller that is down
 * @h:          the host
 * @timeout_ms: how long it may take at most, counted from when the controller went
 *              down: who asks for one that has been down for longer does not wait
 *
 * Context: any but interrupts; does not sleep.
 * Return: what is left of it, in jiffies.
 */
unsigned long liov_host_time_left(struct liov_host *h, unsigned int timeout_ms)
{
	struct liov_hostp *p = to_hostp(h);
	unsigned long end, now = jiffies;

	spin_lock(&p->lock);
	/* A suspend closes without going down. */
	end = (p->paused ? now : p->down_at) + msecs_to_jiffies(timeout_ms);
	spin_unlock(&p->lock);
	return time_before(now, end) ? end - now : 0;
}

/**
 * liov_host_wait_live - sleep until sections can be opened
 * @h:          the host
 * @timeout_ms: how long at most, see liov_host_time_left()
 *
 * Another reset may close the gate before the caller gets to use it.
 *
 * Context: may sleep; not in a section, not in @stopping or @stopped.
 * Return: 0, -ETIMEDOUT, or -ENODEV once the controller is gone.
 */
int liov_host_wait_live(struct liov_host *h, unsigned int timeout_ms)
{
	struct liov_hostp *p = to_hostp(h);
	int rc = 0;

	wait_event_timeout(p->wq, (rc = liov_host_is_open(p)) != 0,
			   liov_host_time_left(h, timeout_ms));
	if (rc < 0)
		return rc;
	return rc ? 0 : -ETIMEDOUT;
}

/**
 * liov_host_seq - the number of times the gate was closed
 * @p: the host
 *
 * Context: process; does not sleep.
 * Return: the number; compare it with a later one, or give it to
 * liov_host_up().
 */
unsigned int liov_host_seq(struct liov_hostp *p)
{
	unsigned int seq;

	spin_lock(&p->lock);
	seq = p->seq;
	spin_unlock(&p->lock);
	return seq;
}

/**
 * liov_host_tell_stopped - the controller touches memory no more
 * @p:   the host
 * @seq: liov_host_seq() from before that was seen
 *
 * When the controller is disabled, or is live after a reset: nvme.ko enables none that
 * it has not seen disabled.  Nothing to do if it was told before, or the gate was closed
 * since @seq.
 *
 * Context: may sleep; from redirected calls too.
 */
void liov_host_tell_stopped(struct liov_hostp *p, unsigned int seq)
{
	bool tell;

	mutex_lock(&p->tell);
	spin_lock(&p->lock);
	tell = p->told == LIOV_TOLD_STOPPING && p->seq == seq;
	if (tell)
		p->told = LIOV_TOLD_STOPPED;
	spin_unlock(&p->lock);
	if (tell)
		liov_ops->stopped(&p->h);
	mutex_unlock(&p->tell);
}

/**
 * liov_host_look - have the work item look whether the controller is up
 * @p:     the host; the caller holds its lock
 * @delay: jiffies until then
 *
 * Nothing is queued once an eviction has begun, which cancels it, or if the controller is
 * not offered.
 *
 * Context: process; does not sleep.
 */
void liov_host_look(struct liov_hostp *p, unsigned long delay)
{
	lockdep_assert_held(&p->lock);
	if (p->bound && p->offered && !p->unbinding)
		mod_delayed_work(liov_host_wq, &p->work, delay);
}

/**
 * liov_host_up - the controller is live
 * @p:   the host
 * @seq: liov_host_seq() from before nvme-core was seen to hold it live
 *
 * Opens the gate to the work item, which learns what is to know and opens it
 * to everybody.  During an eviction all is known already and @live is not
 * called any more: then the gate opens at once, for @gone.  Does nothing if the
 * gate was closed since @seq.
 *
 * Context: process; from nvme_start_ctrl()'s wrapper.
 */
void liov_host_up(struct liov_hostp *p, unsigned int seq)
{
	liov_host_tell_stopped(p, seq);
	spin_lock(&p->lock);
	if (!p->bound || !p->offered || p->seq != seq)
		goto out;
	if (p->unbinding || READ_ONCE(liov_exiting)) {
		if (p->adminq)
			p->gate = LIOV_GATE_OPEN;
		/* Queues may be made again meanwhile: the next stop is to be heard of. */
		if (p->adminq && p->told == LIOV_TOLD_STOPPED)
			p->told = LIOV_TOLD_LIVE;
		p->owes_live = true;
	} else {
		if (p->gate == LIOV_GATE_CLOSED)
			p->gate = LIOV_GATE_INNER;
		liov_host_look(p, 0);
	}
	wake_up_all(&p->wq);
out:
	spin_unlock(&p->lock);
}

/* CSTS, ~0 if it is out of reach; 0, not ready, of a controller that is off or has left. */
static u32 host_csts(struct liov_hostp *p)
{
	void __iomem *bar = READ_ONCE(p->h.bar);

	if (!bar || READ_ONCE(p->unfit) || !pci_is_enabled(p->h.pdev) ||
	    !pci_device_is_present(p->h.pdev))
		return 0;
	return readl(bar + NVME_REG_CSTS);
}

/**
 * liov_host_is_dead - has the controller failed?
 * @p: the host
 *
 * As nvme.ko judges it before it disables a controller.
 *
 * Context: any but interrupts; does not sleep.
 * Return: true if it has, is off, or its registers are not known.
 */
bool liov_host_is_dead(struct liov_hostp *p)
{
	u32 csts = host_csts(p);

	return (csts & NVME_CSTS_CFS) || !(csts & NVME_CSTS_RDY);
}

/*
 * What cannot be told to stop is taken off the bus before its vectors are freed, or the
 * IOMMU reports the interrupts it goes on with.  nvme.ko does so after it has freed its
 * own, and sets the bit again in its reset.
 */
static void host_clear_master(struct liov_hostp *p)
{
	if (host_csts(p) == ~0U)
		pci_clear_master(p->h.pdev);
}

/**
 * liov_host_down - nvme.ko begins to take the controller down
 * @p: the host
 *
 * Closes the gate, waits for the open sections, then tells @stopping.  An admin
 * command that is on its way during a reset would be parked by blk-mq and run
 * before the driver's own ones, which costs the host its namespaces.
 *
 * Context: may sleep; from nvme_quiesce_io_queues()'s wrapper, under nvme.ko's
 * shutdown_lock.
 */
void liov_host_down(struct liov_hostp *p)
{
	bool tell;

	spin_lock(&p->lock);
	if (p->gate != LIOV_GATE_CLOSED)
		p->down_at = jiffies;
	p->gate = LIOV_GATE_CLOSED;
	p->seq++;
	spin_unlock(&p->lock);
	if (!liov_host_drain(p, liov_host_is_dead(p) ? LIOV_DRAIN_DEAD_MS : LIOV_DRAIN_MS))
		pci_warn(p->h.pdev,
			 "lightiov: an admin command is still running, the reset goes on without it\n");
	host_clear_master(p);

	mutex_lock(&p->tell);
	spin_lock(&p->lock);
	tell = p->told == LIOV_TOLD_LIVE;
	if (tell)
		p->told = LIOV_TOLD_STOPPING;
	spin_unlock(&p->lock);
	if (tell)
		liov_ops->stopping(&p->h);
	mutex_unlock(&p->tell);
}

/*
 * nvme.ko does not disable a controller that has failed (CSTS.CFS) but takes its bus
 * mastering away, and gives that back in its reset before it clears CC.EN: for that
 * moment our queues would be alive once more, and what they point to be somebody
 * else's.  So CC.EN is cleared here.  nvme.ko comes upon a disabled controller, which it
 * copes with.  One that was asked to shut down is left alone: its queues are done with, and it
 * may still be busy with what must not get lost.
 *
 * Returns whether it is certain that the controller touches memory no more.  One that
 * is there and whose registers read all ones may only be out of reach.
 */
static bool host_clear_enable(struct liov_hostp *p)
{
	void __iomem *bar = READ_ONCE(p->h.bar);
	u32 cc, csts;

	if (!bar || READ_ONCE(p->unfit) || !pci_device_is_present(p->h.pdev))
		return true;
	cc = readl(bar + NVME_REG_CC);
	csts = readl(bar + NVME_REG_CSTS);
	if (csts != ~0U) {
		if (!(cc & NVME_CC_ENABLE) || (cc & NVME_CC_SHN_MASK))
			return true;
		writel(cc & ~NVME_CC_ENABLE, bar + NVME_REG_CC);
		readl_poll_timeout(bar + NVME_REG_CSTS, csts,
				   csts == ~0U || !(csts & NVME_CSTS_RDY),
				   USEC_PER_MSEC, LIOV_DISABLE_MS * USEC_PER_MSEC);
	}
	if (!(csts & NVME_CSTS_RDY)) {
		pci_info(p->h.pdev, "lightiov: the controller failed, and was disabled before its reset\n");
		return true;
	}
	if (!pci_device_is_present(p->h.pdev))
		return true;
	pci_warn(p->h.pdev,
		 "lightiov: the controller does not let itself be disabled (CSTS %#x); power it off if its reset fails, too\n",
		 csts);
	return false;
}

/**
 * liov_host_is_given_up - has nvme.ko taken it down, or is about to, for the last time?
 * @p: the host
 *
 * Not at an unbind: @gone has seen to its users by then.
 *
 * Context: may sleep; from redirected calls too.
 * Return: true if it has.
 */
bool liov_host_is_given_up(struct liov_hostp *p)
{
	struct device *cdev;
	bool given_up;

	if (!READ_ONCE(p->bound))
		return false;
	cdev = liov_ctrl_get(p->h.pdev);
	given_up = cdev && liov_ctrl_is_given_up(p, cdev);
	put_device(cdev);
	return given_up;
}

/* Once, unless it has left: then @gone follows. */
static void host_tell_lost(struct liov_hostp *p)
{
	bool known;

	mutex_lock(&p->tell);
	spin_lock(&p->lock);
	known = p->left || p->told == LIOV_TOLD_NOTHING;
	p->left = true;
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
	if (!known) {
		pci_err(p->h.pdev, "lightiov: nvme has given the controller up; its guests get errors\n");
		liov_ops->lost(&p->h);
	}
	mutex_unlock(&p->tell);
}

/**
 * liov_host_disabled - nvme.ko has taken the controller down
 * @p: the host
 *
 * Tells @stopped if it is certain that the controller touches memory no more.  If not,
 * that is certain when it is live again, see liov_host_tell_stopped().
 *
 * Context: may sleep; from nvme_cancel_admin_tagset()'s wrapper, under nvme.ko's
 * shutdown_lock.
 */
void liov_host_disabled(struct liov_hostp *p)
{
	unsigned int seq = liov_host_seq(p);

	if (host_clear_enable(p))
		liov_host_tell_stopped(p, seq);
	if (liov_host_is_given_up(p))
		host_tell_lost(p);
}

/**
 * liov_host_silence - no more @stopping, @stopped and @lost
 * @h: the host
 *
 * For @gone, when its last user is evicted and before it frees what these
 * callbacks use.  Waits for one that is running.
 *
 * Context: may sleep; takes p->tell, so no lock that one of these takes may be
 * held.
 */
void liov_host_silence(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);

	mutex_lock(&p->tell);
	spin_lock(&p->lock);
	p->told = LIOV_TOLD_NOTHING;
	spin_unlock(&p->lock);
	mutex_unlock(&p->tell);
}
