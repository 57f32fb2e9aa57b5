// SPDX-License-Identifier: GPL-2.0
/*
 * What an instance stores on: a namespace, a partition or a range of LBAs.
 *
 * Owns struct liov_backing, the claim on the block device and the list of the
 * controller's backings, none of which overlap.  What the drive says of a namespace:
 * nscheck.c; what the host does to one: nswatch.c.  Called by sysfs.c, instance.c, the
 * modes, reset.c and nswatch.c.
 *
 * Two things keep others out.  The block layer's exclusive open keeps the host
 * out: what is mounted or otherwise held cannot be claimed, and what is claimed
 * cannot be mounted.  All instances of a controller claim as one holder, the
 * parent, since they may share a device; liov_parent.backings keeps them apart.
 * A range lying in one partition claims that partition only, so that the host
 * can use the others.
 *
 * liov_instance.lock is held around all but liov_backing_put(), which the driver
 * core serialises; pool_lock inside it, for the list only: opening a block
 * device may wait for a controller reset, whose hooks take pool_lock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "controller/controller.h"

/*
 * Not for writing, though the guest will write: RESTRICT_WRITES keeps writing
 * openers of the host out where the kernel can (bdev_allow_write_mounted=0),
 * and would keep our own second claim out too if that were one.
 */
#define LIOV_CLAIM_MODE		(BLK_OPEN_READ | BLK_OPEN_RESTRICT_WRITES)

/* ---- the block layer's side ---- */

/* The partition of @whole that all of @b lies in, or @whole's own number. */
static dev_t liov_backing_find_part(struct block_device *whole, const struct liov_backing *b)
{
	unsigned int shift = b->lba_shift - SECTOR_SHIFT;
	dev_t dev = whole->bd_dev;
	struct block_device *part;
	struct liov_extent ext;
	unsigned long i;

	/* Block devices are freed after a grace period; the claim looks again. */
	rcu_read_lock();
	xa_for_each_start(&whole->bd_disk->part_tbl, i, part, 1) {
		ext.first = get_start_sect(part);
		ext.nlb = bdev_nr_sectors(part);
		if (ext.nlb && liov_extent_has(&ext, b->first << shift, b->nlb << shift)) {
			dev = part->bd_dev;
			break;
		}
	}
	rcu_read_unlock();
	return dev;
}

/*
 * The partition or, if that is impossible because the whole namespace is
 * claimed already by another instance of this controller, the namespace too.
 * The latter succeeds only if nobody but us holds any of it.
 */
static struct file *liov_backing_open(struct liov_parent *p, dev_t dev, dev_t whole)
{
	struct file *file = bdev_file_open_by_dev(dev, LIOV_CLAIM_MODE, p, &liov_watch_holder);

	if (file == ERR_PTR(-EBUSY) && dev != whole)
		file = bdev_file_open_by_dev(whole, LIOV_CLAIM_MODE, p, &liov_watch_holder);
	return file;
}

static void liov_backing_say_busy(struct liov_instance *inst, const struct liov_backing *b,
				  bool ranged, bool whole)
{
	if (!ranged)
		liov_warn(inst, "cannot claim %s (%d): it or a part of it is mounted or in use; release it first\n",
			  b->text, -EBUSY);
	else if (whole)
		liov_warn(inst, "cannot claim %s (%d): no partition holds that range, and the namespace or a partition of it is in use; make a partition over the range\n",
			  b->text, -EBUSY);
	else
		liov_warn(inst, "cannot claim %s (%d): the partition it lies in is mounted or in use; release it first\n",
			  b->text, -EBUSY);
}

static int liov_backing_claim(struct liov_instance *inst, struct liov_backing *b,
			      struct block_device *bdev, bool ranged, u64 nsze)
{
	struct block_device *whole = bdev_whole(bdev), *claimed;
	dev_t dev = bdev->bd_dev;
	struct liov_extent ext;
	struct file *file;
	int rc;

