// SPDX-License-Identifier: GPL-2.0
/*
 * The parent: what the module hangs on a controller.  Owns the pool of spare
 * hardware queue pairs, the mdev parent with its types, and what happens to
 * all instances of a controller when the host driver takes it down or lets it
 * go.  Called by the host boundary (liov_parent_ops) and by instances.
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
#include "lightiov.h"

static const u16 liov_type_pairs[LIOV_NR_TYPES] = { 1, 2, 4, 8, 16 };
static const char * const liov_type_names[LIOV_NR_TYPES] = {
	"lightiov-1q", "lightiov-2q", "lightiov-4q", "lightiov-8q", "lightiov-16q",
};

static const char * const liov_type_pretty[LIOV_NR_TYPES] = {
	"NVMe controller, 1 queue pair", "NVMe controller, 2 queue pairs",
	"NVMe controller, 4 queue pairs", "NVMe controller, 8 queue pairs",
	"NVMe controller, 16 queue pairs",
};

/* How often a command is sent that resets of the host's cancel. */
#define LIOV_ADMIN_TRIES	3

/* qids are 16 bit; the bitmap covers all of them, a reset may grant more. */
#define LIOV_QID_BITS	65536

/**
 * liov_parent_enter() - open a section of the gate, after a reset if need be
 * @p: parent
 *
 * May sleep as long as a reset takes; leave with liov_host_leave().
 *
 * Return: 0, -EAGAIN if the controller did not come back in time, or -ENODEV.
 */
int liov_parent_enter(struct liov_parent *p)
{
	int rc = liov_host_enter(p->host);

	if (rc == -EAGAIN) {
		rc = liov_host_wait_live(p->host, LIOV_ADMIN_WAIT_MS);
		if (!rc)
			rc = liov_host_enter(p->host);
	}
	return rc == -ETIMEDOUT ? -EAGAIN : rc;
}

/**
 * liov_parent_admin() - send one admin command to the hardware
 * @p:      parent
 * @cmd:    the command, with the hardware's IDs
 * @buf:    data buffer or NULL
 * @len: its length
 * @result: dword 0 of the completion, or NULL
 *
 * Opens its own section of the gate; waits while the host resets the
 * controller, and sends it again if a reset cancelled it.  May sleep; must not
 * be called with pool_lock or irq_lock held nor inside a section.
 *
 * Return: 0, a positive NVMe status, -EAGAIN if the controller did not come
 * back in time, -ENODEV if it is gone, or another negative errno.
 */
int liov_parent_admin(struct liov_parent *p, struct nvme_command *cmd, void *buf,
		      unsigned int len, u32 *result)
{
	int rc, tries = 0;

	do {
		rc = liov_parent_enter(p);
		if (rc)
			return rc;
		rc = liov_host_admin(p->host, cmd, buf, len, result);
		liov_host_leave(p->host);
	} while (rc == -EINTR && ++tries < LIOV_ADMIN_TRIES);
	return rc;
}

/**
 * liov_parent_admin_now() - the same, without waiting for a reset
 * @p:      parent
 * @cmd:    the command, with the hardware's IDs
 * @buf:    data buffer or NULL
 * @len:    its length
 *
 * May sleep as long as the command takes.
 *
 * Return: as liov_parent_admin(); -EAGAIN or -EINTR while the controller is reset.
 */
int liov_parent_admin_now(struct liov_parent *p, struct nvme_command *cmd, void *buf,
			  unsigned int len)
{
	int rc = liov_host_enter(p->host);

	if (rc)
		return rc;
	rc = liov_host_admin(p->host, cmd, buf, len, NULL);
	liov_host_leave(p->host);
	return rc;
}

/**
 * liov_parent_doorbell() - the hardware's doorbell register of a queue
 * @p:     parent
 * @hwqid: the hardware's queue ID
 * @cq:    completion queue head rather than submission queue tail
 *
 * NVMe PCIe Transport 1.0 section 3.1.2.  Return: its mapped address.
 */
void __iomem *liov_parent_doorbell(struct liov_parent *p, u16 hwqid, bool cq)
{
	return p->host->bar + LIOV_DB_BASE +
	       (size_t)(2 * hwqid + cq) * p->host->db_stride;
}

static unsigned int liov_free_pairs_locked(struct liov_parent *p)
{
	unsigned int qid, n = 0;

	lockdep_assert_held(&p->pool_lock);
	for (qid = p->host->nr_host + 1; qid <= p->host->nr_granted; qid++)
		n += !test_bit(qid, p->qids);
	return n;
}

/**
 * liov_parent_free_pairs() - spare queue pairs no instance holds
 * @p: parent
 *
 * May sleep.  Return: their number.
 */
