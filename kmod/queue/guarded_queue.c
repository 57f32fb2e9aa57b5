// SPDX-License-Identifier: GPL-2.0
/*
 * The life of guarded mode's queues: rings and slots made and freed, Abort, the
 * wait for what is outstanding, memory that VFIO takes away.  Fills the mode's
 * liov_mode_ops.
 *
 * Everything here runs under liov_instance.lock and may sleep.  Who else is at
 * work on a queue meanwhile is written down in guarded.h.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "queue/guarded.h"

/* How long commands in flight may take before their queue is deleted instead. */
#define LIOV_DRAIN_MS		3000

/* ---- rings ---- */

static size_t liov_gcq_bytes(const struct liov_instance *inst)
{
	return struct_size_t(struct liov_gcq, sqs, liov_pairs(inst)->nr_pairs + 1);
}

static int liov_guarded_cq_make_ring(struct liov_cq *cq, const struct nvme_command *c,
				     struct liov_ring *ring)
{
	u32 bytes = cq->depth * sizeof(struct nvme_completion);
	struct liov_instance *inst = cq->inst;
	struct liov_gcq *g;
	int rc;

	g = kzalloc(liov_gcq_bytes(inst), GFP_KERNEL_ACCOUNT);
	if (!g)
		return -ENOMEM;
	spin_lock_init(&g->lock);
	g->phase = 1;
	g->hw_phase = 1;
	if (!liov_pairs(inst)->shared) {
		g->hw = dma_alloc_coherent(liov_dma_dev(inst), bytes, &g->hw_bus, LIOV_GFP_DMA);
		if (!g->hw) {
			rc = -ENOMEM;
			goto err_free;
		}
	}
	rc = liov_ring_map(inst, &cq->ring_map, le64_to_cpu(c->create_cq.prp1), bytes);
	if (rc)
		goto err_hw;
	liov_count_host(inst, liov_gcq_bytes(inst) + (g->hw ? bytes : 0));
	cq->ring = cq->ring_map.va;
	cq->lazy = true;
	cq->g = g;
	ring->bus = g->hw_bus;
	ring->depth = cq->depth;
	return 0;

err_hw:
	if (g->hw)
		dma_free_coherent(liov_dma_dev(inst), bytes, g->hw, g->hw_bus);
err_free:
	kfree(g);
	return rc;
}

/* Its vector is detached and its submission queues are gone. */
static void liov_guarded_cq_free_ring(struct liov_cq *cq)
{
	struct liov_instance *inst = cq->inst;
	struct liov_gcq *g = cq->g;

	if (!g)
		return;
	/* It waits for nobody, and what queued it was on the vector. */
	liov_job_cancel(inst, &cq->job);
	cq->g = NULL;
	cq->ring = NULL;
	liov_ring_unmap(inst, &cq->ring_map);
	liov_count_host(inst, -(long)liov_gcq_bytes(inst));
	if (g->hw && !liov_pairs(inst)->leaking) {
		dma_free_coherent(liov_dma_dev(inst), cq->depth * sizeof(*g->hw), g->hw,
				  g->hw_bus);
		liov_count_host(inst, -(long)(cq->depth * sizeof(*g->hw)));
	}
	kfree(g);
}

static void liov_gsq_free(struct liov_instance *inst, struct liov_gsq *g)
{
	struct device *dev = liov_dma_dev(inst);
	unsigned int i;

	liov_ring_unmap(inst, &g->map);
	if (!liov_pairs(inst)->leaking) {
		for (i = 0; i < g->nr_slots; i++) {
			if (!g->slot[i].page)
				continue;
			dma_free_coherent(dev, PAGE_SIZE, g->slot[i].page, g->slot[i].page_bus);
			liov_count_host(inst, -(long)PAGE_SIZE);
		}
		if (g->hw) {
			dma_free_coherent(dev, g->hw_depth * sizeof(*g->hw), g->hw, g->hw_bus);
			liov_count_host(inst, -(long)(g->hw_depth * sizeof(*g->hw)));
		}
	}
	liov_count_host(inst, -(long)struct_size(g, slot, g->nr_slots));
	kvfree(g);
}

