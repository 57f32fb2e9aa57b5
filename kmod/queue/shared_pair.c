// SPDX-License-Identifier: GPL-2.0
/*
 * Shared pairs, the hardware's side: made when the first queue of a shared instance needs
 * them, made again after a reset of the controller, deleted in the end (shared_set.c); and
 * their interrupts, which take completions to the queues they belong to.
 *
 * Who may run at once: liov_shared_up() of many instances, one at a time by liov_shared.lock;
 * interrupts, liov_shared_pair.work and liov_shared_reap(), one at a time a pair by its
 * cq_lock.  The latter is held until the queues that had completions were looked at: who has
 * held it once after a queue's last command ended knows that nobody comes to that queue any
 * more.  The reset hooks take the pairs' locks alone.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/sched/mm.h>
#include <linux/timekeeping.h>

#include "queue/guarded.h"

/* When those that could not be made are tried again, if somebody makes queues. */
#define LIOV_SHARED_RETRY_MS	1000

/* ---- completions ---- */

/* A queue had a completion in this pass. */
static void liov_shared_touch(struct liov_shared_pair *pair, struct liov_cq *cq)
{
	unsigned int i;

	for (i = pair->nr_touched; i; i--) {
		if (pair->touched[i - 1] == cq)
			return;
	}
	pair->touched[pair->nr_touched++] = cq;
}

static bool liov_shared_has_more(const struct liov_shared_pair *pair)
{
	return (le16_to_cpu(READ_ONCE(pair->cq[pair->cq_head].status)) & 1) == pair->cq_phase;
}

static void liov_shared_complete(struct liov_shared_pair *pair, const struct nvme_completion *e,
				 u64 now)
{
	struct liov_tag tag;
	struct liov_cq *cq;
	int rc;

	rc = liov_shared_owner(pair, e->command_id, &tag);
	if (unlikely(rc <= 0)) {
		if (rc < 0)
			dev_warn_ratelimited(&pair->set->p->host->pdev->dev,
					     "lightiov: it completed command %u of queue %u, which it was not given\n",
					     e->command_id, pair->hwqid);
		return;
	}
	cq = tag.sq->cq;
	spin_lock(&cq->g->lock);
	/* Not what an Abort alone holds, or what is not yet given to it. */
	if (likely(atomic_read(&tag.g->slot[tag.slot].state) & LIOV_SLOT_BUSY))
		liov_slot_complete(tag.sq, tag.g, tag.slot, e, now);
	spin_unlock(&cq->g->lock);
	liov_shared_touch(pair, cq);
}

/* No more than @max.  Returns how many; fewer than @max are all. */
static u32 liov_shared_take_completions(struct liov_shared_pair *pair, u32 max)
{
	u64 now = 0;
	u32 n;

	lockdep_assert_held(&pair->cq_lock);
	for (n = 0; n < max && liov_shared_has_more(pair); n++) {
		/* The rest of the entry after its phase. */
		dma_rmb();
		if (!n)
			now = ktime_get_ns();
		liov_shared_complete(pair, &pair->cq[pair->cq_head], now);
		if (++pair->cq_head == pair->depth) {
			pair->cq_head = 0;
			pair->cq_phase ^= 1;
		}
	}
	return n;
}

/* Tells the hardware; not once the controller is being taken down. */
static void liov_shared_ack(struct liov_shared_pair *pair)
{
	lockdep_assert_held(&pair->cq_lock);
	if (pair->cq_acked == pair->cq_head)
		return;
	spin_lock(&pair->lock);
	if (pair->live) {
		writel(pair->cq_head, pair->cq_db);
		pair->cq_acked = pair->cq_head;
	}
	spin_unlock(&pair->lock);
}

static bool liov_shared_irq(struct liov_vector_user *user, struct liov_pass *pass)
{
	struct liov_shared_pair *pair = container_of(user, struct liov_shared_pair, user);
	unsigned long flags;
	unsigned int i;
	u32 n;

	spin_lock_irqsave(&pair->cq_lock, flags);
	pair->nr_touched = 0;
	n = liov_shared_take_completions(pair, min(pass->completions, LIOV_PASS_COMPLETIONS));
	pass->completions -= n;
	liov_shared_ack(pair);
	/* The hardware need not interrupt again for what it has posted already. */
	if (unlikely(!pass->completions) && liov_shared_has_more(pair))
		queue_work(system_highpri_wq, &pair->work);
	for (i = 0; i < pair->nr_touched; i++) {
		struct liov_cq *cq = pair->touched[i];

		liov_busy_look(cq, pass);
		liov_guarded_wake(cq);
		if (cq->ien)
			liov_irq_interrupt(cq->inst, cq->vector);
	}
	spin_unlock_irqrestore(&pair->cq_lock, flags);
	return n;
}

