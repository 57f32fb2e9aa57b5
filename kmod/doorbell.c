// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells of an instance's I/O queues.
 *
 * Each doorbell register of the virtual controller is a RAM page of its own.
 * Under KVM user space maps the pages into the guest and KVM's write tracking
 * calls liov_track_write() in the vCPU thread that stored, inside the kernel.
 * Without KVM a store arrives as a VFIO region write.  Either way the value
 * ends up in the page and liov_sq_kick() / liov_cq_kick() bring the hardware
 * up to date with it, so that a store nobody reported (the memory slot was
 * being moved) is made good by a later kick of the same queue.
 *
 * What may run at once: any number of vCPUs in a kick of one queue (its
 * spinlock), the rescan of the tracking worker, and the stop of the queue,
 * which clears @live under that lock.  The kick allocates nothing, sleeps
 * never and takes only that lock.
 *
 * Tracking state changes under liov_track.lock.  KVM holds slots_lock around
 * track_remove_region(), so that lock nests outside ours, and the worker never
 * takes it.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/io.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>

#include "lightiov.h"

/* BAR0: the first I/O doorbell (SQ 1) and its pages. */
#define LIOV_DB_FIRST	(LIOV_DB_BASE + 2 * LIGHTIOV_DB_STRIDE)

/*
 * The memory slot appears some time after the guest enabled decode.  Retry
 * quickly at first, then ever more slowly: a guest that never maps costs
 * nothing to speak of.
 */
#define LIOV_TRACK_DELAY_MIN_MS	1
#define LIOV_TRACK_DELAY_MAX_MS	256

/* Tells the hardware how far the guest has consumed a completion queue. */
static void liov_cq_forward(struct liov_cq *cq)
{
	u32 head;

	lockdep_assert_held(&cq->lock);
	if (!cq->live)
		return;
	head = READ_ONCE(*cq->db.val);
	if (head == cq->head)
		return;
	if (unlikely(head >= cq->depth)) {
		liov_admin_event(cq->inst, LIOV_EVENT_DB_VALUE);
		return;
	}
	writel(head, cq->hw_db);
	cq->head = head;
	cq->rings++;
}

/**
 * liov_cq_kick() - the guest may have moved a completion queue's head
 * @cq: queue, live or not
 *
 * Process context; does not sleep.
 */
void liov_cq_kick(struct liov_cq *cq)
{
	spin_lock(&cq->lock);
	liov_cq_forward(cq);
	spin_unlock(&cq->lock);
}

/**
 * liov_sq_kick() - the guest may have moved a submission queue's tail
 * @sq: queue, live or not
 *
 * A lazy completion queue's head goes to the hardware first: after that it has
 * room for every command this ring can bring, as the completion queue is at
 * least as deep as the submission queue (liov_sq_create() sees to it).
 *
 * A value the hardware would refuse is not shown to it, or the host's driver
 * would get the error event; nor is a repeated one (NVMe Base 2.0, Invalid
 * Doorbell Write Value).
 *
 * Process context, typically a vCPU thread inside KVM; does not sleep.
 */
void liov_sq_kick(struct liov_sq *sq)
{
	u32 tail;

	spin_lock(&sq->lock);
	if (!sq->live)
		goto out;
	tail = READ_ONCE(*sq->db.val);
	if (tail == sq->tail)
		goto out;
	if (unlikely(tail >= sq->depth)) {
		sq->bad_doorbells++;
		liov_admin_event(sq->inst, LIOV_EVENT_DB_VALUE);
		goto out;
	}
	if (sq->cq->lazy)
		liov_cq_kick(sq->cq);
	writel(tail, sq->hw_db);
	sq->tail = tail;
	sq->rings++;
out:
	spin_unlock(&sq->lock);
}

/* Doorbell @idx counts SQ1, CQ1, SQ2, CQ2, ... from 0. */
static struct liov_doorbell *liov_doorbell(struct liov_instance *inst, unsigned int idx)
{
	unsigned int qid = idx / 2 + 1;

	return idx & 1 ? &inst->cq[qid].db : &inst->sq[qid].db;
}

static bool liov_doorbell_live(struct liov_instance *inst, unsigned int idx)
{
	unsigned int qid = idx / 2 + 1;

	return idx & 1 ? READ_ONCE(inst->cq[qid].live) : READ_ONCE(inst->sq[qid].live);
}

static void liov_doorbell_kick(struct liov_instance *inst, unsigned int idx)
{
	unsigned int qid = idx / 2 + 1;

	if (!(idx & 1))
		liov_sq_kick(&inst->sq[qid]);
	else if (!inst->cq[qid].lazy)
		liov_cq_kick(&inst->cq[qid]);
}