/* A ring of its own, or the parent's shared pairs. */
static int liov_gsq_hw_ring(struct liov_instance *inst, struct liov_gsq *g)
{
	if (liov_pairs(inst)->shared) {
		g->shared = liov_pairs(inst)->parent->shared;
		return 0;
	}
	g->hw = dma_alloc_coherent(liov_dma_dev(inst), g->hw_depth * sizeof(*g->hw),
				   &g->hw_bus, LIOV_GFP_DMA);
	if (!g->hw)
		return -ENOMEM;
	liov_count_host(inst, g->hw_depth * sizeof(*g->hw));
	return 0;
}

static int liov_guarded_sq_make_ring(struct liov_sq *sq, const struct nvme_command *c,
				     struct liov_ring *ring)
{
	u32 nr_slots = min_t(u32, sq->depth - 1, LIOV_MAX_SLOTS);
	struct liov_instance *inst = sq->inst;
	struct liov_gsq *g;
	int rc;

	g = kvzalloc(struct_size(g, slot, nr_slots), GFP_KERNEL_ACCOUNT);
	if (!g)
		return -ENOMEM;
	liov_count_host(inst, struct_size(g, slot, nr_slots));
	g->nr_slots = nr_slots;
	g->hw_depth = nr_slots + 1;
	bitmap_fill(g->free, nr_slots);
	rc = liov_gsq_hw_ring(inst, g);
	if (rc)
		goto err_free;
	rc = liov_ring_map(inst, &g->map, le64_to_cpu(c->create_sq.prp1),
			   sq->depth * sizeof(struct nvme_command));
	if (rc)
		goto err_free;

	spin_lock_irq(&sq->cq->g->lock);
	sq->cq->g->sqs[sq->qid] = g;
	spin_unlock_irq(&sq->cq->g->lock);
	liov_submit_lock(sq);
	sq->starved = false;
	sq->load_waits = false;
	sq->g = g;
	liov_submit_unlock(sq);
	ring->bus = g->hw_bus;
	ring->depth = g->hw_depth;
	return 0;

err_free:
	liov_gsq_free(inst, g);
	return rc;
}

/* May the guest still be told of commands that a deletion ended? */
static bool liov_guarded_listens(const struct liov_instance *inst)
{
	return READ_ONCE(liov_pairs(inst)->awake) && !READ_ONCE(liov_pairs(inst)->fatal);
}

static void liov_guarded_sq_free_ring(struct liov_sq *sq)
{
	struct liov_instance *inst = sq->inst;
	struct liov_cq *cq = sq->cq;
	struct liov_gsq *g;
	bool told = false;
	unsigned int i;

	liov_submit_lock(sq);
	g = sq->g;
	sq->g = NULL;
	sq->starved = false;
	WRITE_ONCE(sq->load_waits, false);
	WRITE_ONCE(sq->throttled, false);
	sq->throttled_since = 0;
	liov_submit_unlock(sq);
	/* Before its job, which is queued for whoever is in line. */
	if (g && g->shared)
		liov_shared_leave(sq);
	/* Finds nothing to do from here on, but must not outlive the instance. */
	liov_sq_cancel(sq);
	if (!g)
		return;

	/* What it completed before it deleted the queue, then what it did not. */
	told = liov_guarded_reap_all(cq);
	for (i = 0; g->shared && i < g->nr_slots; i++) {
		if (atomic_read(&g->slot[i].state) & LIOV_SLOT_BUSY)
			liov_shared_forget(g->shared, g, i);
	}
	spin_lock_irq(&cq->g->lock);
	for (i = 0; i < g->nr_slots; i++) {
		if (!(atomic_read(&g->slot[i].state) & LIOV_SLOT_BUSY))
			continue;
		sq->stats.completed++;
		sq->stats.errors++;
		if (g->slot[i].load)
			liov_load_put(inst, g->slot[i].load);
		if (liov_guarded_listens(inst)) {
			liov_gcq_post(cq, sq, g, g->slot[i].cid, NVME_SC_ABORT_QUEUE, 0);
			told = true;
		} else {
			cq->g->reserved--;
		}
	}
	cq->g->sqs[sq->qid] = NULL;
	spin_unlock_irq(&cq->g->lock);
	if (told && cq->ien)
		liov_irq_interrupt(inst, cq->vector);
	liov_guarded_wake(cq);
	/* Nobody is at it any more who took completions while that went on. */
	if (g->shared)
		liov_shared_reap(g->shared);
	liov_gsq_free(inst, g);
}

/* ---- commands that take part in the slow path ---- */

