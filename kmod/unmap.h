/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The record of who is taking guest memory away; see unmap.c.  Included by
 * lightiov.h.
 */
#ifndef _LIOV_UNMAP_H
#define _LIOV_UNMAP_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct liov_instance;
struct task_struct;

/* type1 lets a handful of tasks of one container be inside an unmap at once. */
#define LIOV_UNMAPPERS		16

/**
 * struct liov_unmap - who is taking memory away; see unmap.c
 * @lock:       all below
 * @nr:         how many of @by are; read without the lock
 * @too_many:   there were more: nothing is pinned until the device is opened again
 * @any:        some went since the device was opened
 * @back_until: jiffies, if @any: until then what is missing may come back
 * @calls:      times VFIO called
 * @repeats:    of these by a task that had not returned since it called for the same
 * @by:         a task inside the ioctl, referenced, and the range it called for last
 */
struct liov_unmap {
	spinlock_t		lock;	/* all below */
	unsigned int		nr;
	bool			too_many;
	bool			any;
	unsigned long		back_until;
	u64			calls;
	u64			repeats;
	struct liov_unmapper {
		struct task_struct	*task;
		u64			iova;
		u64			len;
	} by[LIOV_UNMAPPERS];
};

void liov_unmap_init(struct liov_instance *inst);
void liov_unmap_open(struct liov_instance *inst);
void liov_unmap_free(struct liov_instance *inst);
void liov_unmap_begin(struct liov_instance *inst, u64 iova, u64 len);
bool liov_unmap_running(struct liov_instance *inst);
bool liov_unmap_recent(struct liov_instance *inst);

#endif /* _LIOV_UNMAP_H */