	if (ranged && bdev == whole)
		dev = liov_backing_find_part(whole, b);
	file = liov_backing_open(inst->parent, dev, whole->bd_dev);
	if (IS_ERR(file)) {
		rc = PTR_ERR(file);
		if (rc == -EBUSY)
			liov_backing_say_busy(inst, b, ranged, dev == whole->bd_dev);
		else
			liov_warn(inst, "cannot claim %s (%d)\n", b->text, rc);
		return rc;
	}
	claimed = file_bdev(file);
	if (bdev_read_only(claimed)) {
		liov_warn(inst, "%s is read-only; a guest needs to write\n",
			  b->text);
		rc = -EROFS;
		goto err;
	}
	/* Partitions can be moved until they are claimed. */
	rc = liov_extent_of(inst, claimed, b->lba_shift, nsze, &ext);
	if (rc)
		goto err;
	if (!liov_extent_has(&ext, b->first, b->nlb)) {
		liov_warn(inst, "the partition table of %s changed meanwhile; write the backing again\n",
			  b->text);
		rc = -EAGAIN;
		goto err;
	}
	b->file = file;
	b->whole = claimed == bdev_whole(claimed) && !b->first && b->nlb == nsze;
	return 0;

err:
	bdev_fput(file);
	return rc;
}

/* ---- the other instances ---- */

/*
 * Controllers of one NVM subsystem share namespaces.  Numbers of those that are one
 * controller's own need not be unique in it; then their names tell them apart.
 */
static bool liov_backing_same_ns(const struct liov_backing *a, const struct liov_backing *b,
				 bool siblings)
{
	return a->nsid == b->nsid &&
	       (!siblings || !liov_ns_ident_differs(&a->ident, &b->ident));
}

/* Does another instance of @p store on LBAs of @b, which is for @inst?  Says so. */
static int liov_backing_overlap(struct liov_instance *inst, const struct liov_backing *b,
				struct liov_parent *p)
{
	struct liov_backing *other;

	lockdep_assert_held(&p->pool_lock);
	list_for_each_entry(other, &p->backings, node) {
		struct liov_instance *owner = container_of(other, struct liov_instance, backing);

		if (owner == inst || !liov_backing_same_ns(other, b, p != inst->parent) ||
		    other->first >= b->first + b->nlb || b->first >= other->first + other->nlb)
			continue;
		liov_warn(inst, "LBAs %llu to %llu of namespace %u belong to %s, which stores on %s; choose others or release those\n",
			  other->first, other->first + other->nlb - 1, other->nsid,
			  dev_name(liov_dev(owner)), other->text);
		return -EBUSY;
	}
	return 0;
}

/* The other controllers of the subsystem, where a claim meets no claim of theirs. */
static int liov_backing_overlap_siblings(struct liov_instance *inst, const struct liov_backing *b)
{
	struct liov_parent *p = NULL;
	int rc = 0;

	while (!rc && (p = liov_watch_sibling(inst->parent, p))) {
		mutex_lock(&p->pool_lock);
		rc = liov_backing_overlap(inst, b, p);
		mutex_unlock(&p->pool_lock);
	}
	return rc;
}

/* As above, before the claim: its error would not name the other instance. */
static int liov_backing_check_overlap(struct liov_instance *inst, const struct liov_backing *b)
{
	int rc;

	mutex_lock(&inst->parent->pool_lock);
	rc = liov_backing_overlap(inst, b, inst->parent);
	mutex_unlock(&inst->parent->pool_lock);
	return rc;
}

/*
 * Makes @b the instance's backing, if still nobody else has its LBAs.  The
 * former one's file and text are left to the caller, in @old.
 */
static int liov_backing_commit(struct liov_instance *inst, const struct liov_backing *b,
			       struct liov_backing *old)
{
	struct liov_parent *p = inst->parent;
	int rc;

	/* One commit at a time in the subsystem. */
	liov_watch_lock();
	rc = liov_backing_overlap_siblings(inst, b);
	mutex_lock(&p->pool_lock);
	if (!rc)
		rc = liov_backing_overlap(inst, b, p);
	if (!rc) {
		*old = inst->backing;
		if (old->file)
			list_del(&inst->backing.node);
		inst->backing = *b;
		list_add_tail(&inst->backing.node, &p->backings);
	}
	mutex_unlock(&p->pool_lock);
	liov_watch_unlock();
	return rc;
}

static void liov_backing_drop(struct liov_backing *b)
{
	if (b->file)
		bdev_fput(b->file);
	kfree(b->text);
	memset(b, 0, sizeof(*b));
}

/* ---- from text to a claim ---- */

static void liov_backing_say_open(struct liov_instance *inst, const char *path, int rc)
{
	liov_warn(inst, "cannot open %s (%d)%s\n", path, rc,
		  rc == -ENOENT ? "; no such device (a range is written PATH:start+count)" :
		  rc == -ENOTBLK ? "; not a block device" : "");
}

