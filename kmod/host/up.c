// SPDX-License-Identifier: GPL-2.0
/*
 * The host boundary: a controller comes up.  The work item of a host learns what its users
 * have to know, opens the gate to everybody and calls @live.  Queued by ctrl.c when
 * nvme.ko has started the controller, and by bind.c; one at a time for each host.
 *
 * All but the callback happens in a section of the gate, for whose end a reset waits: what
 * is allocated there must not wait for I/O.  What could not be allocated is tried again.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "priv.h"
#include "model/model.h"

/**
 * liov_host_saw - nvme.ko made a call that is redirected
 * @p:    the host
 * @call: LIOV_CALL_*
 *
 * Context: process; does not sleep.
 */
void liov_host_saw(struct liov_hostp *p, u8 call)
{
	if (liov_lacks(LIOV_LACK_CALLS))
		return;
	spin_lock(&p->lock);
	p->calls |= call;
	spin_unlock(&p->lock);
}

static void host_no_memory(struct liov_hostp *p)
{
	dev_warn_ratelimited(&p->h.pdev->dev,
			     "lightiov: no memory to look at this controller; trying again\n");
}

static int host_map(struct liov_host *h)
{
	if (!h->bar)
		WRITE_ONCE(h->bar, ioremap(pci_resource_start(h->pdev, 0),
					   pci_resource_len(h->pdev, 0)));
	return h->bar ? 0 : -ENOMEM;
}

/* It is not offered, though somebody asked for it; the caller holds p->lock. */
static void host_refuse(struct liov_hostp *p, int rc)
{
	lockdep_assert_held(&p->lock);
	WRITE_ONCE(p->refused, rc);
	wake_up_all(&p->wq);
}

/*
 * What guests' queues need and no reset brings; the controller is live.  Looks at registers
 * and at what the PCI core knows: nothing is sent to a controller that does not qualify.
 */
static const char *host_unfit(struct liov_host *h)
{
	u32 iosqes = (readl(h->bar + NVME_REG_CC) >> NVME_CC_IOSQES_SHIFT) & 0xf;
	u32 stride = 4 << NVME_CAP_STRIDE(lo_hi_readq(h->bar + NVME_REG_CAP));

	/* See irq.c. */
	if (!h->pdev->msix_enabled)
		return "nvme runs this controller without MSI-X";
	if (iosqes != NVME_NVM_IOSQES)
		return "nvme gives this controller queue entries that have not 64 bytes";
	/* The host's is the first. */
	if (liov_queues_in_bar(pci_resource_len(h->pdev, 0), stride) < 2)
		return "this controller has no doorbells for a second pair of I/O queues";
	return NULL;
}

/*
 * Before the first use of a controller that nvme.ko has set up: -EOPNOTSUPP if it does not
 * qualify, which is said once; -EAGAIN if that cannot be told.  nvme.ko frees its vectors in a
 * reset, and before that the controller is not live any more.
 */
static int host_qualifies(struct liov_hostp *p, struct device *cdev)
{
	unsigned int seq = liov_host_seq(p);
	const char *why;

	if (p->announced)
		return 0;
	if (!liov_ctrl_is_live(p, cdev))
		return -EAGAIN;
	if (host_map(&p->h))
		return -ENOMEM;
	why = host_unfit(&p->h);
	/* All ones: out of reach, and what was read of no use; nvme.ko will reset it. */
	if (!liov_ctrl_is_live(p, cdev) || liov_host_seq(p) != seq ||
	    readl(p->h.bar + NVME_REG_CSTS) == ~0U)
		return -EAGAIN;
	if (why && why != p->unfit)
		pci_err(p->h.pdev, "lightiov: %s; not offered to guests; use another drive%s\n",
			why, p->h.pdev->msix_enabled ? "" : ", or a kernel without pci=nomsi");
	WRITE_ONCE(p->unfit, why);
	return why ? -EOPNOTSUPP : 0;
}

/*
 * Where a call may have been inlined (liov_hooks_may_miss()) one reset shows it.  Before
 * all were seen nothing is sent to the controller and nobody else gets to use it: a reset
 * could come that nobody tells us of.  Comes here again while that is not decided.
 */