static unsigned int liov_nr_doorbells(const struct liov_instance *inst)
{
	return 2 * inst->nr_pairs;
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
	struct liov_instance *inst = container_of(t, struct liov_instance, track);
	u64 idx = gpa_to_gfn(gpa) - READ_ONCE(t->base_gfn);

	if (idx >= liov_nr_doorbells(inst))
		return;
	if (unlikely(!liov_doorbell_live(inst, idx))) {
		if (!READ_ONCE(inst->fatal))
			liov_admin_event(inst, LIOV_EVENT_DB_REGISTER);
		return;
	}
	liov_doorbell_kick(inst, idx);
}

/* A memory slot went away and its tracking with it: add again when it is back. */
static void liov_track_remove_region(gfn_t gfn, unsigned long npages,
				     struct kvm_page_track_notifier_node *node)
{
	struct liov_track *t = container_of(node, struct liov_track, node);
	struct liov_instance *inst = container_of(t, struct liov_instance, track);
	bool hit = false;
	unsigned int i;

	mutex_lock(&t->lock);
	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		if (db->tracked && t->base_gfn + i >= gfn && t->base_gfn + i < gfn + npages) {
			db->tracked = false;
			hit = true;
		}
	}
	if (hit && !t->closing) {
		t->delay_ms = LIOV_TRACK_DELAY_MIN_MS;
		mod_delayed_work(system_wq, &t->work, msecs_to_jiffies(t->delay_ms));
	}
	mutex_unlock(&t->lock);
}

/* Completion queue pages need tracking only where heads are forwarded at once. */
static bool liov_doorbell_wants_tracking(struct liov_instance *inst, unsigned int idx)
{
	return !(idx & 1) || !READ_ONCE(inst->cq[idx / 2 + 1].lazy);
}

static void liov_track_drop_all(struct liov_instance *inst)
{
	struct liov_track *t = &inst->track;
	unsigned int i;

	lockdep_assert_held(&t->lock);
	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		if (db->tracked)
			kvm_write_track_remove_gfn(inst->vdev.kvm, t->base_gfn + i);
		db->tracked = false;
	}
}

static void liov_track_work(struct work_struct *work)
{
	struct liov_track *t = container_of(to_delayed_work(work), struct liov_track, work);
	struct liov_instance *inst = container_of(t, struct liov_instance, track);
	bool missing = false;
	unsigned int i;
	u64 bar, gfn;

	mutex_lock(&inst->lock);
	bar = liov_pci_bar_addr(&inst->pci, 0);
	mutex_unlock(&inst->lock);

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
	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		if (db->tracked || !liov_doorbell_wants_tracking(inst, i))
			continue;
		if (kvm_write_track_add_gfn(inst->vdev.kvm, gfn + i)) {
			missing = true;
			break;
		}
		db->tracked = true;
		t->adds++;
	}
	if (missing) {
		t->delay_ms = min(2 * t->delay_ms, LIOV_TRACK_DELAY_MAX_MS);
		mod_delayed_work(system_wq, &t->work, msecs_to_jiffies(t->delay_ms));
	}
out:
	mutex_unlock(&t->lock);

	/* Stores made while nobody listened. */
	for (i = 0; i < liov_nr_doorbells(inst); i++)
		liov_doorbell_kick(inst, i);
}

/**
 * liov_doorbell_decode_changed() - BAR0 moved, or decode or a queue changed
 * @inst: open instance
 *
 * Tracking follows in the background.  Any process context.
 */
void liov_doorbell_decode_changed(struct liov_instance *inst)
{
	struct liov_track *t = &inst->track;

	if (!t->registered)
		return;
	mutex_lock(&t->lock);
	if (!t->closing && t->mapped) {
		t->delay_ms = LIOV_TRACK_DELAY_MIN_MS;
		mod_delayed_work(system_wq, &t->work, 0);
	}
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
	return inst->track.registered;
}

/* ---- VFIO ---- */

/**
 * liov_doorbell_write() - a store to the doorbell area by VFIO region write
 * @inst: open instance
 * @off:  offset in BAR0, at least LIOV_DB_BASE; 4-byte aligned
 * @val:  value
 *
 * Doorbells of queues that do not exist raise the event the specification has
 * for it.  The rest of each page is reserved: ignored.  Does not sleep and
 * does not need liov_instance.lock.
 */
void liov_doorbell_write(struct liov_instance *inst, u64 off, u32 val)
{
	u64 reg = (off - LIOV_DB_BASE) / LIGHTIOV_DB_STRIDE;
	unsigned int qid = reg / 2;
	bool cq = reg & 1;

	if ((off - LIOV_DB_BASE) % LIGHTIOV_DB_STRIDE)
		return;
	if (!qid) {
		liov_admin_doorbell(inst, cq, val);
		return;
	}
	if (qid > inst->nr_pairs || !liov_doorbell_live(inst, 2 * (qid - 1) + cq)) {
		liov_admin_event(inst, LIOV_EVENT_DB_REGISTER);
		return;
	}
	if (cq) {
		WRITE_ONCE(*inst->cq[qid].db.val, val);
		if (!inst->cq[qid].lazy)
			liov_cq_kick(&inst->cq[qid]);
	} else {
		WRITE_ONCE(*inst->sq[qid].db.val, val);
		liov_sq_kick(&inst->sq[qid]);
	}
}

