// SPDX-License-Identifier: GPL-2.0
/*
 * The spare queue pairs of a controller, and its admin queue as far as instances use it.
 *
 * Owns liov_parent.qids and .stuck_qids, which hardware queue IDs are given to whom.  All of
 * that is under pool_lock, which the reset hooks take: nothing waits for the drive under it.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/slab.h>

#include "compat.h"
#include "pool/pool.h"

/* How often a command is sent that resets of the host's cancel. */
#define LIOV_ADMIN_TRIES	3

/*
 * Opens a section of the gate, after a reset if need be.  May sleep as long as one takes.
 * Returns 0, -EAGAIN if the controller did not come back in time, or -ENODEV.
 */
static int liov_pool_enter(struct liov_parent *p)
{
	int rc = liov_host_enter(p->host);

	if (rc == -EAGAIN) {
		rc = liov_host_wait_live(p->host, LIOV_ADMIN_WAIT_MS);
		if (!rc)
			rc = liov_host_enter(p->host);
	}
	return rc == -ETIMEDOUT ? -EAGAIN : rc;
}

/**
 * liov_pool_admin() - send one admin command to the hardware
 * @p:      parent
 * @cmd:    the command, with the hardware's IDs
 * @buf:    data buffer or NULL
 * @len: its length
 * @result: dword 0 of the completion, or NULL
 *
 * Opens its own section of the gate; waits while the host resets the
 * controller, and sends it again if a reset cancelled it.  May sleep; must not
 * be called with pool_lock or irq_lock held nor inside a section.
 *
 * Return: 0, a positive NVMe status, -EAGAIN if the controller did not come
 * back in time, -ENODEV if it is gone, or another negative errno.
 */
int liov_pool_admin(struct liov_parent *p, struct nvme_command *cmd, void *buf,
		    unsigned int len, u32 *result)
{
	int rc, tries = 0;

	do {
		rc = liov_pool_enter(p);
		if (rc)
			return rc;
		rc = liov_host_admin(p->host, cmd, buf, len, result);
		liov_host_leave(p->host);
	} while (rc == -EINTR && ++tries < LIOV_ADMIN_TRIES);
	return rc;
}

/**
 * liov_pool_admin_now() - the same, without waiting for a reset
 * @p:      parent
 * @cmd:    the command, with the hardware's IDs
 * @buf:    data buffer or NULL
 * @len:    its length
 *
 * May sleep as long as the command takes.
 *
 * Return: as liov_pool_admin(); -EAGAIN or -EINTR while the controller is reset.
 */
int liov_pool_admin_now(struct liov_parent *p, struct nvme_command *cmd, void *buf,
			unsigned int len)
{
	int rc = liov_host_enter(p->host);

	if (rc)
		return rc;
	rc = liov_host_admin(p->host, cmd, buf, len, NULL);
	liov_host_leave(p->host);
	return rc;
}

/**
 * liov_pool_doorbell() - the hardware's doorbell register of a queue
 * @p:     parent
 * @hwqid: the hardware's queue ID
 * @cq:    completion queue head rather than submission queue tail
 *
 * NVMe PCIe Transport 1.0 section 3.1.2.  Return: its mapped address.
 */
void __iomem *liov_pool_doorbell(struct liov_parent *p, u16 hwqid, bool cq)
{
	return p->host->bar + LIOV_DB_BASE +
	       (size_t)(2 * hwqid + cq) * p->host->db_stride;
}

static unsigned int liov_free_pairs_locked(struct liov_parent *p)
{
	unsigned int qid, n = 0;

	lockdep_assert_held(&p->pool_lock);
	for (qid = p->host->nr_host + 1; qid <= p->host->nr_granted; qid++)
		n += !test_bit(qid, p->qids);
	return n;
}

/**
 * liov_pool_free_pairs() - spare queue pairs no instance holds
 * @p: parent
 *
 * May sleep.  Return: their number.
 */
unsigned int liov_pool_free_pairs(struct liov_parent *p)
{
	unsigned int n;

	mutex_lock(&p->pool_lock);
	n = liov_free_pairs_locked(p);
	mutex_unlock(&p->pool_lock);
	return n;
}

static bool liov_qid_granted(struct liov_parent *p, u16 qid)
{
	return qid > p->host->nr_host && qid <= p->host->nr_granted;
}

/**
 * liov_pool_recount() - who goes without a queue pair?
 * @p: parent; the caller holds its pool_lock
 *
 * A drive may grant fewer after a reset.  First come first served; liov_pool_remap() moves
 * the others when they make their queues.
 */
