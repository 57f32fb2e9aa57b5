// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory of an instance in guarded mode.
 *
 * Owns what is pinned and mapped for the drive of a guest's memory, in steps of
 * 2 MiB: on first use a step is pinned and mapped as a whole; where that cannot
 * be (memory begins or ends inside it, or the locked-memory limit is near) page
 * by page.  What is pinned stays until VFIO takes the range away, the device is
 * reset through VFIO or closed.  Where the bus addresses of a step are not one run
 * they are an array, so nothing is asked of the host's IOMMU: translated, passthrough
 * and none work.
 *
 * Looking up takes no lock: steps are added under liov_gmem.lock and filled
 * before they can be found, and go only when the caller of liov_gmem_unmap()
 * has made sure that nobody is looking and nothing is outstanding (every
 * liov_sq.submit held or the queues deleted).
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "memory/memory.h"

#define LIOV_STEP_SIZE	BIT_ULL(LIOV_STEP_SHIFT)

/**
 * struct liov_step - 2 MiB of guest memory
 * @map:   for whom looks up.  A whole step at one run of bus addresses, as an IOMMU
 *         or a huge page makes it, has no array
 * @bus:   the array of @map, if there is one
 * @page:  the pinned pages, valid where @bus is; NULL if they are one run from @first
 * @first: see @page
 * @gpa:   guest-physical start
 * @whole: pinned and mapped at once; @sgt is the mapping
 * @sgt:   kept for unmapping
 */
struct liov_step {
	struct liov_step_map	map;
	u64			*bus;
	struct page		**page;
	struct page		*first;
	u64			gpa;
	bool			whole;
	struct sg_table		sgt;
};

static_assert(LIOV_STEP_SIZE == LIOV_STEP_PAGES * PAGE_SIZE);

static unsigned int liov_step_index(u64 gpa)
{
	return (gpa >> PAGE_SHIFT) % LIOV_STEP_PAGES;
}

/**
 * liov_gmem_init() - prepare an instance's guest memory; once, at creation
 * @inst: instance
 */
void liov_gmem_init(struct liov_instance *inst)
{
	mutex_init(&liov_memory(inst)->gmem.lock);
	xa_init(&liov_memory(inst)->gmem.steps);
}

/* The step with the page at @gpa available, or NULL. */
static struct liov_step *liov_step_find(struct liov_instance *inst, u64 gpa)
{
	struct liov_step *s = xa_load(&liov_memory(inst)->gmem.steps, gpa >> LIOV_STEP_SHIFT);

	/* Acquire: @page is read after @bus says that it is there. */
	if (s && (!s->bus || smp_load_acquire(&s->bus[liov_step_index(gpa)]) != LIOV_NO_DMA))
		return s;
	return NULL;
}

/* Of a page that is there. */
static struct page *liov_step_page(const struct liov_step *s, unsigned int i)
{
	return s->page ? s->page[i] : pfn_to_page(page_to_pfn(s->first) + i);
}

static struct liov_step_map liov_step_map_of(const struct liov_step *s)
{
	return s ? s->map : (struct liov_step_map){ .base = LIOV_NO_DMA };
}

/**
 * liov_gmem_step() - bus addresses of the step that holds an address
 * @inst: open instance
 * @gpa:  guest-physical address
 *
 * The fast path's lookup; does not sleep.  The caller holds a liov_sq.submit,
 * which keeps the result valid.
 *
 * Return: the step, with the bus address of @gpa's page; none if that page is not
 * pinned yet.
 */
struct liov_step_map liov_gmem_step(struct liov_instance *inst, u64 gpa)
{
	return liov_step_map_of(liov_step_find(inst, gpa));
}

/*
 * Does @bus lead to a bounce buffer?  Behind an IOMMU dma_need_sync() is true for
 * all addresses of a device that ever had one, or of a kernel with DMA_API_DEBUG.
 */
