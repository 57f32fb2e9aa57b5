// SPDX-License-Identifier: GPL-2.0
/*
 * What the drive says of a backing's namespace: whether it can be used at all, whether it
 * still is the one that the backing was written for, and what commands on it may do.
 *
 * Owns liov_instance.guard.  Called by backing.c, instance.c, the modes, reset.c and
 * nswatch.c under liov_instance.lock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/blkdev.h>
#include <linux/slab.h>

#include "controller/controller.h"

static int liov_ns_ask(struct liov_instance *inst, u32 nsid, u8 cns, void *buf, bool wait)
{
	struct nvme_command c = {};
	int rc;

	c.identify.opcode = nvme_admin_identify;
	c.identify.cns = cns;
	c.identify.nsid = cpu_to_le32(nsid);
	if (wait)
		rc = liov_pool_admin(inst->parent, &c, buf, NVME_IDENTIFY_DATA_SIZE, NULL);
	else
		rc = liov_pool_admin_now(inst->parent, &c, buf, NVME_IDENTIFY_DATA_SIZE);
	inst->sent += rc != -EAGAIN && rc != -ENODEV;
	return rc;
}

/* Since 1.3; a drive that refuses it is asked once only, it would log an error each time. */
static int liov_ns_ask_desc(struct liov_instance *inst, u32 nsid, void *buf, bool wait)
{
	struct liov_parent *p = inst->parent;
	int rc;

	if (p->host->vs < NVME_VS(1, 3, 0) || READ_ONCE(p->no_ns_desc))
		return NVME_SC_INVALID_FIELD;
	rc = liov_ns_ask(inst, nsid, NVME_ID_CNS_NS_DESC_LIST, buf, wait);
	if (rc > 0 && (rc & 0x7ff) == NVME_SC_INVALID_FIELD)
		WRITE_ONCE(p->no_ns_desc, true);
	return rc;
}

/* While the host resets the controller it waits, or the answer is -EAGAIN or -EINTR. */
static int liov_ns_get(struct liov_instance *inst, u32 nsid, struct nvme_id_ns *ns,
		       struct liov_ns_ident *id, bool wait)
{
	u8 *desc;
	int rc;

	desc = kzalloc(NVME_IDENTIFY_DATA_SIZE, GFP_KERNEL);
	if (!desc)
		return -ENOMEM;
	rc = liov_ns_ask(inst, nsid, NVME_ID_CNS_NS, ns, wait);
	if (rc)
		goto out;
	/* Of a namespace that is gone there is none. */
	if (ns->nsze)
		rc = liov_ns_ask_desc(inst, nsid, desc, wait);
	/* Of one that has none, too: it says so itself, then these are zeroes. */
	if (rc > 0 && (rc & 0x7ff) == NVME_SC_INVALID_FIELD)
		rc = 0;
	if (!rc)
		liov_ns_ident_read(id, ns, desc);
out:
	kfree(desc);
	return rc;
}

static void liov_ns_say_failed(struct liov_instance *inst, u32 nsid, int rc)
{
	liov_open_warn(inst, "Identify of namespace %u on %s failed (%d); see the log of nvme\n",
		       nsid, pci_name(inst->parent->host->pdev), rc);
}

/**
 * liov_ns_identify() - ask the drive what a namespace is
 * @inst: for whom; the caller holds its lock
 * @nsid: the hardware's
 * @ns:   out: Identify Namespace
 * @id:   out: what of it does not change in a namespace's life
 *
 * May sleep.  Return: 0, or a negative errno after a line in the log.
 */
int liov_ns_identify(struct liov_instance *inst, u32 nsid, struct nvme_id_ns *ns,
		     struct liov_ns_ident *id)
{
	int rc = liov_ns_get(inst, nsid, ns, id, true);

	if (!rc)
		return 0;
	liov_ns_say_failed(inst, nsid, rc);
	return rc > 0 ? -EIO : rc;
}

/**
 * liov_ns_usable() - can such a namespace be a backing?
 * @inst: for whom; the caller holds its lock
 * @bdev: the block device that was named, on that namespace
 * @id:   what it is
 *
 * Only the NVM command set is understood: in a zoned namespace each write has to be at
 * its zone's pointer, which several queues and the guard do not keep.  The guard has no
 * place for metadata: neither its buffers nor the checks of protection information.
 * Direct mode leaves them to the guest.
 *
 * Return: 0, or -EOPNOTSUPP after a line in the log.
 */
