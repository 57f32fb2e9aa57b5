// SPDX-License-Identifier: GPL-2.0
/*
 * The set of shared pairs of a controller: made with its first shared instance, taken away with the
 * last.
 *
 * Under liov_parent.shared_lock; may sleep.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "queue/guarded.h"

/* Entries of a shared pair's rings, where the drive has as many. */
#define LIOV_SHARED_DEPTH	1024

static void liov_shared_free_pair(struct liov_shared_pair *pair)
{
	struct device *dev = &pair->set->p->host->pdev->dev;

	if (pair->sq)
		dma_free_coherent(dev, pair->depth * sizeof(*pair->sq), pair->sq, pair->sq_bus);
	if (pair->cq)
		dma_free_coherent(dev, pair->depth * sizeof(*pair->cq), pair->cq, pair->cq_bus);
	bitmap_free(pair->free);
	kvfree(pair->tag);
}

static void liov_shared_free(struct liov_shared *set)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		liov_shared_free_pair(&set->pair[i]);
	kfree(set->of_cpu);
	kvfree(set);
}

static int liov_shared_init_pair(struct liov_shared *set, unsigned int i)
{
	struct liov_shared_pair *pair = &set->pair[i];
	struct device *dev = &set->p->host->pdev->dev;

	pair->index = i;
	pair->depth = min_t(u32, LIOV_SHARED_DEPTH, NVME_CAP_MQES(set->p->host->cap) + 1);
	pair->nr_tags = pair->depth - 1;
	spin_lock_init(&pair->lock);
	spin_lock_init(&pair->cq_lock);
	liov_shared_line_init(pair);
	liov_shared_serve(pair);
	pair->cq_phase = 1;
	pair->sq = dma_alloc_coherent(dev, pair->depth * sizeof(*pair->sq), &pair->sq_bus,
				      GFP_KERNEL);
	pair->cq = dma_alloc_coherent(dev, pair->depth * sizeof(*pair->cq), &pair->cq_bus,
				      GFP_KERNEL);
	pair->free = bitmap_alloc(pair->nr_tags, GFP_KERNEL);
	pair->tag = kvcalloc(pair->nr_tags, sizeof(*pair->tag), GFP_KERNEL);
	if (!pair->sq || !pair->cq || !pair->free || !pair->tag)
		return -ENOMEM;
	bitmap_fill(pair->free, pair->nr_tags);
	return 0;
}

static struct liov_shared *liov_shared_alloc(struct liov_parent *p, unsigned int nr)
{
	struct liov_shared *set = kvzalloc(struct_size(set, pair, nr), GFP_KERNEL);
	unsigned int i;

	if (!set)
		return NULL;
	set->p = p;
	set->nr = nr;
	mutex_init(&set->lock);
	set->retry_at = jiffies;
	/* liov_shared_free() looks at all of them. */
	for (i = 0; i < nr; i++)
		set->pair[i].set = set;
	set->of_cpu = kcalloc(nr_cpu_ids, sizeof(*set->of_cpu), GFP_KERNEL);
	if (!set->of_cpu)
		goto err;
	/* Neighbours share, as they share caches. */
	for (i = 0; i < nr_cpu_ids; i++)
		set->of_cpu[i] = (u64)i * nr / nr_cpu_ids;
	for (i = 0; i < nr; i++) {
		if (liov_shared_init_pair(set, i))
			goto err;
	}
	return set;

err:
	liov_shared_free(set);
	return NULL;
}

/*
 * As many as an operator wants; else one for each CPU, but no more than half of the pairs that
 * are free.
 */
static unsigned int liov_shared_wanted(struct liov_parent *p)
{
	unsigned int left = liov_pool_free_pairs(p);

	if (p->shared_wanted)
		return min(left, p->shared_wanted);
	return min(num_possible_cpus(), DIV_ROUND_UP(left, 2));
}

/**
 * liov_shared_available() - how many shared instances can be created
 * @p: parent
 *
 * May sleep.  Return: their number.
 */
unsigned int liov_shared_available(struct liov_parent *p)
{
	unsigned int n = 0;

	mutex_lock(&p->shared_lock);
	if (p->shared)
		n = LIOV_MAX_INSTANCES - p->shared->users;
	else if (liov_shared_wanted(p))
		n = LIOV_MAX_INSTANCES;
	mutex_unlock(&p->shared_lock);
	return n;
}

