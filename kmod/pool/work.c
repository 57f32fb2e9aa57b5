// SPDX-License-Identifier: GPL-2.0
/*
 * The work queue of an instance.
 *
 * Owns liov_instance.wq, and nothing of what is queued there: each work item belongs to
 * its file, which also cancels it.  Most work of an instance may sleep for long: for a
 * reset of the host's, for an admin command, for pins, for vCPUs.  A queue for all
 * instances has an end of its workers, and then the sleepers of some tenants keep the
 * work of all the others waiting.  An instance has fewer work items than one queue has
 * workers, so nothing in its own queue waits for anything else in it.
 *
 * What a guest makes most of, and without end, is not done here but by a thread of its own:
 * worker.c.  Admin commands are, which it can have no more than a turn of at a time.
 * No WQ_MEM_RECLAIM: no reset hook waits for a work item of ours, nor does any I/O of the
 * host's, and a rescuer would be a thread for each instance.
 *
 * Made at the first open, so that instances nobody uses cost nothing; it goes with the
 * instance.
 *
 * Also owns liov_instance.memcg, the memory cgroup of who opened the device.  A worker has
 * none, and much of what a guest needs is allocated by one: inside liov_charge_begin() and
 * liov_charge_end() it is charged as if its user had done it.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "pool/pool.h"

/* A queue's name has 31 characters: no room for more than the end of a UUID. */
#define LIOV_WQ_NAME_SKIP	(UUID_STRING_LEN - 22)

/**
 * liov_work_open() - an instance is about to be opened
 * @inst: instance; opens of it are serialised by VFIO
 *
 * May sleep; no lock of ours is held, as this takes the CPU hotplug lock.
 *
 * Return: 0 or -ENOMEM.
 */
int liov_work_open(struct liov_instance *inst)
{
	struct workqueue_struct *wq;

	if (liov_env(inst)->wq)
		return 0;
	wq = alloc_workqueue("lightiov-%s", WQ_UNBOUND, 0,
			     dev_name(liov_dev(inst)) + LIOV_WQ_NAME_SKIP);
	if (!wq) {
		liov_guest_warn(inst, "no memory for a work queue; try again when the host has some\n");
		return -ENOMEM;
	}
	/* Reset hooks look at it at any time. */
	smp_store_release(&liov_env(inst)->wq, wq);
	return 0;
}

/**
 * liov_charge_open() - the device is opened: remember who pays
 * @inst: instance; the caller holds its lock
 *
 * In a thread of the user's.
 */
void liov_charge_open(struct liov_instance *inst)
{
	lockdep_assert_held(&liov_env(inst)->lock);
	liov_env(inst)->memcg = get_mem_cgroup_from_mm(current->mm);
}

/**
 * liov_charge_close() - the device was closed
 * @inst: instance; the caller holds its lock, and no work runs that does not take it
 */
void liov_charge_close(struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);

	lockdep_assert_held(&env->lock);
	mem_cgroup_put(env->memcg);
	env->memcg = NULL;
}

/**
 * liov_charge_begin() - what is allocated from here on is the user's
 * @inst: instance that is open, or whose lock the caller holds
 *
 * For work items, and jobs that one of them does; a thread of the user's pays by itself.
 *
 * Return: for liov_charge_end().
 */
struct mem_cgroup *liov_charge_begin(struct liov_instance *inst)
{
	return set_active_memcg(liov_env(inst)->memcg);
}

/**
 * liov_charge_end() - undo liov_charge_begin()
 * @old: what that returned
 */
void liov_charge_end(struct mem_cgroup *old)
{
	set_active_memcg(old);
}

/**
 * liov_work_free() - the instance goes
 * @inst: instance nobody uses any more; its delayed work is cancelled
 *
 * What is queued runs before.  May sleep.
 */
void liov_work_free(struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);

	if (env->wq)
		destroy_workqueue(env->wq);
	env->wq = NULL;
}

/* NULL before the first open. */
static struct workqueue_struct *liov_wq_of(struct liov_instance *inst)
{
	/* All of the queue before its address; pairs with the store when it is made. */
	return smp_load_acquire(&liov_env(inst)->wq);
}

/**
 * liov_queue_work() - queue work of an instance
 * @inst: instance; before its first open nothing happens, as there is nobody to work for
 * @work: work item of the instance
 *
 * Any context.
 */
void liov_queue_work(struct liov_instance *inst, struct work_struct *work)
{
	struct workqueue_struct *wq = liov_wq_of(inst);

	if (likely(wq))
		queue_work(wq, work);
}

/**
 * liov_queue_delayed_work() - likewise, after a time; nothing happens if it is queued
 * @inst:  instance
 * @work:  delayed work item of the instance
 * @delay: jiffies
 *
 * Any context.
 */
void liov_queue_delayed_work(struct liov_instance *inst, struct delayed_work *work,
			     unsigned long delay)
{
	struct workqueue_struct *wq = liov_wq_of(inst);

	if (likely(wq))
		queue_delayed_work(wq, work, delay);
}

/**
 * liov_mod_delayed_work() - likewise, also if it is queued for another time
 * @inst:  instance
 * @work:  delayed work item of the instance
 * @delay: jiffies
 *
 * Any context.
 */
void liov_mod_delayed_work(struct liov_instance *inst, struct delayed_work *work,
			   unsigned long delay)
{
	struct workqueue_struct *wq = liov_wq_of(inst);

	if (likely(wq))
		mod_delayed_work(wq, work, delay);
}
