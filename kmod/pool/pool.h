/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: pool
 *
 * What a controller gives to instances, and what every instance has of it: spare queue pairs
 * (pool.c), interrupt vectors (irq.c), the answer how it wants its CQ head (probe.c), its
 * admin queue (pool.c, send.c), threads and work queues in which an instance's work is done
 * (work.c, worker.c), and its lines in the host's log (guest_log.c).
 *
 * Owns struct liov_parent, one of a controller, and struct liov_env, what these and the
 * floors above need of an instance.  liov_parent.pool_lock covers what is given out,
 * liov_parent.irq_lock vectors and eventfds; the reset hooks take both, so nothing waits for
 * the gate or for I/O under them.
 *
 * The floors above call in from any context; each function says from which.  It calls the
 * modes of queues by struct liov_mode_ops alone.
 */
#ifndef _LIOV_POOL_H
#define _LIOV_POOL_H

#include <linux/completion.h>
#include <linux/eventfd.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "core.h"
#include "host/host.h"
#include "model/model.h"
#include "pool/qpair.h"

/* qids are 16 bit; the bitmap covers all of them, a reset may grant more. */
#define LIOV_QID_BITS		65536

/* Of one controller, as far as this goes. */
#define LIOV_MAX_INSTANCES	65535

/* 1, 2, 4, 8, 16 queue pairs, and 2, 4, 8, 16, 32, 64 on shared ones */
#define LIOV_NR_TYPES		11
/* The most pairs of its own that an instance can have; LIOV_MAX_PAIRS is for shared ones. */
#define LIOV_MAX_OWN_PAIRS	16
#define LIOV_ADMIN_WAIT_MS	60000	/* as long as nvme's own admin timeout */

/* How long after a reset of the host's another one is not unlikely; arbitrary. */
#define LIOV_SETTLE_MS		2000

/**
 * struct liov_jobs - what is left of a guest's queues; see worker.c
 * @lock:    @queued, @worker; to write, @running
 * @queued:  struct liov_job
 * @running: the one that is being done
 * @idle:    woken when one is over
 * @worker:  who does them; NULL: @work
 * @ready:   liov_worker.ready, or empty; under liov_worker.lock
 * @work:    does them where no thread does
 */
struct liov_jobs {
	raw_spinlock_t		lock;	/* as said above */
	struct list_head	queued;
	struct liov_job		*running;
	wait_queue_head_t	idle;
	struct liov_worker	*worker;
	struct list_head	ready;
	struct work_struct	work;
};

/**
 * struct liov_events - what the admin queue is to be told; see event.c
 * @waiting: bit per enum liov_event, atomic
 * @work:    reads the ASQ and answers; admin.c's
 */
struct liov_events {
	unsigned long		waiting;
	struct delayed_work	work;
};

/**
 * struct liov_env - what all floors need of an instance
 * @lock:   the instance's slow path: admin commands, queues, all that is not said to be under
 *          something else
 * @reg_lock: registers and configuration space of the virtual controller; innermost, so that
 *          no access of the guest's to them waits
 * @awake:  the virtual controller may use the guest's memory and interrupt it; written
 *          under @reg_lock, read anywhere
 * @mode:   direct or guarded; changes only while not open
 * @shared: its queues are served by the parent's shared pairs; it has none of its own
 * @sent:   admin commands sent to the drive for it; under @lock
 * @hwqid:  the hardware's IDs of its pairs; liov_pool_remap() changes them
 * @host_bytes: about how much memory of the host it holds, see liov_count_host()
 * @lacks:  pairs of these that the drive does not grant and for which no other is free
 * @qids_lost: the hardware did not give up some queues in generation @lost_gen: its pairs
 *          are not used again before the next one
 * @fatal:  the hardware was taken away under the guest: CSTS.CFS reads 1 until
 *          the guest resets.  Set by the reset hooks and liov_watch_shut() without @lock.
 * @paused: the hardware's queues are gone, and those of the guest wait.  Set by the reset
 *          hooks without @lock, cleared under it; see controller/reset.c
 * @stops:  bit 0: it has to stop, and has not yet; see controller/nswatch.c
 * @wq:     its work items; NULL before the first open, see work.c
 * @jobs:   of its queues, see worker.c
 * @memcg:  whom memory is charged to that they allocate, while it is open; likewise
 * @opening: it is being opened, or enabled by its guest: what goes wrong is not an
 *          operator's doing
 * @tell:   says that "state" has changed, if it has; vfio/sysfs.c
 * @told:   what it said last, at @told_at (jiffies)
 * @told_at: see there
 * @log_at: jiffies of its last line in the host's log, 0 for none; see guest_log.c
 * @log_held: lines left out
 */