int liov_ns_usable(struct liov_instance *inst, struct block_device *bdev,
		   const struct liov_ns_ident *id)
{
	if (bdev_is_zoned(bdev)) {
		liov_open_warn(inst, "%pg is zoned; a guest gets an ordinary namespace, choose one of the NVM command set\n",
			       bdev);
		return -EOPNOTSUPP;
	}
	if (id->csi != NVME_CSI_NVM) {
		liov_open_warn(inst, "%pg has the command set %u; a guest gets an ordinary namespace, choose one of the NVM command set (0)\n",
			       bdev, id->csi);
		return -EOPNOTSUPP;
	}
	if (id->lba_shift < SECTOR_SHIFT || id->lba_shift > 16) {
		liov_open_warn(inst, "the namespace has logical blocks of 2^%u bytes; only 512 bytes to 64 KiB work\n",
			       id->lba_shift);
		return -EOPNOTSUPP;
	}
	if (!inst->mode->guard || (!id->ms && !(id->pi & NVME_NS_DPS_PI_MASK)))
		return 0;
	liov_open_warn(inst, "the namespace is formatted with %u bytes of metadata per block%s; guarded mode needs a format without (nvme format --lbaf)\n",
		       id->ms, id->pi & NVME_NS_DPS_PI_MASK ? " and protection information" : "");
	return -EOPNOTSUPP;
}

static void liov_ns_say_changed(struct liov_instance *inst, const struct liov_backing *b,
				enum liov_ns_change change, const struct liov_ns_ident *now)
{
	const char *bdf = pci_name(inst->parent->host->pdev);

	switch (change) {
	case LIOV_NS_SAME:
		break;
	case LIOV_NS_GONE:
		liov_open_warn(inst, "namespace %u of %s is gone; write the backing again\n",
			       b->nsid, bdf);
		break;
	case LIOV_NS_OTHER:
		liov_open_warn(inst, "namespace %u of %s is another one than when %s became the backing, its identifiers differ; write the backing again if it is meant\n",
			       b->nsid, bdf, b->text);
		break;
	case LIOV_NS_BLOCKS:
		liov_open_warn(inst, "namespace %u of %s has blocks of %u bytes, %u before it was formatted anew; write the backing again\n",
			       b->nsid, bdf, 1U << min_t(u8, now->lba_shift, 31),
			       1U << b->lba_shift);
		break;
	case LIOV_NS_METADATA:
		liov_open_warn(inst, "namespace %u of %s has other metadata or protection information since it was formatted anew; write the backing again\n",
			       b->nsid, bdf);
		break;
	case LIOV_NS_SIZE:
		liov_open_warn(inst, "namespace %u of %s has another size and no unique identifier, it may be another one; write the backing again if it is meant\n",
			       b->nsid, bdf);
		break;
	}
}

/* ---- what was said, and for how long it holds ---- */

/* For what may pass by itself the drive is asked again after so long, and for so long. */
#define LIOV_ASK_AGAIN_MS	1000
#define LIOV_ASK_FOR_MS		25000

/* Identify Namespace, FPI: the format runs, bit 7 that it is told; the rest is what is left. */
#define LIOV_FPI_TOLD		BIT(7)

static bool liov_ns_disk_is_dead(const struct liov_backing *b)
{
	return test_bit(GD_DEAD, &file_bdev(b->file)->bd_disk->state);
}

/**
 * liov_ns_judge() - note what the drive said of a backing's namespace
 * @inst: whose it is; the caller holds its lock
 * @b:    backing
 * @gen:  liov_parent.ns_gen before the drive was asked
 * @bdev: the block device
 * @rc:   0: it is what it was when the backing was written; or why not
 */
void liov_ns_judge(struct liov_instance *inst, struct liov_backing *b, u64 gen,
		   struct block_device *bdev, int rc)
{
	lockdep_assert_held(&inst->lock);
	b->judged = (struct liov_verdict){
		.gen	= gen,
		.block	= bdev_logical_block_size(bdev),
		.mode	= b == &inst->backing ? inst->mode : NULL,
		.at	= jiffies,
		.rc	= rc,
	};
}