unsigned int liov_parent_free_pairs(struct liov_parent *p)
{
	unsigned int n;

	mutex_lock(&p->pool_lock);
	n = liov_free_pairs_locked(p);
	mutex_unlock(&p->pool_lock);
	return n;
}

static bool liov_qid_granted(struct liov_parent *p, u16 qid)
{
	return qid > p->host->nr_host && qid <= p->host->nr_granted;
}

/*
 * A drive may grant fewer queue pairs after a reset.  Who goes without, first come
 * first served; liov_parent_fit() moves the others when they make their queues.
 */
static void liov_parent_judge(struct liov_parent *p)
{
	unsigned int i, left = liov_free_pairs_locked(p);
	struct liov_instance *inst;

	list_for_each_entry(inst, &p->instances, node) {
		unsigned int moves = 0, lacks;

		for (i = 1; i <= inst->nr_pairs; i++)
			moves += !liov_qid_granted(p, inst->hwqid[i]);
		lacks = moves - min(moves, left);
		left -= moves - lacks;
		if (lacks > inst->lacks)
			dev_err(liov_dev(inst), "lightiov: %s grants only %u queue pairs since its reset, which leaves %u for this device's %u; remove it or another, or have the drive grant more and reset it\n",
				pci_name(p->host->pdev), p->host->nr_granted,
				inst->nr_pairs - lacks, inst->nr_pairs);
		else if (lacks < inst->lacks)
			dev_info(liov_dev(inst), "lightiov: %u of %u queue pairs again, once its controller is reset\n",
				 inst->nr_pairs - lacks, inst->nr_pairs);
		WRITE_ONCE(inst->lacks, lacks);
	}
}

static void liov_update_floor(struct liov_parent *p)
{
	unsigned long lowest = find_first_bit(p->qids, LIOV_QID_BITS);

	lockdep_assert_held(&p->pool_lock);
	liov_host_set_floor(p->host, lowest < LIOV_QID_BITS ? lowest : 0);
}

/* The highest free one, which is taken then; 0 if there is none. */
static u16 liov_take_qid(struct liov_parent *p)
{
	unsigned int qid;

	lockdep_assert_held(&p->pool_lock);
	for (qid = p->host->nr_granted; qid > p->host->nr_host; qid--) {
		if (!test_and_set_bit(qid, p->qids))
			return qid;
	}
	return 0;
}

/**
 * liov_parent_take_qids() - give an instance its hardware queue pairs
 * @p:    parent
 * @inst: instance with nr_pairs set; fills hwqid[1..nr_pairs]
 *
 * Takes from the top, so that a host driver which wants more queues after a
 * reset finds the low IDs free.  May sleep.
 *
 * Return: 0, or -ENOSPC.
 */
int liov_parent_take_qids(struct liov_parent *p, struct liov_instance *inst)
{
	unsigned int i;

	mutex_lock(&p->pool_lock);
	if (liov_free_pairs_locked(p) < inst->nr_pairs) {
		mutex_unlock(&p->pool_lock);
		return -ENOSPC;
	}
	for (i = 1; i <= inst->nr_pairs; i++)
		inst->hwqid[i] = liov_take_qid(p);
	list_add_tail(&inst->node, &p->instances);
	liov_parent_judge(p);
	liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
	return 0;
}

/* The pair gets another qid: a free one, or that of a later pair which has no queue. */
static bool liov_pair_move(struct liov_parent *p, struct liov_instance *inst, unsigned int i)
{
	u16 qid = liov_take_qid(p);
	unsigned int j;

	if (qid) {
		clear_bit(inst->hwqid[i], p->qids);
		inst->hwqid[i] = qid;
		return true;
	}
	for (j = inst->nr_pairs; j > i; j--) {
		if (!liov_qid_granted(p, inst->hwqid[j]) || inst->cq[j].made || inst->sq[j].made)
			continue;
		swap(inst->hwqid[i], inst->hwqid[j]);
		return true;
	}
	return false;
}

/**
 * liov_parent_fit() - let an instance's queue pairs be among those that are granted
 * @p:    parent, in a section (liov_parent_enter())
 * @inst: instance; the caller holds its lock
 *
 * A drive may grant fewer after a reset, and then the hardware has no queues of
 * those beyond.  Takes free pairs for them as far as there are any; what is lacking
 * then are the last ones.  May sleep.
 *
 * Return: the number of pairs the instance can use, from its first.
 */
unsigned int liov_parent_fit(struct liov_parent *p, struct liov_instance *inst)
{
	unsigned int i;

	lockdep_assert_held(&inst->lock);
	mutex_lock(&p->pool_lock);
	for (i = 1; i <= inst->nr_pairs; i++) {
		if (!liov_qid_granted(p, inst->hwqid[i]) && !liov_pair_move(p, inst, i))
			break;
	}
	liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
	return i - 1;
}

