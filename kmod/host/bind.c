// SPDX-License-Identifier: GPL-2.0
/*
 * The host boundary: a struct liov_hostp is made for each NVMe function that appears; when
 * nvme.ko binds and unbinds, and what its calls set off (struct liov_hook_ops); suspend; load
 * and unload.  Entered by hooks.c, the driver core (bus notifier), the PM core and main.c.
 * What a user may rely on and the locks: see ctrl.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "priv.h"

/* ---- binding and unbinding ---- */

static bool is_nvme_driver(struct device_driver *drv)
{
	return drv && !strcmp(drv->name, "nvme");
}

/* nvme.ko is binding (@late false) or has been bound already. */
static void host_bind(struct liov_hostp *p, bool late)
{
	mutex_lock(&p->life);
	if (p->bound || READ_ONCE(liov_exiting))
		goto out;
	liov_hooks_bind(p->h.pdev->dev.driver->owner);
	p->owner_counted = true;
	liov_ops->bound(&p->h);
	spin_lock(&p->lock);
	p->bound = true;
	p->unbinding = false;
	p->wary = liov_hooks_may_miss(p->h.pdev->dev.driver->owner);
	liov_host_begin(p);
	if (late)
		liov_host_look(p, 0);
	spin_unlock(&p->lock);
out:
	mutex_unlock(&p->life);
}

/* nvme.ko is bound: its nvme_start_ctrl() may be one that is not seen. */
static void host_bound(struct liov_hostp *p)
{
	spin_lock(&p->lock);
	if (p->wary)
		liov_host_look(p, 0);
	spin_unlock(&p->lock);
}

/*
 * A controller that left without a word (surprise removal) touches memory no more,
 * and nvme.ko takes it down only once we let go: do its part.
 */
static void host_check_left(struct liov_hostp *p)
{
	if (!p->offered || pci_device_is_present(p->h.pdev))
		return;
	pci_warn(p->h.pdev, "lightiov: the controller has left; its guests get errors\n");
	spin_lock(&p->lock);
	p->left = true;
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
	liov_host_down(p);
	liov_host_disabled(p);
}

/* Ends all use of a controller that still works, or has left. */
static void host_evict(struct liov_hostp *p)
{
	mutex_lock(&p->life);
	/* Set and cleared under @life alone. */
	if (!p->bound)
		goto out;
	spin_lock(&p->lock);
	p->unbinding = true;
	spin_unlock(&p->lock);
	cancel_delayed_work_sync(&p->work);
	host_check_left(p);
	liov_host_end(p, true);
out:
	mutex_unlock(&p->life);
	liov_ops->unbound(&p->h);
}

/* nvme.ko is unbound, or has failed to bind. */
static void host_release(struct liov_hostp *p)
{
	host_evict(p);
	mutex_lock(&p->life);
	if (p->owner_counted)
		liov_hooks_unbind();
	p->owner_counted = false;
	liov_host_unmap(p);
	mutex_unlock(&p->life);
}

/*
 * The host of a function, made if there is none.  The bus notifier and host_adopt() may
 * both come upon a function that appears while the module is being loaded.
 */
static struct liov_hostp *host_create(struct pci_dev *pdev)
{
	struct liov_hostp *p, *old;

	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return NULL;
	p->page = (char *)__get_free_page(GFP_KERNEL);
	if (!p->page) {
		kfree(p);
		return NULL;
	}
	p->h.pdev = pci_dev_get(pdev);
	p->offered = liov_offer_of(pdev);
	p->split.host = liov_host_queues_of(pdev);
	p->split.reserve = min(liov_reserve_of(pdev), 0xffffU);
	kref_init(&p->kref);
	INIT_DELAYED_WORK(&p->work, liov_host_live_work);
	mutex_init(&p->life);
	mutex_init(&p->tell);
	mutex_init(&p->page_lock);
	liov_lock_in_reclaim(&p->page_lock);
	spin_lock_init(&p->lock);
	init_waitqueue_head(&p->wq);

	old = liov_hosts_add(p);
	return old ?: p;
}

