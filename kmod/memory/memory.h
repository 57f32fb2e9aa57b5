/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: memory
 *
 * Guest memory that the drive or the module uses: pinned through VFIO (pin.c), mapped for
 * the drive as one run of bus addresses (window.c, direct mode) or step by step (gmem.c,
 * guarded mode), and what is known of those who are taking it away (unmap.c).
 *
 * Owns the pins.  They are made under liov_instance.lock, liov_mem.lock or liov_gmem.lock,
 * the locks that VFIO's dma_unmap callback takes after it has left its mark.  Looking up a
 * step takes none; struct liov_gmem says why.
 *
 * Called by queues and by the virtual controller; all may sleep but what says otherwise.
 */
#ifndef _LIOV_MEMORY_H
#define _LIOV_MEMORY_H

#include <linux/kref.h>
#include <linux/scatterlist.h>
#include <linux/xarray.h>

#include "pool/pool.h"

/* Memory that is not to be had at the moment is tried again after so long; arbitrary. */
#define LIOV_QUIET_MS		20

/* Instead of an NVMe status: memory that has just gone may come back, try again. */
#define LIOV_NOT_NOW		0xffff

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

/**
 * struct liov_memory - guest memory of an instance
 * @gmem:   guarded: its guest memory
 * @unmap:  who is taking guest memory away
 * @unmaps: times VFIO called for that, @unmap_repeats of them by a task that had not
 *          returned since it called for the same
 */
struct liov_memory {
	struct liov_env;
	struct liov_pins	pins;
	struct liov_mem		mem;
	struct liov_gmem	gmem;
	struct liov_unmap	*unmap;
	u64			unmaps;
	u64			unmap_repeats;
};

static_assert(!offsetof(struct liov_memory, vdev));

static inline struct liov_memory *liov_memory(const struct liov_instance *inst)
{
	return (struct liov_memory *)inst;
}

/* pin.c */
/* Pages pinned at a time: VFIO's VFIO_PIN_PAGES_MAX_ENTRIES. */
#define LIOV_PIN_BATCH	512
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

/* window.c */
void liov_mem_init(struct liov_instance *inst);
int liov_mem_check_iommu(struct liov_instance *inst);
bool liov_mem_has_window(struct liov_instance *inst);
int liov_mem_to_gpa(struct liov_instance *inst, u64 addr, u64 len, u64 *gpa);
int liov_mem_map(struct liov_instance *inst, u64 gpa, u64 size, const bool *cancel, u64 *bus);
bool liov_mem_overlaps(struct liov_instance *inst, u64 iova, u64 len);
void liov_mem_drop(struct liov_instance *inst, u64 iova, u64 len);
void liov_mem_leak(struct liov_instance *inst);

/* gmem.c */
void liov_gmem_init(struct liov_instance *inst);
struct liov_step_map liov_gmem_step(struct liov_instance *inst, u64 gpa);
struct liov_step_map liov_gmem_fault(struct liov_instance *inst, u64 gpa, u16 *status);
int liov_gmem_map_ring(struct liov_instance *inst, struct liov_ring_map *map);
u16 liov_gmem_read(struct liov_instance *inst, u64 gpa, void *buf, u32 len);
bool liov_gmem_overlaps(struct liov_instance *inst, u64 iova, u64 len);
void liov_gmem_unmap(struct liov_instance *inst, u64 iova, u64 len);
void liov_gmem_leak(struct liov_instance *inst);

/* unmap.c */
int liov_unmap_init(struct liov_instance *inst);
void liov_unmap_free(struct liov_instance *inst);
int liov_unmap_open(struct liov_instance *inst);
void liov_unmap_close(struct liov_instance *inst);
void liov_unmap_begin(struct liov_instance *inst, u64 iova, u64 len);
bool liov_unmap_running(struct liov_instance *inst);
bool liov_unmap_recent(struct liov_instance *inst);

#endif /* _LIOV_MEMORY_H */
