// SPDX-License-Identifier: GPL-2.0
/*
 * The host boundary: all struct liov_hostp there are, and how long each lives.
 *
 * Owns the list of hosts and hosts_lock, a mutex around nothing but the list: no callback
 * runs under it.  Each host has a reference count; who finds one here gets a reference.
 */
#include <linux/io.h>
#include <linux/slab.h>

#include "priv.h"

static LIST_HEAD(hosts);
static DEFINE_MUTEX(hosts_lock);

/**
 * liov_host_unmap - its registers are not used any more
 * @p: the host
 *
 * Context: may sleep; under liov_hostp.life, or with the last reference.
 */
void liov_host_unmap(struct liov_hostp *p)
{
	if (p->h.bar)
		iounmap(p->h.bar);
	p->h.bar = NULL;
}

static void host_free(struct kref *kref)
{
	struct liov_hostp *p = container_of(kref, struct liov_hostp, kref);

	cancel_delayed_work_sync(&p->work);
	liov_host_unmap(p);
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

/**
 * liov_host_of_pdev - the host of a function
 * @dev: its device
 *
 * Context: may sleep; takes hosts_lock.
 * Return: the host with a reference (liov_host_put()), or NULL.
 */
struct liov_hostp *liov_host_of_pdev(struct device *dev)
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

/**
 * liov_hosts_first - the first host that matches
 * @match: called under hosts_lock
 *
 * Each caller changes what it looks for, so hosts that come or go meanwhile are no matter.
 *
 * Context: may sleep; takes hosts_lock.
 * Return: the host with a reference (liov_host_put()), or NULL.
 */
struct liov_hostp *liov_hosts_first(bool (*match)(struct liov_hostp *p))
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

/**
 * liov_hosts_add - a new host
 * @p: complete, with one reference, which is the caller's
 *
 * Context: may sleep; takes hosts_lock.
 * Return: NULL; or the host that this function has already, with a reference, and @p is
 * given back.
 */
struct liov_hostp *liov_hosts_add(struct liov_hostp *p)
{
	struct liov_hostp *old;

	liov_lock_in_reclaim(&hosts_lock);
	scoped_guard(mutex, &hosts_lock) {
		old = host_of_pdev_locked(&p->h.pdev->dev);
		if (!old) {
			/* Else nobody looks at it when the suspend is over. */
			p->paused = READ_ONCE(liov_pm_hold);
			kref_get(&p->kref);
			list_add_tail(&p->node, &hosts);
		}
	}
	/* Not under hosts_lock: it cancels the work item. */
	if (old)
		liov_host_put(p);
	return old;
}

/**
 * liov_hosts_del - the function is gone, or the module goes
 * @p: a host of the list; the list's reference goes
 *
 * Context: may sleep; takes hosts_lock.
 */
void liov_hosts_del(struct liov_hostp *p)
{
	scoped_guard(mutex, &hosts_lock)
		list_del_init(&p->node);
	liov_host_put(p);
}
