// SPDX-License-Identifier: GPL-2.0
/*
 * Who is taking guest memory away from an instance just now.
 *
 * Owns the record of tasks that are inside VFIO's unmap, struct liov_unmap.  As
 * long as there is one, nothing is pinned: liov_pin() asks here.
 *
 * type1 (vfio_dma_do_unmap()) calls dma_unmap of every device of the container,
 * looks whether any page of the range is still pinned, begins again if so, and
 * at the eleventh time takes the host down.  Nothing tells a driver that it is
 * done.  But all of it is one ioctl of one task, and our callback runs in that
 * task.  So the callback drops the last reference to a file of ours: the kernel
 * releases a file when the task that dropped it returns to user mode, or ends, and
 * not before (fput(), a task work).  The release is the end of the ioctl.
 *
 * Hence the bound.  Pins are made under liov_instance.lock, liov_mem.lock or
 * liov_gmem.lock.  The callback leaves the mark before it takes these: a pin that
 * did not see the mark was made before the callback looked what is pinned, and is
 * taken back by it.  So from the end of an instance's callback until the ioctl is
 * over the instance has no pin in the range, however long other instances need
 * for theirs and whatever the scheduler does.  When type1 has been at every device
 * once, none of ours has one: there is no second time.
 *
 * The files are made when the device is opened, and made anew when one was used:
 * the callback itself needs no memory, unless more tasks are inside than files are
 * left.
 *
 * iommufd needs none of this: it refuses pins of a range that it unmaps.
 *
 * liov_unmap.lock is a leaf.  The record outlives the instance where a task is
 * inside meanwhile.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "memory/memory.h"

/*
 * User space that lays a guest's memory out anew, for a firmware or at the will of a
 * vIOMMU, takes all of it away and gives it back.  What is not there so long after
 * the last piece went is not there.
 */
#define LIOV_BACK_MS		300

/* Kept ready: type1 lets about so many tasks of one container be inside at once. */
#define LIOV_UNMAPPERS		2

/**
 * struct liov_unmapper - what will tell that a task is out of the ioctl
 * @u:      record, referenced
 * @node:   liov_unmap.spare or liov_unmap.inside
 * @file:   its release tells; one reference, which the task drops
 * @task:   NULL while it is spare; else only to be compared
 * @iova:   what the task called for last
 * @len:    so many bytes
 */
struct liov_unmapper {
	struct liov_unmap	*u;
	struct list_head	node;
	struct file		*file;
	struct task_struct	*task;
	u64			iova;
	u64			len;
};

static void liov_unmap_destroy(struct kref *ref)
{
	kfree(container_of(ref, struct liov_unmap, ref));
}

static void liov_unmap_note(struct liov_unmap *u)
{
	lockdep_assert_held(&u->lock);
	u->any = true;
	u->back_until = jiffies + msecs_to_jiffies(LIOV_BACK_MS);
}

/* The task is out; or one that was never needed goes. */
static int liov_unmap_release(struct inode *inode, struct file *file)
{
	struct liov_unmapper *by = file->private_data;
	struct liov_unmap *u = by->u;

	if (by->task) {
		spin_lock(&u->lock);
		list_del(&by->node);
		WRITE_ONCE(u->nr, u->nr - 1);
		liov_unmap_note(u);
		spin_unlock(&u->lock);
	}
	kfree(by);
	kref_put(&u->ref, liov_unmap_destroy);
	return 0;
}

static const struct file_operations liov_unmap_fops = {
	.owner	 = THIS_MODULE,
	.release = liov_unmap_release,
};

/*
 * Makes spares until there are enough, while the device is open.  May sleep.  Returns 0 or a
 * negative errno.
 */
static int liov_unmap_provide(struct liov_unmap *u)
{
	struct liov_unmapper *by;
	struct file *file;

	while (READ_ONCE(u->open) && READ_ONCE(u->nr_spare) < LIOV_UNMAPPERS) {
		by = kzalloc(sizeof(*by), GFP_KERNEL_ACCOUNT);
		if (!by)
			return -ENOMEM;
		by->u = u;
		file = anon_inode_getfile("[lightiov-unmap]", &liov_unmap_fops, by, 0);
		if (IS_ERR(file)) {
			kfree(by);
			return PTR_ERR(file);
		}
		kref_get(&u->ref);
		by->file = file;
		spin_lock(&u->lock);
		if (u->open) {
			list_add(&by->node, &u->spare);
			WRITE_ONCE(u->nr_spare, u->nr_spare + 1);
			file = NULL;
		}
		spin_unlock(&u->lock);
		if (file)
			fput(file);
	}
	return 0;
}

/**
 * liov_unmap_init() - make the record; once, at creation
 * @inst: instance
 *
 * Return: 0 or -ENOMEM.
 */
int liov_unmap_init(struct liov_instance *inst)
{
	struct liov_unmap *u = kzalloc(sizeof(*u), GFP_KERNEL_ACCOUNT);

	if (!u)
		return -ENOMEM;
	kref_init(&u->ref);
	spin_lock_init(&u->lock);
	INIT_LIST_HEAD(&u->spare);
	INIT_LIST_HEAD(&u->inside);
	liov_memory(inst)->unmap = u;
	return 0;
}