/**
 * liov_parent_stick_qid() - a queue ID is given back, but perhaps not by the hardware
 * @p:   parent; the caller holds its pool_lock
 * @qid: hardware queue ID, taken
 * @gen: liov_parent.gen when the hardware was last seen to have the queue
 *
 * Return: true if the ID stays taken until the controller was disabled; false if it was
 * since, and the ID is the caller's.
 */
bool liov_parent_stick_qid(struct liov_parent *p, u16 qid, u64 gen)
{
	lockdep_assert_held(&p->pool_lock);
	/* A new generation that is not seen here is seen by liov_parent_reclaim(). */
	if (READ_ONCE(p->gen) != gen)
		return false;
	set_bit(qid, p->stuck_qids);
	p->stuck_gen = gen;
	return true;
}

/*
 * After a reset: the controller was disabled, so the hardware has no queue of an older
 * generation any more.
 */
static void liov_parent_reclaim(struct liov_parent *p)
{
	unsigned int n = 0;

	mutex_lock(&p->pool_lock);
	if (p->stuck_gen != READ_ONCE(p->gen)) {
		n = bitmap_weight(p->stuck_qids, LIOV_QID_BITS);
		bitmap_andnot(p->qids, p->qids, p->stuck_qids, LIOV_QID_BITS);
		bitmap_zero(p->stuck_qids, LIOV_QID_BITS);
	}
	if (n)
		liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
	if (n)
		pci_info(p->host->pdev, "lightiov: %u queue pairs whose deletion had failed are free again\n",
			 n);
	liov_probe_reclaim(p);
}

/**
 * liov_parent_put_qids() - return an instance's queue pairs to the pool
 * @p:    parent
 * @inst: instance whose hardware queues are deleted, or abandoned
 *
 * May sleep.
 */
void liov_parent_put_qids(struct liov_parent *p, struct liov_instance *inst)
{
	unsigned int i, n = 0;

	mutex_lock(&p->pool_lock);
	list_del(&inst->node);
	for (i = 1; i <= inst->nr_pairs; i++) {
		if (inst->qids_lost && liov_parent_stick_qid(p, inst->hwqid[i], inst->lost_gen))
			n++;
		else
			clear_bit(inst->hwqid[i], p->qids);
	}
	if (n)
		dev_warn(liov_dev(inst), "lightiov: its %u queue pairs are not used again before the next reset of %s (nvme reset)\n",
			 n, pci_name(p->host->pdev));
	liov_parent_judge(p);
	liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
}

static const char * const liov_cq_head_names[] = {
	[LIOV_CQ_HEAD_AUTO]	= "auto",
	[LIOV_CQ_HEAD_TRACKED]	= "tracked",
	[LIOV_CQ_HEAD_LAZY]	= "lazy",
};

/**
 * liov_cq_head_name() - how a CQ head mode is written in sysfs
 * @mode: the mode
 *
 * Return: a constant string.
 */
const char *liov_cq_head_name(enum liov_cq_head_mode mode)
{
	return liov_cq_head_names[mode];
}

/**
 * liov_parent_parse_cq_head() - read a CQ head mode
 * @val:  text, a trailing newline is allowed
 * @mode: where it goes
 *
 * Return: 0 or -EINVAL.
 */
int liov_parent_parse_cq_head(const char *val, enum liov_cq_head_mode *mode)
{
	int i = sysfs_match_string(liov_cq_head_names, val);

	if (i < 0)
		return i;
	*mode = i;
	return 0;
}

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
	mutex_init(&p->pool_lock);
	mutex_init(&p->irq_lock);
	liov_lock_in_reclaim(&p->pool_lock);
	INIT_LIST_HEAD(&p->instances);
	INIT_LIST_HEAD(&p->backings);
	INIT_LIST_HEAD(&p->watch_node);
	p->ns_gen = 1;
	INIT_LIST_HEAD(&p->vectors);
	INIT_LIST_HEAD(&p->stuck_probes);
	init_waitqueue_head(&p->wq);
	for (i = 0; i < LIOV_NR_TYPES; i++) {
		p->types[i].nr_pairs = liov_type_pairs[i];
		p->types[i].type.sysfs_name = liov_type_names[i];
		p->types[i].type.pretty_name = liov_type_pretty[i];
		p->type_ptrs[i] = &p->types[i].type;
	}
	return p;
}

/**
 * liov_parent_identify() - read what guests are told of it, unless nothing can have changed
 * @p:    parent
 * @wait: while the host resets the controller
 *
 * A reset may have brought new firmware, with other limits.  May sleep; takes pool_lock.
 *
 * Return: 0 or a negative errno, -EBUSY if it may pass; then what was read before is still
 * there.
 */