static bool host_calls_are_seen(struct liov_hostp *p, struct device *cdev)
{
	bool live, reset = false, refuse = false;
	u8 calls;

	if (!p->wary)
		return true;
	live = liov_ctrl_is_live(p, cdev);
	spin_lock(&p->lock);
	calls = p->calls;
	if (calls != LIOV_CALLS_ALL && p->calls_tried <= LIOV_CALLS_LOOKS) {
		/* A state "live" comes a moment before nvme_start_ctrl(). */
		reset = live && !p->calls_tried;
		if (live)
			p->calls_tried++;
		refuse = p->calls_tried > LIOV_CALLS_LOOKS;
		if (refuse)
			host_refuse(p, -EOPNOTSUPP);
		if (!refuse)
			liov_host_look(p, msecs_to_jiffies(LIOV_CALLS_MS));
	}
	spin_unlock(&p->lock);
	if (reset) {
		pci_info(p->h.pdev, "lightiov: resetting the controller once, to see whether calls of this kernel's nvme can be redirected\n");
		nvme_reset_ctrl(dev_get_drvdata(cdev));
	}
	if (refuse)
		pci_err(p->h.pdev, "lightiov: not all calls of nvme to its core can be redirected (%#x of %#x seen), since it is built into this kernel and the compiler has inlined some; not offered to guests; build it as a module (CONFIG_BLK_DEV_NVME=m)\n",
			calls, (unsigned int)LIOV_CALLS_ALL);
	return calls == LIOV_CALLS_ALL;
}

/* What has to be known before anything is sent to the controller, or it is reset. */
static bool host_may_begin(struct liov_hostp *p, struct device *cdev)
{
	int rc = host_qualifies(p, cdev);

	spin_lock(&p->lock);
	if (rc == -EOPNOTSUPP)
		host_refuse(p, rc);
	/* -EAGAIN: comes again when nvme.ko has started it, if that is seen. */
	if (rc == -EAGAIN && p->wary)
		liov_host_look(p, msecs_to_jiffies(LIOV_CALLS_MS));
	else if (rc == -ENOMEM)
		liov_host_look(p, msecs_to_jiffies(LIOV_NOMEM_MS));
	spin_unlock(&p->lock);
	if (rc == -ENOMEM)
		host_no_memory(p);
	return !rc && host_calls_are_seen(p, cdev);
}

/*
 * Opens a section for the work item.  A controller that was live before our
 * hooks were there has no nvme_start_ctrl() to come: if nvme-core holds it
 * live and the gate was not closed around that look, it counts as started.
 */
static bool host_work_enter(struct liov_hostp *p, struct device *cdev,
			    unsigned int *seq)
{
	bool live, entered = false;

	*seq = liov_host_seq(p);
	live = liov_ctrl_is_live(p, cdev);

	spin_lock(&p->lock);
	if (!p->bound || p->unbinding || p->paused ||
	    READ_ONCE(liov_pm_hold) || READ_ONCE(liov_exiting))
		goto out;
	if (p->seq != *seq)
		goto out;
	if (p->gate == LIOV_GATE_CLOSED && live)
		p->gate = LIOV_GATE_INNER;
	if (p->gate != LIOV_GATE_INNER)
		goto out;
	p->sections++;
	entered = true;
out:
	spin_unlock(&p->lock);
	return entered;
}

/* A drive may grant queue pairs whose doorbells would lie beyond its registers. */
static u16 host_bound_by_bar(struct liov_hostp *p, u16 granted)
{
	u64 len = pci_resource_len(p->h.pdev, 0);
	u16 inside = liov_queues_in_bar(len, p->h.db_stride);

	if (granted <= inside)
		return granted;
	/* It is asked for after each reset. */
	if (p->logged_in_bar != inside)
		pci_warn(p->h.pdev, "lightiov: %u queue pairs granted, but the doorbells of only %u are inside its BAR 0 of %llu bytes; the others are not used\n",
			 granted, inside, len);
	p->logged_in_bar = inside;
	return inside;
}

static int host_learn(struct liov_hostp *p, struct device *cdev)
{
	struct liov_host *h = &p->h;
	u16 granted;
	int rc, count;

	rc = liov_ctrl_learn(dev_get_drvdata(cdev), &p->adminq, &granted);
	if (rc)
		return rc;
	/*
	 * The attribute counts the queues set up, which may be fewer than the
	 * controller gave (vectors) but, after a reset, more than are in use;
	 * what our hook answered bounds it.
	 */
	count = liov_ctrl_queue_count(p, cdev);
	if (p->hooked)
		count = count < 0 ? p->answer : min_t(int, count, p->answer);
	if (count < 0)
		return count;
	if (!count)
		return -ENXIO;
	h->cap = lo_hi_readq(h->bar + NVME_REG_CAP);
	h->vs = readl(h->bar + NVME_REG_VS);
	h->cc = readl(h->bar + NVME_REG_CC);
	h->db_stride = 4 << NVME_CAP_STRIDE(h->cap);
	h->nr_host = count;
	h->nr_granted = max(host_bound_by_bar(p, granted), h->nr_host);
	return 0;
}