void liov_pool_recount(struct liov_parent *p)
{
	unsigned int i, left = liov_free_pairs_locked(p);
	struct liov_env *env;

	list_for_each_entry(env, &p->instances, node) {
		struct liov_instance *inst = liov_env_inst(env);
		unsigned int moves = 0, lacks;

		if (env->shared)
			continue;
		for (i = 1; i <= env->nr_pairs; i++)
			moves += !liov_qid_granted(p, env->hwqid[i]);
		lacks = moves - min(moves, left);
		left -= moves - lacks;
		if (lacks > env->lacks)
			liov_err(inst, "%s grants only %u queue pairs since its reset, which leaves %u for this device's %u; remove it or another, or have the drive grant more and reset it\n",
				 pci_name(p->host->pdev), p->host->nr_granted,
				 env->nr_pairs - lacks, env->nr_pairs);
		else if (lacks < env->lacks)
			liov_info(inst, "%u of %u queue pairs again, once its controller is reset\n",
				  env->nr_pairs - lacks, env->nr_pairs);
		if (lacks == env->lacks)
			continue;
		WRITE_ONCE(env->lacks, lacks);
		liov_state_changed(inst);
	}
}

static void liov_update_floor(struct liov_parent *p)
{
	unsigned long lowest = find_first_bit(p->qids, LIOV_QID_BITS);

	lockdep_assert_held(&p->pool_lock);
	liov_host_set_floor(p->host, lowest < LIOV_QID_BITS ? lowest : 0);
}

/* The highest free one, which is taken then; 0 if there is none. */
static u16 liov_take_qid(struct liov_parent *p)
{
	unsigned int qid;

	lockdep_assert_held(&p->pool_lock);
	for (qid = p->host->nr_granted; qid > p->host->nr_host; qid--) {
		if (!test_and_set_bit(qid, p->qids))
			return qid;
	}
	return 0;
}

/**
 * liov_pool_take_qids() - give an instance its hardware queue pairs
 * @p:    parent
 * @inst: instance with nr_pairs set; fills hwqid[1..nr_pairs]
 *
 * Takes from the top, so that a host driver which wants more queues after a
 * reset finds the low IDs free.  A shared one gets none.  May sleep.
 *
 * Return: 0, -ENOSPC, or -ENODEV if the controller is offered no longer.
 */
int liov_pool_take_qids(struct liov_parent *p, struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	unsigned int i;

	mutex_lock(&p->pool_lock);
	if (p->withdrawn) {
		mutex_unlock(&p->pool_lock);
		return -ENODEV;
	}
	if (!env->shared && liov_free_pairs_locked(p) < env->nr_pairs) {
		mutex_unlock(&p->pool_lock);
		return -ENOSPC;
	}
	for (i = 1; !env->shared && i <= env->nr_pairs; i++)
		env->hwqid[i] = liov_take_qid(p);
	list_add_tail(&env->node, &p->instances);
	liov_pool_recount(p);
	liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
	return 0;
}

/* The pair gets another qid: a free one, or that of a later pair which has no queue. */
static bool liov_pair_move(struct liov_parent *p, struct liov_instance *inst, unsigned int i)
{
	struct liov_env *env = liov_env(inst);
	u16 qid = liov_take_qid(p);
	unsigned int j;

	if (qid) {
		clear_bit(env->hwqid[i], p->qids);
		env->hwqid[i] = qid;
		return true;
	}
	for (j = env->nr_pairs; j > i; j--) {
		if (!liov_qid_granted(p, env->hwqid[j]) || liov_cq_at(env, j)->made ||
		    liov_sq_at(env, j)->made)
			continue;
		swap(env->hwqid[i], env->hwqid[j]);
		return true;
	}
	return false;
}

/**
 * liov_pool_remap() - let an instance's queue pairs be among those that are granted
 * @p:    parent, in a section (liov_host_enter())
 * @inst: instance; the caller holds its lock
 *
 * A drive may grant fewer after a reset, and then the hardware has no queues of
 * those beyond.  Takes free pairs for them as far as there are any; what is lacking
 * then are the last ones.  May sleep.
 *
 * Return: the number of pairs the instance can use, from its first.
 */
unsigned int liov_pool_remap(struct liov_parent *p, struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	unsigned int i;

	lockdep_assert_held(&env->lock);
	if (env->shared)
		return env->nr_pairs;
	mutex_lock(&p->pool_lock);
	for (i = 1; i <= env->nr_pairs; i++) {
		if (!liov_qid_granted(p, env->hwqid[i]) && !liov_pair_move(p, inst, i))
			break;
	}
	liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
	return i - 1;
}

