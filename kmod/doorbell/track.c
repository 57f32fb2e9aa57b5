// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells of an instance's I/O queues.
 *
 * Each doorbell register of the virtual controller is a RAM page of its own.
 * Under KVM user space maps the pages into the guest and KVM's write tracking
 * calls liov_track_write() in the vCPU thread that stored, inside the kernel.
 * Without KVM a store arrives as a VFIO region write.  Either way the value
 * ends up in the page and the mode (liov_mode_ops, sq_submit or cq_kick) brings the
 * hardware up to date with it, so that a store nobody reported (the memory slot
 * was being moved) is made good by a later one of the same queue.
 *
 * What may run at once: any number of vCPUs at one queue, the rescan
 * of the tracking worker, and the stop of the queue, which clears @live under
 * the queue's spinlock; direct.c and guarded.h say how each copes.
 *
 * While a submission queue is busy its page is not tracked; see busy.c.
 *
 * Direct mode on a drive whose own doorbells are a page or more apart needs none
 * of this: while a queue exists the guest maps the drive's own register, and a
 * store costs nobody anything.  See own.c.
 *
 * Tracking state changes under liov_track.lock.  KVM holds slots_lock around
 * track_remove_region(), so that lock nests outside ours, and the worker never
 * takes it.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "compat.h"
#include "doorbell/doorbell.h"

/*
 * The memory slot appears some time after the guest enabled decode.  Retry
 * quickly at first, then ever more slowly: a guest that never maps costs
 * nothing to speak of.
 */
#define LIOV_TRACK_DELAY_MIN_MS	1
#define LIOV_TRACK_DELAY_MAX_MS	256

/* From one look at what KVM has mapped to the next, see "stale MMIO entries". */
#define LIOV_TRACK_AGAIN_MS	50

static bool liov_doorbell_live(struct liov_instance *inst, unsigned int idx)
{
	struct liov_bells *bells = liov_bells(inst);
	unsigned int qid = idx / 2 + 1;

	return idx & 1 ? READ_ONCE(liov_cq_at(bells, qid)->live) :
			 READ_ONCE(liov_sq_at(bells, qid)->live);
}

/*
 * A doorbell of a queue that is not live, its value stored.  True if it became live
 * meanwhile.
 */
static bool liov_doorbell_late(struct liov_instance *inst, unsigned int idx)
{
	/* The value before the look; liov_queues_resume() has it the other way round. */
	smp_mb();
	if (liov_doorbell_live(inst, idx))
		return true;
	if (!READ_ONCE(liov_bells(inst)->fatal) && !READ_ONCE(liov_bells(inst)->paused))
		liov_admin_event(inst, LIOV_EVENT_DB_REGISTER);
	return false;
}

/**
 * liov_doorbell_kick() - a doorbell may have another value
 * @inst: open instance
 * @idx:  doorbell, see liov_doorbell()
 *
 * Any process context; may sleep, as guarded mode does.
 */
void liov_doorbell_kick(struct liov_instance *inst, unsigned int idx)
{
	struct liov_bells *bells = liov_bells(inst);
	unsigned int qid = idx / 2 + 1;

	if (!(idx & 1)) {
		bells->mode->sq_submit(liov_sq_at(bells, qid), LIOV_TRIGGER_STORE);
		return;
	}
	/* The value before the look; pairs with liov_guarded_starve(). */
	smp_mb();
	if (!READ_ONCE(liov_cq_at(bells, qid)->lazy))
		bells->mode->cq_kick(liov_cq_at(bells, qid));
}

/* A store of the guest's that was reported. */
static void liov_doorbell_count(struct liov_instance *inst, unsigned int idx)
{
	if (!(idx & 1))
		atomic64_inc(&liov_sq_at(liov_bells(inst), idx / 2 + 1)->exits);
}

/* ---- KVM write tracking ---- */

/*
 * KVM calls this for every store it emulates for the guest, after the store
 * has reached memory, in the vCPU's thread with kvm->srcu held: no waiting for
 * memory slots here.
 */