static void liov_shared_work(struct work_struct *work)
{
	struct liov_shared_pair *pair = container_of(work, struct liov_shared_pair, work);
	struct liov_pass pass = LIOV_PASS_INIT;

	liov_shared_irq(&pair->user, &pass);
}

/**
 * liov_shared_serve() - what serves a pair's completions; once
 * @pair: pair
 */
void liov_shared_serve(struct liov_shared_pair *pair)
{
	INIT_WORK(&pair->work, liov_shared_work);
	pair->user.irq = liov_shared_irq;
}

/**
 * liov_shared_reap() - take all that the hardware has posted
 * @set: of a parent
 *
 * When it returns, nobody is at a queue any more whose last command had ended before.  For
 * those who take queues down or wait for commands.  Process context.
 */
void liov_shared_reap(struct liov_shared *set)
{
	unsigned int i, n;

	for (i = 0; i < set->nr; i++) {
		/* Bounded by what can be outstanding, even if the hardware goes mad. */
		for (n = 0; n < set->pair[i].depth; n += LIOV_PASS_COMPLETIONS) {
			struct liov_pass pass = LIOV_PASS_INIT;

			liov_shared_irq(&set->pair[i].user, &pass);
			if (pass.completions)
				break;
		}
	}
}

/* ---- making ---- */

static int liov_shared_make_cq(struct liov_shared_pair *pair)
{
	struct liov_shared *set = pair->set;
	struct nvme_command c = {};
	cpumask_var_t cpus;
	unsigned int cpu;
	int rc, index;

	if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		if (set->of_cpu[cpu] == pair->index)
			cpumask_set_cpu(cpu, cpus);
	}
	index = liov_irq_attach_user(set->p, &pair->user, pair->hwqid, cpus);
	free_cpumask_var(cpus);
	if (index < 0)
		return index;
	c.create_cq.opcode = nvme_admin_create_cq;
	c.create_cq.prp1 = cpu_to_le64(pair->cq_bus);
	c.create_cq.cqid = cpu_to_le16(pair->hwqid);
	c.create_cq.qsize = cpu_to_le16(pair->depth - 1);
	c.create_cq.cq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG | NVME_CQ_IRQ_ENABLED);
	c.create_cq.irq_vector = cpu_to_le16(index);
	rc = liov_host_admin(set->p->host, &c, NULL, 0, NULL);
	if (rc)
		liov_irq_detach_user(set->p, &pair->user);
	return rc;
}

static int liov_shared_make_sq(struct liov_shared_pair *pair)
{
	struct nvme_command c = {};

	c.create_sq.opcode = nvme_admin_create_sq;
	c.create_sq.prp1 = cpu_to_le64(pair->sq_bus);
	c.create_sq.sqid = cpu_to_le16(pair->hwqid);
	c.create_sq.qsize = cpu_to_le16(pair->depth - 1);
	c.create_sq.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG);
	c.create_sq.cqid = cpu_to_le16(pair->hwqid);
	return liov_host_admin(pair->set->p->host, &c, NULL, 0, NULL);
}

/* What was posted before a reset is taken, then the rings are new. */
static void liov_shared_clear(struct liov_shared_pair *pair)
{
	liov_shared_reset(pair);
	spin_lock_irq(&pair->cq_lock);
	memset(pair->cq, 0, pair->depth * sizeof(*pair->cq));
	pair->cq_head = 0;
	pair->cq_phase = 1;
	pair->cq_acked = 0;
	spin_unlock_irq(&pair->cq_lock);
}

/* In a section of the gate.  Returns 0, an NVMe status or a negative errno. */
static int liov_shared_make(struct liov_shared_pair *pair)
{
	struct liov_parent *p = pair->set->p;
	u64 gen = READ_ONCE(p->gen);
	int rc;

	lockdep_assert_held(&pair->set->lock);
	if (pair->stuck && !liov_queue_lost(p, pair->gen))
		return -EIO;
	pair->made = false;
	pair->stuck = false;
	liov_shared_clear(pair);
	if (!liov_pool_fit_qid(p, &pair->hwqid))
		return -ENOSPC;
	pair->sq_db = liov_pool_doorbell(p, pair->hwqid, false);
	pair->cq_db = liov_pool_doorbell(p, pair->hwqid, true);
	rc = liov_shared_make_cq(pair);
	if (rc)
		return rc;
	rc = liov_shared_make_sq(pair);
	spin_lock_irq(&pair->lock);
	/* After a section that was overrun: the gate is closed before the stopping hook runs. */
	if (!rc && (liov_queue_lost(p, gen) || liov_host_is_down(p->host)))
		rc = -EAGAIN;
	pair->gen = gen;
	pair->live = !rc;
	spin_unlock_irq(&pair->lock);
	pair->made = !rc;
	if (rc) {
		pair->stuck = liov_queue_delete(p, nvme_admin_delete_cq, pair->hwqid, gen, false,
						NULL);
		liov_irq_detach_user(p, &pair->user);
	}
	return rc;
}

