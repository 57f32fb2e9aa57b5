/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Structures and calls shared by the parts of lightiov.ko that touch the
 * kernel.  Who may hold which lock is written down in
 * Documentation/concurrency.rst; in short, outermost first:
 *
 *   liov_instance.lock      one instance's slow path (admin, queues)
 *   liov_sq.submit          guarded: who reads the guest's SQ
 *   liov_track.lock         its tracked doorbell pages (inside KVM's slots_lock)
 *   liov_mem.lock           its windows
 *   liov_gmem.lock          guarded: pinning of its guest memory
 *   section of the gate     liov_host_enter() .. liov_host_leave()
 *   liov_parent.pool_lock   qids, list of instances
 *   liov_parent.irq_lock    hardware vectors and eventfds
 *   liov_unmap.lock         spinlock, a leaf: who is taking guest memory away
 *   liov_hw.lock            copies of the drive's answers; a leaf
 *   liov_jobs.lock          raw spinlock: jobs that wait; inside it liov_worker.lock, a leaf
 *   spinlocks of the fast path: liov_sq.lock, inside it liov_cq.lock;
 *                           liov_vector.lock, inside it liov_gcq.lock or
 *                           liov_virq.lock
 *   liov_instance.reg_lock  its registers and configuration space
 *
 * The reset hooks (liov_parent_stopping) take pool_lock and below only, so
 * nothing may wait for the gate while holding those.
 */
#ifndef _LIGHTIOV_H
#define _LIGHTIOV_H

#include <linux/completion.h>
#include <linux/eventfd.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <asm/kvm_page_track.h>

#include "core.h"
#include "host/host.h"
#include "model/model.h"
#include "qpair.h"
#include "unmap.h"

/* qids are 16 bit; the bitmap covers all of them, a reset may grant more. */
#define LIOV_QID_BITS		65536

#define LIOV_NR_TYPES		5	/* 1, 2, 4, 8, 16 queue pairs */
#define LIOV_AERL		3	/* 0's based, as in Identify Controller */
#define LIOV_ADMIN_WAIT_MS	60000	/* as long as nvme's own admin timeout */

/* Memory that is not to be had at the moment is tried again after so long; arbitrary. */
#define LIOV_QUIET_MS		20

/* VFIO regions: index in the upper bits of the file offset, as vfio-pci does. */
#define LIOV_REGION_SHIFT	40
#define LIOV_REGION_OFFSET(i)	((u64)(i) << LIOV_REGION_SHIFT)
#define LIOV_REGION_MASK	(LIOV_REGION_OFFSET(1) - 1)

/**
 * struct liov_track - KVM write tracking of the doorbell pages
 * @node:       our notifier
 * @registered: it is registered with vdev.kvm
 * @lock:       liov_doorbell.tracked and @base_gfn; KVM's slots_lock may be
 *              held outside it, never taken inside
 * @base_gfn:   guest frame of the first I/O doorbell while tracked
 * @own:        the drive's own doorbell pages may be mapped; fixed at open
 * @own_lock:   liov_doorbell.own, against page faults; a leaf
 * @mapped:     user space has mapped doorbell pages
 * @closing:    no more adding
 * @work:       adds what is not tracked, then rescans
 * @looks:      how often it shall look at what KVM has mapped
 * @delay_ms:   until its next try
 * @adds:       pages added so far
 */
struct liov_track {
	struct kvm_page_track_notifier_node node;
	bool			registered;
	bool			own;
	bool			mapped;
	bool			closing;
	struct mutex		lock;	/* what is tracked where */
	struct mutex		own_lock; /* what a page fault finds */
	gfn_t			base_gfn;
	struct delayed_work	work;
	unsigned int		looks;
	unsigned int		delay_ms;
	u64			adds;
};

/**
 * struct liov_window - guest RAM at a linear bus address
 * @node: liov_mem.windows
 * @gpa:  first guest-physical address, @size bytes, @bus where @gpa is mapped
 * @table: the mapping; its scatterlist is kept for unmapping
 */
struct liov_window {
	struct list_head	node;
	u64			gpa;
	u64			size;
	dma_addr_t		bus;
	struct sg_append_table	table;
};

/**
 * struct liov_mem - guest memory of an instance in direct mode
 * @lock:    @windows
 * @windows: struct liov_window
 * @pinned:  bytes pinned by windows
 */
struct liov_mem {
	struct mutex		lock;	/* @windows */
	struct list_head	windows;
	u64			pinned;
};

/**
 * struct liov_mailbox - see mailbox.c
 * @work:    runs its commands
 * @busy:    it was queued and not yet answered; under liov_instance.reg_lock
 * @done:    @rc and @bus are the result; release/acquire
 * @cancel:  the work item should end soon
 * @req:     what was asked for, valid while @busy: LIGHTIOV_CMD_MAP with its range, or
 *           LIGHTIOV_CMD_UNMAP_ALL
 */
struct liov_mailbox {
	struct work_struct	work;
	bool			busy;
	bool			done;
	bool			cancel;
	int			rc;
	u64			bus;
	struct {
		u32 cmd;
		u64 gpa, size;
	} req;
};

/**
 * struct liov_gmem - guest memory of a guarded instance
 * @steps:    struct liov_step by guest-physical address >> LIOV_STEP_SHIFT;
 *            looked up without a lock, entries go only when no command is
 *            outstanding and every liov_sq.submit is held
 * @lock:     adding to @steps
 * @pinned:   bytes pinned, without the rings
 * @faults:   steps and pages pinned so far
 * @failures: pins refused
 */
struct liov_gmem {
	struct xarray		steps;
	struct mutex		lock;	/* pinning */
	u64			pinned;
	u64			faults;
	u64			failures;
};

/**
 * struct liov_pins - what all pins of an instance go through; see pin.c
 * @lock: one call of VFIO's at a time, so that only one can fail
 * @full_until: jiffies, 0 for never: there was no memory to pin; no try before
 * @only_many: the try that failed was for more than one page
 * @scarce_until: jiffies, 0 for never: there was none for many pages at once; until then
 *         one at a time is asked for where that does as well
 */
struct liov_pins {
	struct mutex		lock;	/* all below */
	unsigned long		full_until;
	bool			only_many;
	unsigned long		scarce_until;
};

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
 * struct liov_control - what a guest's accesses set off; see control.c
 * @work:  carries it out
 * @todo:  what there is to do, LIOV_DO_*; under liov_instance.reg_lock
 * @doing: what of it @work does now; likewise
 */
struct liov_control {
	struct delayed_work	work;
	unsigned int		todo;
	unsigned int		doing;
};

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

/* Events waiting to become asynchronous event completions. */
enum liov_event {
	LIOV_EVENT_DB_REGISTER,	/* write to a doorbell of no queue */
	LIOV_EVENT_DB_VALUE,	/* value out of range */
	LIOV_EVENT_NS_ATTR,
	LIOV_EVENT_INTERNAL,	/* persistent internal error */
	LIOV_NR_EVENTS
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
 * struct liov_admin - the virtual admin queue
 * @asq, @acq: where the queues are, as of CC.EN = 1; under liov_instance.lock
 * @asq_size, @acq_size: entries; 1 while there is no queue
 * @page_size: of the guest's memory pages, bytes
 * @tail:    ASQ tail as the guest rang it (written without a lock)
 * @cq_head: ACQ head likewise
 * @head, @cq_tail, @phase: ours, under liov_instance.lock
 * @aer:     CIDs of the held Asynchronous Event Requests, @nr_aer of them
 * @masked:  events reported and not yet cleared by reading their log page
 */
struct liov_admin {
	u64			asq;
	u64			acq;
	u32			asq_size;
	u32			acq_size;
	u32			page_size;
	u32			tail;
	u32			cq_head;
	u32			head;
	u32			cq_tail;
	u8			phase;
	u16			aer[LIOV_AERL + 1];
	unsigned int		nr_aer;
	unsigned long		masked;
	u64			commands;
	u64			refused;
};

/**
 * struct liov_hw - what guests are told of a controller; see admin_hw.c
 * @lock:    the copies below; a leaf
 * @cs_ctrl: CNS 06h, all zero if the drive has none
 * @fw:      log page, firmware slots
 * @effects: log page, commands supported and effects; if LPA says there is one
 * @smart:   log page, health, and its last status; asked for at @smart_at (jiffies) if
 *           @smart_asked
 */
struct liov_hw {
	struct mutex		lock;	/* the copies */
	struct nvme_id_ctrl_nvm	cs_ctrl;
	struct nvme_fw_slot_info_log fw;
	struct nvme_effects_log	effects;
	struct nvme_smart_log	smart;
	u16			smart_status;
	bool			smart_asked;
	unsigned long		smart_at;
};

/**
 * struct liov_hw_inst - an instance's part; under liov_instance.lock
 * @ns:        CNS 00h of the backing, as far as a guest gets to see it
 * @cs_ns:     CNS 05h, 4096 bytes, direct mode only
 * @tokens:    commands that may go to the drive now, in units of 1 / HZ, as of @tokens_at
 *             (jiffies)
 * @delayed:   times that a command of the guest's had to wait
 */
struct liov_hw_inst {
	void			*ns;
	void			*cs_ns;
	u64			tokens;
	unsigned long		tokens_at;
	u64			delayed;
};

/**
 * struct liov_verdict - what the drive said of a backing's namespace; see nscheck.c
 * @gen:   liov_parent.ns_gen then; 0 if it is to be asked again
 * @block: bytes of a block, as this host sees it
 * @mode:  for which it was asked; NULL if it is only what the backing was written with, and
 *         liov_instance.guard was not filled
 * @at:    jiffies
 * @rc:    0: it still is what it was; else why not
 * @rose:  its limits are higher than those in liov_instance.guard, which a guest was told
 * @later: no answer at the moment, since @since (jiffies)
 * @since: see there
 */
struct liov_verdict {
	u64			gen;
	unsigned int		block;
	const struct liov_mode_ops *mode;
	unsigned long		at;
	int			rc;
	bool			rose;
	bool			later;
	unsigned long		since;
};

/**
 * struct liov_backing - what an instance stores on
 * @node:  liov_parent.backings, under pool_lock, while @file is set
 * @file:  the claimed namespace or partition; NULL when there is none
 * @text:  as written to the attribute
 * @nsid:  the hardware's namespace
 * @first: first LBA in it
 * @nlb:   LBAs
 * @lba_shift: log2 of the bytes of an LBA
 * @whole: it is the whole namespace
 * @ident: what the namespace was when the backing was written
 * @judged: what the drive last said of it
 * @ask_at: jiffies; before it the drive is not asked again, if @judged.later
 */
struct liov_backing {
	struct list_head	node;
	struct file		*file;
	char			*text;
	u32			nsid;
	u64			first;
	u64			nlb;
	u8			lba_shift;
	bool			whole;
	struct liov_ns_ident	ident;
	struct liov_verdict	judged;
	unsigned long		ask_at;
};

/**
 * struct liov_watch - what the host does to the namespace of an instance
 * @work:  does what liov_instance.stops and @todo say, under liov_instance.lock
 * @todo:  bits
 * @waits: CC.EN = 1 waits for the end of a command of the host's; under liov_instance.lock
 */
struct liov_watch {
	struct delayed_work	work;
	unsigned long		todo;
	bool			waits;
};

/**
 * struct liov_instance - one mdev: a virtual controller
 * @lock:   everything of the slow path below it
 * @reg_lock: @regs, @pci, @msix_table, @control and @mailbox; innermost,
 *          so that no access of the guest's to them waits
 * @awake:  the virtual controller may use the guest's memory and interrupt it; written
 *          under @reg_lock, read anywhere
 * @bar:    where BAR0 is decoded, or ~0; written under @reg_lock, read anywhere
 * @mode:   direct or guarded; changes only while not open
 * @guard:  guarded: what its commands may reach
 * @gmem:   guarded: its guest memory
 * @load:   guarded: its work at the drive that moves no data
 * @sent:   admin commands sent to the drive for it; under @lock
 * @hw:     what its admin commands ask of the drive
 * @flushed: guarded: commands that wrote before the last flush; @flushes: how many
 * @hwqid:  the hardware's IDs of its pairs; liov_parent_fit() changes them
 * @unmap:  who is taking guest memory away
 * @unmaps: times VFIO called for that, @unmap_repeats of them by a task that had not
 *          returned since it called for the same
 * @host_bytes: about how much memory of the host it holds, see liov_count_host()
 * @lacks:  pairs of these that the drive does not grant and for which no other is free
 * @qids_lost: the hardware did not give up some queues in generation @lost_gen: its pairs
 *          are not used again before the next one
 * @fence_gen: the controller's generation in which its reset was asked for, as a fence
 * @leaking: no fence could be had: what the hardware may use is not freed
 * @fatal:  the hardware was taken away under the guest: CSTS.CFS reads 1 until
 *          the guest resets.  Set by the reset hooks and liov_watch_shut() without @lock.
 * @paused: the hardware's queues are gone, and those of the guest wait.  Set by the reset
 *          hooks without @lock, cleared under it; see resume.c
 * @stops:  bit 0: it has to stop, and has not yet; see nswatch.c
 * @settle: direct mode: rings for what was kept back
 * @wq:     its work items; NULL before the first open, see work.c
 * @jobs:   of its queues, see worker.c
 * @memcg:  whom memory is charged to that they allocate, while it is open; likewise
 * @opening: it is being opened, or enabled by its guest: what goes wrong is not an
 *          operator's doing
 * @offers_err: user space is told by VFIO's ERR that the controller is lost; fixed at open
 * @err_raised: it was; both are written under pool_lock
 * @err: VFIO's ERR and @req its REQ: need none of the locks here
 * @log_at: jiffies of its last line in the host's log, 0 for none; see guest_log.c
 * @log_held: lines left out
 */
struct liov_instance {
	struct vfio_device	vdev;
	struct mdev_device	*mdev;
	struct liov_parent	*parent;
	struct list_head	node;		/* liov_parent.instances */
	struct kobject		*kobj;		/* UUID/lightiov */
	struct kobject		*stats_kobj;	/* UUID/lightiov/stats */
	struct workqueue_struct	*wq;
	struct liov_jobs	jobs;
	struct mem_cgroup	*memcg;

	struct mutex		lock;	/* the slow path: all below */
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
	u16			hwqid[LIOV_MAX_PAIRS + 1];	/* and pool_lock, to write */
	u16			lacks;	/* pool_lock */
	bool			qids_lost;
	u64			lost_gen;
	u64			fence_gen;
	bool			leaking;
	const struct liov_mode_ops *mode;
	struct liov_backing	backing;
	struct liov_guard	guard;	/* guarded: constant while ready, but nlb */

	struct liov_pci		pci;
	struct liov_regs	regs;
	struct liov_queues	queues;
	struct liov_features	features;
	struct liov_ident	ident;
	struct liov_log_state	*log;
	struct liov_control	control;
	struct liov_mailbox	mailbox;
	struct liov_events	events;
	struct liov_admin	admin;
	struct liov_pins	pins;
	u64			sent;
	struct liov_hw_inst	hw;
	u64			flushed;
	u64			flushes;
	struct liov_mem		mem;
	struct liov_gmem	gmem;
	struct liov_unmap	*unmap;
	u64			unmaps;
	u64			unmap_repeats;
	struct liov_load	load;
	struct liov_track	track;
	u64			bar;
	struct liov_resume	resume;
	struct delayed_work	settle;
	struct liov_watch	watch;
	atomic64_t		host_bytes;

	bool			offers_err;
	bool			err_raised;
	struct liov_virq	err;
	struct liov_virq	req;
	/* As many as it has, since most have few: nr_vectors, and nr_pairs + 1. */
	u8			*msix_table;
	struct liov_virq	*virq;
	struct liov_cq		*cq;
	struct liov_sq		*sq;
};

struct liov_type {
	struct mdev_type	type;
	u16			nr_pairs;
};

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
 * @irq_lock:  @vectors, liov_cq.vec, liov_virq.trigger
 * @told_granted: nr_granted as last logged; @told_host: nr_host likewise
 * @id:        the drive's Identify Controller; under pool_lock
 * @vwc:       it has a volatile write cache
 * @hw:        what else guests are told of it
 * @aborts:    Abort commands of instances in flight
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
	struct list_head	backings;
	u64			ns_gen;
	u64			id_gen;
	bool			no_ns_desc;
	struct list_head	watch_node;

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
};

static inline struct liov_instance *liov_from_vdev(struct vfio_device *vdev)
{
	return container_of(vdev, struct liov_instance, vdev);
}

static inline struct device *liov_dev(const struct liov_instance *inst)
{
	return mdev_dev(inst->mdev);
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
	atomic64_add(bytes, &inst->host_bytes);
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
	return test_bit(0, &inst->stops);
}

/* How long after a reset of the host's another one is not unlikely; arbitrary. */
#define LIOV_SETTLE_MS		2000

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
 * liov_sq_kick() - a guest may have stored to a queue's doorbell and nobody saw it
 * @sq: queue, live or not
 *
 * For work items that a guest can cause: where a mode has jobs, one does it, in the guest's
 * own time.  May sleep.
 */
static inline void liov_sq_kick(struct liov_sq *sq)
{
	if (sq->inst->mode->jobs)
		liov_job_queue(sq->inst, &sq->job);
	else
		sq->inst->mode->sq_go_on(sq, LIOV_BY_STORE);
}

/* guest_log.c */
bool liov_guest_log_left(const struct liov_instance *inst);
bool liov_guest_may_log(struct liov_instance *inst);

/**
 * liov_guest_warn() - a line in the host's log that a guest or a VFIO user can cause
 * @inst: instance
 * @fmt:  as for dev_warn()
 *
 * A second one within a second is left out, whatever it says.  Any context.
 */
#define liov_guest_warn(inst, fmt, ...)						\
	do {									\
		if (liov_guest_may_log(inst))					\
			dev_warn(liov_dev(inst), fmt, ##__VA_ARGS__);		\
	} while (0)

/**
 * liov_open_err() - what an operator did or whoever opens the device finds does not work
 * @inst: instance; the caller holds its lock
 * @fmt:  as for dev_err()
 *
 * An operator is told each time, a VFIO user as liov_guest_warn() does.
 */
#define liov_open_err(inst, fmt, ...)						\
	do {									\
		if (!(inst)->opening || liov_guest_may_log(inst))		\
			dev_err(liov_dev(inst), fmt, ##__VA_ARGS__);		\
	} while (0)

/* parent.c */
extern const struct liov_host_ops liov_parent_ops;

/* pool.c */
int liov_parent_take_qids(struct liov_parent *p, struct liov_instance *inst);
unsigned int liov_parent_fit(struct liov_parent *p, struct liov_instance *inst);
void liov_parent_put_qids(struct liov_parent *p, struct liov_instance *inst);
bool liov_parent_stick_qid(struct liov_parent *p, u16 qid, u64 gen);
unsigned int liov_parent_free_pairs(struct liov_parent *p);
void liov_parent_judge(struct liov_parent *p);
void liov_parent_reclaim(struct liov_parent *p);
int liov_parent_enter(struct liov_parent *p);
int liov_parent_admin(struct liov_parent *p, struct nvme_command *cmd, void *buf,
		      unsigned int len, u32 *result);
int liov_parent_admin_now(struct liov_parent *p, struct nvme_command *cmd, void *buf,
			  unsigned int len);
void __iomem *liov_parent_doorbell(struct liov_parent *p, u16 hwqid, bool cq);
int liov_parent_parse_cq_head(const char *val, enum liov_cq_head_mode *mode);
const char *liov_cq_head_name(enum liov_cq_head_mode mode);

/* cqprobe.c */
enum liov_cq_head_mode liov_probe_cq_head(struct liov_parent *p);
void liov_probe_reclaim(struct liov_parent *p);
void liov_probe_leak(struct liov_parent *p);

/**
 * struct liov_extent - where a block device lies in its namespace
 * @first: first LBA
 * @nlb:   LBAs
 */
struct liov_extent {
	u64	first;
	u64	nlb;
};

/* extent.c */
int liov_extent_of(struct liov_instance *inst, struct block_device *bdev, u8 lba_shift, u64 nsze,
		   struct liov_extent *ext);
bool liov_extent_has(const struct liov_extent *ext, u64 first, u64 nlb);
int liov_backing_inside(struct liov_instance *inst, u64 nsze);

/* backing.c */
int liov_backing_set(struct liov_instance *inst, const char *text);
void liov_backing_put(struct liov_instance *inst);

/* nscheck.c */
int liov_ns_identify(struct liov_instance *inst, u32 nsid, struct nvme_id_ns *ns,
		     struct liov_ns_ident *id);
void liov_ns_judge(struct liov_instance *inst, struct liov_backing *b, u64 gen,
		   struct block_device *bdev, int rc);
int liov_ns_usable(struct liov_instance *inst, struct block_device *bdev,
		   const struct liov_ns_ident *id);
int liov_backing_check(struct liov_instance *inst);
int liov_backing_verify(struct liov_instance *inst, bool running);
int liov_backing_recheck(struct liov_instance *inst);

/* What tells one NVM subsystem from another; for all its controllers the same. */
struct liov_subsystem {
	__le16	vid;
	char	sn[sizeof_field(struct nvme_id_ctrl, sn)];
	char	mn[sizeof_field(struct nvme_id_ctrl, mn)];
	char	subnqn[sizeof_field(struct nvme_id_ctrl, subnqn)];
};

/**
 * struct liov_ns_command - a command of the host's that is on its way
 * @node:   commands
 * @of:     the subsystem
 * @nsid:   the namespace, or NVME_NSID_ALL
 * @effect: if LIOV_NS_TAKEN its users were stopped and must not come back yet
 * @name:   in the specification's words
 */
struct liov_ns_command {
	struct list_head node;
	struct liov_subsystem of;
	u32 nsid;
	enum liov_ns_effect effect;
	const char *name;
};

/* nscommand.c */
void liov_subsystem_of(struct liov_subsystem *of, const struct nvme_id_ctrl *id);
bool liov_subsystem_has(const struct liov_subsystem *of, const struct liov_parent *p);
bool liov_ns_command_is_about(const struct liov_ns_command *nc, u32 nsid);
void liov_ns_command_add(struct liov_ns_command *nc);
void liov_ns_command_del(struct liov_ns_command *nc);
void liov_ns_command_wake(void);
bool liov_ns_is_free(struct liov_instance *inst);
int liov_ns_wait_free(struct liov_instance *inst, u32 nsid);

/* nswatch.c */
extern const struct blk_holder_ops liov_watch_holder;
void liov_watch_init(struct liov_instance *inst);
void liov_watch_cancel(struct liov_instance *inst);
void liov_watch_add(struct liov_parent *p);
void liov_watch_del(struct liov_parent *p);
void liov_watch_changed(struct liov_parent *p);
void liov_watch_look_all(struct liov_parent *p);
void liov_watch_lock(void);
void liov_watch_unlock(void);
struct liov_parent *liov_watch_sibling(struct liov_parent *p, struct liov_parent *prev);
void *liov_watch_command(struct liov_host *h, const struct nvme_command *c);
void liov_watch_command_over(void *cookie);

/* instance.c */
int liov_instance_set_mode(struct liov_instance *inst, const char *name);
int liov_instance_open(struct liov_instance *inst);
void liov_instance_close(struct liov_instance *inst);
void liov_instance_dma_unmap(struct liov_instance *inst, u64 iova, u64 len);
const char *liov_instance_state(struct liov_instance *inst);
int liov_instance_create(struct liov_instance *inst);
void liov_instance_stop(struct liov_instance *inst);
void liov_instance_free(struct liov_instance *inst);

/* registers.c */
/* What there is to do, in this order. */
#define LIOV_DO_FLR		BIT(0)
#define LIOV_DO_SILENCE		BIT(1)	/* no bus mastering any more, or D3hot */
#define LIOV_DO_DISABLE		BIT(2)
#define LIOV_DO_SHUTDOWN	BIT(3)
#define LIOV_DO_ENABLE		BIT(4)
#define LIOV_DO_STOP		(LIOV_DO_FLR | LIOV_DO_SILENCE | LIOV_DO_DISABLE | LIOV_DO_SHUTDOWN)

void liov_control_update(struct liov_instance *inst);
void liov_control_kick(struct liov_instance *inst);
bool liov_control_is_idle(const struct liov_instance *inst);
void liov_control_set_fatal(struct liov_instance *inst);
bool liov_control_entry_sizes_ok(struct liov_instance *inst);

/* control.c */
void liov_control_init(struct liov_instance *inst);
u64 liov_control_reg_read(struct liov_instance *inst, u32 off, unsigned int size);
void liov_control_reg_write(struct liov_instance *inst, u32 off, u64 val, unsigned int size);
void liov_control_config_read(struct liov_instance *inst, u64 off, void *buf, unsigned int n);
void liov_control_config_write(struct liov_instance *inst, u64 off, const void *buf,
			       unsigned int n);
void liov_control_msix_access(struct liov_instance *inst, u64 off, void *buf, unsigned int n,
			      bool write);
void liov_control_function_reset(struct liov_instance *inst);
void liov_control_close(struct liov_instance *inst);
void liov_control_cancel(struct liov_instance *inst);

/* resume.c */
void liov_resume_init(struct liov_instance *inst);
void liov_resume_stop(struct liov_instance *inst);
void liov_resume_lost(struct liov_instance *inst);
int liov_resume_now(struct liov_instance *inst);
void liov_resume_kick(struct liov_instance *inst);

/* vfio.c */
void liov_vfio_lost(struct liov_instance *inst);
extern const struct vfio_device_ops liov_vfio_ops;

/* mdev.c */
extern struct mdev_driver liov_mdev_driver;

/* sysfs.c */
int liov_sysfs_add_parent(struct liov_parent *p);
void liov_sysfs_del_parent(struct liov_parent *p);
int liov_sysfs_add_instance(struct liov_instance *inst);
void liov_sysfs_del_instance(struct liov_instance *inst);

/* stats.c */
int liov_stats_add(struct liov_instance *inst);
void liov_stats_del(struct liov_instance *inst);

/* event.c */
void liov_admin_kick(struct liov_instance *inst);
void liov_admin_event(struct liov_instance *inst, enum liov_event ev);

/* admin.c */
void liov_admin_init(struct liov_instance *inst);
void liov_admin_reset(struct liov_instance *inst);
bool liov_admin_enable(struct liov_instance *inst);
void liov_admin_stop(struct liov_instance *inst);
void liov_admin_doorbell(struct liov_instance *inst, bool cq, u32 val);

/* admin_hw.c */
int liov_hw_alloc(struct liov_parent *p);
void liov_hw_free(struct liov_parent *p);
int liov_parent_identify(struct liov_parent *p, bool wait);
int liov_hw_inst_alloc(struct liov_instance *inst);
void liov_hw_inst_free(struct liov_instance *inst);
int liov_hw_keep_ns(struct liov_instance *inst, const struct nvme_id_ns *ns, bool wait);
void liov_hw_identify(struct liov_instance *inst, enum liov_identify_src src, void *buf);
u16 liov_hw_log(struct liov_instance *inst, u8 lid, void *buf);
bool liov_hw_may(struct liov_instance *inst, const struct nvme_command *c, unsigned long *delay);
void liov_hw_did_not(struct liov_instance *inst, const struct nvme_command *c);

/* send.c */
int liov_hw_send(struct liov_instance *inst, struct nvme_command *cmd, void *buf,
		 unsigned int len, u32 *result);
u16 liov_hw_abort(struct liov_instance *inst, const struct liov_sq *sq, u16 cid, u32 *result);

/* flush.c */
struct file *liov_flush_begin(struct liov_instance *inst);
void liov_flush_run(struct liov_instance *inst, struct file *file);

/* hwq.c */
int liov_cq_create(struct liov_cq *cq, const struct nvme_command *c);
int liov_sq_create(struct liov_sq *sq, const struct nvme_command *c);
int liov_queues_resume(struct liov_instance *inst);

/* fence.c */
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

/* doorbell.c */
void liov_doorbell_init(struct liov_instance *inst);
int liov_doorbell_open(struct liov_instance *inst);
void liov_doorbell_close(struct liov_instance *inst);
bool liov_doorbell_mappable(const struct liov_instance *inst);
void liov_doorbell_decode_changed(struct liov_instance *inst);
void liov_doorbell_write(struct liov_instance *inst, u64 reg, u32 val);
int liov_doorbell_mmap(struct liov_instance *inst, struct vm_area_struct *vma);

/* own_doorbell.c */
void liov_own_open(struct liov_instance *inst);
bool liov_doorbell_prepare_own(struct liov_instance *inst, u16 qid, bool cq);
void liov_doorbell_own(struct liov_instance *inst, u16 qid, bool cq);
void liov_doorbell_disown(struct liov_instance *inst, u16 qid, bool cq);
void liov_doorbell_revoke(struct liov_instance *inst);

/* busy.c */
void liov_busy_init(struct liov_sq *sq);
void liov_busy_note(struct liov_sq *sq, enum liov_by by, u32 found, u32 outstanding,
		    u32 waiting);
void liov_busy_begin(struct liov_sq *sq);
bool liov_busy_forget(struct liov_sq *sq);
void liov_busy_completed(struct liov_sq *sq, struct liov_pass *pass);
void liov_busy_halted(struct liov_busy *b, struct liov_pass *pass);
void liov_busy_stop(struct liov_sq *sq);

/* halt.c */
void liov_halt_init(void (*look)(struct liov_busy *b, struct liov_pass *pass));
void liov_halt_exit(void);
void liov_halt_watch(struct liov_sq *sq);
void liov_halt_unwatch(struct liov_sq *sq);

/**
 * liov_busy_look() - a completion came: look at the doorbell if the queue is busy
 * @cq:   queue
 * @pass: what may still be done
 *
 * Hard interrupt, or a job in its stead.
 */
static inline void liov_busy_look(struct liov_cq *cq, struct liov_pass *pass)
{
	struct liov_sq *sq = &cq->inst->sq[cq->qid];

	if (unlikely(READ_ONCE(sq->busy.on)))
		liov_busy_completed(sq, pass);
}

/**
 * liov_cq_waiting() - completions the guest has not come to yet; about
 * @cq:   queue
 * @tail: where the next one goes in the guest's ring
 *
 * Return: their number; 0 if the guest's head is none.
 */
static inline u32 liov_cq_waiting(const struct liov_cq *cq, u32 tail)
{
	u32 head = READ_ONCE(*cq->db.val);

	return head < cq->depth ? (tail + cq->depth - head) % cq->depth : 0;
}

/**
 * liov_busy_by_itself() - is it the guest itself that a busy guest waits for?
 * @outstanding: commands the hardware has
 * @waiting:     completions the guest has not come to yet
 *
 * Return: true if it has more to do than the drive.
 */
static inline bool liov_busy_by_itself(u32 outstanding, u32 waiting)
{
	return outstanding < waiting;
}

/* direct.c */
extern const struct liov_mode_ops liov_direct_ops;
void liov_direct_init(struct liov_instance *inst);
void liov_direct_stop(struct liov_instance *inst);

/* guarded_queue.c */
extern const struct liov_mode_ops liov_guarded_ops;
void liov_guarded_init(struct liov_instance *inst);

/* gmem.c */
void liov_gmem_init(struct liov_instance *inst);
struct liov_step_map liov_gmem_step(struct liov_instance *inst, u64 gpa);
struct liov_step_map liov_gmem_fault(struct liov_instance *inst, u64 gpa, u16 *status);
int liov_gmem_map_ring(struct liov_instance *inst, struct liov_ring_map *map);
u16 liov_gmem_read(struct liov_instance *inst, u64 gpa, void *buf, u32 len);
bool liov_gmem_overlaps(struct liov_instance *inst, u64 iova, u64 len);
void liov_gmem_unmap(struct liov_instance *inst, u64 iova, u64 len);
void liov_gmem_leak(struct liov_instance *inst);

/* window.c */
void liov_mem_init(struct liov_instance *inst);
int liov_mem_check_iommu(struct liov_instance *inst);
bool liov_mem_has_window(struct liov_instance *inst);
int liov_mem_to_gpa(struct liov_instance *inst, u64 addr, u64 len, u64 *gpa);
int liov_mem_map(struct liov_instance *inst, u64 gpa, u64 size, const bool *cancel, u64 *bus);
bool liov_mem_overlaps(struct liov_instance *inst, u64 iova, u64 len);
void liov_mem_drop(struct liov_instance *inst, u64 iova, u64 len);
void liov_mem_leak(struct liov_instance *inst);

/* guest_rw.c */
bool liov_mem_hits_bar(struct liov_instance *inst, u64 addr, u64 len);
int liov_mem_rw(struct liov_instance *inst, u64 addr, void *buf, u32 len, bool write);

/* mailbox.c */
void liov_mailbox_init(struct liov_instance *inst);
void liov_mailbox_written(struct liov_instance *inst);
void liov_mailbox_poll(struct liov_instance *inst);
void liov_mailbox_cancel(struct liov_instance *inst);
bool liov_mailbox_is_busy(struct liov_instance *inst);
void liov_mailbox_unmapping(struct liov_instance *inst, u64 iova, u64 len);

/* pin.c */
#define LIOV_PIN_BATCH		512	/* VFIO's VFIO_PIN_PAGES_MAX_ENTRIES: pinned at a time */
void liov_pin_init(struct liov_instance *inst);
bool liov_pin_scarce(struct liov_instance *inst);
bool liov_pin_again_soon(struct liov_instance *inst);
void liov_pin_forget(struct liov_instance *inst);
int liov_pin(struct liov_instance *inst, u64 gpa, struct page **pages, unsigned long npages,
	     int prot, const bool *cancel);
void liov_unpin(struct liov_instance *inst, u64 gpa, unsigned long npages);
int liov_ring_map(struct liov_instance *inst, struct liov_ring_map *map, u64 gpa, u32 bytes);
void liov_ring_unmap(struct liov_instance *inst, struct liov_ring_map *map);
bool liov_ring_overlaps(const struct liov_ring_map *map, u64 iova, u64 len);
void liov_memory_broken(struct liov_instance *inst, const char *what, u16 qid);

/* irq.c */
void liov_irq_init(struct liov_instance *inst);
int liov_irq_attach(struct liov_cq *cq);
void liov_irq_detach(struct liov_cq *cq);
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

#endif /* _LIGHTIOV_H */