static void liov_track_write(gpa_t gpa, const u8 *new, int bytes,
			     struct kvm_page_track_notifier_node *node)
{
	struct liov_track *t = container_of(node, struct liov_track, node);
	struct liov_instance *inst = liov_bells_inst(container_of(t, struct liov_bells, track));
	int idx = liov_doorbell_index(inst, gpa_to_gfn(gpa) - READ_ONCE(t->base_gfn));

	if (idx < 0)
		return;
	if (unlikely(!liov_doorbell_live(inst, idx)) && !liov_doorbell_late(inst, idx))
		return;
	liov_doorbell_count(inst, idx);
	liov_doorbell_kick(inst, idx);
	if (!(idx & 1))
		liov_busy_begin(liov_sq_at(liov_bells(inst), idx / 2 + 1));
}

/* Not tracked because its queue was busy?  That is over. */
static bool liov_doorbell_forget_busy(struct liov_instance *inst, unsigned int idx)
{
	return !(idx & 1) && liov_busy_forget(liov_sq_at(liov_bells(inst), idx / 2 + 1));
}

/*
 * Write-protects what KVM has mapped of a frame.  Returns whether the frame is in a memory
 * slot.
 */
static bool liov_track_protect(struct liov_instance *inst, gfn_t gfn)
{
	struct kvm *kvm = liov_bells(inst)->vdev.kvm;

	/* The slot cannot go meanwhile: liov_track_remove_region() waits for the lock. */
	lockdep_assert_held(&liov_bells(inst)->track.lock);
	if (kvm_write_track_add_gfn(kvm, gfn))
		return false;
	kvm_write_track_remove_gfn(kvm, gfn);
	return true;
}

/*
 * A memory slot went away and its tracking with it: add again when it is back.  KVM says
 * so when the slot cannot be found any more (kvm_arch_commit_memory_region()), so whoever
 * added to it before is seen here, and nobody can after.
 *
 * A slot of the other address space, that of SMM, goes with the same words.  Tracking is
 * that of the first one, and it counts: if that is still there, adding once more would
 * leave the frame tracked when the queue becomes busy.
 */
static void liov_track_remove_region(gfn_t gfn, unsigned long npages,
				     struct kvm_page_track_notifier_node *node)
{
	struct liov_track *t = container_of(node, struct liov_track, node);
	struct liov_instance *inst = liov_bells_inst(container_of(t, struct liov_bells, track));
	bool hit = false;
	unsigned int i;

	mutex_lock(&t->lock);
	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		if (t->base_gfn + i < gfn || t->base_gfn + i >= gfn + npages ||
		    liov_track_protect(inst, t->base_gfn + i))
			continue;
		hit |= db->tracked | liov_doorbell_forget_busy(inst, i);
		db->tracked = false;
	}
	if (hit && !t->closing) {
		t->delay_ms = LIOV_TRACK_DELAY_MIN_MS;
		liov_mod_delayed_work(inst, &t->work, msecs_to_jiffies(t->delay_ms));
	}
	mutex_unlock(&t->lock);
}

/* Completion queue pages need tracking only where heads are forwarded at once. */
static bool liov_doorbell_wants_tracking(struct liov_instance *inst, unsigned int idx)
{
	struct liov_bells *bells = liov_bells(inst);
	unsigned int qid = idx / 2 + 1;

	if (liov_doorbell(inst, idx)->quiet)
		return false;
	return idx & 1 ? !READ_ONCE(liov_cq_at(bells, qid)->lazy) :
			 !liov_sq_at(bells, qid)->busy.on;
}

/*
 * Stale MMIO entries.  A guest that stores to a doorbell while decode is off leaves
 * an MMIO entry for that frame in KVM's page tables.  When the memory slot is back
 * and KVM replaces the entry, it takes the old one for a writable mapping (the bits
 * agree) and does not ask whether the frame is tracked: the new mapping is writable,
 * and no store is reported from then on.
 *
 * KVM offers no way to remove the entry.  But adding a frame to tracking once more
 * write-protects what is mapped.  So a page whose tracking is new is taken out of
 * the user's mapping: before KVM can map it, it has to come to liov_doorbell_fault(),
 * which starts the worker.  That waits until no vCPU is in the middle of a fault, and
 * adds and removes each tracked frame.  It looks a second time, since KVM repeats a
 * fault that met another change of the mapping, and finds the page itself then.  The
 * rescan makes good what was stored in between.
 */

