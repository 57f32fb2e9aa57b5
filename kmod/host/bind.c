// SPDX-License-Identifier: GPL-2.0
/*
 * The host boundary's objects: a struct liov_hostp for each NVMe function, from
 * its appearance to its removal; when nvme.ko binds and unbinds; suspend; load
 * and unload.  Entered by the driver core (bus notifier), by the PM core and by
 * main.c.  What a user may rely on and the locks: see ctrl.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/io.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "priv.h"

static LIST_HEAD(hosts);
static DEFINE_MUTEX(hosts_lock);

static void host_unmap(struct liov_hostp *p)
{
	if (p->h.bar)
		iounmap(p->h.bar);
	p->h.bar = NULL;
}

static void host_free(struct kref *kref)
{
	struct liov_hostp *p = container_of(kref, struct liov_hostp, kref);

	cancel_delayed_work_sync(&p->work);
	host_unmap(p);
	pci_dev_put(p->h.pdev);
	free_page((unsigned long)p->page);
	kfree(p);
}

/**
 * liov_host_put - drop a reference to a host
 * @p: the host
 *
 * Context: may sleep; not from the host's own work item.
 */
void liov_host_put(struct liov_hostp *p)
{
	kref_put(&p->kref, host_free);
}

static struct liov_hostp *host_of_pdev_locked(struct device *dev)
{
	struct liov_hostp *p;

	lockdep_assert_held(&hosts_lock);
	list_for_each_entry(p, &hosts, node) {
		if (&p->h.pdev->dev == dev) {
			kref_get(&p->kref);
			return p;
		}
	}
	return NULL;
}

static struct liov_hostp *host_of_pdev(struct device *dev)
{
	guard(mutex)(&hosts_lock);
	return host_of_pdev_locked(dev);
}

/**
 * liov_host_of_ctrl - the host whose function a controller belongs to
 * @ctrl: the controller, valid for the duration of the call
 *
 * Context: may sleep; takes hosts_lock.
 * Return: the host with a reference (liov_host_put()), or NULL: not a PCI
 * controller, or not one of ours.
 */
struct liov_hostp *liov_host_of_ctrl(struct nvme_ctrl *ctrl)
{
	struct liov_hostp *p;
	struct device *cdev;
	void *found;

	guard(mutex)(&hosts_lock);
	list_for_each_entry(p, &hosts, node) {
		if (!READ_ONCE(p->bound))
			continue;
		cdev = liov_ctrl_get(p->h.pdev);
		found = cdev ? dev_get_drvdata(cdev) : NULL;
		put_device(cdev);
		if (found == ctrl) {
			kref_get(&p->kref);
			return p;
		}
	}
	return NULL;
}

/**
 * liov_host_of_queue - the host whose admin queue this is
 * @q: a request queue; compared only
 *
 * Context: may sleep; takes hosts_lock.
 * Return: the host with a reference (liov_host_put()), or NULL: an I/O queue, or the
 * admin queue of a controller that was never live.
 */
struct liov_hostp *liov_host_of_queue(struct request_queue *q)
{
	struct liov_hostp *p;

	guard(mutex)(&hosts_lock);
	list_for_each_entry(p, &hosts, node) {
		if (READ_ONCE(p->adminq) == q) {
			kref_get(&p->kref);
			return p;
		}
	}
	return NULL;
}

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
	spin_lock(&p->lock);
	p->bound = true;
	p->unbinding = false;
	p->left = false;
	p->down_at = jiffies;
	p->hooked = false;
	p->reset_tried = false;
	p->wary = liov_hooks_may_miss(p->h.pdev->dev.driver->owner);
	p->calls = 0;
	p->calls_tried = 0;
	p->answer = 0;
	p->floor = 0;
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
	if (pci_device_is_present(p->h.pdev))
		return;
	pci_warn(p->h.pdev, "lightiov: the controller has left; its guests get errors\n");
	spin_lock(&p->lock);
	p->left = true;
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
	liov_host_down(p);
	liov_host_disabled(p);
}

/*
 * Ends all use of a controller that still works, or has left.  Sections must end before
 * nvme.ko goes on and frees the admin queue.  None can hang for good: a command
 * that never completes times out, and nvme.ko cancels it.
 */
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
	/* A start whose work item we have just cancelled. */
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
	p->bound = false;
	p->gate = LIOV_GATE_CLOSED;
	p->seq++;
	wake_up_all(&p->wq);
	spin_unlock(&p->lock);
	while (!liov_host_drain(p, LIOV_DRAIN_MS))
		pci_warn(p->h.pdev,
			 "lightiov: waiting for an admin command before nvme is unbound\n");
	p->adminq = NULL;
	p->h.priv = NULL;