static int host_bus_notify(struct notifier_block *nb, unsigned long action,
			   void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct liov_hostp *p;

	if (pdev->class != PCI_CLASS_STORAGE_EXPRESS)
		return NOTIFY_DONE;
	if (action == BUS_NOTIFY_ADD_DEVICE) {
		p = host_create(pdev);
		if (!p)
			pci_err(pdev, "lightiov: no memory to follow this controller\n");
	} else {
		p = liov_host_of_pdev(&pdev->dev);
	}
	if (!p)
		return NOTIFY_DONE;

	switch (action) {
	case BUS_NOTIFY_BIND_DRIVER:
		if (is_nvme_driver(pdev->dev.driver))
			host_bind(p, false);
		break;
	case BUS_NOTIFY_BOUND_DRIVER:
		host_bound(p);
		break;
	case BUS_NOTIFY_UNBIND_DRIVER:
		host_evict(p);
		break;
	case BUS_NOTIFY_UNBOUND_DRIVER:
	case BUS_NOTIFY_DRIVER_NOT_BOUND:
		host_release(p);
		break;
	case BUS_NOTIFY_REMOVED_DEVICE:
		host_release(p);
		liov_hosts_del(p);
		break;
	}
	liov_host_put(p);
	return NOTIFY_OK;
}

static struct notifier_block host_bus_nb = { .notifier_call = host_bus_notify };

/* ---- calls of nvme.ko's ---- */

static int hook_ask(struct liov_hostp *p, int want)
{
	liov_host_saw(p, LIOV_CALL_COUNT);
	return liov_host_ask(p, want);
}

static bool hook_drains(struct liov_hostp *p)
{
	/* nvme.ko does not freeze the queues of one that it gives up. */
	return liov_host_takes_part(p) && liov_host_may_shrink(p) && !liov_host_is_dead(p) &&
	       !liov_host_is_given_up(p);
}

static void hook_quiesce(struct liov_hostp *p)
{
	/* nvme.ko has left the state "live" by now, so whoever offers it finds that. */
	if (!READ_ONCE(p->offered))
		return;
	liov_host_saw(p, LIOV_CALL_QUIESCE);
	liov_host_down(p);
}

static void hook_cancelled(struct liov_hostp *p)
{
	if (!READ_ONCE(p->offered))
		return;
	liov_host_saw(p, LIOV_CALL_CANCEL);
	liov_host_disabled(p);
}

/*
 * The gate opens after the real function, which still sends admin commands.  A
 * timeout may take the controller down again meanwhile: the order here - count,
 * look, start, compare the count - lets such a closing win.
 */
static bool hook_start(struct liov_hostp *p, unsigned int *seq)
{
	struct device *cdev;
	bool live;

	if (!READ_ONCE(p->offered))
		return false;
	liov_host_saw(p, LIOV_CALL_START);
	*seq = liov_host_seq(p);
	cdev = liov_ctrl_get(p->h.pdev);
	live = cdev && liov_ctrl_is_live(p, cdev);
	put_device(cdev);
	return live;
}

/*
 * Shadow doorbells are no matter where there are no guests.  nvme-core has given the admin
 * queue's tags the controller; where a later one does not, they are refused to all.
 */
static bool hook_shadows(struct request_queue *q)
{
	struct liov_hostp *p = liov_host_of_ctrl(q->tag_set ? q->tag_set->driver_data : NULL);
	bool may = p && !liov_host_takes_part(p);

	if (p)
		liov_host_put(p);
	return may;
}

static const struct liov_hook_ops hook_ops = {
	.get		= liov_host_of_ctrl,
	.put		= liov_host_put,
	.ask		= hook_ask,
	.answer		= liov_host_answer,
	.drains		= hook_drains,
	.quiesce	= hook_quiesce,
	.cancelled	= hook_cancelled,
	.start		= hook_start,
	.started	= liov_host_up,
	.shadows	= hook_shadows,
	.watches	= liov_host_watches,
	.command	= liov_host_command,
};

/* ---- system suspend ---- */

/* For each host that matches; @fn changes that. */
static void host_each(bool (*match)(struct liov_hostp *p), void (*fn)(struct liov_hostp *p))
{
	struct liov_hostp *p;

	while ((p = liov_hosts_first(match))) {
		fn(p);
		liov_host_put(p);
	}
}

static bool is_bound(struct liov_hostp *p)
{
	return READ_ONCE(p->bound);
}

