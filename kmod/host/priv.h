/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by ctrl.c (gate, callbacks), queues.c (how many queues are whose), up.c (what
 * is learned of a controller), cmd.c (commands), offer.c (which are used), bind.c (objects,
 * binding), watch.c (the host's own commands) and hooks.c (what touches nvme-core); nobody
 * else includes it.
 * Locks: see ctrl.c.
 */
#ifndef _LIOV_HOST_PRIV_H
#define _LIOV_HOST_PRIV_H

#include <linux/blk-mq.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "core.h"
#include "host/host.h"

struct nvme_ctrl;

/*
 * Exported by nvme-core but declared only in its private header, so declared
 * again here.  The bitwise flags of __nvme_submit_sync_cmd() and the result
 * pointer of nvme_get_features() (void * since 6.12) have plain types: the
 * calling convention is the same and no flag is used.
 */
int __nvme_submit_sync_cmd(struct request_queue *q, struct nvme_command *cmd,
			   union nvme_result *result, void *buffer,
			   unsigned int bufflen, int qid, u32 flags);
int nvme_submit_sync_cmd(struct request_queue *q, struct nvme_command *cmd,
			 void *buffer, unsigned int bufflen);
int nvme_get_features(struct nvme_ctrl *ctrl, unsigned int fid,
		      unsigned int dword11, void *buffer, size_t buflen,
		      u32 *result);
int nvme_set_queue_count(struct nvme_ctrl *ctrl, int *count);
int nvme_reset_ctrl(struct nvme_ctrl *ctrl);
void nvme_quiesce_io_queues(struct nvme_ctrl *ctrl);
int nvme_wait_freeze_timeout(struct nvme_ctrl *ctrl, long timeout);
void nvme_cancel_admin_tagset(struct nvme_ctrl *ctrl);
void nvme_start_ctrl(struct nvme_ctrl *ctrl);
void nvme_init_request(struct request *req, struct nvme_command *cmd);

/* NVME_QID_ANY of the private header: any hardware context will do. */
#define LIOV_QID_ANY		(-1)

/**
 * enum liov_gate - who may open a section
 * @LIOV_GATE_CLOSED: nobody: the controller is down or on its way
 * @LIOV_GATE_INNER:  the boundary's own work item: the controller is up, but
 *                    what a user needs to know is not learned yet
 * @LIOV_GATE_OPEN:   everybody
 */
enum liov_gate {
	LIOV_GATE_CLOSED,
	LIOV_GATE_INNER,
	LIOV_GATE_OPEN,
};

/**
 * enum liov_told - the last of live, stopping, stopped that a user was told
 * @LIOV_TOLD_NOTHING:  none, or @gone came since
 * @LIOV_TOLD_LIVE:     @live (it may still be running)
 * @LIOV_TOLD_STOPPING: @stopping
 * @LIOV_TOLD_STOPPED:  @stopped
 */
enum liov_told {
	LIOV_TOLD_NOTHING,
	LIOV_TOLD_LIVE,
	LIOV_TOLD_STOPPING,
	LIOV_TOLD_STOPPED,
};

/* Calls of nvme.ko to nvme-core that are redirected; see up.c. */
#define LIOV_CALL_COUNT		BIT(0)	/* nvme_set_queue_count() */
#define LIOV_CALL_QUIESCE	BIT(1)	/* nvme_quiesce_io_queues() */
#define LIOV_CALL_CANCEL	BIT(2)	/* nvme_cancel_admin_tagset() */
#define LIOV_CALL_START		BIT(3)	/* nvme_start_ctrl() */
#define LIOV_CALLS_ALL		(LIOV_CALL_COUNT | LIOV_CALL_QUIESCE | LIOV_CALL_CANCEL | \
				 LIOV_CALL_START)

/**
 * struct liov_split - how queue pairs are to be divided
 * @host:    the host's driver keeps so many at most, or LIOV_AUTO
 * @reserve: so many are to be spare
 */
struct liov_split {
	unsigned int	host;
	unsigned int	reserve;
};