struct liov_env {
	struct vfio_device	vdev;
	struct mdev_device	*mdev;
	struct liov_parent	*parent;
	struct list_head	node;		/* liov_parent.instances */
	struct workqueue_struct	*wq;
	struct liov_jobs	jobs;
	struct mem_cgroup	*memcg;

	struct mutex		lock;	/* the slow path */
	spinlock_t		reg_lock; /* what the guest's accesses meet */
	bool			is_open;
	bool			opening;
	bool			fatal;
	bool			awake;
	bool			paused;
	unsigned long		stops;
	unsigned long		log_at;
	atomic64_t		log_held;
	u16			nr_pairs;
	u16			nr_vectors;
	u16			hwqid[LIOV_MAX_OWN_PAIRS + 1];	/* and pool_lock, to write */
	u16			lacks;	/* pool_lock */
	bool			qids_lost;
	u64			lost_gen;
	const struct liov_mode_ops *mode;
	bool			shared;
	u64			sent;
	struct liov_events	events;
	struct delayed_work	tell;
	const char		*told;
	unsigned long		told_at;
	atomic64_t		host_bytes;
	/* As many as it has, since most have few: nr_vectors, and nr_pairs. */
	struct liov_virq	*virq;
	struct liov_cq		*cq;	/* see liov_cq_at() and liov_sq_at() */
	struct liov_sq		*sq;
};

/* The guest's queue @qid, 1 to nr_pairs, of an instance on any floor. */
#define liov_cq_at(inst, qid)	(&(inst)->cq[(qid) - 1])
#define liov_sq_at(inst, qid)	(&(inst)->sq[(qid) - 1])

/* The instance itself is made on the floor of the virtual controller, and begins with it. */
static_assert(!offsetof(struct liov_env, vdev));

static inline struct liov_env *liov_env(const struct liov_instance *inst)
{
	return (struct liov_env *)inst;
}

static inline struct liov_instance *liov_env_inst(struct liov_env *env)
{
	return (struct liov_instance *)env;
}

struct liov_type {
	struct mdev_type	type;
	u16			nr_pairs;
	bool			shared;
};

struct liov_shared;

enum liov_cq_head_mode {
	LIOV_CQ_HEAD_AUTO,
	LIOV_CQ_HEAD_TRACKED,
	LIOV_CQ_HEAD_LAZY,
};

/**
 * struct liov_parent - a controller's mdev parent and its pool of spare pairs
 * @host:      the boundary
 * @gen:       counts controller disables: a queue made in an older generation
 *             no longer exists
 * @settled_at: jiffies; from then on the controller is taken to have been reset for
 *             good.  Valid if @gen is not 0
 * @wq:        woken when @gen changes
 * @pool_lock: @qids, @stuck_qids, @instances and @backings
 * @backings:  struct liov_backing of its instances: none overlap
 * @ns_gen:    moves on when namespaces or limits may have changed; changed under pool_lock
 * @id_gen:    @ns_gen from before @id was read
 * @no_ns_desc: the drive has no Namespace Identification Descriptors
 * @watch_node: parents of nswatch.c
 * @qids:      hardware qids taken, bit per qid
 * @stuck_qids: of these: nobody's, but the hardware may have the queue still, since
 *             @stuck_gen or before
 * @stuck_probes: struct liov_probe whose rings it may use likewise
 * @shared_lock: who makes @shared, or takes it away; outside of all other locks here
 * @shared_wanted: so many pairs shall be shared, 0: as seems best; under @shared_lock
 * @shared:    its shared pairs, while it has shared instances; written under @pool_lock, too,
 *             and there for whoever is an instance's
 * @irq_lock:  @vectors, liov_cq.vec, liov_vector_user.vec, liov_virq.eventfd
 * @withdrawn: it is offered no longer, and no instance made of it; under pool_lock
 * @told_granted: nr_granted as last logged; @told_host: nr_host likewise
 * @id:        the drive's Identify Controller; under pool_lock
 * @vwc:       it has a volatile write cache
 * @hw:        what else guests are told of it
 * @aborts:    Abort commands of instances in flight
 * @tell:      says that its "state" has changed, if it has; vfio/sysfs.c
 * @told:      what it said last
 * @cq_head:   how this drive wants its CQ head (never AUTO once live)
 */
struct liov_parent {
	struct liov_host	*host;
	struct mdev_parent	mdev;
	struct liov_type	types[LIOV_NR_TYPES];
	struct mdev_type	*type_ptrs[LIOV_NR_TYPES];
	bool			registered;
	struct kobject		*kobj;		/* BDF/lightiov */

	u64			gen;
	unsigned long		settled_at;
	wait_queue_head_t	wq;

	struct mutex		pool_lock;	/* what is given out, and to whom */
	unsigned long		*qids;
	unsigned long		*stuck_qids;
	u64			stuck_gen;
	struct list_head	stuck_probes;
	struct list_head	instances;
	bool			withdrawn;
	struct list_head	backings;
	u64			ns_gen;
	u64			id_gen;
	bool			no_ns_desc;
	struct list_head	watch_node;