static bool is_paused(struct liov_hostp *p)
{
	return READ_ONCE(p->paused);
}

static bool is_running(struct liov_hostp *p)
{
	return !READ_ONCE(p->paused);
}

static bool is_any(struct liov_hostp *p)
{
	return true;
}

static void host_pause(struct liov_hostp *p)
{
	/* A running @live still finds the gate open and finishes. */
	cancel_delayed_work_sync(&p->work);
	spin_lock(&p->lock);
	p->paused = true;
	spin_unlock(&p->lock);
	if (!liov_host_drain(p, LIOV_DRAIN_MS))
		pci_warn(p->h.pdev,
			 "lightiov: an admin command is still running at suspend\n");
}

static void host_resume(struct liov_hostp *p)
{
	spin_lock(&p->lock);
	p->paused = false;
	/* Does nothing unless a start was held back. */
	liov_host_look(p, 0);
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
}

static int host_pm_notify(struct notifier_block *nb, unsigned long action,
			  void *data)
{
	switch (action) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(liov_pm_hold, true);
		host_each(is_running, host_pause);
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		WRITE_ONCE(liov_pm_hold, false);
		host_each(is_paused, host_resume);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block host_pm_nb = { .notifier_call = host_pm_notify };

/* ---- the module's side ---- */

static void host_adopt(struct pci_dev *pdev)
{
	struct liov_hostp *p = host_create(pdev);

	if (!p) {
		pci_err(pdev, "lightiov: no memory to follow this controller\n");
		return;
	}
	/* Under the device lock nothing is half bound. */
	device_lock(&pdev->dev);
	if (is_nvme_driver(pdev->dev.driver))
		host_bind(p, true);
	device_unlock(&pdev->dev);
	liov_host_put(p);
}

/**
 * liov_host_init - begin to follow all NVMe functions
 * @ops: what to tell; all must be there; kept until liov_host_exit()
 *
 * @live may come before this returns.  A controller that nvme.ko has set up
 * already is reset once if it may use shadow doorbells or if its queues are
 * to be divided in another way.
 *
 * Context: may sleep; takes the device locks of NVMe functions.
 * Return: 0, -EOPNOTSUPP or -EBUSY if the kernel does not let calls be
 * redirected (see liov_hooks_register()), or another negative errno.
 */
int liov_host_init(const struct liov_host_ops *ops)
{
	struct pci_dev *pdev = NULL;
	int rc;

	liov_ops = ops;
	liov_host_wq = alloc_workqueue("lightiov_host", WQ_UNBOUND, 0);
	if (!liov_host_wq)
		return -ENOMEM;
	rc = liov_hooks_register(&hook_ops);
	if (rc)
		goto err_wq;
	rc = register_pm_notifier(&host_pm_nb);
	if (rc)
		goto err_hooks;
	/* Last of what can fail: from here on there are hosts. */
	rc = bus_register_notifier(&pci_bus_type, &host_bus_nb);
	if (rc)
		goto err_pm;
	while ((pdev = pci_get_class(PCI_CLASS_STORAGE_EXPRESS, pdev)))
		host_adopt(pdev);
	return 0;

err_pm:
	unregister_pm_notifier(&host_pm_nb);
err_hooks:
	liov_hooks_unregister();
err_wq:
	destroy_workqueue(liov_host_wq);
	return rc;
}

/**
 * liov_host_exit - evict all users and let go of nvme.ko
 *
 * Calls @gone for each controller that was announced, with everything still in
 * place, so a reset under way ends as usual.  Takes as long as @gone takes.
 *
 * Context: may sleep; holds no device lock while it calls @gone.
 */
void liov_host_exit(void)
{
	unregister_pm_notifier(&host_pm_nb);
	WRITE_ONCE(liov_exiting, true);
	host_each(is_bound, host_evict);
	bus_unregister_notifier(&pci_bus_type, &host_bus_nb);
	/* A bind may have missed the flag by a hair; it has not got to @live. */
	host_each(is_bound, host_evict);
	/* With no host bound the hooks have nothing to do any more. */
	liov_hooks_unregister();
	liov_host_watch_exit();
	host_each(is_any, liov_hosts_del);
	destroy_workqueue(liov_host_wq);
}
