// SPDX-License-Identifier: GPL-2.0
/*
 * The parent: what the module hangs on a controller.  Owns the mdev parent with its types,
 * and what happens to all instances of a controller when the host driver takes it down or
 * lets it go.  Called by the host boundary (liov_parent_ops).
 *
 * liov_host_ops.live and .gone are serialised by the boundary.  .stopping, .stopped
 * and .lost run inside nvme.ko's reset and may come at any time, also while .live
 * runs or an instance is being created: they take pool_lock and irq_lock and the
 * queues' spinlocks, nothing that is held across a section of the gate.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "compat.h"
#include "vfio/vfio.h"

static const struct {
	u16 nr_pairs;
	bool shared;
	const char *name;
	const char *pretty;
} liov_types[LIOV_NR_TYPES] = {
	{ 1, false, "lightiov-1q", "NVMe controller, 1 queue pair" },
	{ 2, false, "lightiov-2q", "NVMe controller, 2 queue pairs" },
	{ 4, false, "lightiov-4q", "NVMe controller, 4 queue pairs" },
	{ 8, false, "lightiov-8q", "NVMe controller, 8 queue pairs" },
	{ 16, false, "lightiov-16q", "NVMe controller, 16 queue pairs" },
	{ 2, true, "lightiov-shared-2q", "NVMe controller, 2 queue pairs on shared ones" },
	{ 4, true, "lightiov-shared-4q", "NVMe controller, 4 queue pairs on shared ones" },
	{ 8, true, "lightiov-shared-8q", "NVMe controller, 8 queue pairs on shared ones" },
	{ 16, true, "lightiov-shared-16q", "NVMe controller, 16 queue pairs on shared ones" },
	{ 32, true, "lightiov-shared-32q", "NVMe controller, 32 queue pairs on shared ones" },
	{ 64, true, "lightiov-shared-64q", "NVMe controller, 64 queue pairs on shared ones" },
};

static void liov_parent_free(struct liov_parent *p)
{
	bitmap_free(p->qids);
	bitmap_free(p->stuck_qids);
	kfree(p->id);
	liov_hw_free(p);
	kfree(p);
}

static struct liov_parent *liov_parent_alloc(struct liov_host *h)
{
	struct liov_parent *p;
	int i;

	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return NULL;
	p->qids = bitmap_zalloc(LIOV_QID_BITS, GFP_KERNEL);
	p->stuck_qids = bitmap_zalloc(LIOV_QID_BITS, GFP_KERNEL);
	p->id = kzalloc(sizeof(*p->id), GFP_KERNEL);
	if (!p->qids || !p->stuck_qids || !p->id || liov_hw_alloc(p)) {
		liov_parent_free(p);
		return NULL;
	}
	p->host = h;
	liov_sysfs_init_parent(p);
	mutex_init(&p->pool_lock);
	mutex_init(&p->irq_lock);
	mutex_init(&p->shared_lock);
	liov_lock_in_reclaim(&p->pool_lock);
	INIT_LIST_HEAD(&p->instances);
	INIT_LIST_HEAD(&p->backings);
	INIT_LIST_HEAD(&p->watch_node);
	p->ns_gen = 1;
	INIT_LIST_HEAD(&p->vectors);
	INIT_LIST_HEAD(&p->stuck_probes);
	init_waitqueue_head(&p->wq);
	for (i = 0; i < LIOV_NR_TYPES; i++) {
		p->types[i].nr_pairs = liov_types[i].nr_pairs;
		p->types[i].shared = liov_types[i].shared;
		p->types[i].type.sysfs_name = liov_types[i].name;
		p->types[i].type.pretty_name = liov_types[i].pretty;
		p->type_ptrs[i] = &p->types[i].type;
	}
	return p;
}

static int liov_parent_register(struct liov_parent *p)
{
	struct pci_dev *pdev = p->host->pdev;
	int rc;

	/* Waiting for the end of a reset would be waiting for this work item itself. */
	rc = liov_parent_identify(p, false);
	if (rc == -EAGAIN || rc == -EINTR)
		return rc;
	if (rc) {
		pci_err(pdev, "lightiov: Identify Controller failed (%d); not offered to guests\n",
			rc);
		return rc < 0 ? rc : -EIO;
	}
	/* From here on what the host does to its namespaces is heard of. */
	if (list_empty(&p->watch_node))
		liov_watch_add(p);
	p->cq_head = liov_probe_cq_head(p);

	rc = liov_sysfs_add_parent(p);
	if (rc) {
		pci_err(pdev, "lightiov: cannot make sysfs files (%d); not offered to guests\n",
			rc);
		return rc;
	}
	rc = mdev_register_parent(&p->mdev, &pdev->dev, &liov_mdev_driver,
				  p->type_ptrs, LIOV_NR_TYPES);
	if (rc) {
		pci_err(pdev, "lightiov: cannot register as mdev parent (%d); not offered to guests\n",
			rc);
		liov_sysfs_del_parent(p);
		return rc;
	}
	p->registered = true;
	return 0;
}

/* The controller is live again, or has left for good: what waits for that may go on. */
static void liov_parent_instance_back(struct liov_instance *inst)
{
	lockdep_assert_held(&inst->parent->pool_lock);
	liov_resume_kick(inst);
	liov_control_kick(inst);
	liov_admin_kick(inst);
	liov_state_changed(inst);
}