/* Has the hardware the pair, as it is now?  Under liov_shared.lock. */
static bool liov_shared_is_made(const struct liov_shared_pair *pair)
{
	return pair->made && !liov_queue_lost(pair->set->p, pair->gen);
}

/* The controller went down again. */
static bool liov_shared_is_down(int rc)
{
	return rc == -EAGAIN || rc == -EINTR || rc == -ENODEV;
}

/*
 * Makes those that are not there.  Returns how many are; *err is what the last other one failed
 * with.
 */
static unsigned int liov_shared_make_all(struct liov_shared *set, int *err)
{
	bool retry = time_after_eq(jiffies, set->retry_at);
	unsigned int i, ok = 0;

	lockdep_assert_held(&set->lock);
	for (i = 0; i < set->nr; i++)
		ok += liov_shared_is_made(&set->pair[i]);
	for (i = 0; i < set->nr; i++) {
		struct liov_shared_pair *pair = &set->pair[i];
		int rc;

		/* One that failed a moment ago can wait, if others are there. */
		if (liov_shared_is_made(pair) || (ok && !retry))
			continue;
		rc = liov_shared_make(pair);
		ok += !rc;
		if (!rc)
			continue;
		*err = rc;
		/* What there is went with it. */
		if (liov_shared_is_down(rc))
			return 0;
		set->retry_at = jiffies + msecs_to_jiffies(LIOV_SHARED_RETRY_MS);
		if (rc != pair->err)
			pci_warn(set->p->host->pdev,
				 "lightiov: shared queue pair %u could not be made (%d)\n",
				 pair->hwqid, rc);
		pair->err = rc;
	}
	return ok;
}

/**
 * liov_shared_up() - the shared pairs are there, or are there again
 * @set: of a parent; the caller is in a section of the gate (liov_host_enter())
 * @gen: out: liov_parent.gen in which they are
 *
 * May sleep as long as the hardware takes.
 *
 * Return: 0 if at least one is; else what the last one failed with, an NVMe status or a
 * negative errno.
 */
int liov_shared_up(struct liov_shared *set, u64 *gen)
{
	unsigned int i, noio, ok;
	int err = -ENOSPC;

	*gen = READ_ONCE(set->p->gen);
	mutex_lock(&set->lock);
	noio = memalloc_noio_save();
	/* What was posted before the reset belongs to its queues before tags are forgotten. */
	for (i = 0; i < set->nr; i++) {
		if (set->pair[i].made && !liov_shared_is_made(&set->pair[i])) {
			liov_shared_reap(set);
			/* All that the reset took are tried at once. */
			set->retry_at = jiffies;
			break;
		}
	}
	ok = liov_shared_make_all(set, &err);
	memalloc_noio_restore(noio);
	mutex_unlock(&set->lock);
	/* An overrun section again: whoever is made now would not be heard of. */
	if (ok && (liov_queue_lost(set->p, *gen) || liov_host_is_down(set->p->host)))
		return -EAGAIN;
	return ok ? 0 : err;
}

/**
 * liov_shared_stop() - the host takes the controller down
 * @p: parent; the caller holds its pool_lock
 *
 * From the stopping hook.  From here on nothing rings for a shared pair.
 */
void liov_shared_stop(struct liov_parent *p)
{
	unsigned int i;

	lockdep_assert_held(&p->pool_lock);
	for (i = 0; p->shared && i < p->shared->nr; i++) {
		spin_lock_irq(&p->shared->pair[i].lock);
		p->shared->pair[i].live = false;
		spin_unlock_irq(&p->shared->pair[i].lock);
	}
}

/**
 * liov_shared_unmake() - take a pair from the hardware
 * @pair: pair that is not live, without users
 *
 * May sleep as long as the hardware takes.
 *
 * Return: whether the hardware may still use its rings.
 */
bool liov_shared_unmake(struct liov_shared_pair *pair)
{
	struct liov_parent *p = pair->set->p;
	int rc = 0;

	if (pair->made)
		rc = liov_queue_delete(p, nvme_admin_delete_sq, pair->hwqid, pair->gen, true,
				       NULL);
	if (!rc && (pair->made || pair->stuck))
		rc = liov_queue_delete(p, nvme_admin_delete_cq, pair->hwqid, pair->gen, true,
				       NULL);
	liov_irq_detach_user(p, &pair->user);
	cancel_work_sync(&pair->work);
	cancel_delayed_work_sync(&pair->tick);
	return rc;
}
