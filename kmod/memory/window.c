// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory of an instance in direct mode.
 *
 * Owns the windows: ranges of guest RAM that are pinned through VFIO and mapped
 * for the drive at one linear run of bus addresses, so that the guest's DMA
 * addresses are its own physical addresses plus a constant.  They are made for
 * the mailbox (mailbox.c) and dropped when VFIO unmaps the range, at VFIO reset and
 * at close.
 *
 * liov_mem.lock covers the list.  Who makes a window holds it for as long as
 * pinning takes (seconds for a large guest); it does not take
 * liov_instance.lock, so whoever holds that may wait for it.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>

#include "memory/memory.h"

/*
 * A scatterlist entry must not straddle a segment boundary (4 GiB by default),
 * or iommu_dma_map_sg() pads in front of it and the mapping is not linear.
 * Entries that never cross a multiple of this size, counted from the window's
 * start, cannot.
 */
#define LIOV_SG_STEP	SZ_2M

static_assert(LIOV_PIN_BATCH * PAGE_SIZE == LIOV_SG_STEP);

/**
 * liov_mem_init() - prepare an instance's memory; once, at creation
 * @inst: instance
 */
void liov_mem_init(struct liov_instance *inst)
{
	mutex_init(&liov_memory(inst)->mem.lock);
	INIT_LIST_HEAD(&liov_memory(inst)->mem.windows);
}

/**
 * liov_mem_check_iommu() - can windows be made for an instance of this controller?
 * @inst: instance
 *
 * A window is linear because the IOMMU's DMA domain makes it so; with the
 * IOMMU absent or in passthrough a bus address is a host-physical address and
 * scattered pages stay scattered.
 *
 * Return: 0, or -EOPNOTSUPP after saying what to change.
 */
int liov_mem_check_iommu(struct liov_instance *inst)
{
	struct pci_dev *pdev = liov_memory(inst)->parent->host->pdev;
	struct iommu_domain *domain = iommu_get_domain_for_dev(&pdev->dev);

	if (domain && iommu_is_dma_domain(domain))
		return 0;
	liov_guest_warn(inst, "direct mode needs the host IOMMU to translate for %s, which is %s; boot the host with %siommu.passthrough=0\n",
			pci_name(pdev), domain ? "in passthrough mode" : "without an IOMMU",
			domain ? "" : "the IOMMU on (intel_iommu=on or amd_iommu=on) and ");
	return -EOPNOTSUPP;
}

static struct liov_window *liov_window_of_bus(struct liov_mem *mem, u64 addr, u64 len)
{
	struct liov_window *w;

	lockdep_assert_held(&mem->lock);
	list_for_each_entry(w, &mem->windows, node) {
		if (addr >= w->bus && addr - w->bus < w->size &&
		    len <= w->size - (addr - w->bus))
			return w;
	}
	return NULL;
}

/**
 * liov_mem_has_window() - has the guest asked for a window?
 * @inst: instance
 *
 * Return: whether guest addresses are bus addresses.
 */
bool liov_mem_has_window(struct liov_instance *inst)
{
	return !list_empty_careful(&liov_memory(inst)->mem.windows);
}

/**
 * liov_mem_to_gpa() - a guest's DMA address as guest-physical address
 * @inst: instance
 * @addr: DMA address from the guest
 * @len:  bytes
 * @gpa:  result
 *
 * May sleep.  Return: 0, or -EFAULT if the range is not inside one window.
 */
int liov_mem_to_gpa(struct liov_instance *inst, u64 addr, u64 len, u64 *gpa)
{
	struct liov_memory *memory = liov_memory(inst);
	struct liov_window *w;
	int rc = -EFAULT;

	mutex_lock(&memory->mem.lock);
	w = liov_window_of_bus(&memory->mem, addr, len);
	if (w) {
		*gpa = w->gpa + (addr - w->bus);
		rc = 0;
	}
	mutex_unlock(&memory->mem.lock);
	return rc;
}

/*
 * Appends what was pinned to the window's table.  Its first page begins a new entry, or
 * one that begins before a multiple of LIOV_SG_STEP could end behind it.
 */