int liov_parent_identify(struct liov_parent *p, bool wait)
{
	u64 gen = READ_ONCE(p->ns_gen);
	struct nvme_command c = {};
	struct nvme_id_ctrl *id;
	int rc;

	if (READ_ONCE(p->id_gen) == gen)
		return 0;
	id = kzalloc(sizeof(*id), GFP_KERNEL);
	if (!id)
		return -ENOMEM;
	c.identify.opcode = nvme_admin_identify;
	c.identify.cns = NVME_ID_CNS_CTRL;
	rc = wait ? liov_parent_admin(p, &c, id, sizeof(*id), NULL) :
		    liov_parent_admin_now(p, &c, id, sizeof(*id));
	if (!rc) {
		mutex_lock(&p->pool_lock);
		*p->id = *id;
		p->vwc = id->vwc & NVME_CTRL_VWC_PRESENT;
		WRITE_ONCE(p->id_gen, gen);
		mutex_unlock(&p->pool_lock);
	}
	kfree(id);
	if (!rc)
		liov_hw_refresh(p);
	if (rc > 0)
		return rc & NVME_STATUS_DNR ? -EIO : -EBUSY;
	return rc;
}

static int liov_parent_register(struct liov_parent *p)
{
	struct pci_dev *pdev = p->host->pdev;
	int rc;

	if (!pdev->msix_enabled) {
		pci_err(pdev, "lightiov: nvme runs this controller without MSI-X; not offered to guests\n");
		return -EOPNOTSUPP;
	}
	/* Waiting for the end of a reset would be waiting for this work item itself. */
	rc = liov_parent_identify(p, false);
	if (rc == -EAGAIN || rc == -EINTR)
		return rc;
	if (rc) {
		pci_err(pdev, "lightiov: Identify Controller failed (%d); not offered to guests\n",
			rc);
		return rc;
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

static void liov_parent_live(struct liov_host *h)
{
	struct liov_parent *p = h->priv;
	struct liov_instance *inst;

	if (!p) {
		p = liov_parent_alloc(h);
		if (!p) {
			pci_err(h->pdev, "lightiov: out of memory; not offered to guests\n");
			return;
		}
		h->priv = p;
	}
	WRITE_ONCE(p->settled_at, jiffies + msecs_to_jiffies(LIOV_SETTLE_MS));
	/* Here and not in the stopped hook, since DMA memory is freed. */
	liov_parent_reclaim(p);
	if (!p->registered && liov_parent_register(p))
		return;
	mutex_lock(&p->pool_lock);
	liov_watch_look_all(p);
	liov_parent_judge(p);
	list_for_each_entry(inst, &p->instances, node)
		liov_instance_hw_back(inst);
	mutex_unlock(&p->pool_lock);
	if (p->told_granted == h->nr_granted && p->told_host == h->nr_host)
		return;
	p->told_granted = h->nr_granted;
	p->told_host = h->nr_host;
	pci_info(h->pdev,
		 "lightiov: %u queue pairs granted, %u used by the host, %u free; CQ head %s\n",
		 h->nr_granted, h->nr_host, liov_parent_free_pairs(p),
		 liov_cq_head_name(p->cq_head));
	if (!liov_can_add_vectors(h->pdev))
		pci_warn(h->pdev,
			 "lightiov: no MSI-X vectors can be added to this controller on this machine; all its guests share the interrupt of nvme's admin queue\n");
	if (h->nr_granted <= h->nr_host)
		pci_warn(h->pdev,
			 "lightiov: no spare queue pair; load lightiov with reserve=N before nvme binds\n");
}

static void liov_parent_stopping(struct liov_host *h)
{
	struct liov_parent *p = h->priv;
	struct liov_instance *inst;

	if (!p)
		return;
	mutex_lock(&p->pool_lock);
	list_for_each_entry(inst, &p->instances, node)
		liov_instance_hw_lost(inst);
	mutex_unlock(&p->pool_lock);
	liov_irq_stop(p);
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
		liov_instance_hw_back(inst);
		/* Not at an unbind in order: @gone asks its users to let go. */
		if (liov_host_is_gone(h))
			liov_vfio_lost(inst);
	}
	mutex_unlock(&p->pool_lock);
	wake_up_all(&p->wq);
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
	.live		= liov_parent_live,
	.stopping	= liov_parent_stopping,
	.stopped	= liov_parent_stopped,
	.lost		= liov_parent_lost,
	.gone		= liov_parent_gone,
	.command	= liov_watch_command,
	.command_over	= liov_watch_command_over,
};