/**
 * liov_unmap_free() - the instance goes
 * @inst: instance that nobody can open any more
 */
void liov_unmap_free(struct liov_instance *inst)
{
	if (liov_memory(inst)->unmap)
		kref_put(&liov_memory(inst)->unmap->ref, liov_unmap_destroy);
}

/**
 * liov_unmap_open() - the device is opened
 * @inst: instance
 *
 * Marks stay: the container it was in before may be the one that it is in again.
 * May sleep.
 *
 * Return: 0 or a negative errno: no memory, or too many files are open.
 */
int liov_unmap_open(struct liov_instance *inst)
{
	struct liov_unmap *u = liov_memory(inst)->unmap;
	int rc;

	spin_lock(&u->lock);
	WRITE_ONCE(u->open, true);
	WRITE_ONCE(u->blind, false);
	u->any = false;
	spin_unlock(&u->lock);
	rc = liov_unmap_provide(u);
	if (rc)
		liov_guest_warn(inst, "cannot be opened for want of memory or of open files (%d); see fs.file-max\n",
				rc);
	return rc;
}

/**
 * liov_unmap_close() - the device was closed, or could not be opened
 * @inst: instance that pins nothing any more
 *
 * Marks stay here as well.
 */
void liov_unmap_close(struct liov_instance *inst)
{
	struct liov_unmap *u = liov_memory(inst)->unmap;
	struct liov_unmapper *by;

	for (;;) {
		spin_lock(&u->lock);
		WRITE_ONCE(u->open, false);
		by = list_first_entry_or_null(&u->spare, struct liov_unmapper, node);
		if (by) {
			list_del(&by->node);
			WRITE_ONCE(u->nr_spare, u->nr_spare - 1);
		}
		spin_unlock(&u->lock);
		if (!by)
			return;
		fput(by->file);
	}
}

/*
 * Marks the task that calls.  Returns the file that it has to drop, if it is to drop one;
 * *@again: it called for this range before.
 */
static struct file *liov_unmap_mark(struct liov_unmap *u, u64 iova, u64 len, bool *again)
{
	struct liov_unmapper *by;
	struct file *file = NULL;

	lockdep_assert_held(&u->lock);
	list_for_each_entry(by, &u->inside, node) {
		if (by->task == current) {
			*again = by->iova == iova && by->len == len;
			goto found;
		}
	}
	by = list_first_entry_or_null(&u->spare, struct liov_unmapper, node);
	if (!by) {
		WRITE_ONCE(u->blind, true);
		return NULL;
	}
	list_move(&by->node, &u->inside);
	WRITE_ONCE(u->nr_spare, u->nr_spare - 1);
	WRITE_ONCE(u->nr, u->nr + 1);
	by->task = current;
	file = by->file;
found:
	by->iova = iova;
	by->len = len;
	return file;
}

/**
 * liov_unmap_begin() - VFIO takes memory away: no pin until it is done
 * @inst: instance
 * @iova: guest-physical start
 * @len:  bytes
 *
 * The first thing in VFIO's dma_unmap callback, before any lock that a pin is made
 * under.  Pins already made stay; the caller then takes them back.  May sleep.
 */
void liov_unmap_begin(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_unmap *u = liov_memory(inst)->unmap;
	struct file *file = NULL;
	bool again = false, blind;

	if (!liov_memory(inst)->vdev.iommufd_access && !READ_ONCE(u->nr_spare))
		liov_unmap_provide(u);
	spin_lock(&u->lock);
	blind = u->blind;
	liov_unmap_note(u);
	if (!liov_memory(inst)->vdev.iommufd_access)
		file = liov_unmap_mark(u, iova, len, &again);
	liov_memory(inst)->unmaps++;
	liov_memory(inst)->unmap_repeats += again;
	blind = u->blind && !blind;
	spin_unlock(&u->lock);
	if (blind)
		liov_guest_warn(inst, "no memory to see an unmap end; nothing is pinned until the device was closed\n");
	if (!file)
		return;
	/* Released when this task returns to user mode. */
	fput(file);
	/* For the next one, while there is time. */
	liov_unmap_provide(u);
}

/**
 * liov_unmap_running() - is memory being taken away?
 * @inst: instance; the caller holds the lock that its pins are made under
 *
 * Return: true if nothing may be pinned.
 */
bool liov_unmap_running(struct liov_instance *inst)
{
	struct liov_unmap *u = liov_memory(inst)->unmap;

	return READ_ONCE(u->nr) || READ_ONCE(u->blind);
}

/**
 * liov_unmap_recent() - may memory that is missing be back soon?
 * @inst: instance
 *
 * Return: whether some went a moment ago.
 */
bool liov_unmap_recent(struct liov_instance *inst)
{
	struct liov_unmap *u = liov_memory(inst)->unmap;
	bool recent;

	spin_lock(&u->lock);
	recent = u->any && time_before(jiffies, u->back_until);
	spin_unlock(&u->lock);
	return recent;
}