/**
 * liov_track_look() - have the worker add what is to be tracked, and look at what is
 * @inst:  open instance; the caller holds its liov_track.lock
 * @looks: so often at least
 */
void liov_track_look(struct liov_instance *inst, unsigned int looks)
{
	struct liov_track *t = &liov_bells(inst)->track;

	lockdep_assert_held(&t->lock);
	if (t->closing || !t->mapped)
		return;
	t->looks = max(t->looks, looks);
	liov_mod_delayed_work(inst, &t->work, 0);
}

/**
 * liov_doorbell_zap() - the guest's next access to a doorbell faults
 * @inst:  open instance
 * @first: doorbell, see liov_doorbell()
 * @nr:    so many
 *
 * May sleep.
 */
void liov_doorbell_zap(struct liov_instance *inst, unsigned int first, unsigned int nr)
{
	unmap_mapping_range(liov_bells(inst)->vdev.inode->i_mapping,
			    LIOV_REGION_OFFSET(VFIO_PCI_BAR0_REGION_INDEX) +
			    LIOV_DB_FIRST + (loff_t)first * PAGE_SIZE,
			    (loff_t)nr * PAGE_SIZE, true);
}

static void liov_track_drop_all(struct liov_instance *inst)
{
	struct liov_track *t = &liov_bells(inst)->track;
	unsigned int i;

	lockdep_assert_held(&t->lock);
	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		if (db->tracked)
			kvm_write_track_remove_gfn(liov_bells(inst)->vdev.kvm, t->base_gfn + i);
		db->tracked = false;
		liov_doorbell_forget_busy(inst, i);
	}
}

/*
 * Adds what shall be tracked and is not, and looks at what is, if it has to.  Returns
 * whether something was added; *@missing: a page is not there.
 */
static bool liov_track_add_all(struct liov_instance *inst, gfn_t gfn, bool look, bool *missing)
{
	struct liov_track *t = &liov_bells(inst)->track;
	bool added = false;
	unsigned int i;

	lockdep_assert_held(&t->lock);
	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		if (db->tracked) {
			if (look)
				liov_track_protect(inst, gfn + i);
			continue;
		}
		if (!liov_doorbell_wants_tracking(inst, i))
			continue;
		if (kvm_write_track_add_gfn(liov_bells(inst)->vdev.kvm, gfn + i)) {
			*missing = true;
			break;
		}
		db->tracked = true;
		added = true;
		t->adds++;
	}
	return added;
}

static void liov_track_work(struct work_struct *work)
{
	struct liov_track *t = container_of(to_delayed_work(work), struct liov_track, work);
	struct liov_instance *inst = liov_bells_inst(container_of(t, struct liov_bells, track));
	struct liov_bells *bells = liov_bells(inst);
	bool missing = false, added = false, look;
	unsigned int i;
	u64 bar, gfn;

	bar = READ_ONCE(bells->bar);

	mutex_lock(&t->lock);
	look = t->looks;
	if (look)
		t->looks--;
	mutex_unlock(&t->lock);
	/* A vCPU handles its exits, faults among them, inside it. */
	if (look)
		synchronize_srcu(&bells->vdev.kvm->srcu);

	mutex_lock(&t->lock);
	if (t->closing || !t->mapped)
		goto out;
	if (bar == ~0ULL) {
		/* Decode is off: the change that turns it on comes here again. */
		liov_track_drop_all(inst);
		goto out;
	}
	gfn = gpa_to_gfn(bar + LIOV_DB_FIRST);
	if (gfn != t->base_gfn) {
		liov_track_drop_all(inst);
		WRITE_ONCE(t->base_gfn, gfn);
	}
	added = liov_track_add_all(inst, gfn, look, &missing);
	if (missing) {
		t->delay_ms = min(2 * t->delay_ms, LIOV_TRACK_DELAY_MAX_MS);
		liov_mod_delayed_work(inst, &t->work, msecs_to_jiffies(t->delay_ms));
	} else if (t->looks) {
		liov_queue_delayed_work(inst, &t->work, msecs_to_jiffies(LIOV_TRACK_AGAIN_MS));
	}
out:
	mutex_unlock(&t->lock);
	if (added)
		liov_doorbell_zap(inst, 0, liov_nr_doorbells(inst));

	/* Stores made while nobody listened. */
	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		if (!(i & 1))
			liov_sq_look_again(liov_sq_at(bells, i / 2 + 1));
		else if (!bells->mode->jobs)
			liov_doorbell_kick(inst, i);
	}
}