out:
	mutex_unlock(&p->life);
}

/* nvme.ko is unbound, or has failed to bind. */
static void host_release(struct liov_hostp *p)
{
	host_evict(p);
	mutex_lock(&p->life);
	if (p->owner_counted)
		liov_hooks_unbind();
	p->owner_counted = false;
	host_unmap(p);
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
	kref_init(&p->kref);
	INIT_DELAYED_WORK(&p->work, liov_host_live_work);
	mutex_init(&p->life);
	mutex_init(&p->tell);
	mutex_init(&p->page_lock);
	liov_lock_in_reclaim(&p->page_lock);
	liov_lock_in_reclaim(&hosts_lock);
	spin_lock_init(&p->lock);
	init_waitqueue_head(&p->wq);

	scoped_guard(mutex, &hosts_lock) {
		old = host_of_pdev_locked(&pdev->dev);
		if (!old) {
			/* Else nobody looks at it when the suspend is over. */
			p->paused = READ_ONCE(liov_pm_hold);
			kref_get(&p->kref);
			list_add_tail(&p->node, &hosts);
		}
	}
	if (!old)
		return p;
	/* Not under hosts_lock: it cancels the work item. */
	liov_host_put(p);
	return old;
}

static void host_unlist(struct liov_hostp *p)
{
	scoped_guard(mutex, &hosts_lock)
		list_del_init(&p->node);
	liov_host_put(p);
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
		p = host_of_pdev(&pdev->dev);
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
		host_unlist(p);
		break;
	}
	liov_host_put(p);
	return NOTIFY_OK;
}

static struct notifier_block host_bus_nb = { .notifier_call = host_bus_notify };

/* ---- system suspend ---- */

/*
 * The first host that matches, with a reference.  Each caller changes what it
 * looks for, so hosts that come or go meanwhile are no matter.
 */
static struct liov_hostp *host_first(bool (*match)(struct liov_hostp *p))
{
	struct liov_hostp *p;

	guard(mutex)(&hosts_lock);
	list_for_each_entry(p, &hosts, node) {
		if (match(p)) {
			kref_get(&p->kref);
			return p;
		}
	}
	return NULL;
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
	struct liov_hostp *p;

	switch (action) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(liov_pm_hold, true);
		while ((p = host_first(is_running))) {
			host_pause(p);
			liov_host_put(p);
		}
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		WRITE_ONCE(liov_pm_hold, false);
		while ((p = host_first(is_paused))) {
			host_resume(p);
			liov_host_put(p);
		}
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
 * @ops:     what to tell; all must be there; kept until liov_host_exit()
 * @reserve: queue pairs to ask for beyond those nvme.ko wants
 *
 * @live may come before this returns.  A controller that nvme.ko has set up
 * already is reset once if it may use shadow doorbells or if the reservation
 * is not satisfied.
 *
 * Context: may sleep; takes the device locks of NVMe functions.
 * Return: 0, -EOPNOTSUPP or -EBUSY if the kernel does not let calls be
 * redirected (see liov_hooks_register()), or another negative errno.
 */
int liov_host_init(const struct liov_host_ops *ops, unsigned int reserve)
{
	struct pci_dev *pdev = NULL;
	int rc;

	liov_ops = ops;
	liov_reserve = min(reserve, 0xffffU);
	liov_host_wq = alloc_workqueue("lightiov_host", WQ_UNBOUND, 0);
	if (!liov_host_wq)
		return -ENOMEM;
	rc = liov_hooks_register();
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

static void host_evict_all(void)
{
	struct liov_hostp *p;

	while ((p = host_first(is_bound))) {
		host_evict(p);
		liov_host_put(p);
	}
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
	struct liov_hostp *p;

	unregister_pm_notifier(&host_pm_nb);
	WRITE_ONCE(liov_exiting, true);
	host_evict_all();
	bus_unregister_notifier(&pci_bus_type, &host_bus_nb);
	/* A bind may have missed the flag by a hair; it has not got to @live. */
	host_evict_all();
	/* With no host bound the hooks have nothing to do any more. */
	liov_hooks_unregister();
	liov_host_watch_exit();
	while ((p = host_first(is_any))) {
		host_unlist(p);
		liov_host_put(p);
	}
	destroy_workqueue(liov_host_wq);
}