/**
 * struct liov_hostp - a struct liov_host with its private part
 * @h:         what the rest of the module sees
 * @kref:      one for the list, one for each hook that works on it
 * @node:      in the list of hosts (ctrl.c)
 * @work:      learns about a controller that came up, then calls @live
 * @life:      serialises eviction and release
 * @tell:      held while @stopping, @stopped or @lost runs
 * @page_lock: @page
 * @page:      what attributes of nvme's are read into; set aside, since the redirected
 *             calls look at one and must not allocate
 * @lock:      guards all fields below it
 * @wq:        woken when @sections falls to 0 and when @gate or @bound changes
 * @gate:      who may open a section
 * @told:      what the user was told last
 * @sections:  open sections
 * @seq:       counts closings of the gate: what was learned before one is stale
 * @bound:     nvme.ko is bound (or binding) and eviction has not finished
 * @unbinding: eviction or withdrawal has begun: @live is not called any more
 * @offered:   guests may have it; written under @life, too
 * @usable:    @live has returned 0 since then
 * @owes_live: it was started since @live was last told, during an eviction or withdrawal
 * @refused:   they cannot, though, and why: an errno; written by @work, cleared under @life
 * @down_at:   when the gate was last closed, jiffies
 * @left:      the device is no longer on the bus, or nvme.ko has given it up
 * @paused:    a system suspend is under way
 * @announced: @live was called and @gone not since
 * @hooked:    nvme.ko has set its queues up under our hooks since it bound
 * @reset_tried: the one reset after a late load was asked for
 * @unfit:     why it does not qualify, NULL if it does or that is not known; read and
 *             written by @work, cleared when nvme.ko binds
 * @wary:      not all redirected calls are certain to be seen
 * @calls:     LIOV_CALL_* seen since nvme.ko bound
 * @calls_tried: looks at @calls since the one reset that should have shown all
 * @owner_counted: this host counts in liov_hooks_bind()
 * @split:     what is set
 * @used:      what was set when nvme.ko last set its queues up
 * @divides:   we take part in the set-up that is under way
 * @floor:     lowest qid held by instances, 0 if none
 * @logged_in_bar: queue pairs whose doorbells are inside BAR0, as last logged
 * @answer:    number of I/O queues nvme.ko was told it has (if @hooked)
 * @adminq:    admin request queue; same for as long as nvme.ko is bound
 */
struct liov_hostp {
	struct liov_host	h;
	struct kref		kref;
	struct list_head	node;
	struct delayed_work	work;
	struct mutex		life;	/* outermost, see ctrl.c */
	struct mutex		tell;	/* inside @life */
	struct mutex		page_lock; /* a leaf */
	char			*page;
	spinlock_t		lock;	/* innermost */
	wait_queue_head_t	wq;
	enum liov_gate		gate;
	enum liov_told		told;
	unsigned int		sections;
	unsigned int		seq;
	bool			bound;
	bool			unbinding;
	bool			offered;
	bool			usable;
	bool			owes_live;
	int			refused;
	bool			left;
	unsigned long		down_at;
	bool			paused;
	bool			announced;
	bool			hooked;
	bool			reset_tried;
	const char		*unfit;
	bool			wary;
	u8			calls;
	u8			calls_tried;
	bool			owner_counted;
	struct liov_split	split;
	struct liov_split	used;
	bool			divides;
	u16			floor;
	u16			answer;
	u16			logged_in_bar;
	struct request_queue	*adminq;
};

static inline struct liov_hostp *to_hostp(struct liov_host *h)
{
	return container_of(h, struct liov_hostp, h);
}

/*
 * How long a reset waits for open sections.  A healthy controller answers an
 * admin command in far less; one that does not is being reset for that reason,
 * and nvme.ko then cancels the command itself.  The values are arbitrary.
 */
#define LIOV_DRAIN_MS		10000
#define LIOV_DRAIN_DEAD_MS	500

/*
 * How long a failed controller may take to leave CSTS.RDY.  CAP.TO may be two minutes;
 * nvme.ko waits that long later, in the reset.  Arbitrary.
 */
#define LIOV_DISABLE_MS		2000

/*
 * From one look at the calls that were seen to the next; after so many at a controller that
 * is live again it is decided.
 */
#define LIOV_CALLS_MS		1000
#define LIOV_CALLS_LOOKS	3

/* For so long somebody waits for a reset that he asked for: as nvme's own admin time-out. */
#define LIOV_APPLY_MS		60000

/* For so long a reset waits for the host's I/O if the host is to get fewer queues; arbitrary. */
#define LIOV_SHRINK_MS		10000

/* From a look for which there was no memory to the next; arbitrary. */
#define LIOV_NOMEM_MS		500

/*
 * ctrl.c.  @liov_ops and the work queue are set by
 * liov_host_init() before anything reads them; @liov_exiting is set once, before
 * the last evictions: nothing comes up again; @liov_pm_hold is set while a
 * system suspend is under way: @live has to wait.
 */
extern const struct liov_host_ops *liov_ops;
extern struct workqueue_struct *liov_host_wq;
extern bool liov_exiting;
extern bool liov_pm_hold;