/**
 * liov_doorbell_decode_changed() - BAR0 moved, or decode or a queue changed
 * @inst: open instance
 *
 * Tracking follows in the background.  Any process context.
 */
void liov_doorbell_decode_changed(struct liov_instance *inst)
{
	struct liov_track *t = &liov_bells(inst)->track;

	if (!t->registered)
		return;
	mutex_lock(&t->lock);
	t->delay_ms = LIOV_TRACK_DELAY_MIN_MS;
	liov_track_look(inst, 1);
	mutex_unlock(&t->lock);
}

/**
 * liov_doorbell_mappable() - may user space map doorbell pages?
 * @inst: open instance
 *
 * Return: true only if stores to them will be noticed.
 */
bool liov_doorbell_mappable(const struct liov_instance *inst)
{
	return liov_bells(inst)->track.registered;
}

/* ---- VFIO ---- */

/*
 * Before a region write to a doorbell of the drive's own, which the guest stores to as well:
 * it is not known what the drive was told last, so nothing is a repetition.
 */
static void liov_doorbell_forget_last(struct liov_instance *inst, unsigned int idx)
{
	struct liov_cq *cq = liov_cq_at(liov_bells(inst), idx / 2 + 1);
	struct liov_sq *sq = liov_sq_at(liov_bells(inst), idx / 2 + 1);

	if (idx & 1) {
		spin_lock_irq(&cq->lock);
		cq->head = U32_MAX;
		spin_unlock_irq(&cq->lock);
	} else {
		spin_lock_irq(&sq->lock);
		sq->tail = U32_MAX;
		spin_unlock_irq(&sq->lock);
	}
}

/**
 * liov_doorbell_write() - a store to an I/O queue's doorbell by VFIO region write
 * @inst: open instance
 * @reg:  doorbell register: 2 is the tail of I/O queue 1, 3 its head, and so on
 * @val:  value
 *
 * Doorbells of queues that do not exist raise the event the specification has
 * for it.  Does not need liov_instance.lock.  May sleep, as submission in guarded mode does.
 */
void liov_doorbell_write(struct liov_instance *inst, u64 reg, u32 val)
{
	int idx = liov_doorbell_index(inst, reg - 2);
	struct liov_doorbell *db;

	if (idx < 0) {
		liov_admin_event(inst, LIOV_EVENT_DB_REGISTER);
		return;
	}
	db = liov_doorbell(inst, idx);
	/* Without a page there was never such a queue. */
	if (READ_ONCE(db->val))
		WRITE_ONCE(*db->val, val);
	if (unlikely(!liov_doorbell_live(inst, idx)) && !liov_doorbell_late(inst, idx))
		return;
	if (READ_ONCE(db->own))
		liov_doorbell_forget_last(inst, idx);
	liov_doorbell_count(inst, idx);
	liov_doorbell_kick(inst, idx);
}

static void liov_doorbell_free(struct liov_instance *inst)
{
	unsigned int i;

	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		if (db->page)
			__free_page(db->page);
		db->page = NULL;
		db->val = NULL;
	}
}

/**
 * liov_doorbell_have_page() - the page behind a doorbell; it comes when it is first needed
 * @inst: open instance
 * @idx:  of the doorbell
 *
 * That is when its queue is made, or when user space touches it, and it stays until the close:
 * most instances never have all the queues that they might.  May sleep.
 *
 * Return: false if there is no memory.
 */
bool liov_doorbell_have_page(struct liov_instance *inst, unsigned int idx)
{
	struct liov_doorbell *db = liov_doorbell(inst, idx);
	struct mutex *lock = &liov_bells(inst)->track.own_lock;
	unsigned int noio;

	mutex_lock(lock);
	noio = memalloc_noio_save();
	if (!db->page) {
		db->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		WRITE_ONCE(db->val, db->page ? page_address(db->page) : NULL);
	}
	memalloc_noio_restore(noio);
	mutex_unlock(lock);
	return db->page;
}

