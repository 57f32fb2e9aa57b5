// SPDX-License-Identifier: GPL-2.0
/*
 * Pins of guest memory, and a guest's rings mapped into the kernel.
 *
 * Owns struct liov_pins, but no pin: whoever pins keeps the record and unpins.  Used
 * by both modes.
 * Pinning and unpinning sleep and take VFIO's own locks; unpinning from VFIO's
 * dma_unmap callback is allowed, as type1 drops its lock around it.  While VFIO takes
 * memory away nothing is pinned.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "memory/memory.h"

/*
 * What type1 keeps of a pinned page, struct vfio_pfn: 48 bytes, of a slab of 64.
 * iommufd has less than that.
 */
#define LIOV_PIN_COST	64

/*
 * VFIO has a line in the host's log for each try beyond the locked-memory limit, and a
 * guest can make many: by commands, by queues whose rings are pinned when they are
 * made, by the mailbox.  After one that failed there is none for a second, hence a line a
 * second at most; and for a minute none for many pages where one will do.
 */
#define LIOV_FULL_MS	1000
#define LIOV_SCARCE_MS	60000

/**
 * liov_pin_init() - once, at creation
 * @inst: instance
 */
void liov_pin_init(struct liov_instance *inst)
{
	mutex_init(&liov_memory(inst)->pins.lock);
}

/* Is it before @until?  0 is never, also where jiffies wrap. */
static bool liov_pin_before(const unsigned long *until)
{
	unsigned long at = READ_ONCE(*until);

	return at && time_before(jiffies, at);
}

static void liov_pin_set(unsigned long *until, unsigned int ms)
{
	WRITE_ONCE(*until, (jiffies + msecs_to_jiffies(ms)) | 1);
}

/**
 * liov_pin_scarce() - is memory to pin so short that one page is better than many?
 * @inst: open instance
 *
 * For those who pin more than they need now.  Return: whether it is.
 */
bool liov_pin_scarce(struct liov_instance *inst)
{
	return liov_pin_before(&liov_memory(inst)->pins.scarce_until);
}

/**
 * liov_pin_forget() - what comes now may have more memory to pin
 * @inst: instance that is reset by VFIO or closed
 *
 * The second without a try goes on: VFIO's lines would come with each reset else.
 */
void liov_pin_forget(struct liov_instance *inst)
{
	WRITE_ONCE(liov_memory(inst)->pins.scarce_until, 0);
}

/**
 * liov_pin_again_soon() - liov_pin() said -ENOMEM: is it worth to wait?
 * @inst: open instance
 *
 * May sleep.  Return: true if there was none for many pages, and one was not tried since.
 */
bool liov_pin_again_soon(struct liov_instance *inst)
{
	struct liov_pins *p = &liov_memory(inst)->pins;
	bool soon;

	mutex_lock(&p->lock);
	soon = p->only_many && liov_pin_before(&p->full_until);
	mutex_unlock(&p->lock);
	return soon;
}

/* vfio_pin_pages(), unless it failed for want of memory only just. */
static int liov_pin_some(struct liov_instance *inst, u64 gpa, int npages, int prot,
			 struct page **pages)
{
	struct liov_pins *p = &liov_memory(inst)->pins;
	int rc;

	mutex_lock(&p->lock);
	if (liov_pin_before(&p->full_until)) {
		rc = -ENOMEM;
		goto out;
	}
	rc = vfio_pin_pages(&liov_memory(inst)->vdev, gpa, npages, prot, pages);
	if (rc != -ENOMEM)
		goto out;
	liov_pin_set(&p->full_until, LIOV_FULL_MS);
	p->only_many = npages > 1;
	if (p->only_many)
		liov_pin_set(&p->scarce_until, LIOV_SCARCE_MS);
	liov_guest_warn(inst, "cannot pin guest memory at %#llx (%d); raise the locked-memory limit of the VM's process\n",
			gpa, rc);
out:
	mutex_unlock(&p->lock);
	return rc;
}

/*
 * Guest RAM is anonymous memory or belongs to a file, hugetlbfs among them.  A
 * page of a physical device's BAR is reserved or has no struct page at all, and
 * one that a driver gave to user space, such as a doorbell page of this module,
 * has no mapping: DMA must reach none of them.
 */
static bool liov_page_is_ram(struct page *page)
{
	return !PageReserved(page) && page_folio(page)->mapping;
}

/**
 * liov_unpin() - give pins back
 * @inst:   instance
 * @gpa:    guest-physical start, page aligned
 * @npages: pages
 *
 * Exactly what one call of liov_pin() pinned, not a part of it, or several calls for
 * LIOV_PIN_BATCH pages one after the other: iommufd finds a pin by its first and last
 * page.
 * May sleep.
 */
void liov_unpin(struct liov_instance *inst, u64 gpa, unsigned long npages)
{
	while (npages) {
		int n = min_t(unsigned long, npages, LIOV_PIN_BATCH);

		vfio_unpin_pages(&liov_memory(inst)->vdev, gpa, n);
		liov_count_host(inst, -n * LIOV_PIN_COST);
		gpa += (u64)n << PAGE_SHIFT;
		npages -= n;
		cond_resched();
	}
}

