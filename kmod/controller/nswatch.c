// SPDX-License-Identifier: GPL-2.0
/*
 * What the host does to namespaces that guests use: format, sanitize, delete, detach,
 * new firmware, a disk that goes.
 *
 * The host boundary tells of such a command before it is sent (liov_watch_command()), and
 * when it is over.  Before a command that changes what a block is or whose it is, every
 * instance on that namespace is stopped: its queues are deleted on the hardware, which
 * fences what the drive had, and its controller gets a fatal status.  While the command
 * runs none comes back (nscommand.c).  After it, and after each
 * reset of the controller, liov_parent.ns_gen has moved on: nscheck.c then asks the drive
 * whether all is what it was.
 *
 * To stop has two steps.  At once, whoever holds liov_instance.lock, the queues' doorbells
 * are shut (liov_queues_shut()): from then on the hardware is given nothing new.  Then the
 * instance's own work item deletes the queues, which ends what the hardware had.  The second
 * may take as long as a user of the instance wants, the first does not.
 *
 * Owns the list of all parents, since controllers of one NVM subsystem share namespaces,
 * and struct liov_watch of each instance.  The commands on their way are in nscommand.c.
 *
 * Lock: watch_lock (mutex), the list of parents; inside it liov_parent.pool_lock, and the
 * list of commands.  It is not held when somebody waits.  An
 * instance is stopped by its own work item, under liov_instance.lock, which nobody here
 * holds outside it: that may be held for long, and the instance may be going.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "controller/controller.h"

/* From one look whether a controller that is being reset is back to the next. */
#define LIOV_WATCH_AGAIN_MS	50

/* What a liov_watch has to do; LIOV_WATCH_STOP is liov_instance.stops. */
enum { LIOV_WATCH_STOP, LIOV_WATCH_LOOK };

static DEFINE_MUTEX(watch_lock);
static LIST_HEAD(parents);

/* How often an instance that had been told to stop has; wakes the queue. */
static atomic_t stops = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(watch_wq);

/* ---- instances ---- */

/*
 * The guest's controller, if it runs, does so no more until its driver resets it.  One
 * that is not ready has nothing to stop: before it is, it finds the command in the list.
 * Returns -EAGAIN if the hardware's queues go with a reset of the host's that is under way.
 */
static int liov_watch_stop(struct liov_instance *inst)
{
	bool ready = READ_ONCE(inst->regs.csts) & NVME_CSTS_RDY;
	int rc;

	lockdep_assert_held(&inst->lock);
	if (!inst->is_open || (!liov_queues_made(inst) && !ready))
		return 0;
	rc = liov_fence(inst, false);
	if (rc == -EAGAIN)
		return rc;
	liov_set_fatal(inst, true);
	/* A driver that listens resets its controller at once. */
	liov_admin_event(inst, LIOV_EVENT_INTERNAL);
	return 0;
}

/* Returns as above. */
static int liov_watch_look(struct liov_instance *inst)
{
	int rc;

	lockdep_assert_held(&inst->lock);
	if (!inst->is_open || !(READ_ONCE(inst->regs.csts) & NVME_CSTS_RDY) ||
	    READ_ONCE(inst->fatal))
		return 0;
	rc = liov_backing_verify(inst, true);
	if (!rc || rc == -EAGAIN || rc == -EINTR)
		return rc ? -EAGAIN : 0;
	liov_warn(inst, "the guest's controller stops until its driver resets it\n");
	return liov_watch_stop(inst);
}

static void liov_watch_stopped(struct liov_instance *inst)
{
	if (!test_and_clear_bit(0, &inst->stops))
		return;
	atomic_inc(&stops);
	wake_up_all(&watch_wq);
}

static void liov_watch_work(struct work_struct *work)
{
	struct liov_watch *w = container_of(to_delayed_work(work), struct liov_watch, work);
	struct liov_instance *inst = container_of(w, struct liov_instance, watch);
	bool again = false;

	mutex_lock(&inst->lock);
	if (liov_has_to_stop(inst)) {
		again = liov_watch_stop(inst);
		if (!again)
			liov_watch_stopped(inst);
	}
	if (!again && test_and_clear_bit(LIOV_WATCH_LOOK, &w->todo) && liov_watch_look(inst)) {
		set_bit(LIOV_WATCH_LOOK, &w->todo);
		again = true;
	}
	mutex_unlock(&inst->lock);
	if (again)
		liov_queue_delayed_work(inst, &w->work, msecs_to_jiffies(LIOV_WATCH_AGAIN_MS));
}

/*
 * At once: the hardware is given nothing new, whoever holds liov_instance.lock, and for how
 * long.  A controller that is ready gets a fatal status, and its queues stay shut until its
 * guest has reset it.
 */
static void liov_watch_shut(struct liov_instance *inst)
{
	set_bit(0, &inst->stops);
	/* First: a queue that is just being made, or its doorbell given, is not after this. */
	spin_lock(&inst->reg_lock);
	if (inst->regs.csts & NVME_CSTS_RDY)
		liov_set_fatal(inst, true);
	spin_unlock(&inst->reg_lock);
	liov_queues_shut(inst);
}