/*
 * Nothing that this host knows of has happened since.  What another host did to a drive that
 * both share shows in this host's view of it, after a rescan.
 */
static bool liov_verdict_holds(const struct liov_instance *inst, const struct liov_backing *b)
{
	return b->judged.gen == READ_ONCE(inst->parent->ns_gen) && !liov_ns_disk_is_dead(b) &&
	       b->judged.block == bdev_logical_block_size(file_bdev(b->file));
}

static bool liov_verdict_is_fresh(const struct liov_backing *b)
{
	return time_before(jiffies, b->judged.at + msecs_to_jiffies(LIOV_ASK_AGAIN_MS));
}

/* No answer, as the drive or the host cannot at the moment, but it may soon. */
static bool liov_ns_may_pass(int rc)
{
	return rc == -ENOMEM || rc == -EBUSY || rc == -EINPROGRESS;
}

/*
 * Such an answer is none for a while, and the drive is not asked all the time meanwhile.
 * A format takes as long as it takes.  Returns -EAGAIN, or that it has taken too long.
 */
static int liov_ns_later(struct liov_instance *inst, int rc)
{
	struct liov_backing *b = &inst->backing;
	struct liov_verdict *v = &b->judged;
	bool was = v->later && time_before(jiffies, b->ask_at +
					   msecs_to_jiffies(LIOV_ASK_FOR_MS));

	if (!was && rc == -EINPROGRESS && inst->is_open)
		liov_guest_warn(inst, "the guest's controller waits for the end of a format of namespace %u\n",
				b->nsid);
	if (!was || rc == -EINPROGRESS)
		v->since = jiffies;
	v->later = rc == -EINPROGRESS ||
		time_before(jiffies, v->since + msecs_to_jiffies(LIOV_ASK_FOR_MS));
	b->ask_at = jiffies + msecs_to_jiffies(LIOV_ASK_AGAIN_MS);
	return v->later ? -EAGAIN : rc;
}

/*
 * Compares a backing's namespace with what it was.  A claim goes with its disk: if that is
 * dead, a disk that came after it is nobody's, even if it is the same namespace.
 */
static int liov_ns_still_there(struct liov_instance *inst, const struct liov_backing *b,
			       bool wait, struct nvme_id_ns *ns, struct liov_ns_ident *now)
{
	enum liov_ns_change change;
	int rc;

	if (liov_ns_disk_is_dead(b)) {
		liov_open_warn(inst, "the disk of namespace %u of %s is gone, and the claim on %s with it; write the backing again\n",
			       b->nsid, pci_name(inst->parent->host->pdev), b->text);
		return -ENODEV;
	}
	rc = liov_ns_get(inst, b->nsid, ns, now, wait);
	if (rc > 0 && (rc & 0x7ff) == NVME_SC_INVALID_NS) {
		rc = 0;
		memset(now, 0, sizeof(*now));
	}
	if (rc > 0)
		return rc & NVME_STATUS_DNR ? -EIO : -EBUSY;
	if (rc)
		return rc;
	/* One that a reset has cancelled may go on all the same. */
	if (ns->fpi & LIOV_FPI_TOLD && ns->fpi & ~LIOV_FPI_TOLD)
		return -EINPROGRESS;
	change = liov_ns_ident_compare(&b->ident, now);
	if (!change)
		return 0;
	liov_ns_say_changed(inst, b, change, now);
	return change == LIOV_NS_GONE ? -ENODEV : -ESTALE;
}

/* ---- an instance ---- */

/* MDTS counts in pages of CAP.MPSMIN; 0 is no limit (NVMe Base 2.0 section 5.17.2.1). */
static u32 liov_backing_max_bytes(const struct liov_parent *p)
{
	unsigned int shift = 12 + NVME_CAP_MPSMIN(p->host->cap) + p->id->mdts;

	if (!p->id->mdts || shift >= ilog2(LIOV_GUARD_MAX_BYTES))
		return LIOV_GUARD_MAX_BYTES;
	return 1U << shift;
}