	struct mutex		shared_lock;	/* @shared; see there */
	struct liov_shared	*shared;
	unsigned int		shared_wanted;

	struct mutex		irq_lock;	/* @vectors, eventfds */
	struct list_head	vectors;
	unsigned int		next_cpu;

	enum liov_cq_head_mode	cq_head;
	u16			told_granted;
	u16			told_host;
	bool			vwc;
	struct nvme_id_ctrl	*id;
	struct liov_hw		*hw;
	atomic_t		aborts;
	struct work_struct	tell;
	const char		*told;
};

static inline struct device *liov_dev(const struct liov_instance *inst)
{
	return mdev_dev(liov_env(inst)->mdev);
}

/* Through which it uses the drive. */
static inline struct device *liov_dma_dev(struct liov_instance *inst)
{
	return &liov_env(inst)->parent->host->pdev->dev;
}

/**
 * liov_count_host() - the instance holds more of the host's memory, or less
 * @inst:  instance
 * @bytes: difference
 *
 * What a guest's doing decides: rings, pages of slots, steps and windows, and what
 * VFIO keeps of each pinned page.  For stats/host_memory_bytes.  Any context.
 */
static inline void liov_count_host(struct liov_instance *inst, long bytes)
{
	atomic64_add(bytes, &liov_env(inst)->host_bytes);
}

/**
 * liov_read_guest() - copy out of guest memory mapped into the kernel
 * @to:   host memory
 * @from: guest memory
 * @len:  bytes
 *
 * A plain load of memory with an uncorrectable error would be the host's crash; here
 * it is only the guest's affair, where the CPU can recover at all.  Any context.
 *
 * Return: false if it cannot be read.
 */
static inline bool liov_read_guest(void *to, const void *from, unsigned int len)
{
	return likely(!copy_mc_to_kernel(to, from, len));
}

/**
 * liov_has_to_stop() - has the instance to stop, and has not yet?
 * @inst: instance
 *
 * For who makes a queue live: said before liov_queues_shut().  Any context.
 *
 * Return: whether it has.
 */
static inline bool liov_has_to_stop(const struct liov_instance *inst)
{
	return test_bit(0, &liov_env(inst)->stops);
}

/* pool.c */
int liov_pool_take_qids(struct liov_parent *p, struct liov_instance *inst);
unsigned int liov_pool_remap(struct liov_parent *p, struct liov_instance *inst);
void liov_pool_put_qids(struct liov_parent *p, struct liov_instance *inst);
bool liov_pool_fit_qid(struct liov_parent *p, u16 *qid);
void liov_pool_put_qid(struct liov_parent *p, u16 qid, bool lost, u64 gen);
bool liov_pool_stick_qid(struct liov_parent *p, u16 qid, u64 gen);
unsigned int liov_pool_free_pairs(struct liov_parent *p);
void liov_pool_recount(struct liov_parent *p);
void liov_pool_reclaim(struct liov_parent *p);
int liov_pool_admin(struct liov_parent *p, struct nvme_command *cmd, void *buf,
		    unsigned int len, u32 *result);
int liov_pool_admin_now(struct liov_parent *p, struct nvme_command *cmd, void *buf,
			unsigned int len);
void __iomem *liov_pool_doorbell(struct liov_parent *p, u16 hwqid, bool cq);
int liov_cq_head_parse(const char *val, enum liov_cq_head_mode *mode);
const char *liov_cq_head_name(enum liov_cq_head_mode mode);

/* probe.c */
enum liov_cq_head_mode liov_probe_cq_head(struct liov_parent *p);
void liov_probe_reclaim(struct liov_parent *p);
void liov_probe_leak(struct liov_parent *p);

/* send.c */
int liov_hw_send(struct liov_instance *inst, struct nvme_command *cmd, void *buf,
		 unsigned int len, u32 *result);
u16 liov_hw_abort(struct liov_instance *inst, u16 hwqid, u64 gen, u16 cid, u32 *result);

/* event.c */
void liov_admin_kick(struct liov_instance *inst);
void liov_admin_event(struct liov_instance *inst, enum liov_event ev);
void liov_state_changed(struct liov_instance *inst);

static inline void liov_set_fatal(struct liov_instance *inst, bool fatal)
{
	WRITE_ONCE(liov_env(inst)->fatal, fatal);
	liov_state_changed(inst);
}

static inline void liov_set_paused(struct liov_instance *inst, bool paused)
{
	WRITE_ONCE(liov_env(inst)->paused, paused);
	liov_state_changed(inst);
}