/*
 * vmf_insert_page() into a VM_MIXEDMAP area is what both KVM's fault handling
 * and a later unmap_mapping_range() handle without losing a store.
 */
static vm_fault_t liov_doorbell_fault(struct vm_fault *vmf)
{
	struct liov_instance *inst = vmf->vma->vm_private_data;
	unsigned long idx = (vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT;
	u64 off = ((u64)vmf->vma->vm_pgoff << PAGE_SHIFT) & LIOV_REGION_MASK;

	idx += (off - LIOV_DB_FIRST) >> PAGE_SHIFT;
	return vmf_insert_page(vmf->vma, vmf->address, liov_doorbell(inst, idx)->page);
}

static const struct vm_operations_struct liov_doorbell_vm_ops = {
	.fault = liov_doorbell_fault,
};

/**
 * liov_doorbell_mmap() - VFIO mmap() of BAR0
 * @inst: open instance
 * @vma:  area; its offset is already known to lie in region 0
 *
 * Only I/O doorbell pages of this instance can be mapped, shared, and only
 * under KVM.  Return: 0 or -EINVAL.
 */
int liov_doorbell_mmap(struct liov_instance *inst, struct vm_area_struct *vma)
{
	u64 off = ((u64)vma->vm_pgoff << PAGE_SHIFT) & LIOV_REGION_MASK;
	u64 len = vma->vm_end - vma->vm_start;
	u64 end = LIOV_DB_FIRST + (u64)liov_nr_doorbells(inst) * PAGE_SIZE;

	BUILD_BUG_ON(LIGHTIOV_DB_STRIDE != PAGE_SIZE);
	if (!liov_doorbell_mappable(inst) || !(vma->vm_flags & VM_SHARED) ||
	    off < LIOV_DB_FIRST || off >= end || len > end - off)
		return -EINVAL;
	vma->vm_private_data = inst;
	vma->vm_ops = &liov_doorbell_vm_ops;
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);

	mutex_lock(&inst->track.lock);
	inst->track.mapped = true;
	mutex_unlock(&inst->track.lock);
	liov_doorbell_decode_changed(inst);
	return 0;
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
 * liov_doorbell_open() - pages and tracking for a device that is being opened
 * @inst: instance; vdev.kvm is set if there is a KVM
 *
 * May sleep.  Return: 0 or -ENOMEM.
 */
int liov_doorbell_open(struct liov_instance *inst)
{
	struct liov_track *t = &inst->track;
	unsigned int i;

	for (i = 0; i < liov_nr_doorbells(inst); i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		db->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!db->page) {
			liov_doorbell_free(inst);
			return -ENOMEM;
		}
		db->val = page_address(db->page);
		db->tracked = false;
	}
	for (i = 1; i <= inst->nr_pairs; i++)
		inst->cq[i].lazy = inst->parent->cq_head == LIOV_CQ_HEAD_LAZY;

	t->closing = false;
	t->mapped = false;
	t->base_gfn = ~0ULL >> PAGE_SHIFT;
	t->delay_ms = LIOV_TRACK_DELAY_MIN_MS;
	t->registered = false;
	if (inst->vdev.kvm) {
		int rc;

		t->node.track_write = liov_track_write;
		t->node.track_remove_region = liov_track_remove_region;
		rc = kvm_page_track_register_notifier(inst->vdev.kvm, &t->node);
		t->registered = !rc;
		if (rc)
			dev_warn(liov_dev(inst), "lightiov: KVM does not offer write tracking (%d); every doorbell will exit to user space\n",
				 rc);
	}
	return 0;
}

/**
 * liov_doorbell_close() - undo liov_doorbell_open()
 * @inst: instance whose queues are stopped; its lock must not be held, since
 *        the tracking worker takes it
 *
 * User space may still have pages mapped: each mapping holds its own page
 * reference.  May sleep.
 */
void liov_doorbell_close(struct liov_instance *inst)
{
	struct liov_track *t = &inst->track;

	if (t->registered) {
		mutex_lock(&t->lock);
		t->closing = true;
		mutex_unlock(&t->lock);
		cancel_delayed_work_sync(&t->work);
		/* Waits for callbacks in flight (SRCU), so not under t->lock. */
		mutex_lock(&t->lock);
		liov_track_drop_all(inst);
		mutex_unlock(&t->lock);
		kvm_page_track_unregister_notifier(inst->vdev.kvm, &t->node);
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
	unsigned int i;

	mutex_init(&inst->track.lock);
	INIT_DELAYED_WORK(&inst->track.work, liov_track_work);
	for (i = 1; i <= inst->nr_pairs; i++) {
		spin_lock_init(&inst->sq[i].lock);
		spin_lock_init(&inst->cq[i].lock);
		inst->sq[i].inst = inst;
		inst->cq[i].inst = inst;
		inst->sq[i].qid = i;
		inst->cq[i].qid = i;
	}
}
