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
 * task.  So the callback sets TIF_NOTIFY_RESUME of the task, which does nothing but
 * have resume_user_mode_work() called before the task is in user mode again, and
 * that begins by clearing the flag: as long as the flag is set the ioctl may be
 * under way, and once it has been seen clear, it is over.  If somebody else has set
 * the flag meanwhile, that takes until the task's next return to user mode.
 *
 * Hence the bound.  Pins are made under liov_instance.lock, liov_mem.lock or
 * liov_gmem.lock.  The callback leaves the mark before it takes these: a pin that
 * did not see the mark was made before the callback looked what is pinned, and is
 * taken back by it.  So from the end of an instance's callback until the ioctl is
 * over the instance has no pin in the range, however long other instances need
 * for theirs and whatever the scheduler does.  When type1 has been at every device
 * once, none of ours has one: there is no second time.
 *
 * iommufd needs none of this: it refuses pins of a range that it unmaps.
 *
 * liov_unmap.lock is a leaf.  Any context that may take a spinlock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/sched.h>
#include <linux/sched/task.h>

#include "lightiov.h"

/*
 * User space that lays a guest's memory out anew, for a firmware or at the will of a
 * vIOMMU, takes all of it away and gives it back.  What is not there so long after
 * the last piece went is not there.
 */
#define LIOV_BACK_MS		300

/**
 * liov_unmap_init() - prepare the record; once, at creation
 * @inst: instance
 */
void liov_unmap_init(struct liov_instance *inst)
{
	spin_lock_init(&inst->unmap.lock);
}

/* Is @task still inside the ioctl in which it was marked? */
static bool liov_unmapper_is_in(struct task_struct *task)
{
	return test_tsk_thread_flag(task, TIF_NOTIFY_RESUME) &&
	       !(READ_ONCE(task->flags) & PF_EXITING);
}

static void liov_unmap_note(struct liov_unmap *u)
{
	u->any = true;
	u->back_until = jiffies + msecs_to_jiffies(LIOV_BACK_MS);
}

/* Forgets who is done. */
static void liov_unmap_prune(struct liov_unmap *u)
{
	unsigned int i = 0;

	lockdep_assert_held(&u->lock);
	while (i < u->nr) {
		struct liov_unmapper *by = &u->by[i];

		if (liov_unmapper_is_in(by->task)) {
			i++;
			continue;
		}
		put_task_struct(by->task);
		*by = u->by[u->nr - 1];
		WRITE_ONCE(u->nr, u->nr - 1);
		liov_unmap_note(u);
	}
}

/* Marks the task that calls.  Returns whether it called for this range before. */
static bool liov_unmap_mark(struct liov_unmap *u, u64 iova, u64 len)
{
	struct liov_unmapper *by;
	bool again = false;

	lockdep_assert_held(&u->lock);
	for (by = u->by; by < u->by + u->nr; by++) {
		if (by->task == current) {
			again = by->iova == iova && by->len == len;
			goto found;
		}
	}
	if (u->nr == LIOV_UNMAPPERS) {
		u->too_many = true;
		return false;
	}
	by->task = get_task_struct(current);
	WRITE_ONCE(u->nr, u->nr + 1);
found:
	by->iova = iova;
	by->len = len;
	set_thread_flag(TIF_NOTIFY_RESUME);
	return again;
}

/**
 * liov_unmap_begin() - VFIO takes memory away: no pin until it is done
 * @inst: instance
 * @iova: guest-physical start
 * @len:  bytes
 *
 * The first thing in VFIO's dma_unmap callback, before any lock that a pin is made
 * under.  Pins already made stay; the caller then takes them back.
 */
void liov_unmap_begin(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_unmap *u = &inst->unmap;
	bool told;

	spin_lock(&u->lock);
	told = u->too_many;
	liov_unmap_prune(u);
	u->calls++;
	if (!inst->vdev.iommufd_access && liov_unmap_mark(u, iova, len))
		u->repeats++;
	liov_unmap_note(u);
	told |= !u->too_many;
	spin_unlock(&u->lock);
	if (!told)
		liov_guest_warn(inst, "lightiov: more than %u threads unmap memory at once; nothing is pinned until the device was closed\n",
				LIOV_UNMAPPERS);
}

/**
 * liov_unmap_running() - is memory being taken away?
 * @inst: instance; the caller holds the lock that its pins are made under
 *
 * Return: true if nothing may be pinned.
 */
bool liov_unmap_running(struct liov_instance *inst)
{
	struct liov_unmap *u = &inst->unmap;
	bool running;

	if (likely(!READ_ONCE(u->nr)))
		return READ_ONCE(u->too_many);
	spin_lock(&u->lock);
	liov_unmap_prune(u);
	running = u->nr || u->too_many;
	spin_unlock(&u->lock);
	return running;
}

/**
 * liov_unmap_recent() - may memory that is missing be back soon?
 * @inst: instance
 *
 * Return: whether some went a moment ago.
 */
bool liov_unmap_recent(struct liov_instance *inst)
{
	struct liov_unmap *u = &inst->unmap;
	bool recent;

	spin_lock(&u->lock);
	recent = u->any && time_before(jiffies, u->back_until);
	spin_unlock(&u->lock);
	return recent;
}

/**
 * liov_unmap_open() - the device is opened
 * @inst: instance
 *
 * Marks stay: the container it was in before may be the one that it is in again.
 */
void liov_unmap_open(struct liov_instance *inst)
{
	struct liov_unmap *u = &inst->unmap;

	spin_lock(&u->lock);
	liov_unmap_prune(u);
	WRITE_ONCE(u->too_many, false);
	u->any = false;
	spin_unlock(&u->lock);
}

/**
 * liov_unmap_free() - the instance goes
 * @inst: instance that nobody can open or pin for any more
 */
void liov_unmap_free(struct liov_instance *inst)
{
	struct liov_unmap *u = &inst->unmap;

	while (u->nr)
		put_task_struct(u->by[--u->nr].task);
}