/**
 * liov_shared_pairs() - how many pairs are shared, or will be
 * @p: parent
 *
 * May sleep.  Return: their number.
 */
unsigned int liov_shared_pairs(struct liov_parent *p)
{
	unsigned int n;

	mutex_lock(&p->shared_lock);
	n = p->shared ? p->shared->nr : liov_shared_wanted(p);
	mutex_unlock(&p->shared_lock);
	return n;
}

/**
 * liov_shared_set_pairs() - how many pairs shall be shared
 * @p: parent
 * @n: pairs; 0: one for each CPU, but no more than half of those that are free
 *
 * May sleep.  Return: 0, or -EBUSY: shared instances use those that there are.
 */
int liov_shared_set_pairs(struct liov_parent *p, unsigned int n)
{
	int rc = -EBUSY;

	mutex_lock(&p->shared_lock);
	if (!p->shared) {
		p->shared_wanted = n;
		rc = 0;
	}
	mutex_unlock(&p->shared_lock);
	return rc;
}

/* IDs for all of them, or for none. */
static bool liov_shared_take_qids(struct liov_shared *set)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++) {
		if (liov_pool_fit_qid(set->p, &set->pair[i].hwqid))
			continue;
		while (i--)
			liov_pool_put_qid(set->p, set->pair[i].hwqid, false, 0);
		return false;
	}
	return true;
}

/* The first shared instance: the pairs' IDs come from the pool. */
static int liov_shared_begin(struct liov_parent *p)
{
	unsigned int nr = liov_shared_wanted(p);
	struct liov_shared *set;

	lockdep_assert_held(&p->shared_lock);
	if (!nr)
		return -ENOSPC;
	set = liov_shared_alloc(p, nr);
	if (!set)
		return -ENOMEM;
	if (!liov_shared_take_qids(set)) {
		liov_shared_free(set);
		return -ENOSPC;
	}
	mutex_lock(&p->pool_lock);
	p->shared = set;
	mutex_unlock(&p->pool_lock);
	return 0;
}

/**
 * liov_shared_get() - a shared instance is created
 * @inst: instance
 *
 * May sleep.  Return: 0, -ENOSPC if no pair is free, or -ENOMEM.
 */
int liov_shared_get(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	struct liov_parent *p = pairs->parent;
	unsigned int i;
	int rc;

	mutex_lock(&p->shared_lock);
	rc = p->shared ? 0 : liov_shared_begin(p);
	if (!rc) {
		WRITE_ONCE(p->shared->users, p->shared->users + 1);
		pairs->part = kcalloc(p->shared->nr, sizeof(*pairs->part), GFP_KERNEL_ACCOUNT);
		for (i = 0; pairs->part && i < p->shared->nr; i++) {
			RB_CLEAR_NODE(&pairs->part[i].node);
			INIT_LIST_HEAD(&pairs->part[i].queues);
		}
	}
	mutex_unlock(&p->shared_lock);
	if (!rc && !pairs->part) {
		liov_shared_release(inst);
		rc = -ENOMEM;
	}
	return rc;
}

/**
 * liov_shared_release() - a shared instance goes
 * @inst: instance without queues
 *
 * The last one takes the pairs along.  May sleep as long as deleting them takes.
 */
void liov_shared_release(struct liov_instance *inst)
{
	struct liov_parent *p = liov_pairs(inst)->parent;
	struct liov_shared *set;
	unsigned int i;

	kfree(liov_pairs(inst)->part);
	liov_pairs(inst)->part = NULL;
	mutex_lock(&p->shared_lock);
	set = p->shared;
	WRITE_ONCE(set->users, set->users - 1);
	if (set->users) {
		mutex_unlock(&p->shared_lock);
		return;
	}
	mutex_lock(&p->pool_lock);
	liov_shared_stop(p);
	p->shared = NULL;
	mutex_unlock(&p->pool_lock);
	for (i = 0; i < set->nr; i++) {
		struct liov_shared_pair *pair = &set->pair[i];
		bool lost = liov_shared_unmake(pair);

		if (lost) {
			/* A few pages, which the drive may write to until its next reset. */
			pci_warn(p->host->pdev, "lightiov: memory of shared queue pair %u is given up; reset the controller (nvme reset)\n",
				 pair->hwqid);
			pair->sq = NULL;
			pair->cq = NULL;
		}
		liov_pool_put_qid(p, pair->hwqid, lost, pair->gen);
	}
	liov_shared_free(set);
	mutex_unlock(&p->shared_lock);
}