/*
 * Loaded after nvme.ko had set its queues up: one reset lets the hooks take
 * part, where that is needed.  1 if one is on its way, 0 if there is no need of one, or
 * a negative errno if that is not known.
 */
static int host_needs_reset(struct liov_hostp *p, struct device *cdev)
{
	struct nvme_command cmd = { };
	struct nvme_id_ctrl *id;
	const char *why = NULL;
	int rc;

	if (p->hooked || p->reset_tried)
		return 0;
	id = kzalloc(sizeof(*id), GFP_KERNEL);
	if (!id)
		return -ENOMEM;
	cmd.identify.opcode = nvme_admin_identify;
	cmd.identify.cns = NVME_ID_CNS_CTRL;
	rc = liov_host_admin(&p->h, &cmd, id, sizeof(*id), NULL);
	if (!rc && (le16_to_cpu(id->oacs) & NVME_CTRL_OACS_DBBUF_SUPP))
		why = "to switch shadow doorbells off";
	else if (!rc)
		why = liov_host_lacks_pairs(p);
	kfree(id);
	/* What does not answer that is of no use to guests, and not to be reset for them. */
	if (rc > 0) {
		pci_err(p->h.pdev, "lightiov: Identify Controller failed (%d); not offered to guests\n",
			rc);
		return -EIO;
	}
	if (rc < 0)
		return rc;
	p->reset_tried = true;
	if (!why)
		return 0;
	/* -EBUSY: a reset or removal is on its way already, as good as ours. */
	rc = nvme_reset_ctrl(dev_get_drvdata(cdev));
	pci_info(p->h.pdev, "lightiov: %s, since nvme had set it up before it was offered: %s\n",
		 rc ? "a controller reset is under way already" :
		 "resetting the controller once", why);
	return 1;
}

static void host_tell_live(struct liov_hostp *p)
{
	int rc = liov_ops->live(&p->h);

	spin_lock(&p->lock);
	if (!rc)
		WRITE_ONCE(p->usable, true);
	else if (rc != -EAGAIN && rc != -EINTR)
		host_refuse(p, rc);
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
}

/**
 * liov_host_live_work - learn about a controller that came up, tell @live
 * @work: of a struct liov_hostp
 *
 * Context: work item.  Does nothing if the controller is not up, if @live was
 * told already, or during eviction and suspend.
 */
void liov_host_live_work(struct work_struct *work)
{
	struct liov_hostp *p = container_of(to_delayed_work(work), struct liov_hostp, work);
	unsigned int seq, noio;
	struct device *cdev;
	bool tell = false;
	int rc;

	cdev = liov_ctrl_get(p->h.pdev);
	if (!cdev)
		return;
	if (!host_may_begin(p, cdev) || !host_work_enter(p, cdev, &seq)) {
		put_device(cdev);
		return;
	}
	liov_host_tell_stopped(p, seq);
	noio = memalloc_noio_save();
	rc = host_learn(p, cdev);
	if (!rc)
		rc = host_needs_reset(p, cdev);
	memalloc_noio_restore(noio);
	put_device(cdev);

	/* Still in our section: a reset waits until this is decided. */
	spin_lock(&p->lock);
	if (rc == -ENOMEM && p->seq == seq)
		liov_host_look(p, msecs_to_jiffies(LIOV_NOMEM_MS));
	else if (rc < 0 && p->seq == seq)
		host_refuse(p, rc);
	if (!rc && p->seq == seq && !p->unbinding) {
		p->gate = LIOV_GATE_OPEN;
		p->told = LIOV_TOLD_LIVE;
		p->owes_live = false;
		p->announced = true;
		WRITE_ONCE(p->refused, 0);
		tell = true;
		wake_up_all(&p->wq);
	}
	spin_unlock(&p->lock);
	liov_host_leave(&p->h);

	if (tell)
		host_tell_live(p);
	else if (rc == -ENOMEM)
		host_no_memory(p);
	else if (rc < 0 && liov_host_seq(p) == seq)
		pci_err(p->h.pdev,
			"lightiov: cannot use this controller (%d)%s; reset it to try again\n",
			rc, rc == -ENXIO ? ": nvme has no I/O queues" : "");
}