/* One that is not open has nothing to do: it looks at all of this when it is opened. */
static void liov_watch_want(struct liov_instance *inst, int what)
{
	struct liov_watch *w = &inst->watch;

	lockdep_assert_held(&inst->parent->pool_lock);
	if (!READ_ONCE(inst->is_open))
		return;
	if (what == LIOV_WATCH_STOP)
		liov_watch_shut(inst);
	else
		set_bit(LIOV_WATCH_LOOK, &w->todo);
	liov_mod_delayed_work(inst, &w->work, 0);
}

/**
 * liov_watch_init() - once, at creation
 * @inst: instance
 */
void liov_watch_init(struct liov_instance *inst)
{
	INIT_DELAYED_WORK(&inst->watch.work, liov_watch_work);
}

/**
 * liov_watch_cancel() - no more work of it
 * @inst: instance that is in no list of its parent's any more
 *
 * May sleep.
 */
void liov_watch_cancel(struct liov_instance *inst)
{
	cancel_delayed_work_sync(&inst->watch.work);
	liov_watch_stopped(inst);
}

/* ---- controllers ---- */

/**
 * liov_watch_add() - a controller's parent is there
 * @p: parent, whose controller has been identified
 */
void liov_watch_add(struct liov_parent *p)
{
	mutex_lock(&watch_lock);
	list_add_tail(&p->watch_node, &parents);
	mutex_unlock(&watch_lock);
}

/**
 * liov_watch_del() - before a parent is freed
 * @p: parent, perhaps never added
 */
void liov_watch_del(struct liov_parent *p)
{
	mutex_lock(&watch_lock);
	list_del_init(&p->watch_node);
	mutex_unlock(&watch_lock);
}

/**
 * liov_watch_changed() - its namespaces or its limits may have changed
 * @p: parent; the caller holds its pool_lock
 */
void liov_watch_changed(struct liov_parent *p)
{
	lockdep_assert_held(&p->pool_lock);
	WRITE_ONCE(p->ns_gen, p->ns_gen + 1);
}

/**
 * liov_watch_look_all() - the controller is back from a reset, with its namespaces
 * @p: parent; the caller holds its pool_lock
 *
 * Also for those whose queues were not lost, since they had none.  Does not wait.
 */
void liov_watch_look_all(struct liov_parent *p)
{
	struct liov_backing *b;

	lockdep_assert_held(&p->pool_lock);
	list_for_each_entry(b, &p->backings, node)
		liov_watch_want(container_of(b, struct liov_instance, backing), LIOV_WATCH_LOOK);
}

/**
 * liov_watch_lock() - no parent comes or goes, and no backing is given in an NVM subsystem
 *
 * Outside of any pool_lock.  May sleep.
 */
void liov_watch_lock(void)
{
	mutex_lock(&watch_lock);
}

/**
 * liov_watch_unlock() - undo liov_watch_lock()
 */
void liov_watch_unlock(void)
{
	mutex_unlock(&watch_lock);
}

/**
 * liov_watch_sibling() - another controller of the same NVM subsystem
 * @p:    parent
 * @prev: the last one, NULL at first
 *
 * Inside liov_watch_lock().  Return: the next one, NULL if there are no more.
 */
struct liov_parent *liov_watch_sibling(struct liov_parent *p, struct liov_parent *prev)
{
	struct liov_subsystem of;

	lockdep_assert_held(&watch_lock);
	liov_subsystem_of(&of, p->id);
	prev = prev ?: list_entry(&parents, struct liov_parent, watch_node);
	list_for_each_entry_continue(prev, &parents, watch_node) {
		if (prev != p && liov_subsystem_has(&of, prev))
			return prev;
	}
	return NULL;
}

/* ---- commands of the host's ---- */

/* Tells the instances on what the command is about. */
static void liov_command_tell(const struct liov_ns_command *nc, struct liov_parent *p, int what)
{
	struct liov_backing *b;

	lockdep_assert_held(&watch_lock);
	mutex_lock(&p->pool_lock);
	liov_watch_changed(p);
	list_for_each_entry(b, &p->backings, node) {
		struct liov_instance *inst = container_of(b, struct liov_instance, backing);

		if (!liov_ns_command_is_about(nc, b->nsid))
			continue;
		if (what == LIOV_WATCH_STOP && READ_ONCE(inst->is_open))
			liov_warn(inst, "the host sends %s to %s, which is about namespace %u, too; the guest's controller stops until its driver resets it\n",
				  nc->name, pci_name(p->host->pdev), b->nsid);
		liov_watch_want(inst, what);
	}
	mutex_unlock(&p->pool_lock);
}

static void liov_command_tell_all(const struct liov_ns_command *nc, int what)
{
	struct liov_parent *p;

	lockdep_assert_held(&watch_lock);
	list_for_each_entry(p, &parents, watch_node) {
		if (liov_subsystem_has(&nc->of, p))
			liov_command_tell(nc, p, what);
	}
}

static struct liov_parent *liov_watch_find(const struct liov_host *h)
{
	struct liov_parent *p;