/**
 * liov_doorbell_open() - doorbells and tracking for a device that is being opened
 * @inst: instance; vdev.kvm is set if there is a KVM
 *
 * May sleep.
 */
void liov_doorbell_open(struct liov_instance *inst)
{
	struct liov_bells *bells = liov_bells(inst);
	struct liov_track *t = &bells->track;
	unsigned int i;

	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		db->tracked = false;
		db->quiet = false;
		db->own = false;
	}

	t->closing = false;
	t->mapped = false;
	t->looks = 0;
	t->base_gfn = ~0ULL >> PAGE_SHIFT;
	t->delay_ms = LIOV_TRACK_DELAY_MIN_MS;
	t->registered = false;
	if (bells->vdev.kvm) {
		int idx, rc = -EOPNOTSUPP;

		liov_track_init_node(&t->node, liov_track_write, liov_track_remove_region);
		/* KVM goes over its memory slots for the first tracker, and leaves that to us. */
		idx = srcu_read_lock(&bells->vdev.kvm->srcu);
		if (liov_can_track())
			rc = kvm_page_track_register_notifier(bells->vdev.kvm, &t->node);
		srcu_read_unlock(&bells->vdev.kvm->srcu, idx);
		t->registered = !rc;
		if (rc)
			liov_guest_warn(inst, "KVM does not offer write tracking (%d); every doorbell will exit to user space\n",
					rc);
	}
	t->own = false;
}

/**
 * liov_doorbell_close() - undo liov_doorbell_open()
 * @inst: instance whose queues are stopped; its lock must not be held, since a queue's
 *        work item, which is waited for, may be that of somebody who wants it
 *
 * User space may still have pages mapped: each mapping holds its own page
 * reference.  May sleep.
 */
void liov_doorbell_close(struct liov_instance *inst)
{
	struct liov_bells *bells = liov_bells(inst);
	struct liov_track *t = &bells->track;
	unsigned int i;

	if (t->registered) {
		mutex_lock(&t->lock);
		t->closing = true;
		for (i = 1; i <= bells->nr_pairs; i++)
			liov_busy_forget(liov_sq_at(bells, i));
		mutex_unlock(&t->lock);
		/* For halts that saw a queue busy and may start its work. */
		synchronize_rcu();
		cancel_delayed_work_sync(&t->work);
	}
	/*
	 * Also without KVM: a completion that makes room wakes every queue that was starved,
	 * liov_guarded_wake(), and the deleted ones among them after liov_sq_delete().
	 */
	for (i = 1; i <= bells->nr_pairs; i++)
		liov_busy_stop(liov_sq_at(bells, i));
	if (t->registered) {
		/* Waits for callbacks in flight (SRCU), so not under t->lock. */
		mutex_lock(&t->lock);
		liov_track_drop_all(inst);
		mutex_unlock(&t->lock);
		kvm_page_track_unregister_notifier(bells->vdev.kvm, &t->node);
		t->registered = false;
	}
	liov_doorbell_free(inst);
}

/**
 * liov_doorbell_init() - prepare an instance's doorbells; once, at creation
 * @inst: instance
 */
void liov_doorbell_init(struct liov_instance *inst)
{
	struct liov_bells *bells = liov_bells(inst);
	unsigned int i;

	mutex_init(&bells->track.lock);
	mutex_init(&bells->track.own_lock);
	liov_lock_in_reclaim(&bells->track.own_lock);
	INIT_DELAYED_WORK(&bells->track.work, liov_track_work);
	for (i = 1; i <= bells->nr_pairs; i++) {
		spin_lock_init(&liov_sq_at(bells, i)->lock);
		spin_lock_init(&liov_cq_at(bells, i)->lock);
		liov_busy_init(liov_sq_at(bells, i));
		liov_sq_at(bells, i)->inst = inst;
		liov_cq_at(bells, i)->inst = inst;
		liov_sq_at(bells, i)->qid = i;
		liov_cq_at(bells, i)->qid = i;
	}
}
