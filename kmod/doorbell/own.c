// SPDX-License-Identifier: GPL-2.0
/*
 * Direct mode on a drive whose own doorbells are a page or more apart: while a queue
 * exists the guest maps the drive's own register.  Called by hwq.c when queues come
 * and go, by the reset hooks, and by track.c, which has the RAM pages.
 *
 * A page fault (under mmap_lock) and the switch between RAM page and register
 * exclude each other by own_lock.  The switch changes @own and takes the mapping
 * away: a fault that saw the old @own has put its page in before, one that comes
 * later sees the new @own.  When unmap_mapping_range() has returned, no CPU and
 * no vCPU can reach what was there: it removes KVM's translations too, and waits
 * for every TLB.  It is called under own_lock, so that a second caller who finds
 * @own as he wants it finds the mapping gone as well.
 *
 * To the register only inside a section of the gate: a reset that begins finds
 * it done and takes it back.  Not while KVM tracks the page: its emulator would
 * store in the guest's stead, and may split a store into bytes.
 *
 * Away from it before the queue goes, and for all at once in the stopping hook.
 * That runs inside nvme.ko's reset, which is why a fault may not start I/O when
 * it allocates page tables under own_lock: it could wait for the very controller
 * that is being reset.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/kvm_host.h>
#include <linux/moduleparam.h>

#include "doorbell/doorbell.h"

/* Off: to measure what it brings, or to keep a guest's wrong values from the drive. */
static bool liov_own_doorbells = true;
module_param_named(own_doorbells, liov_own_doorbells, bool, 0644);
MODULE_PARM_DESC(own_doorbells,
		 "direct mode: let guests map the drive's own doorbells where they are a page apart; for devices opened from now on (default Y)");

static void liov_own_switch(struct liov_instance *inst, unsigned int first, unsigned int nr,
			    bool own)
{
	struct liov_track *t = &liov_bells(inst)->track;
	bool changed = false;
	unsigned int i;

	if (!t->own)
		return;
	mutex_lock(&t->own_lock);
	/* One that was shut in between: liov_watch_shut() says so before it revokes. */
	own &= !READ_ONCE(liov_bells(inst)->fatal) && !liov_has_to_stop(inst);
	for (i = first; i < first + nr; i++) {
		struct liov_doorbell *db = liov_doorbell(inst, i);

		changed |= db->own != own;
		WRITE_ONCE(db->own, own);
	}
	if (changed)
		liov_doorbell_zap(inst, first, nr);
	mutex_unlock(&t->own_lock);
}

/* The frame of a doorbell register of the drive. */
static unsigned long liov_own_pfn(struct liov_parent *p, u16 hwqid, bool cq)
{
	return PHYS_PFN(pci_resource_start(p->host->pdev, 0) +
			(liov_pool_doorbell(p, hwqid, cq) - p->host->bar));
}

/**
 * liov_own_open() - may the guest map the drive's own doorbells?
 * @inst: instance that is being opened, after liov_doorbell_open()
 *
 * Decided once: a mapping must be made for it.
 */
void liov_own_open(struct liov_instance *inst)
{
	struct liov_bells *bells = liov_bells(inst);
	struct liov_host *h = bells->parent->host;

	/* vmf_insert_pfn_prot() is for frames without a struct page. */
	bells->track.own = READ_ONCE(liov_own_doorbells) && bells->mode->own_doorbells &&
	       bells->track.registered && IS_ALIGNED(h->db_stride, PAGE_SIZE) &&
	       IS_ALIGNED(pci_resource_start(h->pdev, 0), PAGE_SIZE) &&
	       !pfn_valid(liov_own_pfn(bells->parent, 0, false)) &&
	       !pfn_valid(liov_own_pfn(bells->parent, h->nr_granted, true));
}

/**
 * liov_doorbell_prepare_own() - shall a new queue's doorbell be the drive's own?
 * @inst: instance; the caller holds its lock
 * @qid:  the guest's queue, not yet live
 * @cq:   completion queue rather than submission queue
 *
 * If so, tracking of the page ends here.  May sleep.
 *
 * Return: true if liov_doorbell_own() will do it when the queue is live.
 */
bool liov_doorbell_prepare_own(struct liov_instance *inst, u16 qid, bool cq)
{
	struct liov_bells *bells = liov_bells(inst);
	unsigned int idx = liov_doorbell_nr(qid, cq);
	struct liov_doorbell *db = liov_doorbell(inst, idx);
	struct liov_track *t = &bells->track;

	lockdep_assert_held(&bells->lock);
	if (!t->own)
		return false;
	mutex_lock(&t->lock);
	if (t->mapped) {
		db->quiet = true;
		if (db->tracked)
			kvm_write_track_remove_gfn(bells->vdev.kvm, t->base_gfn + idx);
		db->tracked = false;
	}
	mutex_unlock(&t->lock);
	return db->quiet;
}

/**
 * liov_doorbell_own() - give a live queue's doorbell to the guest, if prepared
 * @inst: instance; the caller holds its lock and is in a section of the gate
 * @qid:  the guest's queue
 * @cq:   completion queue rather than submission queue
 *
 * May sleep.
 */
void liov_doorbell_own(struct liov_instance *inst, u16 qid, bool cq)
{
	struct liov_bells *bells = liov_bells(inst);
	unsigned int idx = liov_doorbell_nr(qid, cq);
	struct liov_doorbell *db = liov_doorbell(inst, idx);

	lockdep_assert_held(&bells->lock);
	if (!db->quiet)
		return;
	/* The ID that the hardware has just made it with.  Nobody looks while it is not own. */
	db->pfn = liov_own_pfn(bells->parent,
			       cq ? liov_cq_at(bells, qid)->hwqid :
				    liov_sq_at(bells, qid)->hwqid, cq);
	liov_own_switch(inst, idx, 1, true);
	/* What went to the RAM page since nobody tracks it. */
	liov_doorbell_kick(inst, idx);
}

/**
 * liov_doorbell_disown() - back to a tracked RAM page
 * @inst: instance; the caller holds its lock
 * @qid:  the guest's queue, no longer live
 * @cq:   completion queue rather than submission queue
 *
 * When it returns no store of the guest reaches the drive.  May sleep.
 */
void liov_doorbell_disown(struct liov_instance *inst, u16 qid, bool cq)
{
	struct liov_bells *bells = liov_bells(inst);
	unsigned int idx = liov_doorbell_nr(qid, cq);
	struct liov_doorbell *db = liov_doorbell(inst, idx);

	lockdep_assert_held(&bells->lock);
	if (!db->quiet)
		return;
	liov_own_switch(inst, idx, 1, false);
	mutex_lock(&bells->track.lock);
	db->quiet = false;
	mutex_unlock(&bells->track.lock);
	liov_doorbell_decode_changed(inst);
}

/**
 * liov_doorbell_revoke() - take all of the drive's registers from the guest
 * @inst: instance
 *
 * From the stopping hook, and when its queues are shut.  When it returns no store of the guest
 * reaches the drive.  Sleeps, but waits neither for I/O nor for the gate.
 */
void liov_doorbell_revoke(struct liov_instance *inst)
{
	liov_own_switch(inst, 0, liov_nr_doorbells(inst), false);
}