static bool liov_is_bounced(struct device *dev, struct page *page, dma_addr_t bus)
{
	struct iommu_domain *domain;

	if (!dma_need_sync(dev, bus))
		return false;
	domain = iommu_get_domain_for_dev(dev);
	return page_to_phys(page) !=
	       (domain ? iommu_iova_to_phys(domain, bus) : dma_to_phys(dev, bus));
}

/*
 * With bounce buffers the drive would not reach the guest's pages, and each
 * command would have to be copied.
 */
static int liov_check_bounce(struct liov_instance *inst, struct page *page, dma_addr_t bus)
{
	if (!liov_is_bounced(liov_dma_dev(inst), page, bus))
		return 0;
	liov_guest_warn(inst, "the host bounces DMA of %s (swiotlb); boot it without swiotlb=force or with its IOMMU on\n",
			pci_name(liov_memory(inst)->parent->host->pdev));
	return -EOPNOTSUPP;
}

/* Is the mapping one run of bus addresses? */
static bool liov_step_linear(const struct liov_step *s)
{
	dma_addr_t next = sg_dma_address(s->sgt.sgl);
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(&s->sgt, sg, i) {
		if (sg_dma_address(sg) != next)
			return false;
		next += sg_dma_len(sg);
	}
	return true;
}

/* Room for a bus address of each page, none of them there yet. */
static int liov_step_make_bus(struct liov_step *s)
{
	s->bus = kmalloc_array(LIOV_STEP_PAGES, sizeof(*s->bus), GFP_KERNEL_ACCOUNT);
	if (!s->bus)
		return -ENOMEM;
	memset(s->bus, 0xff, LIOV_STEP_PAGES * sizeof(*s->bus));
	s->map.bus = s->bus;
	return 0;
}

/* Keeps what lookups need of the mapping that was made. */
static int liov_step_note(struct liov_step *s)
{
	struct sg_dma_page_iter it;
	unsigned int i = 0;
	int rc;

	if (liov_step_linear(s)) {
		s->map.base = sg_dma_address(s->sgt.sgl);
	} else {
		rc = liov_step_make_bus(s);
		if (rc)
			return rc;
		for_each_sgtable_dma_page(&s->sgt, &it, 0)
			s->bus[i++] = sg_page_iter_dma_address(&it);
	}
	if (s->sgt.orig_nents == 1) {
		s->first = s->page[0];
		kfree(s->page);
		s->page = NULL;
	}
	return 0;
}

