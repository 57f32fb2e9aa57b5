/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The record of who is taking guest memory away; see unmap.c.  Included by
 * lightiov.h.
 */
#ifndef _LIOV_UNMAP_H
#define _LIOV_UNMAP_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct liov_instance;

/**
 * struct liov_unmap - who is taking memory away from an instance
 * @ref:        the instance's, and one of each struct liov_unmapper
 * @lock:       all below, and what is in @spare and @inside
 * @spare:      struct liov_unmapper, @nr_spare of them, for tasks to come
 * @inside:     likewise, of tasks inside the ioctl
 * @open:       spares are kept
 * @nr:         entries of @inside; read without the lock
 * @blind:      a task is inside of which nobody will tell when it is out: nothing is
 *              pinned until the device is opened again
 * @any:        some memory went since the device was opened
 * @back_until: jiffies, if @any: until then what is missing may come back
 */
struct liov_unmap {
	struct kref		ref;
	spinlock_t		lock;	/* all below */
	struct list_head	spare;
	struct list_head	inside;
	unsigned int		nr_spare;
	unsigned int		nr;
	bool			open;
	bool			blind;
	bool			any;
	unsigned long		back_until;
};

int liov_unmap_init(struct liov_instance *inst);
void liov_unmap_free(struct liov_instance *inst);
int liov_unmap_open(struct liov_instance *inst);
void liov_unmap_close(struct liov_instance *inst);
void liov_unmap_begin(struct liov_instance *inst, u64 iova, u64 len);
bool liov_unmap_running(struct liov_instance *inst);
bool liov_unmap_recent(struct liov_instance *inst);

#endif /* _LIOV_UNMAP_H */