	lockdep_assert_held(&watch_lock);
	list_for_each_entry(p, &parents, watch_node) {
		if (p->host == h)
			return p;
	}
	return NULL;
}

/* Has an instance that was told of it still to stop? */
static bool liov_command_is_held(const struct liov_ns_command *nc)
{
	struct liov_backing *b;
	struct liov_parent *p;
	bool held = false;

	mutex_lock(&watch_lock);
	list_for_each_entry(p, &parents, watch_node) {
		if (!liov_subsystem_has(&nc->of, p))
			continue;
		mutex_lock(&p->pool_lock);
		list_for_each_entry(b, &p->backings, node) {
			held |= liov_ns_command_is_about(nc, b->nsid) &&
				liov_has_to_stop(container_of(b, struct liov_instance, backing));
		}
		mutex_unlock(&p->pool_lock);
	}
	mutex_unlock(&watch_lock);
	return held;
}

/* Returns whether all have stopped in time. */
static bool liov_command_wait(const struct liov_ns_command *nc)
{
	unsigned long end = jiffies + msecs_to_jiffies(LIOV_ADMIN_WAIT_MS);
	long left;
	int seen;

	for (;;) {
		seen = atomic_read(&stops);
		/* Before the look; pairs with wake_up_all() of whoever stops. */
		smp_mb();
		if (!liov_command_is_held(nc))
			return true;
		left = end - jiffies;
		if (left <= 0)
			return false;
		wait_event_timeout(watch_wq, atomic_read(&stops) != seen, left);
	}
}

/**
 * liov_watch_command() - see struct liov_host_ops, @command
 * @h: the controller it goes to
 * @c: the command
 *
 * Returns when nobody uses the namespace any more, or with a line in the log if that takes
 * too long.  The hardware was given nothing new meanwhile, and what it had before it has had
 * for that long.  May sleep for long.
 *
 * Return: what liov_watch_command_over() gets, or NULL if it does not matter.
 */
void *liov_watch_command(struct liov_host *h, const struct nvme_command *c)
{
	struct liov_ns_command *nc = kzalloc(sizeof(*nc), GFP_KERNEL | __GFP_NOFAIL);
	struct liov_parent *from;

	mutex_lock(&watch_lock);
	from = liov_watch_find(h);
	nc->effect = from ? liov_ns_command(c, from->id->fna, &nc->nsid) : LIOV_NS_UNTOUCHED;
	if (nc->effect == LIOV_NS_UNTOUCHED) {
		mutex_unlock(&watch_lock);
		kfree(nc);
		return NULL;
	}
	nc->name = liov_ns_command_name(c);
	liov_subsystem_of(&nc->of, from->id);
	/* First: who enables now waits, who did before is stopped. */
	liov_ns_command_add(nc);
	if (nc->effect == LIOV_NS_TAKEN)
		liov_command_tell_all(nc, LIOV_WATCH_STOP);
	mutex_unlock(&watch_lock);

	if (nc->effect == LIOV_NS_TAKEN && !liov_command_wait(nc))
		pci_err(h->pdev, "lightiov: %s goes on though the queues of a guest could not be deleted in time\n",
			nc->name);
	return nc;
}

/**
 * liov_watch_command_over() - see struct liov_host_ops, @command_over
 * @cookie: from liov_watch_command()
 *
 * May sleep.
 */
void liov_watch_command_over(void *cookie)
{
	struct liov_ns_command *nc = cookie;

	mutex_lock(&watch_lock);
	liov_ns_command_del(nc);
	/* Also those that came back and were let in: none was while it was in the list. */
	liov_command_tell_all(nc, LIOV_WATCH_LOOK);
	mutex_unlock(&watch_lock);
	liov_ns_command_wake();
	kfree(nc);
}

/* ---- a disk goes ---- */

/*
 * The namespace was deleted or detached, or became another one, by whatever host: nvme
 * removes its disk, or does so in a removal that our eviction did not come before.
 * The block layer's convention: bd_holder_lock is held and to be released here; it keeps
 * the claim, and so the parent, from going meanwhile.
 */
static void liov_watch_mark_dead(struct block_device *bdev, bool surprise)
{
	struct liov_parent *p = bdev->bd_holder;
	struct liov_backing *b;

	lockdep_assert_held(&bdev->bd_holder_lock);
	mutex_lock(&p->pool_lock);
	liov_watch_changed(p);
	list_for_each_entry(b, &p->backings, node) {
		struct liov_instance *inst = container_of(b, struct liov_instance, backing);

		if (file_bdev(b->file) != bdev)
			continue;
		if (READ_ONCE(inst->is_open) && !READ_ONCE(inst->fatal))
			liov_warn(inst, "the disk of %s is gone; the guest's controller stops, write the backing again when there is one\n",
				  b->text);
		liov_watch_want(inst, LIOV_WATCH_STOP);
	}
	mutex_unlock(&p->pool_lock);
	mutex_unlock(&bdev->bd_holder_lock);
	/* As for a device without holder operations. */
	sync_blockdev(bdev);
}

/* All claims of a controller have one holder, the parent, and must have the same operations. */
const struct blk_holder_ops liov_watch_holder = { .mark_dead = liov_watch_mark_dead };