static int liov_parent_live(struct liov_host *h)
{
	struct liov_parent *p = h->priv;
	struct liov_instance *inst;
	int rc;

	if (!p) {
		p = liov_parent_alloc(h);
		if (!p) {
			pci_err(h->pdev, "lightiov: out of memory; not offered to guests\n");
			return -ENOMEM;
		}
		h->priv = p;
	}
	WRITE_ONCE(p->settled_at, jiffies + msecs_to_jiffies(LIOV_SETTLE_MS));
	/* Here and not in the stopped hook, since DMA memory is freed. */
	liov_pool_reclaim(p);
	liov_probe_reclaim(p);
	rc = p->registered ? 0 : liov_parent_register(p);
	if (rc)
		return rc;
	mutex_lock(&p->pool_lock);
	liov_watch_look_all(p);
	liov_pool_recount(p);
	list_for_each_entry(inst, &p->instances, node)
		liov_parent_instance_back(inst);
	mutex_unlock(&p->pool_lock);
	schedule_work(&p->tell);
	if (p->told_granted == h->nr_granted && p->told_host == h->nr_host)
		return 0;
	p->told_granted = h->nr_granted;
	p->told_host = h->nr_host;
	pci_info(h->pdev,
		 "lightiov: %u queue pairs granted, %u used by the host, %u free; CQ head %s\n",
		 h->nr_granted, h->nr_host, liov_pool_free_pairs(p),
		 liov_cq_head_name(p->cq_head));
	if (!liov_can_add_vectors(h->pdev))
		pci_warn(h->pdev,
			 "lightiov: no MSI-X vectors can be added to this controller on this machine; all its guests share the interrupt of nvme's admin queue\n");
	if (h->nr_granted <= h->nr_host)
		pci_warn(h->pdev,
			 "lightiov: no spare queue pair; write a number to lightiov/reserve, or a smaller one to lightiov/host_queues, and then 1 to lightiov/apply\n");
	return 0;
}

static int liov_parent_withdraw(struct liov_host *h)
{
	struct liov_parent *p = h->priv;
	bool used;

	if (!p)
		return 0;
	mutex_lock(&p->pool_lock);
	used = !list_empty(&p->instances);
	p->withdrawn = !used;
	mutex_unlock(&p->pool_lock);
	if (!used)
		return 0;
	pci_warn(h->pdev, "lightiov: it has instances, so it stays offered; remove them first\n");
	return -EBUSY;
}

static void liov_parent_stopping(struct liov_host *h)
{
	struct liov_parent *p = h->priv;
	struct liov_instance *inst;

	if (!p)
		return;
	mutex_lock(&p->pool_lock);
	/* First: a command that finds its queue not live, but its pair, was shut. */
	liov_shared_stop(p);
	list_for_each_entry(inst, &p->instances, node)
		liov_resume_lost(inst);
	mutex_unlock(&p->pool_lock);
	liov_irq_stop(p);
	schedule_work(&p->tell);
}

static void liov_parent_stopped(struct liov_host *h)
{
	struct liov_parent *p = h->priv;
	struct liov_instance *inst;

	if (!p)
		return;
	/* From the end of the reset on, see liov_parent_live(); which comes after a queue can. */
	WRITE_ONCE(p->settled_at, jiffies + msecs_to_jiffies(LIOV_ADMIN_WAIT_MS));
	WRITE_ONCE(p->gen, p->gen + 1);
	wake_up_all(&p->wq);
	/* What waits for the hardware to let go need not wait for the end of the reset. */
	mutex_lock(&p->pool_lock);
	/* Before the gate opens again, to whoever it is. */
	liov_watch_changed(p);
	list_for_each_entry(inst, &p->instances, node)
		liov_control_kick(inst);
	mutex_unlock(&p->pool_lock);
}

/* No end of a reset will come: those that wait for one need not. */
static void liov_parent_lost(struct liov_host *h)
{
	struct liov_parent *p = h->priv;
	struct liov_instance *inst;

	if (!p)
		return;
	mutex_lock(&p->pool_lock);
	list_for_each_entry(inst, &p->instances, node) {
		liov_parent_instance_back(inst);
		/* Not at an unbind in order: @gone asks its users to let go. */
		if (liov_host_is_gone(h))
			liov_vfio_lost(inst);
	}
	mutex_unlock(&p->pool_lock);
	wake_up_all(&p->wq);
	schedule_work(&p->tell);
}

static void liov_parent_gone(struct liov_host *h)
{
	struct liov_parent *p = h->priv;

	if (!p)
		return;
	if (p->registered) {
		liov_parent_lost(h);
		/* Removes every instance; waits until user space let go. */
		mdev_unregister_parent(&p->mdev);
		liov_sysfs_del_parent(p);
		pci_info(h->pdev, "lightiov: no longer offered to guests\n");
	}
	liov_host_silence(h);
	liov_watch_del(p);
	h->priv = NULL;
	liov_probe_leak(p);
	liov_parent_free(p);
}

const struct liov_host_ops liov_parent_ops = {
	.bound		= liov_settings_add,
	.unbound	= liov_settings_del,
	.withdraw	= liov_parent_withdraw,
	.live		= liov_parent_live,
	.stopping	= liov_parent_stopping,
	.stopped	= liov_parent_stopped,
	.lost		= liov_parent_lost,
	.gone		= liov_parent_gone,
	.command	= liov_watch_command,
	.command_over	= liov_watch_command_over,
};
