/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: controller
 *
 * The virtual controller: its life (instance.c), registers and what accesses to them set off
 * (registers.c, control.c), admin commands (admin.c, and admin_hw.c for what of them reaches
 * the drive), what it stores on (backing.c, extent.c, nscheck.c), what the host does to that
 * (nswatch.c, nscommand.c) and to the drive's controller (reset.c), and the mailbox.
 *
 * Owns struct liov_instance, which begins with what the floors below need of it.  The slow
 * path is under liov_instance.lock, registers and configuration space under
 * liov_instance.reg_lock.  No access of a guest's waits for the former.
 *
 * Called by VFIO's callbacks, sysfs and the host's side (vfio/); work items of its own do
 * what takes time.
 */
#ifndef _LIOV_CONTROLLER_H
#define _LIOV_CONTROLLER_H

#include "queue/queue.h"

#define LIOV_AERL		3	/* 0's based, as in Identify Controller */

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
 * struct liov_control - what a guest's accesses set off; see control.c
 * @work:  carries it out
 * @todo:  what there is to do, LIOV_DO_*; under liov_instance.reg_lock
 * @doing: what of it @work does now; likewise
 * @ready: CSTS.RDY at the last change of a register; likewise
 */
struct liov_control {
	struct delayed_work	work;
	unsigned int		todo;
	unsigned int		doing;
	bool			ready;
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
 * struct liov_instance - one mdev: a virtual controller; in 4 KiB of memory, as it takes 8
 *                        of the allocator beyond that
 * @stats_lock: inside of @lock, for whose owner, who may sleep for the guest, a removal does not
 *          wait
 * @sq_made: is told under @lock of a submission queue that its guest has made; vfio/stats.c
 * @regs, @pci, @msix_table, @control, @mailbox: under @reg_lock
 * @hw:     what its admin commands ask of the drive
 * @flushed: guarded: commands that wrote before the last flush; @flushes: how many
 * @offers_err: user space is told by VFIO's ERR that the controller is lost; fixed at open
 * @err_raised: it was; both are written under pool_lock
 * @err: VFIO's ERR and @req its REQ: need none of the locks here
 */
struct liov_instance {
	struct liov_pairs;
	struct kobject		*kobj;		/* UUID/lightiov */
	struct kobject		*stats_kobj;	/* UUID/lightiov/stats */
	struct mutex		stats_lock;	/* @stats_kobj and what is in it */
	void			(*sq_made)(struct liov_instance *inst, u16 qid);
	struct liov_backing	backing;
	struct liov_pci		*pci;
	struct liov_regs	regs;
	u8			*msix_table;
	struct liov_features	features;
	struct liov_ident	ident;
	struct liov_log_state	*log;
	struct liov_control	control;
	struct liov_mailbox	mailbox;
	struct liov_admin	admin;
	struct liov_hw_inst	hw;
	u64			flushed;
	u64			flushes;
	struct liov_watch	watch;
	bool			offers_err;
	bool			err_raised;
	struct liov_virq	err;
	struct liov_virq	req;
};

static_assert(!offsetof(struct liov_instance, vdev));

static inline struct liov_instance *liov_from_vdev(struct vfio_device *vdev)
{
	return container_of(vdev, struct liov_instance, vdev);
}

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
int liov_instance_set_weight(struct liov_instance *inst, unsigned int weight);
int liov_instance_set_limit(struct liov_instance *inst, enum liov_rate_id id, u64 per_second);
int liov_instance_set_burst(struct liov_instance *inst, unsigned int ms);
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
#define LIOV_DO_STOP		(LIOV_DO_FLR | LIOV_DO_SILENCE | LIOV_DO_DISABLE | \
				 LIOV_DO_SHUTDOWN)

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

/* reset.c */
void liov_resume_init(struct liov_instance *inst);
void liov_resume_stop(struct liov_instance *inst);
void liov_resume_lost(struct liov_instance *inst);
int liov_resume_now(struct liov_instance *inst);
void liov_resume_kick(struct liov_instance *inst);

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

/* flush.c */
struct file *liov_flush_begin(struct liov_instance *inst);
void liov_flush_run(struct liov_instance *inst, struct file *file);

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

#endif /* _LIOV_CONTROLLER_H */