int liov_host_is_open(struct liov_hostp *p);
bool liov_host_drain(struct liov_hostp *p, unsigned int ms);
unsigned int liov_host_seq(struct liov_hostp *p);
void liov_host_tell_stopped(struct liov_hostp *p, unsigned int seq);
void liov_host_look(struct liov_hostp *p, unsigned long delay);
void liov_host_up(struct liov_hostp *p, unsigned int seq);
bool liov_host_is_dead(struct liov_hostp *p);
bool liov_host_is_given_up(struct liov_hostp *p);
void liov_host_down(struct liov_hostp *p);
void liov_host_disabled(struct liov_hostp *p);

/* queues.c */
int liov_host_ask(struct liov_hostp *p, int want);
int liov_host_answer(struct liov_hostp *p, int want, int granted);
const char *liov_host_lacks_pairs(struct liov_hostp *p);
bool liov_host_may_shrink(struct liov_hostp *p);

/* offer.c */
bool liov_host_takes_part(struct liov_hostp *p);
void liov_host_begin(struct liov_hostp *p);
void liov_host_end(struct liov_hostp *p, bool unbind);

/* up.c */
void liov_host_saw(struct liov_hostp *p, u8 call);
void liov_host_live_work(struct work_struct *work);

/* hosts.c */
struct liov_hostp *liov_host_of_pdev(struct device *dev);
struct liov_hostp *liov_host_of_ctrl(struct nvme_ctrl *ctrl);
struct liov_hostp *liov_host_of_queue(struct request_queue *q);
struct liov_hostp *liov_hosts_first(bool (*match)(struct liov_hostp *p));
struct liov_hostp *liov_hosts_add(struct liov_hostp *p);
void liov_hosts_del(struct liov_hostp *p);
void liov_host_unmap(struct liov_hostp *p);
void liov_host_put(struct liov_hostp *p);

/* watch.c */
bool liov_host_watches(const struct nvme_command *cmd);
void liov_host_command(struct request *req, const struct nvme_command *cmd);
void liov_host_watch_exit(void);

/**
 * struct liov_hook_ops - who is told of nvme.ko's calls: bind.c
 * @get:       the host of a controller, with a reference, or NULL: not one of ours
 * @put:       the reference
 * @ask:       nvme.ko is about to ask for @want I/O queues: for how many to ask instead
 * @answer:    so many were @granted of those: how many nvme.ko gets to see
 * @drains:    it is about to take the controller down: shall what the host has in flight end
 *             first?
 * @quiesce:   likewise; now
 * @cancelled: it has taken it down
 * @start:     the controller is about to be live; false if it is not to be
 * @started:   it is; @seq is what @start gave
 * @shadows:   may it have shadow doorbells, by a command to this admin queue?
 * @watches:   is a command of interest to @command?  From ftrace: notrace
 * @command:   it is about to be sent; may sleep for long
 *
 * In nvme.ko's context: may sleep, and are often below its time-out handling.
 */
struct liov_hook_ops {
	struct liov_hostp *(*get)(struct nvme_ctrl *ctrl);
	void (*put)(struct liov_hostp *p);
	int (*ask)(struct liov_hostp *p, int want);
	int (*answer)(struct liov_hostp *p, int want, int granted);
	bool (*drains)(struct liov_hostp *p);
	void (*quiesce)(struct liov_hostp *p);
	void (*cancelled)(struct liov_hostp *p);
	bool (*start)(struct liov_hostp *p, unsigned int *seq);
	void (*started)(struct liov_hostp *p, unsigned int seq);
	bool (*shadows)(struct request_queue *q);
	bool (*watches)(const struct nvme_command *cmd);
	void (*command)(struct request *req, const struct nvme_command *cmd);
};

/* hooks.c */
int liov_hooks_register(const struct liov_hook_ops *ops);
void liov_hooks_unregister(void);
void liov_hooks_bind(struct module *owner);
void liov_hooks_unbind(void);
bool liov_hooks_may_miss(struct module *owner);
struct device *liov_ctrl_get(struct pci_dev *pdev);
bool liov_ctrl_is_live(struct liov_hostp *p, struct device *cdev);
bool liov_ctrl_is_given_up(struct liov_hostp *p, struct device *cdev);
int liov_ctrl_queue_count(struct liov_hostp *p, struct device *cdev);
int liov_ctrl_learn(struct nvme_ctrl *ctrl, struct request_queue **q,
		    u16 *granted);

#endif /* _LIOV_HOST_PRIV_H */