/*
 * The slot is held while the hardware looks for the command, or its number could
 * meanwhile be another command's.
 */
static u16 liov_guarded_abort(struct liov_instance *inst, u16 sqid, u16 cid, u32 *result)
{
	struct liov_sq *sq = liov_sq_at(liov_pairs(inst), sqid);
	struct liov_gsq *g = sq->g;
	unsigned int i;
	u16 status;

	lockdep_assert_held(&liov_pairs(inst)->lock);
	*result = 1;
	if (!g)
		return 0;
	liov_submit_lock(sq);
	for (i = 0; i < g->nr_slots; i++) {
		struct liov_slot *s = &g->slot[i];

		if (!(atomic_read(&s->state) & LIOV_SLOT_BUSY) || s->cid != cid)
			continue;
		if (atomic_fetch_or(LIOV_SLOT_HELD, &s->state) & LIOV_SLOT_BUSY)
			break;
		/* Completed in between; the slot is free and not to be freed twice. */
		atomic_andnot(LIOV_SLOT_HELD, &s->state);
	}
	liov_submit_unlock(sq);
	if (i == g->nr_slots)
		return 0;

	status = liov_guarded_abort_slot(sq, i, result);
	liov_slot_put(g, i, LIOV_SLOT_HELD);
	liov_guarded_wake(sq->cq);
	return status;
}

/*
 * Keeps submitters out and waits until the hardware has completed what it has, or
 * will never see it, because the host took the controller down.  The locks are
 * taken also if that fails.
 */
static int liov_guarded_hold(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned long end;
	unsigned int i;
	int rc = 0;

	lockdep_assert_held(&pairs->lock);
	for (i = 1; i <= pairs->nr_pairs; i++)
		liov_submit_lock(liov_sq_at(pairs, i));
	/* Who had them may have been at pins for long. */
	end = jiffies + msecs_to_jiffies(LIOV_DRAIN_MS);
	for (i = 1; i <= pairs->nr_pairs; i++) {
		while (!liov_gsq_idle(liov_sq_at(pairs, i))) {
			if (time_after(jiffies, end)) {
				rc = -ETIMEDOUT;
				break;
			}
			usleep_range(50, 200);
			/* What an interrupt has left: its job may have to wait for others. */
			liov_guarded_reap(liov_sq_at(pairs, i)->cq);
		}
		if (liov_sq_at(pairs, i)->g && liov_gsq_lost(liov_sq_at(pairs, i)))
			liov_gsq_give_up(liov_sq_at(pairs, i));
	}
	return rc;
}

static void liov_guarded_unhold(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	for (i = pairs->nr_pairs; i; i--) {
		/* What the guest rang for meanwhile must not wait for its next ring. */
		if (liov_sq_at(pairs, i)->g)
			liov_job_queue(inst, &liov_sq_at(pairs, i)->job);
		liov_submit_unlock(liov_sq_at(pairs, i));
	}
}

static int liov_guarded_drain(struct liov_instance *inst)
{
	int rc = liov_guarded_hold(inst);

	liov_guarded_unhold(inst);
	return rc;
}

static bool liov_guarded_rings_overlap(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	for (i = 1; i <= pairs->nr_pairs; i++) {
		if (liov_ring_overlaps(&liov_cq_at(pairs, i)->ring_map, iova, len) ||
		    (liov_sq_at(pairs, i)->g &&
		     liov_ring_overlaps(&liov_sq_at(pairs, i)->g->map, iova, len)))
			return true;
	}
	return false;
}

/* Submitters are kept out and nothing is outstanding, so nobody uses the rings. */
static void liov_guarded_unmap_rings(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	for (i = 1; i <= pairs->nr_pairs; i++) {
		struct liov_cq *cq = liov_cq_at(pairs, i);
		struct liov_sq *sq = liov_sq_at(pairs, i);

		if (sq->g && liov_ring_overlaps(&sq->g->map, iova, len))
			liov_ring_unmap(inst, &sq->g->map);
		if (!liov_ring_overlaps(&cq->ring_map, iova, len))
			continue;
		spin_lock_irq(&cq->g->lock);
		cq->ring = NULL;
		spin_unlock_irq(&cq->g->lock);
		liov_ring_unmap(inst, &cq->ring_map);
	}
}

static bool liov_guarded_in_use(struct liov_instance *inst, u64 iova, u64 len)
{
	return liov_gmem_overlaps(inst, iova, len) ||
		liov_guarded_rings_overlap(inst, iova, len);
}