/* work.c */
void liov_charge_open(struct liov_instance *inst);
void liov_charge_close(struct liov_instance *inst);
struct mem_cgroup *liov_charge_begin(struct liov_instance *inst);
void liov_charge_end(struct mem_cgroup *old);
int liov_work_open(struct liov_instance *inst);
void liov_work_free(struct liov_instance *inst);
void liov_queue_work(struct liov_instance *inst, struct work_struct *work);
void liov_queue_delayed_work(struct liov_instance *inst, struct delayed_work *work,
			     unsigned long delay);
void liov_mod_delayed_work(struct liov_instance *inst, struct delayed_work *work,
			   unsigned long delay);

/* worker.c */
int liov_worker_init(void);
void liov_worker_exit(void);
void liov_jobs_init(struct liov_instance *inst);
int liov_worker_open(struct liov_instance *inst);
void liov_worker_close(struct liov_instance *inst);
void liov_job_queue(struct liov_instance *inst, struct liov_job *job);
void liov_job_cancel(struct liov_instance *inst, struct liov_job *job);
void liov_sq_cancel(struct liov_sq *sq);

static inline void liov_job_init(struct liov_job *job, void (*fn)(struct liov_job *job))
{
	INIT_LIST_HEAD(&job->node);
	job->fn = fn;
}

/**
 * liov_sq_look_again() - a guest may have stored to a queue's doorbell and nobody saw it
 * @sq: queue, live or not
 *
 * For work items that a guest can cause: where a mode has jobs, one does it, in the guest's
 * own time.  May sleep.
 */
static inline void liov_sq_look_again(struct liov_sq *sq)
{
	if (liov_env(sq->inst)->mode->jobs)
		liov_job_queue(sq->inst, &sq->job);
	else
		liov_env(sq->inst)->mode->sq_submit(sq, LIOV_TRIGGER_STORE);
}

/* guest_log.c */
bool liov_guest_log_left(const struct liov_instance *inst);
bool liov_guest_may_log(struct liov_instance *inst);

/* Lines in the host's log about an instance: all begin "lightiov UUID: ". */
#define liov_crit(inst, fmt, ...)	dev_crit(liov_dev(inst), fmt, ##__VA_ARGS__)
#define liov_err(inst, fmt, ...)	dev_err(liov_dev(inst), fmt, ##__VA_ARGS__)
#define liov_warn(inst, fmt, ...)	dev_warn(liov_dev(inst), fmt, ##__VA_ARGS__)
#define liov_notice(inst, fmt, ...)	dev_notice(liov_dev(inst), fmt, ##__VA_ARGS__)
#define liov_info(inst, fmt, ...)	dev_info(liov_dev(inst), fmt, ##__VA_ARGS__)
#define liov_info_ratelimited(inst, fmt, ...)					\
	dev_info_ratelimited(liov_dev(inst), fmt, ##__VA_ARGS__)

/**
 * liov_guest_warn() - a line in the host's log that a guest or a VFIO user can cause
 * @inst: instance
 * @fmt:  as for liov_warn()
 *
 * A second one within a second is left out, whatever it says.  Any context.
 */
#define liov_guest_warn(inst, fmt, ...)						\
	do {									\
		if (liov_guest_may_log(inst))					\
			liov_warn(inst, fmt, ##__VA_ARGS__);			\
	} while (0)

/**
 * liov_open_warn() - what an operator did or whoever opens the device finds does not work
 * @inst: instance; the caller holds its lock
 * @fmt:  as for liov_warn()
 *
 * An operator is told each time, a VFIO user as liov_guest_warn() does.
 */
#define liov_open_warn(inst, fmt, ...)						\
	do {									\
		if (!liov_env(inst)->opening || liov_guest_may_log(inst))		\
			liov_warn(inst, fmt, ##__VA_ARGS__);			\
	} while (0)

/* irq.c */
void liov_irq_init(struct liov_instance *inst);
int liov_irq_attach(struct liov_cq *cq);
void liov_irq_detach(struct liov_cq *cq);
int liov_irq_attach_user(struct liov_parent *p, struct liov_vector_user *user, u16 hwqid,
			 const struct cpumask *cpus);
void liov_irq_detach_user(struct liov_parent *p, struct liov_vector_user *user);
void liov_irq_stop(struct liov_parent *p);
void liov_virq_event(struct liov_virq *v);
bool liov_virq_loopback(struct liov_virq *v);
struct eventfd_ctx *liov_virq_set(struct liov_virq *v, struct eventfd_ctx *ctx);
void liov_virq_reset(struct liov_virq *v);
void liov_virq_signal(struct liov_instance *inst, unsigned int vector);
void liov_irq_interrupt(struct liov_instance *inst, unsigned int vector);
void liov_irq_forget(struct liov_instance *inst);
int liov_irq_set_trigger(struct liov_instance *inst, unsigned int vector, int fd);
void liov_irq_clear_triggers(struct liov_instance *inst);

#endif /* _LIOV_POOL_H */