/* @s->page has room.  If it fails nothing of @s has changed. */
static int liov_step_map_whole(struct liov_instance *inst, struct liov_step *s)
{
	struct device *dev = liov_dma_dev(inst);
	int rc;

	rc = liov_pin(inst, s->gpa, s->page, LIOV_STEP_PAGES, IOMMU_READ | IOMMU_WRITE, NULL);
	if (rc)
		return rc;
	rc = sg_alloc_table_from_pages(&s->sgt, s->page, LIOV_STEP_PAGES, 0, LIOV_STEP_SIZE,
				       GFP_KERNEL_ACCOUNT);
	if (rc)
		goto err_unpin;
	rc = dma_map_sgtable(dev, &s->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	if (rc)
		goto err_table;
	rc = liov_check_bounce(inst, s->page[0], sg_dma_address(s->sgt.sgl));
	if (!rc)
		rc = liov_step_note(s);
	if (rc)
		goto err_map;
	s->whole = true;
	liov_memory(inst)->gmem.pinned += LIOV_STEP_SIZE;
	return 0;

err_map:
	dma_unmap_sgtable(dev, &s->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
err_table:
	sg_free_table(&s->sgt);
err_unpin:
	liov_unpin(inst, s->gpa, LIOV_STEP_PAGES);
	return rc;
}

static int liov_step_map_page(struct liov_instance *inst, struct liov_step *s, u64 gpa)
{
	struct device *dev = liov_dma_dev(inst);
	enum dma_data_direction dir = DMA_BIDIRECTIONAL;
	unsigned int i = liov_step_index(gpa);
	struct page *page;
	dma_addr_t bus;
	int rc;

	gpa &= PAGE_MASK;
	rc = liov_pin(inst, gpa, &page, 1, IOMMU_READ | IOMMU_WRITE, NULL);
	if (rc == -EPERM) {
		/* What a guest's own IOMMU lets its device fetch, or a ROM. */
		dir = DMA_TO_DEVICE;
		rc = liov_pin(inst, gpa, &page, 1, IOMMU_READ, NULL);
	}
	if (rc)
		return rc;
	bus = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (dma_mapping_error(dev, bus)) {
		rc = -ENOMEM;
		goto err_unpin;
	}
	rc = liov_check_bounce(inst, page, bus);
	if (rc)
		goto err_map;
	s->page[i] = page;
	liov_memory(inst)->gmem.pinned += PAGE_SIZE;
	/* After @page; pairs with liov_step_find(). */
	smp_store_release(&s->bus[i], dir == DMA_TO_DEVICE ? bus | LIOV_STEP_RO : bus);
	return 0;

err_map:
	dma_unmap_page_attrs(dev, bus, PAGE_SIZE, dir, DMA_ATTR_SKIP_CPU_SYNC);
err_unpin:
	liov_unpin(inst, gpa, 1);
	return rc;
}

static struct liov_step *liov_step_alloc(u64 gpa)
{
	struct liov_step *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return NULL;
	s->gpa = gpa & ~(LIOV_STEP_SIZE - 1);
	s->map.base = LIOV_NO_DMA;
	s->page = kcalloc(LIOV_STEP_PAGES, sizeof(*s->page), GFP_KERNEL_ACCOUNT);
	if (!s->page) {
		kfree(s);
		return NULL;
	}
	return s;
}

static void liov_step_free(struct liov_step *s)
{
	kfree(s->bus);
	kfree(s->page);
	kfree(s);
}

/* Host memory that a step costs. */
static long liov_step_cost(const struct liov_step *s)
{
	return sizeof(*s) + (s->bus ? LIOV_STEP_PAGES * sizeof(*s->bus) : 0) +
	       (s->page ? LIOV_STEP_PAGES * sizeof(*s->page) : 0) +
	       (s->whole ? s->sgt.orig_nents * sizeof(*s->sgt.sgl) : 0);
}

/* A step with at least the page at @gpa. */
static struct liov_step *liov_step_make(struct liov_instance *inst, u64 gpa, int *rc)
{
	struct liov_step *s = liov_step_alloc(gpa);

	*rc = -ENOMEM;
	if (!s)
		return NULL;
	/* Whatever prevents the whole step may spare this page, unless it ends soon. */
	*rc = liov_pin_scarce(inst) ? -ENOMEM : liov_step_map_whole(inst, s);
	if (*rc && *rc != -EAGAIN)
		*rc = liov_step_make_bus(s) ?: liov_step_map_page(inst, s, gpa);
	if (*rc) {
		liov_step_free(s);
		return NULL;
	}
	liov_count_host(inst, liov_step_cost(s));
	return s;
}

/* As it was pinned: at once, or page by page. */
static void liov_step_unpin(struct liov_instance *inst, struct liov_step *s)
{
	struct liov_memory *memory = liov_memory(inst);
	unsigned int i;

	lockdep_assert_held(&memory->gmem.lock);
	if (s->whole) {
		liov_unpin(inst, s->gpa, LIOV_STEP_PAGES);
		memory->gmem.pinned -= LIOV_STEP_SIZE;
		return;
	}
	for (i = 0; i < LIOV_STEP_PAGES; i++) {
		if (s->bus[i] == LIOV_NO_DMA)
			continue;
		liov_unpin(inst, s->gpa + ((u64)i << PAGE_SHIFT), 1);
		memory->gmem.pinned -= PAGE_SIZE;
	}
}

/* Unmaps and unpins; @s is not in the array any more. */
static void liov_gmem_step_drop(struct liov_instance *inst, struct liov_step *s)
{
	struct device *dev = liov_dma_dev(inst);
	unsigned int i;

	liov_count_host(inst, -liov_step_cost(s));
	if (s->whole) {
		dma_unmap_sgtable(dev, &s->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
		sg_free_table(&s->sgt);
	}
	for (i = 0; i < LIOV_STEP_PAGES && !s->whole; i++) {
		if (s->bus[i] == LIOV_NO_DMA)
			continue;
		dma_unmap_page_attrs(dev, s->bus[i] & ~LIOV_STEP_RO, PAGE_SIZE,
				     s->bus[i] & LIOV_STEP_RO ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL,
				     DMA_ATTR_SKIP_CPU_SYNC);
	}
	liov_step_unpin(inst, s);
	liov_step_free(s);
}

static int liov_gmem_pin(struct liov_instance *inst, u64 gpa, struct liov_step **out)
{
	struct liov_gmem *gm = &liov_memory(inst)->gmem;
	struct liov_step *s;
	int rc;

	lockdep_assert_held(&gm->lock);
	s = xa_load(&gm->steps, gpa >> LIOV_STEP_SHIFT);
	if (!s) {
		s = liov_step_make(inst, gpa, &rc);
		if (!s)
			return rc;
		rc = xa_err(xa_store(&gm->steps, gpa >> LIOV_STEP_SHIFT, s, GFP_KERNEL_ACCOUNT));
		if (rc) {
			liov_gmem_step_drop(inst, s);
			return rc;
		}
	} else if (s->bus && s->bus[liov_step_index(gpa)] == LIOV_NO_DMA) {
		rc = liov_step_map_page(inst, s, gpa);
		if (rc)
			return rc;
	} else {
		/* Another queue was quicker. */
		*out = s;
		return 0;
	}
	WRITE_ONCE(gm->faults, gm->faults + 1);
	*out = s;
	return 0;
}

/**
 * liov_gmem_map_ring() - map a ring that liov_ring_unmap() took from a live queue
 * @inst: open instance
 * @map:  ring; nothing happens if it is mapped
 *
 * The caller holds the liov_sq.submit of a queue that uses it, which keeps it
 * mapped.  May sleep.
 *
 * Return: 0 or what liov_ring_map() said; -EAGAIN while VFIO takes memory away.
 */
int liov_gmem_map_ring(struct liov_instance *inst, struct liov_ring_map *map)
{
	struct liov_gmem *gm = &liov_memory(inst)->gmem;
	int rc = 0;

	mutex_lock(&gm->lock);
	if (!map->va)
		rc = liov_ring_map(inst, map, map->gpa, map->npages << PAGE_SHIFT);
	mutex_unlock(&gm->lock);
	return rc;
}

/* Pins what is needed for the page at @gpa; NULL with a status for the guest. */
static struct liov_step *liov_step_fault(struct liov_instance *inst, u64 gpa, u16 *status)
{
	struct liov_gmem *gm = &liov_memory(inst)->gmem;
	struct liov_step *s;
	int rc;

	/* An address type1 cannot have: its IOVAs end below the top page. */
	if (gpa >= -LIOV_STEP_SIZE) {
		*status = NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
		return NULL;
	}
	mutex_lock(&gm->lock);
	rc = liov_gmem_pin(inst, gpa, &s);
	if (rc && rc != -EAGAIN)
		WRITE_ONCE(gm->failures, gm->failures + 1);
	mutex_unlock(&gm->lock);
	if (!rc)
		return s;

	if (rc == -ENOMEM) {
		/* The 2 MiB around it were too much; in a second it alone may not be. */
		*status = liov_pin_again_soon(inst) ? LIOV_NOT_NOW : NVME_SC_INTERNAL;
	} else if (rc == -EAGAIN || rc == -EINTR ||
		   ((rc == -EFAULT || rc == -EINVAL) && liov_unmap_recent(inst))) {
		*status = LIOV_NOT_NOW;
	} else if (rc == -EFAULT || rc == -EINVAL || rc == -EPERM) {
		*status = NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
	} else {
		*status = NVME_SC_INTERNAL;
	}
	return NULL;
}

/**
 * liov_gmem_fault() - liov_gmem_step() that pins what is missing
 * @inst:   open instance
 * @gpa:    guest-physical address
 * @status: out: why there is nothing, for the guest: Data Transfer Error with
 *          DNR if it is no RAM of the guest's, Internal Error if it cannot be
 *          pinned now; LIOV_NOT_NOW if it may be RAM of the guest's again soon
 *
 * The caller holds a liov_sq.submit.  Sleeps: pins 2 MiB at most.
 *
 * Return: as liov_gmem_step(); none with @status.
 */
struct liov_step_map liov_gmem_fault(struct liov_instance *inst, u64 gpa, u16 *status)
{
	return liov_step_map_of(liov_step_fault(inst, gpa, status));
}

/**
 * liov_gmem_read() - copy out of guest memory
 * @inst: open instance
 * @gpa:  guest-physical address
 * @buf:  where to
 * @len:  bytes; the range does not cross a page
 *
 * Only the copy is looked at.  The caller holds a liov_sq.submit.  Sleeps if the
 * page is not pinned yet.
 *
 * Return: 0, the NVMe status for the guest, or LIOV_NOT_NOW.
 */
u16 liov_gmem_read(struct liov_instance *inst, u64 gpa, void *buf, u32 len)
{
	struct liov_step *s = liov_step_find(inst, gpa);
	u16 status = 0;
	void *va;

	if (!s) {
		s = liov_step_fault(inst, gpa, &status);
		if (!s)
			return status;
	}
	va = kmap_local_page(liov_step_page(s, liov_step_index(gpa)));
	if (!liov_read_guest(buf, va + offset_in_page(gpa), len))
		status = NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
	kunmap_local(va);
	return status;
}

/**
 * liov_gmem_overlaps() - is any of [iova, iova + len) pinned?
 * @inst: instance
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * After liov_unmap_begin(): the answer does not become stale before
 * liov_gmem_unmap().  May sleep while a step is pinned.
 *
 * Return: whether a step that it touches has pins.
 */
bool liov_gmem_overlaps(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_gmem *gm = &liov_memory(inst)->gmem;
	unsigned long first = iova >> LIOV_STEP_SHIFT;
	bool hit;

	mutex_lock(&gm->lock);
	hit = xa_find(&gm->steps, &first, (iova + (len - 1)) >> LIOV_STEP_SHIFT, XA_PRESENT);
	mutex_unlock(&gm->lock);
	return hit;
}

/**
 * liov_gmem_unmap() - unmap and unpin every step that a range touches
 * @inst: instance; nobody looks steps up and no command is outstanding
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * May sleep.
 */
void liov_gmem_unmap(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_gmem *gm = &liov_memory(inst)->gmem;
	struct liov_step *s;
	unsigned long i;

	mutex_lock(&gm->lock);
	xa_for_each_range(&gm->steps, i, s, iova >> LIOV_STEP_SHIFT,
			  (iova + (len - 1)) >> LIOV_STEP_SHIFT) {
		xa_erase(&gm->steps, i);
		liov_gmem_step_drop(inst, s);
	}
	mutex_unlock(&gm->lock);
}

/**
 * liov_gmem_leak() - give up all pins without unmapping them
 * @inst: instance whose hardware queues could not be deleted
 *
 * The hardware may still write there, so the pages must never be used for
 * anything else.  May sleep.
 */
void liov_gmem_leak(struct liov_instance *inst)
{
	struct liov_gmem *gm = &liov_memory(inst)->gmem;
	struct liov_step *s;
	unsigned long i;

	mutex_lock(&gm->lock);
	if (gm->pinned)
		liov_crit(inst, "%#llx bytes of guest memory leaked: %s may still write to them; reboot the host\n",
			  gm->pinned, pci_name(liov_memory(inst)->parent->host->pdev));
	xa_for_each(&gm->steps, i, s) {
		unsigned int n;

		for (n = 0; n < LIOV_STEP_PAGES; n++) {
			if (!s->bus || s->bus[n] != LIOV_NO_DMA)
				get_page(liov_step_page(s, n));
		}
		liov_step_unpin(inst, s);
		xa_erase(&gm->steps, i);
		/* @s stays allocated, its mapping is in use. */
	}
	mutex_unlock(&gm->lock);
}