static int liov_window_append(struct liov_window *w, struct page **pages, unsigned int n,
			      unsigned int left)
{
	int rc;

	rc = sg_alloc_append_table_from_pages(&w->table, pages, 1, 0, PAGE_SIZE, PAGE_SIZE,
					      n - 1 + left, GFP_KERNEL_ACCOUNT);
	if (rc || n == 1)
		return rc;
	return sg_alloc_append_table_from_pages(&w->table, pages + 1, n - 1, 0,
						(n - 1) * PAGE_SIZE, LIOV_SG_STEP, left,
						GFP_KERNEL_ACCOUNT);
}

/*
 * Pins all of it and makes its table, a piece at a time: of a window of any size no
 * more is allocated than the entries of its table.
 */
static int liov_window_pin(struct liov_instance *inst, struct liov_window *w,
			   const bool *cancel, const char **remedy)
{
	unsigned long npages = w->size >> PAGE_SHIFT, done = 0;
	struct page **pages;
	int rc = 0;

	*remedy = "; the host has no memory for the table of its pages";
	pages = kmalloc_array(LIOV_PIN_BATCH, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	while (done < npages) {
		unsigned int n = min_t(unsigned long, npages - done, LIOV_PIN_BATCH);
		u64 at = w->gpa + ((u64)done << PAGE_SHIFT);

		rc = liov_pin(inst, at, pages, n, IOMMU_READ | IOMMU_WRITE, cancel);
		if (rc) {
			*remedy = rc == -ENOMEM ? NULL : "; not all of it is memory of the VM's";
			break;
		}
		done += n;
		rc = liov_window_append(w, pages, n, npages - done);
		if (rc)
			break;
	}
	kfree(pages);
	if (!rc)
		return 0;
	sg_free_append_table(&w->table);
	liov_unpin(inst, w->gpa, done);
	return rc;
}

static long liov_window_cost(const struct liov_window *w)
{
	return sizeof(*w) + (long)w->table.sgt.orig_nents * sizeof(struct scatterlist);
}

static bool liov_window_linear(struct liov_window *w)
{
	struct scatterlist *sg;
	dma_addr_t next = sg_dma_address(w->table.sgt.sgl);
	unsigned int i;

	for_each_sgtable_dma_sg(&w->table.sgt, sg, i) {
		if (sg_dma_address(sg) != next)
			return false;
		next += sg_dma_len(sg);
	}
	return next - sg_dma_address(w->table.sgt.sgl) == w->size;
}

static void liov_window_free(struct liov_instance *inst, struct liov_window *w)
{
	struct device *dma_dev = &liov_memory(inst)->parent->host->pdev->dev;

	dma_unmap_sgtable(dma_dev, &w->table.sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	liov_count_host(inst, -liov_window_cost(w));
	sg_free_append_table(&w->table);
	liov_unpin(inst, w->gpa, w->size >> PAGE_SHIFT);
	liov_memory(inst)->mem.pinned -= w->size;
	list_del(&w->node);
	kfree(w);
}

static int liov_window_make(struct liov_instance *inst, u64 gpa, u64 size, const bool *cancel,
			    struct liov_window **out, const char **remedy)
{
	struct liov_memory *memory = liov_memory(inst);
	struct device *dma_dev = &memory->parent->host->pdev->dev;
	struct liov_window *w;
	int rc;

	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return -ENOMEM;
	w->gpa = gpa;
	w->size = size;

	rc = liov_window_pin(inst, w, cancel, remedy);
	if (rc)
		goto err_free;
	*remedy = "";
	rc = dma_map_sgtable(dma_dev, &w->table.sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	if (rc)
		goto err_unpin;
	if (!liov_window_linear(w)) {
		liov_guest_warn(inst, "the host's DMA mapping of %#llx bytes is not linear; direct mode cannot work on %s\n",
				size, pci_name(memory->parent->host->pdev));
		rc = -EOPNOTSUPP;
		goto err_map;
	}
	w->bus = sg_dma_address(w->table.sgt.sgl);
	list_add_tail(&w->node, &memory->mem.windows);
	memory->mem.pinned += size;
	liov_count_host(inst, liov_window_cost(w));
	*out = w;
	return 0;

err_map:
	dma_unmap_sgtable(dma_dev, &w->table.sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
err_unpin:
	sg_free_append_table(&w->table);
	liov_unpin(inst, gpa, size >> PAGE_SHIFT);
err_free:
	kfree(w);
	return rc;
}

/**
 * liov_mem_map() - have a window over [gpa, gpa + size), or find the one there is
 * @inst:   open instance
 * @gpa:    guest-physical start, page aligned
 * @size:   bytes, page aligned, not 0
 * @cancel: ends it when it becomes true
 * @bus:    out: the bus address of @gpa
 *
 * May sleep, for seconds if it is large.
 *
 * Return: 0, -EAGAIN (VFIO is taking memory away: try again), -EEXIST (it lies partly in
 * another window), or why not, after a line in the log.
 */
int liov_mem_map(struct liov_instance *inst, u64 gpa, u64 size, const bool *cancel, u64 *bus)
{
	const char *remedy = "";
	struct liov_window *w;
	u64 end = gpa + size;
	int rc;

	mutex_lock(&liov_memory(inst)->mem.lock);
	list_for_each_entry(w, &liov_memory(inst)->mem.windows, node) {
		if (gpa >= w->gpa && end <= w->gpa + w->size)
			goto found;
		if (gpa < w->gpa + w->size && w->gpa < end) {
			rc = -EEXIST;
			goto out;
		}
	}
	rc = liov_mem_check_iommu(inst);
	if (!rc)
		rc = liov_window_make(inst, gpa, size, cancel, &w, &remedy);
	if (rc == -EAGAIN)
		goto out;
	if (rc) {
		/* What could not be pinned for want of memory, liov_pin() has told of. */
		if (remedy)
			liov_guest_warn(inst, "cannot map guest memory %#llx + %#llx (%d)%s\n",
					gpa, size, rc, remedy);
		goto out;
	}
found:
	*bus = w->bus + (gpa - w->gpa);
	rc = 0;
out:
	mutex_unlock(&liov_memory(inst)->mem.lock);
	return rc;
}

/**
 * liov_mem_drop() - drop all windows that touch [iova, iova + len)
 * @inst: instance whose hardware has let go of them
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * May sleep.
 */
void liov_mem_drop(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_memory *memory = liov_memory(inst);
	struct liov_window *w, *tmp;

	mutex_lock(&memory->mem.lock);
	list_for_each_entry_safe(w, tmp, &memory->mem.windows, node) {
		if (w->gpa <= iova + (len - 1) && iova <= w->gpa + (w->size - 1))
			liov_window_free(inst, w);
	}
	mutex_unlock(&memory->mem.lock);
}

/**
 * liov_mem_overlaps() - does a window touch [iova, iova + len)?
 * @inst: instance; the caller holds its lock
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * May sleep while a window is made.  Return: whether one does.
 */
bool liov_mem_overlaps(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_memory *memory = liov_memory(inst);
	struct liov_window *w;
	bool hit = false;

	mutex_lock(&memory->mem.lock);
	list_for_each_entry(w, &memory->mem.windows, node)
		hit |= w->gpa <= iova + (len - 1) && iova <= w->gpa + (w->size - 1);
	mutex_unlock(&memory->mem.lock);
	return hit;
}

/**
 * liov_mem_leak() - give up all windows without unmapping them
 * @inst: instance whose hardware queues could not be deleted
 *
 * The last resort when no fence can be had: the hardware may still write
 * there, so the pages must never be used for anything else.
 */
void liov_mem_leak(struct liov_instance *inst)
{
	struct liov_window *w, *tmp;

	mutex_lock(&liov_memory(inst)->mem.lock);
	list_for_each_entry_safe(w, tmp, &liov_memory(inst)->mem.windows, node) {
		struct sg_page_iter it;

		for_each_sgtable_page(&w->table.sgt, &it, 0)
			get_page(sg_page_iter_page(&it));
		liov_crit(inst, "%#llx bytes of guest memory leaked: %s may still write to them; reboot the host\n",
			  w->size, pci_name(liov_memory(inst)->parent->host->pdev));
		liov_unpin(inst, w->gpa, w->size >> PAGE_SHIFT);
		liov_memory(inst)->mem.pinned -= w->size;
		list_del(&w->node);
		/* @w and its table stay allocated with the mapping. */
	}
	mutex_unlock(&liov_memory(inst)->mem.lock);
}