static void liov_backing_say_nsid(struct liov_instance *inst, const char *path, int rc)
{
	const char *ctrl = pci_name(inst->parent->host->pdev);

	if (rc == -EINVAL)
		liov_warn(inst, "%s is neither a namespace of %s nor a partition of one\n",
			  path, ctrl);
	else if (rc == -EAGAIN)
		liov_warn(inst, "no path to %s works at the moment (is %s being reset?); write the backing again\n",
			  path, ctrl);
	else
		liov_warn(inst, "nvme does not say which namespace %s is (%d); write the backing again\n",
			  path, rc);
}

/* The blocks of @b, of the device's @ext and as far as @range says. */
static int liov_backing_take_range(struct liov_instance *inst, struct liov_backing *b,
				   const char *path, const struct liov_range *range,
				   const struct liov_extent *ext)
{
	u64 nsze = b->ident.nsze;

	b->first = ext->first;
	b->nlb = ext->nlb;
	if (range->given) {
		if (!range->count || range->start > ext->nlb ||
		    range->count > ext->nlb - range->start) {
			liov_warn(inst, "%llu+%llu is not inside %s, which has %llu logical blocks of %u bytes\n",
				  range->start, range->count, path, ext->nlb, 1U << b->lba_shift);
			return -ERANGE;
		}
		b->first += range->start;
		b->nlb = range->count;
	}
	if (!b->nlb || b->first > nsze || b->nlb > nsze - b->first) {
		liov_warn(inst, "%s is empty or reaches beyond its namespace of %llu logical blocks\n",
			  path, nsze);
		return -ERANGE;
	}
	return 0;
}

/* Fills @b, whose text is there, and claims; @ns is for Identify. */
static int liov_backing_make(struct liov_instance *inst, struct liov_backing *b,
			     const char *path, const struct liov_range *range,
			     struct nvme_id_ns *ns)
{
	struct block_device *bdev;
	struct liov_extent ext;
	struct file *probe;
	int rc;

	probe = bdev_file_open_by_path(path, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(probe)) {
		liov_backing_say_open(inst, path, PTR_ERR(probe));
		return PTR_ERR(probe);
	}
	bdev = file_bdev(probe);
	rc = liov_host_nsid_of(inst->parent->host, bdev, &b->nsid);
	if (rc) {
		liov_backing_say_nsid(inst, path, rc);
		goto out;
	}
	liov_ns_judge(inst, b, READ_ONCE(inst->parent->ns_gen), bdev, 0);
	rc = liov_ns_wait_free(inst, b->nsid);
	if (!rc)
		rc = liov_ns_identify(inst, b->nsid, ns, &b->ident);
	if (!rc)
		rc = liov_ns_usable(inst, bdev, &b->ident);
	if (rc)
		goto out;
	b->lba_shift = b->ident.lba_shift;
	rc = liov_extent_of(inst, bdev, b->lba_shift, b->ident.nsze, &ext);
	if (!rc)
		rc = liov_backing_take_range(inst, b, path, range, &ext);
	if (!rc)
		rc = liov_backing_check_overlap(inst, b);
	if (!rc)
		rc = liov_backing_claim(inst, b, bdev, range->given, b->ident.nsze);
out:
	bdev_fput(probe);
	return rc;
}

/* ---- a running guest ---- */

/*
 * The guest's namespace becomes larger or smaller at its end.  No command may
 * reach LBAs that are no longer the instance's: those accepted by the old size
 * are waited for before the claim goes.
 */