/**
 * liov_pool_stick_qid() - a queue ID is given back, but perhaps not by the hardware
 * @p:   parent; the caller holds its pool_lock
 * @qid: hardware queue ID, taken
 * @gen: liov_parent.gen when the hardware was last seen to have the queue
 *
 * Return: true if the ID stays taken until the controller was disabled; false if it was
 * since, and the ID is the caller's.
 */
bool liov_pool_stick_qid(struct liov_parent *p, u16 qid, u64 gen)
{
	lockdep_assert_held(&p->pool_lock);
	/* A new generation that is not seen here is seen by liov_pool_reclaim(). */
	if (READ_ONCE(p->gen) != gen)
		return false;
	set_bit(qid, p->stuck_qids);
	p->stuck_gen = gen;
	return true;
}

/**
 * liov_pool_fit_qid() - have a queue ID that is granted
 * @p:   parent
 * @qid: the one there is, or 0; stays if it is granted, else another one that is free
 *
 * May sleep.  Return: false if there is none: @qid is as it was.
 */
bool liov_pool_fit_qid(struct liov_parent *p, u16 *qid)
{
	u16 new = *qid;

	mutex_lock(&p->pool_lock);
	if (!liov_qid_granted(p, new))
		new = liov_take_qid(p);
	if (new && new != *qid) {
		if (*qid)
			clear_bit(*qid, p->qids);
		*qid = new;
		liov_pool_recount(p);
		liov_update_floor(p);
	}
	mutex_unlock(&p->pool_lock);
	return new;
}

/**
 * liov_pool_put_qid() - give such an ID back
 * @p:    parent
 * @qid:  of liov_pool_fit_qid()
 * @lost: the hardware may have the queue still
 * @gen:  then: liov_parent.gen when it was made
 *
 * May sleep.
 */
void liov_pool_put_qid(struct liov_parent *p, u16 qid, bool lost, u64 gen)
{
	mutex_lock(&p->pool_lock);
	if (!lost || !liov_pool_stick_qid(p, qid, gen))
		clear_bit(qid, p->qids);
	liov_pool_recount(p);
	liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
}

/**
 * liov_pool_reclaim() - after a reset: queue IDs that were stuck are free again
 * @p: parent
 *
 * The controller was disabled, so the hardware has no queue of an older generation any
 * more.  May sleep.
 */
void liov_pool_reclaim(struct liov_parent *p)
{
	unsigned int n = 0;

	mutex_lock(&p->pool_lock);
	if (p->stuck_gen != READ_ONCE(p->gen)) {
		n = bitmap_weight(p->stuck_qids, LIOV_QID_BITS);
		bitmap_andnot(p->qids, p->qids, p->stuck_qids, LIOV_QID_BITS);
		bitmap_zero(p->stuck_qids, LIOV_QID_BITS);
	}
	if (n)
		liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
	if (n)
		pci_info(p->host->pdev, "lightiov: %u queue pairs whose deletion had failed are free again\n",
			 n);
}

/**
 * liov_pool_put_qids() - return an instance's queue pairs to the pool
 * @p:    parent
 * @inst: instance whose hardware queues are deleted, or abandoned
 *
 * May sleep.
 */
void liov_pool_put_qids(struct liov_parent *p, struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	unsigned int i, n = 0;

	mutex_lock(&p->pool_lock);
	list_del(&env->node);
	for (i = 1; !env->shared && i <= env->nr_pairs; i++) {
		if (env->qids_lost && liov_pool_stick_qid(p, env->hwqid[i], env->lost_gen))
			n++;
		else
			clear_bit(env->hwqid[i], p->qids);
	}
	if (n)
		liov_warn(inst, "its %u queue pairs are not used again before the next reset of %s (nvme reset)\n",
			  n, pci_name(p->host->pdev));
	liov_pool_recount(p);
	liov_update_floor(p);
	mutex_unlock(&p->pool_lock);
}

static const char * const liov_cq_head_names[] = {
	[LIOV_CQ_HEAD_AUTO]	= "auto",
	[LIOV_CQ_HEAD_TRACKED]	= "tracked",
	[LIOV_CQ_HEAD_LAZY]	= "lazy",
};

/**
 * liov_cq_head_name() - how a CQ head mode is written in sysfs
 * @mode: the mode
 *
 * Return: a constant string.
 */
const char *liov_cq_head_name(enum liov_cq_head_mode mode)
{
	return liov_cq_head_names[mode];
}

/**
 * liov_cq_head_parse() - read a CQ head mode
 * @val:  text, a trailing newline is allowed
 * @mode: where it goes
 *
 * Return: 0 or -EINVAL.
 */
int liov_cq_head_parse(const char *val, enum liov_cq_head_mode *mode)
{
	int i = sysfs_match_string(liov_cq_head_names, val);

	if (i < 0)
		return i;
	*mode = i;
	return 0;
}