/* What an instance's commands may do, by what the drive says now. */
static void liov_backing_limits(struct liov_instance *inst, const struct nvme_id_ns *ns,
				struct liov_guard *g)
{
	const struct liov_backing *b = &inst->backing;
	struct liov_parent *p = inst->parent;

	memset(g, 0, sizeof(*g));
	g->nsid = 1;
	g->hw_nsid = b->nsid;
	g->first = b->first;
	g->nlb = b->nlb;
	g->lba_shift = b->lba_shift;
	g->max_bytes = liov_backing_max_bytes(inst->parent);
	g->oncs = liov_identify_oncs(inst->parent->id, true);
	liov_identify_copy(ns, &g->max_copy, &g->max_copy_range, &g->max_copy_ranges);
	g->max_copy_ranges = min_t(u16, g->max_copy_ranges, LIOV_COPY_MAX_RANGES);
	mutex_lock(&p->hw->lock);
	liov_limits_make(g, &p->hw->cs_ctrl, 12 + NVME_CAP_MPSMIN(p->host->cap));
	mutex_unlock(&p->hw->lock);
}

/* May a command that @was let pass not pass the drive now? */
static bool liov_backing_limits_fell(const struct liov_guard *was, const struct liov_guard *now)
{
	return now->max_bytes < was->max_bytes || (was->oncs & ~now->oncs) ||
	       now->max_copy < was->max_copy || now->max_copy_range < was->max_copy_range ||
	       now->max_copy_ranges < was->max_copy_ranges || liov_limits_fell(was, now);
}

/* Asks the drive.  Firmware may have been activated.  Returns -EAGAIN or -EINTR in a reset. */
static int liov_backing_look(struct liov_instance *inst, bool wait, struct nvme_id_ns *ns)
{
	u64 gen = READ_ONCE(inst->parent->ns_gen);
	struct liov_backing *b = &inst->backing;
	struct liov_ns_ident now;
	int rc;

	rc = liov_parent_identify(inst->parent, wait);
	if (!rc)
		rc = liov_ns_still_there(inst, b, wait, ns, &now);
	if (!rc)
		rc = liov_backing_inside(inst, now.nsze);
	if (!rc)
		rc = liov_hw_keep_ns(inst, ns, wait);
	if (rc != -EAGAIN && rc != -EINTR && !liov_ns_may_pass(rc))
		liov_ns_judge(inst, b, gen, file_bdev(b->file), rc);
	return rc;
}

static void liov_backing_say_failed(struct liov_instance *inst, int rc)
{
	const char *bdf = pci_name(inst->parent->host->pdev);

	if (rc == -EINPROGRESS)
		liov_open_warn(inst, "namespace %u of %s is being formatted; try again when that is done\n",
			       inst->backing.nsid, bdf);
	else if (rc == -ENOMEM || rc == -EBUSY || rc == -EIO)
		liov_open_warn(inst, "Identify of %s and its namespace %u failed (%d); see the log of nvme\n",
			       bdf, inst->backing.nsid, rc);
}

/**
 * liov_backing_check() - is what the backing names still what it was?
 * @inst: instance that is being opened; the caller holds its lock
 *
 * Looks at the drive again, if it did not in the last second: namespace and partition may
 * have changed since the backing was written.  Fills liov_instance.guard in guarded mode.
 * May sleep.
 *
 * Return: 0, -ENODEV (the LBAs are no longer there), -ESTALE (another namespace, or in
 * another format), -EBUSY (the host is at it, or the drive is busy), -EINPROGRESS (a format
 * goes on), or what asking the drive gave.
 */
