/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: queue
 *
 * What a queue is, mode by mode: made on the hardware (hwq.c), taken from it, which is the
 * fence for all that it uses (fence.c), and what a doorbell and a completion do: direct.c,
 * and guarded.h with the files of guarded mode.
 *
 * Owns struct liov_sq and struct liov_cq, whose layout is in pool/qpair.h.  They are made
 * and taken away under liov_instance.lock; what vCPUs, interrupts, timers and jobs do at the
 * same time is under the queues' spinlocks and liov_sq.submit, see guarded.h and direct.c.
 *
 * Called by the virtual controller, and by doorbell/ and pool/ through struct liov_mode_ops.
 */
#ifndef _LIOV_QUEUE_H
#define _LIOV_QUEUE_H

#include <linux/rbtree.h>

#include "doorbell/doorbell.h"

/**
 * struct liov_load - guarded: work at the drive that moves no data; see load.c
 * @now:     of LIOV_LOAD_MAX
 * @waiting: some queue waits for room
 * @turn:    which of them goes first next time
 * @most:    largest value of @now so far
 */
struct liov_load {
	atomic_t		now;
	bool			waiting;
	unsigned int		turn;
	u64			most;
};

/* Limits that an operator may set; see throttle.c. */
enum liov_rate_id {
	LIOV_RATE_IOPS,
	LIOV_RATE_IOPS_READ,
	LIOV_RATE_IOPS_WRITE,
	LIOV_RATE_BPS,
	LIOV_RATE_BPS_READ,
	LIOV_RATE_BPS_WRITE,
	LIOV_NR_RATES
};

/* liov_pairs.weight */
#define LIOV_WEIGHT		100
#define LIOV_WEIGHT_MIN		10
#define LIOV_WEIGHT_MAX		1000

/* How far a limit may be exceeded for a moment, unless said otherwise; and at most. */
#define LIOV_BURST_MS		20
#define LIOV_BURST_MAX_MS	10000

/**
 * struct liov_rate - one of them
 * @max:  as written; under liov_instance.lock
 * @mult: from liov_rate_mult(); 0: no limit
 * @due:  when what has passed would be over at that rate, ns
 * @closed_until: nothing passes before, ns
 */
struct liov_rate {
	u64			max;
	u64			mult;
	atomic64_t		due;
	u64			closed_until;
};

/**
 * struct liov_throttle - an instance's limits
 * @on:       it has some
 * @turn:     which queue goes first next time
 * @burst:    how far liov_rate.due may be ahead, ns
 * @rate:     by enum liov_rate_id
 * @lock:     @armed, @armed_at and the start of @timer
 * @armed:    @timer was started, and has not come yet
 * @armed_at: for when, ns
 * @timer:    has queues go on
 */
struct liov_throttle {
	bool			on;
	unsigned int		turn;
	u64			burst;
	struct liov_rate	rate[LIOV_NR_RATES];
	raw_spinlock_t		lock;	/* as said above */
	bool			armed;
	u64			armed_at;
	struct hrtimer		timer;
};

/**
 * struct liov_resume - over a reset of the controller by the host
 * @work:     makes the queues again
 * @since:    when liov_instance.paused began, ns
 * @count:    times the guest's queues were made again
 * @replayed: commands given to the hardware a second time
 * @failed:   commands completed with a retryable status instead
 * @longest:  longest pause so far, us
 */
struct liov_resume {
	struct delayed_work	work;
	u64			since;
	u64			count;
	u64			replayed;
	u64			failed;
	u64			longest;
};

/**
 * struct liov_shared_part - what an instance has of a shared pair; under that one's lock
 * @node:     liov_shared_pair.line, or clear
 * @queues:   those that wait, liov_sq.line_node
 * @had:      bytes that it has had, by its weight, or would have if it had not been idle
 * @has_turn: one of its queues has its turn
 */
struct liov_shared_part {
	struct rb_node		node;
	struct list_head	queues;
	u64			had;
	bool			has_turn;
};

/**
 * struct liov_pairs - an instance's queue pairs
 * @guard:  guarded: what its commands may reach; constant while ready, but nlb
 * @load:   guarded: its work at the drive that moves no data
 * @throttle: guarded: its limits
 * @weight: shared: of its queues' turns, in percent of the usual; written under lock
 * @part:   shared: by index of a shared pair
 * @fence_gen: the controller's generation in which its reset was asked for, as a fence
 * @leaking: no fence could be had: what the hardware may use is not freed
 * @settle: direct mode: rings for what was kept back
 */
struct liov_pairs {
	struct liov_bells;
	struct liov_guard	guard;
	struct liov_load	load;
	struct liov_throttle	throttle;
	u16			weight;
	struct liov_shared_part	*part;
	struct liov_queues	queues;
	struct liov_resume	resume;
	struct delayed_work	settle;
	u64			fence_gen;
	bool			leaking;
};

static_assert(!offsetof(struct liov_pairs, vdev));

static inline struct liov_pairs *liov_pairs(const struct liov_instance *inst)
{
	return (struct liov_pairs *)inst;
}

static inline struct liov_instance *liov_pairs_inst(struct liov_pairs *pairs)
{
	return (struct liov_instance *)pairs;
}

/* hwq.c */
void liov_cq_made(struct liov_cq *cq, u64 gen);
void liov_sq_made(struct liov_sq *sq, u64 gen);
int liov_cq_create(struct liov_cq *cq, const struct nvme_command *c);
int liov_sq_create(struct liov_sq *sq, const struct nvme_command *c);
int liov_queues_resume(struct liov_instance *inst);

/* fence.c */
int liov_queue_delete(struct liov_parent *p, u8 opcode, u16 hwqid, u64 gen, bool wait, u64 *sent);
int liov_cq_delete(struct liov_cq *cq, bool wait);
int liov_sq_delete(struct liov_sq *sq, bool wait);
bool liov_queues_made(const struct liov_instance *inst);
bool liov_queues_live(const struct liov_instance *inst);
void liov_queues_shut(struct liov_instance *inst);
int liov_fence(struct liov_instance *inst, bool wait);
void liov_fence_failed(struct liov_instance *inst);

/**
 * liov_queue_lost() - was the controller disabled since the hardware made a queue?
 * @p:   parent
 * @gen: liov_parent.gen then
 *
 * Any context.  Return: whether it was; then the hardware has the queue no more.
 */
static inline bool liov_queue_lost(const struct liov_parent *p, u64 gen)
{
	return READ_ONCE(p->gen) != gen;
}

/* direct.c */
extern const struct liov_mode_ops liov_direct_ops;
void liov_direct_init(struct liov_instance *inst);
void liov_direct_stop(struct liov_instance *inst);

/* guarded_queue.c */
extern const struct liov_mode_ops liov_guarded_ops;
extern const struct liov_mode_ops liov_shared_ops;
void liov_guarded_init(struct liov_instance *inst);

/* shared_pair.c */
void liov_shared_stop(struct liov_parent *p);

/* shared_set.c */
int liov_shared_get(struct liov_instance *inst);
void liov_shared_release(struct liov_instance *inst);
unsigned int liov_shared_available(struct liov_parent *p);
unsigned int liov_shared_pairs(struct liov_parent *p);
int liov_shared_set_pairs(struct liov_parent *p, unsigned int n);

/* throttle.c */
void liov_throttle_init(struct liov_instance *inst);
void liov_throttle_stop(struct liov_instance *inst);
void liov_throttle_set(struct liov_instance *inst, enum liov_rate_id id, u64 per_second);

#endif /* _LIOV_QUEUE_H */