/*
 * The guest loses memory: at a reboot all of it, when a firmware changes what the
 * low memory is all of that for a moment, else what is unplugged.  It goes once the
 * hardware has completed what it was given.  Hardware never touches the guest's
 * rings, so a queue outlives its rings: they are looked for at its next doorbell.
 */
static int liov_guarded_unmap(struct liov_instance *inst, u64 iova, u64 len)
{
	int rc = liov_guarded_hold(inst);

	if (!rc) {
		liov_gmem_unmap(inst, iova, len);
		liov_guarded_unmap_rings(inst, iova, len);
	}
	liov_guarded_unhold(inst);
	return rc;
}

static void liov_guarded_open(struct liov_instance *inst)
{
	unsigned int i;

	for (i = 1; i <= liov_pairs(inst)->nr_pairs; i++)
		liov_cq_at(liov_pairs(inst), i)->lazy = true;
	liov_pin_forget(inst);
}

/* liov_sq.work: has the job done. */
static void liov_guarded_job_later(struct work_struct *work)
{
	struct liov_sq *sq = container_of(to_delayed_work(work), struct liov_sq, work);

	liov_job_queue(sq->inst, &sq->job);
}

/* liov_sq.job: what had to wait. */
static void liov_guarded_job(struct liov_job *job)
{
	struct liov_sq *sq = container_of(job, struct liov_sq, job);
	struct mem_cgroup *old = liov_charge_begin(sq->inst);

	liov_guarded_submit(sq, LIOV_TRIGGER_WORK);
	liov_charge_end(old);
}

/**
 * liov_guarded_init() - prepare an instance's queues; once, at creation
 * @inst: instance
 */
void liov_guarded_init(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i;

	for (i = 1; i <= pairs->nr_pairs; i++) {
		sema_init(&liov_sq_at(pairs, i)->submit, 1);
		INIT_LIST_HEAD(&liov_sq_at(pairs, i)->line_node);
		liov_job_init(&liov_sq_at(pairs, i)->job, liov_guarded_job);
		INIT_DELAYED_WORK(&liov_sq_at(pairs, i)->work, liov_guarded_job_later);
		liov_job_init(&liov_cq_at(pairs, i)->job, liov_guarded_cq_job);
	}
}

/* Its completions always interrupt, and liov_gsq knows what is outstanding. */
static bool liov_guarded_may_be_busy(struct liov_sq *sq)
{
	return READ_ONCE(sq->cq) == liov_cq_at(liov_pairs(sq->inst), sq->qid);
}

/* Both kinds of guarded mode. */
#define LIOV_GUARDED_OPS							\
	.name		= "guarded",						\
	.open		= liov_guarded_open,					\
	.cq_make_ring	= liov_guarded_cq_make_ring,				\
	.cq_free_ring	= liov_guarded_cq_free_ring,				\
	.sq_make_ring	= liov_guarded_sq_make_ring,				\
	.sq_free_ring	= liov_guarded_sq_free_ring,				\
	.sq_submit	= liov_guarded_submit,					\
	.sq_look	= liov_guarded_look,					\
	.sq_later	= liov_guarded_cut,					\
	.cq_kick	= liov_guarded_cq_kick,					\
	.cq_irq		= liov_guarded_cq_irq,					\
	.may_be_busy	= liov_guarded_may_be_busy,				\
	.cq_rebuild	= liov_guarded_cq_rebuild,				\
	.sq_rebuild	= liov_guarded_sq_rebuild,				\
	.abort		= liov_guarded_abort,					\
	.in_use		= liov_guarded_in_use,					\
	.unmap		= liov_guarded_unmap,					\
	.drop		= liov_gmem_unmap,					\
	.leak		= liov_gmem_leak,					\
	.drain		= liov_guarded_drain,					\
	.guard		= true,							\
	.always_irq	= true,							\
	.jobs		= true

const struct liov_mode_ops liov_guarded_ops = {
	LIOV_GUARDED_OPS,
};

/* Of an instance whose queues are served by the parent's shared pairs. */
const struct liov_mode_ops liov_shared_ops = {
	LIOV_GUARDED_OPS,
	.cq_make	= liov_shared_cq_make,
	.sq_make	= liov_shared_sq_make,
	.sq_stop	= liov_shared_sq_stop,
};