static int liov_backing_resize(struct liov_instance *inst, struct liov_backing *b, bool shrink)
{
	u64 nlb = inst->backing.nlb;
	struct liov_backing old = {};
	int rc;

	if (b->nsid != inst->backing.nsid || b->first != inst->backing.first ||
	    b->lba_shift != inst->backing.lba_shift ||
	    liov_ns_ident_compare(&inst->backing.ident, &b->ident)) {
		liov_warn(inst, "while a VM uses this device its backing may change at the end only, and %s does not begin where %s does\n",
			  b->text, inst->backing.text);
		return -EBUSY;
	}
	if (b->nlb < nlb && !shrink) {
		liov_warn(inst, "%s takes %llu logical blocks from a running guest, with what is stored there; write \"%s shrink\" if that is meant\n",
			  b->text, nlb - b->nlb, b->text);
		return -EPERM;
	}
	if (b->nlb < nlb) {
		WRITE_ONCE(inst->guard.nlb, b->nlb);
		/* What was in flight at a reset is better done than given up. */
		liov_resume_now(inst);
		rc = inst->mode->drain(inst);
		if (rc) {
			WRITE_ONCE(inst->guard.nlb, nlb);
			liov_warn(inst, "the guest's commands did not end in time (%d); its size stays, try again\n",
				  rc);
			return rc;
		}
	}
	rc = liov_backing_commit(inst, b, &old);
	if (rc) {
		WRITE_ONCE(inst->guard.nlb, nlb);
		return rc;
	}
	WRITE_ONCE(inst->guard.nlb, b->nlb);
	liov_backing_drop(&old);
	if (b->nlb != nlb) {
		liov_info(inst, "resized from %llu to %llu logical blocks\n",
			  nlb, b->nlb);
		inst->log->changed_ns = inst->guard.nsid;
		liov_admin_event(inst, LIOV_EVENT_NS_ATTR);
	}
	return 0;
}

static int liov_backing_change(struct liov_instance *inst, const char *text)
{
	struct liov_backing b = {}, old = {};
	struct liov_range range;
	struct nvme_id_ns *ns;
	bool shrink;
	char *copy;
	int rc;

	lockdep_assert_held(&inst->lock);
	copy = kstrdup(text, GFP_KERNEL);
	ns = kzalloc(sizeof(*ns), GFP_KERNEL);
	rc = -ENOMEM;
	if (!copy || !ns)
		goto out;
	shrink = liov_range_confirmed(copy);
	b.text = kstrdup(copy, GFP_KERNEL);
	if (!b.text)
		goto out;
	if (!liov_range_parse(copy, &range)) {
		liov_warn(inst, "%s has a number beyond 64 bits\n", b.text);
		rc = -ERANGE;
		goto out;
	}
	rc = liov_backing_make(inst, &b, copy, &range, ns);
	if (rc)
		goto out;
	if (inst->is_open)
		rc = liov_backing_resize(inst, &b, shrink);
	else
		rc = liov_backing_commit(inst, &b, &old);
	if (rc)
		goto out;
	liov_backing_drop(&old);
	/* It belongs to the instance now. */
	memset(&b, 0, sizeof(b));
out:
	liov_backing_drop(&b);
	kfree(ns);
	kfree(copy);
	return rc;
}

/**
 * liov_backing_set() - give an instance what it stores on
 * @inst: instance
 * @text: path of a block device, or PATH:start+count; an empty string releases
 *        the present one.  No blanks around it
 *
 * While the instance is open in a mode that can wait for commands this resizes it: the first LBA
 * stays, and less needs the word "shrink" after the path.  May sleep, also for
 * as long as a controller reset takes.
 *
 * Return: 0, -EBUSY (open, held by others or overlapping another instance),
 * -EINVAL (not on a namespace of this controller), -ERANGE (not inside the
 * device), -EOPNOTSUPP (a format with metadata, a zoned namespace), -EROFS, -EPERM (shrinking was
 * not confirmed), -ETIMEDOUT (shrinking: commands did not end), or what opening
 * the device or asking the drive gave.  The reason is in the log; the former
 * backing is still there.
 */
int liov_backing_set(struct liov_instance *inst, const char *text)
{
	int rc = 0;

	mutex_lock(&inst->lock);
	if (inst->is_open && (!*text || !inst->mode->drain)) {
		liov_warn(inst, "the backing cannot be %s while a VM uses this device\n",
			  *text ? "changed" : "released");
		rc = -EBUSY;
	} else if (!*text) {
		liov_backing_put(inst);
	} else {
		rc = liov_backing_change(inst, text);
	}
	mutex_unlock(&inst->lock);
	return rc;
}

/**
 * liov_backing_put() - release what an instance stores on, if anything
 * @inst: instance, not open
 *
 * May sleep.
 */
void liov_backing_put(struct liov_instance *inst)
{
	struct liov_backing old;

	mutex_lock(&inst->parent->pool_lock);
	old = inst->backing;
	if (old.file)
		list_del(&inst->backing.node);
	memset(&inst->backing, 0, sizeof(inst->backing));
	mutex_unlock(&inst->parent->pool_lock);
	liov_backing_drop(&old);
}

