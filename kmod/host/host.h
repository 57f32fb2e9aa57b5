/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host boundary: all that the rest of the module may know of nvme.ko.
 * Implemented by the files of this folder.
 */
#ifndef _LIOV_HOST_H
#define _LIOV_HOST_H

#include <linux/mutex.h>
#include <linux/nvme.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>

struct liov_host;

/**
 * struct liov_host_ops - what the boundary tells the module about a controller
 * @bound:    nvme.ko is bound, or about to be.  What there is of each controller can be made.
 *            Before @live.  May sleep.
 * @unbound:  It is about to be unbound, or this module to be unloaded.  After @gone, under no
 *            lock of the boundary: it may wait for who uses what @bound has made.
 * @withdraw: The controller is to be offered no longer: -EBUSY if somebody uses it, else
 *            nobody begins to from now on, and @gone follows.  May sleep.
 * @live:     The controller is live (first probe, or after a reset).  Called
 *            from a work item of the boundary, never from inside nvme.ko; the
 *            gate is open and admin commands work.  May sleep.  Returns an errno if it
 *            cannot be offered.
 * @stopping: The host driver begins to take the controller down (reset or
 *            remove).  Called inside nvme.ko's reset path: the gate is closed
 *            and drained.  Interrupts and vectors must be freed here and no
 *            doorbell may be written any more.  May sleep; must not issue admin
 *            commands, must not wait for a section of liov_host_enter() and so
 *            must not take a lock that is held across one.
 * @stopped:  The controller is disabled (CC.EN = 0, bus mastering off): it no
 *            longer touches memory.  Same rules as @stopping.  Late, from the
 *            work item that calls @live next, if it did not let itself be
 *            disabled at once.
 * @lost:     The host driver has given the controller up: it will not be live
 *            again, and no section be opened.  It may still touch memory if
 *            @stopped did not come before.  Same rules as @stopping.
 * @gone:     The driver is about to be unbound (or this module is unloading, or the
 *            controller not offered any more):
 *            evict every user, then return.  The controller still works while
 *            this runs, and may still be reset: before it frees what @stopping,
 *            @stopped and @lost use, it calls liov_host_silence().  May sleep.  Not
 *            called if @live never was.
 * @command:  Somebody on the host is about to send the controller an admin command that
 *            may change what a namespace is, or the controller (liov_host_watches()).  It
 *            is sent when this returns.  In that process, without a lock of nvme-core's;
 *            may sleep; may come at any time, also after @gone.  Returns NULL if that is
 *            of no interest.
 * @command_over: The command is over, however it ended.  Gets what @command returned.  From
 *            a work item of the boundary; may sleep, not for long.
 */
struct liov_host_ops {
	void (*bound)(struct liov_host *h);
	void (*unbound)(struct liov_host *h);
	int (*withdraw)(struct liov_host *h);
	int (*live)(struct liov_host *h);
	void (*stopping)(struct liov_host *h);
	void (*stopped)(struct liov_host *h);
	void (*lost)(struct liov_host *h);
	void (*gone)(struct liov_host *h);
	void *(*command)(struct liov_host *h, const struct nvme_command *cmd);
	void (*command_over)(void *cookie);
};

/**
 * liov_lock_in_reclaim - tell lockdep that memory reclaim may wait for a lock
 * @lock: which @stopping, @stopped or @lost, or a redirected call of nvme.ko, takes
 *
 * They run where nvme.ko handles commands that have timed out, which may be those
 * that reclaim waits for.  So whoever allocates under such a lock must not wait for
 * I/O: a kernel with lockdep says where somebody does.
 *
 * Not for liov_parent.irq_lock and liov_hostp.tell: under these the kernel's own
 * locks for interrupts are taken, and other drivers allocate under those, nvme.ko
 * too.  What we do under irq_lock is scoped by memalloc_noio_save().
 */
static inline void liov_lock_in_reclaim(struct mutex *lock)
{
	if (!IS_ENABLED(CONFIG_LOCKDEP))
		return;
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(lock);
	fs_reclaim_release(GFP_KERNEL);
}

/**
 * struct liov_host - one NVMe PCI function bound to nvme.ko
 * @pdev:       the function; a reference is held
 * @bar:        own mapping of BAR0 (registers and all doorbells)
 * @cap:        CAP as the hardware reports it
 * @vs:         VS
 * @cc:         CC as the host driver set it; valid while live
 * @db_stride:  bytes between two doorbells
 * @nr_granted: I/O queue pairs the controller granted (qids 1..nr_granted);
 *              valid while live, may change over a reset
 * @nr_host:    of these the host driver uses qids 1..nr_host
 * @priv:       for the user of the boundary (set by @live, cleared by @gone)
 * @dir:        likewise (set by @bound, cleared by @unbound)
 *
 * The rest is private to ctrl.c (container_of).
 */
struct liov_host {
	struct pci_dev	*pdev;
	void __iomem	*bar;
	u64		cap;
	u32		vs;
	u32		cc;
	u32		db_stride;
	u16		nr_granted;
	u16		nr_host;
	void		*priv;
	struct kobject	*dir;
};

int liov_host_init(const struct liov_host_ops *ops);
void liov_host_exit(void);

int liov_host_enter(struct liov_host *h);
void liov_host_leave(struct liov_host *h);
bool liov_host_is_gone(struct liov_host *h);
bool liov_host_is_down(struct liov_host *h);
int liov_host_wait_live(struct liov_host *h, unsigned int timeout_ms);
unsigned long liov_host_time_left(struct liov_host *h, unsigned int timeout_ms);
int liov_host_admin(struct liov_host *h, struct nvme_command *cmd, void *buf,
		    unsigned int len, u32 *result);
int liov_host_reset(struct liov_host *h);
int liov_host_nsid_of(struct liov_host *h, struct block_device *bdev, u32 *nsid);
u16 liov_host_set_floor(struct liov_host *h, u16 lowest_qid);
int liov_host_offer(struct liov_host *h);
int liov_host_withdraw(struct liov_host *h);
bool liov_host_is_offered(struct liov_host *h);
unsigned int liov_host_get_queues(struct liov_host *h);
void liov_host_set_queues(struct liov_host *h, unsigned int most);
unsigned int liov_host_get_reserve(struct liov_host *h);
void liov_host_set_reserve(struct liov_host *h, unsigned int reserve);
bool liov_host_is_due(struct liov_host *h);
int liov_host_apply(struct liov_host *h);
void liov_host_silence(struct liov_host *h);

#endif /* _LIOV_HOST_H */