/**
 * liov_pin() - pin guest RAM
 * @inst:   open instance
 * @gpa:    guest-physical start, page aligned
 * @pages:  result
 * @npages: pages
 * @prot:   what the device may do: IOMMU_READ, or that and IOMMU_WRITE
 * @cancel: stops half-way when it becomes true; may be NULL
 *
 * All or nothing.  May sleep; takes VFIO's locks.  The caller holds the lock that VFIO's
 * dma_unmap callback takes before it looks for these pins: liov_instance.lock,
 * liov_mem.lock or liov_gmem.lock (see unmap.c).  After an -ENOMEM, which has a line in
 * the log, there is nothing but -ENOMEM for a second.
 *
 * Return: 0, -EAGAIN (VFIO is taking memory away), -EFAULT (not RAM), -EINTR
 * (cancelled), or what vfio_pin_pages() said: -EINVAL (VFIO has no memory there),
 * -EPERM (not for @prot), -ENOMEM (among others the locked memory limit), ...
 */
int liov_pin(struct liov_instance *inst, u64 gpa, struct page **pages, unsigned long npages,
	     int prot, const bool *cancel)
{
	struct liov_memory *memory = liov_memory(inst);
	unsigned long done = 0;
	int rc;

	lockdep_assert(lockdep_is_held(&memory->lock) || lockdep_is_held(&memory->mem.lock) ||
		       lockdep_is_held(&memory->gmem.lock));
	while (done < npages) {
		int want = min_t(unsigned long, npages - done, LIOV_PIN_BATCH);
		u64 at = gpa + ((u64)done << PAGE_SHIFT);
		int i;

		if (liov_unmap_running(inst)) {
			rc = -EAGAIN;
			goto err;
		}
		rc = liov_pin_some(inst, at, want, prot, pages + done);
		/* Of a hole, and of an address it cannot have, iommufd says so. */
		if (rc == -ENOENT || rc == -EOVERFLOW)
			rc = -EINVAL;
		if (rc > 0 && cancel && READ_ONCE(*cancel)) {
			vfio_unpin_pages(&memory->vdev, at, rc);
			rc = -EINTR;
			goto err;
		}
		if (rc > 0 && rc < want) {
			vfio_unpin_pages(&memory->vdev, at, rc);
			rc = -EFAULT;
		}
		if (rc < 0)
			goto err;
		done += want;
		liov_count_host(inst, want * LIOV_PIN_COST);
		for (i = 0; i < want; i++) {
			if (!liov_page_is_ram(pages[done - want + i])) {
				rc = -EFAULT;
				goto err;
			}
		}
		cond_resched();
	}
	return 0;
err:
	liov_unpin(inst, gpa, done);
	return rc;
}

/**
 * liov_ring_map() - pin a guest's ring and map it into the kernel
 * @inst:  open instance
 * @map:   result; not mapped yet
 * @gpa:   guest-physical start, page aligned
 * @bytes: its size
 *
 * May sleep.  Return: 0, -ENOMEM, or what liov_pin() said.
 */
int liov_ring_map(struct liov_instance *inst, struct liov_ring_map *map, u64 gpa, u32 bytes)
{
	u32 npages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	struct page **pages;
	int rc;

	pages = kvmalloc_array(npages, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	rc = liov_pin(inst, gpa, pages, npages, IOMMU_READ | IOMMU_WRITE, NULL);
	if (rc)
		goto out;
	map->va = vmap(pages, npages, VM_MAP, PAGE_KERNEL);
	if (!map->va) {
		liov_unpin(inst, gpa, npages);
		rc = -ENOMEM;
		goto out;
	}
	map->gpa = gpa;
	map->npages = npages;
out:
	kvfree(pages);
	return rc;
}

/**
 * liov_ring_unmap() - undo liov_ring_map()
 * @inst: instance
 * @map:  nothing happens if it is not mapped; keeps where the ring is
 *
 * May sleep.
 */
void liov_ring_unmap(struct liov_instance *inst, struct liov_ring_map *map)
{
	if (!map->va)
		return;
	vunmap(map->va);
	map->va = NULL;
	liov_unpin(inst, map->gpa, map->npages);
}

/**
 * liov_ring_overlaps() - is any of [iova, iova + len) in a mapped ring?
 * @map:  ring, mapped or not
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * Return: whether it is.
 */
bool liov_ring_overlaps(const struct liov_ring_map *map, u64 iova, u64 len)
{
	return map->va && map->gpa <= iova + (len - 1) &&
	       iova <= map->gpa + ((u64)map->npages << PAGE_SHIFT) - 1;
}

/**
 * liov_memory_broken() - a ring of the guest's has an uncorrectable memory error
 * @inst: instance
 * @what: which ring
 * @qid:  the guest's queue ID
 *
 * Its controller reports a fatal status until the guest resets it.  Any context.
 */
void liov_memory_broken(struct liov_instance *inst, const char *what, u16 qid)
{
	if (READ_ONCE(liov_memory(inst)->fatal))
		return;
	liov_set_fatal(inst, true);
	liov_guest_warn(inst, "memory error in %s queue %u of the guest; its controller stops until it resets it, see the machine check log\n",
			what, qid);
	liov_admin_event(inst, LIOV_EVENT_INTERNAL);
}