int liov_backing_check(struct liov_instance *inst)
{
	const struct nvme_id_ns *kept = inst->hw.ns;
	struct liov_backing *b = &inst->backing;
	struct nvme_id_ns *ns;
	int rc;

	lockdep_assert_held(&inst->lock);
	rc = liov_ns_wait_free(inst, b->nsid);
	/* Its mode may have changed since. */
	if (!rc)
		rc = liov_ns_usable(inst, file_bdev(b->file), &b->ident);
	if (rc)
		return rc;
	/* It may be opened and closed all day. */
	if (b->judged.later && time_before(jiffies, b->ask_at))
		return -EBUSY;
	if (liov_verdict_holds(inst, b) && b->judged.mode == inst->mode &&
	    liov_verdict_is_fresh(b))
		return b->judged.rc ?: liov_backing_inside(inst, le64_to_cpu(kept->nsze));
	ns = kzalloc(sizeof(*ns), GFP_KERNEL);
	if (!ns)
		return -ENOMEM;
	rc = liov_backing_look(inst, true, ns);
	if (liov_ns_may_pass(rc))
		liov_ns_later(inst, rc);
	if (rc)
		liov_backing_say_failed(inst, rc);
	else if (inst->mode->guard)
		liov_backing_limits(inst, ns, &inst->guard);
	kfree(ns);
	return rc;
}

/**
 * liov_backing_verify() - the same for an instance that is open
 * @inst:    open instance; the caller holds its lock
 * @running: its controller is ready
 *
 * Asks the drive only if something may have changed since the last time; where it refuses
 * or cannot say, again at most once a second.  Before CC.EN = 1 is
 * answered the limits become what the drive has now; later they are what the guest was told,
 * and a drive that has lower ones is an error.  May sleep; waits neither for a reset of the
 * host's nor for a command of its.
 *
 * Return: as liov_backing_check(); -ESTALE for the limits too; -EAGAIN or -EINTR while the
 * controller is being reset, the drive formats, or for some time when it cannot say.
 */
int liov_backing_verify(struct liov_instance *inst, bool running)
{
	struct liov_backing *b = &inst->backing;
	struct nvme_id_ns *ns;
	struct liov_guard g;
	int rc;

	lockdep_assert_held(&inst->lock);
	if (liov_verdict_holds(inst, b) && b->judged.mode == inst->mode &&
	    (b->judged.rc ? liov_verdict_is_fresh(b) : running || !b->judged.rose))
		return b->judged.rc;
	if (b->judged.later && time_before(jiffies, b->ask_at))
		return -EAGAIN;
	/* Why a guest's disk does not come up is to be read, also right after another line. */
	if (!running && !liov_guest_log_left(inst))
		return -EAGAIN;
	ns = kzalloc(sizeof(*ns), GFP_KERNEL);
	if (!ns)
		return liov_ns_later(inst, -ENOMEM);
	/* Once it is running a failure ends that; else the guest may have it again and again. */
	inst->opening = !running;
	rc = liov_backing_look(inst, false, ns);
	if (liov_ns_may_pass(rc))
		rc = liov_ns_later(inst, rc);
	if (rc && rc != -EAGAIN && rc != -EINTR)
		liov_backing_say_failed(inst, rc);
	if (rc || !inst->mode->guard)
		goto out;
	liov_backing_limits(inst, ns, &g);
	if (!running) {
		inst->guard = g;
	} else if (liov_backing_limits_fell(&inst->guard, &g)) {
		liov_open_warn(inst, "%s takes less in one command, or fewer commands, than the guest was told; the guest's driver has to reset its controller\n",
			       pci_name(inst->parent->host->pdev));
		/* Then with the new ones. */
		b->judged.gen = 0;
		rc = -ESTALE;
	} else {
		b->judged.rose = memcmp(&g, &inst->guard, sizeof(g));
	}
out:
	inst->opening = false;
	kfree(ns);
	return rc;
}

/**
 * liov_backing_recheck() - before CC.EN = 1 is answered
 * @inst: open instance, not ready; the caller holds its lock
 *
 * May sleep.
 *
 * Return: 0; -EAGAIN while the host formats or deletes the namespace, or resets the
 * controller; or why the controller must not become ready, which is in the log.
 */
int liov_backing_recheck(struct liov_instance *inst)
{
	int rc;

	lockdep_assert_held(&inst->lock);
	if (!liov_ns_is_free(inst))
		return -EAGAIN;
	rc = liov_backing_verify(inst, false);
	if (rc)
		return rc == -EINTR ? -EAGAIN : rc;
	if (inst->features.vwc != inst->parent->vwc) {
		inst->features.vwc = inst->parent->vwc;
		liov_features_reset(&inst->features);
	}
	return 0;
}
